/* Errors of the cameras of a run against the true ones: gauge, rotation, centre, reprojection, silhouette. Plain functions. */
#ifndef CH4_EVAL_POSE_ERRORS_H
#define CH4_EVAL_POSE_ERRORS_H

#include "tools/eval/camera_scores.h"
#include "tools/eval/similarity.h"

/* x_camera = R x + t for n frames. */
typedef struct ch4_poses {
    const double *R, *t; /* [n,9], [n,3] */
    int64_t n;
} ch4_poses;

/* Poses of the predicted object frame as poses of the true one, where X_gt = scale R X + t of the gauge: R' = R_pred R^T, t' = scale t_pred - R' t.
 * out_R f64[n,9], out_t f64[n,3]. */
void ch4_poses_in_gauge(double *out_R, double *out_t, ch4_poses pred, const ch4_similarity *gauge);

enum { CH4_POSE_AUC = 3 };
extern const double ch4_pose_auc_limit[CH4_POSE_AUC]; /* 5 10 30 degrees */

typedef struct ch4_pose_score {
    double rotation_mean, rotation_median; /* degrees between predicted and true rotation */
    double centre_mean;                    /* |c' - c| over the true distance |c| of the camera from the origin of the object */
    double auc[CH4_POSE_AUC];              /* area under the share of frames with max(rotation, direction) error below a limit, up to the limit, in [0,1];
                                              direction: angle between the ways from the object to the two cameras */
    double jitter_rotation, jitter_centre; /* of the prediction's error: rms deviation from its own mean; degrees; units of the object. A camera that is
                                              off by the same in all frames has none. */
} ch4_pose_score;

/* pred and truth in the same object frame. CH4_ENOMEM. */
ch4_status ch4_compute_poses(ch4_pose_score *out, ch4_poses pred, ch4_poses truth, ch4_err *err);

double ch4_median_f64(double *x, int64_t n);             /* sorts x; NAN for n == 0 */
double ch4_percentile_f64(double *x, int64_t n, double p); /* sorts x; linear between neighbours, p in [0,1] */

#endif
