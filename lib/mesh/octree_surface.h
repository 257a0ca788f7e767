/* ch4_octree_surface: the two ways in which the reference turns a field into a mesh, for results that can be compared with its own.
 *
 * flash (ActionMesh's path): 63 cells per axis, evaluated whole, then 126, 252, ... cells, evaluated near the surface of the level before; dual
 *       surface (dual_surface_impl.h). depth 9 ends at 504 cells.
 * hierarchical (TripoSG's path): 2^(depth-1) samples per axis, evaluated whole; the cells whose value lies in a band are evaluated again at
 *       twice the resolution, the others take the value of the coarse sample; marching cubes.
 *
 * Fixed, as they are here by default, both give a closed, outward mesh that lies on the field. With `reference` they do what the reference does:
 *   flash         the mesh, made of 63 * 2^(depth-6) cells, is placed as if there were 2^depth: scaled by 63/64 and shifted by -half/64;
 *                 the surface ends where it meets samples that were not evaluated (fixed: it is followed)
 *   hierarchical  coarse samples lie at multiples of 2 half/(n-1), fine ones at multiples of 2 half/(2n), so samples that are not refined are up to
 *                 two fine cells off; coordinates and values are rounded to 16 bits; no sample lies on the upper faces of the cube; the outermost
 *                 coarse cells are never refined; open where it meets the cube
 *   both          no sign is probed: the normals point to where the field is positive (fixed: outward)
 * The order of vertices and, in ambiguous cells, the triangles are our own: the reference's programs have tables that are not free. */
#ifndef CH4_MESH_OCTREE_SURFACE_H
#define CH4_MESH_OCTREE_SURFACE_H

#include <stdbool.h>

#include "mesh/isosurface.h"

typedef enum ch4_octree_method { CH4_OCTREE_FLASH, CH4_OCTREE_HIERARCHICAL } ch4_octree_method;

typedef struct ch4_octree_options {
    ch4_octree_method method;
    int depth;      /* 4 to 10; the published programs use 9 */
    bool reference; /* with the reference's defects */
    double half;    /* half the side of the cube; 1.005 */
    int inside;     /* as in ch4_isosurface_options; not read with reference */
    int64_t batch;  /* points per call */
} ch4_octree_options;

ch4_octree_options ch4_octree_defaults(void); /* flash, depth 9, fixed */

/* info may be NULL; n_touching is 0 where the method does not tell, inside is 0 with reference. Memory: up to 10 bytes per sample of the finest
 * grid, at depth 9 a good GiB. Free *out with ch4_mesh_fini, also after an error. CH4_EINVAL: options; CH4_EFORMAT: a value that is not finite; CH4_ENOMEM; whatever the
 * field answers. */
ch4_status ch4_octree_surface_extract(ch4_mesh *out, ch4_isosurface_info *info, ch4_field_fn *field, void *ctx, const ch4_octree_options *options,
                                      ch4_err *err);

#endif
