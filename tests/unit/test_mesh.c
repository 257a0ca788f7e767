/* Weld, graph, components, curvature and landmarks, with the degenerate meshes that reach them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/curvature.h"
#include "mesh/fps.h"
#include "mesh/graph.h"
#include "mesh/weld.h"
#include "base/rng.h"
#include "tests/support/shapes.h"

static ch4_mesh_graph graph_of(const ch4_mesh *m)
{
    ch4_mesh_graph g;
    assert_int_equal(ch4_mesh_graph_init(&g, m->vert, m->n_vert, m->face, m->n_face, NULL), CH4_OK);
    return g;
}

static void check_names_the_bad_vertex_and_face(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_plane(2, 2, 1);
    ch4_err err;
    assert_int_equal(ch4_mesh_check(m.vert, m.n_vert, m.face, m.n_face, &err), CH4_OK);
    m.vert[3 * 5 + 1] = NAN;
    assert_int_equal(ch4_mesh_check(m.vert, m.n_vert, m.face, m.n_face, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "vertex 5"));
    m.vert[3 * 5 + 1] = INFINITY;
    assert_int_equal(ch4_mesh_check(m.vert, m.n_vert, m.face, m.n_face, &err), CH4_EFORMAT);
    m.vert[3 * 5 + 1] = 0;
    m.face[3 * 3 + 2] = 9;
    assert_int_equal(ch4_mesh_check(m.vert, m.n_vert, m.face, m.n_face, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "face 3"));
    m.face[3 * 3 + 2] = -1;
    assert_int_equal(ch4_mesh_check(m.vert, m.n_vert, m.face, m.n_face, &err), CH4_EFORMAT);
    assert_int_equal(ch4_mesh_check(NULL, 0, NULL, 0, NULL), CH4_OK);
    ch4_mesh_fini(&m);
}

static void weld_takes_bits_and_both_zeros(void **state)
{
    (void)state;
    float p[5][3] = {{0, 1, 2}, {-0.0f, 1, 2}, {1, 1, 2}, {0, 1, 2.0000002f}, {1, 1, 2}};
    int32_t rep[5];
    int64_t n;
    assert_int_equal(ch4_mesh_compute_weld(rep, &n, p[0], 5, NULL), CH4_OK);
    assert_int_equal(n, 3);
    int32_t want[5] = {0, 0, 2, 3, 2};
    assert_memory_equal(rep, want, sizeof want);
    assert_int_equal(ch4_mesh_compute_weld(rep, &n, p[0], 0, NULL), CH4_OK);
    assert_int_equal(n, 0);
}

static void sphere_of_loose_sheets_is_one_closed_surface(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_sphere(6, 1, 0);
    ch4_mesh_graph g = graph_of(&m);
    int64_t n_rep = 0, n_component;
    for (int64_t v = 0; v < m.n_vert; v++)
        n_rep += g.rep[v] == v;
    assert_int_equal(n_rep - g.n_edge + m.n_face, 2); /* Euler */
    int32_t *component = malloc((size_t)m.n_vert * sizeof *component);
    assert_int_equal(ch4_mesh_compute_components(component, &n_component, &g, NULL), CH4_OK);
    assert_int_equal(n_component, 1);
    for (int64_t v = 0; v < m.n_vert; v++)
        assert_int_equal(component[v], 0);
    assert_true(fabs(ch4_mesh_signed_volume(m.vert, m.face, m.n_face) - 4.18879) < 0.2);
    free(component);
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&m);
}

static void graph_of_degenerate_faces(void **state)
{
    (void)state;
    float p[5][3] = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {9, 9, 9}, {0, 3, 0}};
    int32_t f[5][3] = {{0, 1, 2}, {0, 4, 4}, {3, 3, 3}, {2, 1, 0}, {0, 1, 2}}; /* collinear, (a,b,b), (a,a,a), reversed, repeated */
    ch4_mesh_graph g;
    assert_int_equal(ch4_mesh_graph_init(&g, p[0], 5, f[0], 5, NULL), CH4_OK);
    assert_int_equal(g.n_edge, 4);
    assert_true(ch4_mesh_graph_find(&g, 0, 2) >= 0 && ch4_mesh_graph_find(&g, 2, 0) >= 0);
    assert_int_equal(ch4_mesh_graph_find(&g, 1, 4), -1);
    assert_true(g.length[ch4_mesh_graph_find(&g, 0, 4)] == 3);
    assert_true(ch4_mesh_graph_unused(&g, 3) && !ch4_mesh_graph_unused(&g, 4));
    int32_t component[5];
    int64_t n;
    assert_int_equal(ch4_mesh_compute_components(component, &n, &g, NULL), CH4_OK);
    int32_t want[5] = {0, 0, 0, -1, 0};
    assert_memory_equal(component, want, sizeof want);
    double curvature[5], boost[5], p95;
    assert_int_equal(ch4_mesh_compute_curvature(curvature, boost, &p95, p[0], f[0], 5, &g, NULL), CH4_OK);
    assert_true(p95 == 0);
    for (int v = 0; v < 5; v++)
        assert_true(curvature[v] == 0 && boost[v] == 0);
    ch4_mesh_graph_fini(&g);
}

static void empty_and_single_vertex(void **state)
{
    (void)state;
    float p[3] = {1, 2, 3};
    for (int n = 0; n < 2; n++) {
        ch4_mesh_graph g;
        double curvature[1], boost[1];
        int32_t index[4];
        int64_t count = -1;
        assert_int_equal(ch4_mesh_graph_init(&g, p, n, NULL, 0, NULL), CH4_OK);
        assert_int_equal(ch4_mesh_compute_curvature(curvature, boost, NULL, p, NULL, 0, &g, NULL), CH4_OK);
        assert_int_equal(ch4_fps_mesh(index, &count, NULL, p, &g, boost, 2, 4, NULL), CH4_OK);
        assert_int_equal(count, 0);
        ch4_mesh_graph_fini(&g);
    }
}

static void curvature_of_a_sphere_is_one_over_r(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_sphere(24, 0.5, 0);
    ch4_mesh_graph g = graph_of(&m);
    double *curvature = malloc((size_t)m.n_vert * sizeof *curvature), *boost = malloc((size_t)m.n_vert * sizeof *boost), sum = 0, p95;
    assert_int_equal(ch4_mesh_compute_curvature(curvature, boost, &p95, m.vert, m.face, m.n_face, &g, NULL), CH4_OK);
    for (int64_t v = 0; v < m.n_vert; v++) {
        sum += curvature[v];
        assert_true(curvature[v] == curvature[g.rep[v]]);
        assert_true(boost[v] >= 0 && boost[v] <= 1);
    }
    assert_true(fabs(sum / (double)m.n_vert - 2) < 0.1);
    for (int64_t f = 0; f < m.n_face; f += 2) { /* winding of single faces must not matter */
        int32_t t = m.face[3 * f];
        m.face[3 * f] = m.face[3 * f + 1];
        m.face[3 * f + 1] = t;
    }
    double other;
    assert_int_equal(ch4_mesh_compute_curvature(curvature, boost, &other, m.vert, m.face, m.n_face, &g, NULL), CH4_OK);
    assert_true(fabs(other - p95) < 1e-9 * p95);
    free(curvature);
    free(boost);
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&m);
}

/* The definition, without blocks and squares. */
static int64_t plain_next(const float *p, int64_t n, const double *gain, const int32_t *index, int64_t n_index)
{
    int64_t best = -1;
    double top = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = INFINITY;
        for (int64_t j = 0; j < n_index; j++) {
            const float *q = p + 3 * (int64_t)index[j];
            double dx = (double)p[3 * i] - (double)q[0], dy = (double)p[3 * i + 1] - (double)q[1], dz = (double)p[3 * i + 2] - (double)q[2];
            d = fmin(d, dx * dx + dy * dy + dz * dz);
        }
        double score = d * gain[i] * gain[i];
        if (score > top) {
            top = score;
            best = i;
        }
    }
    return best;
}

static void landmarks_follow_the_definition(void **state)
{
    (void)state;
    enum { N = 333, K = 40 };
    static float p[3 * N];
    static double gain[N];
    ch4_rng rng = ch4_rng_at(5, 0);
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 3; k++)
            p[3 * i + k] = (float)ch4_rng_uniform(&rng);
        gain[i] = 1 + ch4_rng_uniform(&rng);
    }
    int32_t index[N];
    int64_t n;
    double remaining;
    assert_int_equal(ch4_fps_points(index, &n, &remaining, p, N, gain, 7, K, NULL), CH4_OK);
    assert_int_equal(n, K);
    assert_int_equal(index[0], 7);
    for (int k = 1; k < K; k++)
        assert_int_equal(index[k], plain_next(p, N, gain, index, k));
    assert_int_equal(ch4_fps_points(index, &n, &remaining, p, N, gain, 7, N, NULL), CH4_OK);
    assert_int_equal(n, N);
    assert_true(remaining == 0);
}

static void landmarks_stop_at_copies_and_bad_arguments(void **state)
{
    (void)state;
    float p[6][3] = {{0, 0, 0}, {0, 0, 0}, {1, 0, 0}, {1, 0, 0}, {0, 0, 0}, {3, 0, 0}};
    int32_t index[6];
    int64_t n;
    assert_int_equal(ch4_fps_points(index, &n, NULL, p[0], 6, NULL, 1, 6, NULL), CH4_OK);
    assert_int_equal(n, 3);
    int32_t want[3] = {1, 5, 2};
    assert_memory_equal(index, want, sizeof want);
    assert_int_equal(ch4_fps_points(index, &n, NULL, p[0], 6, NULL, 6, 1, NULL), CH4_EINVAL);
    assert_int_equal(ch4_fps_points(index, &n, NULL, p[0], 6, NULL, 0, 7, NULL), CH4_EINVAL);
    assert_int_equal(ch4_fps_points(index, &n, NULL, p[0], 0, NULL, 0, 0, NULL), CH4_OK);
    assert_int_equal(n, 0);
}

static void landmarks_of_a_mesh_are_used_representatives(void **state)
{
    (void)state;
    ch4_mesh sphere = ch4_test_sphere(4, 1, 0), far = ch4_test_plane(1, 1, 0.1);
    far.n_face = 0; /* its vertices stay, unused and far away */
    for (int v = 0; v < 4; v++)
        far.vert[3 * v] += 50;
    ch4_mesh m = ch4_test_join(&sphere, &far);
    ch4_mesh_graph g = graph_of(&m);
    int32_t index[200];
    int64_t n;
    assert_int_equal(ch4_fps_mesh(index, &n, NULL, m.vert, &g, NULL, 0, 200, NULL), CH4_OK);
    assert_int_equal(n, 66); /* 4 n^2 + 2 */
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(g.rep[index[i]], index[i]);
        assert_true(index[i] < sphere.n_vert);
    }
    ch4_mesh_graph_fini(&g);
    ch4_mesh_fini(&sphere);
    ch4_mesh_fini(&far);
    ch4_mesh_fini(&m);
}

static void normals_point_outward(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_sphere(8, 2, 0);
    float *normal = malloc(3 * (size_t)m.n_vert * sizeof *normal);
    assert_int_equal(ch4_mesh_compute_normals(normal, m.vert, m.n_vert, m.face, m.n_face, NULL), CH4_OK);
    for (int64_t v = 0; v < m.n_vert; v++) {
        double dot = 0;
        for (int k = 0; k < 3; k++)
            dot += (double)normal[3 * v + k] * (double)m.vert[3 * v + k] / 2;
        assert_true(dot > 0.9);
    }
    free(normal);
    ch4_mesh_fini(&m);
    float p[6] = {0, 0, 0, 1, 0, 0}, n[6];
    int32_t f[3] = {0, 1, 1};
    assert_int_equal(ch4_mesh_compute_normals(n, p, 2, f, 1, NULL), CH4_OK);
    for (int i = 0; i < 6; i++)
        assert_true(n[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_names_the_bad_vertex_and_face),
        cmocka_unit_test(weld_takes_bits_and_both_zeros),
        cmocka_unit_test(sphere_of_loose_sheets_is_one_closed_surface),
        cmocka_unit_test(graph_of_degenerate_faces),
        cmocka_unit_test(empty_and_single_vertex),
        cmocka_unit_test(curvature_of_a_sphere_is_one_over_r),
        cmocka_unit_test(landmarks_follow_the_definition),
        cmocka_unit_test(landmarks_stop_at_copies_and_bad_arguments),
        cmocka_unit_test(landmarks_of_a_mesh_are_used_representatives),
        cmocka_unit_test(normals_point_outward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
