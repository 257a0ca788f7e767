/* 3D tracks in the files of WorldTrack and TAPVid-3D. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/families.h"
#include "tools/eval/track_pairs.h"
#include "tools/eval/world_tracks.h"

/* A truth: n points, T frames. */
typedef struct truth {
    double *xyz;          /* [T,n,3] in the camera of each frame */
    double *extrinsics;   /* [T,16] world to camera; NULL where the file has none */
    double *query;        /* [n,3] (x, y, t); NULL where the file has none */
    double fx_fy_cx_cy[4];
    uint8_t *visible;     /* [T,n] */
    int64_t n, n_frames;
} truth;

static void free_truth(truth *t)
{
    free(t->xyz);
    free(t->extrinsics);
    free(t->query);
    free(t->visible);
}

static ch4_status load_truth(truth *out, const char *path, ch4_err *err)
{
    ch4_array_file file;
    double *intrinsics = NULL;
    int64_t shape[3] = {-1, -1, 3};
    ch4_status st = ch4_array_file_open(&file, path, err);
    if (!st) st = ch4_array_file_f64(&out->xyz, &file, "tracks_XYZ", 3, shape, err);
    out->n_frames = shape[0], out->n = shape[1];
    if (!st && (out->n < 1 || out->n_frames < 2)) st = ch4_err_set(err, CH4_EFORMAT, "%s: no tracks, or only one frame", path);
    if (!st) st = ch4_array_file_flags(&out->visible, &file, "visibility", 2, (int64_t[]){out->n_frames, out->n}, err);
    if (!st) st = ch4_array_file_f64(&intrinsics, &file, "fx_fy_cx_cy", 1, (int64_t[]){4}, err);
    if (!st) memcpy(out->fx_fy_cx_cy, intrinsics, sizeof(out->fx_fy_cx_cy));
    if (!st && ch4_array_file_has(&file, "extrinsics_w2c")) st = ch4_array_file_f64(&out->extrinsics, &file, "extrinsics_w2c", 3, (int64_t[]){out->n_frames, 4, 4}, err);
    if (!st && ch4_array_file_has(&file, "queries_xyt")) st = ch4_array_file_f64(&out->query, &file, "queries_xyt", 2, (int64_t[]){out->n, 3}, err);
    free(intrinsics);
    ch4_array_file_close(&file);
    return st;
}

/* A prediction for all n points: tracks_XYZ (T,n,3) as the truth's, or tracks_xyz (n,T,3) as chain4d's. */
static ch4_status load_prediction(double **xyz, uint8_t **visible, const char *path, int64_t n_frames, int64_t n, ch4_err *err)
{
    ch4_array_file file;
    double *by_track = NULL;
    *xyz = NULL;
    ch4_status st = ch4_array_file_open(&file, path, err);
    if (!st && ch4_array_file_has(&file, "tracks_XYZ")) {
        st = ch4_array_file_f64(xyz, &file, "tracks_XYZ", 3, (int64_t[]){n_frames, n, 3}, err);
    } else if (!st) {
        st = ch4_array_file_f64(&by_track, &file, "tracks_xyz", 3, (int64_t[]){n, n_frames, 3}, err);
        if (!st) st = ch4_calloc(xyz, (size_t)(n * n_frames), 3 * sizeof(double), path, err);
        for (int64_t i = 0; !st && i < n; i++)
            for (int64_t f = 0; f < n_frames; f++) memcpy(*xyz + 3 * (f * n + i), by_track + 3 * (i * n_frames + f), 3 * sizeof(double));
    }
    if (!st && visible) st = ch4_array_file_flags(visible, &file, "visibility", 2, (int64_t[]){n_frames, n}, err);
    free(by_track);
    ch4_array_file_close(&file);
    return st;
}

typedef struct job {
    const ch4_eval_request *r;
    const ch4_eval_pairs *pairs;
    ch4_score_table table;
} job;

static ch4_status run_family(ch4_eval_outcome *out, const ch4_eval_request *r, const ch4_score_family *family, const char *what, ch4_track_wants wants,
                             void (*score)(void *ctx, int64_t i, ch4_pool *pool), ch4_err *err)
{
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_track_pairs(&pairs, &applied, r, wants, false, err);
    job j = {.r = r, .pairs = &pairs};
    if (!st && applied) {
        st = ch4_eval_table_for(&j.table, family, &pairs, err);
        if (!st) ch4_eval_each_clip(r, what, &j.table, score, &j);
        if (!st) st = ch4_eval_report(out, r, &j.table, err);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}

enum { OURS, ORACLE, STILL, METHODS };
static const char *const METHOD[METHODS] = {"ours", "oracle", "static_point"};

/* --- WorldTrack ------------------------------------------------------------------------------------------------------------------------------------ */

enum { WORLD_FRAMES = 64 };
enum { APD, TIGHT, EPE, ALL_APD, ALL_EPE, COVERAGE, WORLD_COLUMNS };
static const ch4_score_column WORLD_COLUMN[WORLD_COLUMNS] = {{"apd3d", "APD3D", 2, "APD3D"}, {"apd3d_tight", "tight", 2, NULL}, {"epe", "EPE", 4, NULL},
                                                            {"apd3d_all", "APD all", 2, NULL}, {"epe_all", "EPE all", 4, NULL}, {"coverage", "cover", 3, NULL}};
static const ch4_score_family WORLD_FAMILY = {
    .key = "worldtrack",
    .about = "WorldTrack: 3D tracks in the first camera, first 64 frames, points visible in frame 0; APD3D, tight (0.02, 0.06, 0.1, 0.2) and EPE of moving points, APD and\n"
             "EPE of all. cover: share of moving points with a prediction; the others count as misses. static_point: where the point was in frame 0. These\n"
             "thresholds saturate on single objects: compare with static_point.\n",
    .note = "scale",
    .column = WORLD_COLUMN,
    .n_column = WORLD_COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = STILL,
};

/* world f64[T,n,3]: points in the first camera. X = E_0 E_t^-1 x, E rigid. */
static void to_first_camera(double *world, const truth *t, int64_t n_frames)
{
    const double *E0 = t->extrinsics;
    for (int64_t f = 0; f < n_frames; f++) {
        const double *E = t->extrinsics + 16 * f;
        for (int64_t i = 0; i < t->n; i++) {
            const double *x = t->xyz + 3 * (f * t->n + i);
            double w[3], d[3];
            for (int k = 0; k < 3; k++) d[k] = x[k] - E[4 * k + 3];
            for (int k = 0; k < 3; k++) w[k] = E[k] * d[0] + E[4 + k] * d[1] + E[8 + k] * d[2];
            for (int k = 0; k < 3; k++) world[3 * (f * t->n + i) + k] = E0[4 * k] * w[0] + E0[4 * k + 1] * w[1] + E0[4 * k + 2] * w[2] + E0[4 * k + 3];
        }
    }
}

/* Visible in frame 0 and inside a picture whose middle is the principal point. */
static void choose_points(uint8_t *chosen, const truth *t)
{
    const double *K = t->fx_fy_cx_cy;
    for (int64_t i = 0; i < t->n; i++) {
        const double *x = t->xyz + 3 * i;
        double u = K[0] * x[0] / x[2] + K[2], v = K[1] * x[1] / x[2] + K[3];
        chosen[i] = t->visible[i] && x[2] > 0 && u >= 0 && v >= 0 && u < 2 * K[2] && v < 2 * K[3];
    }
}

/* APD in percent with points without prediction as misses, and EPE of the others. */
static ch4_status score_subset(double *apd, double *tight, double *epe, double *coverage, const double *pred, const double *gt, const uint8_t *chosen, int64_t F,
                               int64_t n, const ch4_eval_request *r, ch4_err *err)
{
    ch4_world_score s, close;
    uint8_t *there = NULL;
    int64_t wanted = 0, found = 0;
    ch4_status st = ch4_calloc(&there, (size_t)n, 1, "tracks", err);
    for (int64_t i = 0; !st && i < n; i++) {
        there[i] = chosen[i];
        for (int64_t f = 0; f < F && there[i]; f++)
            for (int k = 0; k < 3; k++) there[i] = there[i] && isfinite(pred[3 * (f * n + i) + k]);
        wanted += chosen[i] != 0, found += there[i] != 0;
    }
    if (!st && wanted) {
        double share = (double)found / (double)wanted;
        if (coverage) *coverage = share;
        *apd = 0;
        if (tight) *tight = 0;
        if (found) st = ch4_compute_world_score(&s, pred, gt, there, F, n, ch4_apd_threshold, r->world_align, r->compat, err);
        if (found && !st) st = ch4_compute_world_score(&close, pred, gt, there, F, n, ch4_apd_threshold_tight, r->world_align, r->compat, err);
        if (found && !st) *apd = 100 * share * s.apd, *epe = s.epe;
        if (found && !st && tight) *tight = 100 * share * close.apd;
    }
    free(there);
    return st;
}

static ch4_status score_world(double *x, const double *pred, const double *gt, const uint8_t *visible, const uint8_t *dynamic, int64_t F, int64_t n,
                              const ch4_eval_request *r, ch4_err *err)
{
    ch4_status st = score_subset(&x[APD], &x[TIGHT], &x[EPE], &x[COVERAGE], pred, gt, dynamic, F, n, r, err);
    return st ? st : score_subset(&x[ALL_APD], NULL, &x[ALL_EPE], NULL, pred, gt, visible, F, n, r, err);
}

static void score_world_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    static const char *const ALIGN[] = {"none", "global", "per_track", "sim3"};
    (void)pool;
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    ch4_err err = {0};
    truth t = {0};
    double *gt = NULL, *still = NULL, *pred = NULL;
    uint8_t *visible = NULL, *dynamic = NULL;
    snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%s", ALIGN[j->r->world_align]);
    ch4_status st = load_truth(&t, pair->truth, &err);
    int64_t F = ch4_min_i64(t.n_frames, WORLD_FRAMES), n = t.n;
    size_t all = st ? 0 : (size_t)(F * n);
    if (!st) st = ch4_calloc(&gt, all, 3 * sizeof(*gt), "tracks", &err);
    if (!st) st = ch4_calloc(&still, all, 3 * sizeof(*still), "tracks", &err);
    if (!st) st = ch4_calloc(&visible, (size_t)n, 1, "tracks", &err);
    if (!st) st = ch4_calloc(&dynamic, (size_t)n, 1, "tracks", &err);
    if (!st) {
        to_first_camera(gt, &t, F);
        choose_points(visible, &t);
        ch4_world_dynamic(dynamic, gt, F, n);
        for (int64_t k = 0; k < n; k++) dynamic[k] = dynamic[k] && visible[k];
        for (int64_t f = 0; f < F; f++) memcpy(still + 3 * f * n, gt, (size_t)n * 3 * sizeof(*still));
        st = score_world(ch4_score_at(&j->table, i, ORACLE), gt, gt, visible, dynamic, F, n, j->r, &err);
    }
    if (!st) st = score_world(ch4_score_at(&j->table, i, STILL), still, gt, visible, dynamic, F, n, j->r, &err);
    if (!st && pair->result) st = load_prediction(&pred, NULL, pair->result, t.n_frames, n, &err);
    if (!st && pred) st = score_world(ch4_score_at(&j->table, i, OURS), pred, gt, visible, dynamic, F, n, j->r, &err);
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    free(gt);
    free(still);
    free(pred);
    free(visible);
    free(dynamic);
    free_truth(&t);
}

static bool wants_world(const ch4_array_file *f) { return ch4_array_file_has(f, "tracks_XYZ") && ch4_array_file_has(f, "extrinsics_w2c"); }

ch4_status ch4_eval_world(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    return run_family(out, r, &WORLD_FAMILY, "WorldTrack", wants_world, score_world_clip, err);
}

/* --- TAPVid-3D -------------------------------------------------------------------------------------------------------------------------------------- */

enum { AJ, DELTA, OA, FIXED_AJ, FIXED_DELTA, TAP_COLUMNS };
static const ch4_score_column TAP_COLUMN[TAP_COLUMNS] = {{"aj", "AJ", 2, "AJ, 3D"}, {"apd", "APD", 2, NULL}, {"oa", "OA", 2, NULL}, {"aj_fixed", "AJ fix", 2, NULL},
                                                        {"apd_fixed", "APD fix", 2, NULL}};
static const ch4_score_family TAP_FAMILY = {
    .key = "tapvid3d",
    .about = "TAPVid-3D in percent, points in the camera of each frame; thresholds of 1 to 16 pixels at the point's depth, and fixed ones of 0.01 to 2.56. static_point:\n"
             "where the point was at its query, always visible.\n",
    .note = "scale",
    .column = TAP_COLUMN,
    .n_column = TAP_COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = STILL,
};

/* [n,T,...] of [T,n,...]. */
static void by_track(double *xyz, uint8_t *occluded, const double *from, const uint8_t *visible, int64_t F, int64_t n)
{
    for (int64_t f = 0; f < F; f++)
        for (int64_t i = 0; i < n; i++) {
            memcpy(xyz + 3 * (i * F + f), from + 3 * (f * n + i), 3 * sizeof(*xyz));
            occluded[i * F + f] = !visible[f * n + i];
        }
}

static ch4_status score_tap(double *x, const truth *t, const double *query, const double *gt, const uint8_t *gt_occluded, const double *pred,
                            const uint8_t *pred_occluded, const ch4_eval_request *r, ch4_err *err)
{
    const double *K = t->fx_fy_cx_cy, to_256 = 256 / (2 * fmin(K[2], K[3])), focal[2] = {K[0] * to_256, K[1] * to_256};
    ch4_tapvid_score s[2];
    ch4_status st = CH4_OK;
    for (int fixed = 0; !st && fixed < 2; fixed++)
        st = ch4_compute_tapvid3d(&s[fixed], query, gt, gt_occluded, pred, pred_occluded, t->n, t->n_frames, focal, fixed, r->tapvid3d_scaling, err);
    if (st) return st;
    x[AJ] = 100 * s[0].average_jaccard, x[DELTA] = 100 * s[0].average_within, x[OA] = 100 * s[0].occlusion_accuracy;
    x[FIXED_AJ] = 100 * s[1].average_jaccard, x[FIXED_DELTA] = 100 * s[1].average_within;
    return CH4_OK;
}

/* query f64[n,3] (t, y, x) of the file's (x, y, t), whose frames must exist; still: each point where it was at its query. */
static ch4_status take_queries(double *query, double *still, const double *gt, const truth *t, const char *path, ch4_err *err)
{
    for (int64_t i = 0; i < t->n; i++) {
        const double *q = t->query + 3 * i;
        if (!(q[2] >= 0 && q[2] <= (double)(t->n_frames - 1)))
            return ch4_err_set(err, CH4_EFORMAT, "%s: query %lld is in frame %g of %lld", path, (long long)i, q[2], (long long)t->n_frames);
        query[3 * i] = q[2], query[3 * i + 1] = q[1], query[3 * i + 2] = q[0];
        for (int64_t f = 0; f < t->n_frames; f++) memcpy(still + 3 * (i * t->n_frames + f), gt + 3 * (i * t->n_frames + (int64_t)q[2]), 3 * sizeof(*still));
    }
    return CH4_OK;
}

static void score_tap_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    static const char *const SCALE[] = {"none", "median", "mean", "per_trajectory", "reproduce_2d"};
    (void)pool;
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    ch4_err err = {0};
    truth t = {0};
    double *xyz = NULL, *query = NULL, *raw = NULL; /* xyz: truth, prediction */
    uint8_t *flag = NULL, *visible = NULL;          /* flag: truth, prediction */
    snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%s", SCALE[j->r->tapvid3d_scaling]);
    ch4_status st = load_truth(&t, pair->truth, &err);
    int64_t all = st ? 0 : t.n * t.n_frames;
    if (!st) st = ch4_calloc(&xyz, (size_t)all, 6 * sizeof(*xyz), "tracks", &err);
    if (!st) st = ch4_calloc(&flag, (size_t)all, 2, "tracks", &err);
    if (!st) st = ch4_calloc(&query, (size_t)t.n, 3 * sizeof(*query), "queries", &err);
    if (!st) by_track(xyz, flag, t.xyz, t.visible, t.n_frames, t.n);
    if (!st) st = take_queries(query, xyz + 3 * all, xyz, &t, pair->truth, &err);
    if (!st) st = score_tap(ch4_score_at(&j->table, i, ORACLE), &t, query, xyz, flag, xyz, flag, j->r, &err);
    if (!st) st = score_tap(ch4_score_at(&j->table, i, STILL), &t, query, xyz, flag, xyz + 3 * all, flag + all, j->r, &err);
    if (!st && pair->result) {
        st = load_prediction(&raw, &visible, pair->result, t.n_frames, t.n, &err);
        if (!st) by_track(xyz + 3 * all, flag + all, raw, visible, t.n_frames, t.n);
        if (!st) st = score_tap(ch4_score_at(&j->table, i, OURS), &t, query, xyz, flag, xyz + 3 * all, flag + all, j->r, &err);
    }
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    free(xyz);
    free(query);
    free(raw);
    free(flag);
    free(visible);
    free_truth(&t);
}

static bool wants_tap(const ch4_array_file *f) { return ch4_array_file_has(f, "tracks_XYZ") && ch4_array_file_has(f, "queries_xyt"); }

ch4_status ch4_eval_tapvid3d(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    return run_family(out, r, &TAP_FAMILY, "TAPVid-3D", wants_tap, score_tap_clip, err);
}
