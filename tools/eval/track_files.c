#include "tools/eval/track_files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/track_pairs.h"

typedef struct tracks {
    float *point;      /* [n,T,2] */
    uint8_t *occluded; /* [n,T] */
    float *query;      /* [n,3]; NULL where the file has none */
    int64_t n, n_frames;
} tracks;

static void free_tracks(tracks *t)
{
    free(t->point);
    free(t->occluded);
    free(t->query);
}

static ch4_status load_tracks(tracks *out, const char *path, bool predicted, ch4_err *err)
{
    ch4_array_file file;
    int64_t shape[3] = {-1, -1, 2};
    ch4_status st = ch4_array_file_open(&file, path, err);
    if (!st) st = ch4_array_file_f32(&out->point, &file, "points", 3, shape, err);
    out->n = shape[0], out->n_frames = shape[1];
    if (!st && (out->n < 1 || out->n_frames < 1)) st = ch4_err_set(err, CH4_EFORMAT, "%s: no tracks", path);
    if (!st) st = ch4_array_file_flags(&out->occluded, &file, "occluded", 2, (int64_t[]){out->n, out->n_frames}, err);
    if (!st && predicted) st = ch4_array_file_f32(&out->query, &file, "query_points", 2, (int64_t[]){out->n, 3}, err);
    for (int64_t i = 0; !st && predicted && i < 2 * out->n * out->n_frames; i++)
        if (!isfinite(out->point[i])) st = ch4_err_set(err, CH4_EFORMAT, "%s: a point of track %lld is not finite", path, (long long)(i / (2 * out->n_frames)));
    ch4_array_file_close(&file);
    return st;
}

enum { OURS, STILL, VISIBLE, METHODS, COLUMNS = 8 };

static const ch4_score_column COLUMN[COLUMNS] = {{"aj", "AJ", 2, "AJ"}, {"delta_avg", "delta", 2, NULL}, {"oa", "OA", 2, NULL}, {"delta_1", "d 1px", 2, NULL},
                                                {"delta_2", "d 2px", 2, NULL}, {"delta_4", "d 4px", 2, NULL}, {"delta_8", "d 8px", 2, NULL},
                                                {"delta_16", "d 16px", 2, NULL}};
static const char *const METHOD[METHODS] = {"ours", "static_2d", "always_visible"};

const ch4_score_family ch4_track_family = {
    .key = "tracks",
    .about = "TAP-Vid scores in percent on the 256 x 256 raster. static_2d: each query's place kept, always visible; always_visible: these tracks, never occluded.\n",
    .note = "queries",
    .column = COLUMN,
    .n_column = COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = STILL,
};

/* True and still tracks of the queries on the raster, and the queries themselves; the prediction must answer the same ones. */
static ch4_status choose(int64_t n, float *gt, uint8_t *gt_occluded, float *still, float *query, const int32_t *which, const int32_t *when,
                         const tracks *truth, const tracks *pred, ch4_err *err)
{
    int64_t T = truth->n_frames;
    if (n != pred->n || pred->n_frames != T)
        return ch4_err_set(err, CH4_EFORMAT, "%lld predicted tracks of %lld frames; the truth has %lld queries of %lld frames", (long long)pred->n,
                           (long long)pred->n_frames, (long long)n, (long long)T);
    for (int64_t i = 0; i < n; i++) {
        const float *track = truth->point + 2 * which[i] * T, *at = track + 2 * when[i], *q = pred->query + 3 * i;
        if (fabsf(q[0] - (float)when[i]) > 0.5f || fabsf(q[1] - at[1]) > 0.01f || fabsf(q[2] - at[0]) > 0.01f)
            return ch4_err_set(err, CH4_EFORMAT, "query %lld of the prediction is (%g, %g, %g), of the truth (%d, %g, %g)", (long long)i, (double)q[0], (double)q[1],
                               (double)q[2], (int)when[i], (double)at[1], (double)at[0]);
        for (int64_t f = 0; f < 2 * T; f++) {
            gt[2 * i * T + f] = track[f] * CH4_TAPVID_RASTER;
            still[2 * i * T + f] = at[f % 2] * CH4_TAPVID_RASTER;
        }
        memcpy(gt_occluded + i * T, truth->occluded + which[i] * T, (size_t)T);
        query[3 * i] = (float)when[i], query[3 * i + 1] = at[1] * CH4_TAPVID_RASTER, query[3 * i + 2] = at[0] * CH4_TAPVID_RASTER;
    }
    return CH4_OK;
}

static void keep(double *x, const ch4_tapvid_score *s)
{
    if (isnan(s->occlusion_accuracy) || isnan(s->average_within)) return; /* nothing to evaluate */
    x[0] = 100 * s->average_jaccard, x[1] = 100 * s->average_within, x[2] = 100 * s->occlusion_accuracy;
    for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++) x[3 + k] = 100 * s->within[k];
}

static ch4_status score(ch4_score_table *table, int64_t clip, const tracks *truth, const tracks *pred, ch4_tapvid_mode mode, ch4_err *err)
{
    int64_t T = truth->n_frames, bound = ch4_tapvid_queries_bound(truth->n, T, mode), size = ch4_max_i64(bound, pred->n) * T, n = 0;
    int32_t *chosen = NULL;
    float *path = NULL, *query = NULL; /* path: truth, ours, still */
    uint8_t *flag = NULL;              /* truth, zeros */
    ch4_status st = ch4_calloc(&chosen, (size_t)bound, 2 * sizeof(*chosen), "queries", err);
    if (!st) st = ch4_calloc(&query, (size_t)bound, 3 * sizeof(*query), "queries", err);
    if (!st) st = ch4_calloc(&path, (size_t)size, 6 * sizeof(*path), "tracks", err);
    if (!st) st = ch4_calloc(&flag, (size_t)size, 2, "tracks", err);
    if (!st) {
        n = ch4_tapvid_queries(chosen, chosen + bound, truth->occluded, truth->n, T, mode);
        st = choose(n, path, flag, path + 4 * size, query, chosen, chosen + bound, truth, pred, err);
    }
    if (!st) {
        float *ours = path + 2 * size, *still = path + 4 * size;
        const uint8_t *never = flag + size;
        for (int64_t i = 0; i < 2 * n * T; i++) ours[i] = pred->point[i] * CH4_TAPVID_RASTER;
        const ch4_tapvid_score s[METHODS] = {ch4_compute_tapvid(query, path, flag, ours, pred->occluded, n, T, mode),
                                             ch4_compute_tapvid(query, path, flag, still, never, n, T, mode),
                                             ch4_compute_tapvid(query, path, flag, ours, never, n, T, mode)};
        for (int m = 0; m < METHODS; m++) keep(ch4_score_at(table, clip, m), &s[m]);
        snprintf(table->clip[clip].note, sizeof(table->clip[clip].note), "%lld", (long long)n);
    }
    free(chosen);
    free(path);
    free(query);
    free(flag);
    return st;
}

typedef struct job {
    const ch4_eval_request *r;
    const ch4_eval_pairs *pairs;
    ch4_score_table table;
} job;

static void score_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    (void)pool;
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    ch4_err err = {0};
    tracks truth = {0}, pred = {0};
    if (!pair->result) return;
    ch4_status st = load_tracks(&truth, pair->truth, false, &err);
    if (!st) st = load_tracks(&pred, pair->result, true, &err);
    if (!st) st = score(&j->table, i, &truth, &pred, j->r->queries, &err);
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    free_tracks(&truth);
    free_tracks(&pred);
}

static bool wants(const ch4_array_file *f) { return ch4_array_file_has(f, "points") && ch4_array_file_has(f, "occluded"); }

ch4_status ch4_eval_track_files(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_track_pairs(&pairs, &applied, r, wants, true, err);
    job j = {.r = r, .pairs = &pairs};
    if (!st && applied) {
        st = ch4_eval_table_for(&j.table, &ch4_track_family, &pairs, err);
        if (!st) ch4_eval_each_clip(r, "tracks", &j.table, score_clip, &j);
        if (!st) st = ch4_eval_report(out, r, &j.table, err);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}
