#include "mesh/fps.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/lanes.h"
#include "base/size.h"
#include "mesh/vec_impl.h"

enum { BLOCK = 16 * CH4_LANES };

/* Coordinates by axis, padded to whole blocks with points of gain 0; scores are compared as squares, which keeps their order. */
typedef struct cloud {
    int64_t n, n_block;
    double *x, *y, *z;
    double *gain2, *nearest; /* squared gain, squared distance to the picked points */
    double *memory;
} cloud;

static ch4_status cloud_init(cloud *c, const float *point, int64_t n, const double *gain, ch4_err *err)
{
    int64_t n_block = (n + BLOCK - 1) / BLOCK, room = n_block * BLOCK;
    *c = (cloud){.n = n, .n_block = n_block};
    ch4_status st = ch4_calloc(&c->memory, 5 * (size_t)room, sizeof *c->memory, "farthest point sampling", err);
    if (st != CH4_OK)
        return st;
    c->x = c->memory;
    c->y = c->x + room;
    c->z = c->y + room;
    c->gain2 = c->z + room;
    c->nearest = c->gain2 + room;
    for (int64_t i = 0; i < n; i++) {
        c->x[i] = point[3 * i];
        c->y[i] = point[3 * i + 1];
        c->z[i] = point[3 * i + 2];
        c->gain2[i] = gain ? gain[i] * gain[i] : 1;
        c->nearest[i] = INFINITY;
    }
    return CH4_OK;
}

/* Updates one block for a new picked point and returns its largest score. */
static double update_block(cloud *c, int64_t block, const double at[3])
{
    int64_t begin = block * BLOCK;
    const ch4_lanes *x = (const ch4_lanes *)(c->x + begin), *y = (const ch4_lanes *)(c->y + begin), *z = (const ch4_lanes *)(c->z + begin);
    const ch4_lanes *gain2 = (const ch4_lanes *)(c->gain2 + begin);
    ch4_lanes *nearest = (ch4_lanes *)(c->nearest + begin), best = {0};
    for (int i = 0; i < BLOCK / CH4_LANES; i++) {
        ch4_lanes dx = x[i] - at[0], dy = y[i] - at[1], dz = z[i] - at[2];
        ch4_lanes d2 = dx * dx + dy * dy + dz * dz;
        d2 = ch4_lanes_select(d2 < nearest[i], d2, nearest[i]);
        nearest[i] = d2;
        ch4_lanes score = d2 * gain2[i];
        best = ch4_lanes_select(score > best, score, best);
    }
    double top = best[0];
    for (int i = 1; i < CH4_LANES; i++)
        top = best[i] > top ? best[i] : top;
    return top;
}

/* Adds point p; answers the lowest index of the largest remaining score (squared, in *score), -1 if all scores are 0. */
static int64_t pick(cloud *c, int64_t p, double *score)
{
    double at[3] = {c->x[p], c->y[p], c->z[p]}, best = 0;
    int64_t block = -1;
    for (int64_t b = 0; b < c->n_block; b++) {
        double top = update_block(c, b, at);
        if (top > best) {
            best = top;
            block = b;
        }
    }
    *score = best;
    if (block < 0)
        return -1;
    int64_t i = block * BLOCK;
    while (c->nearest[i] * c->gain2[i] != best)
        i++;
    return i;
}

ch4_status ch4_fps_points(int32_t *index, int64_t *n_index, double *remaining, const float *point, int64_t n_point, const double *gain,
                          int64_t start, int64_t n_pick, ch4_err *err)
{
    *n_index = 0;
    if (remaining)
        *remaining = 0;
    if (n_pick < 0 || n_pick > n_point)
        return ch4_err_set(err, CH4_EINVAL, "farthest point sampling: %" PRId64 " of %" PRId64 " points", n_pick, n_point);
    if (n_pick == 0)
        return CH4_OK;
    if (start < 0 || start >= n_point)
        return ch4_err_set(err, CH4_EINVAL, "farthest point sampling: start %" PRId64 " of %" PRId64 " points", start, n_point);
    cloud c;
    ch4_status st = cloud_init(&c, point, n_point, gain, err);
    if (st != CH4_OK)
        return st;
    double score = 0;
    int64_t next = start;
    while (next >= 0 && *n_index < n_pick) {
        index[(*n_index)++] = (int32_t)next;
        next = pick(&c, next, &score);
    }
    if (remaining)
        *remaining = sqrt(score);
    free(c.memory);
    return CH4_OK;
}

/* The candidate farthest from the mean of the candidates, by unboosted distance. */
static int64_t first_landmark(const float *point, int64_t n)
{
    v3 mean = {0, 0, 0};
    for (int64_t i = 0; i < n; i++)
        mean = v3_add(mean, v3_at(point, i));
    mean = v3_scale(mean, 1.0 / (double)n);
    int64_t best = 0;
    double best_d2 = -1;
    for (int64_t i = 0; i < n; i++) {
        v3 d = v3_sub(v3_at(point, i), mean);
        if (v3_dot(d, d) > best_d2) {
            best_d2 = v3_dot(d, d);
            best = i;
        }
    }
    return best;
}

ch4_status ch4_fps_mesh(int32_t *index, int64_t *n_index, double *remaining, const float *vert, const ch4_mesh_graph *g, const double *boost,
                        double alpha, int64_t n_pick, ch4_err *err)
{
    float *point = NULL;
    double *gain = NULL;
    int32_t *candidate = NULL;
    int64_t n = 0;
    *n_index = 0;
    if (remaining)
        *remaining = 0;
    ch4_status st = ch4_calloc(&point, (size_t)g->n_vert, 3 * sizeof *point, "landmark candidates", err);
    if (st == CH4_OK)
        st = ch4_calloc(&gain, (size_t)g->n_vert, sizeof *gain, "landmark candidates", err);
    if (st == CH4_OK)
        st = ch4_calloc(&candidate, (size_t)g->n_vert, sizeof *candidate, "landmark candidates", err);
    if (st != CH4_OK)
        goto out;
    for (int64_t v = 0; v < g->n_vert; v++) {
        if (g->rep[v] != v || ch4_mesh_graph_unused(g, v))
            continue;
        memcpy(point + 3 * n, vert + 3 * v, 3 * sizeof *point);
        gain[n] = 1 + (boost ? alpha * boost[v] : 0);
        candidate[n++] = (int32_t)v;
    }
    if (n > 0)
        st = ch4_fps_points(index, n_index, remaining, point, n, gain, first_landmark(point, n), ch4_min_i64(n_pick, n), err);
    for (int64_t i = 0; i < *n_index; i++)
        index[i] = candidate[index[i]];
out:
    free(point);
    free(gain);
    free(candidate);
    return st;
}
