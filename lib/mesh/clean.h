/* Cleaning of generated and given meshes: what the pipeline does to an anchor mesh before it is animated. */
#ifndef CH4_MESH_CLEAN_H
#define CH4_MESH_CLEAN_H

#include <stdint.h>

#include "base/err.h"
#include "mesh/mesh.h"

typedef struct ch4_clean_options {
    double merge;    /* vertices whose coordinates agree after rounding to multiples of this are one; 1e-8; 0 = bit-equal only */
    double floaters; /* components with fewer faces than this share of the largest one are dropped; 0.02; 0 = keep all */
} ch4_clean_options;

ch4_clean_options ch4_clean_defaults(void);

/* In this order: merge vertices, drop degenerate faces (a repeated vertex, or altitude <= 1e-8), drop faces with the same three vertices
 * as an earlier one, drop floaters (components over shared edges), drop unreferenced vertices. Order of what stays is kept.
 * map (may be NULL) i32[n_vert]: vertex of *out for every original vertex; where its own was dropped, the nearest one that
 * stays; -1 if none does. With it positions of *out expand to the original vertex list, whose faces and texture coordinates stay valid.
 * Free *out with ch4_mesh_fini. CH4_ENOMEM. Any mesh that passed ch4_mesh_check. */
ch4_status ch4_mesh_clean(ch4_mesh *out, int32_t *map, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face,
                          const ch4_clean_options *options, ch4_err *err);

#endif
