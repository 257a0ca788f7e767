#include "stages/animate/landmark_tracks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

ch4_track_options ch4_track_defaults(void)
{
    return (ch4_track_options){.outlier_factor = 5, .outlier_floor = 0.05, .outlier_absolute = 0.5, .min_valid = 0.95, .min_keep = 0.25};
}

ch4_smooth_options ch4_smooth_defaults(double sigma)
{
    return (ch4_smooth_options){.sigma = sigma, .eps = 1e-8, .hold = 1e-4};
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Mean of the two middle values for an even count, 0 for none; sorts value. */
static double median_of(double *value, int64_t n)
{
    if (n == 0)
        return 0;
    qsort(value, (size_t)n, sizeof *value, compare_double);
    return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

static bool finite3(const float *p)
{
    return isfinite(p[0]) && isfinite(p[1]) && isfinite(p[2]);
}

static double displacement(const float *raw, const float *anchor)
{
    double s = 0;
    for (int k = 0; k < 3; k++) {
        double u = (double)raw[k] - (double)anchor[k];
        s += u * u;
    }
    return sqrt(s);
}

ch4_status ch4_tracks_validate(uint8_t *valid, double *median, double *threshold, const float *anchor, const float *raw, int64_t F, int64_t K,
                               int64_t a, double D, const ch4_track_options *opt, ch4_err *err)
{
    double *length = NULL;
    ch4_status st = ch4_calloc(&length, (size_t)K, sizeof *length, "track displacements", err);
    if (st != CH4_OK)
        return st;
    for (int64_t f = 0; f < F; f++) {
        int64_t n = 0;
        if (f == a) {
            median[f] = threshold[f] = 0;
            memset(valid + f * K, 1, (size_t)K);
            continue;
        }
        for (int64_t l = 0; l < K; l++)
            if (finite3(raw + 3 * (f * K + l)))
                length[n++] = displacement(raw + 3 * (f * K + l), anchor + 3 * l);
        median[f] = median_of(length, n);
        threshold[f] = opt->outlier_factor * fmax(median[f], opt->outlier_floor * D);
        for (int64_t l = 0; l < K; l++) {
            const float *p = raw + 3 * (f * K + l);
            double m = displacement(p, anchor + 3 * l);
            valid[f * K + l] = finite3(p) && m <= threshold[f] && m <= opt->outlier_absolute * D;
        }
    }
    free(length);
    return CH4_OK;
}

typedef struct candidate {
    int64_t n_valid, index;
} candidate;

static int compare_candidate(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->n_valid != y->n_valid)
        return x->n_valid > y->n_valid ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

ch4_status ch4_tracks_select(uint8_t *kept, bool *relaxed, const uint8_t *valid, int64_t F, int64_t K, const ch4_track_options *opt, ch4_err *err)
{
    candidate *c = NULL;
    int64_t n_kept = 0, need = ch4_min_i64(K, ch4_max_i64(4, (int64_t)ceil(opt->min_keep * (double)K)));
    ch4_status st = ch4_calloc(&c, (size_t)K, sizeof *c, "landmark selection", err);
    if (st != CH4_OK)
        return st;
    for (int64_t l = 0; l < K; l++) {
        c[l].index = l;
        for (int64_t f = 0; f < F; f++)
            c[l].n_valid += valid[f * K + l];
        kept[l] = (double)c[l].n_valid >= opt->min_valid * (double)F - 1e-9;
        n_kept += kept[l];
    }
    *relaxed = n_kept < need;
    if (*relaxed) {
        qsort(c, (size_t)K, sizeof *c, compare_candidate);
        for (int64_t i = 0; i < K; i++)
            kept[c[i].index] = i < need;
    }
    free(c);
    return CH4_OK;
}

ch4_status ch4_tracks_normalise_scores(double *confidence, double *median_out, const float *score, int64_t F, int64_t K, int64_t a, ch4_err *err)
{
    double *value = NULL, median;
    int64_t n = 0;
    ch4_status st = ch4_calloc(&value, (size_t)(F * K), sizeof *value, "track scores", err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < F * K; i++)
        if (i / K != a && isfinite(score[i]) && score[i] > 0)
            value[n++] = score[i];
    median = median_of(value, n);
    for (int64_t i = 0; i < F * K; i++) {
        double c = n ? (double)score[i] / median : 1;
        confidence[i] = i / K == a ? 1 : c >= 1 ? 1 : c > 0 ? c : 0;
    }
    if (median_out)
        *median_out = median;
    free(value);
    return CH4_OK;
}

void ch4_tracks_weigh(double *weight, const uint8_t *valid, const double *confidence, int64_t F, int64_t K)
{
    for (int64_t i = 0; i < F * K; i++) {
        double c = confidence ? confidence[i] : 1;
        weight[i] = valid[i] ? (c >= 1 ? 1 : c > 0 ? c : 0) : 0;
    }
}

static double kernel(int64_t distance, double sigma)
{
    if (!(sigma > 0))
        return distance == 0;
    double x = (double)distance / sigma;
    return exp(-x * x / 2);
}

/* Displacement and weight of sample j; the anchor's are (0, 1), those of a sample that is not finite (0, 0). */
static double sample(double u[3], const float *anchor, const float *raw, double weight, bool is_anchor)
{
    bool use = !is_anchor && weight > 0 && finite3(raw);
    for (int k = 0; k < 3; k++)
        u[k] = use ? (double)raw[k] - (double)anchor[k] : 0;
    return is_anchor ? 1 : use ? weight : 0;
}

static void smooth_landmark(double *smoothed, const float *anchor, const float *raw, const double *weight, int64_t F, int64_t K, int64_t a,
                            int64_t l, const double *G, const ch4_smooth_options *opt)
{
    for (int64_t f = 0; f < F; f++) {
        double sum[3] = {0}, total = 0, u[3], held[3] = {0};
        int64_t nearest = INT64_MAX;
        for (int64_t j = 0; j < F && f != a; j++) {
            double c = sample(u, anchor + 3 * l, raw + 3 * (j * K + l), weight[j * K + l], j == a);
            int64_t distance = f > j ? f - j : j - f;
            double g = c * G[distance];
            total += g;
            for (int k = 0; k < 3; k++)
                sum[k] += g * u[k];
            if (c > 0 && distance < nearest) {
                nearest = distance;
                for (int k = 0; k < 3; k++)
                    held[k] = u[k];
            }
        }
        for (int k = 0; k < 3; k++) {
            double move = f == a ? 0 : total < opt->hold ? held[k] : sum[k] / (total + opt->eps);
            smoothed[3 * (f * K + l) + k] = (double)anchor[3 * l + k] + move;
        }
    }
}

ch4_status ch4_tracks_smooth(double *smoothed, const float *anchor, const float *raw, const double *weight, int64_t F, int64_t K, int64_t a,
                             const ch4_smooth_options *opt, ch4_err *err)
{
    double *G = NULL;
    ch4_status st = ch4_calloc(&G, (size_t)F, sizeof *G, "track smoothing", err);
    if (st != CH4_OK)
        return st;
    for (int64_t d = 0; d < F; d++)
        G[d] = kernel(d, opt->sigma);
    for (int64_t l = 0; l < K; l++)
        smooth_landmark(smoothed, anchor, raw, weight, F, K, a, l, G, opt);
    free(G);
    return CH4_OK;
}

void ch4_smooth_gain(double *gain, int64_t F, int64_t a, const ch4_smooth_options *opt)
{
    for (int64_t f = 0; f < F; f++) {
        double total = 0;
        for (int64_t j = 0; j < F; j++)
            total += gain[f * F + j] = kernel(f > j ? f - j : j - f, opt->sigma);
        for (int64_t j = 0; j < F; j++)
            gain[f * F + j] = f == a || j == a ? 0 : opt->sigma > 0 ? gain[f * F + j] / (total + opt->eps) : f == j;
    }
}
