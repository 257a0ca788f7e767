#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/mesh_io.h"
#include "orchestrator/sink.h"
#include "store/store.h"
#include "tensor/npy.h"

enum { WINDOWS = 2, T = 3, FRAMES = 5, V = 4, F = 4, Q = 2, SIDE = 64 }; /* frame 2 is in both windows */

static char dir[64], mesh_path[80];
static const int32_t faces[3 * F] = {0, 2, 1, 0, 1, 3, 1, 2, 3, 0, 3, 2};
static const float rest[3 * V] = {-1, -1, -1, 1, -1, -1, -1, 1, -1, -1, -1, 1};

static void put(ch4_store_writer *w, const char *name, ch4_tensor t)
{
    assert_int_equal(ch4_store_write(w, name, &t, CH4_STORE_PLAIN, NULL), CH4_OK);
}

static ch4_store_writer *start(int w, const char *stage)
{
    char path[256];
    ch4_store_writer *out = NULL;
    assert_int_equal(ch4_store_window_path(path, sizeof path, dir, w, stage, NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&out, path, NULL), CH4_OK);
    return out;
}

static float moved(int frame, int i) { return rest[i] + 0.1f * (float)(frame * (i % 3)); }

static void write_decode(int w)
{
    static const char *const name[] = {"crop_x", "crop_y", "source_width", "source_height", "n_frames"};
    static const int64_t value[] = {-8, 20, 640, 480, FRAMES};
    static uint8_t alpha[T * SIDE * SIDE];
    ch4_store_writer *out = start(w, "decode");
    put(out, "/alpha", CH4_VIEW(alpha, CH4_DTYPE_U8, T, SIDE, SIDE));
    for (int i = 0; i < 5; i++) assert_int_equal(ch4_store_set_int(out, name[i], value[i], NULL), CH4_OK);
    assert_int_equal(ch4_store_set_real(out, "scale", 0.5, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&out, NULL, NULL), CH4_OK);
}

static void write_motion(int w, int n_vert)
{
    float vert[T * 3 * V];
    /* the shared frame of the second window says something else, which must not count */
    for (int t = 0; t < T; t++)
        for (int i = 0; i < 3 * V; i++) vert[3 * V * t + i] = moved(w * (T - 1) + t, i) + (w == 1 && t == 0 ? 7.0f : 0.0f);
    ch4_store_writer *out = start(w, "animate");
    put(out, "/vertices", CH4_F32(vert, T, n_vert, 3));
    assert_int_equal(ch4_store_commit(&out, NULL, NULL), CH4_OK);
    float anchor[3 * V];
    int32_t face[3 * F];
    memcpy(anchor, rest, sizeof rest);
    memcpy(face, faces, sizeof faces);
    out = start(w, "chain");
    put(out, "/anchor/vertices", CH4_F32(anchor, V, 3));
    put(out, "/anchor/faces", CH4_VIEW(face, CH4_DTYPE_I32, F, 3));
    assert_int_equal(ch4_store_set_int(out, "field_inside", 1, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_int(out, "field_probed", -1, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_real(out, "field_probe_share", 0.75, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&out, NULL, NULL), CH4_OK);
    out = start(w, "denoise");
    assert_int_equal(ch4_store_set_reals(out, "mesh_center", (const double[]){10, 20, 30}, 3, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_real(out, "mesh_scale", 0.5, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_real(out, "mesh_yaw", 90, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&out, NULL, NULL), CH4_OK);
}

static void write_pose(int w, int64_t q)
{
    double K[9 * T], R[9 * T], t[3 * T], R0[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, t0[3] = {0, 0, 4};
    uint8_t status[T] = {0};
    int32_t inliers[T], face[Q] = {1, 3};
    float pixel[2 * Q] = {0, 0, 10, 20}, bary[3 * Q] = {1, 0, 0, 0, 0.5f, 0.5f}, uv[T * Q * 2], xyz[T * Q * 3];
    for (int f = 0; f < T; f++) {
        memcpy(K + 9 * f, (double[]){70, 0, 32, 0, 70, 32, 0, 0, 1}, 9 * sizeof *K);
        memcpy(R + 9 * f, R0, sizeof R0);
        memcpy(t + 3 * f, t0, sizeof t0);
        inliers[f] = 10 * (w * (T - 1) + f);
    }
    if (w == 1) status[2] = 2;
    for (int i = 0; i < T * Q * 2; i++) uv[i] = (float)i;
    for (int i = 0; i < T * Q * 3; i++) xyz[i] = (float)i;
    int64_t index[T];
    double time[T];
    for (int f = 0; f < T; f++) {
        index[f] = w * (T - 1) + f;
        time[f] = 10 + 0.04 * (double)index[f] * (double)index[f];
    }
    ch4_store_writer *out = start(w, "pose");
    put(out, "/frame_index", CH4_VIEW(index, CH4_DTYPE_I64, T));
    put(out, "/time", CH4_VIEW(time, CH4_DTYPE_F64, T));
    put(out, "/camera/K", CH4_VIEW(K, CH4_DTYPE_F64, T, 3, 3));
    put(out, "/camera/R", CH4_VIEW(R, CH4_DTYPE_F64, T, 3, 3));
    put(out, "/camera/t", CH4_VIEW(t, CH4_DTYPE_F64, T, 3));
    put(out, "/camera/status", CH4_VIEW(status, CH4_DTYPE_U8, T));
    put(out, "/camera/inliers", CH4_VIEW(inliers, CH4_DTYPE_I32, T));
    put(out, "/tracks/pixel", CH4_F32(pixel, q, 2));
    put(out, "/tracks/face", CH4_VIEW(face, CH4_DTYPE_I32, q));
    put(out, "/tracks/bary", CH4_F32(bary, q, 3));
    put(out, "/tracks/uv", CH4_F32(uv, T, q, 2));
    put(out, "/tracks/xyz", CH4_F32(xyz, T, q, 3));
    put(out, "/anchor_camera/R", CH4_VIEW(R0, CH4_DTYPE_F64, 3, 3));
    put(out, "/anchor_camera/t", CH4_VIEW(t0, CH4_DTYPE_F64, 3));
    assert_int_equal(ch4_store_set_int(out, "anchor_camera_status", 0, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_text(out, "camera_status_names", "solved,solved_sqpnp,kept,anchor,none", NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&out, NULL, NULL), CH4_OK);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ch4.XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(mesh_path, sizeof mesh_path, "%s/given.obj", dir);
    for (int w = 0; w < WINDOWS; w++) {
        write_decode(w);
        write_motion(w, V);
        write_pose(w, Q);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static ch4_status finish(const char *mesh, ch4_sink_report *report, ch4_err *err)
{
    ch4_config config = {.sink = {.glb = true}, .mesh = {.path = (char *)(uintptr_t)mesh}};
    const char *const notes[] = {"said by a stage"};
    const ch4_sink_clip clip = {.name = "clip", .dir = dir, .input = "clip.mp4", .n_windows = WINDOWS, .notes = notes, .n_notes = 1};
    return ch4_sink_finish_clip(&clip, &config, report, err);
}

static json_t *load_json(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    return root;
}

static ch4_tensor load_npy(const char *name, ch4_buf *buf)
{
    char path[256];
    ch4_tensor t;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(ch4_npy_load(buf, &t, path, NULL), CH4_OK);
    return t;
}

static void joins_windows_in_the_order_of_the_video(void **state)
{
    (void)state;
    ch4_sink_report report;
    ch4_err err = {0};
    ch4_buf buf;
    if (finish("", &report, &err)) fail_msg("%s", err.msg);
    assert_int_equal(report.n_files, 6);
    ch4_tensor t = load_npy("vertices.npy", &buf);
    assert_true(ch4_tensor_has_shape(&t, 3, (const int64_t[]){FRAMES, V, 3}));
    for (int f = 0; f < FRAMES; f++)
        for (int i = 0; i < 3 * V; i++) assert_true(((float *)t.data)[3 * V * f + i] == moved(f, i));
    ch4_buf_free(&buf);
    json_t *cameras = load_json("cameras.json"), *summary = load_json("summary.json");
    assert_int_equal(json_array_size(json_object_get(cameras, "R")), FRAMES);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(cameras, "inliers"), 3)), 30);
    assert_string_equal(json_string_value(json_array_get(json_object_get(cameras, "status"), 4)), "kept");
    json_t *K = json_array_get(json_object_get(cameras, "K"), 1); /* u = u' / scale + crop */
    assert_float_equal(json_number_value(json_array_get(json_array_get(K, 0), 0)), 140, 1e-12);
    assert_float_equal(json_number_value(json_array_get(json_array_get(K, 0), 2)), 64 - 8, 1e-12);
    assert_float_equal(json_number_value(json_array_get(json_array_get(K, 1), 2)), 64 + 20, 1e-12);
    assert_int_equal(json_integer_value(json_object_get(summary, "frames")), FRAMES);
    assert_int_equal(json_array_size(json_object_get(summary, "notes")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(summary, "notes"), 0)), "said by a stage");
    json_t *field = json_object_get(summary, "field");
    assert_string_equal(json_string_value(json_object_get(field, "inside")), "positive");
    assert_string_equal(json_string_value(json_object_get(field, "probed")), "negative");
    assert_float_equal(json_number_value(json_object_get(field, "probe_share")), 0.75, 1e-12);
    assert_int_equal(report.n_notes, 1);
    json_decref(cameras);
    json_decref(summary);
}

static void finishing_again_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const name[] = {"vertices.npy", "faces.npy", "mesh.glb", "cameras.json", "tracks.h5", "summary.json"};
    char before[6][CH4_HASH_HEX], after[CH4_HASH_HEX], path[256];
    ch4_sink_report report;
    for (int again = 0; again < 2; again++) {
        assert_int_equal(finish("", &report, NULL), CH4_OK);
        for (int i = 0; i < 6; i++) {
            snprintf(path, sizeof path, "%s/%s", dir, name[i]);
            assert_int_equal(ch4_hash_file(again ? after : before[i], path, NULL), CH4_OK);
            if (again) assert_string_equal(before[i], after);
        }
    }
}

/* Coordinate k of the given mesh where a point is at `canonical`: turned back by 90 degrees about y, twice as large, at (10, 20, 30). */
static float given(int k, const float canonical[3])
{
    const float turned[3] = {-canonical[2], canonical[1], canonical[0]};
    return 2 * turned[k] + 10.0f * (float)(k + 1);
}

/* The given mesh lists a corner twice, in another order, and has its own coordinates. */
static void a_given_mesh_keeps_order_and_coordinates(void **state)
{
    (void)state;
    static const int of[V + 1] = {3, 0, 1, 2, 0};
    FILE *f = fopen(mesh_path, "w");
    for (int v = 0; v <= V; v++)
        fprintf(f, "v %g %g %g\n", given(0, rest + 3 * of[v]), given(1, rest + 3 * of[v]), given(2, rest + 3 * of[v]));
    fputs("f 2 4 3\nf 5 3 1\nf 3 4 1\nf 2 1 4\n", f);
    fclose(f);
    ch4_sink_report report;
    ch4_err err = {0};
    ch4_buf buf;
    if (finish(mesh_path, &report, &err)) fail_msg("%s", err.msg);
    ch4_tensor t = load_npy("vertices.npy", &buf);
    assert_true(ch4_tensor_has_shape(&t, 3, (const int64_t[]){FRAMES, V + 1, 3}));
    for (int fr = 0; fr < FRAMES; fr++)
        for (int v = 0; v <= V; v++)
            for (int k = 0; k < 3; k++)
                assert_float_equal(((float *)t.data)[3 * ((V + 1) * fr + v) + k],
                                   given(k, (const float[]){moved(fr, 3 * of[v]), moved(fr, 3 * of[v] + 1), moved(fr, 3 * of[v] + 2)}), 1e-4);
    ch4_buf_free(&buf);
    t = load_npy("faces.npy", &buf);
    assert_int_equal(((int32_t *)t.data)[3], 4);
    ch4_buf_free(&buf);
    json_t *cameras = load_json("cameras.json"); /* R' = R Y = Y, t' = t / s - Y c */
    json_t *tr = json_array_get(json_object_get(cameras, "t"), 0), *row = json_array_get(json_array_get(json_object_get(cameras, "R"), 0), 0);
    assert_float_equal(json_number_value(json_array_get(row, 0)), 0, 1e-12);
    assert_float_equal(json_number_value(json_array_get(row, 2)), 1, 1e-12);
    assert_float_equal(json_number_value(json_array_get(tr, 0)), -30, 1e-12);
    assert_float_equal(json_number_value(json_array_get(tr, 2)), 8 + 10, 1e-12);
    json_decref(cameras);
    char path[256];
    ch4_store_reader *r = NULL;
    snprintf(path, sizeof path, "%s/tracks.h5", dir);
    int32_t corner[3 * Q];
    float uv[2 * Q];
    assert_int_equal(ch4_store_open(&r, path, NULL), CH4_OK);
    assert_int_equal(ch4_store_read_part(r, "/query/corner", CH4_DTYPE_I32, 0, Q, corner, sizeof corner, NULL), CH4_OK);
    assert_int_equal(of[corner[0]], faces[3]);
    assert_int_equal(of[corner[5]], faces[11]);
    assert_int_equal(ch4_store_read_part(r, "/tracks_2d", CH4_DTYPE_F32, 2, 1, uv, sizeof uv, NULL), CH4_OK);
    assert_float_equal(uv[0], 2 * (2 * 2 * Q) - 8, 1e-4); /* frame 2 is slot 2 of window 0 */
    ch4_store_close(&r);
    ch4_asset a;
    snprintf(path, sizeof path, "%s/mesh.glb", dir);
    assert_int_equal(ch4_asset_load(&a, path, NULL), CH4_OK);
    assert_int_equal(a.mesh.n_vert, V + 1);
    ch4_asset_fini(&a);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    ch4_sink_report report;
    ch4_err err = {0};
    char path[256];
    FILE *f = fopen(mesh_path, "w");
    fputs("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", f);
    fclose(f);
    assert_int_equal(finish(mesh_path, &report, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "given.obj"));
    snprintf(path, sizeof path, "%s/w0001.animate.h5", dir);
    unlink(path);
    assert_int_equal(finish("", &report, &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "w0001.animate.h5"));
    snprintf(path, sizeof path, "%s/w0001.chain.h5", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/w0001.denoise.h5", dir);
    unlink(path);
    write_motion(1, V - 1);
    assert_int_equal(finish("", &report, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "w0001.animate.h5"));
    snprintf(path, sizeof path, "%s/vertices.npy.tmp", dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void without_tracks_there_is_still_a_file(void **state)
{
    (void)state;
    ch4_sink_report report;
    ch4_err err = {0};
    char path[256];
    for (int w = 0; w < WINDOWS; w++) {
        snprintf(path, sizeof path, "%s/w%04d.pose.h5", dir, w);
        unlink(path);
        write_pose(w, 0);
    }
    if (finish("", &report, &err)) fail_msg("%s", err.msg);
    assert_int_equal(report.n_files, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joins_windows_in_the_order_of_the_video, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finishing_again_gives_the_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_given_mesh_keeps_order_and_coordinates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_tracks_there_is_still_a_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
