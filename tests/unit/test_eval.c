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
#include "tools/eval/eval_find.h"
#include "tools/eval/eval_score.h"

static char folder[64];

static char *at(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

/* --- a made-up truth: a tetrahedron whose vertex 3 moves along +y by 0.1, 0.4 in frames 1, 2; the camera turns by 10 degrees a frame ---- */

enum { F = 3, V = 4, M = 4 };
static const int32_t FACES[M][3] = {{0, 2, 1}, {0, 1, 3}, {1, 2, 3}, {2, 0, 3}};
static const float REST[V][3] = {{0, 0, 0}, {0.5f, 0, 0}, {0, 0, 0.5f}, {0, 0.5f, 0}};
static const float RISE[F] = {0, 0.1f, 0.4f};

static void fill_truth(float vert[F][V][3], double R[F][9])
{
    for (int f = 0; f < F; f++) {
        memcpy(vert[f], REST, sizeof(REST));
        vert[f][3][1] += RISE[f];
        double a = f * 10 * M_PI / 180;
        memcpy(R[f], (const double[9]){cos(a), 0, sin(a), 0, 1, 0, -sin(a), 0, cos(a)}, sizeof(R[f]));
    }
}

static void write_truth(const char *name)
{
    float vert[F][V][3];
    double R[F][9];
    char path[128];
    fill_truth(vert, R);
    mkdir(at("gt"), 0777);
    snprintf(path, sizeof(path), "gt/%s", name);
    mkdir(at(path), 0777);
    snprintf(path, sizeof(path), "gt/%s/gt.safetensors", name);
    ch4_named_tensor t[] = {{"verts", CH4_F32(vert, F, V, 3)}, {"faces", CH4_VIEW((void *)(uintptr_t)FACES, CH4_DTYPE_I32, M, 3)}, {"R", CH4_VIEW(R, CH4_DTYPE_F64, F, 3, 3)}};
    assert_int_equal(ch4_safetensors_save(at(path), t, 3, NULL), CH4_OK);
}

static void write_npy(const char *name, ch4_tensor t) { assert_int_equal(ch4_npy_save(at(name), &t, NULL), CH4_OK); }

static void write_cameras(const char *name, double R[F][9])
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    fprintf(f, "{\"R\": [");
    for (int i = 0; i < F; i++)
        fprintf(f, "%s[[%.17g,%.17g,%.17g],[%.17g,%.17g,%.17g],[%.17g,%.17g,%.17g]]", i ? "," : "", R[i][0], R[i][1], R[i][2], R[i][3], R[i][4], R[i][5], R[i][6], R[i][7], R[i][8]);
    fprintf(f, "]}\n");
    fclose(f);
}

static void put(ch4_store_writer *x, const char *name, ch4_tensor t) { assert_int_equal(ch4_store_write(x, name, &t, CH4_STORE_PLAIN, NULL), CH4_OK); }

/* Window files with two surface points for each frame; the mesh of the run was scaled by 2 and moved by (1,0,0) into the cube. */
static void write_window(const char *clip, int64_t w, const int64_t *frames, int64_t n, float points[][3])
{
    ch4_store_writer *x;
    char path[512];
    int32_t count[F];
    for (int i = 0; i < n; i++) count[i] = 2;
    assert_int_equal(ch4_store_window_path(path, sizeof(path), clip, w, "chain", NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&x, path, NULL), CH4_OK);
    put(x, "/surface/count", CH4_VIEW(count, CH4_DTYPE_I32, n));
    put(x, "/surface/points", CH4_F32(points, 2 * n, 3));
    assert_int_equal(ch4_store_commit(&x, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_window_path(path, sizeof(path), clip, w, "decode", NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&x, path, NULL), CH4_OK);
    put(x, "/frame_index", CH4_VIEW((void *)(uintptr_t)frames, CH4_DTYPE_I64, n));
    assert_int_equal(ch4_store_commit(&x, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_window_path(path, sizeof(path), clip, w, "denoise", NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&x, path, NULL), CH4_OK);
    put(x, "/latents", CH4_F32(points, n, 2, 3));
    assert_int_equal(ch4_store_set_real(x, "mesh_scale", 2, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_real(x, "mesh_yaw", 0, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_reals(x, "mesh_center", (const double[]){1, 0, 0}, 3, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&x, NULL, NULL), CH4_OK);
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) < 1e-6)) print_error("%.9g is not %.9g\n", a, b);
    assert_true(fabs(a - b) < 1e-6);
}

/* Known answers: ours is off by 0.03 in x everywhere after frame 0; only vertex 3 in frame 2 moves by more than 0.15. */
static void known_run_gives_known_scores(void **state)
{
    (void)state;
    float vert[F][V][3];
    double R[F][9];
    write_truth("one");
    fill_truth(vert, R);
    for (int f = 1; f < F; f++)
        for (int v = 0; v < V; v++) vert[f][v][0] += 0.03f;
    mkdir(at("run"), 0777);
    mkdir(at("run/one"), 0777);
    write_npy("run/one/vertices.npy", CH4_F32(vert, F, V, 3));
    write_npy("run/one/faces.npy", CH4_VIEW((void *)(uintptr_t)FACES, CH4_DTYPE_I32, M, 3));
    double turned[F][9];
    for (int f = 0; f < F; f++) { /* every camera 5 degrees too far about y, the last one 7 */
        double a = (f * 10 + (f == 2 ? 7 : 5)) * M_PI / 180;
        memcpy(turned[f], (const double[9]){cos(a), 0, sin(a), 0, 1, 0, -sin(a), 0, cos(a)}, sizeof(turned[f]));
    }
    write_cameras("run/one/cameras.json", turned);
    /* In the cube of the run: x' = 2 (x - 1). Points at (0,0,0) and (0,0.5,0) of the truth in frames 0 and 1; (0,0,0) and (0,1,0) in frame 2.
     * Window 1 holds frame 1 again, far away: the first window counts. */
    float first[4][3] = {{-2, 0, 0}, {-2, 1, 0}, {-2, 0, 0}, {-2, 1, 0}}, second[4][3] = {{9, 9, 9}, {9, 9, 9}, {-2, 0, 0}, {-2, 2, 0}};
    write_window(at("run/one"), 0, (const int64_t[]){0, 1}, 2, first);
    write_window(at("run/one"), 1, (const int64_t[]){1, 2}, 2, second);

    ch4_eval_score s;
    ch4_eval_score_clip(&s, "one", at("gt/one"), at("run/one"), NULL);
    assert_string_equal(s.reason, "");
    assert_int_equal(s.status, CH4_OK);
    assert_true(s.given);
    assert_int_equal(s.sum[CH4_EVAL_OURS].n_all, 8);
    assert_int_equal(s.sum[CH4_EVAL_OURS].n_moving, 1);
    assert_near(s.anchor, 0);
    assert_near(ch4_eval_mean_all(&s.sum[CH4_EVAL_OURS]), 0.03);
    assert_near(ch4_eval_mean_moving(&s.sum[CH4_EVAL_OURS]), 0.03);
    assert_near(ch4_eval_mean_all(&s.sum[CH4_EVAL_STILL]), (0.1 + 0.4) / 8);
    assert_near(ch4_eval_mean_moving(&s.sum[CH4_EVAL_STILL]), 0.4);
    /* Frame 1: vertices 1 and 2 go to the origin (0.5 off), 3 stays at y 0.5 (0.1 off). Frame 2: vertex 3 at y 0.5 is equally far from both points;
     * the first one wins: at 0, truth at 0.9. */
    assert_near(ch4_eval_mean_all(&s.sum[CH4_EVAL_NEAREST]), (0.5 + 0.5 + 0.1 + 0.5 + 0.5 + 0.9) / 8);
    assert_near(ch4_eval_mean_moving(&s.sum[CH4_EVAL_NEAREST]), 0.9);
    /* On the true surface: the edge from the origin to (0,0.9,0) contains (0,0.5,0). */
    assert_near(ch4_eval_mean_moving(&s.sum[CH4_EVAL_NEAREST_TRUE]), 0.4);
    assert_near(s.rotation, (5 + 5 + 7) / 3.0);
    assert_near(s.relative_rotation, 1);
    assert_near(ch4_eval_ratio(&s, 1, true), 0.03 / 0.4);
    assert_near(ch4_eval_ratio(&s, 1, false), 0.03 / (0.5 / 8));
}

static void own_anchor_follows_the_nearest_true_points(void **state)
{
    (void)state;
    float truth[F][V][3], own[F][2][3] = {{{0}}};
    double R[F][9];
    fill_truth(truth, R);
    write_truth("two");
    mkdir(at("run/two"), 0777);
    /* Vertex 0 sits 0.02 in front of vertex 3 (outside, along -x of the edge), vertex 1 in the origin; neither moves. */
    for (int f = 0; f < F; f++) own[f][0][0] = -0.02f, own[f][0][1] = 0.5f;
    int32_t face[1][3] = {{0, 1, 0}};
    write_npy("run/two/vertices.npy", CH4_F32(own, F, 2, 3));
    write_npy("run/two/faces.npy", CH4_VIEW(face, CH4_DTYPE_I32, 1, 3));
    ch4_eval_score s;
    ch4_eval_score_clip(&s, "two", at("gt/two"), at("run/two"), NULL);
    assert_string_equal(s.reason, "");
    assert_false(s.given);
    assert_near(s.anchor, 0.01);
    assert_near(ch4_eval_mean_moving(&s.sum[CH4_EVAL_OURS]), hypot(0.02, 0.4));
    assert_near(ch4_eval_mean_moving(&s.sum[CH4_EVAL_STILL]), hypot(0.02, 0.4));
    assert_true(isnan(ch4_eval_mean_all(&s.sum[CH4_EVAL_NEAREST])) && isnan(s.rotation));
    assert_near(ch4_eval_ratio(&s, 1, true), 1);
}

static void what_does_not_fit_is_named(void **state)
{
    (void)state;
    float vert[2][V][3] = {{{0}}}, bad[F][V][3];
    double R[F][9];
    ch4_eval_score s;
    write_truth("three");
    mkdir(at("run/three"), 0777);
    write_npy("run/three/faces.npy", CH4_VIEW((void *)(uintptr_t)FACES, CH4_DTYPE_I32, M, 3));
    write_npy("run/three/vertices.npy", CH4_F32(vert, 2, V, 3));
    ch4_eval_score_clip(&s, "three", at("gt/three"), at("run/three"), NULL);
    assert_int_equal(s.status, CH4_EFORMAT);
    assert_non_null(strstr(s.reason, "2 frames, the truth has 3"));
    fill_truth(bad, R);
    bad[2][1][0] = NAN;
    write_npy("run/three/vertices.npy", CH4_F32(bad, F, V, 3));
    ch4_eval_score_clip(&s, "three", at("gt/three"), at("run/three"), NULL);
    assert_non_null(strstr(s.reason, "frame 2: point 1"));
    bad[2][1][0] = 0;
    write_npy("run/three/vertices.npy", CH4_F32(bad, F, V, 3));
    FILE *f = fopen(at("run/three/cameras.json"), "w");
    fprintf(f, "{\"R\": [[[1,0,0],[0,1,0],[0,0,1]]]}\n");
    fclose(f);
    ch4_eval_score_clip(&s, "three", at("gt/three"), at("run/three"), NULL);
    assert_non_null(strstr(s.reason, "1 matrices for 3 frames"));
    ch4_eval_score_clip(&s, "three", at("gt/three"), at("run"), NULL);
    assert_int_equal(s.status, CH4_ENOENT);
    assert_non_null(strstr(s.reason, "vertices.npy"));
}

static void rotations_and_overall_means(void **state)
{
    (void)state;
    double I[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1}, flip[9] = {-1, 0, 0, 0, -1, 0, 0, 0, 1}, small = 1e-9;
    double turn[9] = {1, 0, 0, 0, cos(small), -sin(small), 0, sin(small), cos(small)};
    assert_near(ch4_eval_rotation_error(I, I), 0);
    assert_near(ch4_eval_rotation_error(I, flip), 180);
    assert_true(fabs(ch4_eval_rotation_error(turn, I) / (small * 180 / M_PI) - 1) < 1e-6);
    ch4_eval_score s[3] = {{.rotation = 2, .relative_rotation = NAN}, {.status = CH4_ENOENT}, {.rotation = 4, .relative_rotation = 1}};
    s[0].sum[CH4_EVAL_OURS] = (ch4_eval_sum){.all = 2, .n_all = 10, .moving = 0, .n_moving = 0};
    s[2].sum[CH4_EVAL_OURS] = (ch4_eval_sum){.all = 4, .n_all = 10, .moving = 6, .n_moving = 10};
    int64_t n;
    assert_near(ch4_eval_overall(&n, s, 3, CH4_EVAL_OURS, false), 0.3);
    assert_int_equal(n, 2);
    assert_near(ch4_eval_overall(&n, s, 3, CH4_EVAL_OURS, true), 0.6);
    assert_int_equal(n, 1);
    assert_near(ch4_eval_overall_rotation(&n, s, 3, false), 3);
    assert_near(ch4_eval_overall_rotation(&n, s, 3, true), 1);
}

static void results_find_their_truth(void **state)
{
    (void)state;
    ch4_eval_pairs p;
    ch4_err err = {0};
    float one[1][1][3] = {{{0}}};
    write_truth("a");
    write_truth("b");
    write_truth("c");
    mkdir(at("runs"), 0777);
    mkdir(at("runs/a"), 0777);
    mkdir(at("runs/a/video"), 0777);
    mkdir(at("runs/b"), 0777);
    write_npy("runs/a/video/vertices.npy", CH4_F32(one, 1, 1, 3));
    write_npy("runs/b/vertices.npy", CH4_F32(one, 1, 1, 3));
    char *runs[] = {at("runs")};
    assert_int_equal(ch4_eval_find(&p, at("gt"), runs, 1, &err), CH4_OK);
    for (int64_t i = 0; i < p.n; i++) {
        if (!strcmp(p.pair[i].name, "a")) assert_non_null(strstr(p.pair[i].result, "runs/a/video"));
        else if (!strcmp(p.pair[i].name, "b")) assert_non_null(strstr(p.pair[i].result, "runs/b"));
        else assert_null(p.pair[i].result);
    }
    ch4_eval_pairs_fini(&p);
    char *run_a[] = {at("runs/a")}; /* one truth, one result: names do not matter */
    assert_int_equal(ch4_eval_find(&p, at("gt/c"), run_a, 1, &err), CH4_OK);
    assert_int_equal(p.n, 1);
    assert_non_null(p.pair[0].result);
    ch4_eval_pairs_fini(&p);
    char *twice[] = {at("runs"), at("runs/a")};
    assert_int_equal(ch4_eval_find(&p, at("gt"), twice, 2, &err), CH4_EFORMAT);
    ch4_eval_pairs_fini(&p);
    char *none[] = {at("gt")};
    assert_int_equal(ch4_eval_find(&p, at("gt"), none, 1, &err), CH4_ENOENT);
    ch4_eval_pairs_fini(&p);
    assert_int_equal(ch4_eval_find(&p, at("runs"), runs, 1, &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "no gt.safetensors"));
    ch4_eval_pairs_fini(&p);
}

int main(void)
{
    snprintf(folder, sizeof(folder), "/tmp/ch4_eval.XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_run_gives_known_scores),    cmocka_unit_test(own_anchor_follows_the_nearest_true_points),
        cmocka_unit_test(what_does_not_fit_is_named),      cmocka_unit_test(rotations_and_overall_means),
        cmocka_unit_test(results_find_their_truth),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) != 0 || failed;
}
