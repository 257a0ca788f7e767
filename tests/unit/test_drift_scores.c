/* Measures of long clips that need no run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "mesh/mesh.h"
#include "tests/support/shapes.h"
#include "tools/drift/rollout_clip.h"

static void correlation_knows_sign_and_scale(void **state)
{
    (void)state;
    const float a[4] = {1, 2, 3, 6}, b[4] = {12, 14, 16, 22}, c[4] = {-1, -2, -3, -6}, flat[4] = {2, 2, 2, 2}, d[4] = {1, -1, -1, 1};
    assert_float_equal(ch4_rollout_correlation(a, b, 4), 1, 1e-12);
    assert_float_equal(ch4_rollout_correlation(a, c, 4), -1, 1e-12);
    assert_float_equal(ch4_rollout_correlation(a, d, 4), 2 / sqrt(14.0 * 4), 1e-12); /* sums by hand: 2, 14, 4 */
    assert_true(isnan(ch4_rollout_correlation(a, flat, 4)));
}

static void parts_that_turn_inside_out_are_counted(void **state)
{
    (void)state;
    ch4_mesh a = ch4_test_sphere(3, 0.3, -0.5), b = ch4_test_sphere(3, 0.3, 0.5), m = ch4_test_join(&a, &b), moved = ch4_test_join(&a, &b);
    int64_t n = -1;
    for (int64_t i = 0; i < 3 * moved.n_vert; i++)
        moved.vert[i] *= 1.2f;
    assert_int_equal(ch4_rollout_flipped(&n, m.vert, moved.vert, m.n_vert, m.face, m.n_face, NULL), CH4_OK);
    assert_int_equal(n, 0);
    for (int64_t i = a.n_vert; i < moved.n_vert; i++) /* the second one mirrored at its own plane */
        moved.vert[3 * i + 1] = -moved.vert[3 * i + 1];
    assert_int_equal(ch4_rollout_flipped(&n, m.vert, moved.vert, m.n_vert, m.face, m.n_face, NULL), CH4_OK);
    assert_int_equal(n, 8); /* the eight sheets of a test sphere are not joined */
    ch4_mesh_fini(&a);
    ch4_mesh_fini(&b);
    ch4_mesh_fini(&m);
    ch4_mesh_fini(&moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(correlation_knows_sign_and_scale), cmocka_unit_test(parts_that_turn_inside_out_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
