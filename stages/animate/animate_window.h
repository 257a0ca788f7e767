/* The maths of the stage in one call: landmark paths of a window to positions of all vertices in all frames. Arrays only. */
#ifndef CH4_ANIMATE_WINDOW_H
#define CH4_ANIMATE_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/parallel.h"
#include "mesh/graph.h"
#include "stages/animate/landmark_tracks.h"

typedef struct ch4_animate_options {
    ch4_track_options tracks;
    ch4_smooth_options landmarks, final; /* sigma 1.5 and 1.0 frames */
    int64_t k;                           /* landmarks per vertex; 120 */
    double beta;                         /* sigma of the weights over the mean landmark spacing; 1.5 */
    bool use_score;                      /* confidence = validity times normalised score; else validity alone */
} ch4_animate_options;

typedef struct ch4_animate_input {
    const float *vert;           /* [V,3] anchor mesh, passed ch4_mesh_check */
    const int32_t *face;         /* [n_face,3] */
    int64_t V, n_face;
    const ch4_mesh_graph *graph; /* of this mesh */
    const int32_t *landmark;     /* [K] vertices */
    const float *path;           /* [F,K,3], NaN = none */
    const float *score;          /* [F,K], or NULL when use_score is off */
    int64_t K, F, a;             /* a: anchor frame */
} ch4_animate_input;

typedef struct ch4_animate_result {
    float *vertices;            /* [F,V,3]; frame a is the anchor mesh exactly */
    float *before_final;        /* [F,V,3] without the last smoothing; NULL unless asked for */
    double *smoothed;           /* [F,K,3] landmarks, kept or not */
    double *median, *threshold; /* [F] */
    uint8_t *valid, *kept;      /* [F,K], [K] */
    int64_t n_kept, n_fallback; /* vertices that no kept landmark reaches along edges */
    bool relaxed;               /* too few landmarks were valid often enough */
    double mean_spacing;        /* of the kept landmarks */
    int64_t rank[4];            /* fits by rank class */
} ch4_animate_result;

ch4_animate_options ch4_animate_defaults(void);

/* CH4_EINVAL: sizes, a landmark that is no vertex, scores missing; CH4_ENOMEM. Free *out with ch4_animate_result_fini. Without landmarks
 * nothing moves. */
ch4_status ch4_animate_window(ch4_animate_result *out, const ch4_animate_input *in, const ch4_animate_options *options, bool want_before_final,
                              ch4_pool *pool, ch4_err *err);
void       ch4_animate_result_fini(ch4_animate_result *result);

#endif
