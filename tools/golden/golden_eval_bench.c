/* Section actionbench: whole clips from files, with their draws and transforms, and the summary over a folder of clips. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "golden_eval.h"
#include "tools/eval/bench_score.h"

static ch4_bench_options options_of(const ch4_golden_case *c)
{
    ch4_bench_options o = ch4_bench_defaults();
    o.n_icp = ch4_golden_int_or(c, "args.n_pts_icp", o.n_icp);
    o.n_point = ch4_golden_int_or(c, "args.n_pts_chamfer", o.n_point);
    o.seed = (uint32_t)ch4_golden_int_or(c, "args.seed", o.seed);
    return o;
}

static ch4_status load_clip(const ch4_golden_case *c, const char *uid, ch4_bench_truth *truth, ch4_bench_meshes *meshes, ch4_err *err)
{
    char gt[4096], pred[4096];
    snprintf(gt, sizeof gt, "%s/actionbench/gt/%s", c->dir, uid);
    snprintf(pred, sizeof pred, "%s/actionbench/pred/%s", c->dir, uid);
    *meshes = (ch4_bench_meshes){0};
    ch4_status st = ch4_bench_truth_load(truth, gt, err);
    return st == CH4_OK ? ch4_bench_meshes_load(meshes, pred, truth->n_frames, err) : st;
}

static void as_doubles(double *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i];
}

static void check_draws(ch4_golden_case *c, const ch4_bench_trace *t, double *scratch, int64_t *indices, int64_t frames, int64_t n)
{
    const char *name = ch4_golden_eval_name(c);
    as_doubles(scratch, t->sampled, frames * n * 3);
    ch4_golden_check_close(c, scratch, frames * n * 3, 1e-6, 0, "%s.sampled", name);
    as_doubles(scratch, t->sampled_sync, frames * n * 3);
    ch4_golden_check_close(c, scratch, frames * n * 3, 1e-6, 0, "%s.sampled_sync", name);
    as_doubles(scratch, t->sync_bary, n * 3);
    ch4_golden_check_close(c, scratch, n * 3, 1e-6, 0, "%s.sync_bary", name);
    for (int64_t i = 0; i < n; i++)
        indices[i] = t->sync_face[i];
    ch4_golden_check_index(c, indices, n, NULL, 0, 0, "%s.sync_face", name);
}

static void matrix_of(double out[16], const ch4_affine *m)
{
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 4; k++)
            out[4 * r + k] = k == 3 ? r == 3 : r == 3 ? m->t[k] : m->A[3 * r + k];
}

static ch4_status recorded_transforms(ch4_golden_case *c, ch4_affine *out, int64_t frames, ch4_err *err)
{
    double *each = NULL, *first = NULL;
    int64_t a[3] = {0}, b[3] = {0};
    ch4_status st = ch4_golden_eval_f64(c, &each, a, 3, 4, err, "%s.icp_matrices_3d", ch4_golden_eval_name(c));
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &first, b, 3, 4, err, "%s.icp_matrix_4d", ch4_golden_eval_name(c));
    if (st == CH4_OK && (a[0] != frames || b[0] != 1 || a[1] != 4 || b[1] != 4))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: not one matrix a frame", ch4_golden_eval_name(c));
    for (int64_t f = 0; st == CH4_OK && f <= frames; f++) {
        const double *m = f < frames ? each + 16 * f : first;
        for (int i = 0; i < 9; i++)
            out[f].A[i] = m[4 * (i / 3) + i % 3];
        memcpy(out[f].t, m + 12, sizeof out[f].t);
    }
    return st;
}

static ch4_status score_three_ways(ch4_golden_case *c, const ch4_bench_meshes *meshes, const ch4_bench_truth *truth, ch4_bench_trace *t, ch4_err *err)
{
    ch4_bench_options o = options_of(c);
    ch4_bench_score s;
    ch4_affine *given;
    int64_t frames = truth->n_frames;
    double matrix[16];
    ch4_status st = ch4_golden_alloc(c, &given, (size_t)frames + 1, sizeof *given, err);
    if (st == CH4_OK)
        st = recorded_transforms(c, given, frames, err);
    if (st == CH4_OK)
        st = ch4_compute_bench_score(&s, meshes, truth, &o, t, c->pool, err);
    if (st != CH4_OK)
        return st;
    ch4_golden_expect(c, s.cd_3d, ch4_golden_eval_tol(c, "cd_3d", 3e-4), "cd_3d");
    ch4_golden_expect(c, s.cd_4d, ch4_golden_eval_tol(c, "cd_4d", 3e-4), "cd_4d");
    ch4_golden_expect(c, s.cd_motion, ch4_golden_eval_tol(c, "cd_motion", 6e-4), "cd_motion");
    for (int64_t f = 0; f < frames; f++) {
        double want[16];
        matrix_of(matrix, &t->frame[f]);
        matrix_of(want, &given[f]);
        ch4_golden_check_values(c, matrix, want, 16, ch4_golden_eval_tol(c, "icp_matrices", 3e-3), 0, "icp_matrices_3d of frame %lld", (long long)f);
    }
    ch4_bench_trace with = {.given = given};
    st = ch4_compute_bench_score(&s, meshes, truth, &o, &with, c->pool, err);
    if (st != CH4_OK)
        return st;
    const struct { const char *key, *tol; double value; } table[] = {{"cd_3d", "cd_3d_given_matrices", s.cd_3d}, {"cd_4d", "cd_4d_given_matrices", s.cd_4d},
                                                                    {"cd_motion", "cd_motion_given_matrices", s.cd_motion}};
    for (int i = 0; i < 3; i++)
        ch4_golden_expect(c, table[i].value, ch4_golden_eval_tol(c, table[i].tol, 1e-5), table[i].key);
    o.align = CH4_BENCH_NONE;
    st = ch4_compute_bench_score(&s, meshes, truth, &o, NULL, c->pool, err);
    if (st == CH4_OK) {
        ch4_golden_expect(c, s.cd_3d, ch4_golden_eval_tol(c, "cd_no_icp", 1e-6), "cd_no_icp");
        ch4_golden_expect(c, s.cd_4d, ch4_golden_eval_tol(c, "cd_no_icp", 1e-6), "cd_no_icp");
        ch4_golden_expect(c, s.cd_motion, ch4_golden_eval_tol(c, "cd_motion_no_icp", 1e-6), "cd_motion_no_icp");
    }
    return st;
}

static ch4_status check_clip(ch4_golden_case *c, ch4_err *err)
{
    ch4_bench_truth truth = {0};
    ch4_bench_meshes meshes = {0};
    ch4_bench_trace t = {0};
    int64_t n = options_of(c).n_point;
    double *scratch = NULL;
    int64_t *indices = NULL;
    ch4_status st = load_clip(c, ch4_golden_eval_name(c), &truth, &meshes, err);
    size_t all = (size_t)(truth.n_frames * n);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &t.sampled, all * 3, sizeof(float), err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &t.sampled_sync, all * 3, sizeof(float), err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &t.sync_face, (size_t)n, sizeof(int32_t), err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &t.sync_bary, (size_t)n * 3, sizeof(float), err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &t.frame, (size_t)truth.n_frames, sizeof *t.frame, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &scratch, all * 3, sizeof *scratch, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &indices, (size_t)n, sizeof *indices, err);
    if (st == CH4_OK)
        st = score_three_ways(c, &meshes, &truth, &t, err);
    if (st == CH4_OK)
        check_draws(c, &t, scratch, indices, truth.n_frames, n);
    ch4_bench_meshes_fini(&meshes);
    ch4_bench_truth_fini(&truth);
    return st;
}

/* Means over the clips that succeed; a truth without any prediction is not counted, as in the public driver. */
static ch4_status check_driver(ch4_golden_case *c, ch4_err *err)
{
    ch4_bench_options o = options_of(c);
    struct dirent **list = NULL;
    char path[4096];
    struct stat sb;
    double total = 0, good = 0, sum[3] = {0};
    snprintf(path, sizeof path, "%s/actionbench/gt", c->dir);
    int n = scandir(path, &list, NULL, alphasort);
    if (n < 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: cannot be read", path);
    for (int i = 0; i < n; i++) {
        ch4_bench_truth truth = {0};
        ch4_bench_meshes meshes = {0};
        ch4_bench_score s;
        snprintf(path, sizeof path, "%s/actionbench/pred/%s", c->dir, list[i]->d_name);
        if (list[i]->d_name[0] != '.' && stat(path, &sb) == 0) {
            total++;
            ch4_status st = load_clip(c, list[i]->d_name, &truth, &meshes, NULL);
            if (st == CH4_OK && ch4_bench_same_topology(NULL, &meshes) && ch4_compute_bench_score(&s, &meshes, &truth, &o, NULL, c->pool, NULL) == CH4_OK) {
                good++;
                sum[0] += s.cd_3d;
                sum[1] += s.cd_4d;
                sum[2] += s.cd_motion;
            }
            ch4_bench_meshes_fini(&meshes);
            ch4_bench_truth_fini(&truth);
        }
        free(list[i]);
    }
    free(list);
    ch4_golden_expect(c, total, 0, "n_total");
    ch4_golden_expect(c, good, 0, "n_success");
    ch4_golden_expect(c, total - good, 0, "n_failed");
    ch4_golden_expect(c, good / total, 1e-12, "success_rate");
    ch4_golden_expect(c, sum[0] / good, 3e-4, "cd_3d_mean");
    ch4_golden_expect(c, sum[1] / good, 3e-4, "cd_4d_mean");
    ch4_golden_expect(c, sum[2] / good, 6e-4, "cd_motion_mean");
    return CH4_OK;
}

ch4_status ch4_golden_eval_actionbench(ch4_golden_case *c, ch4_err *err)
{
    return c->io ? check_clip(c, err) : check_driver(c, err);
}
