/* ch4_image_encoder: the vision transformer that turns a picture into context tokens (DINOv2, docs/model.md).
 *
 * Row 0 of the result is the class token, row 1 + y*gw + x the patch in row y and column x of the patch grid; all after the final norm.
 * The position table is resampled to the grid of the input (bicubic, a = -0.75, step = table / grid), so any size that is a multiple of the patch
 * works. Lifetime: loaded once. Not thread-safe. */
#ifndef CH4_MODEL_IMAGE_ENCODER_H
#define CH4_MODEL_IMAGE_ENCODER_H

#include <jansson.h>

#include "model/block.h"

typedef struct ch4_image_encoder_config {
    int64_t width, num_layers, num_heads, inner, patch, image_size;
    double eps;
    bool qkv_bias;
} ch4_image_encoder_config;

typedef struct ch4_image_encoder ch4_image_encoder;

ch4_status ch4_image_encoder_config_parse(ch4_image_encoder_config *out, const json_t *object, ch4_err *err);
ch4_status ch4_image_encoder_create(ch4_image_encoder **out, ch4_nn *nn, const ch4_image_encoder_config *config, const ch4_safetensors *weights, ch4_err *err);
ch4_status ch4_image_encoder_open(ch4_image_encoder **out, ch4_nn *nn, const char *dir, ch4_err *err);
void       ch4_image_encoder_close(ch4_image_encoder **enc);

/* What a file holds of the network, without loading it; every problem goes to the report. */
ch4_status ch4_image_encoder_survey(const ch4_image_encoder_config *config, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err);

/* Bytes that an image of n_patches takes, besides the weights (4 bytes per loaded parameter). */
ch4_status ch4_image_encoder_workspace(size_t *out, const ch4_image_encoder_config *config, int64_t n_patches, ch4_err *err);

const ch4_image_encoder_config *ch4_image_encoder_get_config(const ch4_image_encoder *enc);

/* Position embeddings [1 + gh*gw, width] for a patch grid. */
ch4_status ch4_image_encoder_positions(const ch4_image_encoder *enc, float *out, int64_t gh, int64_t gw, ch4_err *err);

/* context [B, 1 + gh*gw, width] of pixels [B,3,h,w] (already normalised, see image_processor.h). h and w are multiples of the patch; CH4_EINVAL.
 * probe: CH4_PROBE_BLOCK_IN is the embeddings; images are worked through one by one, so its events repeat per image. */
ch4_status ch4_image_encoder_forward(ch4_image_encoder *enc, float *context, const float *pixels, int64_t B, int64_t h, int64_t w, const ch4_probe *probe,
                                     ch4_err *err);

#endif
