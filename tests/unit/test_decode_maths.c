#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "stages/decode/crop.h"
#include "stages/decode/focus.h"
#include "stages/decode/folder.h"
#include "stages/decode/key.h"
#include "stages/decode/matte.h"
#include "stages/decode/shrink.h"
#include "stages/decode/turn.h"

/* --- crop --------------------------------------------------------------------------------------------------------------- */

enum { W = 40, H = 30 };

static void fill(uint8_t *rgba, int64_t w, int64_t h, uint8_t r, uint8_t g, uint8_t b, uint8_t a)
{
    for (int64_t i = 0; i < w * h; i++)
        memcpy(rgba + 4 * i, (uint8_t[]){r, g, b, a}, 4);
}

static void rectangle(uint8_t *rgba, int64_t w, ch4_box box, uint8_t r, uint8_t g, uint8_t b, uint8_t a)
{
    for (int64_t y = box.y; y < box.y + box.h; y++)
        for (int64_t x = box.x; x < box.x + box.w; x++)
            memcpy(rgba + 4 * (y * w + x), (uint8_t[]){r, g, b, a}, 4);
}

static void assert_box(ch4_box b, int64_t x, int64_t y, int64_t w, int64_t h)
{
    assert_int_equal(b.x, x);
    assert_int_equal(b.y, y);
    assert_int_equal(b.w, w);
    assert_int_equal(b.h, h);
}

static void test_box_obeys_threshold(void **state)
{
    (void)state;
    uint8_t rgba[W * H * 4] = {0};
    assert_int_equal(ch4_box_of_alpha(rgba + 3, W, H, 4, 4 * W, 0).w, 0);
    rectangle(rgba, W, (ch4_box){5, 7, 11, 3}, 1, 2, 3, 200);
    rectangle(rgba, W, (ch4_box){39, 0, 1, 1}, 1, 2, 3, 1);
    assert_box(ch4_box_of_alpha(rgba + 3, W, H, 4, 4 * W, 1), 5, 7, 11, 3);
    assert_box(ch4_box_of_alpha(rgba + 3, W, H, 4, 4 * W, 0), 5, 0, 35, 10);
    assert_int_equal(ch4_box_of_alpha(rgba + 3, W, H, 4, 4 * W, 200).w, 0);
    assert_int_equal(ch4_alpha_count(rgba, W, H), 33);
}

static void test_box_union(void **state)
{
    (void)state;
    ch4_box none = {0}, a = {2, 3, 4, 5}, b = {-1, 6, 2, 9};
    assert_box(ch4_box_union(none, a), 2, 3, 4, 5);
    assert_box(ch4_box_union(a, none), 2, 3, 4, 5);
    assert_box(ch4_box_union(a, b), -1, 3, 7, 12);
}

static void test_crop_is_square_where_the_reference_is_short(void **state)
{
    (void)state;
    ch4_box box = {10, 10, 31, 20}; /* odd difference: the reference is one short in height */
    assert_box(ch4_crop_of_box(box, 0.1, false), 7, 2, 37, 36);
    assert_box(ch4_crop_of_box(box, 0.1, true), 7, 2, 37, 37);
    assert_box(ch4_crop_of_box((ch4_box){0, 0, 8, 8}, 0, true), 0, 0, 8, 8);
}

static void test_crop_applies_alpha_and_stays_white_outside(void **state)
{
    (void)state;
    uint8_t rgba[W * H * 4];
    fill(rgba, W, H, 10, 20, 30, 255); /* an opaque neighbour that must not leak into the padding */
    ch4_box box = {0, 4, 6, 6};
    rectangle(rgba, W, box, 200, 100, 0, 255);
    rectangle(rgba, W, (ch4_box){0, 4, 1, 1}, 200, 100, 0, 0);
    ch4_crop crop = ch4_crop_of_box(box, 0.5, true);
    assert_box(crop, -3, 1, 12, 12);
    uint8_t rgb[12 * 12 * 3], alpha[12 * 12];
    ch4_crop_apply(rgb, alpha, rgba, W, H, box, crop);
    int64_t inside = 0;
    for (int64_t y = 0; y < 12; y++)
        for (int64_t x = 0; x < 12; x++) {
            const uint8_t *p = rgb + 3 * (y * 12 + x);
            bool object = x >= 3 && x < 9 && y >= 3 && y < 9 && !(x == 3 && y == 3);
            assert_int_equal(p[0], object ? 200 : 255);
            assert_int_equal(p[1], object ? 100 : 255);
            assert_int_equal(p[2], object ? 0 : 255);
            assert_int_equal(alpha[y * 12 + x], object ? 255 : 0);
            inside += object;
        }
    assert_int_equal(inside, 35);
}

static void test_composite_keeps_opaque_values(void **state)
{
    (void)state;
    for (int v = 0; v < 256; v++) {
        uint8_t p[4] = {(uint8_t)v, (uint8_t)v, (uint8_t)v, 255}, rgb[3];
        ch4_crop_apply(rgb, NULL, p, 1, 1, (ch4_box){0, 0, 1, 1}, (ch4_crop){0, 0, 1, 1});
        assert_int_equal(rgb[0], v);
    }
}

/* --- turning, shrinking, names -------------------------------------------------------------------------------------------- */

static void test_turns(void **state)
{
    (void)state;
    enum { ONE = 65536 };
    uint8_t src[2 * 16], dst[6 * 4]; /* 3 x 2 pixels "abc/def", rows padded to 16 bytes */
    for (int i = 0; i < 6; i++)
        memset(src + 16 * (i / 3) + 4 * (i % 3), 'a' + i, 4);
    static const struct {
        int32_t m[9];
        const char *rows; /* row after row */
        bool transposed;
    } cases[] = {
        {{ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30}, "abcdef", false},
        {{0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30}, "daebfc", true},   /* a quarter turn clockwise: the left column becomes the top row */
        {{-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30}, "fedcba", false}, /* half a turn */
        {{0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30}, "cfbead", true},   /* a quarter turn counter-clockwise */
        {{-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30}, "cbafed", false},  /* mirrored */
        {{0}, "abcdef", false},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        ch4_turn turn = ch4_turn_of_matrix(cases[k].m);
        assert_int_equal(turn.transpose, cases[k].transposed);
        ch4_turn_apply(dst, src, 3, 2, 16, turn);
        for (int i = 0; i < 6; i++)
            assert_int_equal(dst[4 * i + 3], cases[k].rows[i]);
    }
}

static void test_shrink_averages_areas(void **state)
{
    (void)state;
    const uint8_t src[9] = {0, 90, 30, 60, 120, 90, 10, 20, 255};
    uint8_t dst[9];
    assert_int_equal(ch4_shrink_square(dst, 3, src, 3, 1, NULL), CH4_OK);
    assert_memory_equal(dst, src, 9);
    assert_int_equal(ch4_shrink_square(dst, 1, src, 3, 1, NULL), CH4_OK);
    assert_int_equal(dst[0], 75); /* 675 / 9 */
    assert_int_equal(ch4_shrink_square(dst, 2, src, 3, 1, NULL), CH4_OK);
    /* top left: pixel 0 whole, its neighbours half, the middle a quarter, over 2.25 */
    assert_int_equal(dst[0], (int)floor((0 + 0.5 * 90 + 0.5 * 60 + 0.25 * 120) / 2.25 + 0.5));
    assert_int_equal(dst[3], (int)floor((0.25 * 120 + 0.5 * 90 + 0.5 * 20 + 255) / 2.25 + 0.5));
    assert_int_equal(ch4_shrink_square(dst, 4, src, 3, 1, NULL), CH4_EINVAL);
}

static void test_natural_order(void **state)
{
    (void)state;
    static const char *const sorted[] = {"a.png", "a1.png", "a2.png", "a02b.png", "a10.png", "b.png"};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            int order = ch4_natural_compare(sorted[i], sorted[j]);
            assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
        }
    assert_true(ch4_natural_compare("01.png", "1.png") != 0); /* different names never tie */
}

/* --- keying ------------------------------------------------------------------------------------------------------------------- */

enum { KW = 160, KH = 120 };

static void noise(uint8_t *rgba, int64_t n, int amplitude)
{
    uint64_t s = 88172645463325252u;
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++) {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            int v = rgba[4 * i + c] + (int)(s % (uint64_t)(2 * amplitude + 1)) - amplitude;
            rgba[4 * i + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
}

static void *workspace(void)
{
    size_t bytes;
    assert_int_equal(ch4_key_workspace(&bytes, KW, KH, NULL), CH4_OK);
    void *p = malloc(bytes);
    assert_non_null(p);
    return p;
}

static void test_key_finds_object_in_noise(void **state)
{
    (void)state;
    static uint8_t rgba[KW * KH * 4];
    void *ws = workspace();
    fill(rgba, KW, KH, 30, 200, 60, 255);
    rectangle(rgba, KW, (ch4_box){50, 40, 60, 80}, 180, 40, 40, 255); /* reaches the bottom border */
    noise(rgba, KW * KH, 6);
    rectangle(rgba, KW, (ch4_box){4, 4, 3, 3}, 250, 250, 250, 255);   /* a spot of 9 pixels, below the 16 that count */
    ch4_key key = ch4_key_of_border(rgba, KW, KH, 24);
    assert_true(abs(key.rgb[0] - 30) <= 1 && abs(key.rgb[1] - 200) <= 1 && abs(key.rgb[2] - 60) <= 1);
    assert_true(key.uniform > 0.85 && key.uniform < 0.92); /* 60 of the 556 border pixels are the object */
    assert_true(key.spread < 10);
    assert_int_equal(ch4_key_apply(rgba, KW, KH, &key, 24, 16, 0.01, ws), 60 * 80);
    assert_box(ch4_box_of_alpha(rgba + 3, KW, KH, 4, 4 * KW, 0), 50, 40, 60, 80);
    free(ws);
}

static void test_key_joins_corners_and_shapes(void **state)
{
    (void)state;
    static uint8_t rgba[KW * KH * 4];
    void *ws = workspace();
    ch4_key key = {.rgb = {0, 0, 0}};
    /* A U whose arms meet only at the bottom, a diagonal line joined by corners, and a lone block that is small beside the U. */
    fill(rgba, KW, KH, 0, 0, 0, 255);
    rectangle(rgba, KW, (ch4_box){10, 10, 10, 60}, 255, 255, 255, 255);
    rectangle(rgba, KW, (ch4_box){60, 10, 10, 60}, 255, 255, 255, 255);
    rectangle(rgba, KW, (ch4_box){10, 70, 60, 10}, 255, 255, 255, 255);
    for (int i = 0; i < 30; i++)
        rectangle(rgba, KW, (ch4_box){100 + i, 10 + i, 1, 1}, 255, 255, 255, 255);
    rectangle(rgba, KW, (ch4_box){140, 100, 3, 3}, 255, 255, 255, 255);
    assert_int_equal(ch4_key_apply(rgba, KW, KH, &key, 24, 16, 0.015, ws), 1800 + 30);
    assert_int_equal(rgba[4 * (101 * KW + 141) + 3], 0);
    assert_int_equal(rgba[4 * (20 * KW + 110) + 3], 255);
    free(ws);
}

static void test_key_takes_the_background_out_of_edges(void **state)
{
    (void)state;
    static uint8_t rgba[KW * KH * 4];
    void *ws = workspace();
    ch4_key key = {.rgb = {0, 0, 255}};
    fill(rgba, KW, KH, 0, 0, 255, 255);
    rectangle(rgba, KW, (ch4_box){20, 20, 40, 40}, 255, 255, 255, 255);
    rectangle(rgba, KW, (ch4_box){60, 20, 1, 40}, 25, 25, 255, 255); /* 36 away from the background: half transparent */
    ch4_key_apply(rgba, KW, KH, &key, 24, 16, 0.01, ws);
    const uint8_t *edge = rgba + 4 * (30 * KW + 60);
    assert_true(edge[3] > 110 && edge[3] < 130);
    assert_true(edge[0] > 45 && edge[2] == 255);
    assert_int_equal(rgba[4 * (30 * KW + 61) + 3], 0);
    free(ws);
}

/* --- choosing where alpha comes from ------------------------------------------------------------------------------------------- */

static const ch4_matte_options matte_defaults = {.mode = CH4_MATTE_AUTO, .key_tolerance = 24, .key_border = 0.9, .min_foreground = 0.01};

static ch4_matte_mode chosen(const uint8_t *rgba, bool alpha, bool mask, ch4_matte_mode asked, ch4_status *st, ch4_err *err)
{
    ch4_matte m;
    ch4_matte_options o = matte_defaults;
    o.mode = asked;
    ch4_matte_init(&m, &o);
    *st = ch4_matte_begin(&m, rgba, KW, KH, alpha, mask, "clip.mp4: frame 0", err);
    ch4_matte_mode mode = m.mode;
    ch4_matte_fini(&m);
    return mode;
}

static void test_matte_order(void **state)
{
    (void)state;
    static uint8_t rgba[KW * KH * 4];
    ch4_status st;
    ch4_err err = {0};
    fill(rgba, KW, KH, 255, 255, 255, 0);
    rectangle(rgba, KW, (ch4_box){50, 40, 60, 40}, 180, 40, 40, 255);
    assert_int_equal(chosen(rgba, true, true, CH4_MATTE_AUTO, &st, &err), CH4_MATTE_ALPHA);
    fill(rgba, KW, KH, 255, 255, 255, 255);
    rectangle(rgba, KW, (ch4_box){50, 40, 60, 40}, 180, 40, 40, 255);
    assert_int_equal(chosen(rgba, true, true, CH4_MATTE_AUTO, &st, &err), CH4_MATTE_MASK); /* opaque alpha says nothing */
    assert_int_equal(chosen(rgba, true, false, CH4_MATTE_AUTO, &st, &err), CH4_MATTE_KEY);
    assert_int_equal(st, CH4_OK);
    chosen(rgba, true, false, CH4_MATTE_ALPHA, &st, &err);
    assert_int_equal(st, CH4_EFORMAT);
    chosen(rgba, false, false, CH4_MATTE_MASK, &st, &err);
    assert_int_equal(st, CH4_EFORMAT);
    rectangle(rgba, KW, (ch4_box){0, 0, KW / 2, KH}, 20, 40, 40, 255);
    chosen(rgba, false, false, CH4_MATTE_AUTO, &st, &err);
    assert_int_equal(st, CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "clip.mp4: frame 0"));
    assert_non_null(strstr(err.msg, "--mask"));
}

static void test_matte_applies_masks(void **state)
{
    (void)state;
    static uint8_t rgba[KW * KH * 4], mask[KW * KH * 4];
    ch4_matte m;
    int64_t solid;
    ch4_matte_init(&m, &matte_defaults);
    fill(rgba, KW, KH, 9, 9, 9, 255);
    fill(mask, KW, KH, 0, 0, 0, 255);
    rectangle(mask, KW, (ch4_box){3, 4, 50, 6}, 255, 255, 255, 255);
    rectangle(mask, KW, (ch4_box){60, 4, 50, 6}, 255, 255, 255, 0); /* white, but transparent: not the object */
    assert_int_equal(ch4_matte_begin(&m, rgba, KW, KH, false, true, "x", NULL), CH4_OK);
    assert_int_equal(ch4_matte_apply(&m, rgba, mask, KW, KH, &solid, NULL), CH4_OK);
    assert_int_equal(solid, 300);
    assert_box(ch4_box_of_alpha(rgba + 3, KW, KH, 4, 4 * KW, 0), 3, 4, 50, 6);
    assert_int_equal(ch4_matte_box_threshold(&m, true), 31);
    ch4_matte_fini(&m);
}

/* A striped square: rows of two greys `contrast` apart. */
static double focus_of(int64_t side, int contrast)
{
    uint8_t rgba[W * H * 4];
    fill(rgba, W, H, 255, 255, 255, 0);
    for (int64_t y = 2; y < 2 + side; y++) {
        uint8_t grey = (uint8_t)(100 + y % 2 * contrast);
        rectangle(rgba, W, (ch4_box){2, y, side, 1}, grey, grey, grey, 255);
    }
    return ch4_focus_score(rgba, W, H);
}

static void test_focus_wants_large_and_sharp(void **state)
{
    (void)state;
    assert_float_equal(focus_of(10, 20), 100.0 * 40, 1e-6); /* area times the Laplacian of stripes */
    assert_true(focus_of(12, 20) > focus_of(10, 20));
    assert_true(focus_of(10, 30) > focus_of(10, 20));
    assert_true(focus_of(10, 0) == 0); /* its outline does not count */
    assert_true(focus_of(2, 50) == 0);
    assert_true(focus_of(0, 50) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_box_obeys_threshold),
        cmocka_unit_test(test_box_union),
        cmocka_unit_test(test_crop_is_square_where_the_reference_is_short),
        cmocka_unit_test(test_crop_applies_alpha_and_stays_white_outside),
        cmocka_unit_test(test_composite_keeps_opaque_values),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_shrink_averages_areas),
        cmocka_unit_test(test_natural_order),
        cmocka_unit_test(test_key_finds_object_in_noise),
        cmocka_unit_test(test_key_joins_corners_and_shapes),
        cmocka_unit_test(test_key_takes_the_background_out_of_edges),
        cmocka_unit_test(test_focus_wants_large_and_sharp),
        cmocka_unit_test(test_matte_order),
        cmocka_unit_test(test_matte_applies_masks),
    };
    return cmocka_run_group_tests_name("decode_maths", tests, NULL, NULL);
}
