/* Kinds procrustes (weighted rigid fits of every rank) and animate (landmark tracks to all vertices). */
#include <math.h>
#include <string.h>

#include "golden_geometry.h"
#include "mesh/graph.h"
#include "stages/animate/animate_window.h"
#include "stages/animate/rigid_fit.h"

/* --- procrustes ------------------------------------------------------------------------------------------------------------ */

typedef struct fit_case {
    double *p, *q, *weight, *R, *mu_p, *mu_q, *objective, *scale2, *det_sign, *singular;
    int32_t *count, *rank, *compare_R;
    int64_t B, N;
} fit_case;

static ch4_status load_fits(ch4_golden_case *c, fit_case *x, ch4_err *err)
{
    ch4_tensor p;
    const struct { double **at; const char *name; int64_t per_fit, per_point; } table[] = {
        {&x->p, "p", 0, 3},        {&x->q, "q", 0, 3},       {&x->weight, "weights", 0, 1},       {&x->R, "R", 9, 0},
        {&x->mu_p, "mu_p", 3, 0},  {&x->mu_q, "mu_q", 3, 0}, {&x->objective, "objective", 1, 0}, {&x->scale2, "scale2", 1, 0},
        {&x->det_sign, "det_sign", 1, 0}, {&x->singular, "singular", 3, 0},
    };
    const struct { int32_t **at; const char *name; } whole[] = {{&x->count, "count"}, {&x->rank, "rank"}, {&x->compare_R, "compare_R"}};
    ch4_status st = ch4_golden_raw(c, &p, err, "p");
    if (st == CH4_OK && (p.rank != 3 || p.shape[2] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: p is not [B,N,3]", c->label);
    if (st != CH4_OK)
        return st;
    x->B = p.shape[0];
    x->N = p.shape[1];
    int64_t n;
    for (size_t i = 0; st == CH4_OK && i < sizeof table / sizeof *table; i++) {
        st = ch4_golden_f64(c, table[i].at, &n, table[i].name, err);
        if (st == CH4_OK && n != x->B * (table[i].per_fit + table[i].per_point * x->N))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: %s has another size than p", c->label, table[i].name);
    }
    for (size_t i = 0; st == CH4_OK && i < sizeof whole / sizeof *whole; i++) {
        st = ch4_golden_i32(c, whole[i].at, &n, whole[i].name, err);
        if (st == CH4_OK && n != x->B)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: %s has another size than p", c->label, whole[i].name);
    }
    for (int64_t b = 0; st == CH4_OK && b < x->B; b++)
        if (x->count[b] < 0 || x->count[b] > x->N)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: fit of %d points out of %d", c->label, (int)x->count[b], (int)x->N);
    return st;
}

static double objective(const ch4_rigid *r, const double *p, const double *q, const double *w, int64_t n)
{
    double sum = 0, total = 0;
    for (int64_t i = 0; i < n; i++)
        total += w[i];
    for (int64_t i = 0; i < n; i++)
        for (int row = 0; row < 3; row++) {
            double d = r->mu_q[row] - q[3 * i + row];
            for (int col = 0; col < 3; col++)
                d += r->R[3 * row + col] * (p[3 * i + col] - r->mu_p[col]);
            sum += w[i] / total * d * d;
        }
    return sum;
}

static double largest_difference(const double *a, const double *b, int n)
{
    double top = 0;
    for (int i = 0; i < n; i++)
        top = fabs(a[i] - b[i]) <= top ? top : fabs(a[i] - b[i]);
    return top;
}

static double not_orthogonal(const double R[9])
{
    double top = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double s = R[i] * R[j] + R[3 + i] * R[3 + j] + R[6 + i] * R[6 + j] - (i == j);
            top = fabs(s) <= top ? top : fabs(s);
        }
    return top;
}

static double determinant(const double R[9])
{
    return R[0] * (R[4] * R[8] - R[5] * R[7]) - R[1] * (R[3] * R[8] - R[5] * R[6]) + R[2] * (R[3] * R[7] - R[4] * R[6]);
}

static void raise(double *top, double value)
{
    *top = value <= *top ? *top : value; /* keeps NaN */
}

static double mean_error(const double got[3], const double want[3])
{
    return largest_difference(got, want, 3) / fmax(1, sqrt(want[0] * want[0] + want[1] * want[1] + want[2] * want[2]));
}

ch4_status ch4_golden_procrustes(ch4_golden_case *c, ch4_err *err)
{
    fit_case x = {0};
    ch4_status st = load_fits(c, &x, err);
    if (st != CH4_OK)
        return st;
    double rotation = 0, mean_p = 0, mean_q = 0, cost = 0, det = 0, orthogonal = 0, sign = 0, rank = 0, singular = 0;
    for (int64_t b = 0; b < x.B; b++) {
        const double *p = x.p + 3 * b * x.N, *q = x.q + 3 * b * x.N, *w = x.weight + b * x.N;
        ch4_rigid r;
        ch4_rigid_fit(&r, p, q, NULL, w, x.count[b], x.scale2[b]);
        if (x.compare_R[b])
            raise(&rotation, largest_difference(r.R, x.R + 9 * b, 9));
        raise(&mean_p, mean_error(r.mu_p, x.mu_p + 3 * b));
        raise(&mean_q, mean_error(r.mu_q, x.mu_q + 3 * b));
        raise(&cost, fabs(objective(&r, p, q, w, x.count[b]) - x.objective[b]) / fmax(x.objective[b], 1e-3 * x.scale2[b]));
        raise(&det, fabs(determinant(r.R) - 1));
        raise(&orthogonal, not_orthogonal(r.R));
        raise(&singular, largest_difference(r.singular, x.singular + 3 * b, 3) / fmax(x.singular[3 * b], 1e-3 * x.scale2[b]));
        int want = x.rank[b];
        rank += want < 2 ? r.rank != want : r.rank < 2;
        sign += want == 3 && x.compare_R[b] && r.det_sign != (int)x.det_sign[b];
    }
    ch4_golden_check_at_most(c, rotation, ch4_golden_real_or(c, "tolerance.R_abs", 1e-5), "R");
    ch4_golden_check_at_most(c, mean_p, 1e-6, "mu_p");
    ch4_golden_check_at_most(c, mean_q, 1e-6, "mu_q");
    ch4_golden_check_at_most(c, cost, 1e-5, "objective");
    ch4_golden_check_at_most(c, det, 1e-6, "det");
    ch4_golden_check_at_most(c, orthogonal, ch4_golden_real_or(c, "tolerance.orthogonality", 1e-6), "orthogonality");
    ch4_golden_check_at_most(c, singular, 1e-6, "singular");
    ch4_golden_check_at_most(c, rank, 0, "rank");
    ch4_golden_check_at_most(c, sign, 0, "det_sign");
    const char *compared[] = {"p", "q", "weights", "count", "scale2", "compare_R", "R", "mu_p", "mu_q", "objective", "singular", "rank", "det_sign"};
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++)
        ch4_golden_mark(c, "%s", compared[i]);
    return CH4_OK;
}

/* --- animate --------------------------------------------------------------------------------------------------------------- */

typedef struct animate_case {
    ch4_golden_mesh m;
    ch4_mesh_graph g;
    ch4_animate_input in;
    ch4_animate_options opt;
    ch4_animate_result r;
    int32_t *landmark, *rows;
    int64_t n_rows;
} animate_case;

static ch4_status load_animate(ch4_golden_case *c, animate_case *x, ch4_err *err)
{
    ch4_tensor raw = {0};
    ch4_animate_options *o = &x->opt;
    int64_t n = 0, a = 0;
    *o = ch4_animate_defaults();
    o->tracks.outlier_factor = ch4_golden_real_or(c, "rel", o->tracks.outlier_factor);
    o->tracks.outlier_absolute = ch4_golden_real_or(c, "abs_frac", o->tracks.outlier_absolute);
    o->tracks.outlier_floor = ch4_golden_real_or(c, "floor_frac", o->tracks.outlier_floor);
    o->tracks.min_valid = ch4_golden_real_or(c, "valid_frac", o->tracks.min_valid);
    o->tracks.min_keep = ch4_golden_real_or(c, "min_keep", o->tracks.min_keep);
    o->landmarks.eps = o->final.eps = ch4_golden_real_or(c, "eps", o->landmarks.eps);
    o->landmarks.hold = o->final.hold = ch4_golden_real_or(c, "s_min", o->landmarks.hold);
    ch4_status st = ch4_golden_named_mesh(c, &x->m, err);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &o->k, "k", err);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &a, "anchor_frame", err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &o->beta, "beta", err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &o->landmarks.sigma, "sigma_landmark", err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &o->final.sigma, "sigma_final", err);
    if (st == CH4_OK)
        st = ch4_golden_i32(c, &x->landmark, &n, "landmarks", err);
    if (st == CH4_OK)
        st = ch4_golden_i32(c, &x->rows, &x->n_rows, "rows", err);
    if (st == CH4_OK)
        st = ch4_golden_tensor(c, &raw, CH4_DTYPE_F32, err, "raw");
    if (st == CH4_OK && (raw.rank != 3 || raw.shape[1] != n || raw.shape[2] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: raw is not [F,K,3]", c->label);
    for (int64_t i = 0; st == CH4_OK && i < x->n_rows; i++)
        if (x->rows[i] < 0 || x->rows[i] >= x->m.n_vert)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: row %d is no vertex", c->label, (int)x->rows[i]);
    if (st == CH4_OK)
        st = ch4_mesh_graph_init(&x->g, x->m.vert, x->m.n_vert, x->m.face, x->m.n_face, err);
    x->in = (ch4_animate_input){.vert = x->m.vert, .face = x->m.face, .V = x->m.n_vert, .n_face = x->m.n_face, .graph = &x->g,
                                .landmark = x->landmark, .path = raw.data, .K = n, .F = raw.shape[0], .a = a};
    return st;
}

static ch4_status pick_rows(ch4_golden_case *c, double **out, const float *field, const animate_case *x, ch4_err *err)
{
    int64_t F = x->in.F, V = x->in.V;
    ch4_status st = ch4_golden_alloc(c, out, (size_t)(F * x->n_rows) * 3, sizeof **out, err);
    for (int64_t f = 0; st == CH4_OK && f < F; f++)
        for (int64_t i = 0; i < x->n_rows; i++)
            for (int k = 0; k < 3; k++)
                (*out)[3 * (f * x->n_rows + i) + k] = field[3 * (f * V + x->rows[i]) + k];
    return st;
}

/* Root mean square distance over points; -1 where the record has another size. */
static ch4_status rmse(ch4_golden_case *c, double *out, const double *got, int64_t n_point, const char *name, ch4_err *err)
{
    double *want, sum = 0;
    int64_t n;
    ch4_status st = ch4_golden_f64(c, &want, &n, name, err);
    if (st == CH4_OK && n != 3 * n_point)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: %s has another size than rows", c->label, name);
    for (int64_t i = 0; st == CH4_OK && i < n; i++)
        sum += (got[i] - want[i]) * (got[i] - want[i]);
    *out = sqrt(sum / (double)n_point);
    return st;
}

static ch4_status check_motion(ch4_golden_case *c, const animate_case *x, ch4_err *err)
{
    double *before, *after, D = 0, error, to_truth, quality;
    int64_t n = x->in.F * x->n_rows;
    ch4_status st = pick_rows(c, &before, x->r.before_final, x, err);
    if (st == CH4_OK)
        st = pick_rows(c, &after, x->r.vertices, x, err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &D, "diagonal", err);
    if (st != CH4_OK)
        return st;
    double atol = ch4_golden_real_or(c, "tolerance.animated_max_abs", 1e-4 * D), rms = ch4_golden_real_or(c, "tolerance.animated_rmse", 1e-5 * D);
    ch4_golden_check_close(c, before, 3 * n, atol, 0, "before_final");
    ch4_golden_check_close(c, after, 3 * n, atol, 0, "animated");
    if ((st = rmse(c, &error, before, n, "before_final", err)) != CH4_OK)
        return st;
    ch4_golden_check_at_most(c, error, rms, "before_final.rmse");
    if ((st = rmse(c, &error, after, n, "animated", err)) != CH4_OK)
        return st;
    ch4_golden_check_at_most(c, error, rms, "animated.rmse");
    if ((st = rmse(c, &to_truth, after, n, "truth", err)) != CH4_OK)
        return st;
    if ((st = ch4_golden_real(c, &quality, "quality.rows_final_rmse", err)) != CH4_OK)
        return st;
    ch4_golden_check_at_most(c, to_truth, 1.02 * quality + 1e-5 * D, "truth.rmse");
    ch4_golden_mark(c, "truth");
    return CH4_OK;
}

static ch4_status check_tracks(ch4_golden_case *c, const animate_case *x, ch4_err *err)
{
    int64_t K = x->in.K, cells = x->in.F * K, *index;
    double want, got;
    ch4_status st = ch4_golden_alloc(c, &index, (size_t)cells, sizeof *index, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < cells; i++)
        index[i] = x->r.valid[i];
    ch4_golden_check_index(c, index, cells, NULL, 0, 0, "valid");
    for (int64_t l = 0; l < K; l++)
        index[l] = x->r.kept[l];
    ch4_golden_check_index(c, index, K, NULL, 0, 0, "kept");
    ch4_golden_check_close(c, x->r.smoothed, 3 * cells, ch4_golden_real_or(c, "tolerance.smoothed_abs", 1e-6), 0, "smoothed");
    ch4_golden_check_true(c, x->r.n_kept == ch4_golden_int_or(c, "kept", -1), "kept.count");
    ch4_golden_check_true(c, x->r.relaxed == json_is_true(ch4_golden_json(c, "relaxed")), "relaxed");
    ch4_golden_check_true(c, x->r.n_fallback == ch4_golden_int_or(c, "fallback_vertices", -1), "fallback_vertices");
    if ((st = ch4_golden_real(c, &want, "mean_spacing", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &x->r.mean_spacing, &want, 1, 0, 1e-6, "mean_spacing");
    json_t *counts = ch4_golden_json(c, "rank_counts");
    for (size_t i = 0; i < 2; i++) {
        want = json_number_value(json_array_get(counts, i));
        got = (double)x->r.rank[i];
        ch4_golden_check_values(c, &got, &want, 1, 0, 0, "rank_counts.%zu", i);
    }
    want = json_number_value(json_array_get(counts, 2)) + json_number_value(json_array_get(counts, 3));
    got = (double)(x->r.rank[2] + x->r.rank[3]);
    ch4_golden_check_values(c, &got, &want, 1, 0, 0, "rank_counts.2+3");
    return CH4_OK;
}

ch4_status ch4_golden_animate(ch4_golden_case *c, ch4_err *err)
{
    animate_case x = {0};
    ch4_status st = load_animate(c, &x, err);
    if (st == CH4_OK)
        st = ch4_animate_window(&x.r, &x.in, &x.opt, true, c->pool, err);
    if (st == CH4_OK)
        st = check_tracks(c, &x, err);
    if (st == CH4_OK)
        st = check_motion(c, &x, err);
    ch4_animate_result_fini(&x.r);
    ch4_mesh_graph_fini(&x.g);
    return st;
}
