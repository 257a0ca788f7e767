/* Pixel rays against a triangle mesh, and the 4D tracks that follow from their hits (paper Eq. 9). Double arithmetic on float32
 * vertices; the result does not depend on the search tree, only on the mesh. */
#ifndef CH4_POSE_RAYS_H
#define CH4_POSE_RAYS_H

#include "base/base.h"
#include "stages/pose/camera.h"

/* A mesh prepared for ray casting. Borrows nothing: vertices and faces are copied. Const functions may run in parallel. */
typedef struct ch4_raymesh ch4_raymesh;

/* vertices [n_vert,3], faces [n_face,3]. Faces whose altitude is at most 1e-6 of the diagonal of the box of all vertices are left
 * out: they are never hit. CH4_EINVAL: vertex not finite or index out of range; CH4_ENOMEM. */
ch4_status ch4_raymesh_create(ch4_raymesh **out, const float *vertices, int64_t n_vert, const int32_t *faces, int64_t n_face, ch4_err *err);
void       ch4_raymesh_destroy(ch4_raymesh **m);

typedef struct ch4_hit {
    int32_t face;   /* -1: miss, then the rest is zero */
    double bary[3]; /* weights of the face's corners 0, 1, 2; not negative, sum 1 */
    double depth;   /* ray parameter: point = origin + depth * direction */
} ch4_hit;

/* Nearest hit with depth > 1e-9, both sides of a face (Moeller-Trumbore with u, v, w >= -1e-9). Among depths within
 * 1e-9 * max(1, depth) of the nearest the lowest face index wins. direction need not have unit length. */
ch4_hit ch4_raymesh_cast(const ch4_raymesh *m, const double origin[3], const double direction[3]);

/* Ray through image point (x, y): with a direction of camera-space depth 1 the ray parameter is the depth. */
void ch4_camera_ray(double origin[3], double direction[3], ch4_intrinsics k, const ch4_rigid *pose, double x, double y);

/* Hits of n image points [n,2], in parallel over the pool (may be NULL). */
void ch4_raymesh_cast_pixels(const ch4_raymesh *m, ch4_hit *out, const double *points, int64_t n, ch4_intrinsics k, const ch4_rigid *pose,
                             ch4_pool *pool);

/* Eq. 9 for one frame: xyz [q,3] = R sum_i bary_i V[face_i] + t in camera space, uv [q,2] its pixel (NaN where the point is not in
 * front of the camera). vertices [n_vert,3] of that frame; faces and bary of the queries, face -1 gives NaN. Indices were checked
 * by whoever read them (n_face, n_vert are asserted). */
void ch4_track_frame(double *xyz, double *uv, const int32_t *face, const double *bary, int64_t q, const float *vertices, int64_t n_vert,
                     const int32_t *faces, int64_t n_face, ch4_intrinsics k, const ch4_rigid *pose);

#endif
