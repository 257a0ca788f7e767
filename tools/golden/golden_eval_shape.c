/* Sections chamfer, icp and shape: Chamfer distances, ActionBench's alignment, normal consistency, F-score and IoU. */
#include <math.h>
#include <string.h>

#include "golden_eval.h"
#include "tools/eval/chamfer.h"
#include "tools/eval/gradient_icp.h"

typedef struct cloud_pair {
    float *pred, *gt;
    int64_t frames, n_pred, n_gt;
} cloud_pair;

static ch4_status load_pair(ch4_golden_case *c, cloud_pair *p, int rank, ch4_err *err)
{
    int64_t a[3] = {0}, b[3] = {0};
    const char *name = ch4_golden_eval_name(c);
    ch4_status st = ch4_golden_eval_f32(c, &p->pred, a, rank, 3, err, "%s.pred", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &p->gt, b, rank, 3, err, "%s.gt", name);
    if (st != CH4_OK)
        return st;
    p->n_pred = a[rank - 2];
    p->n_gt = b[rank - 2];
    p->frames = rank == 3 ? a[0] : 1;
    return rank == 3 && a[0] != b[0] ? ch4_err_set(err, CH4_EFORMAT, "%s: frames of pred and gt differ", name) : CH4_OK;
}

ch4_status ch4_golden_eval_chamfer(ch4_golden_case *c, ch4_err *err)
{
    cloud_pair p = {0};
    double cd = NAN;
    bool motion = ch4_golden_json(c, "expected.cd_motion") != NULL;
    ch4_status st = load_pair(c, &p, motion ? 3 : 2, err);
    if (st == CH4_OK && motion)
        st = ch4_chamfer_motion(&cd, NULL, p.pred, p.n_pred, p.gt, p.n_gt, p.frames, c->pool, err);
    else if (st == CH4_OK)
        st = ch4_chamfer(&cd, p.pred, p.n_pred, p.gt, p.n_gt, ch4_golden_int_or(c, "args.n", CH4_CHAMFER_QUERIES),
                         (uint32_t)ch4_golden_int_or(c, "args.seed", CH4_CHAMFER_SEED), c->pool, err);
    if (st != CH4_OK)
        return st;
    const char *key = motion ? "cd_motion" : "cd";
    ch4_golden_expect(c, cd, ch4_golden_eval_tol(c, key, 1e-6), key);
    return CH4_OK;
}

/* --- icp ---------------------------------------------------------------------------------------------------------------------- */

static void check_starts(ch4_golden_case *c)
{
    double R0[CH4_ICP_STARTS][9];
    for (int different = 0; different < 2; different++) {
        int unique = 0;
        ch4_icp_starts(R0, different);
        for (int i = 0; i < CH4_ICP_STARTS; i++) {
            bool seen = false;
            for (int j = 0; j < i; j++)
                seen = seen || memcmp(R0[i], R0[j], sizeof R0[i]) == 0;
            unique += !seen;
        }
        if (different)
            ch4_golden_check_true(c, unique == CH4_ICP_STARTS, "corrected starts all differ");
        else
            ch4_golden_expect(c, unique, 0, "n_unique");
    }
    ch4_icp_starts(R0, false);
    ch4_golden_expect(c, CH4_ICP_STARTS, 0, "n");
    ch4_golden_check_close(c, &R0[0][0], 9 * CH4_ICP_STARTS, ch4_golden_eval_tol(c, "matrix", 1e-6), 0, "canonical_rotations");
}

static void matrix_of(double out[16], const ch4_affine *m)
{
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 4; k++)
            out[4 * r + k] = k == 3 ? r == 3 : r == 3 ? m->t[k] : m->A[3 * r + k];
}

static ch4_status check_aligned(ch4_golden_case *c, const cloud_pair *p, const ch4_icp_result *r, ch4_err *err)
{
    const char *name = ch4_golden_eval_name(c);
    float *aligned;
    double *as_double, matrix[16], *truth, cd, off = 0;
    int64_t shape[2];
    ch4_status st = ch4_golden_alloc(c, &aligned, (size_t)p->n_pred * 3, sizeof *aligned, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &as_double, (size_t)p->n_pred * 3, sizeof *as_double, err);
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &truth, shape, 2, 4, err, "%s.true_matrix", name);
    if (st != CH4_OK)
        return st;
    ch4_affine_points(aligned, &r->transform, p->pred, p->n_pred);
    for (int64_t i = 0; i < 3 * p->n_pred; i++)
        as_double[i] = aligned[i];
    matrix_of(matrix, &r->transform);
    for (int i = 0; i < 16; i++)
        off = fmax(off, fabs(matrix[i] - truth[i]));
    double tol = ch4_golden_eval_tol(c, "matrix", 3e-3);
    ch4_golden_check_close(c, matrix, 16, tol, 0, "%s.matrix", name);
    ch4_golden_check_close(c, as_double, 3 * p->n_pred, 2 * tol, 0, "%s.aligned", name);
    ch4_golden_expect(c, off, tol, "max_abs_matrix_minus_true");
    st = ch4_chamfer(&cd, aligned, p->n_pred, p->gt, p->n_gt, 0, CH4_CHAMFER_SEED, c->pool, err);
    if (st == CH4_OK)
        ch4_golden_expect(c, cd, ch4_golden_eval_tol(c, "cd_after", 3e-4), "cd_after");
    return st;
}

ch4_status ch4_golden_eval_icp(ch4_golden_case *c, ch4_err *err)
{
    enum { FIRST = 10 };
    if (ch4_golden_json(c, "expected.n_unique")) {
        check_starts(c);
        return CH4_OK;
    }
    cloud_pair p = {0};
    ch4_icp_options o = ch4_icp_defaults();
    ch4_icp_result r;
    double *history = NULL, *want = NULL;
    int64_t shape[2] = {0};
    o.n_iter = (int)ch4_golden_int_or(c, "args.n_iter", o.n_iter);
    o.rate = ch4_golden_real_or(c, "args.lr", o.rate);
    ch4_status st = load_pair(c, &p, 2, err);
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &want, shape, 2, CH4_ICP_STARTS, err, "%s.loss_history", ch4_golden_eval_name(c));
    if (st == CH4_OK && (o.n_iter < FIRST || shape[0] != o.n_iter))
        st = ch4_err_set(err, CH4_EFORMAT, "loss_history has %lld rows for %d steps", (long long)shape[0], o.n_iter);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &history, (size_t)o.n_iter * CH4_ICP_STARTS, sizeof *history, err);
    if (st == CH4_OK)
        st = ch4_gradient_icp(&r, history, p.pred, p.n_pred, p.gt, p.n_gt, &o, c->pool, err);
    if (st != CH4_OK)
        return st;
    ch4_golden_check_values(c, history, want, FIRST * CH4_ICP_STARTS, ch4_golden_eval_tol(c, "loss_history[0:10]", 1e-5), 0, "loss_history[0:10]");
    double best = ch4_golden_real_or(c, "expected.best_loss", NAN);
    ch4_golden_expect(c, r.loss, fmax(1e-6, 0.005 * best), "best_loss");
    return check_aligned(c, &p, &r, err);
}

/* --- shape --------------------------------------------------------------------------------------------------------------------- */

typedef struct shape_case {
    cloud_pair p;
    float *pred_normal, *gt_normal;
    double *pred_distance, *gt_distance;
} shape_case;

static ch4_status score_shape(ch4_golden_case *c, shape_case *s, ch4_shape_score *score, double scale, ch4_err *err)
{
    const char *name = ch4_golden_eval_name(c);
    int64_t a[2] = {0}, b[2] = {0};
    ch4_status st = load_pair(c, &s->p, 2, err);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &s->pred_normal, a, 2, 3, err, "%s.pred_normals", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &s->gt_normal, b, 2, 3, err, "%s.gt_normals", name);
    if (st == CH4_OK && (a[0] != s->p.n_pred || b[0] != s->p.n_gt))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: not one normal a point", name);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &s->pred_distance, (size_t)s->p.n_pred, sizeof(double), err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &s->gt_distance, (size_t)s->p.n_gt, sizeof(double), err);
    for (int64_t i = 0; st == CH4_OK && i < 3 * s->p.n_pred; i++)
        s->p.pred[i] = (float)(s->p.pred[i] * scale);
    for (int64_t i = 0; st == CH4_OK && i < 3 * s->p.n_gt; i++)
        s->p.gt[i] = (float)(s->p.gt[i] * scale);
    if (st == CH4_OK)
        st = ch4_compute_shape_score(score, s->pred_distance, s->gt_distance, s->p.pred, s->pred_normal, s->p.n_pred, s->p.gt, s->gt_normal, s->p.n_gt,
                                     c->pool, err);
    return st;
}

static ch4_status check_normals(ch4_golden_case *c, ch4_err *err)
{
    shape_case s = {0};
    ch4_shape_score r;
    float *vert = NULL;
    int64_t v[2] = {0};
    ch4_tensor faces;
    double self = NAN, tol = ch4_golden_eval_tol(c, "", 2e-6);
    ch4_status st = score_shape(c, &s, &r, 1, err);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &vert, v, 2, 3, err, "%s.pred_verts", ch4_golden_eval_name(c));
    if (st == CH4_OK)
        st = ch4_golden_tensor(c, &faces, CH4_DTYPE_I32, err, "%s.faces", ch4_golden_eval_name(c));
    for (int64_t i = 0; st == CH4_OK && i < ch4_tensor_count(&faces); i++)
        if (((int32_t *)faces.data)[i] < 0 || ((int32_t *)faces.data)[i] >= v[0])
            st = ch4_err_set(err, CH4_EFORMAT, "face index out of range");
    if (st == CH4_OK)
        st = ch4_mesh_self_consistency(&self, vert, faces.data, ch4_tensor_count(&faces) / 3, err);
    if (st != CH4_OK)
        return st;
    double nc = (r.normal_accuracy + r.normal_completeness) / 2, nc_signed = (r.normal_accuracy_signed + r.normal_completeness_signed) / 2;
    ch4_golden_expect(c, r.completeness, tol, "onet.completeness");
    ch4_golden_expect(c, r.accuracy, tol, "onet.accuracy");
    ch4_golden_expect(c, r.normal_completeness, tol, "onet.normals completeness");
    ch4_golden_expect(c, r.normal_accuracy, tol, "onet.normals accuracy");
    ch4_golden_expect(c, nc, tol, "onet.normals");
    ch4_golden_expect(c, r.completeness2, tol, "onet.completeness2");
    ch4_golden_expect(c, r.accuracy2, tol, "onet.accuracy2");
    ch4_golden_expect(c, (r.completeness2 + r.accuracy2) / 2, tol, "onet.chamfer-L2");
    ch4_golden_expect(c, (r.completeness + r.accuracy) / 2, tol, "onet.chamfer-L1");
    ch4_golden_expect(c, r.completeness2 + r.accuracy2, tol, "p3d_chamfer_sq_sum");
    ch4_golden_expect(c, 2 - 2 * nc, tol, "p3d_normal_loss_abs");
    ch4_golden_expect(c, 2 - 2 * nc_signed, tol, "p3d_normal_loss_signed");
    ch4_golden_expect(c, nc, tol, "nc_abs");
    ch4_golden_expect(c, nc_signed, tol, "nc_signed");
    ch4_golden_expect(c, 1 - self, tol, "p3d_mesh_normal_consistency_loss");
    ch4_golden_expect(c, self, tol, "nc_intrinsic");
    return CH4_OK;
}

static ch4_status check_fscore(ch4_golden_case *c, ch4_err *err)
{
    shape_case s = {0};
    ch4_shape_score r;
    double tol = ch4_golden_eval_tol(c, "", 2e-6);
    ch4_status st = score_shape(c, &s, &r, ch4_golden_real_or(c, "args.points_scaled_by", 1), err);
    if (st != CH4_OK)
        return st;
    const struct { const char *key; double threshold; } table[] = {{"f-score", 0.01}, {"f-score-15", 0.015}, {"f-score-20", 0.02}};
    for (int i = 0; i < 3; i++)
        ch4_golden_expect(c, ch4_fscore(s.pred_distance, s.p.n_pred, s.gt_distance, s.p.n_gt, table[i].threshold), tol, table[i].key);
    ch4_golden_expect(c, (r.completeness + r.accuracy) / 2, tol, "chamfer-L1");
    ch4_golden_expect(c, (r.completeness2 + r.accuracy2) / 2, tol, "chamfer-L2");
    return CH4_OK;
}

static ch4_status check_iou(ch4_golden_case *c, ch4_err *err)
{
    uint8_t *a = NULL, *b = NULL;
    int64_t n[1] = {0}, m[1] = {0};
    ch4_status st = ch4_golden_eval_u8(c, &a, n, 1, -1, err, "%s.occ_a", ch4_golden_eval_name(c));
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &b, m, 1, -1, err, "%s.occ_b", ch4_golden_eval_name(c));
    if (st == CH4_OK && n[0] != m[0])
        st = ch4_err_set(err, CH4_EFORMAT, "occupancies of different sizes");
    if (st == CH4_OK)
        ch4_golden_expect(c, ch4_occupancy_iou(a, b, n[0]), ch4_golden_eval_tol(c, "", 1e-6), "iou");
    return st;
}

ch4_status ch4_golden_eval_shape(ch4_golden_case *c, ch4_err *err)
{
    if (ch4_golden_json(c, "expected.iou"))
        return check_iou(c, err);
    return ch4_golden_json(c, "expected.f-score") ? check_fscore(c, err) : check_normals(c, err);
}
