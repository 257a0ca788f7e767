#include "tools/eval/chamfer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/cloud_index.h"
#include "tools/eval/reference_rng.h"

ch4_status ch4_cloud_distances(double *distance, int32_t *to_b, const float *a, int64_t n_a, const float *b, int64_t n_b, ch4_pool *pool, ch4_err *err)
{
    ch4_cloud_index *index = NULL;
    ch4_status st = ch4_cloud_index_create(&index, b, n_b, err);
    if (!st) st = ch4_cloud_nearest(to_b, distance, index, a, n_a, pool, err);
    ch4_cloud_index_destroy(&index);
    return st;
}

double ch4_mean_f64(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return n ? sum / (double)n : NAN;
}

/* Mean distance of (a subset of) a to b. */
static ch4_status one_way(double *mean, const float *a, int64_t n_a, const float *b, int64_t n_b, int64_t n_query, uint32_t seed, ch4_pool *pool, ch4_err *err)
{
    float *subset = NULL;
    int32_t *order = NULL;
    double *distance = NULL;
    int64_t n = n_query > 0 && n_query < n_a ? n_query : n_a;
    ch4_status st = ch4_calloc(&distance, (size_t)n, sizeof(*distance), "distances", err);
    if (!st && n < n_a) st = ch4_calloc(&subset, (size_t)n, 3 * sizeof(*subset), "subset", err);
    if (!st && n < n_a) st = ch4_calloc(&order, (size_t)n_a, sizeof(*order), "subset", err);
    if (!st && n < n_a) {
        ch4_numpy_permutation(order, n_a, seed);
        for (int64_t i = 0; i < n; i++) memcpy(subset + 3 * i, a + 3 * (int64_t)order[i], 3 * sizeof(float));
    }
    if (!st) st = ch4_cloud_distances(distance, NULL, subset ? subset : a, n, b, n_b, pool, err);
    if (!st) *mean = ch4_mean_f64(distance, n);
    free(subset);
    free(order);
    free(distance);
    return st;
}

ch4_status ch4_chamfer(double *cd, const float *pred, int64_t n_pred, const float *gt, int64_t n_gt, int64_t n_query, uint32_t seed, ch4_pool *pool,
                       ch4_err *err)
{
    double there = 0, back = 0;
    ch4_status st = one_way(&there, pred, n_pred, gt, n_gt, n_query, seed, pool, err);
    if (!st) st = one_way(&back, gt, n_gt, pred, n_pred, n_query, seed + 1, pool, err);
    if (!st) *cd = there + back;
    return st;
}

static ch4_status mean_of_subset(double *mean, const double *distance, int64_t n_all, int64_t n_query, uint32_t seed, ch4_err *err)
{
    int32_t *order = NULL;
    double sum = 0;
    *mean = ch4_mean_f64(distance, n_all);
    if (n_query <= 0 || n_query >= n_all) return CH4_OK;
    ch4_status st = ch4_calloc(&order, (size_t)n_all, sizeof(*order), "subset", err);
    if (st) return st;
    ch4_numpy_permutation(order, n_all, seed);
    for (int64_t i = 0; i < n_query; i++) sum += distance[order[i]];
    *mean = sum / (double)n_query;
    free(order);
    return CH4_OK;
}

ch4_status ch4_chamfer_of_distances(double *cd, const double *pred_distance, int64_t n_pred, const double *gt_distance, int64_t n_gt, int64_t n_query,
                                    uint32_t seed, ch4_err *err)
{
    double there = 0, back = 0;
    ch4_status st = mean_of_subset(&there, pred_distance, n_pred, n_query, seed, err);
    if (!st) st = mean_of_subset(&back, gt_distance, n_gt, n_query, seed + 1, err);
    *cd = there + back;
    return st;
}

static double partner_mean(const float *a, int64_t n_a, const float *b, const int32_t *partner)
{
    double sum = 0;
    for (int64_t i = 0; i < n_a; i++) {
        const float *p = a + 3 * i, *q = b + 3 * (int64_t)partner[i];
        double x = (double)p[0] - q[0], y = (double)p[1] - q[1], z = (double)p[2] - q[2];
        sum += sqrt(x * x + y * y + z * z);
    }
    return sum / (double)n_a;
}

ch4_status ch4_chamfer_motion(double *cd, double *frame, const float *pred, int64_t n_pred, const float *gt, int64_t n_gt, int64_t n_frames,
                              ch4_pool *pool, ch4_err *err)
{
    int32_t *to_gt = NULL, *to_pred = NULL;
    ch4_status st = ch4_calloc(&to_gt, (size_t)n_pred, sizeof(*to_gt), "partners", err);
    if (!st) st = ch4_calloc(&to_pred, (size_t)n_gt, sizeof(*to_pred), "partners", err);
    if (!st) st = ch4_cloud_distances(NULL, to_gt, pred, n_pred, gt, n_gt, pool, err);
    if (!st) st = ch4_cloud_distances(NULL, to_pred, gt, n_gt, pred, n_pred, pool, err);
    double sum = 0;
    for (int64_t k = 0; !st && k < n_frames; k++) {
        const float *p = pred + k * n_pred * 3, *g = gt + k * n_gt * 3;
        double d = partner_mean(p, n_pred, g, to_gt) + partner_mean(g, n_gt, p, to_pred);
        if (frame) frame[k] = d;
        sum += d;
    }
    if (!st) *cd = sum / (double)n_frames;
    free(to_gt);
    free(to_pred);
    return st;
}

/* --- shape ---------------------------------------------------------------------------------------------------------------------------- */

static void normal_means(double *absolute, double *with_sign, const float *a, int64_t n, const float *b, const int32_t *partner)
{
    double sum = 0, sum_signed = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *p = a + 3 * i, *q = b + 3 * (int64_t)partner[i];
        double dot = (double)p[0] * q[0] + (double)p[1] * q[1] + (double)p[2] * q[2];
        sum += fabs(dot);
        sum_signed += dot;
    }
    *absolute = sum / (double)n;
    *with_sign = sum_signed / (double)n;
}

static double mean_square(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum / (double)n;
}

ch4_status ch4_compute_shape_score(ch4_shape_score *out, double *pred_distance, double *gt_distance, const float *pred, const float *pred_normal, int64_t n_pred,
                                   const float *gt, const float *gt_normal, int64_t n_gt, ch4_pool *pool, ch4_err *err)
{
    int32_t *to_gt = NULL, *to_pred = NULL;
    *out = (ch4_shape_score){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    ch4_status st = ch4_calloc(&to_gt, (size_t)n_pred, sizeof(*to_gt), "partners", err);
    if (!st) st = ch4_calloc(&to_pred, (size_t)n_gt, sizeof(*to_pred), "partners", err);
    if (!st) st = ch4_cloud_distances(pred_distance, to_gt, pred, n_pred, gt, n_gt, pool, err);
    if (!st) st = ch4_cloud_distances(gt_distance, to_pred, gt, n_gt, pred, n_pred, pool, err);
    if (!st) {
        out->accuracy = ch4_mean_f64(pred_distance, n_pred), out->completeness = ch4_mean_f64(gt_distance, n_gt);
        out->accuracy2 = mean_square(pred_distance, n_pred), out->completeness2 = mean_square(gt_distance, n_gt);
    }
    if (!st && pred_normal && gt_normal) {
        normal_means(&out->normal_accuracy, &out->normal_accuracy_signed, pred_normal, n_pred, gt_normal, to_gt);
        normal_means(&out->normal_completeness, &out->normal_completeness_signed, gt_normal, n_gt, pred_normal, to_pred);
    }
    free(to_gt);
    free(to_pred);
    return st;
}

static double share_within(const double *distance, int64_t n, double threshold)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += distance[i] <= threshold;
    return (double)count / (double)n;
}

double ch4_fscore(const double *pred_distance, int64_t n_pred, const double *gt_distance, int64_t n_gt, double threshold)
{
    double p = share_within(pred_distance, n_pred, threshold), r = share_within(gt_distance, n_gt, threshold);
    return p + r > 0 ? 2 * p * r / (p + r) : 0;
}

double ch4_occupancy_iou(const uint8_t *a, const uint8_t *b, int64_t n)
{
    int64_t both = 0, any = 0;
    for (int64_t i = 0; i < n; i++) {
        both += a[i] && b[i];
        any += a[i] || b[i];
    }
    return any ? (double)both / (double)any : NAN;
}

/* --- a mesh with itself ----------------------------------------------------------------------------------------------------------------- */

typedef struct half_edge {
    int32_t lo, hi, apex;
} half_edge;

static int by_ends(const void *pa, const void *pb)
{
    const half_edge *a = pa, *b = pb;
    return a->lo != b->lo ? (a->lo < b->lo ? -1 : 1) : a->hi != b->hi ? (a->hi < b->hi ? -1 : 1) : 0;
}

/* Normal of the triangle (lo, hi, apex): the winding of the face does not enter, as in PyTorch3D. */
static void edge_normal(double out[3], const float *vert, const half_edge *e)
{
    double u[3], v[3];
    for (int k = 0; k < 3; k++) {
        double at = vert[3 * (int64_t)e->lo + k];
        u[k] = vert[3 * (int64_t)e->hi + k] - at;
        v[k] = vert[3 * (int64_t)e->apex + k] - at;
    }
    for (int k = 0; k < 3; k++) out[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
}

/* Two faces on either side of the edge have opposite (lo, hi, apex) normals when they lie flat. */
static double pair_cosine(const float *vert, const half_edge *a, const half_edge *b)
{
    double n[3], m[3], dot = 0, nn = 0, mm = 0;
    edge_normal(n, vert, a);
    edge_normal(m, vert, b);
    for (int k = 0; k < 3; k++) dot -= n[k] * m[k], nn += n[k] * n[k], mm += m[k] * m[k];
    return dot / (fmax(sqrt(nn), 1e-8) * fmax(sqrt(mm), 1e-8));
}

ch4_status ch4_mesh_self_consistency(double *out, const float *vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    half_edge *e = NULL;
    ch4_status st = ch4_calloc(&e, (size_t)n_face, 3 * sizeof(*e), "edges", err);
    if (st) return st;
    for (int64_t i = 0; i < 3 * n_face; i++) {
        int32_t a = face[i], b = face[i / 3 * 3 + (i % 3 + 1) % 3], c = face[i / 3 * 3 + (i % 3 + 2) % 3];
        e[i] = (half_edge){a < b ? a : b, a < b ? b : a, c};
    }
    qsort(e, (size_t)(3 * n_face), sizeof(*e), by_ends);
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < 3 * n_face; i++)
        for (int64_t j = i + 1; j < 3 * n_face && by_ends(&e[i], &e[j]) == 0; j++) {
            sum += pair_cosine(vert, &e[i], &e[j]);
            count++;
        }
    *out = count ? sum / (double)count : NAN;
    free(e);
    return CH4_OK;
}
