#include "stages/pose/pnp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "stages/pose/pnp_minimal.h"
#include "stages/pose/pose_linalg.h"

enum { SAMPLE = 5, LM_STEPS = 20, POLISH_ROUNDS = 3, FEW_PAIRS = 100 };

const char *ch4_pnp_status_name(ch4_pnp_status status)
{
    static const char *const name[] = {
#define X(id, text) [id] = (text),
        CH4_PNP_STATUS_LIST(X)
#undef X
    };
    return (unsigned)status < CH4_PNP_STATUS_COUNT ? name[status] : "unknown";
}

ch4_pnp_options ch4_pnp_defaults(void)
{
    return (ch4_pnp_options){.threshold_px = 8, .iterations = 400, .confidence = 0.999, .regates = 10};
}

/* Everything one solve works on: the finite pairs, their inlier masks, and a subset gathered from them. */
typedef struct solver {
    ch4_pairs all, sub; /* sub.object and sub.image are the gather buffers below */
    double *object, *image, *sub_object, *sub_image;
    int64_t *origin; /* index of a finite pair in the input */
    uint8_t *mask, *mask_new, *mask_try;
    ch4_intrinsics k;
    const ch4_pnp_options *opt;
} solver;

static void solver_fini(solver *s)
{
    free(s->object);
    free(s->image);
    free(s->sub_object);
    free(s->sub_image);
    free(s->origin);
    free(s->mask);
    free(s->mask_new);
    free(s->mask_try);
}

static ch4_status solver_init(solver *s, const double *object, const double *image, int64_t n, ch4_err *err)
{
    size_t m = (size_t)n;
    ch4_status st;
    if ((st = ch4_calloc(&s->object, 3 * m, sizeof(double), "pnp", err)) || (st = ch4_calloc(&s->image, 2 * m, sizeof(double), "pnp", err)) ||
        (st = ch4_calloc(&s->sub_object, 3 * m, sizeof(double), "pnp", err)) || (st = ch4_calloc(&s->sub_image, 2 * m, sizeof(double), "pnp", err)) ||
        (st = ch4_calloc(&s->origin, m, sizeof(int64_t), "pnp", err)) || (st = ch4_calloc(&s->mask, m, 1, "pnp", err)) ||
        (st = ch4_calloc(&s->mask_new, m, 1, "pnp", err)) || (st = ch4_calloc(&s->mask_try, m, 1, "pnp", err)))
        return st;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const double *x = object + 3 * i, *u = image + 2 * i;
        if (!isfinite(x[0]) || !isfinite(x[1]) || !isfinite(x[2]) || !isfinite(u[0]) || !isfinite(u[1]))
            continue;
        memcpy(s->object + 3 * kept, x, 3 * sizeof *x);
        memcpy(s->image + 2 * kept, u, 2 * sizeof *u);
        s->origin[kept++] = i;
    }
    s->all = (ch4_pairs){.object = s->object, .image = s->image, .n = kept};
    s->sub = (ch4_pairs){.object = s->sub_object, .image = s->sub_image};
    return CH4_OK;
}

static void gather(solver *s, const uint8_t *mask)
{
    int64_t m = 0;
    for (int64_t i = 0; i < s->all.n; i++) {
        if (!mask[i])
            continue;
        memcpy(s->sub_object + 3 * m, s->object + 3 * i, 3 * sizeof(double));
        memcpy(s->sub_image + 2 * m, s->image + 2 * i, 2 * sizeof(double));
        m++;
    }
    s->sub.n = m;
}

/* One point, a line of points, or all pixels on one spot: no pose follows from these. */
static bool degenerate(const ch4_pairs *p)
{
    double mean[5] = {0}, scatter[9] = {0}, w[3], largest = 0, spread = 0;
    for (int64_t i = 0; i < p->n; i++) {
        for (int c = 0; c < 3; c++) {
            mean[c] += p->object[3 * i + c] / (double)p->n;
            largest = fmax(largest, fabs(p->object[3 * i + c]));
        }
        for (int c = 0; c < 2; c++)
            mean[3 + c] += p->image[2 * i + c] / (double)p->n;
    }
    for (int64_t i = 0; i < p->n; i++) {
        double d[5];
        for (int c = 0; c < 5; c++)
            d[c] = (c < 3 ? p->object[3 * i + c] : p->image[2 * i + c - 3]) - mean[c];
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                scatter[3 * a + b] += d[a] * d[b];
        spread += d[3] * d[3] + d[4] * d[4];
    }
    if (!ch4_eig_sym(scatter, w, 3))
        return true;
    double point = 1e-9 * (1 + largest);
    return w[2] <= point * point || w[1] <= 1e-8 * w[2] || sqrt(spread / (double)p->n) < 0.5;
}

/* Marks the pairs within the threshold and in front; *sum receives their squared errors. */
static int64_t gate(uint8_t *mask, double *sum, const solver *s, const ch4_rigid *pose)
{
    double limit = s->opt->threshold_px * s->opt->threshold_px, total = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < s->all.n; i++) {
        double y[3], uv[2], d2 = INFINITY;
        ch4_rigid_apply(y, pose, s->object + 3 * i);
        if (ch4_project(uv, s->k, y)) {
            double dx = uv[0] - s->image[2 * i], dy = uv[1] - s->image[2 * i + 1];
            d2 = dx * dx + dy * dy;
        }
        mask[i] = d2 <= limit;
        if (mask[i]) {
            total += d2;
            count++;
        }
    }
    *sum = total;
    return count;
}

static int64_t consensus_needed(int64_t n)
{
    if (n < 10)
        return n < SAMPLE ? n : SAMPLE;
    return ch4_max_i64(6, (int64_t)ceil(0.05 * (double)n));
}

/* SAMPLE distinct indices below n, ascending draws without replacement. */
static void draw(int64_t *index, ch4_rng *rng, int64_t n)
{
    for (int i = 0; i < SAMPLE; i++) {
        bool again = true;
        while (again) {
            index[i] = ch4_rng_below(rng, (uint32_t)n);
            again = false;
            for (int j = 0; j < i; j++)
                again |= index[j] == index[i];
        }
    }
}

static int samples_needed(int64_t inliers, int64_t n, const ch4_pnp_options *opt)
{
    double clean = pow((double)inliers / (double)n, SAMPLE); /* probability that a sample has no outlier */
    if (clean >= 1)
        return 0;
    double need = ceil(log1p(-opt->confidence) / log1p(-clean)); /* log1p: clean may be below the spacing of doubles at 1 */
    return need < opt->iterations ? (int)need : opt->iterations;
}

/* Pose of a sample: EPnP, or of four or five pairs in all (where nothing is left to vote) the better of both solvers. */
static bool sample_pose(ch4_rigid *pose, const ch4_pairs *p, ch4_intrinsics k, bool both)
{
    bool have = ch4_epnp(pose, p, k);
    ch4_rigid other;
    if (both && ch4_sqpnp(&other, NULL, p, k) && (!have || ch4_pairs_better(p, k, &other, pose))) {
        *pose = other;
        have = true;
    }
    return have;
}

/* Replaces the pose by the one refined on its own inliers as long as that wins inliers: a sample of five noisy pairs rarely
 * reaches all of them. s->mask_new and *sum follow. */
static int64_t polish(solver *s, ch4_rigid *pose, int64_t count, double *sum)
{
    ch4_lm_options lm = {.max_steps = 8};
    for (int round = 0; round < POLISH_ROUNDS && count > SAMPLE; round++) {
        ch4_rigid next = *pose;
        double next_sum;
        gather(s, s->mask_new);
        ch4_pnp_refine(&next, &s->sub, s->k, &lm);
        int64_t next_count = gate(s->mask_try, &next_sum, s, &next);
        if (next_count < count || (next_count == count && next_sum >= *sum))
            break;
        *pose = next;
        *sum = next_sum;
        count = next_count;
        memcpy(s->mask_new, s->mask_try, (size_t)s->all.n);
    }
    return count;
}

/* What the search for a consensus has found: s->mask marks the best set. */
typedef struct search {
    int64_t best, best_raw; /* inliers of the best pose, and before polishing */
    double best_sum;
} search;

/* Most inliers wins, the smaller error among equals. */
static void consider(search *f, solver *s, ch4_rigid *pose)
{
    double sum;
    int64_t count = gate(s->mask_new, &sum, s, pose);
    if (2 * count < f->best_raw || count == 0) /* too far from the best to be worth polishing */
        return;
    f->best_raw = ch4_max_i64(f->best_raw, count);
    count = polish(s, pose, count, &sum);
    if (count > f->best || (count == f->best && sum < f->best_sum)) {
        f->best = count;
        f->best_sum = sum;
        memcpy(s->mask, s->mask_new, (size_t)s->all.n);
    }
}

static void pick(double *x, double *u, const solver *s, const int64_t *index, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        memcpy(x + 3 * i, s->object + 3 * index[i], 3 * sizeof *x);
        memcpy(u + 2 * i, s->image + 2 * index[i], 2 * sizeof *u);
    }
}

static int64_t ransac(solver *s, int *samples)
{
    int64_t n = s->all.n;
    int limit = n <= SAMPLE ? 1 : s->opt->iterations;
    search f = {0};
    ch4_rng rng = ch4_rng_at(s->opt->seed, s->opt->stream);
    for (*samples = 0; *samples < limit; ++*samples) {
        double x[3 * SAMPLE], u[2 * SAMPLE];
        int64_t index[SAMPLE] = {0, 1, 2, 3, 4};
        ch4_pairs p = {.object = x, .image = u, .n = ch4_min_i64(n, SAMPLE)};
        ch4_rigid pose;
        if (n > SAMPLE)
            draw(index, &rng, n);
        pick(x, u, s, index, p.n);
        if (!sample_pose(&pose, &p, s->k, n <= SAMPLE))
            continue;
        consider(&f, s, &pose);
        if (f.best > 0)
            limit = (int)ch4_min_i64(limit, samples_needed(f.best, n, s->opt));
    }
    return f.best;
}

/* A second search where the first found no consensus: of few pairs with many outliers (8 of 20 good), 400 samples of five hold a clean
 * one with probability 3/4 only. Samples of five again, each with one pair left out in turn; because four noisy pairs are explained by
 * chance more easily, the consensus must hold 0.3 n pairs and at least 7. Returns 0 if it does not. */
static int64_t ransac_leave_one_out(solver *s, int *samples)
{
    search f = {0};
    ch4_rng rng = ch4_rng_at(s->opt->seed, s->opt->stream);
    for (int i = 0; i < (s->opt->iterations + 3) / 4; i++, ++*samples) {
        int64_t index[SAMPLE];
        draw(index, &rng, s->all.n);
        for (int out = 0; out < SAMPLE; out++) {
            double x[3 * SAMPLE], u[2 * SAMPLE];
            int64_t kept[SAMPLE];
            ch4_rigid pose;
            for (int j = 0, m = 0; j < SAMPLE; j++)
                if (j != out)
                    kept[m++] = index[j];
            pick(x, u, s, kept, SAMPLE - 1);
            ch4_pairs p = {.object = x, .image = u, .n = SAMPLE - 1};
            if (ch4_epnp(&pose, &p, s->k))
                consider(&f, s, &pose);
        }
    }
    int64_t need = ch4_max_i64(7, (int64_t)ceil(0.3 * (double)s->all.n));
    return f.best >= need ? f.best : 0;
}

/* EPnP ends near infinity or behind: the paper's reason to ask SQPnP. */
static bool epnp_degenerate(const ch4_rigid *pose, const ch4_pairs *p)
{
    double mean[3] = {0}, rho = 0, y[3];
    for (int64_t i = 0; i < p->n; i++)
        for (int c = 0; c < 3; c++)
            mean[c] += p->object[3 * i + c] / (double)p->n;
    for (int64_t i = 0; i < p->n; i++)
        for (int c = 0; c < 3; c++)
            rho += (p->object[3 * i + c] - mean[c]) * (p->object[3 * i + c] - mean[c]) / (double)p->n;
    ch4_rigid_apply(y, pose, mean);
    return !ch4_rigid_valid(pose) || !(y[2] > 0) || y[0] * y[0] + y[1] * y[1] + y[2] * y[2] > 1e4 * rho;
}

/* Pose of the gathered pairs by both solvers; the one that explains them better. */
static bool consensus_pose(ch4_rigid *pose, bool *fallback, const solver *s)
{
    ch4_rigid a, b;
    bool have_a = ch4_epnp(&a, &s->sub, s->k) && !epnp_degenerate(&a, &s->sub), have_b = ch4_sqpnp(&b, NULL, &s->sub, s->k);
    *fallback = !have_a;
    if (!have_a && !have_b)
        return false;
    *pose = have_a && (!have_b || !ch4_pairs_better(&s->sub, s->k, &b, &a)) ? a : b;
    return true;
}

/* Refine, gate, repeat until the inlier set stays. Leaves the last set in s->mask and gathered. */
static int64_t refine_and_gate(solver *s, ch4_rigid *pose, double *sum)
{
    ch4_lm_options lm = {.max_steps = LM_STEPS};
    int64_t count = 0;
    for (int round = 0;; round++) {
        ch4_pnp_refine(pose, &s->sub, s->k, &lm);
        count = gate(s->mask_new, sum, s, pose);
        bool same = memcmp(s->mask, s->mask_new, (size_t)s->all.n) == 0;
        memcpy(s->mask, s->mask_new, (size_t)s->all.n);
        if (same || round >= s->opt->regates || count < 4)
            return count;
        gather(s, s->mask);
    }
}

static void solve(ch4_pnp_result *out, solver *s)
{
    int64_t need = consensus_needed(s->all.n), count;
    double sum = 0;
    bool fallback = false;
    out->status = CH4_PNP_TOO_FEW;
    if (s->all.n < 4)
        return;
    out->status = CH4_PNP_DEGENERATE;
    if (degenerate(&s->all))
        return;
    out->status = CH4_PNP_NO_CONSENSUS;
    if (ransac(s, &out->samples) < need && (s->all.n < 10 || s->all.n > FEW_PAIRS || ransac_leave_one_out(s, &out->samples) < need))
        return;
    gather(s, s->mask);
    if (degenerate(&s->sub)) {
        out->status = CH4_PNP_DEGENERATE;
        return;
    }
    ch4_rigid pose;
    if (!consensus_pose(&pose, &fallback, s))
        return;
    count = refine_and_gate(s, &pose, &sum);
    if (s->opt->cauchy_px > 0 && count >= need) {
        ch4_rigid robust = pose;
        double robust_sum;
        ch4_lm_options lm = {.max_steps = LM_STEPS, .cauchy_px = s->opt->cauchy_px};
        ch4_pnp_refine(&robust, &s->all, s->k, &lm);
        int64_t robust_count = gate(s->mask_new, &robust_sum, s, &robust);
        if (robust_count >= need) {
            pose = robust;
            count = robust_count;
            sum = robust_sum;
            memcpy(s->mask, s->mask_new, (size_t)s->all.n);
        }
    }
    if (count < need || !ch4_rigid_valid(&pose))
        return;
    out->status = fallback ? CH4_PNP_OK_FALLBACK : CH4_PNP_OK;
    out->pose = pose;
    out->inliers = count;
    out->rmse_px = sqrt(sum / (double)count);
}

ch4_status ch4_pnp_solve(ch4_pnp_result *out, uint8_t *inlier, const double *object, const double *image, int64_t n, ch4_intrinsics k,
                         const ch4_pnp_options *opt, ch4_err *err)
{
    solver s = {.k = k, .opt = opt};
    *out = (ch4_pnp_result){.status = CH4_PNP_TOO_FEW};
    if (n < 0 || n > UINT32_MAX || !(opt->threshold_px > 0) || opt->iterations < 1 || !(opt->confidence > 0 && opt->confidence < 1) ||
        opt->regates < 0 || !(opt->cauchy_px >= 0) || !(k.fx > 0) || !(k.fy > 0) || !isfinite(k.cx) || !isfinite(k.cy))
        return ch4_err_set(err, CH4_EINVAL, "pnp: option or camera matrix out of range");
    if (inlier)
        memset(inlier, 0, (size_t)n);
    ch4_status st = solver_init(&s, object, image, n, err);
    if (st == CH4_OK) {
        solve(out, &s);
        bool ok = out->status == CH4_PNP_OK || out->status == CH4_PNP_OK_FALLBACK;
        for (int64_t i = 0; ok && inlier && i < s.all.n; i++)
            inlier[s.origin[i]] = s.mask[i];
    }
    solver_fini(&s);
    return st;
}
