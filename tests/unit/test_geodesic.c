#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "mesh/fps.h"
#include "mesh/geodesic.h"
#include "tests/support/shapes.h"

static ch4_mesh_graph graph_of(const ch4_mesh *m)
{
    ch4_mesh_graph g;
    assert_int_equal(ch4_mesh_graph_init(&g, m->vert, m->n_vert, m->face, m->n_face, NULL), CH4_OK);
    return g;
}

typedef struct entry {
    double d;
    int32_t i;
} entry;

static int by_distance(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->d != y->d)
        return x->d < y->d ? -1 : 1;
    return x->i - y->i;
}

/* The k nearest from complete rows, for every vertex that some landmark reaches. */
static void assert_knn_is_exact(const ch4_mesh *m, const int32_t *landmark, int64_t n, int64_t k)
{
    ch4_mesh_graph g = graph_of(m);
    ch4_geodesic_knn knn;
    double *rows = malloc((size_t)(n * m->n_vert) * sizeof *rows + 1);
    entry *all = malloc((size_t)n * sizeof *all + 1);
    assert_int_equal(ch4_geodesic_compute_rows(rows, &g, landmark, n, NULL), CH4_OK);
    assert_int_equal(ch4_geodesic_knn_init(&knn, m->vert, &g, landmark, n, k, NULL, NULL), CH4_OK);
    for (int64_t v = 0; v < m->n_vert; v++) {
        int64_t found = 0;
        for (int32_t i = 0; i < n; i++)
            if (rows[i * m->n_vert + v] >= 0)
                all[found++] = (entry){rows[i * m->n_vert + v], i};
        assert_int_equal(knn.fallback[v], found == 0);
        if (found == 0)
            continue;
        qsort(all, (size_t)found, sizeof *all, by_distance);
        assert_int_equal(knn.count[v], found < k ? found : k);
        for (int64_t i = 0; i < k; i++) {
            assert_int_equal(knn.index[v * k + i], i < found ? all[i].i : -1);
            assert_true(knn.distance[v * k + i] == (i < found ? all[i].d : -1));
        }
    }
    ch4_geodesic_knn_fini(&knn);
    ch4_mesh_graph_fini(&g);
    free(rows);
    free(all);
}

static void rows_on_a_strip(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_plane(4, 1, 0.5);
    ch4_mesh_graph g = graph_of(&m);
    int32_t source[2] = {0, 4};
    double d[20];
    assert_int_equal(ch4_geodesic_compute_rows(d, &g, source, 2, NULL), CH4_OK);
    for (int i = 0; i <= 4; i++) {
        assert_true(d[i] == 0.5 * i && d[10 + i] == 0.5 * (4 - i));
        assert_true(fabs(d[5 + i] - (i ? 0.5 * (i - 1) + sqrt(0.5) : 0.5)) < 1e-12); /* one diagonal step */
    }
    assert_int_equal(ch4_geodesic_compute_rows(d, &g, (int32_t[]){10}, 1, NULL), CH4_EINVAL);
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&m);
}

static void nearest_are_exact_with_ties(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_plane(17, 13, 0.25); /* a regular grid is full of equal distances */
    ch4_rng rng = ch4_rng_at(1, 0);
    int32_t landmark[90];
    for (int i = 0; i < 90; i++)
        landmark[i] = (int32_t)ch4_rng_below(&rng, (uint32_t)m.n_vert); /* with repetitions */
    for (int64_t k = 1; k <= 128; k *= 2)
        assert_knn_is_exact(&m, landmark, 90, k);
    ch4_mesh_fini(&m);
}

static void nearest_are_exact_on_parts(void **state)
{
    (void)state;
    ch4_mesh a = ch4_test_sphere(9, 1, 0), b = ch4_test_sphere(4, 0.4, 3), m = ch4_test_join(&a, &b);
    ch4_mesh_graph g = graph_of(&m);
    int32_t landmark[160];
    int64_t n;
    assert_int_equal(ch4_fps_mesh(landmark, &n, NULL, m.vert, &g, NULL, 0, 160, NULL), CH4_OK);
    assert_int_equal(n, 160);
    assert_knn_is_exact(&m, landmark, n, 12); /* both parts hold more than 12 */
    assert_knn_is_exact(&m, landmark, n, 120); /* the small part holds fewer */
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&a);
    ch4_mesh_fini(&b);
    ch4_mesh_fini(&m);
}

static void unreachable_vertices_take_euclidean_neighbours(void **state)
{
    (void)state;
    ch4_mesh a = ch4_test_plane(4, 4, 1), b = ch4_test_plane(1, 1, 1), m = ch4_test_join(&a, &b);
    for (int v = 25; v < 29; v++)
        m.vert[3 * v + 2] = 2;
    ch4_mesh_graph g = graph_of(&m);
    ch4_geodesic_knn knn;
    int32_t landmark[3] = {24, 0, 4};
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, landmark, 3, 2, NULL, NULL), CH4_OK);
    assert_true(!knn.fallback[0] && knn.fallback[25] && knn.fallback[28]);
    assert_int_equal(knn.count[25], 2);
    assert_int_equal(knn.index[50], 1); /* right above vertex 0 */
    assert_true(knn.distance[50] == 2);
    assert_int_equal(knn.index[51], 2);
    assert_true(fabs(knn.distance[51] - sqrt(20)) < 1e-12);
    assert_true(fabs(knn.mean_spacing - 4) < 1e-12); /* grid edges between the corners 0, 4, 24: 4, 4 and 4 */
    ch4_geodesic_knn_fini(&knn);
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&a);
    ch4_mesh_fini(&b);
    ch4_mesh_fini(&m);
}

static void few_landmarks_and_weights(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_plane(3, 3, 1);
    ch4_mesh_graph g = graph_of(&m);
    ch4_geodesic_knn knn;
    double w[16 * 3];
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, NULL, 0, 3, NULL, NULL), CH4_OK);
    assert_true(knn.count[0] == 0 && knn.fallback[0] && knn.index[0] == -1);
    assert_true(fabs(knn.mean_spacing - sqrt(18)) < 1e-12);
    ch4_geodesic_compute_weights(w, &knn, 1, NULL);
    for (int i = 0; i < 48; i++)
        assert_true(w[i] == 0);
    ch4_geodesic_knn_fini(&knn);
    int32_t landmark[2] = {0, 3};
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, landmark, 1, 3, NULL, NULL), CH4_OK);
    assert_true(fabs(knn.mean_spacing - sqrt(18)) < 1e-12);
    ch4_geodesic_knn_fini(&knn);
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, landmark, 2, 1, NULL, NULL), CH4_OK);
    assert_true(knn.mean_spacing == 3); /* also where rows hold one entry only */
    ch4_geodesic_knn_fini(&knn);
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, landmark, 2, 3, NULL, NULL), CH4_OK);
    ch4_geodesic_compute_weights(w, &knn, 0.7, NULL);
    double far = exp(-(4.0 - 1.0) / (2 * 0.49)); /* vertex 1: at 1 and 2 */
    assert_true(fabs(w[3] - 1 / (1 + far)) < 1e-15 && fabs(w[4] - far / (1 + far)) < 1e-15 && w[5] == 0);
    ch4_geodesic_compute_weights(w, &knn, 1e-3, NULL); /* no 0/0 where all weights underflow */
    for (int v = 0; v < 16; v++)
        assert_true(fabs(w[3 * v] + w[3 * v + 1] + w[3 * v + 2] - 1) < 1e-15);
    ch4_geodesic_compute_weights(w, &knn, 0, NULL);
    assert_true(w[3] == 1 && w[4] == 0);
    ch4_geodesic_knn_fini(&knn);
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, landmark, 2, 0, NULL, NULL), CH4_EINVAL);
    assert_int_equal(ch4_geodesic_knn_init(&knn, m.vert, &g, (int32_t[]){16}, 1, 2, NULL, NULL), CH4_EINVAL);
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_on_a_strip),
        cmocka_unit_test(nearest_are_exact_with_ties),
        cmocka_unit_test(nearest_are_exact_on_parts),
        cmocka_unit_test(unreachable_vertices_take_euclidean_neighbours),
        cmocka_unit_test(few_landmarks_and_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
