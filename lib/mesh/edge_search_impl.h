/* Shortest paths along the edges of a graph from one or several vertices, shared by what lib/mesh computes of them.
 *
 * A vertex is passed on whenever its distance improves, in waves of bounded width rather than one by one from a heap: on meshes
 * that is several times faster, and ends with the same distances: the least sum of lengths, added up along the path. */
#ifndef CH4_MESH_EDGE_SEARCH_IMPL_H
#define CH4_MESH_EDGE_SEARCH_IMPL_H

#include <stdbool.h>

#include "mesh/graph.h"

typedef struct reached {
    double d;
    int32_t v;
} reached;

typedef struct edge_search {
    const ch4_mesh_graph *g;
    double wave;       /* width: distances below `horizon` are final once `near` is empty */
    double horizon;
    double *dist;      /* [n_vert] INFINITY outside of the search */
    int32_t *touched;  /* [n_touched] vertices with a finite dist, in no order */
    int64_t n_touched;
    struct reached *near, *far; /* waiting; stale where d is not dist any more */
    int64_t n_near, near_room, n_far, far_room;
} edge_search;

/* wave: from edge_search_wave of the graph. CH4_ENOMEM. Free with edge_search_fini (zeroed is fine). */
ch4_status edge_search_init(edge_search *s, const ch4_mesh_graph *g, double wave, ch4_err *err);
void       edge_search_fini(edge_search *s);
double     edge_search_wave(const ch4_mesh_graph *g);

/* Forgets the search before. */
void edge_search_reset(edge_search *s);

/* A start: vertex v (a representative) at distance d. False: out of memory. */
bool edge_search_start(edge_search *s, double d, int32_t v);

/* One wave: afterwards all distances below s->horizon are final. limit (NULL: none): vertices are only reached at distances below
 * limit[v]. *more is false when nothing is left. False: out of memory. */
bool edge_search_wave_on(edge_search *s, const double *limit, bool *more);

/* All waves. */
bool edge_search_run(edge_search *s, const double *limit);

#endif
