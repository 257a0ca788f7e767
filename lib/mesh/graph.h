/* ch4_mesh_graph: the edges of the welded mesh as a symmetric CSR table. An edge joins two distinct representatives (see
 * weld.h) that some face joins, whatever the area of that face: a face (a,b,b) gives the edge ab, (a,a,a) gives none. */
#ifndef CH4_MESH_GRAPH_H
#define CH4_MESH_GRAPH_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_mesh_graph {
    int64_t n_vert, n_edge; /* n_edge: undirected */
    int32_t *rep;           /* [n_vert] representative of each vertex; only representatives have neighbours */
    int64_t *offset;        /* [n_vert+1] */
    int32_t *neighbor;      /* [2 n_edge] representatives, ascending within a row */
    double *length;         /* [2 n_edge] Euclidean, > 0 */
} ch4_mesh_graph;

/* Caller's storage; free with ch4_mesh_graph_fini, which takes NULL and zeroed. CH4_ENOMEM. Any mesh that passed ch4_mesh_check:
 * non-manifold, open, with degenerate or duplicate faces, empty. */
ch4_status ch4_mesh_graph_init(ch4_mesh_graph *out, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);
void       ch4_mesh_graph_fini(ch4_mesh_graph *graph);

/* A vertex without edges: it takes no part in landmarks and no landmark reaches it. */
static inline int ch4_mesh_graph_unused(const ch4_mesh_graph *g, int64_t v)
{
    int32_t r = g->rep[v];
    return g->offset[r + 1] == g->offset[r];
}

/* Position of the entry (a -> b) in neighbor/length, -1 if a and b (representatives) are not joined. */
int64_t ch4_mesh_graph_find(const ch4_mesh_graph *graph, int32_t a, int32_t b);

/* component i32[V]: number of the connected part, in the order of its smallest vertex; -1 for unused vertices. n_component may be
 * NULL. CH4_ENOMEM. */
ch4_status ch4_mesh_compute_components(int32_t *component, int64_t *n_component, const ch4_mesh_graph *graph, ch4_err *err);

#endif
