/* The background remover: its full network with generated weights against numbers of an independent double implementation, and what happens
 * to a picture before and after it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/matting.h"
#include "tests/support/tiny_matting.h"
#include "tests/support/tiny_model.h"

enum { SIDE = 64 };

static void full_network_gives_known_numbers(void **state)
{
    (void)state;
    static const double want[4] = {0.54205244, 0.47263851, 0.61837181, 0.54565538};
    static const int at[4] = {0, 63, 31 * SIDE + 17, 63 * SIDE + 63};
    static float planes[3 * SIDE * SIDE], image[SIDE * SIDE * 3], map[SIDE * SIDE], odd[37 * 50];
    char path[64];
    ch4_nn *nn = NULL;
    ch4_safetensors *file = NULL;
    ch4_matting *m = NULL;
    ch4_err err = {0};
    snprintf(path, sizeof path, "/tmp/ch4_matting_%ld.safetensors", (long)getpid());
    assert_int_equal(tiny_matting_save(path, NULL, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_safetensors_open(&file, path, NULL), CH4_OK);
    unlink(path);
    assert_int_equal(ch4_safetensors_count(file), 798); /* as published */
    assert_int_equal(ch4_nn_open(&nn, "cpu", 2, NULL), CH4_OK);
    if (ch4_matting_create(&m, nn, file, &err))
        fail_msg("%s", err.msg);
    ch4_safetensors_close(&file);
    tiny_fill(planes, "input.image", 3 * SIDE * SIDE);
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < 3; c++)
            image[3 * i + c] = 0.5f * planes[c * SIDE * SIDE + i];
    for (int pass = 0; pass < 2; pass++) { /* the second one after a picture of another size */
        double mean = 0;
        assert_int_equal(ch4_matting_forward(m, map, image, SIDE, SIDE, NULL), CH4_OK);
        for (int i = 0; i < SIDE * SIDE; i++)
            mean += map[i] / (SIDE * SIDE);
        for (int k = 0; k < 4; k++)
            assert_true(fabs(map[at[k]] - want[k]) < 1e-6);
        assert_true(fabs(mean - 0.58002451) < 1e-6);
        assert_int_equal(ch4_matting_forward(m, odd, image, 37, 50, NULL), CH4_OK);
    }
    ch4_matting_close(&m);
    ch4_nn_close(&nn);
}

static void pictures_become_squares(void **state)
{
    (void)state;
    static const uint8_t rgb[2 * 4 * 3] = {0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255, 100, 100, 100, 100, 100, 100, 100, 100, 100, 200, 200, 200};
    float image[2 * 2 * 3], same[4 * 4 * 3];
    ch4_matting_prepare(image, 2, rgb, 2, 4); /* no antialiasing, but the sample lies between two pixels: their mean */
    const double want[4] = {127.5, 127.5, 100, 150};
    for (int i = 0; i < 4; i++)
        assert_true(fabs(image[3 * i + 1] - (want[i] / 255 - 0.5)) < 1e-6);
    ch4_matting_prepare(same, 4, rgb, 2, 4);
    assert_true(fabs(same[3 * 15] - (200.0 / 255 - 0.5)) < 1e-6); /* edges are clamped */
}

static void thresholds_split_the_histogram(void **state)
{
    (void)state;
    int64_t two[256] = {[10] = 50, [200] = 50}, one[256] = {[77] = 9}, three[256] = {[0] = 100, [100] = 10, [255] = 100};
    assert_int_equal(ch4_matting_otsu(two), 10); /* any t from 10 to 199 is as good: the first */
    assert_int_equal(ch4_matting_otsu(one), 0);
    int t = ch4_matting_otsu(three);
    assert_true(t == 0 || t == 100);
}

static void small_regions_are_dropped(void **state)
{
    (void)state;
    enum { S = 40 };
    static float map[S * S], flat[S * S];
    static uint8_t alpha[S * S];
    for (int i = 0; i < S * S; i++) {
        int y = i / S, x = i % S;
        bool large = y < 10 && x < 20, corner = y == 10 && x == 20, small = y >= 20 && y < 30 && x >= 20 && x < 39;
        map[i] = large || corner || small ? 0.9f : 0.1f; /* 200 + 1 joined by a corner, and 190 */
    }
    assert_int_equal(ch4_matting_finish(alpha, S, S, map, S, NULL), CH4_OK);
    int n = 0;
    for (int i = 0; i < S * S; i++)
        n += alpha[i] == 255;
    assert_int_equal(n, 201);
    assert_int_equal(alpha[10 * S + 20], 255);
    assert_int_equal(alpha[25 * S + 25], 0);
    assert_int_equal(ch4_matting_finish(alpha, S, S, flat, S, NULL), CH4_OK);
    for (int i = 0; i < S * S; i++)
        assert_int_equal(alpha[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_network_gives_known_numbers),
        cmocka_unit_test(pictures_become_squares),
        cmocka_unit_test(thresholds_split_the_histogram),
        cmocka_unit_test(small_regions_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
