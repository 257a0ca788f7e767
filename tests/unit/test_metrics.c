#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/bench_score.h"
#include "tools/eval/chamfer.h"
#include "tools/eval/cloud_index.h"
#include "tools/eval/drift.h"
#include "tools/eval/occupancy.h"
#include "tools/eval/pose_errors.h"
#include "tools/eval/surface_points.h"
#include "tools/eval/tapvid.h"
#include "tools/eval/view_tracks.h"

/* Values of the public functions are compared by chain4d-golden; here: what must hold for any input. */

static void random_points(float *p, int64_t n, uint64_t seed, float spread)
{
    ch4_rng r = ch4_rng_at(seed, 0);
    for (int64_t i = 0; i < 3 * n; i++) p[i] = (float)ch4_rng_range(&r, -spread, spread);
}

static double brute_force(const float *q, const float *p, int64_t n)
{
    double best = INFINITY;
    for (int64_t i = 0; i < n; i++) {
        double x = (double)p[3 * i] - q[0], y = (double)p[3 * i + 1] - q[1], z = (double)p[3 * i + 2] - q[2];
        best = fmin(best, sqrt(x * x + y * y + z * z));
    }
    return best;
}

static void check_index(int64_t n, float spread, const float *query, int64_t n_query, ch4_pool *pool)
{
    float *p = malloc((size_t)n * 3 * sizeof(float));
    double *d = malloc((size_t)n_query * sizeof(double));
    int32_t *at = malloc((size_t)n_query * sizeof(int32_t));
    ch4_cloud_index *index;
    random_points(p, n, (uint64_t)n, spread);
    assert_int_equal(ch4_cloud_index_create(&index, p, n, NULL), CH4_OK);
    for (int moved = 0; moved < 2; moved++) {
        assert_int_equal(ch4_cloud_nearest(at, d, index, query, n_query, pool, NULL), CH4_OK);
        for (int64_t i = 0; i < n_query; i++) {
            assert_in_range(at[i], 0, n - 1);
            assert_true(fabs(d[i] - brute_force(query + 3 * i, p, n)) < 1e-6);
            assert_true(fabs(d[i] - brute_force(query + 3 * i, p + 3 * (int64_t)at[i], 1)) < 1e-12);
        }
        random_points(p, n, (uint64_t)n + 1000, spread); /* nothing like the tree's arrangement any more */
        ch4_cloud_index_move(index, p);
    }
    ch4_cloud_index_destroy(&index);
    free(p);
    free(d);
    free(at);
}

static void nearest_neighbours_are_exact(void **state)
{
    (void)state;
    enum { Q = 1500 };
    static float query[3 * Q];
    ch4_pool *pool;
    assert_int_equal(ch4_pool_create(&pool, 2, NULL), CH4_OK);
    random_points(query, Q, 7, 1.5f);
    for (int64_t n = 1; n < 70; n += n < 20 ? 1 : 7) check_index(n, 1, query, 40, pool);
    check_index(4096, 1, query, 60, pool);
    check_index(5001, 1, query, Q, pool);
    check_index(300, 0, query, 20, pool); /* all points in one place */
    check_index(300, 1e-3f, query, 20, NULL);
    ch4_pool_destroy(&pool);
}

static void bad_clouds_are_errors(void **state)
{
    (void)state;
    float p[6] = {0, 0, 0, NAN, 0, 0}, q[3] = {0, INFINITY, 0};
    ch4_cloud_index *index;
    assert_int_equal(ch4_cloud_index_create(&index, p, 2, NULL), CH4_EFORMAT);
    assert_int_equal(ch4_cloud_index_create(&index, p, 0, NULL), CH4_EFORMAT);
    assert_int_equal(ch4_cloud_index_create(&index, p, 1, NULL), CH4_OK);
    assert_int_equal(ch4_cloud_nearest(NULL, NULL, index, q, 1, NULL, NULL), CH4_EFORMAT);
    ch4_cloud_index_destroy(&index);
}

/* --- a clip: an ellipsoid-like octahedron that turns and shifts --------------------------------------------------------------------------------- */

enum { K = 3, V = 6, F = 8, N = 3000 };
static const int32_t FACE[3 * F] = {0, 2, 4, 2, 1, 4, 1, 3, 4, 3, 0, 4, 2, 0, 5, 1, 2, 5, 3, 1, 5, 0, 3, 5};

static void clip_vertices(float vert[K][V][3], float scale, float drift)
{
    static const float REST[V][3] = {{1, 0, 0}, {-1, 0, 0}, {0, 0.6f, 0}, {0, -0.6f, 0}, {0, 0, 0.3f}, {0, 0, -0.3f}};
    for (int f = 0; f < K; f++)
        for (int i = 0; i < V; i++) {
            double a = 0.2 * f;
            vert[f][i][0] = scale * (float)(cos(a) * REST[i][0] - sin(a) * REST[i][1]) + drift * (float)f;
            vert[f][i][1] = scale * (float)(sin(a) * REST[i][0] + cos(a) * REST[i][1]);
            vert[f][i][2] = scale * REST[i][2];
        }
}

static void make_truth(ch4_bench_truth *t)
{
    static float point[K * N * 3], normal[K * N * 3], bary[N * 3];
    static int32_t face_of[N];
    float vert[K][V][3];
    clip_vertices(vert, 1, 0);
    assert_int_equal(ch4_sample_faces(face_of, bary, N, vert[0][0], FACE, F, 999, NULL), CH4_OK);
    for (int f = 0; f < K; f++) ch4_place_samples(point + 3 * f * N, normal + 3 * f * N, face_of, bary, N, vert[f][0], FACE);
    *t = (ch4_bench_truth){K, N, point, normal};
}

static ch4_bench_score score_clip(float scale, float drift, ch4_bench_align align, bool inside_out)
{
    ch4_bench_truth truth;
    ch4_bench_meshes meshes;
    ch4_bench_options o = ch4_bench_defaults();
    ch4_bench_score s;
    float vert[K][V][3];
    int32_t face[3 * F];
    make_truth(&truth);
    clip_vertices(vert, scale, drift);
    for (int i = 0; i < 3 * F; i++) face[i] = FACE[inside_out ? i / 3 * 3 + 2 - i % 3 : i];
    o.align = align, o.n_point = N, o.n_icp = 300, o.normals = true;
    assert_int_equal(ch4_bench_meshes_of(&meshes, vert[0][0], K, V, face, F, NULL), CH4_OK);
    assert_int_equal(ch4_compute_bench_score(&s, &meshes, &truth, &o, NULL, NULL, NULL), CH4_OK);
    ch4_bench_meshes_fini(&meshes);
    return s;
}

static void the_truth_scores_the_sampling_floor(void **state)
{
    (void)state;
    ch4_bench_score s = score_clip(1, 0, CH4_BENCH_NONE, false);
    assert_true(fabs(s.cd_3d / s.floor - 1) < 0.05);
    assert_true(s.cd_3d == s.cd_4d);
    assert_true(fabs(s.cd_motion / s.cd_3d - 1) < 0.15);
    assert_true(s.nc_gt > 0.97 && s.nc_signed > 0.95);
    assert_true(fabs(score_clip(1, 0, CH4_BENCH_NONE, true).nc_signed + s.nc_signed) < 0.02); /* inside out: other samples, opposite normals */
}

static void alignment_forgives_scale_and_only_where_it_may(void **state)
{
    (void)state;
    double floor = score_clip(1, 0, CH4_BENCH_NONE, false).floor, none = score_clip(1.1f, 0, CH4_BENCH_NONE, false).cd_3d;
    assert_true(none > 1.5 * floor);
    assert_true(score_clip(1.1f, 0, CH4_BENCH_UNIFORM, false).cd_3d < 1.35 * floor); /* 300 points fit less well than 10,000 */
    assert_true(score_clip(1.1f, 0, CH4_BENCH_PUBLIC, false).cd_3d < 1.35 * floor);
}

static void drift_shows_in_cd_motion_with_twice_its_length(void **state)
{
    (void)state;
    double still = score_clip(1, 0, CH4_BENCH_NONE, false).cd_motion, moved = score_clip(1, 0.5f, CH4_BENCH_NONE, false).cd_motion;
    double expected = (still + 2 * 0.5 + 2 * 1.0) / K; /* frame 0 is not moved; far above the floor the partners' own distance hardly counts */
    assert_true(fabs(moved - expected) < 0.03);
}

/* --- the rest ------------------------------------------------------------------------------------------------------------------------------------- */

static void normals_follow_the_inverse_transpose(void **state)
{
    (void)state;
    ch4_affine m = {{2, 0, 0, 0, 1, 0, 0, 0, 1}, {5, 5, 5}}; /* the plane x = y becomes x = 2 y */
    float n[3] = {(float)M_SQRT1_2, (float)-M_SQRT1_2, 0};
    ch4_affine_normals(n, &m, n, 1);
    assert_true(fabs(n[0] - 1 / sqrt(5)) < 1e-6 && fabs(n[1] + 2 / sqrt(5)) < 1e-6 && n[2] == 0);
}

static void predicting_everything_occluded_scores_no_jaccard(void **state)
{
    (void)state;
    enum { T = 6 };
    float query[3] = {0, 3, 4}, track[2 * T];
    uint8_t truth[T] = {0, 0, 1, 0, 1, 0}, all[T] = {1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 2 * T; i++) track[i] = (float)i;
    ch4_tapvid_score s = ch4_compute_tapvid(query, track, truth, track, all, 1, T, CH4_TAPVID_FIRST);
    assert_true(s.average_jaccard == 0 && s.average_within == 1 && fabs(s.occlusion_accuracy - 0.4) < 1e-12);
    s = ch4_compute_tapvid(query, track, truth, track, truth, 1, T, CH4_TAPVID_FIRST);
    assert_true(s.average_jaccard == 1 && s.occlusion_accuracy == 1);
    for (int i = 0; i < T; i++) track[2 * i] += 1; /* exactly one pixel off: not within one pixel */
    float moved[2 * T];
    memcpy(moved, track, sizeof(moved));
    for (int i = 0; i < T; i++) track[2 * i] -= 1;
    s = ch4_compute_tapvid(query, track, truth, moved, truth, 1, T, CH4_TAPVID_FIRST);
    assert_true(s.within[0] == 0 && s.within[1] == 1);
}

/* The octahedron between z = 4.7 and 5.3 in front of a fixed camera, moved along x by 0.5 in frame 1: at the depth of its front corner that is
 * 100 / 4.7 * 0.5 pixels of 200. */
static void mesh_points_are_followed_in_the_picture(void **state)
{
    (void)state;
    float vert[2][V][3], all[K][V][3], track[2][2][2], query[2][3] = {{0, 128, 128}, {0, 250, 128}};
    uint8_t occluded[2][2];
    double Km[2][9], R[2][9] = {{1, 0, 0, 0, -1, 0, 0, 0, -1}, {1, 0, 0, 0, -1, 0, 0, 0, -1}}, t[2][3] = {{0, 0, 5}, {0, 0, 5}};
    clip_vertices(all, 1, 0);
    for (int f = 0; f < 2; f++) {
        memcpy(vert[f], all[0], sizeof(vert[f]));
        memcpy(Km[f], (const double[9]){100, 0, 100, 0, 100, 100, 0, 0, 1}, sizeof(Km[f]));
    }
    for (int i = 0; i < V; i++) vert[1][i][0] += 0.5f;
    ch4_view_scene s = {vert[0][0], FACE, Km[0], R[0], t[0], 2, V, F, 200, 200};
    ch4_view_anchor anchor[2];
    assert_int_equal(ch4_view_anchors(anchor, &s, query[0], 2, NULL), CH4_OK);
    assert_true(anchor[0].hit && !anchor[1].hit);
    assert_int_equal(ch4_view_tracks(track[0][0], occluded[0], &s, anchor, 2, NULL), CH4_OK);
    assert_true(fabs(track[0][0][0] - 128) < 1e-3 && fabs(track[0][0][1] - 128) < 1e-3);
    assert_true(fabs(track[0][1][0] - 128 - 1.28 * 50 / 4.7) < 1e-3 && fabs(track[0][1][1] - 128) < 1e-3);
    assert_true(!occluded[0][0] && !occluded[0][1]);
    assert_true(fabs(track[1][0][0] - 128) < 1e-3 && fabs(track[1][0][1] - 1.28 * (100 + 60 / 5.0)) < 1e-3); /* beside the mesh: its lowest corner */
    for (int f = 0; f < 2; f++) R[f][4] = R[f][8] = 1; /* from behind, the other corner is in front: the first query takes that one */
    assert_int_equal(ch4_view_anchors(anchor, &s, query[0], 1, NULL), CH4_OK);
    assert_int_equal(ch4_view_tracks(track[0][0], occluded[0], &s, anchor, 1, NULL), CH4_OK);
    assert_true(fabs(track[0][1][0] - 128 - 1.28 * 50 / 4.7) < 1e-3);
}

/* The octahedron is |x| + |y| / 0.6 + |z| / 0.3 < 1. */
static void points_inside_a_mesh_are_known(void **state)
{
    (void)state;
    enum { Q = 4000 };
    static float point[3 * Q];
    static uint8_t inside[Q];
    float vert[K][V][3];
    int32_t inverted[3 * F];
    double undecided;
    bool closed;
    int n = 0;
    clip_vertices(vert, 1, 0);
    random_points(point, Q, 5, 1.05f);
    for (int k = 0; k < 3; k++) point[k] = 0;
    for (int i = 0; i < 3 * F; i++) inverted[i] = FACE[i / 3 * 3 + 2 - i % 3];
    assert_int_equal(ch4_mesh_is_closed(&closed, vert[0][0], V, FACE, F, NULL), CH4_OK);
    assert_true(closed);
    assert_int_equal(ch4_compute_occupancy(inside, &undecided, point, Q, vert[0][0], V, FACE, F, NULL, NULL), CH4_OK);
    for (int i = 0; i < Q; i++) {
        const float *p = point + 3 * i;
        double d = fabs(p[0]) + fabs(p[1]) / 0.6 + fabs(p[2]) / 0.3;
        if (fabs(d - 1) > 1e-5) assert_int_equal(inside[i], d < 1);
        n += inside[i];
    }
    assert_true(n > 50 && undecided == 0);
    assert_int_equal(ch4_compute_occupancy(inside, &undecided, point, Q, vert[0][0], V, inverted, F, NULL, NULL), CH4_OK);
    for (int i = 0; i < Q; i++) assert_int_equal(inside[i], 0);
    /* Without one of its eight faces it is open: the middle is still inside, what lies far away is not. */
    assert_int_equal(ch4_mesh_is_closed(&closed, vert[0][0], V, FACE, F - 1, NULL), CH4_OK);
    assert_false(closed);
    assert_int_equal(ch4_compute_occupancy(inside, &undecided, point, Q, vert[0][0], V, FACE, F - 1, NULL, NULL), CH4_OK);
    assert_int_equal(inside[0], 1);
    assert_true(undecided > 0);
    for (int i = 0; i < Q; i++)
        if (fabs(point[3 * i + 1]) > 0.9) assert_int_equal(inside[i], 0);
}

/* A prediction in its own frame, x_true = 2 Rz(90) x + (1, 2, 3), has no errors once that is taken into account. */
static void poses_are_compared_in_the_true_frame(void **state)
{
    (void)state;
    const ch4_similarity gauge = {.scale = 2, .R = {0, -1, 0, 1, 0, 0, 0, 0, 1}, .t = {1, 2, 3}};
    const double truth_R[9] = {1, 0, 0, 0, 0, -1, 0, 1, 0}, truth_t[3] = {0.5, -0.2, 4};
    double pred_R[9], pred_t[3], R[9], t[3];
    /* Pixels do not change where x_camera = s (R_pred x + t_pred): R_pred = R G, t_pred = (t + R g) / s. */
    for (int r = 0; r < 3; r++) {
        pred_t[r] = truth_t[r];
        for (int k = 0; k < 3; k++) {
            pred_t[r] += truth_R[3 * r + k] * gauge.t[k];
            pred_R[3 * r + k] = 0;
            for (int m = 0; m < 3; m++) pred_R[3 * r + k] += truth_R[3 * r + m] * gauge.R[3 * m + k];
        }
        pred_t[r] /= gauge.scale;
    }
    ch4_poses_in_gauge(R, t, (ch4_poses){pred_R, pred_t, 1}, &gauge);
    ch4_pose_score s;
    assert_int_equal(ch4_compute_poses(&s, (ch4_poses){R, t, 1}, (ch4_poses){truth_R, truth_t, 1}, NULL), CH4_OK);
    assert_true(s.rotation_mean < 1e-9 && s.centre_mean < 1e-12 && fabs(s.auc[0] - 1) < 1e-9);
    double x[5] = {5, 1, 4, 2, 3};
    assert_true(ch4_median_f64(x, 5) == 3 && fabs(ch4_percentile_f64(x, 5, 0.9) - 4.6) < 1e-12);
}

static void curves_over_windows(void **state)
{
    (void)state;
    enum { FRAMES = 241 };
    double frame[FRAMES], curve[16];
    for (int f = 0; f < FRAMES; f++) {
        int w = f ? (f - 1) / 15 : 0;
        frame[f] = 0.05 + 0.01 * w;
    }
    assert_int_equal(ch4_drift_windows(FRAMES, 16), 16);
    assert_int_equal(ch4_drift_windows(240, 16), 16);
    ch4_drift_curve(curve, frame, FRAMES, 16);
    ch4_drift_summary s = ch4_drift_summarise(curve, 16);
    assert_true(fabs(s.slope - 0.01) < 1e-12 && fabs(s.first - 0.05) < 1e-12 && fabs(s.last - 0.2) < 1e-12);
    assert_int_equal(s.doubled, 6);
    float vert[31][1][3] = {{{0}}};
    double closure[1];
    vert[30][0][1] = 0.5f;
    ch4_drift_closure(closure, vert[0][0], 31, 1, 16, 2);
    assert_true(fabs(closure[0] - 0.25) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_neighbours_are_exact),
        cmocka_unit_test(bad_clouds_are_errors),
        cmocka_unit_test(the_truth_scores_the_sampling_floor),
        cmocka_unit_test(alignment_forgives_scale_and_only_where_it_may),
        cmocka_unit_test(drift_shows_in_cd_motion_with_twice_its_length),
        cmocka_unit_test(normals_follow_the_inverse_transpose),
        cmocka_unit_test(predicting_everything_occluded_scores_no_jaccard),
        cmocka_unit_test(mesh_points_are_followed_in_the_picture),
        cmocka_unit_test(points_inside_a_mesh_are_known),
        cmocka_unit_test(poses_are_compared_in_the_true_frame),
        cmocka_unit_test(curves_over_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
