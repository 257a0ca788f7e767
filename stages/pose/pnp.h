/* Robust pose from 2D-3D matches of which many are wrong: paper Eq. 8 by RANSAC over EPnP, EPnP and SQPnP on the consensus,
 * Levenberg-Marquardt, re-gating. Deterministic: the same input, options and seed give the same bytes. */
#ifndef CH4_POSE_PNP_H
#define CH4_POSE_PNP_H

#include "base/err.h"
#include "stages/pose/camera.h"

#define CH4_PNP_STATUS_LIST(X)                                                                                         \
    X(CH4_PNP_OK, "ok")                                                                                                \
    X(CH4_PNP_OK_FALLBACK, "ok_sqpnp") /* EPnP's pose was degenerate (camera near infinity); SQPnP's is reported */    \
    X(CH4_PNP_TOO_FEW, "too_few")      /* fewer than four finite pairs */                                              \
    X(CH4_PNP_DEGENERATE, "degenerate") /* points coincide or lie on a line, or all pixels on one spot */              \
    X(CH4_PNP_NO_CONSENSUS, "no_consensus")

typedef enum ch4_pnp_status {
#define X(name, text) name,
    CH4_PNP_STATUS_LIST(X)
#undef X
    CH4_PNP_STATUS_COUNT
} ch4_pnp_status;

const char *ch4_pnp_status_name(ch4_pnp_status status); /* "ok"; never NULL */

typedef struct ch4_pnp_options {
    double threshold_px; /* inlier: pixel error at most this, and in front of the camera */
    int iterations;      /* RANSAC samples at most */
    double confidence;   /* stop when a clean sample was drawn with this probability */
    int regates;         /* gate, refine, repeat at most this often; 0 keeps the first consensus */
    double cauchy_px;    /* > 0: last step, rho of Eq. 8 over all pairs; 0: none */
    uint64_t seed, stream;
} ch4_pnp_options;

/* 8 px, 400, 0.999, 10 re-gates, no Cauchy step, seed 0. */
ch4_pnp_options ch4_pnp_defaults(void);

typedef struct ch4_pnp_result {
    ch4_pnp_status status;
    ch4_rigid pose;   /* all zero unless the status is one of the two OK */
    int64_t inliers;  /* pairs within the threshold at the reported pose */
    double rmse_px;   /* over the inliers */
    int samples;      /* RANSAC samples drawn */
} ch4_pnp_result;

/* object [n,3], image [n,2] (pixels of the image that k belongs to), any n >= 0; pairs with a non-finite entry are never
 * inliers. inlier [n] (may be NULL) receives 0 or 1, in the order of the input. With an OK status R is orthonormal, everything is
 * finite, and each inlier lies in front of the camera and within the threshold. What the data cause is a ch4_pnp_status;
 * CH4_EINVAL: options or k out of range; CH4_ENOMEM. */
ch4_status ch4_pnp_solve(ch4_pnp_result *out, uint8_t *inlier, const double *object, const double *image, int64_t n, ch4_intrinsics k,
                         const ch4_pnp_options *opt, ch4_err *err);

#endif
