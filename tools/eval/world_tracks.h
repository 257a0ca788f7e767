/* Scores of 3D point tracks: WorldTrack's APD3D and EPE (St4RTrack, track_eval_util.py), and TAPVid-3D (tapnet). */
#ifndef CH4_EVAL_WORLD_TRACKS_H
#define CH4_EVAL_WORLD_TRACKS_H

#include "tools/eval/tapvid.h"

/* --- WorldTrack: pred and gt f64[T,n,3], world units with the first camera at the origin ---------------------------------------------------- */

enum { CH4_APD_THRESHOLDS = 4 };
extern const double ch4_apd_threshold[CH4_APD_THRESHOLDS];       /* 0.1 0.3 0.5 1.0 m */
extern const double ch4_apd_threshold_tight[CH4_APD_THRESHOLDS]; /* 0.02 0.06 0.1 0.2, for single objects (ours) */

/* none; one factor median|G| / median|P| over all frames and points; one such factor for each track; closed-form similarity over all frames and points. */
typedef enum ch4_world_align { CH4_WORLD_NONE, CH4_WORLD_GLOBAL, CH4_WORLD_PER_TRACK, CH4_WORLD_SIM3 } ch4_world_align;

typedef struct ch4_world_score {
    double apd, epe, within[CH4_APD_THRESHOLDS]; /* mean of the shares with distance <= threshold; mean distance; the shares */
    double scale;                                /* of the alignment; 1 for PER_TRACK */
    double R[9], t[3];                           /* SIM3: x' = scale R x + t; else identity and 0 */
    bool reflected;                              /* SIM3: the best orthogonal matrix was a reflection, its third axis was turned */
} ch4_world_score;

/* chosen u8[n] (NULL: all): points that count. compat: in the reflected case the public code's scale, which forgets the sign of the third
 * singular value. CH4_EFORMAT: no points; CH4_ENOMEM. */
ch4_status ch4_compute_world_score(ch4_world_score *out, const double *pred, const double *gt, const uint8_t *chosen, int64_t n_frames, int64_t n,
                                   const double threshold[CH4_APD_THRESHOLDS], ch4_world_align align, bool compat, ch4_err *err);

/* dynamic u8[n]: path length sum_t |G_{t+1} - G_t| above 0.01. */
void ch4_world_dynamic(uint8_t *dynamic, const double *gt, int64_t n_frames, int64_t n);

/* --- TAPVid-3D: pred and gt f64[n,T,3] in the camera of each frame --------------------------------------------------------------------------- */

typedef enum ch4_tapvid3d_scaling {
    CH4_TAPVID3D_NONE,
    CH4_TAPVID3D_MEDIAN,        /* median|G| / median|P| over entries visible in both */
    CH4_TAPVID3D_MEAN,          /* the same with means */
    CH4_TAPVID3D_PER_TRACK,     /* depth ratio at the query frame */
    CH4_TAPVID3D_REPRODUCE_2D,  /* depth ratio of every entry */
} ch4_tapvid3d_scaling;

/* query f64[n,3] as (t, y, x). fixed: thresholds of 0.01 ... 2.56 m, else d Z / sqrt(fx fy) for d of 1 ... 16 px. Every frame counts. CH4_ENOMEM. */
ch4_status ch4_compute_tapvid3d(ch4_tapvid_score *out, const double *query, const double *gt, const uint8_t *gt_occluded, const double *pred,
                                const uint8_t *pred_occluded, int64_t n, int64_t n_frames, const double focal[2], bool fixed,
                                ch4_tapvid3d_scaling scaling, ch4_err *err);

#endif
