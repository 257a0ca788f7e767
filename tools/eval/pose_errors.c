#include "tools/eval/pose_errors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/eval_tracks.h"

const double ch4_pose_auc_limit[CH4_POSE_AUC] = {5, 10, 30};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double ch4_percentile_f64(double *x, int64_t n, double p)
{
    if (n == 0) return NAN;
    qsort(x, (size_t)n, sizeof(*x), ascending);
    double at = p * (double)(n - 1);
    int64_t i = (int64_t)at;
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

double ch4_median_f64(double *x, int64_t n) { return ch4_percentile_f64(x, n, 0.5); }

void ch4_poses_in_gauge(double *out_R, double *out_t, ch4_poses pred, const ch4_similarity *g)
{
    for (int64_t f = 0; f < pred.n; f++) {
        const double *R = pred.R + 9 * f, *t = pred.t + 3 * f;
        double *to = out_R + 9 * f;
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++) to[3 * r + c] = R[3 * r] * g->R[3 * c] + R[3 * r + 1] * g->R[3 * c + 1] + R[3 * r + 2] * g->R[3 * c + 2];
        for (int r = 0; r < 3; r++)
            out_t[3 * f + r] = g->scale * t[r] - (to[3 * r] * g->t[0] + to[3 * r + 1] * g->t[1] + to[3 * r + 2] * g->t[2]);
    }
}

static void centre_of(double c[3], const double *R, const double *t)
{
    for (int k = 0; k < 3; k++) c[k] = -(R[k] * t[0] + R[3 + k] * t[1] + R[6 + k] * t[2]);
}

static double dot3(const double *a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static double angle_between(const double *a, const double *b)
{
    double x[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
    return atan2(sqrt(dot3(x, x)), dot3(a, b)) * 180 / M_PI;
}

/* Rotation vector (degrees) of R truth^T, the error. */
static void error_vector(double out[3], const double *R, const double *truth)
{
    double d[9];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) d[3 * i + j] = dot3(R + 3 * i, truth + 3 * j);
    double x[3] = {d[7] - d[5], d[2] - d[6], d[3] - d[1]}, l = sqrt(dot3(x, x)), angle = ch4_eval_rotation_error(R, truth);
    for (int k = 0; k < 3; k++) out[k] = l > 0 ? x[k] / l * angle : 0;
}

/* Root of the mean squared deviation of n vectors from their mean. */
static double spread(const double *x, int64_t n)
{
    double mean[3] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) mean[k] += x[3 * i + k] / (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) sum += (x[3 * i + k] - mean[k]) * (x[3 * i + k] - mean[k]);
    return sqrt(sum / (double)n);
}

ch4_status ch4_compute_poses(ch4_pose_score *out, ch4_poses pred, ch4_poses truth, ch4_err *err)
{
    int64_t n = truth.n;
    double *rotation = NULL, *vector = NULL, *shift = NULL;
    *out = (ch4_pose_score){0};
    ch4_status st = ch4_calloc(&rotation, (size_t)n, sizeof(*rotation), "poses", err);
    if (!st) st = ch4_calloc(&vector, (size_t)n, 3 * sizeof(*vector), "poses", err);
    if (!st) st = ch4_calloc(&shift, (size_t)n, 3 * sizeof(*shift), "poses", err);
    for (int64_t f = 0; !st && f < n; f++) {
        double c[3], want[3];
        centre_of(c, pred.R + 9 * f, pred.t + 3 * f);
        centre_of(want, truth.R + 9 * f, truth.t + 3 * f);
        for (int k = 0; k < 3; k++) shift[3 * f + k] = c[k] - want[k];
        rotation[f] = ch4_eval_rotation_error(pred.R + 9 * f, truth.R + 9 * f);
        error_vector(vector + 3 * f, pred.R + 9 * f, truth.R + 9 * f);
        double worse = fmax(rotation[f], angle_between(c, want));
        out->rotation_mean += rotation[f] / (double)n;
        out->centre_mean += sqrt(dot3(shift + 3 * f, shift + 3 * f) / dot3(want, want)) / (double)n;
        for (int k = 0; k < CH4_POSE_AUC; k++) out->auc[k] += fmax(0, 1 - worse / ch4_pose_auc_limit[k]) / (double)n;
    }
    if (!st) {
        out->rotation_median = ch4_median_f64(rotation, n);
        out->jitter_rotation = spread(vector, n);
        out->jitter_centre = spread(shift, n);
    }
    free(rotation);
    free(vector);
    free(shift);
    return st;
}
