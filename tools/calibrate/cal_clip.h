/* What calibration knows of a clip: frames, truth, and everything of the chain that does not depend on how attention is read.
 *
 * T frames of the window, E of them evaluated, K points of the anchor mesh that are followed, N tokens, U candidate points of a frame. */
#ifndef CH4_CAL_CLIP_H
#define CH4_CAL_CLIP_H

#include "tools/calibrate/cal_model.h"

typedef struct ch4_cal_frame {
    int64_t slot;      /* in the window */
    float *truth;      /* [K,3] */
    uint8_t *moving;   /* [K] farther than CH4_EVAL_MOVING from the truth in frame 0 */
    int64_t n_points;  /* U */
    float *points;     /* [U,3] candidates on our own decoded surface */
    float *rows;       /* [U,N] A(Vf->Zf), as they are */
} ch4_cal_frame;

typedef struct ch4_cal_clip {
    const char *name;  /* borrowed */
    int64_t T, S, K, E, N;
    float *rest;       /* [K,3] truth in frame 0 */
    float *anchor_rows;/* [K,N] A(Va->Za) */
    ch4_cal_frame *frame; /* [E] */
    int64_t n_moving;  /* over all evaluated frames */
    double still, nearest; /* mean error over moving points: of no motion, of the nearest candidate */
    float *context, *known, *framestep; /* of the window: [T,S,Cc], [T,N,d] (slot 0), [T] */
    uint8_t *mask;
    int64_t input_floats;
    int inside;        /* sign of the decoded field inside */
} ch4_cal_clip;

typedef struct ch4_cal_clip_options {
    int64_t points;    /* K; fewer where the mesh has fewer vertices */
    int64_t frames;    /* E, spread evenly over the window without slot 0 */
    uint64_t seed;     /* of the choice of points */
} ch4_cal_clip_options;

/* Reads folder (imgs/ or video.mp4, gt.safetensors), encodes the true mesh of frame 0, generates the other frames once, decodes those that are
 * evaluated. CH4_EFORMAT: no point moves, or what is wrong with a file. Free with fini, also after an error. */
ch4_status ch4_cal_clip_open(ch4_cal_clip *out, const char *name, const char *folder, ch4_cal_model *model, const ch4_cal_clip_options *options, ch4_err *err);
void       ch4_cal_clip_fini(ch4_cal_clip *clip);

/* Bytes that an open clip holds. */
size_t ch4_cal_clip_bytes(const ch4_cal_clip *clip);

#endif
