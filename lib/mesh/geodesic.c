#include "mesh/geodesic.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "mesh/edge_search_impl.h"

ch4_status ch4_geodesic_compute_rows(double *distance, const ch4_mesh_graph *g, const int32_t *source, int64_t n_source, ch4_err *err)
{
    edge_search s = {0};
    for (int64_t i = 0; i < n_source; i++)
        if (source[i] < 0 || source[i] >= g->n_vert)
            return ch4_err_set(err, CH4_EINVAL, "source %" PRId64 " is vertex %" PRId32 " of %" PRId64, i, source[i], g->n_vert);
    ch4_status st = edge_search_init(&s, g, edge_search_wave(g), err);
    for (int64_t i = 0; st == CH4_OK && i < n_source; i++) {
        edge_search_reset(&s);
        if (!edge_search_start(&s, 0, g->rep[source[i]]) || !edge_search_run(&s, NULL))
            st = ch4_err_set(err, CH4_ENOMEM, "geodesics: queue");
        for (int64_t v = 0; v < g->n_vert; v++) {
            double d = s.dist[g->rep[v]];
            distance[i * g->n_vert + v] = d < INFINITY ? d : -1;
        }
    }
    edge_search_fini(&s);
    return st;
}

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
