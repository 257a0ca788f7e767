#include "mesh/kdtree.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/size.h"

/* Points are reordered so that every node is a range; the node's split is its middle element along the longest axis of its
 * box, ranges of up to LEAF points are searched whole. No pointers: the halves of a range follow from its ends. */
enum { LEAF = 8, QUERIES = 1024 };

typedef struct tree_point {
    double x[3];
    int32_t index;
} tree_point;

struct ch4_kdtree {
    int64_t n;
    tree_point *point;
    uint8_t *axis; /* [n] split axis, at the middle element of a node */
};

static bool before(const tree_point *a, const tree_point *b, int axis)
{
    return a->x[axis] < b->x[axis] || (a->x[axis] == b->x[axis] && a->index < b->index);
}

static void swap_points(tree_point *a, tree_point *b)
{
    tree_point t = *a;
    *a = *b;
    *b = t;
}

/* Puts the element of rank k along axis into place, smaller ones before it (Hoare's selection). */
static void select_rank(tree_point *p, int64_t lo, int64_t hi, int64_t k, int axis)
{
    while (lo < hi) {
        tree_point pivot = p[lo + (hi - lo) / 2];
        int64_t i = lo, j = hi;
        while (i <= j) {
            while (before(&p[i], &pivot, axis))
                i++;
            while (before(&pivot, &p[j], axis))
                j--;
            if (i <= j)
                swap_points(&p[i++], &p[j--]);
        }
        if (k <= j)
            hi = j;
        else if (k >= i)
            lo = i;
        else
            return;
    }
}

static int longest_axis(const tree_point *p, int64_t lo, int64_t hi)
{
    int best = 0;
    double best_size = -1;
    for (int k = 0; k < 3; k++) {
        double a = p[lo].x[k], b = a;
        for (int64_t i = lo + 1; i < hi; i++) {
            a = fmin(a, p[i].x[k]);
            b = fmax(b, p[i].x[k]);
        }
        if (b - a > best_size) {
            best_size = b - a;
            best = k;
        }
    }
    return best;
}

static void build(ch4_kdtree *t, int64_t lo, int64_t hi)
{
    while (hi - lo > LEAF) {
        int64_t mid = lo + (hi - lo) / 2;
        int axis = longest_axis(t->point, lo, hi);
        select_rank(t->point, lo, hi - 1, mid, axis);
        t->axis[mid] = (uint8_t)axis;
        build(t, lo, mid);
        lo = mid + 1;
    }
}

ch4_status ch4_kdtree_create(ch4_kdtree **out, const float *point, int64_t n, ch4_err *err)
{
    *out = NULL;
    ch4_kdtree *t = NULL;
    ch4_status st = ch4_calloc(&t, 1, sizeof *t, "k-d tree", err);
    if (st == CH4_OK)
        st = ch4_calloc(&t->point, (size_t)n, sizeof *t->point, "k-d tree", err);
    if (st == CH4_OK)
        st = ch4_calloc(&t->axis, (size_t)n, sizeof *t->axis, "k-d tree", err);
    if (st != CH4_OK) {
        ch4_kdtree_destroy(&t);
        return st;
    }
    t->n = n;
    for (int64_t i = 0; i < n; i++)
        t->point[i] = (tree_point){{point[3 * i], point[3 * i + 1], point[3 * i + 2]}, (int32_t)i};
    build(t, 0, n);
    *out = t;
    return CH4_OK;
}

void ch4_kdtree_destroy(ch4_kdtree **tree)
{
    if (!tree || !*tree)
        return;
    free((*tree)->point);
    free((*tree)->axis);
    free(*tree);
    *tree = NULL;
}

typedef struct best_point {
    double d2;
    int32_t index;
} best_point;

static void visit(best_point *best, const tree_point *p, const double q[3])
{
    double dx = p->x[0] - q[0], dy = p->x[1] - q[1], dz = p->x[2] - q[2], d2 = dx * dx + dy * dy + dz * dz;
    if (d2 < best->d2 || (d2 == best->d2 && p->index < best->index)) {
        best->d2 = d2;
        best->index = p->index;
    }
}

static void search(best_point *best, const ch4_kdtree *t, int64_t lo, int64_t hi, const double q[3])
{
    if (hi - lo <= LEAF) {
        for (int64_t i = lo; i < hi; i++)
            visit(best, &t->point[i], q);
        return;
    }
    int64_t mid = lo + (hi - lo) / 2;
    double side = q[t->axis[mid]] - t->point[mid].x[t->axis[mid]];
    visit(best, &t->point[mid], q);
    search(best, t, side < 0 ? lo : mid + 1, side < 0 ? mid : hi, q);
    if (side * side <= best->d2) /* equal too: the other half may hold a lower index */
        search(best, t, side < 0 ? mid + 1 : lo, side < 0 ? hi : mid, q);
}

int64_t ch4_kdtree_nearest(const ch4_kdtree *t, const double query[3], double *distance2)
{
    best_point best = {INFINITY, -1};
    search(&best, t, 0, t->n, query);
    if (distance2)
        *distance2 = best.d2;
    return best.index;
}

typedef struct query_job {
    int32_t *index;
    double *distance;
    const ch4_kdtree *tree;
    const float *query;
    int64_t n;
} query_job;

static void query_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const query_job *j = ctx;
    int64_t end = ch4_min_i64((item + 1) * QUERIES, j->n);
    for (int64_t i = item * QUERIES; i < end; i++) {
        double d2;
        int64_t at = ch4_kdtree_nearest(j->tree, (double[3]){j->query[3 * i], j->query[3 * i + 1], j->query[3 * i + 2]}, &d2);
        if (j->index)
            j->index[i] = (int32_t)at;
        if (j->distance)
            j->distance[i] = sqrt(d2);
    }
}

void ch4_kdtree_nearest_all(int32_t *index, double *distance, const ch4_kdtree *tree, const float *query, int64_t n_query, ch4_pool *pool)
{
    query_job j = {index, distance, tree, query, n_query};
    ch4_pool_run(pool, (n_query + QUERIES - 1) / QUERIES, query_item, &j);
}
