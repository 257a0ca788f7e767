/* Kind dinov2: position table, encoder at several image sizes, and the image processor to the bit. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "golden_nn.h"
#include "model/image_encoder.h"
#include "model/image_processor.h"

/* Hidden states of every image in turn, gathered over the batch: [B,1+P,C] for each layer. */
typedef struct hidden {
    ch4_golden_case *c;
    int64_t batch, item, per_item, layers;
    float **state; /* [layers + 1] */
} hidden;

static ch4_status on_event(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    hidden *h = ctx;
    if (e->point != CH4_PROBE_BLOCK_IN && e->point != CH4_PROBE_BLOCK_OUT)
        return CH4_OK;
    int64_t i = e->point == CH4_PROBE_BLOCK_IN ? 0 : e->layer + 1;
    float *values;
    ch4_status st = ch4_golden_snapshot(h->c, nn, &values, e->x, err);
    if (!st)
        memcpy(h->state[i] + h->item * h->per_item, values, (size_t)h->per_item * sizeof *values);
    if (i == h->layers)
        h->item++;
    return st;
}

static ch4_status run_size(ch4_golden_case *c, ch4_image_encoder *enc, const char *size, ch4_err *err)
{
    ch4_tensor pixels;
    char name[64];
    snprintf(name, sizeof name, "pixel_values.%s", size);
    ch4_status st = ch4_golden_input(c, &pixels, 4, name, err);
    if (st)
        return st;
    const ch4_image_encoder_config *config = ch4_image_encoder_get_config(enc);
    int64_t B = pixels.shape[0], h = pixels.shape[2], w = pixels.shape[3], rows = 1 + h / config->patch * (w / config->patch), n = rows * config->width;
    hidden states = {.c = c, .batch = B, .per_item = n, .layers = config->num_layers};
    float *positions, *out;
    st = ch4_golden_alloc(c, &positions, (size_t)n, sizeof *positions, err);
    if (!st)
        st = ch4_golden_alloc(c, &out, (size_t)(B * n), sizeof *out, err);
    if (!st)
        st = ch4_golden_alloc(c, &states.state, (size_t)config->num_layers + 1, sizeof *states.state, err);
    for (int64_t i = 0; !st && i <= config->num_layers; i++)
        st = ch4_golden_alloc(c, &states.state[i], (size_t)(B * n), sizeof **states.state, err);
    if (!st)
        st = ch4_image_encoder_positions(enc, positions, h / config->patch, w / config->patch, err);
    if (!st)
        st = ch4_image_encoder_forward(enc, out, pixels.data, B, h, w, &(ch4_probe){on_event, &states}, err);
    if (st)
        return st;
    ch4_golden_check_f32(c, positions, n, "pos_embed.%s", size);
    for (int64_t i = 0; i <= config->num_layers; i++)
        if (ch4_golden_has(c, "out.hidden_states.%s.%" PRId64, size, i))
            ch4_golden_check_f32(c, states.state[i], B * n, "hidden_states.%s.%" PRId64, size, i);
    ch4_golden_check_f32(c, out, B * n, "last_hidden_state.%s", size);
    /* what older library versions computed with another sampling step; not to be reproduced */
    ch4_golden_mark(c, "legacy_offset0.1.pos_embed.%s", size);
    ch4_golden_mark(c, "legacy_offset0.1.last_hidden_state.%s", size);
    return CH4_OK;
}

static ch4_status run_image(ch4_golden_case *c, const json_t *item, ch4_err *err)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    ch4_image_processor p = ch4_image_processor_defaults();
    ch4_tensor in;
    p.shortest_edge = json_integer_value(json_object_get(item, "shortest_edge"));
    p.crop_height = p.crop_width = json_integer_value(json_object_get(item, "crop"));
    ch4_status st = ch4_golden_tensor(c, &in, CH4_DTYPE_F32, err, "in.image_hwc.%s", name ? name : "?");
    if (st)
        return st;
    int64_t h = in.shape[0], w = in.shape[1], rh, rw, n = ch4_tensor_count(&in);
    uint8_t *image, *resized;
    float *pixels, *values;
    ch4_image_resized_size(&rh, &rw, h, w, p.shortest_edge);
    st = ch4_golden_alloc(c, &image, (size_t)n, 1, err);
    if (!st)
        st = ch4_golden_alloc(c, &resized, (size_t)(rh * rw * 3), 1, err);
    if (!st)
        st = ch4_golden_alloc(c, &values, (size_t)(rh * rw * 3), sizeof *values, err);
    if (!st)
        st = ch4_golden_alloc(c, &pixels, (size_t)(3 * p.crop_height * p.crop_width), sizeof *pixels, err);
    for (int64_t i = 0; !st && i < n; i++)
        image[i] = (uint8_t)((const float *)in.data)[i];
    if (!st)
        st = ch4_image_resize(resized, rh, rw, image, h, w, err);
    if (!st)
        st = ch4_image_process(&p, pixels, image, h, w, err);
    if (st)
        return st;
    for (int64_t i = 0; i < rh * rw * 3; i++)
        values[i] = resized[i];
    if (ch4_golden_has(c, "out.image_resized_hwc.%s", name))
        ch4_golden_check_f32(c, values, rh * rw * 3, "image_resized_hwc.%s", name);
    ch4_golden_check_f32(c, pixels, 3 * p.crop_height * p.crop_width, "image_pixel_values.%s", name);
    return CH4_OK;
}

ch4_status ch4_golden_dinov2(ch4_golden_case *c, ch4_err *err)
{
    static const char prefix[] = "in.pixel_values.";
    ch4_image_encoder_config config;
    ch4_nn *nn = NULL;
    ch4_image_encoder *enc = NULL;
    ch4_status st = ch4_image_encoder_config_parse(&config, ch4_golden_json(c, "model"), err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = ch4_image_encoder_create(&enc, nn, &config, c->weights, err);
    for (int64_t i = 0; !st && i < ch4_safetensors_count(c->io); i++) {
        const char *name = ch4_safetensors_name(c->io, i);
        if (strncmp(name, prefix, sizeof prefix - 1) == 0)
            st = run_size(c, enc, name + sizeof prefix - 1, err);
    }
    const json_t *images = ch4_golden_json(c, "image_cases");
    for (size_t i = 0; !st && i < json_array_size(images); i++)
        st = run_image(c, json_array_get(images, i), err);
    ch4_image_encoder_close(&enc);
    ch4_nn_close(&nn);
    return st;
}
