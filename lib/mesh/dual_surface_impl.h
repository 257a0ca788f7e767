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
    const float *value; /* [dim[2],dim[1],dim[0]]: negative inside, NaN unknown; every crossing edge must have its four cells known */
    int64_t dim[3];
    double origin[3], spacing;
} dual_grid;

/* touching: one where two sheets of both cells meet in a grid face, so that four triangles share an edge. CH4_EUNSUP if it is NULL and this
 * happens; CH4_ENOMEM. Free *out with ch4_mesh_fini, also after an error. */
ch4_status dual_surface_extract(ch4_mesh *out, int64_t *touching, const dual_grid *grid, ch4_err *err);

#endif
