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

#include "mesh/mesh_io.h"
#include "stages/decode/frames.h"
#include "tensor/npy.h"
#include "tensor/safetensors.h"
#include "tools/eval/drift.h"
#include "tools/synth/minibench_writer.h"

/* The formulas of the objects are compared with recorded vertices, samples and pictures by chain4d-golden; here is what no record holds. */

static char folder[64];

static void each_part_is_a_closed_sheet_turned_outward(void **state)
{
    (void)state;
    for (int o = 0; o < CH4_MINIBENCH_COUNT; o++) {
        ch4_minibench_rest r;
        assert_int_equal(ch4_minibench_rest_init(&r, (ch4_minibench_object)o, 3, NULL), CH4_OK);
        int n_parts = r.part[r.n_vert - 1] + 1;
        double volume[8] = {0};
        int64_t vertices[8] = {0}, faces[8] = {0};
        assert_in_range(n_parts, 2, 8);
        for (int64_t v = 0; v < r.n_vert; v++) vertices[r.part[v]]++;
        for (int64_t i = 0; i < r.n_face; i++) {
            const int32_t *t = r.face + 3 * i;
            const double *a = r.vert + 3 * t[0], *b = r.vert + 3 * t[1], *c = r.vert + 3 * t[2];
            int part = r.part[t[0]];
            assert_true(r.part[t[1]] == part && r.part[t[2]] == part);
            faces[part]++;
            for (int k = 0; k < 3; k++) volume[part] += a[k] * (b[(k + 1) % 3] * c[(k + 2) % 3] - b[(k + 2) % 3] * c[(k + 1) % 3]) / 6;
        }
        for (int p = 0; p < n_parts; p++) {
            assert_true(volume[p] > 0);
            assert_int_equal(faces[p], 2 * (vertices[p] - 2)); /* a sphere */
        }
        ch4_minibench_rest_fini(&r);
    }
}

static void a_clip_fills_the_cube_once_over_all_its_frames(void **state)
{
    (void)state;
    static const int64_t lengths[] = {16, 40};
    for (int o = 0; o < CH4_MINIBENCH_COUNT; o++)
        for (int l = 0; l < 2; l++) {
            ch4_minibench b;
            assert_int_equal(ch4_minibench_init(&b, (ch4_minibench_object)o, 5, lengths[l], NULL), CH4_OK);
            double lo[3] = {9, 9, 9}, hi[3] = {-9, -9, -9}, longest = 0;
            for (int64_t i = 0; i < 3 * b.mesh.n_vert * lengths[l]; i++) lo[i % 3] = fmin(lo[i % 3], b.mesh.vert[i]), hi[i % 3] = fmax(hi[i % 3], b.mesh.vert[i]);
            for (int k = 0; k < 3; k++) {
                assert_true(fabs(lo[k] + hi[k]) < 1e-6);
                longest = fmax(longest, hi[k] - lo[k]);
            }
            assert_true(fabs(longest - 2) < 1e-6);
            ch4_minibench_fini(&b);
        }
}

static void move_at(double *out, const ch4_minibench_rest *r, double t, int64_t vertex)
{
    double *all = malloc((size_t)r->n_vert * 3 * sizeof(double));
    ch4_minibench_move(all, r, t);
    memcpy(out, all + 3 * vertex, 3 * sizeof(double));
    free(all);
}

/* A long clip of continuous motion stays in place: what drifts in one pass comes back in the next. */
static void drifting_objects_turn_back(void **state)
{
    (void)state;
    ch4_minibench_rest walker, slider;
    double a[3], b[3], c[3];
    assert_int_equal(ch4_minibench_rest_init(&walker, CH4_MINIBENCH_WALKER, 1, NULL), CH4_OK);
    assert_int_equal(ch4_minibench_rest_init(&slider, CH4_MINIBENCH_SLIDER, 1, NULL), CH4_OK);
    move_at(a, &walker, 0, 0); /* the torso */
    move_at(b, &walker, 1, 0);
    move_at(c, &walker, 2, 0);
    assert_true(fabs(b[0] - a[0] - 0.25) < 1e-12 && fabs(c[0] - a[0]) < 1e-12);
    int64_t rail = 0, bead = 0, pole;
    while (slider.part[bead] == 0) bead++; /* its south pole, which the bead's spin leaves in place */
    pole = bead;
    move_at(a, &slider, 0.75, pole);
    move_at(b, &slider, 1.25, pole);
    assert_true(fabs(a[0] - b[0]) < 1e-12);
    assert_true(fabs(a[0] - (-.62 + 1.24 * slider.amplitude * .75)) < 1e-12);
    move_at(a, &slider, 16, rail);
    assert_memory_equal(a, slider.vert, sizeof(a));
    ch4_minibench_rest_fini(&walker);
    ch4_minibench_rest_fini(&slider);
}

static void more_samples_begin_with_the_same_ones(void **state)
{
    (void)state;
    int32_t few[10], many[500];
    float few_bary[30], many_bary[1500];
    ch4_minibench b;
    assert_int_equal(ch4_minibench_init(&b, CH4_MINIBENCH_FOLDER, 77, 16, NULL), CH4_OK);
    assert_int_equal(ch4_minibench_sample(few, few_bary, &b, 10, NULL), CH4_OK);
    assert_int_equal(ch4_minibench_sample(many, many_bary, &b, 500, NULL), CH4_OK);
    assert_memory_equal(few, many, sizeof(few));
    assert_memory_equal(few_bary, many_bary, sizeof(few_bary));
    for (int i = 0; i < 500; i++) {
        assert_in_range(many[i], 0, b.mesh.n_face - 1);
        for (int k = 0; k < 3; k++) assert_true(many_bary[3 * i + k] >= 0 && many_bary[3 * i + k] <= 1);
        assert_true(fabsf(many_bary[3 * i] + many_bary[3 * i + 1] + many_bary[3 * i + 2] - 1) < 1e-6f);
    }
    ch4_minibench_fini(&b);
}

/* A turned world looks the same: every vertex keeps its pixel and depth, light and normals keep their angle; turned back, all is as before. */
static void a_turned_world_looks_the_same(void **state)
{
    (void)state;
    ch4_minibench c;
    ch4_synth_camera camera[CH4_MINIBENCH_FRAMES];
    ch4_synth_light light = CH4_MINIBENCH_LIGHT;
    assert_int_equal(ch4_minibench_init(&c, CH4_MINIBENCH_WALKER, 3, CH4_MINIBENCH_FRAMES, NULL), CH4_OK);
    for (int f = 0; f < CH4_MINIBENCH_FRAMES; f++) ch4_minibench_camera(&camera[f], &c, true, f, 256);
    enum { PICKED = 50 };
    double before[PICKED][4];
    int64_t step = c.mesh.n_frames * c.mesh.n_vert / PICKED;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < PICKED; i++) {
            const float *x = c.mesh.vert + 3 * i * step, *n = c.mesh.normal + 3 * i * step;
            double seen[4] = {0, 0, 0, n[0] * light.direction[0] + n[1] * light.direction[1] + n[2] * light.direction[2]};
            ch4_synth_project(seen, &seen[2], &camera[i * step / c.mesh.n_vert], x);
            for (int k = 0; k < 4; k++) {
                if (pass) assert_true(fabs(seen[k] - before[i][k]) < 1e-3);
                else before[i][k] = seen[k];
            }
        }
        float x = c.mesh.vert[0], z = c.mesh.vert[2];
        if (!pass) ch4_minibench_turn(&c, camera, &light, 90); /* +z goes to +x */
        if (!pass) assert_true(fabsf(c.mesh.vert[0] - z) < 1e-6f && fabsf(c.mesh.vert[2] + x) < 1e-6f);
    }
    ch4_minibench_fini(&c);
}

static void names_say_what_a_clip_is(void **state)
{
    (void)state;
    static const struct {
        ch4_minibench_clip clip;
        const char *name;
    } cases[] = {{{CH4_MINIBENCH_WALKER, 1, false, false, 16}, "walker_static_s1"},      {{CH4_MINIBENCH_WORM, 1001, true, true, 16}, "worm_orbit_s1001"},
                 {{CH4_MINIBENCH_FOLDER, 2, false, false, 241}, "folder_static_s2_pingpong241"}, {{CH4_MINIBENCH_SQUASH, 3, true, true, 17}, "squash_orbit_s3_continuous17"},
                 {{CH4_MINIBENCH_SLIDER, 4, false, true, 5}, "slider_static_s4_f5"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[CH4_MINIBENCH_NAME];
        ch4_minibench_clip_name(name, &cases[i].clip);
        assert_string_equal(name, cases[i].name);
    }
}

/* --- a written clip ------------------------------------------------------------------------------------------------------------- */

enum { F = 35, SIZE = 64, N = 300 };

static const void *tensor(const ch4_safetensors *file, const char *name, int64_t count, ch4_tensor *t)
{
    assert_int_equal(ch4_safetensors_get(file, name, t, NULL), CH4_OK);
    if (count) assert_int_equal(ch4_tensor_count(t), count);
    return t->data;
}

static void pictures(uint8_t *out, const char *path, bool alpha)
{
    const ch4_frames_options o = {.stride = 1, .image_fps = 15};
    ch4_frames *frames;
    double time;
    bool end = false;
    assert_int_equal(ch4_frames_open(&frames, path, false, &o, NULL), CH4_OK);
    assert_int_equal(ch4_frames_get_info(frames)->alpha, alpha);
    for (int f = 0; f < F; f++) {
        assert_int_equal(ch4_frames_next(frames, &time, &end, NULL), CH4_OK);
        assert_false(end);
        assert_true(fabs(time - f / 15.0) < 0.002);
        assert_int_equal(ch4_frames_picture(frames, out + f * SIZE * SIZE * 4, SIZE, SIZE, NULL), CH4_OK);
    }
    assert_int_equal(ch4_frames_next(frames, &time, &end, NULL), CH4_OK);
    assert_true(end);
    ch4_frames_close(&frames);
}

static void check_videos(const char *clip)
{
    enum { BYTES = F * SIZE * SIZE * 4 };
    char path[256];
    uint8_t *png = malloc(BYTES), *alpha = malloc(BYTES), *white = malloc(BYTES);
    snprintf(path, sizeof(path), "%s/imgs", clip);
    pictures(png, path, true);
    snprintf(path, sizeof(path), "%s/video_alpha.mov", clip);
    pictures(alpha, path, true);
    snprintf(path, sizeof(path), "%s/video.mp4", clip);
    pictures(white, path, false);
    assert_memory_equal(png, alpha, BYTES);
    int64_t off = 0, covered = 0;
    for (int i = 0; i < BYTES; i += 4) {
        assert_true(png[i + 3] == 0 || png[i + 3] == 255);
        covered += png[i + 3] == 255;
        /* luma, which H.264 keeps at full size */
        int want = png[i + 3] ? 299 * png[i] + 587 * png[i + 1] + 114 * png[i + 2] : 255000, got = 299 * white[i] + 587 * white[i + 1] + 114 * white[i + 2];
        off += abs(want - got) > 16000;
    }
    assert_in_range(covered, F * 200, F * 1000);
    assert_in_range(off, 0, BYTES / 4 / 50);
    /* Forward and backward: frame 16 shows 14 again, 30 shows 0. */
    assert_memory_equal(png + 16 * SIZE * SIZE * 4, png + 14 * SIZE * SIZE * 4, SIZE * SIZE * 4);
    assert_memory_equal(png + 30 * SIZE * SIZE * 4, png, SIZE * SIZE * 4);
    assert_memory_not_equal(png + 15 * SIZE * SIZE * 4, png + 14 * SIZE * SIZE * 4, SIZE * SIZE * 4);
    free(png);
    free(alpha);
    free(white);
}

static void check_truth(const char *clip)
{
    char path[256];
    ch4_safetensors *gt;
    ch4_tensor t, s;
    ch4_buf buf;
    snprintf(path, sizeof(path), "%s/gt.safetensors", clip);
    assert_int_equal(ch4_safetensors_open(&gt, path, NULL), CH4_OK);
    const float *vert = tensor(gt, "verts", 0, &t);
    int64_t V = t.shape[1];
    const int32_t *face = tensor(gt, "faces", 0, &t), *index = tensor(gt, "face_index", N, &t);
    const float *bary = tensor(gt, "bary", N * 3, &t);
    const double *K = tensor(gt, "K", F * 9, &t), *R = tensor(gt, "R", F * 9, &t), *T = tensor(gt, "t", F * 3, &t);
    const int64_t *source = tensor(gt, "source_frame", F, &t), *query = tensor(gt, "query_index", 0, &t);
    int64_t Q = t.shape[0];
    const float *uv = tensor(gt, "points", Q * F * 2, &t), *xyz = tensor(gt, "tracks_xyz_cam", Q * F * 3, &t);
    const uint8_t *occluded = tensor(gt, "occluded", Q * F, &t);
    tensor(gt, "color", V * 3, &t);
    snprintf(path, sizeof(path), "%s/surfaces.npy", clip);
    assert_int_equal(ch4_npy_load(&buf, &s, path, NULL), CH4_OK);
    assert_true(s.dtype == CH4_DTYPE_F32 && ch4_tensor_has_shape(&s, 3, (int64_t[]){F, N, 6}));
    const float *surface = s.data;
    int64_t n_occluded = 0;
    assert_in_range(Q, 50, 256);
    for (int64_t k = 0; k < F; k++) {
        assert_int_equal(source[k], ch4_pingpong_frame(k, 16));
        assert_memory_equal(vert + k * V * 3, vert + source[k] * V * 3, (size_t)V * 3 * sizeof(float));
        assert_memory_equal(R + 9 * k, R + 9 * source[k], 9 * sizeof(double));
        for (int64_t i = 0; i < N; i++)
            for (int c = 0; c < 3; c++) {
                double x = 0;
                for (int j = 0; j < 3; j++) x += (double)bary[3 * i + j] * vert[(k * V + face[3 * index[i] + j]) * 3 + c];
                assert_true(fabs(x - surface[(k * N + i) * 6 + c]) < 1e-6);
            }
        for (int64_t q = 0; q < Q; q++) {
            const float *p = surface + (k * N + query[q]) * 6, *cam = xyz + (q * F + k) * 3, *at = uv + (q * F + k) * 2;
            for (int r = 0; r < 3; r++) assert_true(fabs(R[9 * k + 3 * r] * p[0] + R[9 * k + 3 * r + 1] * p[1] + R[9 * k + 3 * r + 2] * p[2] + T[3 * k + r] - cam[r]) < 1e-5);
            assert_true(fabs((K[9 * k] * cam[0] / cam[2] + K[9 * k + 2]) / SIZE - at[0]) < 1e-6);
            assert_true(fabs((K[9 * k + 4] * cam[1] / cam[2] + K[9 * k + 5]) / SIZE - at[1]) < 1e-6);
            n_occluded += occluded[q * F + k];
        }
    }
    assert_in_range(n_occluded, Q * F / 20, Q * F * 19 / 20);
    ch4_buf_free(&buf);
    ch4_safetensors_close(&gt);
}

static void check_meshes(const char *oracle, const char *clip)
{
    char path[256];
    ch4_asset mesh, anchor;
    snprintf(path, sizeof(path), "%s/mesh_30.glb", oracle);
    assert_int_equal(ch4_asset_load(&mesh, path, NULL), CH4_OK);
    snprintf(path, sizeof(path), "%s/anchor.obj", clip);
    assert_int_equal(ch4_asset_load(&anchor, path, NULL), CH4_OK);
    assert_int_equal(mesh.mesh.n_vert, anchor.mesh.n_vert);
    assert_memory_equal(mesh.mesh.vert, anchor.mesh.vert, (size_t)anchor.mesh.n_vert * 3 * sizeof(float)); /* frame 30 shows frame 0 */
    assert_memory_equal(mesh.mesh.face, anchor.mesh.face, (size_t)anchor.mesh.n_face * 3 * sizeof(int32_t));
    ch4_asset_fini(&mesh);
    ch4_asset_fini(&anchor);
}

static void a_long_clip_is_true_in_every_frame(void **state)
{
    (void)state;
    char clip[128], oracle[128], command[160];
    const ch4_minibench_clip what = {CH4_MINIBENCH_WALKER, 2, true, false, F};
    const ch4_minibench_options o = {.n_points = N, .size = SIZE, .fps = 15};
    ch4_err err = {0};
    if (ch4_minibench_save(folder, &what, 1, &o, NULL, &err)) fail_msg("%s", err.msg);
    snprintf(clip, sizeof(clip), "%s/data/walker_orbit_s2_pingpong35", folder);
    snprintf(oracle, sizeof(oracle), "%s/oracle/walker_orbit_s2_pingpong35", folder);
    check_videos(clip);
    check_truth(clip);
    check_meshes(oracle, clip);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    snprintf(folder, sizeof(folder), "/tmp/ch4_minibench.XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_a_closed_sheet_turned_outward), cmocka_unit_test(a_clip_fills_the_cube_once_over_all_its_frames),
        cmocka_unit_test(drifting_objects_turn_back),                 cmocka_unit_test(more_samples_begin_with_the_same_ones),
        cmocka_unit_test(a_turned_world_looks_the_same),              cmocka_unit_test(names_say_what_a_clip_is),
        cmocka_unit_test(a_long_clip_is_true_in_every_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
