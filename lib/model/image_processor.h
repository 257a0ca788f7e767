/* From an RGB picture to the numbers that the image encoder takes: shortest edge resized as Pillow's bicubic does it (8-bit between the passes, to
 * the bit), centre crop, scaled and normalised (docs/model.md "image processor"). Pictures are [h,w,3] u8, origin at the top left. */
#ifndef CH4_MODEL_IMAGE_PROCESSOR_H
#define CH4_MODEL_IMAGE_PROCESSOR_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

typedef struct ch4_image_processor {
    int64_t shortest_edge, crop_height, crop_width;
    double rescale;
    float mean[3], std[3];
} ch4_image_processor;

/* 256, 224 x 224, ImageNet statistics. */
ch4_image_processor ch4_image_processor_defaults(void);

/* Fields of preprocessor_config.json over the defaults. CH4_EFORMAT: a key of the wrong kind, or a filter that is not bicubic. */
ch4_status ch4_image_processor_parse(ch4_image_processor *out, const json_t *object, ch4_err *err);
ch4_status ch4_image_processor_load(ch4_image_processor *out, const char *path, ch4_err *err);

/* Pillow's bicubic: src [h,w,3] to dst [out_h,out_w,3]. Sizes >= 1; CH4_ENOMEM. */
ch4_status ch4_image_resize(uint8_t *dst, int64_t out_h, int64_t out_w, const uint8_t *src, int64_t h, int64_t w, ch4_err *err);

/* Size after the resize: the shorter side becomes `shortest_edge`, the longer one int(edge * long / short). */
void ch4_image_resized_size(int64_t *out_h, int64_t *out_w, int64_t h, int64_t w, int64_t shortest_edge);

/* pixels [3,crop_height,crop_width] of an image [h,w,3]. CH4_EINVAL where the crop is larger than the resized picture. */
ch4_status ch4_image_process(const ch4_image_processor *p, float *pixels, const uint8_t *image, int64_t h, int64_t w, ch4_err *err);

#endif
