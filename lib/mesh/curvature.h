/* Live faces and the absolute mean curvature from dihedral angles, with which landmarks are boosted. */
#ifndef CH4_MESH_CURVATURE_H
#define CH4_MESH_CURVATURE_H

#include <stdint.h>

#include "base/err.h"
#include "mesh/graph.h"

/* live u8[F]: 1 where the three representatives differ and the altitude |e1 x e2| / (longest side) exceeds 1e-6 * diagonal. A plain test
 * of zero area would let midpoints that float rounding moved off a line give random normals. */
void ch4_mesh_compute_live_faces(uint8_t *live, const float *vert, const int32_t *face, int64_t n_face, const int32_t *rep, double diagonal);

/* curvature f64[V]: kappa_v = sum over edges e at v with exactly two live faces of |e| theta_e / (4 A_v), theta_e in [0,pi] the angle
 * between the unit normals (the second negated where winding is inconsistent), A_v a third of the live area at v; 0 where
 * A_v = 0. 1/r on a sphere, 1/(2r) on a cylinder.
 * boost f64[V]: min(1, kappa_v / P95), P95 = 95th percentile over representatives with A_v > 0, interpolated linearly; 0 where P95 = 0.
 * Both are copied to duplicates. p95 may be NULL. Edges: open, non-manifold and degenerate ones contribute nothing. CH4_ENOMEM.
 * (The paper gives alpha = 2.0 and no estimator: this is ours.) */
ch4_status ch4_mesh_compute_curvature(double *curvature, double *boost, double *p95, const float *vert, const int32_t *face, int64_t n_face,
                                      const ch4_mesh_graph *graph, ch4_err *err);

#endif
