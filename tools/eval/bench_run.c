#include "tools/eval/bench_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/eval/chamfer.h"
#include "tools/eval/eval_clip.h"
#include "tools/eval/eval_tracks.h"
#include "tools/eval/similarity.h"

const char *const ch4_bench_method_name[CH4_BENCH_METHODS] = {"ours", "oracle", "static", "rigid", "nearest_chained", "nearest_from_anchor"};

/* --- baselines on the true meshes ----------------------------------------------------------------------------------------------------------- */

static ch4_status rigid_vertices(float *out, const ch4_eval_truth *t, int64_t frame, ch4_err *err)
{
    int64_t n = 3 * t->n_vert;
    double *p = NULL;
    ch4_similarity s;
    ch4_status st = ch4_calloc(&p, (size_t)n, 2 * sizeof(*p), "rigid baseline", err);
    if (st) return st;
    for (int64_t i = 0; i < n; i++) p[i] = t->vert[i], p[n + i] = t->vert[frame * n + i];
    ch4_similarity_fit(&s, p, p + n, t->n_vert, false, false);
    ch4_similarity_apply(p, &s, p, t->n_vert);
    for (int64_t i = 0; i < n; i++) out[i] = (float)p[i];
    free(p);
    return CH4_OK;
}

/* vert f32[F,V,3] of a baseline. */
static ch4_status baseline_vertices(float *vert, const ch4_eval_truth *t, ch4_bench_method method, ch4_err *err)
{
    int64_t n = 3 * t->n_vert;
    ch4_status st = CH4_OK;
    memcpy(vert, t->vert, (size_t)n * sizeof(float));
    for (int64_t f = 1; !st && f < t->n_frames; f++) {
        const float *truth = t->vert + f * n, *before = vert + (method == CH4_BENCH_CHAINED ? (f - 1) * n : 0);
        if (method == CH4_BENCH_ORACLE) memcpy(vert + f * n, truth, (size_t)n * sizeof(float));
        else if (method == CH4_BENCH_STATIC) memcpy(vert + f * n, vert, (size_t)n * sizeof(float));
        else if (method == CH4_BENCH_RIGID) st = rigid_vertices(vert + f * n, t, f, err);
        else st = ch4_eval_nearest_on_mesh(vert + f * n, NULL, NULL, before, t->n_vert, truth, t->face, t->n_face, NULL, err);
    }
    return st;
}

static ch4_status mesh_baselines(ch4_bench_row *row, const char *folder, const ch4_bench_truth *truth, ch4_bench_options options, ch4_pool *pool, ch4_err *err)
{
    ch4_eval_truth t;
    float *vert = NULL;
    options.align = CH4_BENCH_NONE;
    ch4_status st = ch4_eval_truth_open(&t, folder, err);
    if (st) return st;
    if (t.n_frames < truth->n_frames)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: gt.safetensors has %lld frames, surfaces.npy %lld", folder, (long long)t.n_frames, (long long)truth->n_frames);
    if (!st) st = ch4_calloc(&vert, (size_t)t.n_frames * (size_t)t.n_vert, 3 * sizeof(float), "baseline", err);
    for (int m = CH4_BENCH_ORACLE; !st && m < CH4_BENCH_METHODS; m++) {
        ch4_bench_meshes meshes = {0};
        st = baseline_vertices(vert, &t, (ch4_bench_method)m, err);
        if (!st) st = ch4_bench_meshes_of(&meshes, vert, t.n_frames, t.n_vert, t.face, t.n_face, err);
        if (!st) st = ch4_compute_bench_score(&row->score[m], &meshes, truth, &options, NULL, pool, err);
        row->has[m] = !st;
        ch4_bench_meshes_fini(&meshes);
    }
    free(vert);
    ch4_eval_truth_close(&t);
    return st;
}

/* --- baselines on the true points ------------------------------------------------------------------------------------------------------------ */

static ch4_status cloud_baseline(ch4_bench_score *out, const ch4_bench_truth *t, bool chained, const ch4_bench_options *o, ch4_pool *pool, ch4_err *err)
{
    int64_t n = t->n_point;
    float *path = NULL;
    int32_t *near = NULL;
    *out = (ch4_bench_score){.nc_gt = NAN, .nc_signed = NAN, .nc_mesh = NAN, .floor = NAN};
    ch4_status st = ch4_calloc(&path, (size_t)(n * t->n_frames), 3 * sizeof(float), "baseline", err);
    if (!st) st = ch4_calloc(&near, (size_t)n, sizeof(*near), "baseline", err);
    if (!st) memcpy(path, t->point, (size_t)n * 3 * sizeof(float));
    for (int64_t f = 0; !st && f < t->n_frames; f++) {
        const float *truth = t->point + 3 * f * n;
        float *at = path + 3 * f * n;
        double cd = 0;
        if (f && !chained) memcpy(at, path, (size_t)n * 3 * sizeof(float));
        if (f && chained) {
            st = ch4_cloud_distances(NULL, near, at - 3 * n, n, truth, n, pool, err);
            for (int64_t i = 0; !st && i < n; i++) memcpy(at + 3 * i, truth + 3 * (int64_t)near[i], 3 * sizeof(float));
        }
        if (!st) st = ch4_chamfer(&cd, at, n, truth, n, CH4_CHAMFER_QUERIES, o->seed, pool, err);
        out->cd_3d += cd / (double)t->n_frames;
    }
    out->cd_4d = out->cd_3d;
    if (!st) st = ch4_chamfer_motion(&out->cd_motion, NULL, path, n, t->point, n, t->n_frames, pool, err);
    free(path);
    free(near);
    return st;
}

static ch4_status baselines(ch4_bench_row *row, const char *folder, bool has_meshes, const ch4_bench_truth *truth, const ch4_bench_options *o, ch4_pool *pool,
                            ch4_err *err)
{
    if (has_meshes) return mesh_baselines(row, folder, truth, *o, pool, err);
    ch4_status st = cloud_baseline(&row->score[CH4_BENCH_STATIC], truth, false, o, pool, err);
    row->has[CH4_BENCH_STATIC] = !st;
    if (!st) st = cloud_baseline(&row->score[CH4_BENCH_CHAINED], truth, true, o, pool, err);
    row->has[CH4_BENCH_CHAINED] = row->has[CH4_BENCH_STATIC] && !st;
    return st;
}

/* --- clips -------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status score_result(ch4_bench_row *row, const char *folder, const ch4_bench_truth *truth, const ch4_bench_run_options *options,
                               const ch4_bench_options *o, ch4_pool *pool, ch4_err *err)
{
    ch4_bench_meshes meshes;
    int64_t where;
    ch4_status st = ch4_bench_meshes_load(&meshes, folder, truth->n_frames, err);
    if (!st && !options->allow_topology && !ch4_bench_same_topology(&where, &meshes))
        st = ch4_err_set(err, CH4_EFORMAT, "the faces of frame %lld are not those of frame 0 (%lld and %lld faces)", (long long)where,
                         (long long)meshes.frame[where].n_face, (long long)meshes.frame[0].n_face);
    int64_t n = truth->n_frames;
    if (!st) st = ch4_calloc(&row->frame_cd, (size_t)n, 3 * sizeof(double), "curves", err);
    for (int64_t i = 0; !st && i < 3 * n; i++) row->frame_cd[i] = NAN;
    ch4_bench_trace trace = {.frame_cd_3d = row->frame_cd, .frame_cd_4d = row->frame_cd + n, .frame_cd_motion = row->frame_cd + 2 * n};
    if (!st) st = ch4_compute_bench_score(&row->score[CH4_BENCH_OURS], &meshes, truth, o, &trace, pool, err);
    row->has[CH4_BENCH_OURS] = !st;
    ch4_bench_meshes_fini(&meshes);
    return st;
}

static void score_clip(ch4_bench_row *row, const ch4_eval_pair *pair, const ch4_bench_run_options *options, ch4_pool *pool)
{
    ch4_bench_truth truth;
    ch4_err err = {0};
    char path[4096];
    *row = (ch4_bench_row){.name = pair->name, .missing = !pair->result};
    snprintf(path, sizeof(path), "%s/gt.safetensors", pair->truth);
    bool has_meshes = access(path, R_OK) == 0;
    ch4_bench_options o = options->score;
    ch4_status st = ch4_bench_truth_load(&truth, pair->truth, &err);
    if (!st) {
        if (options->automatic) o.align = has_meshes ? CH4_BENCH_NONE : CH4_BENCH_PUBLIC;
        if (o.n_point == 0) o.n_point = ch4_min_i64(truth.n_point, 100000);
        row->n_frames = truth.n_frames, row->n_point = o.n_point, row->align = o.align;
        st = baselines(row, pair->truth, has_meshes, &truth, &o, pool, &err);
    }
    if (!st && pair->result) st = score_result(row, pair->result, &truth, options, &o, pool, &err);
    if (!st && !pair->result) st = ch4_err_set(&err, CH4_ENOENT, "no result in the given folders");
    row->status = st;
    snprintf(row->reason, sizeof(row->reason), "%s", st ? err.msg : "");
    ch4_bench_truth_fini(&truth);
}

typedef struct job {
    ch4_bench_row *row;
    const ch4_eval_pairs *pairs;
    const ch4_bench_run_options *options;
    int64_t done;
} job;

static void job_clip(void *ctx, int64_t i, int worker)
{
    (void)worker;
    job *j = ctx;
    score_clip(&j->row[i], &j->pairs->pair[i], j->options, NULL);
    int64_t done = __atomic_add_fetch(&j->done, 1, __ATOMIC_RELAXED);
    if (j->options->progress) fprintf(stderr, "%lld/%lld %s\n", (long long)done, (long long)j->pairs->n, j->pairs->pair[i].name);
}

void ch4_bench_run(ch4_bench_row *row, const ch4_eval_pairs *pairs, const ch4_bench_run_options *options, ch4_pool *pool)
{
    job j = {row, pairs, options, 0};
    if (pairs->n >= ch4_pool_threads(pool)) ch4_pool_run(pool, pairs->n, job_clip, &j);
    else
        for (int64_t i = 0; i < pairs->n; i++) score_clip(&row[i], &pairs->pair[i], options, pool);
}

void ch4_bench_rows_fini(ch4_bench_row *row, int64_t n)
{
    for (int64_t i = 0; row && i < n; i++) {
        free(row[i].frame_cd);
        row[i].frame_cd = NULL;
    }
}

double ch4_bench_mean(const ch4_bench_row *row, int64_t n, ch4_bench_method method, size_t offset, bool failed_as_static)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        ch4_bench_method m = failed_as_static && !row[i].has[method] ? CH4_BENCH_STATIC : method;
        double x = row[i].has[m] ? *(const double *)(const void *)((const char *)&row[i].score[m] + offset) : (double)NAN;
        if (isnan(x)) continue;
        sum += x;
        count++;
    }
    return count ? sum / (double)count : NAN;
}
