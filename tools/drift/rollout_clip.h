/* How a long ping-pong clip's result drifts: curves over its windows, and the health of its meshes. */
#ifndef CH4_DRIFT_ROLLOUT_CLIP_H
#define CH4_DRIFT_ROLLOUT_CLIP_H

#include "base/base.h"

typedef enum ch4_rollout_curve {
    CH4_ROLLOUT_VERTEX,      /* mean distance of a vertex to where it truly is */
    CH4_ROLLOUT_CD_4D,       /* as in chain4d-eval, not aligned */
    CH4_ROLLOUT_CD_M,
    CH4_ROLLOUT_CORRELATION, /* Pearson correlation of a frame's latent with that of the same source frame in window 0, tokens matched by number (paper Fig. 2b) */
    CH4_ROLLOUT_CURVES
} ch4_rollout_curve;

typedef struct ch4_rollout_score {
    int64_t n_windows;
    double *curve[CH4_ROLLOUT_CURVES]; /* [n_windows]: mean over the window's frames, its shared first frame left out except in window 0 */
    double area;                       /* of the last frame over that of the first */
    bool finite;                       /* every vertex of every frame */
    int64_t flipped;                   /* connected parts of the last frame whose signed volume has another sign than in the first frame */
} ch4_rollout_score;

/* Of the result folder OUT/CLIP of a run with sink.keep and the true anchor mesh given, against a clip of chain4d-synth that plays n_source frames forward and backward;
 * windows of n_source frames that share one. Surfaces are compared by n_sample points. CH4_ENOENT; CH4_EFORMAT: files that do not fit together; CH4_ENOMEM.
 * Free with fini, also after an error. */
ch4_status ch4_rollout_score_clip(ch4_rollout_score *out, const char *truth, const char *result, int64_t n_source, int64_t n_sample, ch4_pool *pool, ch4_err *err);
void       ch4_rollout_score_fini(ch4_rollout_score *score);

/* Pearson correlation of two arrays; NAN where one is constant. */
double ch4_rollout_correlation(const float *a, const float *b, int64_t n);

/* Parts (joined by shared vertices) of a mesh whose signed volume has opposite signs in the two poses. CH4_ENOMEM. */
ch4_status ch4_rollout_flipped(int64_t *flipped, const float *before, const float *after, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);

#endif
