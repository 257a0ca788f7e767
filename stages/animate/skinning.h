/* All vertices of the anchor mesh moved by the landmarks: at every vertex and frame the weighted rigid fit of its landmarks' anchor
 * positions to their smoothed positions, then temporal smoothing of the whole field (paper App. D). */
#ifndef CH4_ANIMATE_SKINNING_H
#define CH4_ANIMATE_SKINNING_H

#include <stdint.h>

#include "base/err.h"
#include "base/parallel.h"
#include "mesh/geodesic.h"
#include "stages/animate/landmark_tracks.h"

typedef struct ch4_skinning {
    const float *vert;           /* [V,3] anchor mesh */
    int64_t V;
    const ch4_geodesic_knn *knn; /* over the kept landmarks, of the same V */
    const double *weight;        /* [V,knn->k] rows of sum 1 */
    const double *source;        /* [K,3] kept landmarks on the anchor mesh */
    const double *target;        /* [F,K,3] their smoothed positions */
    int64_t F, a;                /* frames, anchor frame */
    double D;                    /* diagonal of the anchor mesh's box */
    ch4_smooth_options final;    /* smoothing of the field */
} ch4_skinning;

/* out f32[F,V,3]; frame a is vert exactly. Every vertex moves by its fit, landmark vertices included; one without neighbours stays.
 * before_final f32[F,V,3] (may be NULL): the same without the last smoothing. rank i64[4] (may be NULL): fits by rank class, V * F
 * less those without neighbours. H comes from sums of p q^T; where its rank is in doubt it is formed again from differences. Bytes do not depend on
 * the number of threads. CH4_ENOMEM. */
ch4_status ch4_skinning_animate(float *out, float *before_final, int64_t rank[4], const ch4_skinning *in, ch4_pool *pool, ch4_err *err);

#endif
