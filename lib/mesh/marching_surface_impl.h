/* The zero surface of values on a grid with its vertices on the grid's edges: marching cubes, without a table of cases.
 *
 * The crossing edges of a cell are joined face by face into directed cycles, so that inside lies behind; each cycle is cut into a fan. Where a
 * face has two inside corners on a diagonal, the inside corners are kept apart, as in dual_surface_impl.h: both cells see the same
 * picture. The vertices are those of every marching cubes; which triangles join them inside of an ambiguous cell differs among programs. */
#ifndef CH4_MESH_MARCHING_SURFACE_IMPL_H
#define CH4_MESH_MARCHING_SURFACE_IMPL_H

#include "mesh/dual_surface_impl.h"

/* grid as there; cells with an unknown corner are left out (grid->open is not read). The surface is open where it meets the border of the
 * grid. Counter-clockwise seen from outside. CH4_EUNSUP: more than 2^31 elements; CH4_ENOMEM. Free *out with ch4_mesh_fini, also after an error. */
ch4_status marching_surface_extract(ch4_mesh *out, const dual_grid *grid, ch4_err *err);

#endif
