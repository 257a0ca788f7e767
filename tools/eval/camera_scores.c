#include "tools/eval/camera_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/eval_tracks.h"
#include "tools/eval/similarity.h"

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

ch4_status ch4_compute_statistics(ch4_statistics *out, const double *x, int64_t n, ch4_err *err)
{
    double *sorted = NULL;
    *out = (ch4_statistics){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    ch4_status st = n > 0 ? ch4_calloc(&sorted, (size_t)n, sizeof(*sorted), "statistics", err) : CH4_OK;
    if (st || n <= 0) return st;
    memcpy(sorted, x, (size_t)n * sizeof(*x));
    qsort(sorted, (size_t)n, sizeof(*sorted), ascending);
    double sum = 0, squares = 0, spread = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i], squares += x[i] * x[i];
    out->mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) spread += (x[i] - out->mean) * (x[i] - out->mean);
    out->sse = squares, out->rmse = sqrt(squares / (double)n), out->std = sqrt(spread / (double)n);
    out->min = sorted[0], out->max = sorted[n - 1];
    out->median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    free(sorted);
    return CH4_OK;
}

/* A pose as rotation and centre. */
typedef struct pose {
    double R[9], c[3];
} pose;

static pose pose_of(const double m[16])
{
    return (pose){{m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]}, {m[3], m[7], m[11]}};
}

static void multiply(double out[9], const double a[9], const double b[9], bool transpose_a)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            out[3 * i + j] = 0;
            for (int k = 0; k < 3; k++) out[3 * i + j] += (transpose_a ? a[3 * k + i] : a[3 * i + k]) * b[3 * k + j];
        }
}

/* a^-1 b */
static pose between(const pose *a, const pose *b)
{
    pose p;
    double d[3] = {b->c[0] - a->c[0], b->c[1] - a->c[1], b->c[2] - a->c[2]};
    multiply(p.R, a->R, b->R, true);
    for (int k = 0; k < 3; k++) p.c[k] = a->R[k] * d[0] + a->R[3 + k] * d[1] + a->R[6 + k] * d[2];
    return p;
}

static double length(const double x[3]) { return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]); }

static void align_poses(ch4_trajectory_score *out, pose *pred, const pose *gt, double *from, double *to, int64_t n, ch4_trajectory_align align)
{
    ch4_similarity s = {.scale = 1, .R = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
    for (int64_t i = 0; i < n; i++) {
        memcpy(from + 3 * i, pred[i].c, sizeof(pred[i].c));
        memcpy(to + 3 * i, gt[i].c, sizeof(gt[i].c));
    }
    if (align != CH4_TRAJECTORY_NONE) ch4_similarity_fit(&s, from, to, n, align == CH4_TRAJECTORY_SIM3, false);
    for (int64_t i = 0; i < n; i++) {
        double R[9];
        multiply(R, s.R, pred[i].R, false);
        memcpy(pred[i].R, R, sizeof(R));
        ch4_similarity_apply(pred[i].c, &s, pred[i].c, 1);
    }
    out->scale = s.scale;
    memcpy(out->R, s.R, sizeof(s.R));
    memcpy(out->t, s.t, sizeof(s.t));
}

ch4_status ch4_compute_trajectory(ch4_trajectory_score *out, const double *pred, const double *gt, int64_t n, ch4_trajectory_align align, ch4_err *err)
{
    static const double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    pose *p = NULL, *g = NULL;
    double *x = NULL;
    if (n < 2) return ch4_err_set(err, CH4_EINVAL, "a trajectory of %lld poses", (long long)n);
    ch4_status st = ch4_calloc(&p, (size_t)n, sizeof(*p), "poses", err);
    if (!st) st = ch4_calloc(&g, (size_t)n, sizeof(*g), "poses", err);
    if (!st) st = ch4_calloc(&x, (size_t)n, 6 * sizeof(*x), "poses", err);
    for (int64_t i = 0; !st && i < n; i++) p[i] = pose_of(pred + 16 * i), g[i] = pose_of(gt + 16 * i);
    if (!st) align_poses(out, p, g, x, x + 3 * n, n, align);
    double *ate = x, *ate_deg = x + n, *rpe = x + 2 * n, *rpe_deg = x + 3 * n;
    for (int64_t i = 0; !st && i < n; i++) {
        pose e = between(&g[i], &p[i]);
        ate[i] = length(e.c);
        ate_deg[i] = ch4_eval_rotation_error(e.R, identity);
        if (i == 0) continue;
        pose step_g = between(&g[i - 1], &g[i]), step_p = between(&p[i - 1], &p[i]), d = between(&step_g, &step_p);
        rpe[i - 1] = length(d.c);
        rpe_deg[i - 1] = ch4_eval_rotation_error(d.R, identity);
    }
    if (!st) st = ch4_compute_statistics(&out->ate_translation, ate, n, err);
    if (!st) st = ch4_compute_statistics(&out->ate_rotation, ate_deg, n, err);
    if (!st) st = ch4_compute_statistics(&out->rpe_translation, rpe, n - 1, err);
    if (!st) st = ch4_compute_statistics(&out->rpe_rotation, rpe_deg, n - 1, err);
    free(p);
    free(g);
    free(x);
    return st;
}
