#include "mesh/surface_tree.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "mesh/vec_impl.h"

/* A box tree over triangles ordered by Morton code of their centres: node i of a level covers two nodes (or LEAF triangles) of
 * the level below. Boxes are laid out as a complete binary tree: node i has children 2i + 1 and 2i + 2. */
enum { LEAF = 4 };

typedef struct box {
    double lo[3], hi[3];
} box;

typedef struct triangle {
    v3 a, b, c;
    int32_t face;
} triangle;

struct ch4_surface_tree {
    int64_t n, n_leaf; /* n_leaf: power of two, leaf i holds triangles [i LEAF, (i+1) LEAF) */
    triangle *tri;
    box *node; /* [2 n_leaf - 1] */
};

typedef struct ordered {
    uint32_t code;
    int32_t face;
} ordered;

static int compare_ordered(const void *a, const void *b)
{
    const ordered *x = a, *y = b;
    if (x->code != y->code)
        return x->code < y->code ? -1 : 1;
    return (x->face > y->face) - (x->face < y->face);
}

static uint32_t spread_bits(uint32_t x)
{
    x = (x | x << 16) & 0x030000FF;
    x = (x | x << 8) & 0x0300F00F;
    x = (x | x << 4) & 0x030C30C3;
    return (x | x << 2) & 0x09249249;
}

static box empty_box(void)
{
    return (box){{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}};
}

static void box_add(box *b, v3 p)
{
    double x[3] = {p.x, p.y, p.z};
    for (int k = 0; k < 3; k++) {
        b->lo[k] = fmin(b->lo[k], x[k]);
        b->hi[k] = fmax(b->hi[k], x[k]);
    }
}

static void order_faces(ordered *order, const float *vert, const int32_t *face, int64_t n_face)
{
    box all = empty_box();
    for (int64_t i = 0; i < 3 * n_face; i++)
        box_add(&all, v3_at(vert, face[i]));
    for (int64_t f = 0; f < n_face; f++) {
        const int32_t *t = face + 3 * f;
        v3 c = v3_scale(v3_add(v3_add(v3_at(vert, t[0]), v3_at(vert, t[1])), v3_at(vert, t[2])), 1.0 / 3);
        double x[3] = {c.x, c.y, c.z};
        order[f] = (ordered){0, (int32_t)f};
        for (int k = 0; k < 3; k++) {
            double size = all.hi[k] - all.lo[k], u = size > 0 ? (x[k] - all.lo[k]) / size : 0;
            order[f].code |= spread_bits((uint32_t)fmin(1023, fmax(0, u * 1024))) << k;
        }
    }
    qsort(order, (size_t)n_face, sizeof *order, compare_ordered);
}

static void fill_boxes(ch4_surface_tree *t)
{
    for (int64_t i = 0; i < t->n_leaf; i++) {
        box *b = &t->node[t->n_leaf - 1 + i];
        *b = empty_box();
        for (int64_t k = i * LEAF; k < ch4_min_i64((i + 1) * LEAF, t->n); k++) {
            box_add(b, t->tri[k].a);
            box_add(b, t->tri[k].b);
            box_add(b, t->tri[k].c);
        }
    }
    for (int64_t i = t->n_leaf - 2; i >= 0; i--)
        for (int k = 0; k < 3; k++) {
            t->node[i].lo[k] = fmin(t->node[2 * i + 1].lo[k], t->node[2 * i + 2].lo[k]);
            t->node[i].hi[k] = fmax(t->node[2 * i + 1].hi[k], t->node[2 * i + 2].hi[k]);
        }
}

ch4_status ch4_surface_tree_create(ch4_surface_tree **out, const float *vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    *out = NULL;
    ch4_surface_tree *t = NULL;
    ordered *order = NULL;
    ch4_status st = ch4_calloc(&t, 1, sizeof *t, "surface tree", err);
    if (st != CH4_OK)
        return st;
    t->n = n_face;
    for (t->n_leaf = 1; t->n_leaf * LEAF < n_face; t->n_leaf *= 2)
        ;
    st = ch4_calloc(&t->tri, (size_t)n_face, sizeof *t->tri, "surface tree", err);
    if (st == CH4_OK)
        st = ch4_calloc(&t->node, (size_t)(2 * t->n_leaf - 1), sizeof *t->node, "surface tree", err);
    if (st == CH4_OK)
        st = ch4_calloc(&order, (size_t)n_face, sizeof *order, "surface tree", err);
    if (st != CH4_OK) {
        free(order);
        ch4_surface_tree_destroy(&t);
        return st;
    }
    order_faces(order, vert, face, n_face);
    for (int64_t i = 0; i < n_face; i++) {
        const int32_t *c = face + 3 * (int64_t)order[i].face;
        t->tri[i] = (triangle){v3_at(vert, c[0]), v3_at(vert, c[1]), v3_at(vert, c[2]), order[i].face};
    }
    fill_boxes(t);
    free(order);
    *out = t;
    return CH4_OK;
}

void ch4_surface_tree_destroy(ch4_surface_tree **tree)
{
    if (!tree || !*tree)
        return;
    free((*tree)->tri);
    free((*tree)->node);
    free(*tree);
    *tree = NULL;
}

static double box_distance2(const box *b, const double q[3])
{
    double d2 = 0;
    for (int k = 0; k < 3; k++) {
        double d = q[k] < b->lo[k] ? b->lo[k] - q[k] : q[k] > b->hi[k] ? q[k] - b->hi[k] : 0;
        d2 += d * d;
    }
    return d2;
}

/* Parameter in [0,1] of the point of segment a + s e nearest to p; 0 for a segment without length. */
static double on_segment(v3 a, v3 e, v3 p)
{
    double len2 = v3_dot(e, e);
    return len2 > 0 ? fmin(1, fmax(0, v3_dot(v3_sub(p, a), e) / len2)) : 0;
}

static void consider(ch4_surface_point *best, const triangle *t, v3 p, double wa, double wb, double wc)
{
    v3 x = v3_add(v3_add(v3_scale(t->a, wa), v3_scale(t->b, wb)), v3_scale(t->c, wc)), d = v3_sub(p, x);
    double d2 = v3_dot(d, d);
    if (d2 < best->distance2 || (d2 == best->distance2 && t->face < best->face))
        *best = (ch4_surface_point){t->face, {wa, wb, wc}, {x.x, x.y, x.z}, d2};
}

/* The foot of the perpendicular where it lies inside, and the nearest point of each side. */
static void visit(ch4_surface_point *best, const triangle *t, v3 p)
{
    v3 ab = v3_sub(t->b, t->a), ac = v3_sub(t->c, t->a), ap = v3_sub(p, t->a), n = v3_cross(ab, ac);
    double nn = v3_dot(n, n);
    if (nn > 0) {
        double wb = v3_dot(v3_cross(ap, ac), n) / nn, wc = v3_dot(v3_cross(ab, ap), n) / nn;
        if (wb >= 0 && wc >= 0 && wb + wc <= 1) {
            consider(best, t, p, 1 - wb - wc, wb, wc);
            return;
        }
    }
    double s = on_segment(t->a, ab, p), u = on_segment(t->a, ac, p), v = on_segment(t->b, v3_sub(t->c, t->b), p);
    consider(best, t, p, 1 - s, s, 0);
    consider(best, t, p, 1 - u, 0, u);
    consider(best, t, p, 0, 1 - v, v);
}

static void search(ch4_surface_point *best, const ch4_surface_tree *t, int64_t node, const double q[3])
{
    if (node >= t->n_leaf - 1) {
        int64_t leaf = node - (t->n_leaf - 1);
        for (int64_t i = leaf * LEAF; i < ch4_min_i64((leaf + 1) * LEAF, t->n); i++)
            visit(best, &t->tri[i], (v3){q[0], q[1], q[2]});
        return;
    }
    int64_t near = 2 * node + 1, far = near + 1;
    double dn = box_distance2(&t->node[near], q), df = box_distance2(&t->node[far], q);
    if (df < dn) {
        int64_t i = near;
        double d = dn;
        near = far;
        far = i;
        dn = df;
        df = d;
    }
    if (dn <= best->distance2)
        search(best, t, near, q);
    if (df <= best->distance2)
        search(best, t, far, q);
}

ch4_surface_point ch4_surface_tree_nearest(const ch4_surface_tree *t, const double query[3])
{
    ch4_surface_point best = {.face = -1, .distance2 = INFINITY};
    if (t->n > 0)
        search(&best, t, 0, query);
    return best;
}
