/* Points on predicted surfaces, drawn as the public evaluation code draws them: trimesh's rules for surfaces frame by frame, PyTorch3D's for points
 * that are the same material points in all frames. */
#ifndef CH4_EVAL_SURFACE_POINTS_H
#define CH4_EVAL_SURFACE_POINTS_H

#include "base/base.h"

/* Unsynchronised: point f32[n,3], normal f32[n,3] (unit face normal; may be NULL), of one mesh, numpy default_rng(seed). Faces in double
 * cumulated areas, two more uniforms a point, reflected where their sum exceeds 1. CH4_EFORMAT: the mesh has no area; CH4_ENOMEM. */
ch4_status ch4_sample_surface(float *point, float *normal, int64_t n, const float *vert, const int32_t *face, int64_t n_face, uint64_t seed, ch4_err *err);

/* Synchronised: face_of i32[n] and bary f32[n,3], drawn on one mesh with torch's stream: float32 areas, n face draws, then n and n uniforms. */
ch4_status ch4_sample_faces(int32_t *face_of, float *bary, int64_t n, const float *vert, const int32_t *face, int64_t n_face, uint32_t seed, ch4_err *err);

/* point f32[n,3]: where these draws lie on a mesh with the same faces; normal f32[n,3] (may be NULL): unit normal of the face, zero if it has none. */
void ch4_place_samples(float *point, float *normal, const int32_t *face_of, const float *bary, int64_t n, const float *vert, const int32_t *face);

double ch4_surface_area(const float *vert, const int32_t *face, int64_t n_face);

/* Chamfer distance to be expected between two independent samplings of one surface, n points each: sqrt(area / n). */
double ch4_sampling_floor(double area, int64_t n);

#endif
