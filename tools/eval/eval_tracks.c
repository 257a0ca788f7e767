#include "tools/eval/eval_tracks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/kdtree.h"
#include "mesh/surface_tree.h"

double ch4_eval_mean_all(const ch4_eval_sum *sum) { return sum->n_all ? sum->all / (double)sum->n_all : NAN; }
double ch4_eval_mean_moving(const ch4_eval_sum *sum) { return sum->n_moving ? sum->moving / (double)sum->n_moving : NAN; }

static double distance(const float *a, const float *b)
{
    double s = 0;
    for (int k = 0; k < 3; k++) s += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
    return sqrt(s);
}

ch4_status ch4_eval_add_frame(ch4_eval_sum *sum, const float *estimate, const float *truth, const float *truth0, int64_t n, ch4_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        double d = distance(estimate + 3 * i, truth + 3 * i);
        if (!isfinite(d)) return ch4_err_set(err, CH4_EFORMAT, "point %lld has no finite position", (long long)i);
        sum->all += d;
        sum->n_all++;
        if (distance(truth + 3 * i, truth0 + 3 * i) <= CH4_EVAL_MOVING) continue;
        sum->moving += d;
        sum->n_moving++;
    }
    return CH4_OK;
}

ch4_status ch4_eval_nearest_in_cloud(float *out, const float *anchor, int64_t n, const float *cloud, int64_t n_cloud, ch4_pool *pool, ch4_err *err)
{
    ch4_kdtree *tree = NULL;
    int32_t *index = NULL;
    ch4_status st = ch4_calloc(&index, (size_t)n, sizeof(*index), "nearest points", err);
    if (!st) st = ch4_kdtree_create(&tree, cloud, n_cloud, err);
    if (!st) ch4_kdtree_nearest_all(index, NULL, tree, anchor, n, pool);
    for (int64_t i = 0; !st && i < n; i++) memcpy(out + 3 * i, cloud + 3 * (int64_t)index[i], 3 * sizeof(float));
    ch4_kdtree_destroy(&tree);
    free(index);
    return st;
}

typedef struct surface_search {
    const ch4_surface_tree *tree;
    const float *position;
    float *out, *bary;
    int32_t *face;
    int64_t n;
} surface_search;

enum { CHUNK = 256 };

static void search_chunk(void *ctx, int64_t item, int worker)
{
    (void)worker;
    surface_search *s = ctx;
    int64_t end = ch4_min_i64((item + 1) * CHUNK, s->n);
    for (int64_t i = item * CHUNK; i < end; i++) {
        const double query[3] = {s->position[3 * i], s->position[3 * i + 1], s->position[3 * i + 2]};
        ch4_surface_point p = ch4_surface_tree_nearest(s->tree, query);
        for (int k = 0; k < 3; k++) s->out[3 * i + k] = (float)p.point[k];
        for (int k = 0; s->bary && k < 3; k++) s->bary[3 * i + k] = (float)p.bary[k];
        if (s->face) s->face[i] = (int32_t)p.face;
    }
}

ch4_status ch4_eval_nearest_on_mesh(float *out, int32_t *face, float *bary, const float *position, int64_t n, const float *vert,
                                    const int32_t *faces, int64_t n_face, ch4_pool *pool, ch4_err *err)
{
    ch4_surface_tree *tree = NULL;
    ch4_status st = ch4_surface_tree_create(&tree, vert, faces, n_face, err);
    if (st) return st;
    surface_search s = {tree, position, out, bary, face, n};
    ch4_pool_run(pool, (n + CHUNK - 1) / CHUNK, search_chunk, &s);
    ch4_surface_tree_destroy(&tree);
    return CH4_OK;
}

/* out = a b^T. */
static void times_transposed(double out[9], const double a[9], const double b[9])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) out[3 * i + j] = a[3 * i] * b[3 * j] + a[3 * i + 1] * b[3 * j + 1] + a[3 * i + 2] * b[3 * j + 2];
}

double ch4_eval_rotation_error(const double R[9], const double truth[9])
{
    double d[9];
    times_transposed(d, R, truth);
    double x = d[7] - d[5], y = d[2] - d[6], z = d[3] - d[1]; /* 2 sin(angle) times the axis */
    return atan2(sqrt(x * x + y * y + z * z), d[0] + d[4] + d[8] - 1) * 180 / M_PI;
}

double ch4_eval_relative_rotation_error(const double R[9], const double R0[9], const double truth[9], const double truth0[9])
{
    double a[9], b[9];
    times_transposed(a, R, R0);
    times_transposed(b, truth, truth0);
    return ch4_eval_rotation_error(a, b);
}
