/* Errors of camera trajectories, as evo defines them (APE and RPE), and of object poses. */
#ifndef CH4_EVAL_CAMERA_SCORES_H
#define CH4_EVAL_CAMERA_SCORES_H

#include "base/base.h"

typedef struct ch4_statistics {
    double rmse, mean, median, std, min, max, sse;
} ch4_statistics;

/* NAN everywhere for n == 0. CH4_ENOMEM. */
ch4_status ch4_compute_statistics(ch4_statistics *out, const double *x, int64_t n, ch4_err *err);

typedef enum ch4_trajectory_align { CH4_TRAJECTORY_NONE, CH4_TRAJECTORY_SE3, CH4_TRAJECTORY_SIM3 } ch4_trajectory_align;

/* Translations in the unit of gt, rotations in degrees. ate: of each pose after alignment of the camera centres; rpe: of the motion between consecutive poses. */
typedef struct ch4_trajectory_score {
    ch4_statistics ate_translation, ate_rotation, rpe_translation, rpe_rotation;
    double scale, R[9], t[3]; /* of the alignment */
} ch4_trajectory_score;

/* pred, gt f64[n,16]: camera to world, row-major 4x4. n >= 2. CH4_EINVAL, CH4_ENOMEM. */
ch4_status ch4_compute_trajectory(ch4_trajectory_score *out, const double *pred, const double *gt, int64_t n, ch4_trajectory_align align, ch4_err *err);

#endif
