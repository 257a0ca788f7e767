/* How far a reading of the attention carries the followed points from their truth: the chain stage's own maths on given maps. */
#ifndef CH4_CAL_SCORE_H
#define CH4_CAL_SCORE_H

#include "tools/calibrate/cal_clip.h"

/* How maps become correspondences: everything but the heads and the step. */
typedef struct ch4_cal_reading {
    ch4_capture_direction direction;
    int64_t sinkhorn;
    double power;
    bool unit_norm;
    int64_t topk;
    double temperature; /* relative to the best score */
} ch4_cal_reading;

/* Scratch of one worker; grows as needed, zero-initialised, freed by fini. */
typedef struct ch4_cal_scratch {
    float *w, *map, *transport, *path, *score, *rows;
    size_t size[6];
    const ch4_cal_clip *prepared_clip; /* what rows holds */
    int64_t prepared_frame;
    bool prepared_unit;
} ch4_cal_scratch;

void ch4_cal_scratch_fini(ch4_cal_scratch *scratch);

typedef struct ch4_cal_maps {
    /* Raw maps of the evaluated frame e in both directions, [N,N] each, rows are the frame's tokens. */
    void (*get)(const void *ctx, int64_t e, const float **forward, const float **backward);
    const void *ctx;
} ch4_cal_maps;

/* Mean error of the moving points over the evaluated frames. A point that nothing matches stays where it was. CH4_ENOMEM, errors of the op table. */
ch4_status ch4_cal_error(double *error, const ch4_cal_clip *clip, const ch4_cal_maps *maps, const ch4_cal_reading *reading, ch4_cal_model *model,
                         ch4_cal_scratch *scratch, ch4_err *err);

/* Share of tokens whose strongest partner is the token of the same number: with matched or shared noise that is the same piece of the object. Rows of the
 * frame, or of the anchor with CH4_ANCHOR_TO_FRAME. */
double ch4_cal_top1(const ch4_cal_clip *clip, const ch4_cal_maps *maps, ch4_capture_direction direction);

#endif
