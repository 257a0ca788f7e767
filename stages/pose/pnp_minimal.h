/* Pose from 2D-3D pairs without outliers: EPnP and SQPnP, the two direct solvers, and Levenberg-Marquardt on the pixel error.
 * Plain functions on arrays; no allocation, no state, safe from any thread. Objects far from their origin are centred first. */
#ifndef CH4_POSE_PNP_MINIMAL_H
#define CH4_POSE_PNP_MINIMAL_H

#include "stages/pose/camera.h"

/* n pairs: object [n,3] in object units, image [n,2] in pixels, all finite. Borrowed. */
typedef struct ch4_pairs {
    const double *object, *image;
    int64_t n;
} ch4_pairs;

/* Mean squared pixel distance of the pairs in front of the camera (0 if there is none); *behind counts the others. */
double ch4_pairs_error(const ch4_pairs *p, ch4_intrinsics k, const ch4_rigid *pose, int64_t *behind);

/* True if pose a explains the pairs better than b: fewer points behind the camera, then the smaller error. */
bool ch4_pairs_better(const ch4_pairs *p, ch4_intrinsics k, const ch4_rigid *a, const ch4_rigid *b);

/* EPnP (Lepetit, Moreno-Noguer, Fua, IJCV 2009), n >= 4: four control points on the principal axes, three when the points are
 * coplanar; for thin objects both, the smaller pixel error wins. Starts N = 1..4, each refined on the control-point distances; of more than
 * five pairs of a thin object, three steps of ch4_pnp_refine. O(n). False if no finite pose came out. */
bool ch4_epnp(ch4_rigid *out, const ch4_pairs *p, ch4_intrinsics k);

/* SQPnP (Terzakis, Lourakis, ECCV 2020), n >= 3, planar or not: the global minimum over rotations of
 * sum (x Zc - Xc)^2 + (y Zc - Yc)^2 in normalised coordinates, among poses with the centroid in front of the camera. O(n).
 * *cost (may be NULL) receives the minimum, in squared object units. False if no finite pose came out. */
bool ch4_sqpnp(ch4_rigid *out, double *cost, const ch4_pairs *p, ch4_intrinsics k);

typedef struct ch4_lm_options {
    int max_steps;    /* accepted steps; 20 in the paper's setting */
    double cauchy_px; /* 0: plain squares; c > 0: sum c^2 log(1 + (d/c)^2) */
} ch4_lm_options;

/* Minimises the pixel error from *pose over the pairs that are in front of the camera at the start (the others are left out); a
 * step that would put one of those behind is not taken. Left-multiplied rotation vector and translation, Marquardt damping
 * from 1e-3 by factors of ten; stops at steps below 1e-10. Returns the number of accepted steps; 0 with fewer than 3 pairs. */
int ch4_pnp_refine(ch4_rigid *pose, const ch4_pairs *p, ch4_intrinsics k, const ch4_lm_options *opt);

#endif
