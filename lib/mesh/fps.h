/* Farthest point sampling: landmarks that cover a mesh, and query points that cover a cloud. Distances are Euclidean. */
#ifndef CH4_MESH_FPS_H
#define CH4_MESH_FPS_H

#include <stdint.h>

#include "base/err.h"
#include "mesh/graph.h"

/* index i32[n_pick]: start, then each time the point with the largest d * gain, d = distance to the points picked so far; ties go to
 * the lowest index. Stops early when that score is 0 (only copies of picked points are left); n_index is the number picked.
 * point f32[P,3]; gain f64[P] > 0 or NULL for 1 (it scales the score only). remaining (may be NULL): largest score after the last
 * pick. The sequence is nested: fewer picks are a prefix. CH4_EINVAL: start outside [0,P) or n_pick > P; CH4_ENOMEM. */
ch4_status ch4_fps_points(int32_t *index, int64_t *n_index, double *remaining, const float *point, int64_t n_point, const double *gain,
                          int64_t start, int64_t n_pick, ch4_err *err);

/* Landmarks of a mesh (the paper: K = 1000, alpha = 2.0). index i32[n_pick]: vertices, representatives with at least one edge; the first
 * is the farthest from their mean, then as above with gain 1 + alpha * boost (boost f64[V] of curvature.h, or NULL for 0).
 * n_index < n_pick where the mesh has fewer distinct used positions; 0 for an empty mesh. CH4_ENOMEM. */
ch4_status ch4_fps_mesh(int32_t *index, int64_t *n_index, double *remaining, const float *vert, const ch4_mesh_graph *graph,
                        const double *boost, double alpha, int64_t n_pick, ch4_err *err);

#endif
