/* ch4_isosurface_grid: the zero surface of a field sampled on a dense grid, as a closed triangle mesh.
 *
 * Dual surface extraction with one vertex per surface sheet of a cell (not per cell): the crossing edges of a cell are joined
 * face by face into cycles, each cycle gives one vertex at the mean of its crossings, each crossing grid edge gives a quad.
 * Where a face has two inside corners on a diagonal, the inside corners are kept apart, so both cells see the same picture.
 * Not for sparse or adaptive grids. No state; calls may run in parallel. */
#ifndef CH4_MESH_ISOSURFACE_GRID_H
#define CH4_MESH_ISOSURFACE_GRID_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_grid_surface {
    float *vert;   /* [n_vert,3], in the units of origin and spacing */
    int32_t *face; /* [n_face,3], counter-clockwise seen from outside (the side where the field is >= 0) */
    int64_t n_vert, n_face;
} ch4_grid_surface;

/* value [nz,ny,nx] with dim = {nx,ny,nz}: negative inside. Point (x,y,z) of the grid lies at origin + spacing * (x,y,z).
 * Every edge of the result has exactly two faces with opposite direction. An all-outside field gives an empty surface.
 * The caller frees *out with ch4_grid_surface_free, also after an error.
 * CH4_EINVAL: a dimension below 2, or the outermost layer not outside (the surface would be open); CH4_EUNSUP: two sheets
 * touch in one grid face so that four triangles would share an edge (use a finer grid); CH4_ENOMEM. */
ch4_status ch4_isosurface_grid(ch4_grid_surface *out, const float *value, const int64_t dim[3], const double origin[3],
                               double spacing, ch4_err *err);
void       ch4_grid_surface_free(ch4_grid_surface *surface);

#endif
