#include "tools/eval/track_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/safetensors.h"

typedef struct tracks {
    ch4_safetensors *file;
    const float *point;      /* [n,T,2] */
    const uint8_t *occluded; /* [n,T] */
    const float *query;      /* [n,3]; NULL for the truth */
    int64_t n, n_frames;
} tracks;

static ch4_status get(ch4_tensor *t, const tracks *x, const char *name, ch4_dtype dtype, int rank, const int64_t *shape, ch4_err *err)
{
    ch4_status st = ch4_safetensors_get(x->file, name, t, err);
    bool fits = !st && t->dtype == dtype && t->rank == rank;
    for (int i = 0; fits && i < rank; i++) fits = shape[i] < 0 || t->shape[i] == shape[i];
    return st || fits ? st : ch4_err_set(err, CH4_EFORMAT, "%s: %s has an unexpected type or shape", ch4_safetensors_path(x->file), name);
}

static ch4_status open_tracks(tracks *out, const char *folder, bool predicted, ch4_err *err)
{
    char path[4096];
    ch4_tensor t;
    *out = (tracks){0};
    snprintf(path, sizeof(path), "%s/tracks.safetensors", folder);
    ch4_status st = ch4_safetensors_open(&out->file, path, err);
    if (!st) st = get(&t, out, "points", CH4_DTYPE_F32, 3, (int64_t[]){-1, -1, 2}, err);
    if (st) return st;
    out->point = t.data, out->n = t.shape[0], out->n_frames = t.shape[1];
    st = get(&t, out, "occluded", CH4_DTYPE_U8, 2, (int64_t[]){out->n, out->n_frames}, err);
    if (!st) out->occluded = t.data;
    if (!st && predicted) st = get(&t, out, "query_points", CH4_DTYPE_F32, 2, (int64_t[]){out->n, 3}, err);
    if (!st && predicted) out->query = t.data;
    for (int64_t i = 0; !st && predicted && i < 2 * out->n * out->n_frames; i++)
        if (!isfinite(out->point[i])) st = ch4_err_set(err, CH4_EFORMAT, "%s: a point of track %lld is not finite", path, (long long)(i / (2 * out->n_frames)));
    return st;
}

enum { OURS, STILL, VISIBLE, METHODS, COLUMNS = 8 };

static const ch4_score_column COLUMN[COLUMNS] = {{"aj", "AJ", 2, "AJ"}, {"delta_avg", "delta", 2, NULL}, {"oa", "OA", 2, NULL}, {"delta_1", "d 1px", 2, NULL},
                                                {"delta_2", "d 2px", 2, NULL}, {"delta_4", "d 4px", 2, NULL}, {"delta_8", "d 8px", 2, NULL}, {"delta_16", "d 16px", 2, NULL}};
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
    ch4_status st = open_tracks(&truth, pair->truth, false, &err);
    if (!st) st = open_tracks(&pred, pair->result, true, &err);
    if (!st) st = score(&j->table, i, &truth, &pred, j->r->queries, &err);
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    ch4_safetensors_close(&truth.file);
    ch4_safetensors_close(&pred.file);
}

ch4_status ch4_eval_track_files(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    static const char *const TRACKS[] = {"tracks.safetensors", NULL};
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_eval_pairs_for(&pairs, &applied, r, "tracks.safetensors", TRACKS, err);
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
