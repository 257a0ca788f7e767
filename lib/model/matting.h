/* ch4_matting: what is foreground in a picture, by the network of RMBG-1.4 (IS-Net, a U-net of small U-nets; docs/model.md, "background
 * remover"). The published weights are for non-commercial use.
 *
 *     picture -> ch4_matting_prepare -> ch4_matting_forward -> ch4_matting_finish -> alpha
 *
 * Pictures are [h,w,3], origin at the top left. The network takes any size; it was made for CH4_MATTING_SIDE squares.
 * Lifetime: open once; forward keeps its memory for later pictures of at most that size. Not thread-safe. */
#ifndef CH4_MODEL_MATTING_H
#define CH4_MODEL_MATTING_H

#include "model/block.h"

enum { CH4_MATTING_SIDE = 1024, CH4_MATTING_MIN_PIXELS = 200 };

typedef struct ch4_matting ch4_matting;

/* nn is borrowed, the weights are copied with their batch norms folded in. CH4_EFORMAT: a missing, extra or misshapen tensor, named with
 * its file. */
ch4_status ch4_matting_create(ch4_matting **out, ch4_nn *nn, const ch4_safetensors *weights, ch4_err *err);

/* From a folder with config.json and model.safetensors. */
ch4_status ch4_matting_open(ch4_matting **out, ch4_nn *nn, const char *dir, ch4_err *err);
void       ch4_matting_close(ch4_matting **m);

/* What a file holds of the network, without loading it; every problem goes to the report. */
ch4_status ch4_matting_survey(const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err);

/* Bytes that forward takes for a picture of [h,w], besides the weights (4 bytes per loaded parameter). */
ch4_status ch4_matting_workspace(size_t *out, int64_t h, int64_t w, ch4_err *err);

/* map [h,w] in (0,1), larger in the foreground: the first of the network's six side outputs, the only one that is used. image [h,w,3] is in
 * [-0.5,0.5]. h, w >= 1. */
ch4_status ch4_matting_forward(ch4_matting *m, float *map, const float *image, int64_t h, int64_t w, ch4_err *err);

/* --- around the network (matting_image.c) ---------------------------------------------------------------------------------- */

/* image [side,side,3] of rgb [h,w,3]: stretched to the square (bilinear, no antialiasing), times 1/255, minus 0.5. */
void ch4_matting_prepare(float *image, int64_t side, const uint8_t *rgb, int64_t h, int64_t w);

/* alpha [h,w], 0 or 255, of map [side,side]: back to the picture's size, stretched to 0..255, cut at Otsu's threshold, regions (joined by sides
 * or corners) of fewer than CH4_MATTING_MIN_PIXELS pixels dropped. A map of one value has no foreground. CH4_ENOMEM. */
ch4_status ch4_matting_finish(uint8_t *alpha, int64_t h, int64_t w, const float *map, int64_t side, ch4_err *err);

/* Otsu's threshold of a histogram: the first t that maximises q1 q2 (mean1 - mean2)^2 of the values <= t and > t. 0 for one value. */
int ch4_matting_otsu(const int64_t histogram[256]);

#endif
