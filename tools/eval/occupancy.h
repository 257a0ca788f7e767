/* Which points lie inside a mesh: the generalised winding number is above one half.
 *
 * Of a closed mesh (every edge is passed as often one way as the other) it is counted along a ray; of an open one it is the sum of solid angles
 * over all faces, which takes long. */
#ifndef CH4_EVAL_OCCUPANCY_H
#define CH4_EVAL_OCCUPANCY_H

#include "base/base.h"

/* inside u8[n] of point f32[n,3]. *undecided: share of points whose winding number is within 0.1 of one half; may be NULL. Faces have indices inside
 * the vertices' range. CH4_ENOMEM. */
ch4_status ch4_compute_occupancy(uint8_t *inside, double *undecided, const float *point, int64_t n, const float *vert, int64_t n_vert, const int32_t *face,
                                 int64_t n_face, ch4_pool *pool, ch4_err *err);

/* True if the winding number of the mesh is whole everywhere off the surface; vertices in one place count as one. CH4_ENOMEM. */
ch4_status ch4_mesh_is_closed(bool *closed, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);

#endif
