/* Sampling, cleaning, nearest points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/clean.h"
#include "mesh/kdtree.h"
#include "mesh/sample.h"
#include "mesh/surface_tree.h"
#include "tests/support/shapes.h"

static void samples_lie_on_faces_by_area(void **state)
{
    (void)state;
    enum { N = 20000 };
    float p[7][3] = {{0, 0, 0}, {3, 0, 0}, {0, 1, 0}, {0, 0, 5}, {1, 0, 5}, {0, 1, 5}, {2, 2, 2}};
    int32_t f[4][3] = {{6, 6, 6}, {0, 1, 2}, {3, 4, 5}, {0, 0, 1}}; /* areas 0, 1.5, 0.5, 0 */
    static float point[3 * N], normal[3 * N], bary[3 * N], again[30];
    static int32_t face[N];
    ch4_rng rng = ch4_rng_at(11, 0);
    assert_int_equal(ch4_mesh_sample(point, normal, face, bary, N, p[0], f[0], 4, &rng, NULL), CH4_OK);
    int64_t first = 0;
    double mean_u = 0;
    for (int i = 0; i < N; i++) {
        assert_true(face[i] == 1 || face[i] == 2);
        first += face[i] == 1;
        mean_u += (double)bary[3 * i + 1];
        for (int k = 0; k < 3; k++) {
            double x = 0;
            for (int c = 0; c < 3; c++)
                x += (double)bary[3 * i + c] * (double)p[f[face[i]][c]][k];
            assert_true(fabs(x - (double)point[3 * i + k]) < 1e-6 && bary[3 * i + k] >= 0);
        }
        assert_true(normal[3 * i] == 0 && normal[3 * i + 1] == 0 && normal[3 * i + 2] == 1);
    }
    assert_true(fabs((double)first / N - 0.75) < 0.015);
    assert_true(fabs(mean_u / N - 1.0 / 3) < 0.01);
    rng = ch4_rng_at(11, 0);
    assert_int_equal(ch4_mesh_sample(again, NULL, NULL, NULL, 10, p[0], f[0], 4, &rng, NULL), CH4_OK);
    assert_memory_equal(again, point, sizeof again);
    ch4_err err;
    assert_int_equal(ch4_mesh_sample(again, NULL, NULL, NULL, 10, p[0], f[0], 1, &rng, &err), CH4_EFORMAT);
    assert_int_equal(ch4_mesh_sample(again, NULL, NULL, NULL, 10, p[0], f[0], 0, &rng, &err), CH4_EFORMAT);
}

static void cleaning_of_a_dirty_square(void **state)
{
    (void)state;
    float p[9][3] = {{7, 7, 7}, {0, 0, 0}, {1, 0, 0}, {1, 1, 0}, {1, 0, 1e-9f}, {0, 1, 0}, {0.5f, 0, 0}, {0, -0.0f, 0}, {1, 1, 0}};
    int32_t f[6][3] = {{1, 2, 3}, {7, 8, 5}, {3, 1, 4}, {1, 1, 2}, {1, 6, 2}, {5, 7, 3}}; /* two halves, copy, point twice, line, copy */
    ch4_clean_options opt = ch4_clean_defaults();
    ch4_mesh m;
    int32_t map[9];
    assert_int_equal(ch4_mesh_clean(&m, map, p[0], 9, f[0], 6, &opt, NULL), CH4_OK);
    assert_int_equal(m.n_face, 2);
    assert_int_equal(m.n_vert, 4);
    int32_t face[6] = {0, 1, 2, 0, 2, 3}, want[9] = {2, 0, 1, 2, 1, 3, 0, 0, 2};
    assert_memory_equal(m.face, face, sizeof face);
    assert_memory_equal(map, want, sizeof want);
    for (int v = 1; v < 9; v++)
        for (int k = 0; v != 6 && k < 3; k++)
            assert_true(fabsf(m.vert[3 * map[v] + k] - p[v][k]) < 1e-6f);
    ch4_mesh_fini(&m);
    opt.merge = 0; /* bits only: vertex 4 is another place, so the third face stays */
    assert_int_equal(ch4_mesh_clean(&m, NULL, p[0], 9, f[0], 6, &opt, NULL), CH4_OK);
    assert_int_equal(m.n_face, 3);
    ch4_mesh_fini(&m);
    assert_int_equal(ch4_mesh_clean(&m, map, p[0], 1, f[0], 0, &opt, NULL), CH4_OK);
    assert_int_equal(m.n_vert, 0);
    assert_int_equal(map[0], -1);
    ch4_mesh_fini(&m);
}

static void floaters_go_by_their_share_of_the_largest(void **state)
{
    (void)state;
    ch4_mesh body = ch4_test_sphere(10, 1, 0), eye = ch4_test_plane(3, 3, 0.1), m, both; /* 800 and 18 faces */
    for (int64_t v = 0; v < eye.n_vert; v++)
        eye.vert[3 * v] += 3;
    both = ch4_test_join(&body, &eye);
    ch4_clean_options opt = ch4_clean_defaults();
    int32_t *map = malloc((size_t)both.n_vert * sizeof *map);
    assert_int_equal(ch4_mesh_clean(&m, map, both.vert, both.n_vert, both.face, both.n_face, &opt, NULL), CH4_OK);
    assert_int_equal(m.n_face, 818); /* 18 >= int(16.0) */
    assert_int_equal(m.n_vert, 402 + 16);
    ch4_mesh_fini(&m);
    opt.floaters = 0.03;
    assert_int_equal(ch4_mesh_clean(&m, map, both.vert, both.n_vert, both.face, both.n_face, &opt, NULL), CH4_OK);
    assert_int_equal(m.n_face, 800);
    ch4_test_assert_closed(&m);
    for (int64_t v = body.n_vert; v < both.n_vert; v++)
        assert_true(m.vert[3 * map[v]] > 0.7f); /* the near end of the sphere */
    ch4_mesh_fini(&m);
    ch4_mesh_fini(&body);
    ch4_mesh_fini(&eye);
    ch4_mesh_fini(&both);
    free(map);
}

static void kdtree_is_exact(void **state)
{
    (void)state;
    enum { N = 700, Q = 400 };
    static float p[3 * N], q[3 * Q];
    ch4_rng rng = ch4_rng_at(3, 1);
    for (int i = 0; i < 3 * N; i++) /* many copies and equal coordinates */
        p[i] = (float)ch4_rng_below(&rng, 12);
    for (int i = 0; i < 3 * Q; i++)
        q[i] = (float)ch4_rng_range(&rng, -3, 15);
    for (int i = 0; i < 30; i++)
        q[i] = floorf(q[i]);
    ch4_kdtree *t;
    int32_t index[Q];
    double distance[Q];
    for (int n = 0; n <= N; n = n < 20 ? n + 1 : n + 340) {
        assert_int_equal(ch4_kdtree_create(&t, p, n, NULL), CH4_OK);
        ch4_kdtree_nearest_all(index, distance, t, q, Q, NULL);
        for (int i = 0; i < Q; i++) {
            int best = -1;
            double d2 = INFINITY;
            for (int j = 0; j < n; j++) {
                double dx = (double)p[3 * j] - (double)q[3 * i], dy = (double)p[3 * j + 1] - (double)q[3 * i + 1];
                double dz = (double)p[3 * j + 2] - (double)q[3 * i + 2], d = dx * dx + dy * dy + dz * dz;
                if (d < d2) {
                    d2 = d;
                    best = j;
                }
            }
            assert_int_equal(index[i], best);
            assert_true(distance[i] == sqrt(d2));
        }
        ch4_kdtree_destroy(&t);
        assert_null(t);
    }
}

/* Smallest distance to many points of the triangle: an upper bound of the true one, tight to the spacing. */
static double sampled_distance(const ch4_mesh *m, const double q[3])
{
    enum { STEPS = 24 };
    double best = INFINITY;
    for (int64_t f = 0; f < m->n_face; f++)
        for (int i = 0; i <= STEPS; i++)
            for (int j = 0; i + j <= STEPS; j++) {
                double d2 = 0;
                for (int k = 0; k < 3; k++) {
                    double x = 0, w[3] = {(double)(STEPS - i - j) / STEPS, (double)i / STEPS, (double)j / STEPS};
                    for (int c = 0; c < 3; c++)
                        x += w[c] * (double)m->vert[3 * m->face[3 * f + c] + k];
                    d2 += (x - q[k]) * (x - q[k]);
                }
                best = fmin(best, d2);
            }
    return sqrt(best);
}

static void surface_tree_finds_the_nearest_point(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_sphere(2, 0.7, 0);
    for (int k = 0; k < 3; k++)
        m.face[k] = 0; /* one degenerate face */
    ch4_surface_tree *t;
    ch4_rng rng = ch4_rng_at(9, 0);
    assert_int_equal(ch4_surface_tree_create(&t, m.vert, m.face, m.n_face, NULL), CH4_OK);
    for (int i = 0; i < 200; i++) {
        double q[3];
        for (int k = 0; k < 3; k++)
            q[k] = ch4_rng_range(&rng, -1.2, 1.2);
        ch4_surface_point p = ch4_surface_tree_nearest(t, q);
        double want = sampled_distance(&m, q), got = sqrt(p.distance2), check = 0;
        assert_true(got <= want + 1e-12 && got > want - 0.03);
        for (int k = 0; k < 3; k++) {
            double x = 0;
            for (int c = 0; c < 3; c++) {
                assert_true(p.bary[c] >= 0 && p.bary[c] <= 1);
                x += p.bary[c] * (double)m.vert[3 * m.face[3 * p.face + c] + k];
            }
            assert_true(fabs(x - p.point[k]) < 1e-12);
            check += (q[k] - p.point[k]) * (q[k] - p.point[k]);
        }
        assert_true(fabs(check - p.distance2) < 1e-12);
    }
    ch4_surface_tree_destroy(&t);
    assert_int_equal(ch4_surface_tree_create(&t, m.vert, m.face, 0, NULL), CH4_OK);
    assert_int_equal(ch4_surface_tree_nearest(t, (double[3]){0, 0, 0}).face, -1);
    ch4_surface_tree_destroy(&t);
    ch4_mesh_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_lie_on_faces_by_area),
        cmocka_unit_test(cleaning_of_a_dirty_square),
        cmocka_unit_test(floaters_go_by_their_share_of_the_largest),
        cmocka_unit_test(kdtree_is_exact),
        cmocka_unit_test(surface_tree_finds_the_nearest_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
