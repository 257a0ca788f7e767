#include "tools/eval/bench_baselines.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "tools/eval/chamfer.h"
#include "tools/eval/eval_tracks.h"
#include "tools/eval/similarity.h"

const char *const ch4_bench_method_name[CH4_BENCH_METHODS] = {
    "ours", "oracle", "static", "rigid", "nearest_chained", "nearest_from_anchor", "per_frame", "per_frame_quarters", "own_static", "own_nearest_chained",
    "own_surfaces", "frozen_first_window", "linear_drift",
};

/* --- on the true meshes ------------------------------------------------------------------------------------------------------------------------- */

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

/* Turns about y by k quarters. */
static void quarter_turn(float *out, const float *x, int64_t n_vert, int k)
{
    static const float COS[4] = {1, 0, -1, 0}, SIN[4] = {0, 1, 0, -1};
    for (int64_t i = 0; i < n_vert; i++) {
        float a = x[3 * i], b = x[3 * i + 2];
        out[3 * i] = COS[k] * a + SIN[k] * b;
        out[3 * i + 1] = x[3 * i + 1];
        out[3 * i + 2] = -SIN[k] * a + COS[k] * b;
    }
}

/* Windows share their first frame with the one before. */
static int64_t window_of(int64_t frame) { return frame ? (frame - 1) / (CH4_BENCH_WINDOW - 1) : 0; }

ch4_status ch4_bench_baseline_vertices(float *vert, const ch4_eval_truth *t, ch4_bench_method method, uint64_t seed, ch4_err *err)
{
    int64_t n = 3 * t->n_vert;
    size_t bytes = (size_t)n * sizeof(float);
    ch4_rng rng = ch4_rng_at(seed, 0);
    ch4_status st = CH4_OK;
    for (int64_t f = 0; !st && f < t->n_frames; f++) {
        const float *truth = t->vert + f * n, *before = vert + (method == CH4_BENCH_CHAINED && f ? (f - 1) * n : 0);
        float *now = vert + f * n;
        int64_t w = window_of(f);
        memcpy(now, truth, bytes);
        if (method == CH4_BENCH_QUARTERS) quarter_turn(now, truth, t->n_vert, (int)ch4_rng_below(&rng, 4));
        if (method == CH4_BENCH_FROZEN) memcpy(now, t->vert + (f - w * (CH4_BENCH_WINDOW - 1)) * n, bytes);
        for (int64_t i = 0; method == CH4_BENCH_DRIFT && i < t->n_vert; i++) now[3 * i] += 0.01f * (float)w;
        if (f == 0) continue;
        if (method == CH4_BENCH_STATIC) memcpy(now, t->vert, bytes);
        if (method == CH4_BENCH_RIGID) st = rigid_vertices(now, t, f, err);
        if (method == CH4_BENCH_CHAINED || method == CH4_BENCH_FROM_ANCHOR)
            st = ch4_eval_nearest_on_mesh(now, NULL, NULL, before, t->n_vert, truth, t->face, t->n_face, NULL, err);
    }
    return st;
}

/* --- from the result ---------------------------------------------------------------------------------------------------------------------------- */

/* Meshes of the surfaces; *there false if the run kept none. */
static ch4_status load_surfaces(ch4_bench_meshes *out, bool *there, const ch4_bench_meshes *result, const char *folder, ch4_err *err)
{
    char path[4096];
    *out = (ch4_bench_meshes){0};
    snprintf(path, sizeof(path), "%s/surfaces", folder);
    *there = access(path, F_OK) == 0;
    if (*there) return ch4_bench_meshes_load(out, path, result->n_frames, err);
    *there = !ch4_bench_same_topology(NULL, result);
    return *there ? ch4_bench_meshes_load(out, folder, result->n_frames, err) : CH4_OK;
}

/* Carries the vertices of frame 0 in out through the surfaces. */
static ch4_status chain_meshes(ch4_bench_meshes *out, const ch4_bench_meshes *surfaces, ch4_pool *pool, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (int64_t f = 1; !st && f < out->n_frames; f++) {
        const ch4_bench_mesh *s = &surfaces->frame[f];
        st = ch4_eval_nearest_on_mesh(out->frame[f].vert, NULL, NULL, out->frame[f - 1].vert, out->frame[f].n_vert, s->vert, s->face, s->n_face, pool, err);
    }
    return st;
}

static ch4_status chain_clouds(ch4_bench_meshes *out, bool *there, const char *folder, ch4_pool *pool, ch4_err *err)
{
    char path[4096];
    ch4_eval_result run = {0};
    snprintf(path, sizeof(path), "%s/vertices.npy", folder);
    ch4_status st = access(path, R_OK) == 0 ? ch4_eval_result_load(&run, folder, err) : CH4_OK;
    *there = !st && run.surface && run.n_frames >= out->n_frames;
    for (int64_t f = 1; !st && *there && f < out->n_frames; f++)
        st = ch4_eval_nearest_in_cloud(out->frame[f].vert, out->frame[f - 1].vert, out->frame[f].n_vert, run.surface + 3 * run.surface_begin[f],
                                       run.surface_begin[f + 1] - run.surface_begin[f], pool, err);
    ch4_eval_result_fini(&run);
    return st;
}

static ch4_status still_meshes(ch4_bench_meshes *out, const ch4_bench_meshes *result, ch4_err *err)
{
    const ch4_bench_mesh *first = &result->frame[0];
    float *vert = NULL;
    size_t n = (size_t)first->n_vert * 3;
    ch4_status st = ch4_calloc(&vert, n * (size_t)result->n_frames, sizeof(*vert), "baseline", err);
    for (int64_t f = 0; !st && f < result->n_frames; f++) memcpy(vert + f * (int64_t)n, first->vert, n * sizeof(*vert));
    if (!st) st = ch4_bench_meshes_of(out, vert, result->n_frames, first->n_vert, first->face, first->n_face, err);
    free(vert);
    return st;
}

ch4_status ch4_bench_own_meshes(ch4_bench_meshes *out, bool *there, const ch4_bench_meshes *result, const char *folder, ch4_bench_method method, ch4_pool *pool,
                                ch4_err *err)
{
    ch4_bench_meshes surfaces = {0};
    *out = (ch4_bench_meshes){0};
    *there = true;
    if (method == CH4_BENCH_OWN_SURFACES) return load_surfaces(out, there, result, folder, err);
    ch4_status st = still_meshes(out, result, err);
    if (st || method == CH4_BENCH_OWN_STATIC) return st;
    st = load_surfaces(&surfaces, there, result, folder, err);
    if (!st && *there) st = chain_meshes(out, &surfaces, pool, err);
    else if (!st) st = chain_clouds(out, there, folder, pool, err);
    ch4_bench_meshes_fini(&surfaces);
    return st;
}

/* --- on the true points --------------------------------------------------------------------------------------------------------------------------- */

ch4_status ch4_bench_cloud_baseline(ch4_bench_score *out, double *curve, const ch4_bench_truth *t, ch4_bench_method method, const ch4_bench_options *o,
                                    ch4_pool *pool, ch4_err *err)
{
    int64_t n = t->n_point, K = t->n_frames;
    float *path = NULL;
    int32_t *near = NULL;
    bool chained = method == CH4_BENCH_CHAINED;
    *out = (ch4_bench_score){.nc_gt = NAN, .nc_signed = NAN, .nc_mesh = NAN, .floor = NAN};
    for (int64_t i = 0; curve && i < CH4_BENCH_CURVES * K; i++) curve[i] = NAN;
    ch4_status st = ch4_calloc(&path, (size_t)(n * K), 3 * sizeof(float), "baseline", err);
    if (!st) st = ch4_calloc(&near, (size_t)n, sizeof(*near), "baseline", err);
    if (!st) memcpy(path, t->point, (size_t)n * 3 * sizeof(float));
    for (int64_t f = 0; !st && f < K; f++) {
        const float *truth = t->point + 3 * f * n;
        float *at = path + 3 * f * n;
        double cd = 0;
        if (f && !chained) memcpy(at, path, (size_t)n * 3 * sizeof(float));
        if (f && chained) {
            st = ch4_cloud_distances(NULL, near, at - 3 * n, n, truth, n, pool, err);
            for (int64_t i = 0; !st && i < n; i++) memcpy(at + 3 * i, truth + 3 * (int64_t)near[i], 3 * sizeof(float));
        }
        if (!st) st = ch4_chamfer(&cd, at, n, truth, n, CH4_CHAMFER_QUERIES, o->seed, pool, err);
        out->cd_3d += cd / (double)K;
        if (curve) curve[CH4_BENCH_CD_3D * K + f] = curve[CH4_BENCH_CD_4D * K + f] = cd;
    }
    out->cd_4d = out->cd_3d;
    if (!st) st = ch4_chamfer_motion(&out->cd_motion, curve ? curve + CH4_BENCH_CD_MOTION * K : NULL, path, n, t->point, n, K, pool, err);
    free(path);
    free(near);
    return st;
}
