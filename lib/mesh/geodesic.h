/* Distances along the edges of the welded mesh (Dijkstra), the k nearest landmarks of every vertex and their weights.
 * Edge paths overestimate the distance on the surface by some 7 %; the paper says "Dijkstra neighbours", so that is not repaired. */
#ifndef CH4_MESH_GEODESIC_H
#define CH4_MESH_GEODESIC_H

#include <stdint.h>

#include "base/err.h"
#include "base/parallel.h"
#include "mesh/graph.h"

typedef struct ch4_geodesic_knn {
    int64_t n_vert, n_landmark;
    int64_t k;           /* entries per row */
    int32_t *count;      /* [n_vert] entries used */
    int32_t *index;      /* [n_vert,k] ordinals in the landmark list, ascending by (distance, ordinal); -1 padding */
    double *distance;    /* [n_vert,k] -1 padding */
    uint8_t *fallback;   /* [n_vert] 1: no landmark can be reached along edges; the row holds Euclidean neighbours */
    double mean_spacing; /* mean over landmarks of the geodesic distance to the nearest other landmark */
} ch4_geodesic_knn;

/* The k nearest landmarks of every vertex, exact. landmark i32[K]: vertices (repetitions are allowed). Vertices that reach fewer than k
 * landmarks get those; vertices that reach none (other component, unused) get the k nearest by Euclidean distance, so that a
 * loose part follows its surroundings. Landmarks that reach no other are left out of mean_spacing; if none is left it is
 * diagonal / sqrt(max(K,1)). Paper App. D with k = 120.
 * The result does not depend on pool. Free with ch4_geodesic_knn_fini. CH4_EINVAL: k < 1 or a landmark outside [0,V); CH4_ENOMEM. */
ch4_status ch4_geodesic_knn_init(ch4_geodesic_knn *out, const float *vert, const ch4_mesh_graph *graph, const int32_t *landmark,
                                 int64_t n_landmark, int64_t k, ch4_pool *pool, ch4_err *err);
void       ch4_geodesic_knn_fini(ch4_geodesic_knn *knn);

/* weight f64[V,k]: exp(-(d^2 - d_min^2) / (2 sigma^2)) divided by the row's sum; 0 on padding. sigma <= 0 shares the weight
 * among the entries at d_min. The paper's auto sigma is proportional to the mean landmark spacing; ours is 1.5 * mean_spacing. */
void ch4_geodesic_compute_weights(double *weight, const ch4_geodesic_knn *knn, double sigma, ch4_pool *pool);

/* distance f64[n_source,V]: shortest edge paths from each source vertex; -1 = unreachable. CH4_EINVAL: a source outside [0,V);
 * CH4_ENOMEM. */
ch4_status ch4_geodesic_compute_rows(double *distance, const ch4_mesh_graph *graph, const int32_t *source, int64_t n_source, ch4_err *err);

#endif
