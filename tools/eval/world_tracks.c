#include "tools/eval/world_tracks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/similarity.h"

const double ch4_apd_threshold[CH4_APD_THRESHOLDS] = {0.1, 0.3, 0.5, 1.0};
const double ch4_apd_threshold_tight[CH4_APD_THRESHOLDS] = {0.02, 0.06, 0.1, 0.2};

static double norm3(const double *x) { return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]); }

static double distance3(const double *a, const double *b)
{
    double d[3] = {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
    return norm3(d);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* numpy's median; sorts x. NAN for n == 0. */
static double median_of(double *x, int64_t n)
{
    if (n == 0) return NAN;
    qsort(x, (size_t)n, sizeof(*x), ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* --- WorldTrack ------------------------------------------------------------------------------------------------------------------------ */

void ch4_world_dynamic(uint8_t *dynamic, const double *gt, int64_t n_frames, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double path = 0;
        for (int64_t f = 1; f < n_frames; f++) path += distance3(gt + 3 * (f * n + i), gt + 3 * ((f - 1) * n + i));
        dynamic[i] = path > 0.01;
    }
}

/* The chosen points of [T,n,3] as [T,m,3]; returns m. */
static int64_t choose(double *out, const double *x, const uint8_t *chosen, int64_t n_frames, int64_t n)
{
    int64_t m = 0;
    for (int64_t f = 0; f < n_frames; f++)
        for (int64_t i = 0; i < n; i++)
            if (!chosen || chosen[i]) memcpy(out + 3 * m++, x + 3 * (f * n + i), 3 * sizeof(double));
    return n_frames ? m / n_frames : 0;
}

static double norm_median(double *scratch, const double *x, int64_t first, int64_t step, int64_t n)
{
    for (int64_t i = 0; i < n; i++) scratch[i] = norm3(x + 3 * (first + i * step));
    return median_of(scratch, n);
}

static void align_world(ch4_world_score *out, double *pred, const double *gt, double *scratch, int64_t n_frames, int64_t m, ch4_world_align align, bool compat)
{
    int64_t total = n_frames * m;
    if (align == CH4_WORLD_GLOBAL) {
        out->scale = norm_median(scratch, gt, 0, 1, total) / norm_median(scratch, pred, 0, 1, total);
        for (int64_t i = 0; i < 3 * total; i++) pred[i] *= out->scale;
    } else if (align == CH4_WORLD_PER_TRACK) {
        for (int64_t i = 0; i < m; i++) {
            double scale = norm_median(scratch, gt, i, m, n_frames) / norm_median(scratch, pred, i, m, n_frames);
            for (int64_t f = 0; f < n_frames; f++)
                for (int k = 0; k < 3; k++) pred[3 * (f * m + i) + k] *= scale;
        }
    } else if (align == CH4_WORLD_SIM3) {
        ch4_similarity s;
        ch4_similarity_fit(&s, pred, gt, total, true, compat);
        ch4_similarity_apply(pred, &s, pred, total);
        out->scale = s.scale, out->reflected = s.reflected;
        memcpy(out->R, s.R, sizeof(s.R));
        memcpy(out->t, s.t, sizeof(s.t));
    }
}

ch4_status ch4_compute_world_score(ch4_world_score *out, const double *pred, const double *gt, const uint8_t *chosen, int64_t n_frames, int64_t n,
                                   const double threshold[CH4_APD_THRESHOLDS], ch4_world_align align, bool compat, ch4_err *err)
{
    double *p = NULL, *g = NULL, *scratch = NULL;
    size_t total = (size_t)(n_frames * n);
    *out = (ch4_world_score){.scale = 1, .R = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
    ch4_status st = ch4_calloc(&p, total, 3 * sizeof(*p), "tracks", err);
    if (!st) st = ch4_calloc(&g, total, 3 * sizeof(*g), "tracks", err);
    if (!st) st = ch4_calloc(&scratch, total, sizeof(*scratch), "tracks", err);
    int64_t m = st ? 0 : choose(p, pred, chosen, n_frames, n);
    if (!st) (void)choose(g, gt, chosen, n_frames, n);
    if (!st && m == 0) st = ch4_err_set(err, CH4_EFORMAT, "no 3D track is to be scored");
    if (!st) align_world(out, p, g, scratch, n_frames, m, align, compat);
    for (int64_t i = 0; !st && i < n_frames * m; i++) {
        double d = distance3(p + 3 * i, g + 3 * i);
        out->epe += d;
        for (int k = 0; k < CH4_APD_THRESHOLDS; k++) out->within[k] += d <= threshold[k];
    }
    for (int k = 0; !st && k < CH4_APD_THRESHOLDS; k++) {
        out->within[k] /= (double)(n_frames * m);
        out->apd += out->within[k] / CH4_APD_THRESHOLDS;
    }
    if (!st) out->epe /= (double)(n_frames * m);
    free(p);
    free(g);
    free(scratch);
    return st;
}

/* --- TAPVid-3D ------------------------------------------------------------------------------------------------------------------------- */

typedef struct volume_tracks {
    const double *query, *gt, *pred;
    const uint8_t *gt_occluded, *pred_occluded;
    int64_t n, n_frames;
} volume_tracks;

static double typical(double *x, int64_t n, bool median)
{
    if (median) return median_of(x, n);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

static double norm_ratio(const volume_tracks *t, double *scratch, bool median)
{
    double *pred = scratch + t->n * t->n_frames;
    int64_t count = 0;
    for (int64_t i = 0; i < t->n * t->n_frames; i++)
        if (!t->gt_occluded[i] && !t->pred_occluded[i]) {
            scratch[count] = norm3(t->gt + 3 * i);
            pred[count++] = norm3(t->pred + 3 * i);
        }
    return typical(scratch, count, median) / typical(pred, count, median);
}

static void count_volume(ch4_track_counts *c, const volume_tracks *t, const double focal[2], bool fixed, ch4_tapvid3d_scaling scaling, double one_scale)
{
    static const double metres[CH4_TAPVID_THRESHOLDS] = {0.01, 0.04, 0.16, 0.64, 2.56};
    for (int64_t i = 0; i < t->n; i++) {
        int64_t at_query = ch4_max_i64(0, ch4_min_i64((int64_t)rint(t->query[3 * i]), t->n_frames - 1)) + i * t->n_frames;
        for (int64_t f = 0; f < t->n_frames; f++) {
            int64_t at = i * t->n_frames + f, from = scaling == CH4_TAPVID3D_PER_TRACK ? at_query : at;
            double scale = one_scale;
            if (scaling == CH4_TAPVID3D_PER_TRACK || scaling == CH4_TAPVID3D_REPRODUCE_2D) scale = t->gt[3 * from + 2] / t->pred[3 * from + 2];
            double moved[3] = {scale * t->pred[3 * at], scale * t->pred[3 * at + 1], scale * t->pred[3 * at + 2]}, d = distance3(moved, t->gt + 3 * at);
            bool within[CH4_TAPVID_THRESHOLDS];
            for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++)
                within[k] = d < (fixed ? metres[k] : (double)ch4_tapvid_threshold[k] * t->gt[3 * at + 2] / sqrt(focal[0] * focal[1]));
            ch4_track_counts_entry(c, !t->gt_occluded[at], !t->pred_occluded[at], within);
        }
    }
}

ch4_status ch4_compute_tapvid3d(ch4_tapvid_score *out, const double *query, const double *gt, const uint8_t *gt_occluded, const double *pred,
                                const uint8_t *pred_occluded, int64_t n, int64_t n_frames, const double focal[2], bool fixed,
                                ch4_tapvid3d_scaling scaling, ch4_err *err)
{
    volume_tracks t = {query, gt, pred, gt_occluded, pred_occluded, n, n_frames};
    double *scratch = NULL, scale = 1;
    ch4_track_counts c = {0};
    ch4_status st = ch4_calloc(&scratch, (size_t)(n * n_frames), 2 * sizeof(*scratch), "tracks", err);
    if (st) return st;
    if (scaling == CH4_TAPVID3D_MEDIAN || scaling == CH4_TAPVID3D_MEAN) scale = norm_ratio(&t, scratch, scaling == CH4_TAPVID3D_MEDIAN);
    count_volume(&c, &t, focal, fixed, scaling, scale);
    *out = ch4_track_counts_score(&c);
    free(scratch);
    return CH4_OK;
}
