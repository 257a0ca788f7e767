/* Landmark tracks: which samples are outliers, which landmarks are kept, confidence, smoothing in time (paper App. D).
 *
 * F frames, K landmarks, a = anchor frame. anchor f32[K,3] are the landmarks on the anchor mesh, raw f32[F,K,3] the chain's paths, of which
 * any may be NaN. u = raw - anchor. Lengths are in object units, D = diagonal of the anchor mesh's box. Plain functions, no state. */
#ifndef CH4_ANIMATE_LANDMARK_TRACKS_H
#define CH4_ANIMATE_LANDMARK_TRACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct ch4_track_options {
    double outlier_factor;   /* times the median displacement of the frame; 5 */
    double outlier_floor;    /* the median counts as at least this share of D; 0.05 (0 is the paper's text, which rejects every mover where most
                                of the body rests) */
    double outlier_absolute; /* no displacement above this share of D; 0.5 */
    double min_valid;        /* share of valid frames of a kept landmark; 0.95 */
    double min_keep;         /* if fewer than this share survive, keep the best of that number; 0.25 */
} ch4_track_options;

typedef struct ch4_smooth_options {
    double sigma; /* of the Gaussian, frames; <= 0 switches smoothing off; 1.5 for landmarks, 1.0 for the final field */
    double eps;   /* added to the sum of weights; 1e-8 */
    double hold;  /* where the sum of weights is below this, the nearest frame with confidence is held; 1e-4 */
} ch4_smooth_options;

ch4_track_options  ch4_track_defaults(void);
ch4_smooth_options ch4_smooth_defaults(double sigma);

/* valid u8[F,K]: 1 in frame a; elsewhere where raw is finite, |u| <= threshold[f] and |u| <= outlier_absolute * D.
 * median f64[F] of |u| over finite samples (0 without any); threshold f64[F] = factor * max(median, floor * D); both 0 in frame a.
 * CH4_ENOMEM. */
ch4_status ch4_tracks_validate(uint8_t *valid, double *median, double *threshold, const float *anchor, const float *raw, int64_t F, int64_t K,
                               int64_t a, double D, const ch4_track_options *options, ch4_err *err);

/* kept u8[K]: valid in at least min_valid * F frames. If fewer than need = min(K, max(4, ceil(min_keep K))) are, exactly the need landmarks
 * with most valid frames (lower index on ties), and *relaxed is true. CH4_ENOMEM. */
ch4_status ch4_tracks_select(uint8_t *kept, bool *relaxed, const uint8_t *valid, int64_t F, int64_t K, const ch4_track_options *options,
                             ch4_err *err);

/* confidence f64[F,K] from chain scores f32[F,K] (order 1/N): clip(score / median, 0, 1), the median over finite, positive scores of all
 * frames but a (none: 1); 1 in frame a; 0 where a score is not a number or negative. median_out may be NULL. CH4_ENOMEM. */
ch4_status ch4_tracks_normalise_scores(double *confidence, double *median_out, const float *score, int64_t F, int64_t K, int64_t a, ch4_err *err);

/* weight f64[F,K] = valid, times clip(confidence, 0, 1) where confidence (may be NULL) is given; NaN counts as 0. */
void ch4_tracks_weigh(double *weight, const uint8_t *valid, const double *confidence, int64_t F, int64_t K);

/* smoothed f64[F,K,3] = anchor + sum_j G(f-j) weight_j u_j / (sum_j G(f-j) weight_j + eps), over all frames without truncation; samples
 * that are not finite count as weight 0, the anchor sample as u = 0, weight 1. Where the sum is below hold, u of the nearest frame with
 * weight > 0 (the earlier one on ties). Frame a is the anchor exactly. CH4_ENOMEM. */
ch4_status ch4_tracks_smooth(double *smoothed, const float *anchor, const float *raw, const double *weight, int64_t F, int64_t K, int64_t a,
                             const ch4_smooth_options *options, ch4_err *err);

/* gain f64[F,F]: the same smoothing for a field without gaps is u_f <- sum_j gain[f,j] u_j; row a is zero (u_a = 0), identity for
 * sigma <= 0. */
void ch4_smooth_gain(double *gain, int64_t F, int64_t a, const ch4_smooth_options *options);

#endif
