#include "tools/eval/surface_points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/reference_rng.h"

static void cross_of(double out[3], const float *vert, const int32_t f[3])
{
    const float *a = vert + 3 * (int64_t)f[0], *b = vert + 3 * (int64_t)f[1], *c = vert + 3 * (int64_t)f[2];
    double u[3], v[3];
    for (int k = 0; k < 3; k++) u[k] = (double)b[k] - a[k], v[k] = (double)c[k] - a[k];
    for (int k = 0; k < 3; k++) out[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
}

static double length(const double x[3]) { return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]); }

static void store_normal(float out[3], const float *vert, const int32_t f[3])
{
    double x[3];
    cross_of(x, vert, f);
    double l = length(x);
    for (int k = 0; k < 3; k++) out[k] = l > 0 ? (float)(x[k] / l) : 0;
}

double ch4_surface_area(const float *vert, const int32_t *face, int64_t n_face)
{
    double x[3], sum = 0;
    for (int64_t f = 0; f < n_face; f++) {
        cross_of(x, vert, face + 3 * f);
        sum += length(x) / 2;
    }
    return sum;
}

double ch4_sampling_floor(double area, int64_t n) { return sqrt(area / (double)n); }

/* First index whose sum is not below x, from a guess. */
static int64_t search_left(const double *sum, int64_t n, double x, int64_t guess)
{
    while (guess > 0 && sum[guess - 1] >= x) guess--;
    while (guess < n && sum[guess] < x) guess++;
    return guess < n ? guess : n - 1;
}

/* guide[k]: about where the k-th of n equal parts of the whole area begins, so that a search needs a step or two. */
static void fill_guide(int32_t *guide, const double *sum, int64_t n)
{
    int64_t at = 0;
    for (int64_t k = 0; k < n; k++) {
        while (at < n - 1 && sum[at] < sum[n - 1] * (double)k / (double)n) at++;
        guide[k] = (int32_t)at;
    }
}

/* Areas summed up, in *total too, and unit normals (may be NULL) of the faces. */
static void prepare_faces(double *sum, float *normal, double *total, const float *vert, const int32_t *face, int64_t n_face)
{
    double x[3];
    *total = 0;
    for (int64_t f = 0; f < n_face; f++) {
        cross_of(x, vert, face + 3 * f);
        sum[f] = *total += length(x) / 2;
        if (normal) store_normal(normal + 3 * f, vert, face + 3 * f);
    }
}

ch4_status ch4_sample_surface(float *point, float *normal, int64_t n, const float *vert, const int32_t *face, int64_t n_face, uint64_t seed, ch4_err *err)
{
    double *sum = NULL, total = 0;
    float *face_normal = NULL;
    int32_t *face_of = NULL, *guide = NULL;
    ch4_pcg64 g;
    ch4_status st = ch4_calloc(&sum, (size_t)n_face, sizeof(*sum), "areas", err);
    if (!st) st = ch4_calloc(&face_of, (size_t)n, sizeof(*face_of), "faces", err);
    if (!st) st = ch4_calloc(&guide, (size_t)n_face, sizeof(*guide), "areas", err);
    if (!st && normal) st = ch4_calloc(&face_normal, (size_t)n_face, 3 * sizeof(*face_normal), "normals", err);
    if (!st) prepare_faces(sum, face_normal, &total, vert, face, n_face);
    if (!st && !(total > 0 && isfinite(total))) st = ch4_err_set(err, CH4_EFORMAT, "the mesh has no area to sample points on");
    if (!st) fill_guide(guide, sum, n_face);
    ch4_pcg64_seed(&g, seed);
    for (int64_t i = 0; !st && i < n; i++) {
        double u = ch4_pcg64_uniform(&g);
        face_of[i] = (int32_t)search_left(sum, n_face, u * total, guide[(int64_t)(u * (double)n_face)]);
    }
    for (int64_t i = 0; !st && i < n; i++) {
        const int32_t *t = face + 3 * (int64_t)face_of[i];
        const float *pa = vert + 3 * (int64_t)t[0], *pb = vert + 3 * (int64_t)t[1], *pc = vert + 3 * (int64_t)t[2];
        double u = ch4_pcg64_uniform(&g), v = ch4_pcg64_uniform(&g);
        if (u + v > 1) u = fabs(u - 1), v = fabs(v - 1);
        for (int k = 0; k < 3; k++) {
            double a = pa[k], b = pb[k], c = pc[k];
            point[3 * i + k] = (float)(a + (u * (b - a) + v * (c - a)));
        }
        if (normal) memcpy(normal + 3 * i, face_normal + 3 * (int64_t)face_of[i], 3 * sizeof(float));
    }
    free(sum);
    free(face_of);
    free(guide);
    free(face_normal);
    return st;
}

ch4_status ch4_sample_faces(int32_t *face_of, float *bary, int64_t n, const float *vert, const int32_t *face, int64_t n_face, uint32_t seed, ch4_err *err)
{
    float *area = NULL;
    double total = 0;
    ch4_mt19937 g;
    ch4_status st = ch4_calloc(&area, (size_t)n_face, 2 * sizeof(*area), "areas", err);
    for (int64_t f = 0; !st && f < n_face; f++) {
        const float *a = vert + 3 * (int64_t)face[3 * f], *b = vert + 3 * (int64_t)face[3 * f + 1], *c = vert + 3 * (int64_t)face[3 * f + 2];
        float u[3], v[3], x[3]; /* float32 as in the reference: the cumulated sums decide which face is drawn */
        for (int k = 0; k < 3; k++) u[k] = b[k] - a[k], v[k] = c[k] - a[k];
        for (int k = 0; k < 3; k++) x[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
        area[f] = sqrtf(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]) / 2;
        total += area[f];
    }
    if (!st && !(total > 0)) st = ch4_err_set(err, CH4_EFORMAT, "the mesh has no area to sample points on");
    if (!st) {
        ch4_mt19937_seed(&g, seed);
        ch4_torch_multinomial(face_of, n, area, n_face, area + n_face, &g);
        for (int64_t i = 0; i < n; i++) bary[3 * i] = ch4_torch_uniform24(&g);
        for (int64_t i = 0; i < n; i++) {
            float root = sqrtf(bary[3 * i]), v = ch4_torch_uniform24(&g);
            bary[3 * i] = 1 - root, bary[3 * i + 1] = root * (1 - v), bary[3 * i + 2] = root * v;
        }
    }
    free(area);
    return st;
}

void ch4_place_samples(float *point, float *normal, const int32_t *face_of, const float *bary, int64_t n, const float *vert, const int32_t *face)
{
    for (int64_t i = 0; i < n; i++) {
        const int32_t *t = face + 3 * (int64_t)face_of[i];
        for (int k = 0; k < 3; k++)
            point[3 * i + k] = bary[3 * i] * vert[3 * (int64_t)t[0] + k] + bary[3 * i + 1] * vert[3 * (int64_t)t[1] + k] + bary[3 * i + 2] * vert[3 * (int64_t)t[2] + k];
        if (normal) store_normal(normal + 3 * i, vert, t);
    }
}
