#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parallel.h"
#include "tensor/safetensors.h"
#include "tools/synth/tracks.h"
#include "tools/synth/shard.h"

static char folder[64];

static ch4_synth_options options(uint64_t seed, const char *plans, int64_t n_frames)
{
    ch4_synth_options o = {.seed = seed, .n_clips = 1, .n_frames = n_frames, .n_points = 500, .size = 96, .threads = 1, .fps = 12};
    assert_int_equal(ch4_synth_plan_parse(&o.plans, plans, NULL), CH4_OK);
    return o;
}

static char *read_file(const char *name, size_t *n)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *bytes = malloc(*n);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    fclose(f);
    return bytes;
}

static double signed_volume(const float *vert, const ch4_synth_mesh *m)
{
    double sum = 0;
    for (int64_t i = 0; i < m->n_face; i++) {
        const float *a = vert + 3 * m->face[3 * i], *b = vert + 3 * m->face[3 * i + 1], *c = vert + 3 * m->face[3 * i + 2];
        for (int k = 0; k < 3; k++) sum += (double)a[k] * (b[(k + 1) % 3] * c[(k + 2) % 3] - b[(k + 2) % 3] * c[(k + 1) % 3]) / 6;
    }
    return sum;
}

/* Every plan: inside the cube in all frames, outward, points and vertices on the posed field, normals along its gradient. */
static void meshes_lie_on_the_field_in_every_frame(void **state)
{
    (void)state;
    enum { N = 400 };
    static const char *const plans[] = {"quad", "biped", "bird", "lizard", "hexa", "worm"};
    for (int p = 0; p < 6; p++) {
        ch4_synth_options o = options(7, plans[p], 16);
        ch4_synth_clip c;
        assert_int_equal(ch4_synth_clip_init(&c, 7, &o, NULL), CH4_OK);
        assert_string_equal(ch4_synth_plan_name(c.creature.plan), plans[p]);
        assert_in_range(c.creature.n_parts, 6, 17);
        assert_in_range(c.mesh.n_vert, 1000, 5000);
        assert_int_equal(c.mesh.n_face, 2 * (c.mesh.n_vert - 2)); /* one closed sheet without handles */
        double volume0 = signed_volume(c.mesh.vert, &c.mesh);
        assert_true(volume0 > 0.02);
        int32_t face[N];
        float bary[3 * N], xyz[3 * N], normal[3 * N], value[N], gradient[3 * N];
        assert_int_equal(ch4_synth_sample_faces(face, bary, &c.mesh, N, ch4_rng_at(7, 99), NULL), CH4_OK);
        for (int64_t f = 0; f < 16; f++) {
            const float *v = c.mesh.vert + f * c.mesh.n_vert * 3;
            for (int64_t i = 0; i < 3 * c.mesh.n_vert; i++) assert_true(fabsf(v[i]) <= 0.95f);
            assert_true(fabs(signed_volume(v, &c.mesh) / volume0 - 1) < 0.3);
            ch4_synth_points(xyz, normal, &c.mesh, f, face, bary, N);
            ch4_synth_field(value, gradient, NULL, 0, c.creature.posed[f], c.creature.n_parts, xyz, N);
            int off = 0, against = 0;
            for (int i = 0; i < N; i++) {
                off += fabsf(value[i]) > 0.01f;
                against += normal[3 * i] * gradient[3 * i] + normal[3 * i + 1] * gradient[3 * i + 1] + normal[3 * i + 2] * gradient[3 * i + 2] < 0.5f;
            }
            assert_true(off <= N / 20);
            assert_true(against <= N / 10);
        }
        ch4_synth_clip_fini(&c);
    }
}

static void field_is_the_distance_to_one_capsule_and_the_log_sum_of_two(void **state)
{
    (void)state;
    ch4_synth_capsule c[2] = {{{0, 0, 0}, {1, 0, 0}, 0.1f, 0.2f}, {{0, 0, 0}, {1, 0, 0}, 0.1f, 0.2f}};
    float xyz[9] = {0.5f, 0.4f, 0, -0.3f, 0, 0.4f, 0.25f, 0.05f, 0}, value[3], gradient[9], weight[6];
    const float want[3] = {0.25f, 0.4f, -0.075f};
    ch4_synth_field(value, gradient, NULL, 0, c, 1, xyz, 3);
    for (int i = 0; i < 3; i++) assert_true(fabsf(value[i] - want[i]) < 1e-6f);
    assert_true(fabsf(gradient[1] - 1) < 1e-6f && fabsf(gradient[3] + 0.6f) < 1e-6f && fabsf(gradient[5] - 0.8f) < 1e-6f);
    ch4_synth_field(value, NULL, weight, 0.02f, c, 2, xyz, 3);
    for (int i = 0; i < 3; i++) assert_true(fabsf(value[i] - (want[i] - CH4_SYNTH_BLEND * logf(2))) < 1e-6f);
    for (int i = 0; i < 6; i++) assert_true(fabsf(weight[i] - 0.5f) < 1e-6f);
}

static void a_seed_is_one_creature_wherever_it_stands(void **state)
{
    (void)state;
    ch4_synth_options o = options(1000000, "quad,biped,bird", 16);
    ch4_synth_clip a, b, other;
    assert_int_equal(ch4_synth_clip_init(&a, 1000003, &o, NULL), CH4_OK);
    o.seed = 1000003;
    o.n_clips = 5;
    assert_int_equal(ch4_synth_clip_init(&b, 1000003, &o, NULL), CH4_OK);
    assert_int_equal(ch4_synth_clip_init(&other, 3, &o, NULL), CH4_OK);
    assert_int_equal(a.mesh.n_vert, b.mesh.n_vert);
    assert_memory_equal(a.mesh.vert, b.mesh.vert, (size_t)(16 * a.mesh.n_vert * 3) * sizeof(float));
    assert_memory_not_equal(a.creature.posed, other.creature.posed, sizeof(*a.creature.posed));
    ch4_synth_clip_fini(&a);
    ch4_synth_clip_fini(&b);
    ch4_synth_clip_fini(&other);
}

/* The training set needs motion: half a body length at a limb's end, not a sway. */
static void creatures_move(void **state)
{
    (void)state;
    double mean = 0, share = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        ch4_synth_options o = options(seed, "quad,biped,bird", 16);
        ch4_synth_clip c;
        double m, s;
        assert_int_equal(ch4_synth_clip_init(&c, seed, &o, NULL), CH4_OK);
        ch4_synth_motion(&m, &s, &c.mesh);
        mean += m / 12;
        share += s / 12;
        ch4_synth_clip_fini(&c);
    }
    assert_true(mean > 0.18 && mean < 0.35);
    assert_true(share > 0.35);
}

static void camera_and_pictures_agree_within_a_pixel(void **state)
{
    (void)state;
    enum { SIZE = 96, SIDE = SIZE * CH4_SYNTH_SUPERSAMPLE };
    ch4_synth_camera cam;
    ch4_synth_camera_init(&cam, SIZE);
    const double *r = cam.R;
    double det = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) + r[2] * (r[3] * r[7] - r[4] * r[6]), uv[2], z;
    assert_true(fabs(det - 1) < 1e-12);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            assert_true(fabs(r[3 * i] * r[3 * j] + r[3 * i + 1] * r[3 * j + 1] + r[3 * i + 2] * r[3 * j + 2] - (i == j)) < 1e-12);
    ch4_synth_project(uv, &z, &cam, (const float[]){0, 0, 0});
    assert_true(fabs(uv[0] - SIZE / 2.0) < 1e-9 && fabs(uv[1] - SIZE / 2.0) < 1e-9 && fabs(z - 3.2) < 1e-9);
    ch4_synth_project(uv, &z, &cam, (const float[]){0, 0.5f, 0});
    assert_true(uv[1] < SIZE / 2.0 - 5); /* up is up */

    ch4_synth_options o = options(11, "quad,biped,bird", 16);
    ch4_synth_clip c;
    assert_int_equal(ch4_synth_clip_init(&c, 11, &o, NULL), CH4_OK);
    ch4_synth_sample *sample = malloc(sizeof(*sample) * SIDE * SIDE);
    float *scratch = malloc(sizeof(float) * 3 * (size_t)c.mesh.n_vert);
    uint8_t *rgba = malloc(SIZE * SIZE * 4);
    for (int64_t f = 0; f < 16; f += 5) {
        ch4_synth_surface surface = ch4_synth_surface_at(&c.mesh, f);
        ch4_synth_rasterise(sample, scratch, &surface, &cam);
        ch4_synth_resolve(rgba, scratch, sample, &surface, &cam);
        double lo[2] = {SIZE, SIZE}, hi[2] = {0, 0};
        for (int64_t v = 0; v < c.mesh.n_vert; v++) {
            ch4_synth_project(uv, &z, &cam, c.mesh.vert + (f * c.mesh.n_vert + v) * 3);
            for (int k = 0; k < 2; k++) lo[k] = fmin(lo[k], uv[k]), hi[k] = fmax(hi[k], uv[k]);
        }
        int box[4] = {SIZE, SIZE, 0, 0};
        for (int i = 0; i < SIZE * SIZE; i++) {
            if (!rgba[4 * i + 3]) continue;
            int x = i % SIZE, y = i / SIZE;
            box[0] = x < box[0] ? x : box[0], box[1] = y < box[1] ? y : box[1];
            box[2] = x + 1 > box[2] ? x + 1 : box[2], box[3] = y + 1 > box[3] ? y + 1 : box[3];
        }
        for (int k = 0; k < 2; k++) {
            assert_true(fabs(lo[k] - box[k]) <= 1);
            assert_true(fabs(hi[k] - box[2 + k]) <= 1);
        }
        /* The position of a sample on its face projects back onto the sample. */
        for (int i = 0; i < SIDE * SIDE; i += 37) {
            if (sample[i].inverse_depth <= 0) continue;
            float w[3] = {sample[i].weight[0], sample[i].weight[1], 1 - sample[i].weight[0] - sample[i].weight[1]}, p[3] = {0};
            for (int j = 0; j < 9; j++) p[j % 3] += w[j / 3] * c.mesh.vert[(f * c.mesh.n_vert + c.mesh.face[3 * sample[i].face + j / 3]) * 3 + j % 3];
            ch4_synth_project(uv, &z, &cam, p);
            assert_true(fabs(uv[0] * 2 - (i % SIDE + 0.5)) < 0.01 && fabs(uv[1] * 2 - (i / SIDE + 0.5)) < 0.01);
            assert_true(fabs(1 / z - (double)sample[i].inverse_depth) < 1e-5);
        }
    }
    free(sample);
    free(scratch);
    free(rgba);
    ch4_synth_clip_fini(&c);
}

static void shard_does_not_depend_on_threads(void **state)
{
    (void)state;
    char path[2][96];
    char *bytes[2];
    size_t n[2];
    for (int i = 0; i < 2; i++) {
        ch4_synth_options o = options(40, "quad,biped,bird", 16);
        o.n_clips = 3;
        ch4_pool *pool;
        assert_int_equal(ch4_pool_create(&pool, 1 + 2 * i, NULL), CH4_OK);
        snprintf(path[i], sizeof(path[i]), "%s/%d.safetensors", folder, i);
        assert_int_equal(ch4_synth_shard_save(path[i], &o, pool, NULL), CH4_OK);
        ch4_pool_destroy(&pool);
        bytes[i] = read_file(i ? "1.safetensors" : "0.safetensors", &n[i]);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(bytes[0], bytes[1], n[0]);
    ch4_safetensors *file;
    ch4_tensor t, cover, xyz;
    assert_int_equal(ch4_safetensors_open(&file, path[0], NULL), CH4_OK);
    assert_int_equal(ch4_safetensors_get(file, "seed", &t, NULL), CH4_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(((int64_t *)t.data)[i], 40 + i);
    /* Patches: covered share in [0,1], positions only where something is seen, and inside the cube. */
    assert_int_equal(ch4_safetensors_get(file, "patch_cover", &cover, NULL), CH4_OK);
    assert_int_equal(ch4_safetensors_get(file, "patch_xyz", &xyz, NULL), CH4_OK);
    double total = 0;
    for (int64_t i = 0; i < ch4_tensor_count(&cover); i++) {
        float share = ch4_f16_to_f32(((uint16_t *)cover.data)[i]);
        total += share;
        assert_true(share >= 0 && share <= 1);
        for (int k = 0; k < 3; k++) {
            float x = ch4_f16_to_f32(((uint16_t *)xyz.data)[3 * i + k]);
            assert_true(fabsf(x) <= 0.95f && (share > 0 || x == 0));
        }
    }
    assert_true(total / (double)ch4_tensor_count(&cover) > 0.08);
    /* The union of all frames touches the border of the unpadded box: about 83 % of the picture's longer side. */
    assert_int_equal(ch4_safetensors_get(file, "image", &t, NULL), CH4_OK);
    const uint8_t *im = t.data;
    int lo[2] = {64, 64}, hi[2] = {0, 0};
    for (int i = 0; i < 16 * 64 * 64; i++)
        if (im[3 * i] < 200 || im[3 * i + 1] < 200 || im[3 * i + 2] < 200) {
            int at[2] = {i % 64, i / 64 % 64};
            for (int k = 0; k < 2; k++) lo[k] = at[k] < lo[k] ? at[k] : lo[k], hi[k] = at[k] > hi[k] ? at[k] : hi[k];
        }
    int longer = hi[0] - lo[0] > hi[1] - lo[1] ? hi[0] - lo[0] : hi[1] - lo[1];
    assert_in_range(longer, 50, 55);
    ch4_safetensors_close(&file);
    for (int i = 0; i < 2; i++) {
        free(bytes[i]);
        unlink(path[i]);
    }
}

/* Known visibility: a point behind a wall, the same point in front of it, and one on a face that is turned away. */
static void tracks_know_what_is_hidden(void **state)
{
    (void)state;
    enum { SIDE = 32 * CH4_SYNTH_SUPERSAMPLE, F = 6, N = 3 };
    ch4_synth_camera cam;
    ch4_synth_camera_init(&cam, 32);
    ch4_synth_sample wall[SIDE * SIDE];
    float xyz[N][3] = {{0}}, normal[N][3], view[3];
    uint8_t visible[F][N], row[N];
    for (int k = 0; k < 3; k++) {
        view[k] = -(float)cam.R[6 + k]; /* towards the camera */
        xyz[1][k] = 0.2f * view[k];
        for (int p = 0; p < N; p++) normal[p][k] = p == 2 ? -view[k] : view[k];
    }
    for (int f = 0; f < F; f++) {
        for (int i = 0; i < SIDE * SIDE; i++) wall[i] = (ch4_synth_sample){.inverse_depth = f == 0 ? 1 / 3.0f : 0}; /* 0.2 before the origin in frame 0 */
        ch4_synth_compute_visible(visible[f], &xyz[0][0], &normal[0][0], N, wall, &cam);
        assert_memory_equal(visible[f], ((const uint8_t[N]){f > 0, 1, 0}), N);
    }
    for (int k = 0; k < 3; k++) xyz[0][k] = -4 * view[k], xyz[1][k] = 4 * view[k]; /* far behind the wall; behind the camera */
    ch4_synth_compute_visible(row, &xyz[0][0], &normal[0][0], N, wall, &cam);
    assert_memory_equal(row, ((const uint8_t[N]){1, 0, 0}), N); /* nothing is in front of the background */

    int64_t query[4];
    assert_int_equal(ch4_synth_choose_queries(query, 4, &visible[0][0], N, F), 2);
    assert_int_equal(query[0], 1); /* visible from the first frame */
    assert_int_equal(query[1], 0); /* behind the wall first */
    assert_int_equal(ch4_synth_choose_queries(query, 4, &visible[0][0], N, 5), 1); /* first seen in frame 1 of 5: too near the end */
}

static void unknown_plans_are_named(void **state)
{
    (void)state;
    ch4_err err = {0};
    uint32_t plans;
    assert_int_equal(ch4_synth_plan_parse(&plans, "quad,wyrm", &err), CH4_EINVAL);
    assert_non_null(strstr(err.msg, "wyrm"));
    assert_int_equal(ch4_synth_plan_parse(&plans, "", NULL), CH4_EINVAL);
    assert_int_equal(ch4_synth_plan_parse(&plans, "bird,", NULL), CH4_EINVAL);
}

int main(void)
{
    snprintf(folder, sizeof(folder), "/tmp/ch4_synth.XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meshes_lie_on_the_field_in_every_frame),
        cmocka_unit_test(field_is_the_distance_to_one_capsule_and_the_log_sum_of_two),
        cmocka_unit_test(a_seed_is_one_creature_wherever_it_stands),
        cmocka_unit_test(creatures_move),
        cmocka_unit_test(camera_and_pictures_agree_within_a_pixel),
        cmocka_unit_test(shard_does_not_depend_on_threads),
        cmocka_unit_test(tracks_know_what_is_hidden),
        cmocka_unit_test(unknown_plans_are_named),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
