/* The chain of a whole window with the small random autoencoder of the golden cases: its surfaces mean nothing, so what is tested is
 * what must hold for any weights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "chain/chain_window.h"
#include "chain/surface.h"
#include "mesh/kdtree.h"
#include "tensor/safetensors.h"

static const char golden[] = "tests/golden/triposg_vae_decode";

typedef struct rig {
    ch4_nn *nn;
    ch4_pool *pool;
    ch4_vae *vae;
    ch4_safetensors *io;
    ch4_tensor z; /* [3,N,D] */
} rig;

static void rig_open(rig *r, int threads)
{
    char path[128];
    ch4_err err = {0};
    ch4_vae_config config;
    ch4_safetensors *weights = NULL;
    snprintf(path, sizeof path, "%s/config.json", golden);
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    assert_int_equal(ch4_vae_config_parse(&config, json_object_get(json, "model"), &err), CH4_OK);
    json_decref(json);
    snprintf(path, sizeof path, "%s/weights.safetensors", golden);
    assert_int_equal(ch4_safetensors_open(&weights, path, &err), CH4_OK);
    snprintf(path, sizeof path, "%s/io.safetensors", golden);
    assert_int_equal(ch4_safetensors_open(&r->io, path, &err), CH4_OK);
    assert_int_equal(ch4_safetensors_get(r->io, "in.latents", &r->z, &err), CH4_OK);
    assert_int_equal(ch4_nn_open(&r->nn, "cpu", threads, &err), CH4_OK);
    assert_int_equal(ch4_pool_create(&r->pool, threads, &err), CH4_OK);
    if (ch4_vae_create(&r->vae, r->nn, &config, weights, CH4_VAE_DECODER, &err))
        fail_msg("%s", err.msg);
    ch4_safetensors_close(&weights);
}

static void rig_close(rig *r)
{
    ch4_vae_close(&r->vae);
    ch4_pool_destroy(&r->pool);
    ch4_nn_close(&r->nn);
    ch4_safetensors_close(&r->io);
}

/* A tetrahedron with one vertex that no face uses. */
static float corners[15] = {0.1f, 0.2f, 0.3f, 0.5f, 0, 0, 0, 0.5f, 0, 0, 0, -0.5f, 0.9f, 0.9f, 0.9f};
static int32_t faces[12] = {0, 1, 2, 0, 2, 3, 0, 3, 1, 1, 3, 2};
static const ch4_mesh mesh = {corners, faces, 5, 4};

static const ch4_chain_options options = {
    .cells = 16, .anchor_cells = 16, .band = 0.05, .most = 300, .least = 50, .landmarks = 10, .curvature_boost = 2,
    .reading = {.normalize = true, .power = 1}, .rows = CH4_MATCH_UNIT, .k = 8, .blend = {true, 0.1}, .patch_normalize = true,
    .patch_temperature = 0.1, .patch_radius = 1, .seed = 3};

static void uniform_map(const void *ctx, int64_t frame, float *out)
{
    const int64_t *n = ctx;
    for (int64_t i = 0; i < *n * *n; i++)
        out[i] = (float)(1 + (i * 7 + frame) % 5);
}

static bool stop(void *ctx, int64_t done, int64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static bool stop_after_first(void *ctx, int64_t done, int64_t total)
{
    (void)ctx;
    (void)total;
    return done < 1;
}

enum { GRID = 3 };

static ch4_chain_in input_of(rig *r, int32_t *landmark, int64_t K, uint16_t *patch)
{
    int64_t N = r->z.shape[1];
    for (int64_t i = 0; i < r->z.shape[0] * N * GRID * GRID; i++)
        patch[i] = ch4_f32_to_f16((float)((i * 31) % 17) / 17);
    return (ch4_chain_in){.nn = r->nn, .vae = r->vae, .pool = r->pool, .T = r->z.shape[0], .N = N, .grid = GRID, .anchor = 1, .side = 96,
                          .latents = r->z.data, .patch = patch, .map = uniform_map, .map_ctx = &r->z.shape[1], .mesh = &mesh,
                          .landmark = landmark, .K = K};
}

static void window_has_its_invariants_and_no_thread_dependence(void **state)
{
    (void)state;
    static uint16_t patch[3 * 24 * GRID * GRID];
    char sum[2][CH4_HASH_HEX];
    for (int threads = 1; threads <= 2; threads++) {
        rig r = {0};
        ch4_chain_out out;
        ch4_err err = {0};
        int32_t *landmark = NULL;
        int64_t K = 0, P = GRID * GRID, total = 0;
        rig_open(&r, threads);
        assert_int_equal(ch4_chain_landmarks(&landmark, &K, &mesh, &options, &err), CH4_OK);
        assert_int_equal(K, 4); /* the unused vertex is no landmark */
        ch4_chain_in in = input_of(&r, landmark, K, patch);
        if (ch4_chain_run(&out, &in, &options, &err))
            fail_msg("%s", err.msg);
        for (int64_t i = 0; i < K; i++) {
            assert_memory_equal(out.path + 3 * (K + i), corners + 3 * landmark[i], 12);
            assert_true(out.score[K + i] == 1);
        }
        for (int64_t f = 0; f < in.T; f++) {
            assert_true(out.count[f] <= options.most && (out.count[f] == 0 || out.count[f] >= options.least));
            for (int64_t i = 0; i < K; i++)
                assert_true(isnan(out.path[3 * (f * K + i)]) ? out.count[f] == 0 : fabsf(out.path[3 * (f * K + i)]) <= 1.01f);
            for (int64_t p = 0; p < P; p++) {
                assert_true(out.patch_match[f * P + p] >= 0 && out.patch_match[f * P + p] < P);
                assert_true(out.patch_xy[2 * (f * P + p)] > 0 && out.patch_xy[2 * (f * P + p)] < 96);
            }
            total += out.count[f];
        }
        assert_int_equal(total, out.n_surface);
        for (int64_t p = 0; p < P; p++) {
            assert_int_equal(out.patch_match[P + p], p);
            assert_true(out.vertex[p] >= 0 && out.vertex[p] < mesh.n_vert && out.vertex_score[p] > 0);
        }
        ch4_hash_bytes(sum[threads - 1], out.path, (size_t)(in.T * K * 3) * sizeof(float));
        ch4_chain_out_fini(&out);
        in.progress = stop_after_first;
        assert_int_equal(ch4_chain_run(&out, &in, &options, &err), CH4_ECANCELED);
        ch4_chain_out_fini(&out);
        free(landmark);
        rig_close(&r);
    }
    assert_string_equal(sum[0], sum[1]);
}

static void anchor_mesh_has_at_most_the_faces_asked_for(void **state)
{
    (void)state;
    rig r = {0};
    ch4_err err = {0};
    ch4_mesh free_mesh, small;
    ch4_chain_options o = options;
    rig_open(&r, 1);
    o.anchor_cells = 40;
    if (ch4_chain_make_anchor(&free_mesh, r.vae, r.z.data, r.z.shape[1], &o, NULL, &err))
        fail_msg("%s", err.msg);
    const ch4_surface_pulse never = {stop, NULL, 0, 1};
    assert_int_equal(ch4_chain_make_anchor(&small, r.vae, r.z.data, r.z.shape[1], &o, &never, &err), CH4_ECANCELED);
    o.max_faces = free_mesh.n_face / 2;
    assert_int_equal(ch4_chain_make_anchor(&small, r.vae, r.z.data, r.z.shape[1], &o, NULL, &err), CH4_OK);
    assert_true(small.n_face > 0 && small.n_face <= o.max_faces);
    ch4_mesh_fini(&free_mesh);
    ch4_mesh_fini(&small);
    rig_close(&r);
}

/* Share of the points (p + shift) * scale that lie on a point of the tree. */
static double share_on(const ch4_kdtree *tree, const float *points, int64_t n, double shift, double scale)
{
    double on = 0, d2;
    for (int64_t i = 0; i < n; i++) {
        double p[3];
        for (int k = 0; k < 3; k++)
            p[k] = (points[3 * i + k] + shift) * scale;
        ch4_kdtree_nearest(tree, p, &d2);
        on += d2 < 1e-10;
    }
    return on / (double)n;
}

/* The reference's extraction is that of the same samples, displaced. */
static void anchor_mesh_as_the_reference_makes_it(void **state)
{
    (void)state;
    rig r = {0};
    ch4_err err = {0};
    ch4_chain_options o = options;
    ch4_mesh made[2], small;
    ch4_kdtree *tree = NULL;
    rig_open(&r, 1);
    o.octree = true;
    o.inside = 1; /* as the reference takes it, so that ambiguous cells are cut the same way */
    o.floaters = 0;
    for (int reference = 0; reference < 2; reference++) {
        o.deep = ch4_octree_defaults();
        o.deep.depth = 5;
        o.deep.reference = reference;
        o.max_faces = 0;
        if (ch4_chain_make_anchor(&made[reference], r.vae, r.z.data, r.z.shape[1], &o, NULL, &err))
            fail_msg("%s", err.msg);
    }
    assert_int_equal(ch4_kdtree_create(&tree, made[0].vert, made[0].n_vert, &err), CH4_OK);
    assert_true(share_on(tree, made[1].vert, made[1].n_vert, 0, 1) < 0.01);
    assert_int_equal(made[0].n_vert, made[1].n_vert);
    assert_true(share_on(tree, made[1].vert, made[1].n_vert, 1.005 / 32, 32.0 / 31) > 0.75); /* the others lie at the cube, where fixed ones are clamped */
    ch4_kdtree_destroy(&tree);
    o.max_faces = made[1].n_face / 2;
    assert_int_equal(ch4_chain_make_anchor(&small, r.vae, r.z.data, r.z.shape[1], &o, NULL, &err), CH4_OK); /* by a lower depth */
    assert_true(small.n_face > 0 && small.n_face <= o.max_faces);
    ch4_mesh_fini(&small);
    ch4_mesh_fini(&made[0]);
    ch4_mesh_fini(&made[1]);
    rig_close(&r);
}

/* Counted by hand on the same samples. */
static void field_is_probed_on_the_faces_of_the_cube(void **state)
{
    (void)state;
    rig r = {0};
    ch4_err err = {0};
    ch4_vae_cache *cache = NULL;
    int inside = 0, positive = 0, n = 0;
    double share = 0;
    rig_open(&r, 1);
    assert_int_equal(ch4_vae_cache_create(&cache, r.vae, r.z.data, r.z.shape[1], NULL, &err), CH4_OK);
    assert_int_equal(ch4_surface_probe(&inside, &share, r.vae, cache, &err), CH4_OK);
    for (int i = -6; i <= 6; i++)
        for (int j = -6; j <= 6; j++)
            for (int k = -6; k <= 6; k++) {
                int border = (abs(i) == 6) + (abs(j) == 6) + (abs(k) == 6), odd = abs(i % 2) + abs(j % 2) + abs(k % 2);
                float value, p[3] = {(float)(1.005 * i / 6), (float)(1.005 * j / 6), (float)(1.005 * k / 6)};
                if (!(border == 3 || (border == 1 && odd == 2)))
                    continue;
                assert_int_equal(ch4_vae_query(r.vae, cache, &value, NULL, p, 1, NULL, &err), CH4_OK);
                positive += value > 0;
                n++;
            }
    assert_int_equal(n, 224);
    assert_int_equal(inside, 2 * positive > n ? -1 : 1);
    assert_true(fabs(share - fmax(positive, n - positive) / n) < 1e-9);
    ch4_vae_cache_destroy(&cache);
    rig_close(&r);
}

static void candidates_are_thinned_filled_and_seeded(void **state)
{
    (void)state;
    ch4_err err = {0};
    float *a = NULL, *b = NULL;
    int64_t n = 0, m = 0;
    ch4_rng rng = ch4_rng_at(1, 2), again = ch4_rng_at(1, 2);
    assert_int_equal(ch4_surface_candidates(&a, &n, &mesh, 3, 0, &rng, &err), CH4_OK);
    assert_int_equal(ch4_surface_candidates(&b, &m, &mesh, 3, 0, &again, &err), CH4_OK);
    assert_int_equal(n, 3);
    assert_memory_equal(a, b, 9 * sizeof *a);
    free(a);
    free(b);
    assert_int_equal(ch4_surface_candidates(&a, &n, &mesh, 100, 20, &rng, &err), CH4_OK);
    assert_int_equal(n, 20);
    assert_memory_equal(a, corners, sizeof corners);
    free(a);
    assert_int_equal(ch4_surface_candidates(&a, &n, &(ch4_mesh){0}, 100, 20, &rng, &err), CH4_OK);
    assert_int_equal(n, 0);
    free(a);
}

static void landmarks_may_be_all_vertices(void **state)
{
    (void)state;
    ch4_err err = {0};
    int32_t *index = NULL;
    int64_t K = 0;
    ch4_chain_options o = options;
    o.landmarks = 0;
    assert_int_equal(ch4_chain_landmarks(&index, &K, &mesh, &o, &err), CH4_OK);
    assert_int_equal(K, 4);
    free(index);
    assert_int_equal(ch4_chain_landmarks(&index, &K, &(ch4_mesh){corners, faces, 5, 0}, &o, &err), CH4_EFORMAT);
    assert_null(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_has_its_invariants_and_no_thread_dependence),
        cmocka_unit_test(anchor_mesh_has_at_most_the_faces_asked_for),
        cmocka_unit_test(anchor_mesh_as_the_reference_makes_it),
        cmocka_unit_test(field_is_probed_on_the_faces_of_the_cube),
        cmocka_unit_test(candidates_are_thinned_filled_and_seeded),
        cmocka_unit_test(landmarks_may_be_all_vertices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
