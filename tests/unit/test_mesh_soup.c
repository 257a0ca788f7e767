/* Whatever faces join whatever vertices: everything that a mesh goes through ends with finite numbers inside their ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "mesh/clean.h"
#include "mesh/curvature.h"
#include "mesh/fps.h"
#include "mesh/geodesic.h"
#include "mesh/sample.h"
#include "mesh/surface_tree.h"
#include "stages/animate/animate_window.h"

enum { V = 40, F = 60, K = 12, FRAMES = 3 };

/* Few places for many vertices, repeated and degenerate faces, any number of faces at an edge. */
static void make_soup(ch4_mesh *m, ch4_rng *rng)
{
    int64_t n_vert = 1 + ch4_rng_below(rng, V);
    assert_int_equal(ch4_mesh_init(m, n_vert, ch4_rng_below(rng, F), NULL), CH4_OK);
    uint32_t places = 1 + ch4_rng_below(rng, 4);
    double size = pow(10, ch4_rng_range(rng, -3, 3));
    for (int64_t i = 0; i < 3 * n_vert; i++)
        m->vert[i] = (float)(size * (double)ch4_rng_below(rng, places));
    for (int64_t i = 0; i < 3 * m->n_face; i++)
        m->face[i] = (int32_t)ch4_rng_below(rng, (uint32_t)n_vert);
    assert_int_equal(ch4_mesh_check(m->vert, m->n_vert, m->face, m->n_face, NULL), CH4_OK);
}

static void animate(const ch4_mesh *m, const ch4_mesh_graph *g, const int32_t *landmark, int64_t n, ch4_rng *rng)
{
    float path[FRAMES * K * 3], score[FRAMES * K];
    for (int i = 0; i < FRAMES * K * 3; i++)
        path[i] = ch4_rng_below(rng, 10) ? m->vert[i % (3 * m->n_vert)] : NAN;
    for (int i = 0; i < FRAMES * K; i++)
        score[i] = (float)ch4_rng_uniform(rng);
    ch4_animate_input in = {.vert = m->vert, .face = m->face, .V = m->n_vert, .n_face = m->n_face, .graph = g, .landmark = landmark,
                            .path = path, .score = score, .K = n, .F = FRAMES, .a = ch4_rng_below(rng, FRAMES)};
    ch4_animate_options opt = ch4_animate_defaults();
    opt.use_score = ch4_rng_below(rng, 2);
    ch4_animate_result r;
    assert_int_equal(ch4_animate_window(&r, &in, &opt, false, NULL, NULL), CH4_OK);
    for (int64_t i = 0; i < FRAMES * 3 * m->n_vert; i++)
        assert_true(isfinite(r.vertices[i]));
    ch4_animate_result_fini(&r);
}

static void survive(const ch4_mesh *m, ch4_rng *rng)
{
    ch4_mesh_graph g;
    ch4_geodesic_knn knn;
    double curvature[V], boost[V];
    int32_t landmark[K], component[V];
    int64_t n, n_component;
    assert_int_equal(ch4_mesh_graph_init(&g, m->vert, m->n_vert, m->face, m->n_face, NULL), CH4_OK);
    assert_int_equal(ch4_mesh_compute_components(component, &n_component, &g, NULL), CH4_OK);
    assert_int_equal(ch4_mesh_compute_curvature(curvature, boost, NULL, m->vert, m->face, m->n_face, &g, NULL), CH4_OK);
    for (int64_t v = 0; v < m->n_vert; v++)
        assert_true(isfinite(curvature[v]) && boost[v] >= 0 && boost[v] <= 1 && component[v] < n_component);
    assert_int_equal(ch4_fps_mesh(landmark, &n, NULL, m->vert, &g, boost, 2, K, NULL), CH4_OK);
    assert_true(n <= K);
    assert_int_equal(ch4_geodesic_knn_init(&knn, m->vert, &g, landmark, n, 1 + ch4_rng_below(rng, K), NULL, NULL), CH4_OK);
    assert_true(isfinite(knn.mean_spacing));
    for (int64_t v = 0; v < m->n_vert; v++)
        assert_true(n == 0 || knn.count[v] > 0);
    animate(m, &g, landmark, n, rng);
    ch4_geodesic_knn_fini(&knn);
    ch4_mesh_graph_fini(&g);
}

static void any_mesh(void **state)
{
    (void)state;
    ch4_rng rng = ch4_rng_at(77, 0);
    ch4_clean_options opt = ch4_clean_defaults();
    for (int i = 0; i < 400; i++) {
        ch4_mesh m, cleaned;
        int32_t map[V];
        make_soup(&m, &rng);
        survive(&m, &rng);
        assert_int_equal(ch4_mesh_clean(&cleaned, map, m.vert, m.n_vert, m.face, m.n_face, &opt, NULL), CH4_OK);
        assert_int_equal(ch4_mesh_check(cleaned.vert, cleaned.n_vert, cleaned.face, cleaned.n_face, NULL), CH4_OK);
        for (int64_t v = 0; v < m.n_vert; v++)
            assert_true(cleaned.n_vert ? map[v] >= 0 && map[v] < cleaned.n_vert : map[v] == -1);
        float point[30], normal[30];
        ch4_surface_tree *tree;
        ch4_status st = ch4_mesh_sample(point, normal, NULL, NULL, 10, cleaned.vert, cleaned.face, cleaned.n_face, &rng, NULL);
        assert_true(st == (cleaned.n_face ? CH4_OK : CH4_EFORMAT));
        assert_int_equal(ch4_surface_tree_create(&tree, cleaned.vert, cleaned.face, cleaned.n_face, NULL), CH4_OK);
        for (int k = 0; st == CH4_OK && k < 10; k++) {
            ch4_surface_point p = ch4_surface_tree_nearest(tree, (double[3]){point[3 * k], point[3 * k + 1], point[3 * k + 2]});
            double reach = 1e-6 * ch4_mesh_diagonal(cleaned.vert, cleaned.n_vert);
            assert_true(p.distance2 <= reach * reach);
        }
        ch4_surface_tree_destroy(&tree);
        ch4_mesh_fini(&cleaned);
        ch4_mesh_fini(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_mesh)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
