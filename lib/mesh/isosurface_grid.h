/* ch4_isosurface_grid: the zero surface of a field sampled on a dense grid, as a closed triangle mesh. The coarse-to-fine
 * extraction of isosurface.h gives the same surface from far fewer samples where the field can be evaluated anywhere. */
#ifndef CH4_MESH_ISOSURFACE_GRID_H
#define CH4_MESH_ISOSURFACE_GRID_H

#include <stdint.h>

#include "base/err.h"
#include "mesh/mesh.h"

/* value [nz,ny,nx] with dim = {nx,ny,nz}: negative inside, finite. Point (x,y,z) of the grid lies at origin + spacing * (x,y,z).
 * Every edge of the result has exactly two faces with opposite direction, and the enclosed volume is positive. An all-outside
 * field gives an empty mesh. The caller frees *out with ch4_mesh_fini, also after an error.
 * CH4_EINVAL: a dimension below 2, a value that is not a number, or the outermost layer not outside (the surface would be open);
 * CH4_EUNSUP: two sheets touch in one grid face so that four triangles would share an edge (use a finer grid); CH4_ENOMEM. */
ch4_status ch4_isosurface_grid(ch4_mesh *out, const float *value, const int64_t dim[3], const double origin[3], double spacing, ch4_err *err);

#endif
