/* The background remover as decode uses it: from a model folder to the alpha of a picture, and what is said where the model has none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/matting.h"
#include "stages/decode/remover.h"
#include "tests/support/tiny_matting.h"
#include "tests/support/tiny_model.h"

enum { W = 90, H = 70, SIDE = 64 };

static char dir[64], path[128];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/ch4_remover_XXXXXX");
    return mkdtemp(dir) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static ch4_remover *make(const char *yaml)
{
    ch4_remover *r = NULL;
    ch4_err err = {0};
    FILE *f = fopen(in_dir("model.yaml"), "we");
    assert_non_null(f);
    fputs(yaml, f);
    fclose(f);
    if (ch4_remover_create(&r, dir, "cpu", 2, &err))
        fail_msg("%s", err.msg);
    return r;
}

static void alpha_is_the_networks(void **state)
{
    (void)state;
    static uint8_t rgba[W * H * 4], rgb[W * H * 3], want[W * H];
    static float image[SIDE * SIDE * 3], map[SIDE * SIDE];
    ch4_nn *nn = NULL;
    ch4_matting *net = NULL;
    ch4_err err = {0};
    assert_int_equal(tiny_matting_make(in_dir("net"), &err), CH4_OK);
    for (int i = 0; i < W * H; i++)
        for (int c = 0; c < 4; c++)
            rgba[4 * i + c] = (uint8_t)(127.5 * (1 + tiny_value("picture", i / 7 * 4 + c)));
    for (int i = 0; i < 3 * W * H; i++)
        rgb[i] = rgba[i / 3 * 4 + i % 3];
    ch4_remover *r = make("networks: {matting: {path: net, side: 64}}\n");
    assert_true(ch4_remover_exists(r));
    for (int pass = 0; pass < 2; pass++) /* alpha is set, not read */
        if (ch4_remover_apply(r, rgba, W, H, &err))
            fail_msg("%s", err.msg);
    ch4_remover_destroy(&r);
    assert_int_equal(ch4_nn_open(&nn, "cpu", 2, NULL), CH4_OK);
    assert_int_equal(ch4_matting_open(&net, nn, in_dir("net"), NULL), CH4_OK);
    ch4_matting_prepare(image, SIDE, rgb, H, W);
    assert_int_equal(ch4_matting_forward(net, map, image, SIDE, SIDE, NULL), CH4_OK);
    assert_int_equal(ch4_matting_finish(want, H, W, map, SIDE, NULL), CH4_OK);
    int n = 0;
    for (int i = 0; i < W * H; i++) {
        assert_int_equal(rgba[4 * i + 3], want[i]);
        n += want[i] == 255;
    }
    assert_true(n >= CH4_MATTING_MIN_PIXELS && n < W * H); /* the picture decides something */
    ch4_matting_close(&net);
    ch4_nn_close(&nn);
}

static void a_model_without_it_is_named(void **state)
{
    (void)state;
    ch4_err err = {0};
    uint8_t rgba[4] = {0};
    ch4_remover *r = make("name: none\n");
    assert_false(ch4_remover_exists(r));
    assert_int_equal(ch4_remover_open(r, &err), CH4_ECONFIG);
    assert_non_null(strstr(err.msg, "model.yaml: networks.matting.path: this model has no background remover"));
    ch4_remover_destroy(&r);
    r = make("networks: {matting: {path: absent}}\n");
    assert_false(ch4_remover_exists(r));
    assert_int_equal(ch4_remover_apply(r, rgba, 1, 1, &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "absent/config.json"));
    ch4_remover_destroy(&r);
}

static void damaged_weights_are_named(void **state)
{
    (void)state;
    ch4_err err = {0};
    uint8_t rgba[4] = {0};
    assert_int_equal(tiny_matting_make(in_dir("net"), &err), CH4_OK);
    assert_int_equal(tiny_matting_save(in_dir("net/model.safetensors"), "stage3d.rebnconv2d.bn_s1.running_var", "stage3d.extra", &err), CH4_OK);
    ch4_remover *r = make("networks: {matting: {path: net}}\n");
    assert_true(ch4_remover_exists(r));
    assert_int_equal(ch4_remover_apply(r, rgba, 1, 1, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "net/model.safetensors: tensor stage3d.rebnconv2d.bn_s1.running_var is missing"));
    ch4_remover_destroy(&r);
    ch4_safetensors *file = NULL;
    ch4_weights_report report = {0};
    assert_int_equal(ch4_safetensors_open(&file, in_dir("net/model.safetensors"), &err), CH4_OK);
    assert_int_equal(ch4_matting_survey(file, &report, &err), CH4_OK);
    assert_int_equal(report.problems, 2);
    ch4_safetensors_close(&file);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(alpha_is_the_networks),
        CASE(a_model_without_it_is_named),
        CASE(damaged_weights_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
