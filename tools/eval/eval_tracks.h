/* Distances of tracked vertices to their true places, and the trivial predictions that any tracker must beat.
 *
 * A tracked point is a vertex of the anchor mesh followed through all frames; estimate and truth f32[F,V,3] hold the same material
 * points in the same order and coordinates. Frame 0 is the anchor and never counts. Plain functions over arrays. */
#ifndef CH4_EVAL_TRACKS_H
#define CH4_EVAL_TRACKS_H

#include "base/base.h"

#define CH4_EVAL_MOVING 0.15 /* a point moves in frame f if its truth is farther than this from its truth in frame 0 */

/* Sums over (frame, vertex) pairs; a mean is sum / n. */
typedef struct ch4_eval_sum {
    double all, moving;
    int64_t n_all, n_moving;
} ch4_eval_sum;

double ch4_eval_mean_all(const ch4_eval_sum *sum);    /* NAN without pairs */
double ch4_eval_mean_moving(const ch4_eval_sum *sum);

/* Adds one frame: Euclidean distances |estimate - truth| of n points, truth0 being their truth in frame 0; each f32[n,3]. A pair with a
 * component that is not finite in estimate counts as an error: CH4_EFORMAT names the point. */
ch4_status ch4_eval_add_frame(ch4_eval_sum *sum, const float *estimate, const float *truth, const float *truth0, int64_t n, ch4_err *err);

/* The nearest of n_cloud points (n_cloud >= 1) to each of n anchor positions: out f32[n,3]. */
ch4_status ch4_eval_nearest_in_cloud(float *out, const float *anchor, int64_t n, const float *cloud, int64_t n_cloud, ch4_pool *pool, ch4_err *err);

/* The nearest point of a mesh (n_face >= 1) to each of n positions: out f32[n,3]; face i32[n] and bary f32[n,3] where it lies, may be NULL. */
ch4_status ch4_eval_nearest_on_mesh(float *out, int32_t *face, float *bary, const float *position, int64_t n, const float *vert,
                                    const int32_t *faces, int64_t n_face, ch4_pool *pool, ch4_err *err);

/* Rotation angle between R and truth in degrees: arccos((tr(R^T truth) - 1) / 2), computed so that small angles keep their digits. */
double ch4_eval_rotation_error(const double R[9], const double truth[9]);

/* The same for the rotations relative to frame 0, R R0^T and truth truth0^T. */
double ch4_eval_relative_rotation_error(const double R[9], const double R0[9], const double truth[9], const double truth0[9]);

#endif
