/* Is an input like what the model was trained on? A frame's mean patch token of the image encoder, against mean and covariance of the
 * training's frames (train/input_statistics.py). Says nothing about a single frame's quality; it warns of another world of pictures. */
#ifndef CH4_DENOISE_FAMILIAR_H
#define CH4_DENOISE_FAMILIAR_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_familiar {
    int64_t width;
    float *mean;   /* [W] */
    float *whiten; /* [W,W]: |whiten (x - mean)| / sqrt(W) is about 1 for a familiar frame */
    float limit;   /* a larger distance is unfamiliar */
} ch4_familiar;

/* Reads a file with mean F32 [W], whiten F32 [W,W], limit F32 [1]. CH4_ENOENT, CH4_EFORMAT (also for another width). Free with fini. */
ch4_status ch4_familiar_load(ch4_familiar *out, const char *path, int64_t width, ch4_err *err);
void       ch4_familiar_fini(ch4_familiar *familiar);

/* Median over the frames of the distance of a frame's mean patch token. context [T,S,W], token 0 of each frame is the class token and does
 * not count; T >= 1, S >= 2. CH4_ENOMEM. */
ch4_status ch4_familiar_distance(double *out, const ch4_familiar *familiar, const float *context, int64_t T, int64_t S, ch4_err *err);

#endif
