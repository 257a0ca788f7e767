#include "tools/eval/cloud_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE = 8, MAX_LEVELS = 12, QUERIES = 1024, RADIX_BITS = 10, RADIX = 1 << RADIX_BITS };

typedef float wide __attribute__((vector_size(WIDE * sizeof(float))));
typedef int32_t wide_mask __attribute__((vector_size(WIDE * sizeof(int32_t))));

/* Eight points. A leaf that is not full repeats its first point. */
typedef struct leaf {
    wide x, y, z;
} leaf;

/* Boxes of eight children; a child that is not there has a box at infinity. */
typedef struct node {
    wide lo[3], hi[3];
} node;

struct ch4_cloud_index {
    int64_t n, n_leaf;
    int32_t *order; /* [n_leaf * WIDE] point in each slot */
    leaf *leaf;
    node *level[MAX_LEVELS]; /* level 0 holds the boxes of the leaves; the last level has one node */
    int64_t n_node[MAX_LEVELS];
    int n_levels;
};

/* --- Morton order ------------------------------------------------------------------------------------------------------------------ */

static uint32_t spread(uint32_t x)
{
    x = (x | x << 16) & 0x030000ffu;
    x = (x | x << 8) & 0x0300f00fu;
    x = (x | x << 4) & 0x030c30c3u;
    return (x | x << 2) & 0x09249249u;
}

typedef struct keyed {
    uint32_t key;
    int32_t index;
} keyed;

static bool box_of(float lo[3], float hi[3], const float *point, int64_t n)
{
    float sum = 0; /* 0 * x is NaN for every x that is not finite */
    for (int k = 0; k < 3; k++) lo[k] = INFINITY, hi[k] = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) {
            float x = point[3 * i + k];
            sum += 0 * x;
            lo[k] = x < lo[k] ? x : lo[k];
            hi[k] = x > hi[k] ? x : hi[k];
        }
    return sum == 0;
}

static void radix_sort(keyed *a, keyed *scratch, int64_t n)
{
    for (int shift = 0; shift < 3 * RADIX_BITS; shift += RADIX_BITS) {
        int64_t begin[RADIX] = {0}, at = 0;
        for (int64_t i = 0; i < n; i++) begin[a[i].key >> shift & (RADIX - 1)]++;
        for (int d = 0; d < RADIX; d++) {
            int64_t count = begin[d];
            begin[d] = at;
            at += count;
        }
        for (int64_t i = 0; i < n; i++) scratch[begin[a[i].key >> shift & (RADIX - 1)]++] = a[i];
        keyed *t = a;
        a = scratch;
        scratch = t;
    }
}

ch4_status ch4_cloud_order(int32_t *order, const float *point, int64_t n, ch4_err *err)
{
    float lo[3], hi[3];
    keyed *a = NULL;
    if (!box_of(lo, hi, point, n)) return ch4_err_set(err, CH4_EFORMAT, "a point is not finite");
    ch4_status st = ch4_calloc(&a, (size_t)n, 2 * sizeof(*a), "point order", err);
    if (st) return st;
    float side = fmaxf(fmaxf(hi[0] - lo[0], hi[1] - lo[1]), hi[2] - lo[2]), scale = side > 0 && isfinite(side) ? 1023.0f / side : 0;
    for (int64_t i = 0; i < n; i++) {
        const float *p = point + 3 * i;
        uint32_t x[3];
        for (int k = 0; k < 3; k++) x[k] = (uint32_t)((p[k] - lo[k]) * scale) & 1023u;
        a[i] = (keyed){spread(x[0]) | spread(x[1]) << 1 | spread(x[2]) << 2, (int32_t)i};
    }
    radix_sort(a, a + n, n); /* three passes: the result is in the second half */
    for (int64_t i = 0; i < n; i++) order[i] = a[n + i].index;
    free(a);
    return CH4_OK;
}

/* --- building ---------------------------------------------------------------------------------------------------------------------- */

static void fill_leaves(ch4_cloud_index *t, const float *point)
{
    for (int64_t i = 0; i < t->n_leaf; i++)
        for (int k = 0; k < WIDE; k++) {
            const float *p = point + 3 * (int64_t)t->order[i * WIDE + k];
            t->leaf[i].x[k] = p[0], t->leaf[i].y[k] = p[1], t->leaf[i].z[k] = p[2];
        }
}

static void set_child(node *parent, int64_t child, const float lo[3], const float hi[3])
{
    for (int k = 0; k < 3; k++) parent[child / WIDE].lo[k][child % WIDE] = lo[k], parent[child / WIDE].hi[k][child % WIDE] = hi[k];
}

static void bounds(float *lo, float *hi, wide a, wide b)
{
    *lo = a[0], *hi = b[0];
    for (int i = 1; i < WIDE; i++) {
        *lo = a[i] < *lo ? a[i] : *lo;
        *hi = b[i] > *hi ? b[i] : *hi;
    }
}

static void fit_boxes(ch4_cloud_index *t)
{
    float lo[3], hi[3], far[3] = {INFINITY, INFINITY, INFINITY};
    for (int l = 0; l < t->n_levels; l++) {
        int64_t n = l ? t->n_node[l - 1] : t->n_leaf;
        for (int64_t i = 0; i < n; i++) {
            if (l == 0) {
                bounds(&lo[0], &hi[0], t->leaf[i].x, t->leaf[i].x);
                bounds(&lo[1], &hi[1], t->leaf[i].y, t->leaf[i].y);
                bounds(&lo[2], &hi[2], t->leaf[i].z, t->leaf[i].z);
            } else {
                const node *child = &t->level[l - 1][i];
                for (int k = 0; k < 3; k++) {
                    wide high = child->hi[k]; /* the infinite box of a missing child must not widen this one */
                    for (int c = 0; c < WIDE; c++) high[c] = child->lo[k][c] == INFINITY ? -INFINITY : high[c];
                    bounds(&lo[k], &hi[k], child->lo[k], high);
                }
            }
            set_child(t->level[l], i, lo, hi);
        }
        for (int64_t i = n; i < t->n_node[l] * WIDE; i++) set_child(t->level[l], i, far, far);
    }
}

static ch4_status alloc_aligned(void *out, int64_t count, size_t size, ch4_err *err)
{
    size_t bytes;
    if (!ch4_size_mul((size_t)count, size, &bytes)) return ch4_err_set(err, CH4_ENOMEM, "point index");
    *(void **)out = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return *(void **)out ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "point index of %lld nodes", (long long)count);
}

ch4_status ch4_cloud_index_create(ch4_cloud_index **out, const float *point, int64_t n, ch4_err *err)
{
    ch4_cloud_index *t = NULL;
    *out = NULL;
    if (n < 1 || n > INT32_MAX) return ch4_err_set(err, CH4_EFORMAT, "a cloud of %lld points", (long long)n);
    ch4_status st = ch4_calloc(&t, 1, sizeof(*t), "point index", err);
    if (st) return st;
    t->n = n, t->n_leaf = (n + WIDE - 1) / WIDE;
    st = ch4_calloc(&t->order, (size_t)(t->n_leaf * WIDE), sizeof(*t->order), "point index", err);
    if (!st) st = alloc_aligned(&t->leaf, t->n_leaf, sizeof(leaf), err);
    for (int64_t m = t->n_leaf; !st; m = t->n_node[t->n_levels - 1]) {
        if (t->n_levels && m == 1) break;
        t->n_node[t->n_levels] = (m + WIDE - 1) / WIDE;
        st = alloc_aligned(&t->level[t->n_levels], t->n_node[t->n_levels], sizeof(node), err);
        t->n_levels++;
    }
    if (!st) st = ch4_cloud_order(t->order, point, n, err);
    for (int64_t i = n; !st && i < t->n_leaf * WIDE; i++) t->order[i] = t->order[i / WIDE * WIDE];
    if (st) {
        ch4_cloud_index_destroy(&t);
        return st;
    }
    ch4_cloud_index_move(t, point);
    *out = t;
    return CH4_OK;
}

void ch4_cloud_index_destroy(ch4_cloud_index **index)
{
    if (!index || !*index) return;
    ch4_cloud_index *t = *index;
    for (int l = 0; l < t->n_levels; l++) free(t->level[l]);
    free(t->leaf);
    free(t->order);
    free(t);
    *index = NULL;
}

void ch4_cloud_index_move(ch4_cloud_index *index, const float *point)
{
    fill_leaves(index, point);
    fit_boxes(index);
}

/* --- searching --------------------------------------------------------------------------------------------------------------------- */

static inline wide all(float x) { return (wide){x, x, x, x, x, x, x, x}; }

static inline wide_mask all_slots(int32_t x) { return (wide_mask){x, x, x, x, x, x, x, x}; }

static inline wide_mask choose(wide_mask m, wide_mask a, wide_mask b) { return (a & m) | (b & ~m); }

static inline wide larger(wide a, wide b)
{
#ifdef __AVX__
    return (wide)__builtin_ia32_maxps256(a, b);
#else
    return (wide)choose(a > b, (wide_mask)a, (wide_mask)b);
#endif
}

static inline wide smaller(wide a, wide b)
{
#ifdef __AVX__
    return (wide)__builtin_ia32_minps256(a, b);
#else
    return (wide)choose(a < b, (wide_mask)a, (wide_mask)b);
#endif
}

/* One bit per lane: a < b. */
static inline unsigned below(wide a, wide b)
{
    wide_mask m = a < b;
#ifdef __AVX__
    return (unsigned)__builtin_ia32_movmskps256((wide)m);
#else
    unsigned bits = 0;
    for (int i = 0; i < WIDE; i++) bits |= (unsigned)(m[i] & 1) << i;
    return bits;
#endif
}

static inline float largest(wide a)
{
    a = larger(a, __builtin_shuffle(a, (wide_mask){4, 5, 6, 7, 0, 1, 2, 3}));
    a = larger(a, __builtin_shuffle(a, (wide_mask){2, 3, 0, 1, 6, 7, 4, 5}));
    a = larger(a, __builtin_shuffle(a, (wide_mask){1, 0, 3, 2, 5, 4, 7, 6}));
    return a[0];
}

/* Eight queries that lie near each other: one way through the tree serves them all. */
typedef struct group {
    wide q[3], d2;       /* squared distance of the best so far */
    wide_mask slot;      /* where it is */
    wide lo[3], hi[3];   /* box of the queries, in all lanes */
    float limit;         /* the largest of d2: nothing beyond it matters to any of them */
} group;

/* One lane in all lanes, straight from memory. */
static inline wide broadcast(const wide *from, int lane) { return all(((const float *)from)[lane]); }

static inline void search_leaf(group *g, const ch4_cloud_index *t, int64_t i)
{
    const leaf *l = &t->leaf[i];
    for (int k = 0; k < WIDE; k++) {
        wide dx = broadcast(&l->x, k) - g->q[0], dy = broadcast(&l->y, k) - g->q[1], dz = broadcast(&l->z, k) - g->q[2], d2 = dx * dx + dy * dy + dz * dz;
        g->slot = choose(d2 < g->d2, all_slots((int32_t)(i * WIDE + k)), g->slot);
        g->d2 = smaller(d2, g->d2);
    }
    g->limit = largest(g->d2);
}

/* Differences, squares and sums round monotonically, so the float distance between boxes is never above that between points in them: nothing is lost. */
static inline wide box_distance(const node *n, const group *g)
{
    wide sum = all(0);
    for (int k = 0; k < 3; k++) {
        wide d = larger(larger(n->lo[k] - g->hi[k], g->lo[k] - n->hi[k]), all(0));
        sum += d * d;
    }
    return sum;
}

typedef struct visit {
    float d2;
    int32_t level; /* of the node; -1: a leaf */
    int64_t index;
} visit;

/* Pushes the children that can hold something nearer, the nearest last. */
static inline int push_children(visit *stack, int top, const ch4_cloud_index *t, int level, int64_t i, const group *g)
{
    wide d2 = box_distance(&t->level[level][i], g);
    int first = top;
    for (unsigned bits = below(d2, all(g->limit)); bits; bits &= bits - 1) {
        int k = __builtin_ctz(bits), at = top++;
        for (; at > first && stack[at - 1].d2 < d2[k]; at--) stack[at] = stack[at - 1];
        stack[at] = (visit){d2[k], level - 1, i * WIDE + k};
    }
    return top;
}

static void search(group *g, const ch4_cloud_index *t)
{
    visit stack[MAX_LEVELS * WIDE];
    int top = push_children(stack, 0, t, t->n_levels - 1, 0, g);
    while (top > 0) {
        visit v = stack[--top];
        if (!(v.d2 < g->limit)) continue;
        if (v.level < 0) search_leaf(g, t, v.index);
        else top = push_children(stack, top, t, v.level, v.index, g);
    }
}

/* Takes up the queries order[0..n) (NULL: 0..n), n <= 8; a place that is left over repeats the first. The search starts from the leaf `near`. */
static void gather(group *g, const ch4_cloud_index *t, const float *query, const int32_t *order, int64_t n, int64_t near)
{
    for (int k = 0; k < 3; k++) {
        float lo = INFINITY, hi = -INFINITY;
        for (int i = 0; i < WIDE; i++) {
            int64_t at = i < n ? i : 0;
            float x = query[3 * (order ? (int64_t)order[at] : at) + k];
            g->q[k][i] = x;
            lo = x < lo ? x : lo;
            hi = x > hi ? x : hi;
        }
        g->lo[k] = all(lo);
        g->hi[k] = all(hi);
    }
    g->d2 = all(INFINITY);
    g->slot = all_slots((int32_t)(near * WIDE));
    search_leaf(g, t, near);
}

void ch4_cloud_nearest_ordered(int32_t *nearest, const ch4_cloud_index *t, const float *query, int64_t n_query)
{
    group g;
    int64_t near = 0;
    for (int64_t i = 0; i < n_query; i += WIDE) {
        int64_t n = ch4_min_i64(WIDE, n_query - i);
        gather(&g, t, query + 3 * i, NULL, n, near);
        search(&g, t);
        for (int64_t k = 0; k < n; k++) nearest[i + k] = t->order[g.slot[k]];
        near = g.slot[n - 1] / WIDE;
    }
}

typedef struct job {
    int32_t *nearest;
    double *distance;
    const ch4_cloud_index *index;
    const float *query;
    const int32_t *order;
    int64_t n;
} job;

static void store(const job *j, int64_t at, int64_t slot)
{
    const ch4_cloud_index *t = j->index;
    if (j->nearest) j->nearest[at] = t->order[slot];
    if (!j->distance) return;
    const leaf *l = &t->leaf[slot / WIDE];
    const float *q = j->query + 3 * at;
    int k = (int)(slot % WIDE);
    double x = (double)l->x[k] - q[0], y = (double)l->y[k] - q[1], z = (double)l->z[k] - q[2];
    j->distance[at] = sqrt(x * x + y * y + z * z);
}

static void job_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const job *j = ctx;
    int64_t end = ch4_min_i64((item + 1) * QUERIES, j->n), near = 0;
    group g;
    for (int64_t i = item * QUERIES; i < end; i += WIDE) {
        int64_t n = ch4_min_i64(WIDE, end - i);
        for (int64_t k = i + WIDE; k < ch4_min_i64(i + 2 * WIDE, end); k++) __builtin_prefetch(j->query + 3 * (int64_t)j->order[k]);
        gather(&g, j->index, j->query, j->order + i, n, near);
        search(&g, j->index);
        for (int64_t k = 0; k < n; k++) store(j, j->order[i + k], g.slot[k]);
        near = g.slot[n - 1] / WIDE;
    }
}

ch4_status ch4_cloud_nearest(int32_t *nearest, double *distance, const ch4_cloud_index *index, const float *query, int64_t n_query,
                             ch4_pool *pool, ch4_err *err)
{
    int32_t *order = NULL;
    if (n_query < 0 || n_query > INT32_MAX) return ch4_err_set(err, CH4_EFORMAT, "%lld query points", (long long)n_query);
    ch4_status st = ch4_calloc(&order, (size_t)n_query, sizeof(*order), "queries", err);
    if (!st) st = ch4_cloud_order(order, query, n_query, err);
    if (!st) {
        job j = {nearest, distance, index, query, order, n_query};
        ch4_pool_run(pool, (n_query + QUERIES - 1) / QUERIES, job_item, &j);
    }
    free(order);
    return st;
}
