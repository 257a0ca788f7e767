#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stages/denoise/familiar.h"
#include "tensor/safetensors.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/ch4_familiar_%ld.safetensors", (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void save(float *mean, float *whiten, float *limit, int64_t w)
{
    ch4_named_tensor t[] = {{"mean", CH4_F32(mean, w)}, {"whiten", CH4_F32(whiten, w, w)}, {"limit", CH4_F32(limit, 1)}};
    assert_int_equal(ch4_safetensors_save(path, t, 3, NULL), CH4_OK);
}

/* Two patch tokens per frame; the class token is wild and must not count. Frame means are (1,2), (4,2), (1,10). */
static void distance_is_the_median_over_frames_of_the_whitened_mean(void **state)
{
    (void)state;
    float mean[2] = {1, 2}, whiten[4] = {2, 0, 0, 1}, limit[1] = {3};
    float context[3][3][2] = {{{99, 99}, {0, 2}, {2, 2}}, {{-99, 0}, {3, 1}, {5, 3}}, {{99, 0}, {1, 10}, {1, 10}}};
    ch4_familiar f;
    double d;
    save(mean, whiten, limit, 2);
    assert_int_equal(ch4_familiar_load(&f, path, 2, NULL), CH4_OK);
    assert_true(f.limit == 3);
    assert_int_equal(ch4_familiar_distance(&d, &f, &context[0][0][0], 3, 3, NULL), CH4_OK);
    assert_true(fabs(d - 6 / sqrt(2)) < 1e-6); /* distances: 0, 2*3/sqrt(2), 8/sqrt(2) */
    ch4_familiar_fini(&f);
}

static void a_file_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    float mean[2] = {0}, whiten[4] = {0}, limit[1] = {NAN};
    ch4_familiar f;
    ch4_err err = {0};
    save(mean, whiten, limit, 2);
    assert_int_equal(ch4_familiar_load(&f, path, 2, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "limit"));
    assert_int_equal(ch4_familiar_load(&f, path, 3, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "mean"));
    assert_int_equal(ch4_familiar_load(&f, "/nonexistent", 2, &err), CH4_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(distance_is_the_median_over_frames_of_the_whitened_mean, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_file_that_does_not_fit_is_refused, make_path, remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
