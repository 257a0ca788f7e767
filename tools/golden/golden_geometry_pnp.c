/* Kind pnp: robust pose, and its three solvers alone, on recorded matches. One file holds many cases; what is compared are the
 * bars: how many are solved, how far the medians lie from the peer's, how near the solvers come to the oracle. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "stages/pose/pnp.h"
#include "stages/pose/pnp_minimal.h"

enum { MAX_CATEGORIES = 64 };

typedef struct record { /* one case of the file */
    json_t *json;
    const char *category, *expect;
    ch4_pairs pairs;
    const uint8_t *inlier_truth;
    ch4_intrinsics k;
    ch4_rigid truth, oracle, lm_start;
    bool has_truth, has_oracle, has_lm_start;
    double outliers;
} record;

typedef struct file {
    record *records;
    int64_t count;
    uint8_t *mask, *mask_again;
} file;

static bool read_rigid(ch4_rigid *out, const double *R, const double *t, int64_t i)
{
    memcpy(out->R, R + 9 * i, sizeof out->R);
    memcpy(out->t, t + 3 * i, sizeof out->t);
    double sum = 0; /* not finite if one of them is not */
    for (int k = 0; k < 9; k++)
        sum += out->R[k];
    return isfinite(sum + out->t[0] + out->t[1] + out->t[2]);
}

static ch4_status f64(ch4_golden_case *c, const double **out, int64_t count, const char *name, ch4_err *err)
{
    ch4_tensor t;
    ch4_status st = ch4_golden_tensor(c, &t, CH4_DTYPE_F64, err, "%s", name);
    if (st == CH4_OK && ch4_tensor_count(&t) != count)
        st = ch4_err_set(err, CH4_EFORMAT, "%s has %" PRId64 " numbers, not %" PRId64, name, ch4_tensor_count(&t), count);
    *out = t.data;
    return st;
}

typedef struct tensors {
    const double *object, *image, *K, *truth_R, *truth_t, *oracle_R, *oracle_t, *lm_R, *lm_t, *epnp_R, *epnp_t;
    const int64_t *offset;
    const uint8_t *inlier;
} tensors;

static ch4_status load_tensors(ch4_golden_case *c, tensors *x, int64_t n, ch4_err *err)
{
    ch4_tensor t, mask;
    ch4_status st = ch4_golden_tensor(c, &t, CH4_DTYPE_I64, err, "offset");
    if (st != CH4_OK)
        return st;
    x->offset = t.data;
    if (ch4_tensor_count(&t) != n + 1 || x->offset[0] != 0)
        return ch4_err_set(err, CH4_EFORMAT, "offset does not have one entry per case and one more");
    for (int64_t i = 0; i < n; i++)
        if (x->offset[i + 1] < x->offset[i])
            return ch4_err_set(err, CH4_EFORMAT, "offset falls at case %" PRId64, i);
    int64_t total = x->offset[n];
    if ((st = f64(c, &x->object, 3 * total, "object", err)) || (st = f64(c, &x->image, 2 * total, "image", err)) ||
        (st = f64(c, &x->K, 9 * n, "K", err)) || (st = f64(c, &x->truth_R, 9 * n, "truth_R", err)) ||
        (st = f64(c, &x->truth_t, 3 * n, "truth_t", err)) || (st = f64(c, &x->oracle_R, 9 * n, "oracle_R", err)) ||
        (st = f64(c, &x->oracle_t, 3 * n, "oracle_t", err)) || (st = f64(c, &x->lm_R, 9 * n, "lm_start_R", err)) ||
        (st = f64(c, &x->lm_t, 3 * n, "lm_start_t", err)) || (st = f64(c, &x->epnp_R, 9 * n, "cv_epnp_all_R", err)) ||
        (st = f64(c, &x->epnp_t, 3 * n, "cv_epnp_all_t", err)) || (st = ch4_golden_raw(c, &mask, err, "inlier_truth")))
        return st;
    if (mask.dtype != CH4_DTYPE_U8 || ch4_tensor_count(&mask) != total)
        return ch4_err_set(err, CH4_EFORMAT, "inlier_truth is not one byte per pair");
    x->inlier = mask.data;
    return CH4_OK;
}

static ch4_status load(ch4_golden_case *c, file *f, ch4_err *err)
{
    json_t *cases = ch4_golden_json(c, "cases");
    int64_t largest = 0;
    tensors x;
    f->count = (int64_t)json_array_size(cases);
    ch4_status st = load_tensors(c, &x, f->count, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &f->records, (size_t)f->count, sizeof *f->records, err);
    for (int64_t i = 0; st == CH4_OK && i < f->count; i++) {
        record *r = &f->records[i];
        r->json = json_array_get(cases, (size_t)i);
        r->category = json_string_value(json_object_get(r->json, "category"));
        r->expect = json_string_value(json_object_get(r->json, "expect"));
        if (!r->category || !r->expect)
            return ch4_err_set(err, CH4_EFORMAT, "case %" PRId64 " has no category or no expectation", i);
        r->pairs = (ch4_pairs){.object = x.object + 3 * x.offset[i], .image = x.image + 2 * x.offset[i], .n = x.offset[i + 1] - x.offset[i]};
        r->inlier_truth = x.inlier + x.offset[i];
        r->k = (ch4_intrinsics){.fx = x.K[9 * i], .fy = x.K[9 * i + 4], .cx = x.K[9 * i + 2], .cy = x.K[9 * i + 5]};
        r->has_truth = read_rigid(&r->truth, x.truth_R, x.truth_t, i);
        r->has_oracle = read_rigid(&r->oracle, x.oracle_R, x.oracle_t, i);
        r->has_lm_start = read_rigid(&r->lm_start, x.lm_R, x.lm_t, i);
        r->outliers = json_number_value(json_object_get(r->json, "outliers"));
        largest = ch4_max_i64(largest, r->pairs.n);
    }
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &f->mask, (size_t)largest, 1, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &f->mask_again, (size_t)largest, 1, err);
    return st;
}

static double trans_error(const ch4_rigid *a, const ch4_rigid *b)
{
    double d = 0, n = 0;
    for (int k = 0; k < 3; k++) {
        d += (a->t[k] - b->t[k]) * (a->t[k] - b->t[k]);
        n += b->t[k] * b->t[k];
    }
    return sqrt(d / n);
}

static bool is_ok(const ch4_pnp_result *r)
{
    return r->status == CH4_PNP_OK || r->status == CH4_PNP_OK_FALLBACK;
}

static double number(const record *r, const char *key)
{
    json_t *v = json_object_get(r->json, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static double peer(const record *r, const char *which, const char *key)
{
    json_t *v = json_object_get(json_object_get(r->json, which), key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool within(const record *r, const ch4_rigid *pose)
{
    return ch4_rotation_angle_deg(pose->R, r->truth.R) <= number(r, "rot_tol_deg") && trans_error(pose, &r->truth) <= number(r, "trans_tol_rel");
}

static bool category_is(const record *r, const char *name)
{
    return strcmp(r->category, name) == 0;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int64_t n)
{
    if (n == 0)
        return NAN;
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

/* --- the whole robust solver ------------------------------------------------------------------------------------------------ */

/* Rule 7 of an OK status: finite, orthonormal, every reported inlier in front and within the threshold. */
static bool holds_ok(const record *r, const ch4_pnp_result *res, const uint8_t *mask, double threshold)
{
    int64_t count = 0;
    for (int64_t i = 0; i < r->pairs.n; i++) {
        double y[3], uv[2];
        if (!mask[i])
            continue;
        count++;
        ch4_rigid_apply(y, &res->pose, r->pairs.object + 3 * i);
        if (!ch4_project(uv, r->k, y) || !(hypot(uv[0] - r->pairs.image[2 * i], uv[1] - r->pairs.image[2 * i + 1]) <= threshold * (1 + 1e-9)))
            return false;
    }
    return count == res->inliers && ch4_rigid_valid(&res->pose);
}

static bool meets_expectation(const record *r, const ch4_pnp_result *res)
{
    if (strcmp(r->expect, "degenerate") == 0)
        return !is_ok(res);
    if (strcmp(r->expect, "too_few") == 0)
        return res->status == CH4_PNP_TOO_FEW;
    if (strcmp(r->expect, "few_inliers") == 0)
        return !is_ok(res) || (double)res->inliers <= number(r, "max_inliers_if_ok");
    return true; /* finite, no_negative_depth: rule 7 says it */
}

typedef struct totals {
    int64_t pose, solved, peer_solved, must, must_missed, must60, must60_missed, broken, unexpected, different, same_set;
    double worst_rot, worst_trans; /* from the oracle where the inlier sets agree */
    const char *name[MAX_CATEGORIES];
    int64_t cases[MAX_CATEGORIES], got[MAX_CATEGORIES], peers[MAX_CATEGORIES];
    int categories;
} totals;

static int category_index(totals *t, const char *name)
{
    for (int i = 0; i < t->categories; i++)
        if (strcmp(t->name[i], name) == 0)
            return i;
    if (t->categories == MAX_CATEGORIES)
        return MAX_CATEGORIES - 1;
    t->name[t->categories] = name;
    return t->categories++;
}

static void score(totals *t, const record *r, const ch4_pnp_result *res, const uint8_t *mask)
{
    int cat = category_index(t, r->category);
    bool solved = is_ok(res) && within(r, &res->pose), must = json_is_true(json_object_get(r->json, "must_solve"));
    bool peer_solved = json_is_true(json_object_get(r->json, "cv_best_solved"));
    t->pose++;
    t->cases[cat]++;
    t->solved += solved;
    t->got[cat] += solved;
    t->peer_solved += peer_solved;
    t->peers[cat] += peer_solved;
    if (must && r->outliers < 0.6 - 1e-9) {
        t->must++;
        t->must_missed += !solved;
    } else if (must) {
        t->must60++;
        t->must60_missed += !solved;
    }
    if (is_ok(res) && r->has_oracle && memcmp(mask, r->inlier_truth, (size_t)r->pairs.n) == 0) {
        t->same_set++;
        t->worst_rot = fmax(t->worst_rot, ch4_rotation_angle_deg(res->pose.R, r->oracle.R));
        t->worst_trans = fmax(t->worst_trans, trans_error(&res->pose, &r->oracle));
    }
}

static ch4_status run_robust(ch4_golden_case *c, file *f, totals *t, const ch4_pnp_options *opt, double *core, int64_t *n_core, ch4_err *err)
{
    for (int64_t i = 0; i < f->count; i++) {
        const record *r = &f->records[i];
        ch4_pnp_result res, again;
        ch4_status st = ch4_pnp_solve(&res, f->mask, r->pairs.object, r->pairs.image, r->pairs.n, r->k, opt, err);
        if (st == CH4_OK)
            st = ch4_pnp_solve(&again, f->mask_again, r->pairs.object, r->pairs.image, r->pairs.n, r->k, opt, err);
        if (st != CH4_OK)
            return ch4_err_wrap(err, st, "case %" PRId64, i);
        t->different += memcmp(&res.pose, &again.pose, sizeof res.pose) != 0 || res.status != again.status ||
                        memcmp(f->mask, f->mask_again, (size_t)r->pairs.n) != 0;
        bool broken = is_ok(&res) && !holds_ok(r, &res, f->mask, opt->threshold_px);
        t->broken += broken;
        if (strcmp(r->expect, "pose") != 0) {
            bool met = meets_expectation(r, &res);
            t->unexpected += !met;
            if (!met)
                printf("%-36s case %" PRId64 " (%s, expects %s): %s, %" PRId64 " inliers\n", c->label, i, r->category, r->expect,
                       ch4_pnp_status_name(res.status), res.inliers);
            continue;
        }
        score(t, r, &res, f->mask);
        if (core && !c->quiet && !(is_ok(&res) && within(r, &res.pose)))
            printf("%-36s case %" PRId64 " (%s, n %" PRId64 ", outliers %g): not solved: %s, %" PRId64 " inliers, %d samples\n", c->label, i,
                   r->category, r->pairs.n, r->outliers, ch4_pnp_status_name(res.status), res.inliers, res.samples);
        if (core && category_is(r, "core"))
            core[(*n_core)++] = is_ok(&res) ? ch4_rotation_angle_deg(res.pose.R, r->truth.R) : INFINITY;
    }
    return CH4_OK;
}

static ch4_status check_robust(ch4_golden_case *c, file *f, ch4_err *err)
{
    ch4_pnp_options opt = ch4_pnp_defaults();
    opt.threshold_px = ch4_golden_real_or(c, "solver.threshold_px", opt.threshold_px);
    opt.iterations = (int)ch4_golden_int_or(c, "solver.iterations", opt.iterations);
    opt.confidence = ch4_golden_real_or(c, "solver.confidence", opt.confidence);
    totals t = {0}, robust = {0};
    double *core, *core_peer;
    int64_t n_core = 0, n_peer = 0;
    ch4_status st = ch4_golden_alloc(c, &core, (size_t)f->count, sizeof *core, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &core_peer, (size_t)f->count, sizeof *core_peer, err);
    if (st == CH4_OK)
        st = run_robust(c, f, &t, &opt, core, &n_core, err);
    opt.cauchy_px = 4;
    if (st == CH4_OK)
        st = run_robust(c, f, &robust, &opt, NULL, NULL, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < f->count; i++)
        if (category_is(&f->records[i], "core") && isfinite(peer(&f->records[i], "cv_ransac_lm", "rot")))
            core_peer[n_peer++] = peer(&f->records[i], "cv_ransac_lm", "rot");
    for (int i = 0; i < t.categories && !c->quiet; i++)
        printf("%-36s solved %-20s %3" PRId64 " of %3" PRId64 ", peer %3" PRId64 ", with Cauchy step %3" PRId64 "\n", c->label, t.name[i],
               t.got[i], t.cases[i], t.peers[i], robust.got[category_index(&robust, t.name[i])]);
    ch4_golden_check_at_most(c, (double)(t.pose - t.solved), (double)(t.pose - t.peer_solved), "unsolved of %" PRId64 " poses", t.pose);
    ch4_golden_check_at_most(c, (double)(robust.pose - robust.solved), (double)(t.pose - t.peer_solved), "unsolved with Cauchy step");
    ch4_golden_check_at_most(c, (double)t.must_missed, 0, "unsolved of %" PRId64 " that must be", t.must);
    ch4_golden_check_at_most(c, (double)t.must60_missed, (double)(t.must60 / 10), "unsolved of %" PRId64 " musts at 60 %% outliers", t.must60);
    if (n_core)
        ch4_golden_check_at_most(c, median(core, n_core), 1.1 * median(core_peer, n_peer), "core: median rotation error (deg)");
    ch4_golden_check_at_most(c, t.worst_rot, 0.02, "rotation to oracle, %" PRId64 " equal inlier sets", t.same_set);
    ch4_golden_check_at_most(c, t.worst_trans, 1e-4, "translation to oracle, same cases");
    ch4_golden_check_at_most(c, (double)(t.broken + robust.broken), 0, "OK without keeping its promises");
    ch4_golden_check_at_most(c, (double)(t.unexpected + robust.unexpected), 0, "no-pose cases not as expected");
    ch4_golden_check_at_most(c, (double)(t.different + robust.different), 0, "second run differs");
    return CH4_OK;
}

/* --- the solvers alone ------------------------------------------------------------------------------------------------------ */

static void check_lm(ch4_golden_case *c, const file *f)
{
    double rot = 0, trans = 0;
    int64_t n = 0, most = 0;
    for (int64_t i = 0; i < f->count; i++) {
        const record *r = &f->records[i];
        if (!r->has_lm_start || !r->has_oracle || !json_is_true(json_object_get(r->json, "lm_test")))
            continue;
        ch4_rigid pose = r->lm_start;
        int steps = ch4_pnp_refine(&pose, &r->pairs, r->k, &(ch4_lm_options){.max_steps = 20});
        n++;
        most = ch4_max_i64(most, steps);
        rot = fmax(rot, ch4_rotation_angle_deg(pose.R, r->oracle.R));
        trans = fmax(trans, trans_error(&pose, &r->oracle));
    }
    if (n == 0)
        return;
    ch4_golden_check_at_most(c, rot, 1e-4, "LM alone, %" PRId64 " cases: rotation to oracle (deg)", n);
    ch4_golden_check_at_most(c, trans, 1e-6, "LM alone: translation to oracle");
    ch4_golden_check_at_most(c, (double)most, 20, "LM alone: accepted steps");
}

static void check_sqpnp(ch4_golden_case *c, const file *f)
{
    int64_t n = 0;
    double worst = 0; /* share of the tolerance */
    for (int64_t i = 0; i < f->count; i++) {
        const record *r = &f->records[i];
        double want = number(r, "cv_sqpnp_cost"), cost = NAN;
        ch4_rigid pose;
        if (!isfinite(want) || category_is(r, "vanishing") || strcmp(r->expect, "pose") != 0)
            continue;
        n++;
        bool ok = ch4_sqpnp(&pose, &cost, &r->pairs, r->k);
        double share = ok ? (cost - want) / (1e-6 * want + 1e-9) : INFINITY;
        if (share > 1)
            printf("%-36s case %" PRId64 " (%s, n %" PRId64 "): SQPnP %.9g, golden %.9g\n", c->label, i, r->category, r->pairs.n, cost, want);
        worst = fmax(worst, share);
    }
    if (n)
        ch4_golden_check_at_most(c, worst, 1, "SQPnP alone, %" PRId64 " cases: objective, share of 1e-6 rel + 1e-9", n);
}

static double rmse(const record *r, const ch4_rigid *pose)
{
    int64_t behind;
    double e = ch4_pairs_error(&r->pairs, r->k, pose, &behind);
    return behind ? INFINITY : sqrt(e);
}

static void check_epnp(ch4_golden_case *c, const file *f)
{
    int64_t n = 0, flat = 0, flat_missed = 0;
    double worst = -INFINITY, to_oracle = 0;
    for (int64_t i = 0; i < f->count; i++) {
        const record *r = &f->records[i];
        bool core = category_is(r, "core"), planar = category_is(r, "planar") || begins(r->category, "near_planar");
        ch4_rigid pose;
        if (r->outliers > 0 || (!core && !planar))
            continue;
        bool ok = ch4_epnp(&pose, &r->pairs, r->k);
        if (planar) {
            flat++;
            bool solved = ok && within(r, &pose);
            flat_missed += !solved;
            if (!solved && !c->quiet)
                printf("%-36s case %" PRId64 " (%s, n %" PRId64 "): EPnP alone is off by %.3g deg\n", c->label, i, r->category, r->pairs.n,
                       ok ? ch4_rotation_angle_deg(pose.R, r->truth.R) : NAN);
            continue;
        }
        n++;
        double limit = 1.1 * peer(r, "cv_epnp_all", "rmse") + 0.1;
        worst = fmax(worst, ok ? rmse(r, &pose) / limit : INFINITY);
        ch4_pnp_refine(&pose, &r->pairs, r->k, &(ch4_lm_options){.max_steps = 20});
        to_oracle = fmax(to_oracle, ok ? ch4_rotation_angle_deg(pose.R, r->oracle.R) : INFINITY);
    }
    if (n) {
        ch4_golden_check_at_most(c, worst, 1, "EPnP alone, %" PRId64 " core: RMSE, share of 1.1 peer + 0.1 px", n);
        ch4_golden_check_at_most(c, to_oracle, 1e-4, "EPnP then LM: rotation to oracle (deg)");
    }
    if (flat)
        ch4_golden_check_at_most(c, (double)flat_missed, (double)((flat + 17) / 18), "EPnP alone: unsolved of %" PRId64 " flat cases", flat);
}

ch4_status ch4_golden_pnp(ch4_golden_case *c, ch4_err *err)
{
    file f = {0};
    ch4_status st = load(c, &f, err);
    if (st != CH4_OK)
        return st;
    st = check_robust(c, &f, err);
    if (st != CH4_OK)
        return st;
    check_lm(c, &f);
    check_sqpnp(c, &f);
    check_epnp(c, &f);
    return CH4_OK;
}
