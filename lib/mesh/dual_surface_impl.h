/* The zero surface of values on a grid as triangles; shared by the dense and the coarse-to-fine extraction.
 *
 * One vertex per surface sheet of a cell (not per cell): the crossing edges of a cell are joined face by face into cycles, each cycle
 * gives one vertex at the mean of its linear crossings, each crossing grid edge gives a quad, split along its shorter
 * diagonal. Where a face has two inside corners on a diagonal, the inside corners are kept apart, so that both cells see the same
 * picture. */
#ifndef CH4_MESH_DUAL_SURFACE_IMPL_H
#define CH4_MESH_DUAL_SURFACE_IMPL_H

#include <stdbool.h>

#include "mesh/mesh.h"

typedef struct dual_grid {
    const float *value; /* [dim[2],dim[1],dim[0]]: negative inside, NaN unknown; every crossing edge must have its four cells known, or: */
    bool open;          /* crossing edges that have not give no quad, and the mesh has a hole there */
    int64_t dim[3];
    double origin[3], spacing;
} dual_grid;

/* Corner c of a cell has offset (c & 1, c >> 1 & 1, c >> 2 & 1). Edge 4*d + u + 2*v runs along axis d at offset u on axis
 * d+1 and v on axis d+2 (axes modulo 3). */
enum { CELL_EDGES = 12 };

static inline int corner_of_edge(int edge)
{
    int d = edge / 4, u = edge & 1, v = edge >> 1 & 1;
    return u << (d + 1) % 3 | v << (d + 2) % 3;
}

static inline int edge_at(int d, int corner)
{
    return 4 * d + (corner >> (d + 1) % 3 & 1) + 2 * (corner >> (d + 2) % 3 & 1);
}

/* touching: one where two sheets of both cells meet in a grid face, so that four triangles share an edge. CH4_EUNSUP if it is NULL and this
 * happens; CH4_ENOMEM. Free *out with ch4_mesh_fini, also after an error. */
ch4_status dual_surface_extract(ch4_mesh *out, int64_t *touching, const dual_grid *grid, ch4_err *err);

#endif
