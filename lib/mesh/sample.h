/* Random points on a surface. */
#ifndef CH4_MESH_SAMPLE_H
#define CH4_MESH_SAMPLE_H

#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"

/* point f32[n,3]: area-weighted; normal f32[n,3] (may be NULL): unit normal of the face; face_of i32[n] and bary f32[n,3] (may be NULL):
 * where it lies. Face by the inverse of the cumulated areas, barycentrics by two uniforms, reflected where their sum exceeds 1: three
 * numbers of rng per point, so the first points do not depend on n. (ActionMesh {3D + video}: 16,384 points with face
 * normals.) CH4_EFORMAT: the mesh has no area; CH4_ENOMEM. */
ch4_status ch4_mesh_sample(float *point, float *normal, int32_t *face_of, float *bary, int64_t n, const float *vert, const int32_t *face,
                           int64_t n_face, ch4_rng *rng, ch4_err *err);

#endif
