/* The vector functions of backend "cpu" against libm in double, over their whole range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "nn/cpu/simd.h"

static void exp_is_accurate(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = -87.0; x < 88.0; x += 1.0 / 512) {
        double got = v8_exp(v8_set((float)x))[3], want = exp((double)(float)x);
        worst = fmax(worst, fabs(got / want - 1));
    }
    assert_true(worst < 2e-7);
    assert_true(v8_exp(v8_set(0.0f))[0] == 1.0f);
    assert_true(v8_exp(v8_set(-INFINITY))[0] < 1e-37f);
    assert_true(isnan(v8_exp(v8_set(NAN))[0]));
}

static void gelu_is_accurate(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = -12.0; x < 12.0; x += 1.0 / 1024) {
        double z = (double)(float)x, got = v8_gelu(v8_set((float)x))[5], want = 0.5 * z * (1 + erf(z / sqrt(2.0)));
        worst = fmax(worst, fabs(got - want) / fmax(1, fabs(z)));
    }
    assert_true(worst < 3e-7);
    assert_true(isnan(v8_gelu(v8_set(NAN))[0]));
    assert_true(v8_gelu(v8_set(1e30f))[0] == 1e30f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exp_is_accurate), cmocka_unit_test(gelu_is_accurate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
