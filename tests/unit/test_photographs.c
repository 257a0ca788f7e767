/* The reference's preprocessing at full size, by digest: what an independent program (NumPy and Pillow's resize, after docs/model.md) made of the same
 * pictures: frames cut out of a clip, and the numbers that the image encoder takes of them.
 *
 * A picture that is computed is always there. The photographs are not part of the repository: CH4_PHOTOS names the folder that holds
 * davis_camel/ and panda/, sixteen RGBA pictures of 512 x 512 each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/image_encoder.h"
#include "model/image_processor.h"
#include "model/weights.h"
#include "stages/decode/clip.h"

enum { PIXELS = 3 * 224 * 224 };

static void assert_digest(const void *data, size_t size, const char *want)
{
    char got[CH4_HASH_HEX];
    ch4_hash_bytes(got, data, size);
    assert_string_equal(got, want);
}

static float *pixels_of(const uint8_t *frames, int64_t n, int64_t h, int64_t w)
{
    ch4_image_processor p = ch4_image_processor_defaults();
    float *out = calloc((size_t)n * PIXELS, sizeof *out);
    assert_non_null(out);
    for (int64_t f = 0; f < n; f++)
        assert_int_equal(ch4_image_process(&p, out + f * PIXELS, frames + f * h * w * 3, h, w, NULL), CH4_OK);
    return out;
}

/* --- computed pictures: noise over ramps, a soft-edged ellipse that moves, and a stray pixel of alpha 1 that widens the box --------------- */

enum { W = 512, H = 384, N = 3 };

static uint32_t mix(uint32_t i)
{
    uint32_t x = i * 2654435761u + 374761393u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    return x ^ x >> 16;
}

static void draw(uint8_t *rgba, int t)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int ramp[3] = {x / 4, y / 3, (x + y) / 8}, dx = x - (200 + 7 * t), dy = y - 180, left = 24000 - (dx * dx + 2 * dy * dy);
            uint8_t *p = rgba + 4 * (y * W + x);
            for (int c = 0; c < 3; c++) {
                int v = (int)(mix((uint32_t)(((t * H + y) * W + x) * 4 + c)) & 63) + ramp[c];
                p[c] = (uint8_t)(v > 255 ? 255 : v);
            }
            int a = left < 0 ? 0 : left / 40;
            p[3] = (uint8_t)(a > 255 ? 255 : a);
        }
    if (t == 1)
        rgba[4 * (30 * W + 400) + 3] = 1;
}

static void computed_pictures(void **state)
{
    (void)state;
    uint8_t *rgba = malloc((size_t)N * W * H * 4);
    ch4_box box = {0, 0, 0, 0};
    assert_non_null(rgba);
    for (int t = 0; t < N; t++) {
        uint8_t *f = rgba + (size_t)t * W * H * 4;
        draw(f, t);
        box = ch4_box_union(box, ch4_box_of_alpha(f + 3, W, H, 4, 4 * W, 0));
    }
    assert_true(box.x == 46 && box.y == 30 && box.w == 355 && box.h == 260);
    ch4_crop crop = ch4_crop_of_box(box, 0.1, false); /* as the reference: one short of a square */
    assert_true(crop.w == 425 && crop.h == 424);
    size_t size = (size_t)(crop.w * crop.h * 3);
    uint8_t *frames = malloc(N * size);
    assert_non_null(frames);
    for (int t = 0; t < N; t++)
        ch4_crop_apply(frames + (size_t)t * size, NULL, rgba + (size_t)t * W * H * 4, W, H, box, crop);
    assert_digest(frames, N * size, "3244ffcb0e1be7fc5b6965957d2f1999");
    float *pixels = pixels_of(frames, N, crop.h, crop.w);
    assert_digest(pixels, (size_t)N * PIXELS * sizeof *pixels, "84ca115c38b6c143bf6705287416e5e6");
    free(pixels);
    free(frames);
    free(rgba);
}

/* --- photographs: decode, crop, and an image encoder of random weights --------------------------------------------------------------------- */

static void encode(const float *pixels, int64_t n)
{
    enum { WIDTH = 48, ROWS = 257 };
    static const char golden[] = "tests/golden/dinov2";
    char path[128];
    ch4_nn *nn = NULL;
    ch4_safetensors *file = NULL;
    ch4_image_encoder *enc = NULL;
    ch4_image_encoder_config config;
    snprintf(path, sizeof path, "%s/config.json", golden);
    json_t *json = json_load_file(path, 0, NULL);
    assert_int_equal(ch4_image_encoder_config_parse(&config, json_object_get(json, "model"), NULL), CH4_OK);
    json_decref(json);
    snprintf(path, sizeof path, "%s/weights.safetensors", golden);
    assert_int_equal(ch4_safetensors_open(&file, path, NULL), CH4_OK);
    assert_int_equal(ch4_nn_open(&nn, "cpu", 2, NULL), CH4_OK);
    assert_int_equal(ch4_image_encoder_create(&enc, nn, &config, file, NULL), CH4_OK);
    ch4_safetensors_close(&file);
    float *context = calloc((size_t)n * ROWS * WIDTH, sizeof *context);
    assert_int_equal(ch4_image_encoder_forward(enc, context, pixels, n, 224, 224, NULL, NULL), CH4_OK);
    for (int64_t i = 0; i < n * ROWS * WIDTH; i++)
        assert_true(isfinite(context[i]));
    assert_memory_not_equal(context, context + (n - 1) * ROWS * WIDTH, ROWS * WIDTH * sizeof *context);
    free(context);
    ch4_image_encoder_close(&enc);
    ch4_nn_close(&nn);
}

static void photographs(const char *name, int64_t side, const char *frames_digest, const char *pixels_digest)
{
    enum { FRAMES = 16 };
    const char *folder = getenv("CH4_PHOTOS");
    const ch4_clip_options o = {.frames = {.stride = 1, .image_fps = 24}, .matte = {.mode = CH4_MATTE_AUTO, .key_tolerance = 24, .key_border = 0.9, .min_foreground = 0.01},
                                .padding = 0.1, .max_side = 4096};
    char path[4200];
    ch4_clip_plan plan;
    ch4_clip *clip = NULL;
    ch4_err err = {0};
    if (!folder) {
        print_message("  reason: CH4_PHOTOS names no folder of photographs\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (ch4_clip_scan(&plan, path, &o, NULL, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(plan.n_frames, FRAMES);
    assert_int_equal(plan.side, side);
    size_t size = (size_t)(side * side * 3);
    uint8_t *frames = malloc(FRAMES * size), *alpha = malloc((size_t)(side * side));
    assert_int_equal(ch4_clip_open(&clip, path, &o, &plan, NULL, &err), CH4_OK);
    for (int f = 0; f < FRAMES; f++)
        assert_int_equal(ch4_clip_next(clip, frames + (size_t)f * size, alpha, &err), CH4_OK);
    ch4_clip_close(&clip);
    ch4_clip_plan_fini(&plan);
    assert_digest(frames, FRAMES * size, frames_digest);
    float *pixels = pixels_of(frames, FRAMES, side, side);
    assert_digest(pixels, (size_t)FRAMES * PIXELS * sizeof *pixels, pixels_digest);
    encode(pixels, FRAMES);
    free(pixels);
    free(frames);
    free(alpha);
}

static void camel(void **state)
{
    (void)state;
    photographs("davis_camel", 614, "cb980e7e5faad5c878dcc8538e83f0f9", "943c630ef5001700017a738e292df2cb");
}

static void panda(void **state)
{
    (void)state;
    photographs("panda", 505, "5c993a738412737850925cffdcde8df0", "0e47531136d1b3ed212f42afc5b3ed17");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computed_pictures),
        cmocka_unit_test(camel),
        cmocka_unit_test(panda),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
