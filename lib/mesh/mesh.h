/* lib/mesh: triangle meshes as plain arrays, and what is computed on them. One algorithm per file; every function works on arrays
 * of the caller and keeps no state, so calls may run in parallel.
 *
 * vert f32[V,3] positions (canonical cube [-1,1]^3, y up, right-handed), face i32[F,3] indices, counter-clockwise seen from
 * outside. Arithmetic is double on those float values. Functions other than ch4_mesh_check assume a mesh that passed it.
 *
 * weld       vertices with bit-equal positions             graph      edges of the welded mesh, components
 * curvature  live faces, dihedral mean curvature, boost    fps        farthest point sampling with boost
 * geodesic   k nearest landmarks along edges, weights      clean      merge, degenerate, duplicate, unreferenced, floaters
 * sample     seeded area-weighted surface points, normals  kdtree     nearest point of a cloud
 * surface_tree nearest point on a mesh                     isosurface zero surface of a field, coarse to fine */
#ifndef CH4_MESH_H
#define CH4_MESH_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_mesh {
    float *vert;   /* [n_vert,3] */
    int32_t *face; /* [n_face,3] */
    int64_t n_vert, n_face;
} ch4_mesh;

/* Caller's storage, arrays zeroed; sizes 0 are fine. CH4_EINVAL: negative or more than 2^31 - 1; CH4_ENOMEM. */
ch4_status ch4_mesh_init(ch4_mesh *out, int64_t n_vert, int64_t n_face, ch4_err *err);
void       ch4_mesh_fini(ch4_mesh *mesh); /* frees both arrays and zeroes; NULL and zeroed are fine */

/* CH4_EFORMAT names the first vertex that is not finite, or the first face with an index outside [0,n_vert). Callers put the name of the
 * file in front with ch4_err_wrap. */
ch4_status ch4_mesh_check(const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);

/* Axis-aligned box of all vertices, unused ones too; zeros for n_vert == 0. The diagonal is the D of the track thresholds. */
void   ch4_mesh_box(double lo[3], double hi[3], const float *vert, int64_t n_vert);
double ch4_mesh_diagonal(const float *vert, int64_t n_vert);

/* Volume enclosed by a closed mesh, positive when faces are counter-clockwise seen from outside: sum of det(a,b,c)/6. */
double ch4_mesh_signed_volume(const float *vert, const int32_t *face, int64_t n_face);

/* normal f32[V,3]: area-weighted mean of the face normals at each vertex, unit length; (0,0,0) where the sum vanishes
 * (unused vertices, vertices with degenerate faces only). Not welded: duplicates get normals of their own faces. CH4_ENOMEM. */
ch4_status ch4_mesh_compute_normals(float *normal, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);

/* The same weighted by the angle that each face has at the vertex, and welded: vertices with one representative (rep i32[V], weld.h)
 * share their normal, so that a seam of the texture stays closed when normals move it. CH4_ENOMEM. */
ch4_status ch4_mesh_compute_angle_normals(float *normal, const int32_t *rep, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face,
                                          ch4_err *err);

#endif
