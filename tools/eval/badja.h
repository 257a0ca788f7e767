/* BADJA: 2D tracks of animal joints (readers and scores of CoTracker v0), and a reader of the dataset's own layout. */
#ifndef CH4_EVAL_BADJA_H
#define CH4_EVAL_BADJA_H

#include "base/base.h"

enum { CH4_BADJA_JOINTS = 20, CH4_BADJA_HEIGHT = 384, CH4_BADJA_WIDTH = 512 };

/* All frames from the first to the last annotated one; joints as (x, y) on the evaluation raster. */
typedef struct ch4_badja_video {
    int64_t n_frames;
    float *joint;     /* [n_frames,20,2]; zeros in frames without annotation */
    uint8_t *visible; /* [n_frames,20]; zeros in frames without annotation */
    double *area;     /* [n_frames] pixels of the mask on the raster */
} ch4_badja_video;

/* root/joint_annotations/<video>.json and the masks root/DAVIS/Annotations/Full-Resolution/<video>/%05d.png; joints and masks are stretched to the raster
 * (width, height). CH4_ENOENT, CH4_EFORMAT. Free with fini, also after an error. */
ch4_status ch4_badja_load(ch4_badja_video *out, const char *root, const char *video, int width, int height, ch4_err *err);
void       ch4_badja_fini(ch4_badja_video *video);

/* Percent of the visible joints of frames after the first that are nearer than 0.2 sqrt(mask area of that frame), and nearer than 3 px; both strict.
 * NAN without such joints. */
typedef struct ch4_badja_score {
    double seg_a, delta_3px;
    int64_t n;
} ch4_badja_score;

/* pred, gt f32[T,n,2], visible u8[T,n] (0 also where a frame has no annotation), area f64[T]. */
ch4_badja_score ch4_compute_badja(const float *pred, const float *gt, const uint8_t *visible, const double *area, int64_t n_frames, int64_t n);

#endif
