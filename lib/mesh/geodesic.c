#include "mesh/geodesic.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "mesh/front_impl.h"
#include "mesh/mesh.h"
#include "mesh/vec_impl.h"

/* A search and the distances it has reached; dist is INFINITY outside of it. */
typedef struct search {
    const ch4_mesh_graph *g;
    double *dist;     /* [n_vert] */
    int32_t *touched; /* vertices with a finite dist */
    int64_t n_touched;
    front queue;
} search;

static ch4_status search_init(search *s, const ch4_mesh_graph *g, ch4_err *err)
{
    *s = (search){.g = g};
    ch4_status st = ch4_calloc(&s->dist, (size_t)g->n_vert, sizeof *s->dist, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&s->touched, (size_t)g->n_vert, sizeof *s->touched, "geodesics", err);
    if (st == CH4_OK)
        for (int64_t v = 0; v < g->n_vert; v++)
            s->dist[v] = INFINITY;
    return st;
}

static void search_fini(search *s)
{
    free(s->dist);
    free(s->touched);
    free(s->queue.entry);
}

static void search_reset(search *s)
{
    for (int64_t i = 0; i < s->n_touched; i++)
        s->dist[s->touched[i]] = INFINITY;
    s->n_touched = 0;
    s->queue.n = 0;
}

static bool search_reach(search *s, double d, int32_t v)
{
    if (s->dist[v] == INFINITY)
        s->touched[s->n_touched++] = v;
    s->dist[v] = d;
    return front_push(&s->queue, d, v);
}

/* Next vertex whose distance is final; -1 when none is left. */
static int32_t search_settle(search *s)
{
    while (s->queue.n > 0) {
        front_entry e = front_pop(&s->queue);
        if (e.d == s->dist[e.v])
            return e.v;
    }
    return -1;
}

/* Passes on the distance of v to its neighbours where it stays below limit (NULL: no limit). */
static bool search_expand(search *s, int32_t v, const double *limit)
{
    const ch4_mesh_graph *g = s->g;
    double d = s->dist[v];
    for (int64_t e = g->offset[v]; e < g->offset[v + 1]; e++) {
        int32_t u = g->neighbor[e];
        double du = d + g->length[e];
        if (du < s->dist[u] && (!limit || du < limit[u]) && !search_reach(s, du, u))
            return false;
    }
    return true;
}

static ch4_status out_of_memory(ch4_err *err)
{
    return ch4_err_set(err, CH4_ENOMEM, "geodesics: queue");
}

static ch4_status check_vertices(const int32_t *list, int64_t n, int64_t n_vert, ch4_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (list[i] < 0 || list[i] >= n_vert)
            return ch4_err_set(err, CH4_EINVAL, "landmark %" PRId64 " is vertex %" PRId32 " of %" PRId64, i, list[i], n_vert);
    return CH4_OK;
}

ch4_status ch4_geodesic_compute_rows(double *distance, const ch4_mesh_graph *g, const int32_t *source, int64_t n_source, ch4_err *err)
{
    search s = {0};
    ch4_status st = check_vertices(source, n_source, g->n_vert, err);
    if (st == CH4_OK)
        st = search_init(&s, g, err);
    for (int64_t i = 0; st == CH4_OK && i < n_source; i++) {
        search_reset(&s);
        bool ok = search_reach(&s, 0, g->rep[source[i]]);
        for (int32_t v; ok && (v = search_settle(&s)) >= 0;)
            ok = search_expand(&s, v, NULL);
        if (!ok)
            st = out_of_memory(err);
        for (int64_t v = 0; v < g->n_vert; v++) {
            double d = s.dist[g->rep[v]];
            distance[i * g->n_vert + v] = d < INFINITY ? d : -1;
        }
    }
    search_fini(&s);
    return st;
}

/* --- rows of the k best --------------------------------------------------------------------------------------------------
 * A full row is a heap with the worst entry, by (distance, ordinal), on top. */

typedef struct row {
    int32_t *index;
    double *d;
} row;

static row row_of(const ch4_geodesic_knn *knn, int64_t v)
{
    return (row){knn->index + v * knn->k, knn->distance + v * knn->k};
}

static bool worse(row r, int64_t a, double d, int32_t index)
{
    return r.d[a] > d || (r.d[a] == d && r.index[a] > index);
}

/* Puts (d, index) into the hole at i of the heap of n entries. */
static void sift_down(row r, int64_t n, int64_t i, double d, int32_t index)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(r, child + 1, r.d[child], r.index[child]))
            child++;
        if (!worse(r, child, d, index))
            break;
        r.d[i] = r.d[child];
        r.index[i] = r.index[child];
    }
    r.d[i] = d;
    r.index[i] = index;
}

static void heapify(row r, int64_t n)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--)
        sift_down(r, n, i, r.d[i], r.index[i]);
}

static void sort_heap(row r, int64_t n)
{
    while (n > 1) {
        double d = r.d[n - 1];
        int32_t index = r.index[n - 1];
        r.d[n - 1] = r.d[0];
        r.index[n - 1] = r.index[0];
        sift_down(r, --n, 0, d, index);
    }
}

/* Offers an entry that is better than the worst of a full row; answers the distance that later ordinals have to stay below. */
static double row_insert(ch4_geodesic_knn *knn, int64_t v, double d, int32_t index)
{
    row r = row_of(knn, v);
    if (knn->count[v] < knn->k) {
        int64_t n = knn->count[v]++;
        r.d[n] = d;
        r.index[n] = index;
        if (n + 1 < knn->k)
            return INFINITY;
        heapify(r, n + 1);
    } else {
        sift_down(r, knn->k, 0, d, index);
    }
    return r.d[0];
}

static void finish_rows(ch4_geodesic_knn *knn, const ch4_mesh_graph *g)
{
    for (int64_t v = 0; v < g->n_vert; v++) {
        row r = row_of(knn, v);
        if (g->rep[v] == v) {
            heapify(r, knn->count[v]);
            sort_heap(r, knn->count[v]);
            for (int64_t i = knn->count[v]; i < knn->k; i++) {
                r.d[i] = -1;
                r.index[i] = -1;
            }
        } else { /* its representative has a lower index: already finished */
            row from = row_of(knn, g->rep[v]);
            memcpy(r.d, from.d, (size_t)knn->k * sizeof *r.d);
            memcpy(r.index, from.index, (size_t)knn->k * sizeof *r.index);
            knn->count[v] = knn->count[g->rep[v]];
            knn->fallback[v] = knn->fallback[g->rep[v]];
        }
    }
}

/* --- the search for the k nearest ------------------------------------------------------------------------------------------
 * One search per landmark. It is cut where the landmark cannot be among the k nearest: every landmark among the k nearest of v, by
 * (distance, ordinal), is among the k nearest of every vertex on its shortest path to v. Without a bound known beforehand the
 * first landmarks would flood the mesh, so pilots find one: with r_p the distance from pilot p to its k-th nearest landmark, k
 * landmarks lie within r_p + d(p,v) of v. */

static ch4_status pilot_radius(double *radius, search *s, const int32_t *n_at, int32_t start, int64_t k, ch4_err *err)
{
    *radius = INFINITY;
    search_reset(s);
    bool ok = search_reach(s, 0, start);
    int64_t found = 0;
    for (int32_t v; ok && (v = search_settle(s)) >= 0;) {
        found += n_at[v];
        if (found >= k) {
            *radius = s->dist[v];
            break;
        }
        ok = search_expand(s, v, NULL);
    }
    return ok ? CH4_OK : out_of_memory(err);
}

/* limit[v]: above the distance of v's k-th nearest landmark, INFINITY where no pilot says so. */
static ch4_status find_limits(double *limit, search *s, const int32_t *landmark, int64_t n_landmark, int64_t k, ch4_err *err)
{
    enum { PER_PILOT = 8 };
    const ch4_mesh_graph *g = s->g;
    for (int64_t v = 0; v < g->n_vert; v++)
        limit[v] = INFINITY;
    if (n_landmark <= k)
        return CH4_OK;
    int64_t n_pilot = n_landmark / PER_PILOT + 1;
    int32_t *n_at = NULL;
    double *radius = NULL;
    ch4_status st = ch4_calloc(&n_at, (size_t)g->n_vert, sizeof *n_at, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&radius, (size_t)n_pilot, sizeof *radius, "geodesics", err);
    for (int64_t i = 0; st == CH4_OK && i < n_landmark; i++)
        n_at[g->rep[landmark[i]]]++;
    for (int64_t i = 0; st == CH4_OK && i < n_pilot; i++)
        st = pilot_radius(&radius[i], s, n_at, g->rep[landmark[i]], k, err);
    if (st != CH4_OK)
        goto out;
    search_reset(s);
    bool ok = true;
    for (int64_t i = 0; ok && i < n_pilot; i++)
        if (radius[i] < s->dist[g->rep[landmark[i]]])
            ok = search_reach(s, radius[i], g->rep[landmark[i]]);
    for (int32_t v; ok && (v = search_settle(s)) >= 0;)
        ok = search_expand(s, v, NULL);
    if (!ok)
        st = out_of_memory(err);
    for (int64_t i = 0; i < s->n_touched; i++) /* margin: the sums along two paths round differently */
        limit[s->touched[i]] = s->dist[s->touched[i]] * (1 + 1e-9) + 1e-300;
out:
    free(n_at);
    free(radius);
    return st;
}

static ch4_status find_nearest(ch4_geodesic_knn *knn, const ch4_mesh_graph *g, const int32_t *landmark, ch4_err *err)
{
    search s = {0};
    double *limit = NULL;
    ch4_status st = search_init(&s, g, err);
    if (st == CH4_OK)
        st = ch4_calloc(&limit, (size_t)g->n_vert, sizeof *limit, "geodesics", err);
    if (st == CH4_OK)
        st = find_limits(limit, &s, landmark, knn->n_landmark, knn->k, err);
    for (int64_t i = 0; st == CH4_OK && i < knn->n_landmark; i++) {
        search_reset(&s);
        int32_t start = g->rep[landmark[i]];
        bool ok = limit[start] <= 0 || search_reach(&s, 0, start);
        for (int32_t v; ok && (v = search_settle(&s)) >= 0;) {
            double next = row_insert(knn, v, s.dist[v], (int32_t)i);
            if (next < limit[v])
                limit[v] = next;
            ok = search_expand(&s, v, limit);
        }
        if (!ok)
            st = out_of_memory(err);
    }
    free(limit);
    search_fini(&s);
    return st;
}

static void euclidean_rows(ch4_geodesic_knn *knn, const float *vert, const ch4_mesh_graph *g, const int32_t *landmark)
{
    for (int64_t v = 0; v < g->n_vert; v++) {
        if (g->rep[v] != v || knn->count[v] > 0)
            continue;
        knn->fallback[v] = 1;
        double limit = INFINITY;
        for (int64_t i = 0; i < knn->n_landmark; i++) {
            double d = v3_norm(v3_sub(v3_at(vert, landmark[i]), v3_at(vert, v)));
            if (d < limit)
                limit = row_insert(knn, v, d, (int32_t)i);
        }
    }
}

/* Sum over the landmarks of the distance to the nearest other one; rows hold at least two entries. */
static void add_spacing(const ch4_geodesic_knn *knn, const int32_t *landmark, double *sum, int64_t *n)
{
    for (int64_t i = 0; i < knn->n_landmark; i++) {
        row r = row_of(knn, landmark[i]);
        if (knn->fallback[landmark[i]] || knn->count[landmark[i]] < 2)
            continue;
        *sum += r.d[r.index[0] == i];
        (*n)++;
    }
}

static ch4_status knn_alloc(ch4_geodesic_knn *out, int64_t n_vert, int64_t n_landmark, int64_t k, ch4_err *err)
{
    *out = (ch4_geodesic_knn){.n_vert = n_vert, .n_landmark = n_landmark, .k = k};
    size_t n = (size_t)n_vert, cells;
    ch4_status st = ch4_size_bytes(&cells, (int64_t[]){n_vert, k}, 2, 1, err);
    if (st == CH4_OK)
        st = ch4_calloc(&out->count, n, sizeof *out->count, "geodesic neighbours", err);
    if (st == CH4_OK)
        st = ch4_calloc(&out->fallback, n, sizeof *out->fallback, "geodesic neighbours", err);
    if (st == CH4_OK)
        st = ch4_calloc(&out->index, cells, sizeof *out->index, "geodesic neighbours", err);
    if (st == CH4_OK)
        st = ch4_calloc(&out->distance, cells, sizeof *out->distance, "geodesic neighbours", err);
    return st;
}

static ch4_status fill_rows(ch4_geodesic_knn *knn, const float *vert, const ch4_mesh_graph *g, const int32_t *landmark, int64_t n_landmark,
                            int64_t k, ch4_err *err)
{
    ch4_status st = knn_alloc(knn, g->n_vert, n_landmark, k, err);
    if (st == CH4_OK)
        st = find_nearest(knn, g, landmark, err);
    if (st == CH4_OK) {
        euclidean_rows(knn, vert, g, landmark);
        finish_rows(knn, g);
    }
    return st;
}

ch4_status ch4_geodesic_knn_init(ch4_geodesic_knn *out, const float *vert, const ch4_mesh_graph *g, const int32_t *landmark,
                                 int64_t n_landmark, int64_t k, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    if (k < 1 || k > INT32_MAX || n_landmark < 0 || n_landmark > INT32_MAX)
        return ch4_err_set(err, CH4_EINVAL, "geodesic neighbours: %" PRId64 " of %" PRId64 " landmarks", k, n_landmark);
    ch4_geodesic_knn knn = {0}, pair = {0};
    double sum = 0;
    int64_t n = 0;
    ch4_status st = check_vertices(landmark, n_landmark, g->n_vert, err);
    if (st == CH4_OK)
        st = fill_rows(&knn, vert, g, landmark, n_landmark, k, err);
    if (st == CH4_OK && k < 2)
        st = fill_rows(&pair, vert, g, landmark, n_landmark, 2, err);
    if (st != CH4_OK)
        goto out;
    add_spacing(k < 2 ? &pair : &knn, landmark, &sum, &n);
    knn.mean_spacing = n ? sum / (double)n : ch4_mesh_diagonal(vert, g->n_vert) / sqrt((double)ch4_max_i64(n_landmark, 1));
    *out = knn;
    knn = (ch4_geodesic_knn){0};
out:
    ch4_geodesic_knn_fini(&knn);
    ch4_geodesic_knn_fini(&pair);
    return st;
}

void ch4_geodesic_knn_fini(ch4_geodesic_knn *knn)
{
    if (!knn)
        return;
    free(knn->count);
    free(knn->index);
    free(knn->distance);
    free(knn->fallback);
    memset(knn, 0, sizeof *knn);
}

/* --- weights --------------------------------------------------------------------------------------------------------------- */

enum { WEIGHT_ROWS = 256 }; /* vertices per item */

typedef struct weight_job {
    double *weight;
    const ch4_geodesic_knn *knn;
    double sigma;
} weight_job;

static void weight_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const weight_job *j = ctx;
    const ch4_geodesic_knn *knn = j->knn;
    double scale = j->sigma > 0 ? -1 / (2 * j->sigma * j->sigma) : 0;
    int64_t end = ch4_min_i64((item + 1) * WEIGHT_ROWS, knn->n_vert);
    for (int64_t v = item * WEIGHT_ROWS; v < end; v++) {
        const double *d = knn->distance + v * knn->k;
        double *w = j->weight + v * knn->k, sum = 0;
        for (int64_t i = 0; i < knn->k; i++) {
            w[i] = 0;
            if (i < knn->count[v])
                w[i] = j->sigma > 0 ? exp(scale * (d[i] * d[i] - d[0] * d[0])) : d[i] <= d[0];
            sum += w[i];
        }
        for (int64_t i = 0; i < knn->count[v]; i++)
            w[i] /= sum;
    }
}

void ch4_geodesic_compute_weights(double *weight, const ch4_geodesic_knn *knn, double sigma, ch4_pool *pool)
{
    weight_job j = {weight, knn, sigma};
    ch4_pool_run(pool, (knn->n_vert + WEIGHT_ROWS - 1) / WEIGHT_ROWS, weight_item, &j);
}
