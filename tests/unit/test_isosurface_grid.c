#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"
#include "mesh/isosurface_grid.h"

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Each directed edge once and its opposite once: closed, consistently oriented, no edge with four faces. */
static void assert_closed_manifold(const ch4_mesh *s)
{
    int64_t n = 3 * s->n_face;
    int64_t *edge = malloc((size_t)n * sizeof(*edge)), *back = malloc((size_t)n * sizeof(*back));
    for (int64_t i = 0; i < n; i++) {
        int64_t a = s->face[i], b = s->face[i % 3 == 2 ? i - 2 : i + 1];
        assert_true(a != b && a >= 0 && a < s->n_vert);
        edge[i] = a << 32 | b;
        back[i] = b << 32 | a;
    }
    qsort(edge, (size_t)n, sizeof(*edge), by_value);
    qsort(back, (size_t)n, sizeof(*back), by_value);
    for (int64_t i = 0; i < n; i++) {
        assert_true(i == 0 || edge[i] != edge[i - 1]);
        assert_true(edge[i] == back[i]);
    }
    free(edge);
    free(back);
}

static double volume(const ch4_mesh *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n_face; i++) {
        const float *a = s->vert + 3 * s->face[3 * i], *b = s->vert + 3 * s->face[3 * i + 1], *c = s->vert + 3 * s->face[3 * i + 2];
        for (int k = 0; k < 3; k++) sum += (double)a[k] * (b[(k + 1) % 3] * c[(k + 2) % 3] - b[(k + 2) % 3] * c[(k + 1) % 3]) / 6;
    }
    return sum;
}

static void sphere_is_closed_outward_and_on_the_surface(void **state)
{
    (void)state;
    int64_t dim[3] = {33, 30, 28};
    double origin[3] = {-0.8, -0.72, -0.69}, h = 0.05, r = 0.6;
    float *value = malloc((size_t)(dim[0] * dim[1] * dim[2]) * sizeof(*value));
    for (int64_t k = 0, i = 0; k < dim[2]; k++)
        for (int64_t j = 0; j < dim[1]; j++)
            for (int64_t l = 0; l < dim[0]; l++)
                value[i++] = (float)(hypot(hypot(origin[0] + h * (double)l, origin[1] + h * (double)j), origin[2] + h * (double)k) - r);
    ch4_mesh s;
    assert_int_equal(ch4_isosurface_grid(&s, value, dim, origin, h, NULL), CH4_OK);
    assert_closed_manifold(&s);
    assert_int_equal(s.n_vert - s.n_face / 2, 2);
    for (int64_t v = 0; v < s.n_vert; v++)
        assert_true(fabs(hypot(hypot(s.vert[3 * v], s.vert[3 * v + 1]), s.vert[3 * v + 2]) - r) < 0.003);
    double truth = 4.0 / 3 * M_PI * r * r * r;
    assert_true(fabs(volume(&s) - truth) < 0.02 * truth);
    ch4_mesh_fini(&s);
    free(value);
}

/* White noise meets every corner pattern, ambiguous ones included: the result is closed and manifold or refused by name. */
static void noise_is_manifold_or_refused(void **state)
{
    (void)state;
    enum { N = 9 };
    int64_t dim[3] = {N, N, N};
    double origin[3] = {0, 0, 0};
    int accepted = 0, refused = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        ch4_rng rng = ch4_rng_at(seed, 0);
        float value[N * N * N];
        double share = ch4_rng_range(&rng, 0.02, 0.5);
        for (int i = 0; i < N * N * N; i++) {
            int x = i % N, y = i / N % N, z = i / (N * N);
            bool border = x == 0 || y == 0 || z == 0 || x == N - 1 || y == N - 1 || z == N - 1;
            double u = ch4_rng_uniform(&rng);
            value[i] = border || u > share ? 1 : -0.5f;
        }
        ch4_mesh s;
        ch4_status st = ch4_isosurface_grid(&s, value, dim, origin, 1, NULL);
        if (st == CH4_OK) {
            assert_closed_manifold(&s);
            assert_true(volume(&s) > 0);
            accepted++;
        } else {
            assert_int_equal(st, CH4_EUNSUP);
            refused++;
        }
        ch4_mesh_fini(&s);
    }
    assert_true(accepted > 50 && refused > 0);
}

static void open_or_tiny_grids_are_errors(void **state)
{
    (void)state;
    int64_t dim[3] = {3, 3, 3}, flat[3] = {1, 3, 3};
    double origin[3] = {0, 0, 0};
    float value[27];
    for (int i = 0; i < 27; i++) value[i] = 1;
    ch4_mesh s;
    assert_int_equal(ch4_isosurface_grid(&s, value, dim, origin, 1, NULL), CH4_OK);
    assert_int_equal(s.n_face, 0);
    ch4_mesh_fini(&s);
    assert_int_equal(ch4_isosurface_grid(&s, value, flat, origin, 1, NULL), CH4_EINVAL);
    value[5] = -1;
    assert_int_equal(ch4_isosurface_grid(&s, value, dim, origin, 1, NULL), CH4_EINVAL);
    value[5] = NAN;
    assert_int_equal(ch4_isosurface_grid(&s, value, dim, origin, 1, NULL), CH4_EINVAL);
    ch4_mesh_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sphere_is_closed_outward_and_on_the_surface),
        cmocka_unit_test(noise_is_manifold_or_refused),
        cmocka_unit_test(open_or_tiny_grids_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
