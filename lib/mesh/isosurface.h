/* ch4_isosurface: the zero surface of a field in the cube [-half,half]^3, evaluated coarse to fine.
 *
 * The coarsest grid is evaluated whole. Each finer grid (twice the cells) keeps the values it shares with the coarser one,
 * evaluates the middles of coarse edges with a sign change, then follows the surface: as long as a cell with both signs has unknown
 * corners, these are evaluated. So every surface that the coarsest grid or the band sees is found whole and closed, at about two layers of
 * samples, and thin parts that hang on it are followed even where the coarse grid misses them. A part that hangs on nothing and
 * slips between coarse samples is lost: the band is for these.
 *
 * The field function is called from the calling thread with points in a fixed order, so results do not depend on threads. */
#ifndef CH4_MESH_ISOSURFACE_H
#define CH4_MESH_ISOSURFACE_H

#include <stdint.h>

#include "base/err.h"
#include "mesh/mesh.h"

/* value f32[n] of the field at point f32[n,3]; n is at most options.batch. Values must be finite. */
typedef ch4_status ch4_field_fn(void *ctx, float *value, const float *point, int64_t n, ch4_err *err);

typedef struct ch4_isosurface_options {
    double half;       /* half the side of the cube; 1.005 as in the TripoSG decoder */
    int64_t cells;     /* per axis at the coarsest level; 16 */
    int levels;        /* the finest grid has cells * 2^(levels-1) cells per axis; 3 */
    double band;       /* cells of a coarser grid with |value| below this at a corner are refined whole; 0 = off (the reference uses 0.95) */
    double band_ratio; /* band of a level over that of the level before; 0.5 follows the cell size, 1 is the reference */
    int64_t batch;     /* points per call; 16384 */
    int inside;        /* sign of the field inside: -1, +1, or 0 = find out: what most samples on the faces of the cube have is outside */
} ch4_isosurface_options;

typedef struct ch4_isosurface_info {
    int inside;         /* sign that was used: give it to the other frames of a clip */
    int64_t n_point;    /* field evaluations */
    int64_t n_touching; /* grid faces where two sheets meet: the mesh has an edge with four triangles there */
} ch4_isosurface_info;

ch4_isosurface_options ch4_isosurface_defaults(void);

/* Triangles counter-clockwise seen from outside (positive signed volume); the surface is closed at the faces of the cube. A field of one
 * sign gives an empty mesh. Sample i of an axis lies at -half + i * 2 half / cells of its level: on the field, unlike
 * the reference, which divides a 504-cell grid by 512. Memory: 4 bytes per sample of the finest grid.
 * info may be NULL. Free *out with ch4_mesh_fini, also after an error. CH4_EINVAL: options; CH4_EFORMAT: a value that is not finite;
 * CH4_ENOMEM; whatever the field answers. */
ch4_status ch4_isosurface_extract(ch4_mesh *out, ch4_isosurface_info *info, ch4_field_fn *field, void *ctx,
                                  const ch4_isosurface_options *options, ch4_err *err);

#endif
