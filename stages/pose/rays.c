#include "stages/pose/rays.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAF = 4, MAX_DEPTH = 64 };

typedef struct node {
    double lo[3], hi[3];
    int32_t first, count; /* leaf: faces order[first .. first+count); inner node: count 0, children first and first + 1 */
} node;

struct ch4_raymesh {
    double *v;      /* [n_vert,3] */
    int32_t *f;     /* [n_face,3] */
    int32_t *order; /* live faces, grouped by leaf */
    node *nodes;
    int64_t n_nodes, n_live;
};

static void sub3(double out[3], const double a[3], const double b[3])
{
    for (int i = 0; i < 3; i++)
        out[i] = a[i] - b[i];
}

static void cross3(double out[3], const double a[3], const double b[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static double dot3(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* --- the tree ------------------------------------------------------------------------------------------------------------- */

static double altitude(const double *a, const double *b, const double *c)
{
    double e1[3], e2[3], e3[3], n[3];
    sub3(e1, b, a);
    sub3(e2, c, a);
    sub3(e3, c, b);
    cross3(n, e1, e2);
    double longest = sqrt(fmax(dot3(e1, e1), fmax(dot3(e2, e2), dot3(e3, e3))));
    return longest > 0 ? sqrt(dot3(n, n)) / longest : 0;
}

typedef struct key {
    double centre[3];
    int32_t face;
} key;

static int by_axis(const void *a, const void *b, void *axis)
{
    const key *x = a, *y = b;
    int k = *(const int *)axis;
    if (x->centre[k] != y->centre[k])
        return x->centre[k] < y->centre[k] ? -1 : 1;
    return (x->face > y->face) - (x->face < y->face);
}

/* Box of the faces, a little larger than they are: a hit may lie 1e-9 of an edge outside its face. */
static void bound(node *n, const ch4_raymesh *m, const key *keys, int64_t count, double margin)
{
    for (int k = 0; k < 3; k++) {
        n->lo[k] = DBL_MAX;
        n->hi[k] = -DBL_MAX;
    }
    for (int64_t i = 0; i < count; i++)
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 3; k++) {
                double x = m->v[3 * (int64_t)m->f[3 * (int64_t)keys[i].face + c] + k];
                n->lo[k] = fmin(n->lo[k], x - margin);
                n->hi[k] = fmax(n->hi[k], x + margin);
            }
}

/* Median split along the longest side of the box. Depth is log2 of the number of faces. */
static void build(ch4_raymesh *m, int64_t index, key *keys, int64_t first, int64_t count, double margin)
{
    node *n = &m->nodes[index];
    bound(n, m, keys + first, count, margin);
    if (count <= LEAF) {
        n->first = (int32_t)first;
        n->count = (int32_t)count;
        return;
    }
    int axis = 0;
    for (int k = 1; k < 3; k++)
        if (n->hi[k] - n->lo[k] > n->hi[axis] - n->lo[axis])
            axis = k;
    qsort_r(keys + first, (size_t)count, sizeof *keys, by_axis, &axis);
    int64_t child = m->n_nodes, half = count / 2;
    m->n_nodes += 2;
    n->first = (int32_t)child;
    n->count = 0;
    build(m, child, keys, first, half, margin);
    build(m, child + 1, keys, first + half, count - half, margin);
}

static ch4_status copy_mesh(ch4_raymesh *m, double *diagonal, const float *vertices, int64_t n_vert, const int32_t *faces, int64_t n_face,
                            ch4_err *err)
{
    double lo[3] = {DBL_MAX, DBL_MAX, DBL_MAX}, hi[3] = {-DBL_MAX, -DBL_MAX, -DBL_MAX};
    for (int64_t i = 0; i < 3 * n_vert; i++) {
        if (!isfinite(vertices[i]))
            return ch4_err_set(err, CH4_EINVAL, "vertex %lld is not finite", (long long)(i / 3));
        m->v[i] = vertices[i];
        lo[i % 3] = fmin(lo[i % 3], m->v[i]);
        hi[i % 3] = fmax(hi[i % 3], m->v[i]);
    }
    for (int64_t i = 0; i < 3 * n_face; i++)
        if (faces[i] < 0 || faces[i] >= n_vert)
            return ch4_err_set(err, CH4_EINVAL, "face %lld names vertex %d of %lld", (long long)(i / 3), (int)faces[i], (long long)n_vert);
    memcpy(m->f, faces, (size_t)n_face * 3 * sizeof *faces);
    double d[3];
    sub3(d, hi, lo);
    *diagonal = n_vert ? sqrt(dot3(d, d)) : 0;
    return CH4_OK;
}

static int64_t collect_live(key *keys, const ch4_raymesh *m, int64_t n_face, double diagonal)
{
    int64_t live = 0;
    for (int64_t i = 0; i < n_face; i++) {
        const double *a = m->v + 3 * (int64_t)m->f[3 * i], *b = m->v + 3 * (int64_t)m->f[3 * i + 1], *c = m->v + 3 * (int64_t)m->f[3 * i + 2];
        if (!(altitude(a, b, c) > 1e-6 * diagonal))
            continue;
        for (int k = 0; k < 3; k++)
            keys[live].centre[k] = (a[k] + b[k] + c[k]) / 3;
        keys[live++].face = (int32_t)i;
    }
    return live;
}

ch4_status ch4_raymesh_create(ch4_raymesh **out, const float *vertices, int64_t n_vert, const int32_t *faces, int64_t n_face, ch4_err *err)
{
    ch4_raymesh *m = NULL;
    key *keys = NULL;
    double diagonal = 0;
    *out = NULL;
    if (n_vert < 0 || n_face < 0 || n_face > INT32_MAX / 4)
        return ch4_err_set(err, CH4_EINVAL, "%lld vertices, %lld faces: out of range", (long long)n_vert, (long long)n_face);
    ch4_status st = ch4_calloc(&m, 1, sizeof *m, "ray mesh", err);
    if (st != CH4_OK)
        return st;
    if ((st = ch4_calloc(&m->v, (size_t)n_vert * 3, sizeof *m->v, "ray mesh", err)) ||
        (st = ch4_calloc(&m->f, (size_t)n_face * 3, sizeof *m->f, "ray mesh", err)) ||
        (st = ch4_calloc(&m->order, (size_t)n_face, sizeof *m->order, "ray mesh", err)) ||
        (st = ch4_calloc(&m->nodes, (size_t)n_face * 2 + 1, sizeof *m->nodes, "ray mesh", err)) ||
        (st = ch4_calloc(&keys, (size_t)n_face, sizeof *keys, "ray mesh", err)) ||
        (st = copy_mesh(m, &diagonal, vertices, n_vert, faces, n_face, err)))
        goto out;
    m->n_live = collect_live(keys, m, n_face, diagonal);
    m->n_nodes = 1;
    if (m->n_live > 0)
        build(m, 0, keys, 0, m->n_live, 1e-6 * diagonal);
    for (int64_t i = 0; i < m->n_live; i++)
        m->order[i] = keys[i].face;
    *out = m;
    m = NULL;
out:
    free(keys);
    ch4_raymesh_destroy(&m);
    return st;
}

void ch4_raymesh_destroy(ch4_raymesh **m)
{
    if (!m || !*m)
        return;
    free((*m)->v);
    free((*m)->f);
    free((*m)->order);
    free((*m)->nodes);
    free(*m);
    *m = NULL;
}

/* --- casting -------------------------------------------------------------------------------------------------------------- */

static bool intersect(const ch4_raymesh *m, int32_t face, const double o[3], const double d[3], ch4_hit *out)
{
    const int32_t *f = m->f + 3 * (int64_t)face;
    const double *a = m->v + 3 * (int64_t)f[0];
    double e1[3], e2[3], n[3], p[3], s[3], q[3];
    sub3(e1, m->v + 3 * (int64_t)f[1], a);
    sub3(e2, m->v + 3 * (int64_t)f[2], a);
    cross3(n, e1, e2);
    if (fabs(dot3(d, n)) <= 1e-12 * sqrt(dot3(n, n)) * sqrt(dot3(d, d)))
        return false;
    cross3(p, d, e2);
    double det = dot3(e1, p);
    sub3(s, o, a);
    double u = dot3(s, p) / det;
    cross3(q, s, e1);
    double v = dot3(d, q) / det, t = dot3(e2, q) / det, w = 1 - u - v;
    if (!(u >= -1e-9 && v >= -1e-9 && w >= -1e-9 && t > 1e-9))
        return false;
    u = fmax(u, 0);
    v = fmax(v, 0);
    w = fmax(w, 0);
    double sum = u + v + w;
    *out = (ch4_hit){.face = face, .bary = {w / sum, u / sum, v / sum}, .depth = t};
    return true;
}

/* Entry of the ray into the box, or infinity. A direction component of zero gives infinities of the right sign, or NaN when the ray
 * runs inside the plane of a side: fmin and fmax ignore a NaN. */
static double enter_box(const node *n, const double o[3], const double inv[3])
{
    double t0 = 0, t1 = DBL_MAX;
    for (int k = 0; k < 3; k++) {
        double a = (n->lo[k] - o[k]) * inv[k], b = (n->hi[k] - o[k]) * inv[k];
        t0 = fmax(t0, fmin(a, b));
        t1 = fmin(t1, fmax(a, b));
    }
    return t0 <= t1 ? t0 : INFINITY;
}

/* Visits the faces whose box the ray enters at no more than *limit; visit may lower *limit. */
static void walk(const ch4_raymesh *m, const double o[3], const double d[3], const double *limit, void (*visit)(void *, const ch4_hit *), void *ctx)
{
    double inv[3] = {1 / d[0], 1 / d[1], 1 / d[2]};
    int32_t stack[MAX_DEPTH];
    int top = 0;
    if (m->n_live > 0)
        stack[top++] = 0;
    while (top > 0) {
        const node *n = &m->nodes[stack[--top]];
        ch4_hit hit;
        if (!(enter_box(n, o, inv) <= *limit))
            continue;
        for (int32_t i = 0; i < n->count; i++)
            if (intersect(m, m->order[n->first + i], o, d, &hit))
                visit(ctx, &hit);
        if (n->count == 0) {
            double l = enter_box(&m->nodes[n->first], o, inv), r = enter_box(&m->nodes[n->first + 1], o, inv);
            stack[top++] = n->first + (l <= r); /* the nearer child is popped first */
            stack[top++] = n->first + !(l <= r);
        }
    }
}

typedef struct nearest {
    ch4_hit best;
    double limit; /* of the depths still of interest */
} nearest;

static void keep_nearest(void *ctx, const ch4_hit *hit)
{
    nearest *n = ctx;
    if (hit->depth < n->limit) {
        n->best = *hit;
        n->limit = hit->depth;
    }
}

static void keep_lowest_face(void *ctx, const ch4_hit *hit)
{
    nearest *n = ctx;
    if (hit->depth <= n->limit && hit->face < n->best.face)
        n->best = *hit;
}

ch4_hit ch4_raymesh_cast(const ch4_raymesh *m, const double origin[3], const double direction[3])
{
    nearest n = {.best = {.face = -1}, .limit = DBL_MAX};
    walk(m, origin, direction, &n.limit, keep_nearest, &n);
    if (n.best.face < 0)
        return n.best;
    /* ties are settled over all faces once the nearest depth is known, so the order of the tree cannot matter */
    n.limit += 1e-9 * fmax(1, n.limit);
    walk(m, origin, direction, &n.limit, keep_lowest_face, &n);
    return n.best;
}

void ch4_camera_ray(double origin[3], double direction[3], ch4_intrinsics k, const ch4_rigid *pose, double x, double y)
{
    double dc[3] = {(x - k.cx) / k.fx, (y - k.cy) / k.fy, 1};
    for (int i = 0; i < 3; i++) {
        origin[i] = -(pose->R[i] * pose->t[0] + pose->R[3 + i] * pose->t[1] + pose->R[6 + i] * pose->t[2]);
        direction[i] = pose->R[i] * dc[0] + pose->R[3 + i] * dc[1] + pose->R[6 + i] * dc[2];
    }
}

typedef struct cast_job {
    const ch4_raymesh *m;
    ch4_hit *out;
    const double *points;
    int64_t n;
    ch4_intrinsics k;
    const ch4_rigid *pose;
} cast_job;

enum { RAYS_PER_ITEM = 256 };

static void cast_item(void *ctx, int64_t item, int worker)
{
    const cast_job *j = ctx;
    (void)worker;
    int64_t end = ch4_min_i64(j->n, (item + 1) * RAYS_PER_ITEM);
    for (int64_t i = item * RAYS_PER_ITEM; i < end; i++) {
        double o[3], d[3];
        ch4_camera_ray(o, d, j->k, j->pose, j->points[2 * i], j->points[2 * i + 1]);
        j->out[i] = ch4_raymesh_cast(j->m, o, d);
    }
}

void ch4_raymesh_cast_pixels(const ch4_raymesh *m, ch4_hit *out, const double *points, int64_t n, ch4_intrinsics k, const ch4_rigid *pose,
                             ch4_pool *pool)
{
    cast_job job = {.m = m, .out = out, .points = points, .n = n, .k = k, .pose = pose};
    ch4_pool_run(pool, (n + RAYS_PER_ITEM - 1) / RAYS_PER_ITEM, cast_item, &job);
}

void ch4_track_frame(double *xyz, double *uv, const int32_t *face, const double *bary, int64_t q, const float *vertices, int64_t n_vert,
                     const int32_t *faces, int64_t n_face, ch4_intrinsics k, const ch4_rigid *pose)
{
    for (int64_t i = 0; i < q; i++) {
        double x[3] = {0}, *y = xyz + 3 * i, *p = uv + 2 * i;
        p[0] = p[1] = y[0] = y[1] = y[2] = NAN;
        if (face[i] < 0)
            continue;
        assert(face[i] < n_face);
        for (int c = 0; c < 3; c++) {
            int64_t v = faces[3 * (int64_t)face[i] + c];
            assert(v >= 0 && v < n_vert);
            for (int a = 0; a < 3; a++)
                x[a] += bary[3 * i + c] * vertices[3 * v + a];
        }
        ch4_rigid_apply(y, pose, x);
        ch4_project(p, k, y);
    }
    (void)n_face;
    (void)n_vert;
}
