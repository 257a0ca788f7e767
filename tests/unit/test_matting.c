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
#include "tests/support/tiny_model.h"

enum { MAX_TENSORS = 800, NAME_LEN = 64, SIDE = 64 };

typedef struct list {
    ch4_named_tensor t[MAX_TENSORS];
    char name[MAX_TENSORS][NAME_LEN];
    int64_t n;
} list;

/* Values scale * r + offset of a tensor's name (tiny_value). */
static void add(list *l, int rank, const int64_t *shape, double scale, double offset, const char *prefix, const char *suffix)
{
    assert_true(l->n < MAX_TENSORS);
    char *name = l->name[l->n];
    snprintf(name, NAME_LEN, "%s%s", prefix, suffix);
    ch4_tensor t = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    int64_t n = ch4_tensor_count(&t);
    float *v = malloc((size_t)n * sizeof *v);
    assert_non_null(v);
    for (int64_t i = 0; i < n; i++)
        v[i] = (float)(offset + scale * tiny_value(name, i));
    t.data = v;
    l->t[l->n++] = (ch4_named_tensor){name, t};
}

static void add_conv(list *l, int64_t out, int64_t in, const char *prefix)
{
    add(l, CH4_SHAPE(out, in, 3, 3), sqrt(3.0 / (double)(9 * in)), 0, prefix, ".weight");
    add(l, CH4_SHAPE(out), 0.1, 0, prefix, ".bias");
}

static void add_unit(list *l, int64_t out, int64_t in, const char *stage, const char *unit)
{
    char name[NAME_LEN - 24];
    snprintf(name, sizeof name, "%s.rebnconv%s.conv_s1", stage, unit);
    add_conv(l, out, in, name);
    snprintf(name, sizeof name, "%s.rebnconv%s.bn_s1", stage, unit);
    add(l, CH4_SHAPE(out), 0.1, 1, name, ".weight");
    add(l, CH4_SHAPE(out), 0.1, 0, name, ".bias");
    add(l, CH4_SHAPE(out), 0.1, 0, name, ".running_mean");
    add(l, CH4_SHAPE(out), 0.1, 1, name, ".running_var");
    assert_true(l->n < MAX_TENSORS);
    snprintf(l->name[l->n], NAME_LEN, "%s.num_batches_tracked", name);
    l->t[l->n] = (ch4_named_tensor){l->name[l->n], ch4_tensor_view(calloc(1, sizeof(int64_t)), CH4_DTYPE_I64, 0, NULL)};
    l->n++;
}

static void add_stage(list *l, const char *name, int levels, int64_t in, int64_t mid, int64_t out)
{
    char unit[16];
    add_unit(l, out, in, name, "in");
    for (int k = 1; k <= levels; k++) {
        snprintf(unit, sizeof unit, "%d", k);
        add_unit(l, mid, k == 1 ? out : mid, name, unit);
    }
    for (int k = 1; k < levels; k++) {
        snprintf(unit, sizeof unit, "%dd", k);
        add_unit(l, k == 1 ? out : mid, 2 * mid, name, unit);
    }
}

static void save_network(const char *path)
{
    static const int64_t side[6] = {64, 64, 128, 256, 512, 512};
    list *l = calloc(1, sizeof *l);
    assert_non_null(l);
    add_conv(l, 64, 3, "conv_in");
    add_stage(l, "stage1", 7, 64, 32, 64);
    add_stage(l, "stage2", 6, 64, 32, 128);
    add_stage(l, "stage3", 5, 128, 64, 256);
    add_stage(l, "stage4", 4, 256, 128, 512);
    add_stage(l, "stage5", 4, 512, 256, 512);
    add_stage(l, "stage6", 4, 512, 256, 512);
    add_stage(l, "stage5d", 4, 1024, 256, 512);
    add_stage(l, "stage4d", 4, 1024, 128, 256);
    add_stage(l, "stage3d", 5, 512, 64, 128);
    add_stage(l, "stage2d", 6, 256, 32, 64);
    add_stage(l, "stage1d", 7, 128, 16, 64);
    for (int k = 0; k < 6; k++) {
        char name[NAME_LEN];
        snprintf(name, sizeof name, "side%d", k + 1);
        add_conv(l, 1, side[k], name);
    }
    assert_int_equal(l->n, 798); /* as published */
    assert_int_equal(ch4_safetensors_save(path, l->t, l->n, NULL), CH4_OK);
    for (int64_t i = 0; i < l->n; i++)
        free(l->t[i].tensor.data);
    free(l);
}

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
    save_network(path);
    assert_int_equal(ch4_safetensors_open(&file, path, NULL), CH4_OK);
    unlink(path);
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
