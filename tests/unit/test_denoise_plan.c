/* The denoise stage's plan (pipeline file over model.yaml), noise and mesh placement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "stages/denoise/anchor_image.h"
#include "stages/denoise/denoise_files.h"
#include "stages/denoise/mesh_yaw.h"
#include "stages/denoise/steer.h"

static const char model_text[] =
    "noise: matched\nnoise_anchor: 0.6\nsteps: 4\nguidance: 1.0\n"
    "attention:\n  layers: [3, 4, 3]\n  heads: [0, 2, 1]\n  direction: frame_to_anchor\n";

/* Plan of the model above under the given assignments. */
static ch4_status plan_with(ch4_denoise_plan *plan, const char *const *sets, int64_t n_sets, ch4_err *err)
{
    ch4_config config;
    ch4_model_info info;
    assert_int_equal(ch4_config_load(&config, NULL, sets, n_sets, NULL, err), CH4_OK);
    assert_int_equal(ch4_schema_defaults(&ch4_model_info_schema, &info, err), CH4_OK);
    assert_int_equal(ch4_schema_parse(&ch4_model_info_schema, &info, model_text, sizeof model_text - 1, "model.yaml", NULL, err), CH4_OK);
    ch4_status st = ch4_denoise_plan_make(plan, &config, &info, err);
    ch4_model_info_fini(&info);
    ch4_config_fini(&config);
    return st;
}

static void the_model_decides_by_default(void **state)
{
    (void)state;
    ch4_denoise_plan p;
    assert_int_equal(plan_with(&p, NULL, 0, NULL), CH4_OK);
    assert_int_equal(p.window.n_branches, 1);
    assert_int_equal(p.noise, CH4_MODEL_NOISE_MATCHED);
    assert_int_equal(p.capture.direction, CH4_FRAME_TO_ANCHOR);
    assert_int_equal(p.capture.n_layers, 2); /* pairs of one layer come together */
    assert_int_equal(p.capture.layer[0].n_heads, 2);
    assert_int_equal(p.capture.layer[0].head[1], 1);
    assert_int_equal(p.capture.layer[1].head[0], 2);
    for (int k = 0; k < 4; k++)
        assert_int_equal(p.read_step[k], k == 3);
}

static void options_override_the_model(void **state)
{
    (void)state;
    static const char *const sets[] = {"denoise.guidance=2", "denoise.steps=6", "denoise.noise=shared", "attention.layers=[1, 2]",
                                       "attention.steps=[0, -1]", "attention.branch=mean", "attention.direction=anchor_to_frame", "attention.normalize=head"};
    ch4_denoise_plan p;
    assert_int_equal(plan_with(&p, sets, 8, NULL), CH4_OK);
    assert_int_equal(p.window.n_branches, 2);
    assert_int_equal(p.window.steps, 6);
    assert_int_equal(p.noise, CH4_MODEL_NOISE_SHARED);
    assert_int_equal(p.capture.direction, CH4_ANCHOR_TO_FRAME);
    assert_int_equal(p.capture.n_layers, 2);
    assert_int_equal(p.capture.layer[0].n_heads, 0); /* all heads */
    assert_true(p.read_step[0] && p.read_step[5] && !p.read_step[4]);
    assert_int_equal(p.capture.self_passes, 4);
    assert_int_equal(p.capture.cross_passes, 2);
    assert_true(p.capture.head_normalized);
}

/* As published: 7.5 over the branches without and with image, known frames kept in both; off where the pipeline says so, for the windows. */
static void the_published_model_is_guided_unless_told_otherwise(void **state)
{
    (void)state;
    static const char *const set[] = {NULL, "denoise.guidance=0", "denoise.guidance=1", "denoise.guidance=3"};
    static const double scale[] = {7.5, 0, 0, 3};
    for (int i = 0; i < 4; i++) {
        ch4_config config;
        ch4_model_info info;
        ch4_denoise_plan p;
        assert_int_equal(ch4_config_load(&config, NULL, &set[i], set[i] != NULL, NULL, NULL), CH4_OK);
        assert_int_equal(ch4_model_info_load(&info, "models/actionmesh/model.yaml", NULL, NULL), CH4_OK);
        assert_int_equal(ch4_denoise_plan_make(&p, &config, &info, NULL), CH4_OK);
        assert_int_equal(p.window.steps, 4);
        assert_int_equal(p.window.n_branches, scale[i] > 0 ? 2 : 1);
        const ch4_guidance_branch *last = &p.window.branch[p.window.n_branches - 1];
        assert_true(last->image && last->latent);
        if (scale[i] > 0)
            assert_true(p.window.scale[0] == scale[i] && !p.window.branch[0].image && p.window.branch[0].latent);
        assert_int_equal(p.anchor.steps, 50);
        assert_true(p.anchor.n_branches == 2 && p.anchor.scale[0] == 7.5 && p.anchor.shift == 1);
        ch4_model_info_fini(&info);
        ch4_config_fini(&config);
    }
}

static void the_anchor_has_draws_and_frames_of_its_own(void **state)
{
    (void)state;
    static const char *const sets[] = {"denoise.anchor_draws=3", "denoise.anchor_frames=5", "denoise.anchor_steps=7"};
    static const int64_t spread[] = {0, 4, 8, 11, 15};
    ch4_denoise_plan p;
    assert_int_equal(plan_with(&p, NULL, 0, NULL), CH4_OK);
    assert_int_equal(p.anchor_draws, 1);
    assert_int_equal(p.anchor_frames, 1);
    assert_int_equal(plan_with(&p, sets, 3, NULL), CH4_OK);
    assert_int_equal(p.anchor_draws, 3);
    assert_int_equal(p.anchor_frames, 5);
    assert_int_equal(p.anchor.steps, 7);
    assert_int_equal(p.window.steps, 4);
    for (int64_t i = 0; i < 5; i++)
        assert_int_equal(ch4_anchor_slot_of(i, 5, 16), spread[i]);
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(ch4_anchor_slot_of(i, 4, 4), i);
    assert_int_equal(ch4_anchor_slot_of(0, 1, 16), 0);
}

static void impossible_readings_are_named(void **state)
{
    (void)state;
    static const char *const branch[] = {"attention.branch=unconditional"}, *const step[] = {"attention.steps=[4]"};
    ch4_denoise_plan p;
    ch4_err err = {0};
    assert_int_equal(plan_with(&p, branch, 1, &err), CH4_ECONFIG);
    assert_non_null(strstr(err.msg, "attention.branch"));
    assert_int_equal(plan_with(&p, step, 1, &err), CH4_ECONFIG);
    assert_non_null(strstr(err.msg, "attention.steps"));
}

static void matched_noise_follows_the_anchor(void **state)
{
    (void)state;
    enum { T = 3, N = 32, D = 4 };
    float anchor[N * D], noise[T * N * D], again[T * N * D];
    ch4_rng rng = ch4_rng_at(5, 5);
    for (int i = 0; i < N * D; i++)
        anchor[i] = (float)ch4_rng_normal(&rng);
    ch4_denoise_plan p = {.noise = CH4_MODEL_NOISE_MATCHED, .noise_anchor = 0.6};
    double distance[2] = {0}, power = 0;
    for (int pull = 0; pull < 2; pull++) {
        p.noise_anchor = pull ? 0.6 : 0;
        assert_int_equal(ch4_denoise_noise(noise, &p, T, N, D, anchor, 9, NULL), CH4_OK);
        assert_memory_equal(noise, noise + N * D, N * D * sizeof *noise); /* one set for all frames */
        for (int i = 0; i < N * D; i++)
            distance[pull] += (noise[i] - anchor[i]) * (noise[i] - anchor[i]);
    }
    assert_true(distance[1] < distance[0]);
    for (int i = 0; i < N * D; i++) { /* taking the pull out again leaves the matched set, which a permutation made */
        double e = (noise[i] - 0.6 * anchor[i]) / 0.8;
        power += e * e;
    }
    assert_true(power / (N * D) > 0.6 && power / (N * D) < 1.5);
    p.noise = CH4_MODEL_NOISE_INDEPENDENT;
    assert_int_equal(ch4_denoise_noise(noise, &p, T, N, D, anchor, 9, NULL), CH4_OK);
    assert_int_equal(ch4_denoise_noise(again, &p, T, N, D, anchor, 9, NULL), CH4_OK);
    assert_memory_equal(noise, again, sizeof noise);
    assert_true(memcmp(noise, noise + N * D, N * D * sizeof *noise) != 0);
}

static void meshes_are_placed(void **state)
{
    (void)state;
    static const struct {
        float corner;
        ch4_mesh_normalize how;
    } item[] = {{3.0f, CH4_MESH_NORMALIZE_AUTO}, {0.5f, CH4_MESH_NORMALIZE_AUTO}, {0.5f, CH4_MESH_NORMALIZE_ALWAYS}, {3.0f, CH4_MESH_NORMALIZE_NEVER}};
    for (size_t i = 0; i < sizeof item / sizeof *item; i++) {
        float vert[9] = {0, 0, 0, item[i].corner, 0, 0, 0, item[i].corner / 2, 0};
        int32_t face[3] = {0, 1, 2};
        ch4_denoise_mesh m = {.mesh = {vert, face, 3, 1}};
        assert_int_equal(ch4_denoise_place_mesh(&m, item[i].how, NULL), CH4_OK);
        bool moved = item[i].how == CH4_MESH_NORMALIZE_ALWAYS || (item[i].how == CH4_MESH_NORMALIZE_AUTO && item[i].corner > 1);
        double scale = moved ? 2 / item[i].corner : 1;
        assert_true(fabs(m.place.scale - scale) < 1e-6);
        assert_true(fabs(vert[3] - (item[i].corner - m.place.center[0]) * m.place.scale) < 1e-6);
        if (moved)
            assert_true(fabs(vert[3] - 1) < 1e-6 && fabs(vert[0] + 1) < 1e-6);
    }
    float flat[3] = {0};
    ch4_denoise_mesh none = {.mesh = {flat, NULL, 1, 0}};
    ch4_err err = {0};
    assert_int_equal(ch4_denoise_place_mesh(&none, CH4_MESH_NORMALIZE_AUTO, &err), CH4_EFORMAT);
}

static void pairs_carry_over_by_their_mean(void **state)
{
    (void)state;
    /* of a window of 4 frames: token 1 with 2 in two of three frames, token 0 with 0 in one */
    const ch4_token_pair before[] = {{3, 1, 2, 0.4f}, {1, 0, 0, 0.9f}, {1, 1, 2, 0.8f}};
    const uint8_t mask[3] = {1, 0, 0};
    ch4_token_pair *out;
    int64_t n;
    assert_int_equal(ch4_steer_carry(&out, &n, before, 3, 4, mask, 3, NULL), CH4_OK);
    assert_int_equal(n, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(out[i].slot, 1 + i / 2);
        assert_true(out[i].anchor == i % 2 && out[i].token == 2 * (i % 2) && fabsf(out[i].confidence - (i % 2 ? 0.4f : 0.3f)) < 1e-6f);
    }
    free(out);
    assert_int_equal(ch4_steer_carry(&out, &n, before, 0, 4, mask, 3, NULL), CH4_OK);
    assert_int_equal(n, 0);
    free(out);
}

static void steering_needs_steps_layers_and_shared_noise(void **state)
{
    (void)state;
    static const char *const sets[] = {"reinforce.mode=window", "reinforce.after=4", "reinforce.layers=[2, 9]"};
    const ch4_model_info info = {.steps = 4, .shift = 3};
    ch4_denoise_plan plan = {.window = ch4_sampler_config_make(4, 3, 1), .noise = CH4_MODEL_NOISE_MATCHED, .capture = {.n_layers = 1, .layer = {{.layer = 3}}}};
    ch4_config c;
    ch4_steer s;
    ch4_err err;
    assert_int_equal(ch4_config_load(&c, NULL, sets, 1, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 10, &err), CH4_OK);
    assert_true(s.window && !s.next && s.after == 2 && s.options.layer[3] && !s.options.layer[2]);
    plan.noise = CH4_MODEL_NOISE_INDEPENDENT;
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 10, &err), CH4_OK);
    c.reinforce.mode = CH4_REINFORCE_NEXT;
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 10, &err), CH4_ECONFIG);
    ch4_config_fini(&c);
    plan.noise = CH4_MODEL_NOISE_SHARED;
    assert_int_equal(ch4_config_load(&c, NULL, sets, 2, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 10, &err), CH4_ECONFIG);
    c.reinforce.mode = CH4_REINFORCE_NEXT; /* no step of its own to wait for */
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 10, &err), CH4_OK);
    ch4_config_fini(&c);
    assert_int_equal(ch4_config_load(&c, NULL, (const char *[]){sets[0], sets[2]}, 2, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 10, &err), CH4_OK);
    assert_true(s.options.layer[2] && s.options.layer[9] && !s.options.layer[3]);
    assert_int_equal(ch4_steer_resolve(&s, &c, &info, &plan, 9, &err), CH4_ECONFIG);
    ch4_config_fini(&c);
}

/* A bar along x, filmed from the front by 45 degrees to the right: seen where it was turned to, and nowhere else. */
static void the_outline_tells_the_yaw(void **state)
{
    (void)state;
    enum { SIDE = 256, N = 4000, BRUSH = 2 };
    static float point[3 * N];
    static uint8_t alpha[SIDE * SIDE], nothing[SIDE * SIDE];
    ch4_rng rng = ch4_rng_at(3, 3);
    double right, wrong, f = 2.1875 * SIDE / 2;
    for (int i = 0; i < N; i++) { /* with a mast at its +x end, so that front and back differ */
        bool mast = i % 4 == 0;
        point[3 * i] = (float)(mast ? 0.7 + 0.2 * ch4_rng_uniform(&rng) : 1.8 * ch4_rng_uniform(&rng) - 0.9);
        point[3 * i + 1] = (float)(mast ? 0.8 * ch4_rng_uniform(&rng) : 0.2 * ch4_rng_uniform(&rng) - 0.1);
        point[3 * i + 2] = (float)(0.2 * ch4_rng_uniform(&rng) - 0.1);
        double p[3] = {point[3 * i], point[3 * i + 1], point[3 * i + 2]};
        ch4_turn_about_y(p, p, 60 - 45); /* the mesh turned by 60, then the camera's azimuth undone */
        int x = (int)floor(f * p[0] / (3.2 - p[2]) + SIDE / 2.0), y = (int)floor(f * -p[1] / (3.2 - p[2]) + SIDE / 2.0);
        for (int j = -BRUSH; j <= BRUSH; j++)
            memset(alpha + SIDE * (y + j) + x - BRUSH, 255, 2 * BRUSH + 1);
    }
    assert_int_equal(ch4_view_overlap(&right, point, N, 60, 45, 0, alpha, SIDE, NULL), CH4_OK);
    assert_true(right > 0.85);
    for (int yaw = 90; yaw < 390; yaw += 30) {
        assert_int_equal(ch4_view_overlap(&wrong, point, N, yaw, 45, 0, alpha, SIDE, NULL), CH4_OK);
        assert_true(wrong < right - 0.05);
    }
    assert_int_equal(ch4_view_overlap(&wrong, point, N, 0, 45, 0, nothing, SIDE, NULL), CH4_OK);
    assert_true(wrong == 0);
}

static void placing_is_undone(void **state)
{
    (void)state;
    const ch4_placement p = {.center = {1, 2, 3}, .scale = 0.5, .yaw = 30};
    const double x[3] = {1, 2, 5}, dx[3] = {0.5, -1, 2};
    double y[3], back[3], moved[3], d[3];
    ch4_place_point(y, &p, x);
    assert_true(fabs(y[0] - 0.5) < 1e-12 && fabs(y[1]) < 1e-12 && fabs(y[2] - cos(M_PI / 6)) < 1e-12); /* +z goes towards +x */
    ch4_unplace_point(back, &p, y);
    for (int k = 0; k < 3; k++)
        moved[k] = y[k] + dx[k];
    ch4_unplace_point(moved, &p, moved);
    ch4_unplace_offset(d, &p, dx);
    for (int k = 0; k < 3; k++) {
        assert_true(fabs(back[k] - x[k]) < 1e-12);
        assert_true(fabs(moved[k] - x[k] - d[k]) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_decides_by_default),   cmocka_unit_test(options_override_the_model), cmocka_unit_test(impossible_readings_are_named),
        cmocka_unit_test(the_published_model_is_guided_unless_told_otherwise),
        cmocka_unit_test(pairs_carry_over_by_their_mean),
        cmocka_unit_test(steering_needs_steps_layers_and_shared_noise),
        cmocka_unit_test(the_anchor_has_draws_and_frames_of_its_own),
        cmocka_unit_test(matched_noise_follows_the_anchor), cmocka_unit_test(meshes_are_placed),
        cmocka_unit_test(the_outline_tells_the_yaw), cmocka_unit_test(placing_is_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
