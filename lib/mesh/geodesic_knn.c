#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/edge_search_impl.h"
#include "mesh/geodesic.h"
#include "mesh/mesh.h"
#include "mesh/vec_impl.h"

/* One search per landmark, cut where the landmark cannot be among the k nearest: every landmark among the k nearest of v, by (distance,
 * ordinal), is among the k nearest of every vertex on its shortest path to v. Without a bound known beforehand the first landmarks
 * would flood the mesh, so pilots find one: with r_p the distance from pilot p to its k-th nearest landmark, k landmarks lie within
 * r_p + d(p,v) of v.
 *
 * Landmarks are taken in rounds. The searches of a round run side by side under the same bounds; then their results are merged
 * into the rows, vertex by vertex, and full rows lower the bounds. Rows and bounds after a round do not depend on who ran what. A round
 * holds at most ROUND_CELLS candidates, but for very large meshes. */
enum { PER_PILOT = 8, ROUND = 128, MIN_ROUND = 16, ROUND_CELLS = 1 << 23, MERGE_ROWS = 512 };

/* What one search of a round reached. */
typedef struct found_list {
    reached *entry;
    int64_t n;
} found_list;

typedef struct candidate {
    double d;
    int32_t index;
} candidate;

typedef struct knn_job {
    ch4_geodesic_knn *knn;
    const ch4_mesh_graph *g;
    const int32_t *landmark;
    double *limit;               /* [n_vert] a later landmark has to be nearer than this to enter the row */
    edge_search *search;         /* per thread */
    bool *failed;                /* per thread: out of memory */
    int64_t first;               /* landmark of item 0 of the round */
    found_list found[ROUND];
    int64_t *offset, *cursor;    /* [n_vert+1] candidates of the round by vertex */
    candidate *candidates;       /* of the round; in ordinal order within a vertex */
    int64_t room;
    candidate *merge;            /* per thread: 3 x merge_room */
    int64_t merge_room;
} knn_job;

static void search_item(void *ctx, int64_t item, int worker)
{
    knn_job *j = ctx;
    edge_search *s = &j->search[worker];
    found_list *list = &j->found[item];
    int32_t start = j->g->rep[j->landmark[j->first + item]];
    edge_search_reset(s);
    list->n = 0;
    if (!(0 < j->limit[start]))
        return;
    if (!edge_search_start(s, 0, start) || !edge_search_run(s, j->limit)) {
        j->failed[worker] = true;
        return;
    }
    list->entry = malloc((size_t)s->n_touched * sizeof *list->entry);
    if (!list->entry) {
        j->failed[worker] = true;
        return;
    }
    for (int64_t i = 0; i < s->n_touched; i++)
        list->entry[i] = (reached){s->dist[s->touched[i]], s->touched[i]};
    list->n = s->n_touched;
}

/* Sorts the lists of a round by vertex. */
static ch4_status scatter(knn_job *j, int64_t n_list, ch4_err *err)
{
    int64_t n_vert = j->g->n_vert, total = 0;
    memset(j->offset, 0, (size_t)(n_vert + 1) * sizeof *j->offset);
    for (int64_t i = 0; i < n_list; i++) {
        total += j->found[i].n;
        for (int64_t e = 0; e < j->found[i].n; e++)
            j->offset[j->found[i].entry[e].v + 1]++;
    }
    if (total > j->room) {
        free(j->candidates);
        j->candidates = NULL;
        j->room = 0;
        ch4_status st = ch4_calloc(&j->candidates, (size_t)total, sizeof *j->candidates, "geodesic candidates", err);
        if (st != CH4_OK)
            return st;
        j->room = total;
    }
    for (int64_t v = 0; v < n_vert; v++)
        j->offset[v + 1] += j->offset[v];
    memcpy(j->cursor, j->offset, (size_t)n_vert * sizeof *j->cursor);
    for (int64_t i = 0; i < n_list; i++)
        for (int64_t e = 0; e < j->found[i].n; e++) {
            reached r = j->found[i].entry[e];
            j->candidates[j->cursor[r.v]++] = (candidate){r.d, (int32_t)(j->first + i)};
        }
    return CH4_OK;
}

/* Merges the sorted runs a and b, a before b on ties, at most room entries. */
static int64_t merge_runs(candidate *out, int64_t room, const candidate *a, int64_t na, const candidate *b, int64_t nb)
{
    int64_t i = 0, k = 0, n = 0;
    while (n < room && (i < na || k < nb))
        out[n++] = k >= nb || (i < na && a[i].d <= b[k].d) ? a[i++] : b[k++];
    return n;
}

/* Stable sort by distance: entries come in ordinal order, so ties stay in it. Answers where the sorted entries are: a or spare. */
static candidate *sort_candidates(candidate *a, candidate *spare, int64_t n)
{
    enum { RUN = 8 };
    for (int64_t begin = 0; begin < n; begin += RUN)
        for (int64_t i = begin + 1; i < ch4_min_i64(begin + RUN, n); i++) {
            candidate x = a[i];
            int64_t k = i;
            for (; k > begin && a[k - 1].d > x.d; k--)
                a[k] = a[k - 1];
            a[k] = x;
        }
    for (int64_t run = RUN; run < n; run *= 2) {
        for (int64_t begin = 0; begin < n; begin += 2 * run) {
            int64_t mid = ch4_min_i64(begin + run, n), end = ch4_min_i64(begin + 2 * run, n);
            merge_runs(spare + begin, end - begin, a + begin, mid - begin, a + mid, end - mid);
        }
        candidate *t = a;
        a = spare;
        spare = t;
    }
    return a;
}

/* Merges n new candidates, in ordinal order and later than those in the row, into row v. scratch: 3 x max(n, k). */
static void merge_row(ch4_geodesic_knn *knn, int64_t v, candidate *entry, int64_t n, candidate *scratch, int64_t room)
{
    int32_t *index = knn->index + v * knn->k;
    double *d = knn->distance + v * knn->k;
    candidate *old = scratch, *out = scratch + room, *sorted = sort_candidates(entry, scratch + 2 * room, n);
    for (int32_t i = 0; i < knn->count[v]; i++)
        old[i] = (candidate){d[i], index[i]};
    int64_t n_out = merge_runs(out, knn->k, old, knn->count[v], sorted, n);
    for (int64_t i = 0; i < n_out; i++) {
        d[i] = out[i].d;
        index[i] = out[i].index;
    }
    knn->count[v] = (int32_t)n_out;
}

static void merge_item(void *ctx, int64_t item, int worker)
{
    knn_job *j = ctx;
    int64_t end = ch4_min_i64((item + 1) * MERGE_ROWS, j->g->n_vert);
    for (int64_t v = item * MERGE_ROWS; v < end; v++) {
        int64_t n = j->offset[v + 1] - j->offset[v];
        if (n == 0)
            continue;
        merge_row(j->knn, v, j->candidates + j->offset[v], n, j->merge + 3 * j->merge_room * worker, j->merge_room);
        if (j->knn->count[v] == j->knn->k)
            j->limit[v] = fmin(j->limit[v], j->knn->distance[v * j->knn->k + j->knn->k - 1]);
    }
}

static ch4_status run_round(knn_job *j, int64_t n, ch4_pool *pool, ch4_err *err)
{
    ch4_pool_run(pool, n, search_item, j);
    ch4_status st = CH4_OK;
    for (int i = 0; i < ch4_pool_threads(pool); i++)
        if (j->failed[i])
            st = ch4_err_set(err, CH4_ENOMEM, "geodesics: queue");
    if (st == CH4_OK)
        st = scatter(j, n, err);
    if (st == CH4_OK)
        ch4_pool_run(pool, (j->g->n_vert + MERGE_ROWS - 1) / MERGE_ROWS, merge_item, j);
    for (int64_t i = 0; i < n; i++) {
        free(j->found[i].entry);
        j->found[i] = (found_list){0};
    }
    return st;
}

/* --- bounds ------------------------------------------------------------------------------------------------------------------ */

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Distance from start to its k-th nearest landmark; INFINITY if it reaches fewer. n_at: landmarks at each vertex; room for all of
 * them in length. */
static bool pilot_radius(double *radius, edge_search *s, const int32_t *n_at, int32_t start, int64_t k, double *length)
{
    bool more = true;
    int64_t n = 0;
    *radius = INFINITY;
    edge_search_reset(s);
    if (!edge_search_start(s, 0, start))
        return false;
    while (more && n < k) {
        if (!edge_search_wave_on(s, NULL, &more))
            return false;
        n = 0;
        for (int64_t i = 0; i < s->n_touched; i++)
            if (s->dist[s->touched[i]] < s->horizon)
                for (int32_t c = 0; c < n_at[s->touched[i]]; c++)
                    length[n++] = s->dist[s->touched[i]];
    }
    if (n >= k) {
        qsort(length, (size_t)n, sizeof *length, compare_double);
        *radius = length[k - 1];
    }
    return true;
}

/* limit[v]: above the distance of v's k-th nearest landmark, INFINITY where no pilot says so. */
static ch4_status find_limits(double *limit, edge_search *s, const int32_t *landmark, int64_t n_landmark, int64_t k, ch4_err *err)
{
    const ch4_mesh_graph *g = s->g;
    for (int64_t v = 0; v < g->n_vert; v++)
        limit[v] = INFINITY;
    if (n_landmark <= k)
        return CH4_OK;
    int64_t n_pilot = n_landmark / PER_PILOT + 1;
    int32_t *n_at = NULL;
    double *radius = NULL, *length = NULL;
    ch4_status st = ch4_calloc(&n_at, (size_t)g->n_vert, sizeof *n_at, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&radius, (size_t)n_pilot, sizeof *radius, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&length, (size_t)n_landmark, sizeof *length, "geodesics", err);
    if (st != CH4_OK)
        goto out;
    bool ok = true;
    for (int64_t i = 0; i < n_landmark; i++)
        n_at[g->rep[landmark[i]]]++;
    for (int64_t i = 0; ok && i < n_pilot; i++)
        ok = pilot_radius(&radius[i], s, n_at, g->rep[landmark[i]], k, length);
    edge_search_reset(s);
    for (int64_t i = 0; ok && i < n_pilot; i++)
        ok = edge_search_start(s, radius[i], g->rep[landmark[i]]);
    if (!ok || !edge_search_run(s, NULL))
        st = ch4_err_set(err, CH4_ENOMEM, "geodesics: queue");
    for (int64_t i = 0; i < s->n_touched; i++) /* margin: the sums along two paths round differently */
        limit[s->touched[i]] = s->dist[s->touched[i]] * (1 + 1e-9) + 1e-300;
out:
    free(n_at);
    free(radius);
    free(length);
    return st;
}

static ch4_status find_nearest(ch4_geodesic_knn *knn, const ch4_mesh_graph *g, const int32_t *landmark, ch4_pool *pool, ch4_err *err)
{
    int n_thread = ch4_pool_threads(pool);
    size_t n_vert = (size_t)g->n_vert;
    double wave = edge_search_wave(g);
    knn_job j = {.knn = knn, .g = g, .landmark = landmark, .merge_room = ch4_max_i64(knn->k, ROUND)};
    ch4_status st = ch4_calloc(&j.search, (size_t)n_thread, sizeof *j.search, "geodesics", err);
    if (st != CH4_OK)
        return st;
    for (int i = 0; st == CH4_OK && i < n_thread; i++)
        st = edge_search_init(&j.search[i], g, wave, err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.failed, (size_t)n_thread, sizeof *j.failed, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.limit, n_vert, sizeof *j.limit, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.offset, n_vert + 1, sizeof *j.offset, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.cursor, n_vert, sizeof *j.cursor, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&j.merge, (size_t)(3 * j.merge_room * n_thread), sizeof *j.merge, "geodesics", err);
    if (st == CH4_OK)
        st = find_limits(j.limit, &j.search[0], landmark, knn->n_landmark, knn->k, err);
    int64_t round = ch4_min_i64(ROUND, ch4_max_i64(MIN_ROUND, ROUND_CELLS / ch4_max_i64(g->n_vert, 1)));
    for (; st == CH4_OK && j.first < knn->n_landmark; j.first += round)
        st = run_round(&j, ch4_min_i64(round, knn->n_landmark - j.first), pool, err);
    for (int i = 0; i < n_thread; i++)
        edge_search_fini(&j.search[i]);
    free(j.search);
    free(j.failed);
    free(j.limit);
    free(j.offset);
    free(j.cursor);
    free(j.candidates);
    free(j.merge);
    return st;
}

/* --- rows without a landmark in reach, duplicates, spacing ----------------------------------------------------------------------- */

static int compare_candidate(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->d != y->d)
        return x->d < y->d ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static ch4_status fill_euclidean(ch4_geodesic_knn *knn, const float *vert, const ch4_mesh_graph *g, const int32_t *landmark, ch4_err *err)
{
    candidate *c = NULL;
    int64_t n = knn->n_landmark;
    ch4_status st = ch4_calloc(&c, (size_t)n, sizeof *c, "geodesic neighbours", err);
    for (int64_t v = 0; st == CH4_OK && v < g->n_vert; v++) {
        if (g->rep[v] != v || knn->count[v] > 0)
            continue;
        for (int64_t i = 0; i < n; i++)
            c[i] = (candidate){v3_norm(v3_sub(v3_at(vert, landmark[i]), v3_at(vert, v))), (int32_t)i};
        qsort(c, (size_t)n, sizeof *c, compare_candidate);
        knn->fallback[v] = 1;
        knn->count[v] = (int32_t)ch4_min_i64(n, knn->k);
        for (int32_t i = 0; i < knn->count[v]; i++) {
            knn->index[v * knn->k + i] = c[i].index;
            knn->distance[v * knn->k + i] = c[i].d;
        }
    }
    free(c);
    return st;
}

/* Pads the rows and copies those of representatives, which have lower indices, to their duplicates. */
static void finish_rows(ch4_geodesic_knn *knn, const ch4_mesh_graph *g)
{
    size_t k = (size_t)knn->k;
    for (int64_t v = 0; v < g->n_vert; v++) {
        int32_t *index = knn->index + v * knn->k;
        double *d = knn->distance + v * knn->k;
        int64_t r = g->rep[v];
        if (r != v) {
            memcpy(index, knn->index + r * knn->k, k * sizeof *index);
            memcpy(d, knn->distance + r * knn->k, k * sizeof *d);
            knn->count[v] = knn->count[r];
            knn->fallback[v] = knn->fallback[r];
        }
        for (int64_t i = knn->count[v]; i < knn->k; i++) {
            index[i] = -1;
            d[i] = -1;
        }
    }
}

/* Sum over the landmarks of the distance to the nearest other one; rows hold at least two entries. */
static void add_spacing(const ch4_geodesic_knn *knn, const int32_t *landmark, double *sum, int64_t *n)
{
    for (int64_t i = 0; i < knn->n_landmark; i++) {
        int64_t v = landmark[i];
        if (knn->fallback[v] || knn->count[v] < 2)
            continue;
        *sum += knn->distance[v * knn->k + (knn->index[v * knn->k] == i)];
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
                            int64_t k, ch4_pool *pool, ch4_err *err)
{
    ch4_status st = knn_alloc(knn, g->n_vert, n_landmark, k, err);
    if (st == CH4_OK)
        st = find_nearest(knn, g, landmark, pool, err);
    if (st == CH4_OK)
        st = fill_euclidean(knn, vert, g, landmark, err);
    if (st == CH4_OK)
        finish_rows(knn, g);
    return st;
}

ch4_status ch4_geodesic_knn_init(ch4_geodesic_knn *out, const float *vert, const ch4_mesh_graph *g, const int32_t *landmark,
                                 int64_t n_landmark, int64_t k, ch4_pool *pool, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    if (k < 1 || k > INT32_MAX || n_landmark < 0 || n_landmark > INT32_MAX)
        return ch4_err_set(err, CH4_EINVAL, "geodesic neighbours: %" PRId64 " of %" PRId64 " landmarks", k, n_landmark);
    for (int64_t i = 0; i < n_landmark; i++)
        if (landmark[i] < 0 || landmark[i] >= g->n_vert)
            return ch4_err_set(err, CH4_EINVAL, "landmark %" PRId64 " is vertex %" PRId32 " of %" PRId64, i, landmark[i], g->n_vert);
    ch4_geodesic_knn knn = {0}, pair = {0};
    double sum = 0;
    int64_t n = 0;
    ch4_status st = fill_rows(&knn, vert, g, landmark, n_landmark, k, pool, err);
    if (st == CH4_OK && k < 2)
        st = fill_rows(&pair, vert, g, landmark, n_landmark, 2, pool, err);
    if (st == CH4_OK) {
        add_spacing(k < 2 ? &pair : &knn, landmark, &sum, &n);
        knn.mean_spacing = n ? sum / (double)n : ch4_mesh_diagonal(vert, g->n_vert) / sqrt((double)ch4_max_i64(n_landmark, 1));
        *out = knn;
        knn = (ch4_geodesic_knn){0};
    }
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
