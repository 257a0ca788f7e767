#include "tools/eval/track_files.h"

#include <errno.h>
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

/* True and still tracks of the queries on the raster, and the queries themselves; the prediction must answer the same ones. */
static ch4_status choose(ch4_track_file_score *out, float *gt, uint8_t *gt_occluded, float *still, float *query, const int32_t *which, const int32_t *when,
                         const tracks *truth, const tracks *pred, ch4_err *err)
{
    int64_t T = truth->n_frames;
    if (out->n_queries != pred->n || pred->n_frames != T)
        return ch4_err_set(err, CH4_EFORMAT, "%lld predicted tracks of %lld frames; the truth has %lld queries of %lld frames", (long long)pred->n,
                           (long long)pred->n_frames, (long long)out->n_queries, (long long)T);
    for (int64_t i = 0; i < out->n_queries; i++) {
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

static ch4_status score(ch4_track_file_score *out, const tracks *truth, const tracks *pred, ch4_tapvid_mode mode, ch4_err *err)
{
    int64_t T = truth->n_frames, bound = ch4_tapvid_queries_bound(truth->n, T, mode), size = ch4_max_i64(bound, pred->n) * T;
    int32_t *chosen = NULL;
    float *path = NULL, *query = NULL; /* path: truth, ours, still */
    uint8_t *flag = NULL;              /* truth, zeros */
    ch4_status st = ch4_calloc(&chosen, (size_t)bound, 2 * sizeof(*chosen), "queries", err);
    if (!st) st = ch4_calloc(&query, (size_t)bound, 3 * sizeof(*query), "queries", err);
    if (!st) st = ch4_calloc(&path, (size_t)size, 6 * sizeof(*path), "tracks", err);
    if (!st) st = ch4_calloc(&flag, (size_t)size, 2, "tracks", err);
    if (!st) {
        out->n_queries = ch4_tapvid_queries(chosen, chosen + bound, truth->occluded, truth->n, T, mode);
        st = choose(out, path, flag, path + 4 * size, query, chosen, chosen + bound, truth, pred, err);
    }
    if (!st) {
        int64_t n = out->n_queries;
        float *ours = path + 2 * size, *still = path + 4 * size;
        for (int64_t i = 0; i < 2 * n * T; i++) ours[i] = pred->point[i] * CH4_TAPVID_RASTER;
        out->ours = ch4_compute_tapvid(query, path, flag, ours, pred->occluded, n, T, mode);
        out->visible = ch4_compute_tapvid(query, path, flag, ours, flag + size, n, T, mode);
        out->still = ch4_compute_tapvid(query, path, flag, still, flag + size, n, T, mode);
        out->empty = isnan(out->ours.occlusion_accuracy) || isnan(out->ours.average_within);
    }
    free(chosen);
    free(path);
    free(query);
    free(flag);
    return st;
}

void ch4_track_file_score_pair(ch4_track_file_score *out, const ch4_eval_pair *pair, ch4_tapvid_mode mode)
{
    ch4_err err = {0};
    tracks truth = {0}, pred = {0};
    *out = (ch4_track_file_score){.name = pair->name};
    ch4_status st = open_tracks(&truth, pair->truth, false, &err);
    if (!st && !pair->result) st = ch4_err_set(&err, CH4_ENOENT, "no tracks in the given folders");
    if (!st) st = open_tracks(&pred, pair->result, true, &err);
    if (!st) st = score(out, &truth, &pred, mode, &err);
    out->status = st;
    snprintf(out->reason, sizeof(out->reason), "%s", st ? err.msg : "");
    ch4_safetensors_close(&truth.file);
    ch4_safetensors_close(&pred.file);
}

/* --- reports -------------------------------------------------------------------------------------------------------------------------------------- */

enum { N_VALUE = 7 };
static const char *const KEY[N_VALUE] = {"aj", "delta_avg", "oa", "still_aj", "still_delta_avg", "still_oa", "visible_oa"};

static void values_of(double x[N_VALUE], const ch4_track_file_score *s)
{
    const double v[N_VALUE] = {s->ours.average_jaccard, s->ours.average_within, s->ours.occlusion_accuracy, s->still.average_jaccard, s->still.average_within,
                               s->still.occlusion_accuracy, s->visible.occlusion_accuracy};
    for (int k = 0; k < N_VALUE; k++) x[k] = s->status || s->empty ? (double)NAN : 100 * v[k];
}

static void print_row(FILE *out, const char *name, const double x[N_VALUE])
{
    fprintf(out, "%-24.24s", name);
    for (int k = 0; k < N_VALUE; k++)
        if (isnan(x[k])) fprintf(out, " %7s", "-");
        else fprintf(out, " %7.2f", x[k]);
    fputc('\n', out);
}

void ch4_track_files_print(FILE *out, const ch4_track_file_score *s, int64_t n)
{
    double x[N_VALUE], sum[N_VALUE] = {0};
    int64_t failed = 0, empty = 0, good = 0;
    fprintf(out, "TAP-Vid scores of tracks.safetensors in percent, 256 x 256; s.*: the query's place kept, always visible; v.OA: these tracks, never occluded.\n\n");
    fprintf(out, "%-24s %7s %7s %7s %7s %7s %7s %7s\n", "video", "AJ", "delta", "OA", "s.AJ", "s.delta", "s.OA", "v.OA");
    for (int64_t i = 0; i < n; i++) {
        values_of(x, &s[i]);
        if (s[i].status) fprintf(out, "%-24.24s failed: %s\n", s[i].name, s[i].reason);
        else print_row(out, s[i].name, x);
        failed += s[i].status != CH4_OK;
        empty += !s[i].status && s[i].empty;
        good += !s[i].status && !s[i].empty;
        for (int k = 0; k < N_VALUE && !s[i].status && !s[i].empty; k++) sum[k] += x[k];
    }
    for (int k = 0; k < N_VALUE; k++) sum[k] = good ? sum[k] / (double)good : (double)NAN;
    print_row(out, "mean", sum);
    fprintf(out, "\n%lld videos, %lld failed, %lld without anything to evaluate.\n", (long long)n, (long long)failed, (long long)empty);
}

ch4_status ch4_track_files_save_csv(const char *path, const ch4_track_file_score *s, int64_t n, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "video,status,queries");
    for (int k = 0; k < N_VALUE; k++) fprintf(f, ",%s", KEY[k]);
    fputc('\n', f);
    for (int64_t i = 0; i < n; i++) {
        double x[N_VALUE];
        values_of(x, &s[i]);
        fprintf(f, "%s,%s,%lld", s[i].name, s[i].status ? ch4_status_name(s[i].status) : "ok", (long long)s[i].n_queries);
        for (int k = 0; k < N_VALUE; k++)
            if (isnan(x[k])) fputc(',', f);
            else fprintf(f, ",%.17g", x[k]);
        fputc('\n', f);
    }
    bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}
