/* The evaluator on minibench, whose answers are known: the truth as a result, predictions that are wrong in a known way, and the trivial
 * predictions' published scores. */
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

#include "tensor/npy.h"
#include "tools/eval/bench_baselines.h"
#include "tools/eval/chamfer.h"
#include "tools/eval/families.h"
#include "tools/eval/run_view.h"
#include "tools/synth/minibench_writer.h"

enum { POINTS = 10000 };
static char folder[64];
static ch4_pool *pool;

static const char *at(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
    return p;
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/ch4_eval_mini_XXXXXX");
    return !mkdtemp(folder) || ch4_pool_create(&pool, 2, NULL);
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    ch4_pool_destroy(&pool);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* --- surfaces ---------------------------------------------------------------------------------------------------------------------------------- */

/* Mesh and points of an object in memory, as the files would hold them. */
typedef struct object {
    ch4_minibench clip;
    ch4_eval_truth mesh; /* without a file */
    ch4_bench_truth truth;
} object;

static void make(object *o, ch4_minibench_object which)
{
    int32_t *face = malloc(POINTS * sizeof(*face));
    float *bary = malloc(POINTS * 3 * sizeof(*bary));
    assert_int_equal(ch4_minibench_init(&o->clip, which, 1, CH4_MINIBENCH_FRAMES, NULL), CH4_OK);
    assert_int_equal(ch4_minibench_sample(face, bary, &o->clip, POINTS, NULL), CH4_OK);
    const ch4_synth_mesh *m = &o->clip.mesh;
    o->mesh = (ch4_eval_truth){.n_frames = m->n_frames, .n_vert = m->n_vert, .n_face = m->n_face, .vert = m->vert, .face = m->face};
    o->truth = (ch4_bench_truth){m->n_frames, POINTS, malloc((size_t)m->n_frames * POINTS * 3 * sizeof(float)), malloc((size_t)m->n_frames * POINTS * 3 * sizeof(float))};
    for (int64_t f = 0; f < m->n_frames; f++) ch4_synth_points(o->truth.point + 3 * f * POINTS, o->truth.normal + 3 * f * POINTS, m, f, face, bary, POINTS);
    free(face);
    free(bary);
}

static void unmake(object *o)
{
    ch4_minibench_fini(&o->clip);
    ch4_bench_truth_fini(&o->truth);
}

static ch4_bench_score score(const object *o, const float *vert, ch4_bench_align align, bool normals)
{
    ch4_bench_options options = ch4_bench_defaults();
    ch4_bench_meshes meshes;
    ch4_bench_score s;
    options.n_point = POINTS, options.align = align, options.n_icp = 250, options.normals = normals;
    assert_int_equal(ch4_bench_meshes_of(&meshes, vert, o->mesh.n_frames, o->mesh.n_vert, o->mesh.face, o->mesh.n_face, NULL), CH4_OK);
    assert_int_equal(ch4_compute_bench_score(&s, &meshes, &o->truth, &options, NULL, pool, NULL), CH4_OK);
    ch4_bench_meshes_fini(&meshes);
    return s;
}

static ch4_bench_score score_baseline(const object *o, ch4_bench_method method, bool normals)
{
    float *vert = malloc((size_t)(o->mesh.n_frames * o->mesh.n_vert) * 3 * sizeof(float));
    assert_int_equal(ch4_bench_baseline_vertices(vert, &o->mesh, method, 44, NULL), CH4_OK);
    ch4_bench_score s = score(o, vert, CH4_BENCH_NONE, normals);
    free(vert);
    return s;
}

static void near(double got, double want, double tolerance, const char *what)
{
    if (!(fabs(got - want) <= tolerance)) print_error("%s: %.5f, expected %.5f within %.5f\n", what, got, want, tolerance);
    assert_true(fabs(got - want) <= tolerance);
}

/* CD, CD-M and NC-GT of the oracle and the four baselines that draw nothing at random. They were computed with other samples of the same surfaces, hence the
 * tolerances; the parts of slider touch, so that its CD-M depends most on them. */
static void trivial_predictions_score_what_they_are_known_to_score(void **state)
{
    static const ch4_bench_method METHOD[5] = {CH4_BENCH_ORACLE, CH4_BENCH_STATIC, CH4_BENCH_RIGID, CH4_BENCH_CHAINED, CH4_BENCH_FROM_ANCHOR};
    static const double KNOWN[CH4_MINIBENCH_COUNT][5][3] = {
        {{0.024, 0.024, 0.99}, {0.171, 0.359, 0.86}, {0.102, 0.189, 0.91}, {0.039, 0.297, 0.93}, {0.052, 0.297, 0.93}},
        {{0.014, 0.015, 0.99}, {0.228, 0.440, 0.58}, {0.131, 0.382, 0.71}, {0.069, 0.473, 0.78}, {0.100, 0.321, 0.77}},
        {{0.020, 0.020, 0.97}, {0.128, 0.312, 0.73}, {0.066, 0.114, 0.87}, {0.041, 0.210, 0.85}, {0.057, 0.258, 0.81}},
        {{0.018, 0.018, 0.98}, {0.244, 0.367, 0.69}, {0.227, 0.369, 0.67}, {0.056, 0.194, 0.87}, {0.080, 0.216, 0.86}},
        {{0.021, 0.021, 0.99}, {0.074, 0.375, 0.85}, {0.073, 0.375, 0.85}, {0.023, 0.335, 0.97}, {0.027, 0.365, 0.95}},
        {{0.024, 0.024, 0.99}, {0.081, 0.872, 0.85}, {0.024, 0.024, 0.99}, {0.030, 0.759, 0.95}, {0.041, 0.865, 0.92}},
        {{0.017, 0.024, 0.99}, {0.069, 0.273, 0.91}, {0.240, 0.639, 0.79}, {0.050, 0.151, 0.91}, {0.050, 0.292, 0.92}},
        {{0.016, 0.016, 0.99}, {0.366, 0.631, 0.72}, {0.240, 0.497, 0.68}, {0.059, 0.166, 0.91}, {0.153, 0.386, 0.86}},
    };
    (void)state;
    for (int i = 0; i < CH4_MINIBENCH_COUNT; i++) {
        object o;
        make(&o, (ch4_minibench_object)i);
        for (int m = 0; m < 5; m++) {
            char what[64];
            ch4_bench_score s = score_baseline(&o, METHOD[m], m < 2 || i % 4 == 0); /* normals take most of the time */
            snprintf(what, sizeof(what), "%s, %s", ch4_minibench_name((ch4_minibench_object)i), ch4_bench_method_name[METHOD[m]]);
            near(s.cd_3d, KNOWN[i][m][0], 0.003, what);
            near(s.cd_motion, KNOWN[i][m][1], i == CH4_MINIBENCH_SLIDER ? 0.010 : 0.005, what);
            if (!isnan(s.nc_gt)) near(s.nc_gt, KNOWN[i][m][2], 0.013, what);
            if (m == 0) { /* what two samplings of one surface must score */
                near(s.cd_3d / s.floor, 1, 0.03, what);
                near(s.cd_motion / s.cd_3d, 1, i == CH4_MINIBENCH_SLIDER ? 0.45 : 0.15, what);
            }
        }
        unmake(&o);
    }
}

static void order_does_not_matter(void **state)
{
    (void)state;
    object o;
    make(&o, CH4_MINIBENCH_WALKER);
    int64_t K = o.mesh.n_frames, V = o.mesh.n_vert;
    double cd, back, motion, motion_back;
    float *moved = malloc((size_t)(K * POINTS) * 3 * sizeof(float));
    for (int64_t f = 0; f < K; f++) /* the same points, the other way round, a little off */
        for (int64_t i = 0; i < POINTS; i++)
            for (int k = 0; k < 3; k++) moved[3 * (f * POINTS + i) + k] = o.truth.point[3 * (f * POINTS + POINTS - 1 - i) + k] + 0.01f * (float)(k + f);
    assert_int_equal(ch4_chamfer(&cd, moved, POINTS, o.truth.point, POINTS, 0, 44, pool, NULL), CH4_OK);
    assert_int_equal(ch4_chamfer(&back, o.truth.point, POINTS, moved, POINTS, 0, 44, pool, NULL), CH4_OK);
    near(cd, back, 1e-12, "CD, both ways");
    assert_int_equal(ch4_chamfer_motion(&motion, NULL, moved, POINTS, o.truth.point, POINTS, K, pool, NULL), CH4_OK);
    assert_int_equal(ch4_chamfer_motion(&motion_back, NULL, o.truth.point, POINTS, moved, POINTS, K, pool, NULL), CH4_OK);
    near(motion, motion_back, 1e-12, "CD-M, both ways");
    /* vertices in another order, and faces with them */
    float *vert = malloc((size_t)(K * V) * 3 * sizeof(float));
    int32_t *face = malloc((size_t)o.mesh.n_face * 3 * sizeof(int32_t));
    for (int64_t f = 0; f < K; f++)
        for (int64_t i = 0; i < V; i++) memcpy(vert + 3 * (f * V + i), o.mesh.vert + 3 * (f * V + V - 1 - i), 3 * sizeof(float));
    for (int64_t i = 0; i < 3 * o.mesh.n_face; i++) face[i] = (int32_t)V - 1 - o.mesh.face[i];
    ch4_bench_score before = score(&o, o.mesh.vert, CH4_BENCH_NONE, true);
    o.mesh.face = face;
    ch4_bench_score after = score(&o, vert, CH4_BENCH_NONE, true);
    assert_true(before.cd_3d == after.cd_3d && before.cd_motion == after.cd_motion && before.nc_gt == after.nc_gt);
    free(moved);
    free(vert);
    free(face);
    unmake(&o);
}

/* A result of 1.1 times the size is at the floor once a scale is fitted, and only then; so is one turned by a quarter. */
static void alignment_forgives_what_it_may(void **state)
{
    (void)state;
    object o;
    make(&o, CH4_MINIBENCH_WALKER);
    o.mesh.n_frames = o.truth.n_frames = 4;
    int64_t n = o.mesh.n_vert * o.mesh.n_frames;
    float *vert = malloc((size_t)n * 3 * sizeof(float));
    ch4_bench_score plain = score(&o, o.mesh.vert, CH4_BENCH_PUBLIC, false);
    for (int64_t i = 0; i < 3 * n; i++) vert[i] = 1.1f * o.mesh.vert[i];
    double none = score(&o, vert, CH4_BENCH_NONE, false).cd_3d;
    assert_true(none > 2 * plain.floor);
    assert_true(score(&o, vert, CH4_BENCH_UNIFORM, false).cd_3d < 0.9 * none); /* 250 points fit only so well */
    near(score(&o, vert, CH4_BENCH_PUBLIC, false).cd_3d, plain.cd_3d, 5e-3, "larger");
    for (int64_t i = 0; i < n; i++) vert[3 * i] = o.mesh.vert[3 * i + 2], vert[3 * i + 1] = o.mesh.vert[3 * i + 1], vert[3 * i + 2] = -o.mesh.vert[3 * i];
    ch4_bench_score turned = score(&o, vert, CH4_BENCH_PUBLIC, false);
    near(turned.cd_3d, plain.cd_3d, 5e-3, "turned");
    near(turned.cd_4d, plain.cd_4d, 5e-3, "turned");
    free(vert);
    unmake(&o);
}

/* --- families on files ------------------------------------------------------------------------------------------------------------------------- */

static void write_npy(const char *path, ch4_tensor t) { assert_int_equal(ch4_npy_save(path, &t, NULL), CH4_OK); }

static json_t *matrices(const double *m, int64_t n, int rows)
{
    json_t *all = json_array();
    for (int64_t f = 0; f < n; f++) {
        json_t *one = json_array();
        for (int r = 0; r < (rows == 1 ? 3 : rows); r++) {
            json_t *row = json_array();
            for (int k = 0; rows > 1 && k < 3; k++) json_array_append_new(row, json_real(m[9 * f + 3 * r + k]));
            if (rows == 1) json_decref(row), row = json_real(m[3 * f + r]);
            json_array_append_new(one, row);
        }
        json_array_append_new(all, one);
    }
    return all;
}

/* The truth in the form of a run's results. turn: degrees by which every camera is off about its own axis of sight. */
static void write_run(const char *run, const char *truth, double turn)
{
    char path[512];
    ch4_eval_truth mesh;
    ch4_truth_view view;
    assert_int_equal(ch4_eval_truth_open(&mesh, truth, NULL), CH4_OK);
    assert_int_equal(ch4_truth_view_open(&view, truth, NULL), CH4_OK);
    mkdir(run, 0777);
    snprintf(path, sizeof(path), "%s/vertices.npy", run);
    write_npy(path, CH4_F32((void *)(uintptr_t)mesh.vert, mesh.n_frames, mesh.n_vert, 3));
    snprintf(path, sizeof(path), "%s/faces.npy", run);
    write_npy(path, CH4_VIEW((void *)(uintptr_t)mesh.face, CH4_DTYPE_I32, mesh.n_face, 3));
    double c = cos(turn * M_PI / 180), s = sin(turn * M_PI / 180), *R = malloc((size_t)view.n_frames * 9 * sizeof(double)), *t = malloc((size_t)view.n_frames * 3 * sizeof(double));
    for (int64_t f = 0; f < view.n_frames; f++)
        for (int k = 0; k < 3; k++) {
            const double *from = view.R + 9 * f, *move = view.t + 3 * f;
            R[9 * f + k] = c * from[k] - s * from[3 + k], R[9 * f + 3 + k] = s * from[k] + c * from[3 + k], R[9 * f + 6 + k] = from[6 + k];
            t[3 * f] = c * move[0] - s * move[1], t[3 * f + 1] = s * move[0] + c * move[1], t[3 * f + 2] = move[2];
        }
    json_t *root = json_object();
    json_object_set_new(root, "width", json_real(2 * view.K[2]));
    json_object_set_new(root, "height", json_real(2 * view.K[5]));
    json_object_set_new(root, "K", matrices(view.K, view.n_frames, 3));
    json_object_set_new(root, "R", matrices(R, view.n_frames, 3));
    json_object_set_new(root, "t", matrices(t, view.n_frames, 1));
    snprintf(path, sizeof(path), "%s/cameras.json", run);
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    free(R);
    free(t);
    ch4_eval_truth_close(&mesh);
    ch4_truth_view_close(&view);
}

static double value(const char *report, const char *method, const char *key)
{
    json_t *root = json_load_file(at(report), 0, NULL), *x = json_object_get(json_object_get(json_object_get(root, "mean"), method), key);
    double v = json_is_number(x) ? json_number_value(x) : (double)NAN;
    json_decref(root);
    return v;
}

static void run_family(ch4_eval_family_fn family, const char *run)
{
    char *const pred[] = {(char *)(uintptr_t)run};
    ch4_eval_request r = {.gt = at("mb/data"), .out = at("report"), .pred = pred, .n_pred = 1, .pool = pool, .quiet = true, .bench = ch4_bench_defaults(), .auto_align = true};
    ch4_eval_outcome o = {0};
    ch4_err err = {0};
    r.bench.n_point = 1000;
    ch4_status st = family(&o, &r, &err);
    if (st) print_error("%s\n", err.msg);
    assert_int_equal(st, CH4_OK);
    assert_true(o.applied);
    assert_int_equal(o.n_failed, 0);
}

static void make_files(void)
{
    static const ch4_minibench_clip CLIP[] = {{CH4_MINIBENCH_WALKER, 1, true, false, CH4_MINIBENCH_FRAMES}};
    const ch4_minibench_options options = {.n_points = 1000, .size = 512, .fps = 15};
    assert_int_equal(ch4_minibench_save(at("mb"), CLIP, 1, &options, pool, NULL), CH4_OK);
}

static void a_run_that_is_the_truth_has_no_errors(void **state)
{
    (void)state;
    make_files();
    write_run(at("run"), at("mb/data/walker_orbit_s1"), 0);
    run_family(ch4_eval_views, at("run"));
    for (int i = 0; i < 3; i++) near(value("report/views.json", "oracle", (const char *[]){"aj", "delta_avg", "oa"}[i]), 100, 0, "oracle");
    near(value("report/views.json", "oracle", "apd3d"), 100, 0, "oracle");
    /* Through the mesh: the truth's visibility is that of whole pixels, which differs where a surface is steep. */
    near(value("report/views.json", "ours", "aj"), 100, 6, "AJ");
    near(value("report/views.json", "ours", "oa"), 100, 4, "OA");
    near(value("report/views.json", "ours", "delta_avg"), 100, 2, "delta");
    near(value("report/views.json", "ours", "apd3d"), 100, 2, "APD3D");
    near(value("report/views.json", "ours", "coverage"), 1, 0.03, "coverage");
    assert_true(value("report/views.json", "static_point", "aj") < 60 && value("report/views.json", "nearest_chained", "aj") < 60);
    run_family(ch4_eval_cameras, at("run"));
    static const char *const NONE[] = {"rotation_deg", "centre", "ate", "ate_se3", "rpe", "rpe_deg", "reprojection", "reprojection_90"};
    for (int i = 0; i < 8; i++) near(value("report/cameras.json", "ours", NONE[i]), 0, 1e-4, NONE[i]);
    near(value("report/cameras.json", "ours", "auc5"), 1, 1e-6, "AUC");
    near(value("report/cameras.json", "ours", "silhouette_iou"), 1, 0.03, "silhouette");
    near(value("report/cameras.json", "first_camera", "rotation_deg"), 12, 3, "first camera"); /* the orbit turns by 25 degrees */
}

static void turned_cameras_are_off_by_as_much(void **state)
{
    (void)state;
    write_run(at("run"), at("mb/data/walker_orbit_s1"), 3);
    run_family(ch4_eval_cameras, at("run"));
    near(value("report/cameras.json", "ours", "rotation_deg"), 3, 1e-6, "rotation");
    near(value("report/cameras.json", "ours", "rotation_median_deg"), 3, 1e-6, "rotation");
    near(value("report/cameras.json", "ours", "centre"), 0, 1e-9, "centre"); /* about its own axis */
    near(value("report/cameras.json", "ours", "auc5"), 1 - 3 / 5.0, 1e-6, "AUC");
    near(value("report/cameras.json", "ours", "jitter_centre"), 0, 1e-9, "jitter");
    assert_true(value("report/cameras.json", "ours", "reprojection") > 1);
}

/* Of the truth that drifts by 0.01 a window along x, 2 * 0.01 a window must be seen once that is above the floor. */
static void drift_is_seen_with_its_slope(void **state)
{
    (void)state;
    enum { WINDOWS = 16, FRAMES = 241 };
    static const ch4_minibench_clip CLIP[] = {{CH4_MINIBENCH_SQUASH, 1, false, false, FRAMES}};
    const ch4_minibench_options options = {.n_points = 1000, .size = 64, .fps = 15};
    double drift[WINDOWS] = {0}, frozen[WINDOWS] = {0}, oracle[WINDOWS] = {0}, v;
    char line[512], method[64], metric[64];
    int w;
    snprintf(line, sizeof(line), "rm -rf %s %s", at("mb"), at("report"));
    assert_int_equal(system(line), 0);
    assert_int_equal(ch4_minibench_save(at("mb"), CLIP, 1, &options, pool, NULL), CH4_OK);
    run_family(ch4_eval_bench, at("mb/oracle"));
    FILE *f = fopen(at("report/curves.csv"), "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*[^,],%63[^,],%63[^,],%d,%lf", method, metric, &w, &v) != 4 || strcmp(metric, "cd_motion") || w >= WINDOWS) continue;
        if (!strcmp(method, "linear_drift")) drift[w] = v;
        if (!strcmp(method, "frozen_first_window")) frozen[w] = v;
        if (!strcmp(method, "ours")) oracle[w] = v;
    }
    fclose(f);
    near((drift[15] - drift[11]) / 4, 0.02, 0.001, "slope");
    near(drift[15], 0.3, 0.03, "drift");
    for (int i = 1; i < WINDOWS; i++) near(oracle[i], oracle[0], 0.002, "oracle");
    near(frozen[2], oracle[2], 0.004, "frozen, forward");   /* plays the same way as the first */
    assert_true(frozen[1] > 1.5 * oracle[1]);                /* the other way round */
    assert_int_equal(access(at("report/windows_cd_motion.png"), R_OK), 0);
    near(value("report/bench.json", "oracle", "cd_3d"), value("report/bench.json", "ours", "cd_3d"), 1e-9, "the files hold the truth");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trivial_predictions_score_what_they_are_known_to_score),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(alignment_forgives_what_it_may),
        cmocka_unit_test(a_run_that_is_the_truth_has_no_errors),
        cmocka_unit_test(turned_cameras_are_off_by_as_much),
        cmocka_unit_test(drift_is_seen_with_its_slope),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
