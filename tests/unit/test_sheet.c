#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "tensor/npy.h"
#include "tools/sheet/sheet.h"

/* A triangle that faces +z and moves along +x by 0.4 a frame, and one that faces away from +z and stands still beside it. */
enum { F = 3, V = 6, M = 2, SIZE = 64, WIDTH = F * SIZE + 4 };
static const float REST[V][3] = {{-0.6f, -0.3f, 0}, {0, -0.3f, 0}, {-0.3f, 0.3f, 0}, {-0.6f, 0.4f, 0}, {-0.3f, 0.9f, 0}, {0, 0.4f, 0}};
static const int32_t FACES[M][3] = {{0, 1, 2}, {3, 4, 5}};
static const ch4_sheet_options FRONT = {.columns = F, .rows = 2, .size = SIZE};
static char folder[64];

static const char *at(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static void save(const char *name, ch4_tensor t) { assert_int_equal(ch4_npy_save(at(name), &t, NULL), CH4_OK); }

static void fill(float vert[F][V][3])
{
    for (int f = 0; f < F; f++) {
        memcpy(vert[f], REST, sizeof(REST));
        for (int v = 0; v < 3; v++) vert[f][v][0] += 0.4f * (float)f;
    }
}

/* A fresh clip folder with mesh only. */
static void make_clip(const char *name)
{
    char path[128];
    float vert[F][V][3];
    int32_t face[M][3];
    fill(vert);
    memcpy(face, FACES, sizeof(face));
    mkdir(at(name), 0777);
    snprintf(path, sizeof(path), "%s/vertices.npy", name);
    save(path, CH4_F32(vert, F, V, 3));
    snprintf(path, sizeof(path), "%s/faces.npy", name);
    save(path, CH4_VIEW(face, CH4_DTYPE_I32, M, 3));
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const uint8_t *pixel(const ch4_sheet *s, double x, double y) { return s->pixel + 3 * ((int64_t)y * s->width + (int64_t)x); }

static bool is_white(const uint8_t *p) { return p[0] == 255 && p[1] == 255 && p[2] == 255; }

static void a_triangle_lands_where_it_should_and_keeps_its_colour(void **state)
{
    (void)state;
    make_clip("plain");
    ch4_sheet s;
    ch4_sheet_clip clip;
    ch4_synth_camera camera;
    const int64_t frame[F] = {0, 1, 2};
    assert_int_equal(ch4_sheet_draw(&s, at("plain"), &FRONT, NULL), CH4_OK);
    assert_int_equal(s.width, WIDTH);
    assert_int_equal(s.height, SIZE);
    assert_false(s.pictures);
    assert_int_equal(ch4_sheet_clip_load(&clip, at("plain"), NULL), CH4_OK);
    assert_int_equal(ch4_sheet_fit_camera(&camera, &clip, frame, F, &FRONT, NULL), CH4_OK);
    /* In the plane z = 0 the front view is a similarity: 1.4 units of width (-0.6 .. 0.8) are 90 % of the picture, their middle is its middle. */
    double per_unit = 0.9 * SIZE / 1.4, uv[2], z;
    for (int f = 0; f < F; f++) {
        double x = SIZE / 2.0 + per_unit * (-0.3 + 0.4 * f - 0.1), y = SIZE / 2.0 + per_unit * 0.4; /* centroid of the first triangle; heights -0.3 .. 0.9 */
        ch4_synth_project(uv, &z, &camera, (const float[]){-0.3f + 0.4f * (float)f, -0.1f, 0});
        assert_true(fabs(uv[0] - x) < 1e-3 && fabs(uv[1] - y) < 1e-3);
        const uint8_t *p = pixel(&s, f * (SIZE + 2) + x, y), *first = pixel(&s, SIZE / 2.0 - 0.4 * per_unit, y);
        assert_false(is_white(p));
        for (int k = 0; k < 3; k++) assert_true(abs(p[k] - first[k]) <= 8); /* the centroid is at another place of its pixel in each frame */
        assert_true(is_white(pixel(&s, f * (SIZE + 2) + x - 0.4 * per_unit, y)));
        assert_true(is_white(pixel(&s, f * (SIZE + 2) + x, y + 0.25 * per_unit)));
    }
    ch4_sheet_clip_fini(&clip);
    ch4_sheet_fini(&s);
}

static void the_back_of_a_face_is_grey(void **state)
{
    (void)state;
    make_clip("back");
    ch4_sheet s;
    assert_int_equal(ch4_sheet_draw(&s, at("back"), &FRONT, NULL), CH4_OK);
    double per_unit = 0.9 * SIZE / 1.4;
    const uint8_t *p = pixel(&s, SIZE / 2.0 - 0.4 * per_unit, SIZE / 2.0 - 0.25 * per_unit); /* (-0.3, 0.55), inside the second triangle */
    assert_true(p[0] == p[1] && p[1] == p[2] && p[0] > 60 && p[0] < 120);
    ch4_sheet_fini(&s);
    ch4_sheet_options behind = FRONT;
    behind.azimuth = 180;
    assert_int_equal(ch4_sheet_draw(&s, at("back"), &behind, NULL), CH4_OK);
    p = pixel(&s, SIZE / 2.0 + 0.4 * per_unit, SIZE / 2.0 - 0.25 * per_unit);
    assert_false(p[0] == p[1] && p[1] == p[2]);
    ch4_sheet_fini(&s);
}

static void colours_are_places_in_frame_0(void **state)
{
    (void)state;
    float colour[V][3];
    ch4_sheet_colours(&colour[0][0], &REST[0][0], V);
    assert_true(fabsf(colour[0][0] - 0.08f) < 1e-6f && fabsf(colour[1][0] - 0.98f) < 1e-6f && fabsf(colour[2][0] - 0.53f) < 1e-6f);
    assert_true(fabsf(colour[0][1] - 0.08f) < 1e-6f && fabsf(colour[4][1] - 0.98f) < 1e-6f);
    for (int v = 0; v < V; v++) assert_true(fabsf(colour[v][2] - 0.53f) < 1e-6f); /* no extent along z */
}

static void cameras_see_what_the_square_of_decode_showed(void **state)
{
    (void)state;
    make_clip("cameras");
    const char *one = "[[100,0,70],[0,100,60],[0,0,1]]", *turned = "[[1,0,0],[0,-1,0],[0,0,-1]]";
    char text[1024];
    snprintf(text, sizeof(text),
             "{\"square_frame\": {\"x\": 20, \"y\": 10, \"scale\": 2, \"side\": 200}, \"K\": [%s,%s,%s], \"R\": [%s,%s,%s], \"t\": [[0,0,4],[0,0,4],[0,0,8]]}",
             one, one, one, turned, turned, turned);
    write_text("cameras/cameras.json", text);
    ch4_synth_camera c[2];
    const int64_t frame[2] = {1, 2};
    assert_int_equal(ch4_sheet_cameras_load(c, at("cameras"), frame, 2, F, SIZE, NULL), CH4_OK);
    double uv[2], z;
    ch4_synth_project(uv, &z, &c[0], (const float[]){0.4f, 0.2f, 0});
    /* source pixel 70 + 10, 60 - 5; in the square (80 - 20) * 2, (55 - 10) * 2 of 200 */
    assert_true(fabs(uv[0] - 120 * SIZE / 200.0) < 1e-4 && fabs(uv[1] - 90 * SIZE / 200.0) < 1e-4 && fabs(z - 4) < 1e-6);
    ch4_synth_project(uv, &z, &c[1], (const float[]){0, 0, 0});
    assert_true(fabs(z - 8) < 1e-6);
    ch4_sheet_options o = FRONT;
    o.camera = true;
    ch4_sheet s;
    assert_int_equal(ch4_sheet_draw(&s, at("cameras"), &o, NULL), CH4_OK);
    ch4_synth_project(uv, &z, &c[0], (const float[]){0.1f, -0.1f, 0}); /* centroid in frame 1 */
    assert_false(is_white(pixel(&s, SIZE + 2 + uv[0], uv[1])));
    ch4_sheet_fini(&s);
}

/* Decode files of two windows that share frame 1; frame f is a picture of the value 50 f, its left half darker by 20. */
static void write_window(const char *clip, int64_t w, const int64_t *index, int64_t n, int64_t n_windows)
{
    enum { SIDE = 40 };
    static uint8_t frames[3][SIDE][SIDE][3];
    ch4_store_writer *x;
    char path[512];
    for (int64_t i = 0; i < n; i++)
        for (int p = 0; p < SIDE * SIDE * 3; p++) (&frames[i][0][0][0])[p] = (uint8_t)(100 + 50 * index[i] - (p / 3 % SIDE < SIDE / 2 ? 20 : 0));
    ch4_tensor pictures = CH4_VIEW(frames, CH4_DTYPE_U8, n, SIDE, SIDE, 3), which = CH4_VIEW((void *)(uintptr_t)index, CH4_DTYPE_I64, n);
    assert_int_equal(ch4_store_window_path(path, sizeof(path), clip, w, "decode", NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&x, path, NULL), CH4_OK);
    assert_int_equal(ch4_store_write(x, "/frames", &pictures, CH4_STORE_PLAIN, NULL), CH4_OK);
    assert_int_equal(ch4_store_write(x, "/frame_index", &which, CH4_STORE_PLAIN, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_int(x, "n_windows", n_windows, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&x, NULL, NULL), CH4_OK);
}

static void pictures_stand_above_their_frames(void **state)
{
    (void)state;
    make_clip("pictures");
    write_window(at("pictures"), 0, (const int64_t[]){0, 1}, 2, 2);
    write_window(at("pictures"), 1, (const int64_t[]){1, 2}, 2, 2);
    ch4_sheet s, mesh_only;
    assert_int_equal(ch4_sheet_draw(&s, at("pictures"), &FRONT, NULL), CH4_OK);
    assert_int_equal(ch4_sheet_draw(&mesh_only, at("plain"), &FRONT, NULL), CH4_OK);
    assert_true(s.pictures);
    assert_int_equal(s.height, 2 * SIZE + 2);
    for (int f = 0; f < F; f++) {
        assert_int_equal(*pixel(&s, f * (SIZE + 2) + 3, 40), 100 + 50 * f - 20);
        assert_int_equal(*pixel(&s, f * (SIZE + 2) + SIZE - 3, 40), 100 + 50 * f);
    }
    assert_memory_equal(pixel(&s, 0, SIZE + 2), mesh_only.pixel, (size_t)WIDTH * SIZE * 3);
    ch4_sheet_fini(&s);
    ch4_sheet_fini(&mesh_only);

    ch4_err err = {0};
    make_clip("gap");
    write_window(at("gap"), 0, (const int64_t[]){0, 1}, 2, 1);
    assert_int_equal(ch4_sheet_draw(&s, at("gap"), &FRONT, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "frame 2 is in none"));
    ch4_sheet_fini(&s);
}

static void frames_are_spread_over_the_clip(void **state)
{
    (void)state;
    int64_t frame[6];
    assert_int_equal(ch4_sheet_pick_frames(frame, 3, &FRONT), 3);
    assert_true(frame[0] == 0 && frame[1] == 1 && frame[2] == 2);
    assert_int_equal(ch4_sheet_pick_frames(frame, 41, &FRONT), 6);
    assert_true(frame[0] == 0 && frame[1] == 8 && frame[5] == 40);
    ch4_sheet_options one = {.columns = 1, .rows = 1};
    assert_int_equal(ch4_sheet_pick_frames(frame, 41, &one), 1);
    assert_true(frame[0] == 0);
}

static void expect(ch4_status status, const char *text, const char *clip, const ch4_sheet_options *o)
{
    ch4_err err = {0};
    ch4_sheet s;
    assert_int_equal(ch4_sheet_draw(&s, at(clip), o, &err), status);
    if (!strstr(err.msg, text)) print_error("'%s' lacks '%s'\n", err.msg, text);
    assert_non_null(strstr(err.msg, text));
    ch4_sheet_fini(&s);
}

static void bad_results_are_refused_by_name(void **state)
{
    (void)state;
    float vert[F][V][3];
    int32_t face[M][3];
    ch4_sheet_options o = FRONT;
    make_clip("bad");
    memcpy(face, FACES, sizeof(face));
    face[1][2] = V;
    save("bad/faces.npy", CH4_VIEW(face, CH4_DTYPE_I32, M, 3));
    expect(CH4_EFORMAT, "face 1", "bad", &o);
    save("bad/faces.npy", CH4_VIEW(face, CH4_DTYPE_I32, 3, M));
    expect(CH4_EFORMAT, "faces.npy", "bad", &o);
    make_clip("bad");
    fill(vert);
    vert[2][3][1] = NAN;
    save("bad/vertices.npy", CH4_F32(vert, F, V, 3));
    expect(CH4_EFORMAT, "frame 2: vertex 3", "bad", &o);
    memset(vert, 0, sizeof(vert));
    save("bad/vertices.npy", CH4_F32(vert, F, V, 3));
    expect(CH4_EFORMAT, "one place", "bad", &o);
    for (int i = 0; i < F * V * 3; i++) (&vert[0][0][0])[i] = i % 2 ? 3e38f : -3e38f; /* no overflow, no index outside the picture */
    save("bad/vertices.npy", CH4_F32(vert, F, V, 3));
    ch4_sheet s;
    assert_int_equal(ch4_sheet_draw(&s, at("bad"), &o, NULL), CH4_OK);
    ch4_sheet_fini(&s);
    o.size = 10000;
    expect(CH4_EINVAL, "too large", "plain", &o);
    o = FRONT, o.camera = true;
    expect(CH4_EFORMAT, "cameras.json", "plain", &o);
    write_text("bad/cameras.json", "{\"K\": [1,2,3]}");
    expect(CH4_EFORMAT, "no usable camera of frame 0", "bad", &o);
}

/* A face that reaches behind the camera is left out, the one before it is drawn. */
static void what_is_behind_the_camera_is_not_drawn(void **state)
{
    (void)state;
    enum { SIDE = SIZE * CH4_SYNTH_SUPERSAMPLE };
    const float vert[6][3] = {{-0.2f, -0.2f, 0}, {0.2f, -0.2f, 0}, {0, 0.2f, 0}, {-1, -1, 1}, {1, -1, 1}, {0, 1, 9}};
    const int32_t face[2][3] = {{0, 1, 2}, {3, 4, 5}};
    ch4_synth_surface surface = {.n_vert = 6, .n_face = 2, .vert = &vert[0][0], .face = &face[0][0], .two_sided = true};
    ch4_synth_camera camera;
    ch4_synth_camera_orbit(&camera, SIZE, 0, 0, 3, (const double[]){0, 0, 0});
    ch4_synth_sample *sample = calloc(SIDE * SIDE, sizeof(*sample));
    float screen[18];
    ch4_synth_rasterise(sample, screen, &surface, &camera);
    int drawn = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        drawn += sample[i].inverse_depth > 0;
        assert_int_equal(sample[i].face, 0);
    }
    /* area 0.08 at depth 3: 0.08 * (2.1875 / 3)^2 of the picture's 4 */
    assert_true(fabs(drawn / (double)(SIDE * SIDE) - 0.02 * (2.1875 / 3) * (2.1875 / 3)) < 0.001);
    free(sample);
}

int main(void)
{
    snprintf(folder, sizeof(folder), "/tmp/ch4_sheet.XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_triangle_lands_where_it_should_and_keeps_its_colour),
        cmocka_unit_test(the_back_of_a_face_is_grey),
        cmocka_unit_test(colours_are_places_in_frame_0),
        cmocka_unit_test(cameras_see_what_the_square_of_decode_showed),
        cmocka_unit_test(pictures_stand_above_their_frames),
        cmocka_unit_test(frames_are_spread_over_the_clip),
        cmocka_unit_test(bad_results_are_refused_by_name),
        cmocka_unit_test(what_is_behind_the_camera_is_not_drawn),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) ? 1 : failed;
}
