#include "tools/eval/gradient_icp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/cloud_index.h"
#include "tools/eval/reference_rng.h"

/* --- small matrices, row-major -------------------------------------------------------------------------------------------------------- */

static void mul33(double out[9], const double a[9], const double b[9])
{
    double m[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) m[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    memcpy(out, m, sizeof(m));
}

static double dot3(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static void cross3(double out[3], const double a[3], const double b[3])
{
    for (int k = 0; k < 3; k++) out[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
}

double ch4_affine_determinant(const ch4_affine *m)
{
    const double *a = m->A;
    return a[0] * (a[4] * a[8] - a[5] * a[7]) - a[1] * (a[3] * a[8] - a[5] * a[6]) + a[2] * (a[3] * a[7] - a[4] * a[6]);
}

void ch4_affine_points(float *out, const ch4_affine *m, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double p[3] = {x[3 * i], x[3 * i + 1], x[3 * i + 2]};
        for (int k = 0; k < 3; k++) out[3 * i + k] = (float)(p[0] * m->A[k] + p[1] * m->A[3 + k] + p[2] * m->A[6 + k] + m->t[k]);
    }
}

/* Row normals transform with A^-T; its rows are the cross products of the rows of A, over the determinant, whose sign counts. */
void ch4_affine_normals(float *out, const ch4_affine *m, const float *x, int64_t n)
{
    double cof[9];
    for (int r = 0; r < 3; r++) cross3(cof + 3 * r, m->A + 3 * ((r + 1) % 3), m->A + 3 * ((r + 2) % 3));
    double sign = dot3(m->A, cof) < 0 ? -1 : 1;
    for (int64_t i = 0; i < n; i++) {
        double p[3] = {x[3 * i], x[3 * i + 1], x[3 * i + 2]}, q[3];
        for (int k = 0; k < 3; k++) q[k] = sign * (p[0] * cof[k] + p[1] * cof[3 + k] + p[2] * cof[6 + k]);
        double l = sqrt(dot3(q, q));
        for (int k = 0; k < 3; k++) out[3 * i + k] = l > 0 ? (float)(q[k] / l) : x[3 * i + k];
    }
}

/* --- starts --------------------------------------------------------------------------------------------------------------------------- */

/* Rx(a) Ry(e) Rz(r) in quarter turns. */
static void quarter_turns(double out[9], int a, int e, int r)
{
    static const double C[4] = {1, 0, -1, 0}, S[4] = {0, 1, 0, -1};
    double x[9] = {1, 0, 0, 0, C[a], -S[a], 0, S[a], C[a]}, y[9] = {C[e], 0, S[e], 0, 1, 0, -S[e], 0, C[e]}, z[9] = {C[r], -S[r], 0, S[r], C[r], 0, 0, 0, 1};
    mul33(out, x, y);
    mul33(out, out, z);
}

void ch4_icp_starts(double R0[CH4_ICP_STARTS][9], bool all_different)
{
    static const double missing[2][9] = {{0, 0, 1, -1, 0, 0, 0, -1, 0}, {0, 0, -1, 0, -1, 0, -1, 0, 0}};
    int n = 0;
    for (int a = 0; a < 4; a++)
        for (int r = 0; r < 4; r++) quarter_turns(R0[n++], a, 0, r);
    for (int a = 0; a < 2; a++)
        for (int e = 1; e < 4; e += 2)
            for (int r = 0; r < 2; r++) quarter_turns(R0[n++], a, e, r);
    if (!all_different) return;
    memcpy(R0[20], missing[0], sizeof(missing[0]));
    memcpy(R0[23], missing[1], sizeof(missing[1]));
}

ch4_icp_options ch4_icp_defaults(void) { return (ch4_icp_options){.n_iter = 200, .rate = 0.01}; }

/* --- one start ------------------------------------------------------------------------------------------------------------------------ */

enum { N_PARAM = 12 }; /* T 0..2, r 3..8, s 9..11; with a uniform scale s is parameter 9 alone */

/* Work space of a thread. x' and its index follow the points of pred, which are in Morton order; partners are row numbers. */
typedef struct scratch {
    ch4_cloud_index *moved_index;
    float *moved;     /* [n_pred,3] */
    int32_t *to_gt;   /* [n_pred] */
    int32_t *to_pred; /* [n_gt] */
    double *grad;     /* [n_pred,3] of the objective by x' */
} scratch;

typedef struct problem {
    const float *pred, *gt; /* in Morton order */
    int64_t n_pred, n_gt;
    const ch4_cloud_index *gt_index;
    const ch4_icp_options *options;
    double R0[CH4_ICP_STARTS][9];
    double *history;
    ch4_icp_result best[CH4_ICP_STARTS];
    scratch *scratch; /* one for each thread */
} problem;

/* Q of six numbers, and what its gradient needs. */
typedef struct six_rotation {
    double Q[9], b1[3], b2[3], len1, len_u;
} six_rotation;

static six_rotation rotation_of(const double r[6])
{
    six_rotation s;
    double u[3];
    s.len1 = sqrt(dot3(r, r));
    for (int k = 0; k < 3; k++) s.b1[k] = r[k] / s.len1;
    double along = dot3(s.b1, r + 3);
    for (int k = 0; k < 3; k++) u[k] = r[3 + k] - along * s.b1[k];
    s.len_u = sqrt(dot3(u, u));
    for (int k = 0; k < 3; k++) s.b2[k] = u[k] / s.len_u;
    memcpy(s.Q, s.b1, sizeof(s.b1));
    memcpy(s.Q + 3, s.b2, sizeof(s.b2));
    cross3(s.Q + 6, s.b1, s.b2);
    return s;
}

/* Gradient of the six numbers from that of Q's rows h. */
static void rotation_gradient(double out[6], const six_rotation *s, const double a2[3], const double dQ[9])
{
    double h1[3], h2[3], c[3], gu[3];
    cross3(c, s->b2, dQ + 6);
    for (int k = 0; k < 3; k++) h1[k] = dQ[k] + c[k];
    cross3(c, dQ + 6, s->b1);
    for (int k = 0; k < 3; k++) h2[k] = dQ[3 + k] + c[k];
    double along = dot3(s->b2, h2);
    for (int k = 0; k < 3; k++) gu[k] = (h2[k] - along * s->b2[k]) / s->len_u;
    double bg = dot3(s->b1, gu), ba = dot3(s->b1, a2);
    for (int k = 0; k < 3; k++) {
        out[3 + k] = gu[k] - bg * s->b1[k];
        h1[k] -= bg * a2[k] + ba * gu[k];
    }
    double bh = dot3(h1, s->b1);
    for (int k = 0; k < 3; k++) out[k] = (h1[k] - bh * s->b1[k]) / s->len1;
}

static ch4_affine transform_of(const double p[N_PARAM], const double R[9])
{
    ch4_affine m;
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 3; k++) m.A[3 * r + k] = p[9 + r] * R[3 * r + k];
    memcpy(m.t, p, sizeof(m.t));
    return m;
}

/* Adds 2 weight (a - b) to the gradient of a and returns weight |a - b|^2. */
static double pair_term(double *grad, const float *a, const float *b, double weight)
{
    double sum = 0;
    for (int k = 0; k < 3; k++) {
        double d = (double)a[k] - b[k];
        sum += d * d;
        grad[k] += 2 * weight * d;
    }
    return weight * sum;
}

/* The objective at the current x', and its gradient by x'. */
static double objective(const problem *p, scratch *s)
{
    double loss = 0;
    ch4_cloud_index_move(s->moved_index, s->moved);
    ch4_cloud_nearest_ordered(s->to_gt, p->gt_index, s->moved, p->n_pred);
    ch4_cloud_nearest_ordered(s->to_pred, s->moved_index, p->gt, p->n_gt);
    memset(s->grad, 0, (size_t)p->n_pred * 3 * sizeof(double));
    for (int64_t i = 0; i < p->n_pred; i++) loss += pair_term(s->grad + 3 * i, s->moved + 3 * i, p->gt + 3 * (int64_t)s->to_gt[i], 1.0 / (double)p->n_pred);
    for (int64_t j = 0; j < p->n_gt; j++) {
        int64_t i = s->to_pred[j];
        loss += pair_term(s->grad + 3 * i, s->moved + 3 * i, p->gt + 3 * j, 1.0 / (double)p->n_gt);
    }
    return loss;
}

static void parameter_gradient(double out[N_PARAM], const problem *p, const scratch *s, const double param[N_PARAM], const six_rotation *q, const double R0[9])
{
    double R[9], xG[9] = {0}, dR[9], dQ[9]; /* xG = sum x^T G */
    memset(out, 0, N_PARAM * sizeof(double));
    for (int64_t i = 0; i < p->n_pred; i++)
        for (int r = 0; r < 3; r++) {
            out[r] += s->grad[3 * i + r];
            for (int k = 0; k < 3; k++) xG[3 * r + k] += (double)p->pred[3 * i + r] * s->grad[3 * i + k];
        }
    mul33(R, R0, q->Q);
    for (int r = 0; r < 3; r++) {
        out[9 + r] = dot3(xG + 3 * r, R + 3 * r);
        for (int k = 0; k < 3; k++) dR[3 * r + k] = param[9 + r] * xG[3 * r + k];
    }
    double R0t[9] = {R0[0], R0[3], R0[6], R0[1], R0[4], R0[7], R0[2], R0[5], R0[8]};
    mul33(dQ, R0t, dR);
    rotation_gradient(out + 3, q, param + 6, dQ);
    if (p->options->uniform) out[9] = out[10] = out[11] = out[9] + out[10] + out[11];
    for (int k = 0; k < N_PARAM; k++) out[k] /= CH4_ICP_STARTS; /* the objectives of the starts are averaged: it counts against Adam's epsilon */
}

static void adam_step(double param[N_PARAM], double m[N_PARAM], double v[N_PARAM], const double grad[N_PARAM], int step, double rate)
{
    double c1 = 1 - pow(0.9, step), c2 = 1 - pow(0.999, step);
    for (int k = 0; k < N_PARAM; k++) {
        m[k] = 0.9 * m[k] + 0.1 * grad[k];
        v[k] = 0.999 * v[k] + 0.001 * grad[k] * grad[k];
        param[k] -= rate / c1 * m[k] / (sqrt(v[k]) / sqrt(c2) + 1e-8);
    }
}

static void run_start(void *ctx, int64_t start, int worker)
{
    problem *p = ctx;
    scratch *s = &p->scratch[worker];
    double param[N_PARAM] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1}, m[N_PARAM] = {0}, v[N_PARAM] = {0}, grad[N_PARAM], R[9];
    ch4_icp_result best = {.loss = INFINITY, .start = (int)start};
    for (int i = 0; i < p->options->n_iter; i++) {
        six_rotation q = rotation_of(param + 3);
        mul33(R, p->R0[start], q.Q);
        ch4_affine now = transform_of(param, R);
        ch4_affine_points(s->moved, &now, p->pred, p->n_pred);
        double loss = objective(p, s);
        if (p->history) p->history[i * CH4_ICP_STARTS + start] = loss;
        parameter_gradient(grad, p, s, param, &q, p->R0[start]);
        adam_step(param, m, v, grad, i + 1, p->options->rate);
        if (!(loss < best.loss)) continue;
        best.loss = loss, best.iter = i;
        best.transform = transform_of(param, R); /* rotation before, translation and scale after the step */
    }
    p->best[start] = best;
}

/* --- the whole ------------------------------------------------------------------------------------------------------------------------- */

static ch4_status sorted_copy(float **out, const float *point, int64_t n, ch4_err *err)
{
    int32_t *order = NULL;
    ch4_status st = ch4_calloc(out, (size_t)n, 3 * sizeof(float), "ICP points", err);
    if (!st) st = ch4_calloc(&order, (size_t)n, sizeof(*order), "ICP points", err);
    if (!st) st = ch4_cloud_order(order, point, n, err);
    for (int64_t i = 0; !st && i < n; i++) memcpy(*out + 3 * i, point + 3 * (int64_t)order[i], 3 * sizeof(float));
    free(order);
    return st;
}

static ch4_status scratch_init(scratch *s, const float *pred, int64_t n_pred, int64_t n_gt, ch4_err *err)
{
    ch4_status st = ch4_cloud_index_create(&s->moved_index, pred, n_pred, err);
    if (!st) st = ch4_calloc(&s->moved, (size_t)n_pred, 3 * sizeof(float), "ICP", err);
    if (!st) st = ch4_calloc(&s->to_gt, (size_t)n_pred, sizeof(int32_t), "ICP", err);
    if (!st) st = ch4_calloc(&s->to_pred, (size_t)n_gt, sizeof(int32_t), "ICP", err);
    if (!st) st = ch4_calloc(&s->grad, (size_t)n_pred, 3 * sizeof(double), "ICP", err);
    return st;
}

static void scratch_fini(scratch *s)
{
    ch4_cloud_index_destroy(&s->moved_index);
    free(s->moved);
    free(s->to_gt);
    free(s->to_pred);
    free(s->grad);
}

static const ch4_icp_result *best_of(const problem *p)
{
    const ch4_icp_result *best = &p->best[0];
    for (int s = 1; s < CH4_ICP_STARTS; s++) {
        const ch4_icp_result *b = &p->best[s];
        if (b->loss < best->loss || (b->loss == best->loss && b->iter < best->iter)) best = b;
    }
    return best;
}

ch4_status ch4_gradient_icp(ch4_icp_result *out, double *history, const float *pred, int64_t n_pred, const float *gt, int64_t n_gt,
                            const ch4_icp_options *options, ch4_pool *pool, ch4_err *err)
{
    problem p = {.n_pred = n_pred, .n_gt = n_gt, .options = options, .history = history};
    float *pred_sorted = NULL, *gt_sorted = NULL;
    ch4_cloud_index *gt_index = NULL;
    int n_threads = ch4_pool_threads(pool);
    ch4_icp_starts(p.R0, options->all_different);
    ch4_status st = n_pred < 1 || n_gt < 1 ? ch4_err_set(err, CH4_EFORMAT, "alignment of an empty cloud") : CH4_OK;
    if (!st) st = sorted_copy(&pred_sorted, pred, n_pred, err);
    if (!st) st = sorted_copy(&gt_sorted, gt, n_gt, err);
    if (!st) st = ch4_cloud_index_create(&gt_index, gt_sorted, n_gt, err);
    if (!st) st = ch4_calloc(&p.scratch, (size_t)n_threads, sizeof(*p.scratch), "ICP", err);
    for (int i = 0; !st && i < n_threads; i++) st = scratch_init(&p.scratch[i], pred_sorted, n_pred, n_gt, err);
    if (!st) {
        p.pred = pred_sorted, p.gt = gt_sorted, p.gt_index = gt_index;
        ch4_pool_run(pool, CH4_ICP_STARTS, run_start, &p);
        *out = *best_of(&p);
        if (!isfinite(out->loss)) st = ch4_err_set(err, CH4_EFORMAT, "the alignment did not converge to anything finite");
    }
    for (int i = 0; p.scratch && i < n_threads; i++) scratch_fini(&p.scratch[i]);
    free(p.scratch);
    ch4_cloud_index_destroy(&gt_index);
    free(pred_sorted);
    free(gt_sorted);
    return st;
}

ch4_status ch4_icp_subset(float *out, const float *point, int64_t n_point, int64_t n, uint32_t seed, ch4_err *err)
{
    int32_t *order = NULL;
    ch4_status st = ch4_calloc(&order, (size_t)n_point, sizeof(*order), "ICP subset", err);
    if (st) return st;
    ch4_numpy_permutation(order, n_point, seed);
    for (int64_t i = 0; i < ch4_min_i64(n, n_point); i++) memcpy(out + 3 * i, point + 3 * (int64_t)order[i], 3 * sizeof(float));
    free(order);
    return CH4_OK;
}
