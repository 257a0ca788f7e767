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

#include "stages/pose/pnp_minimal.h"
#include "stages/pose/pose.h"
#include "stages/pose/pose_linalg.h"
#include "stages/pose/pose_window.h"
#include "stages/pose/rays.h"
#include "store/store.h"

static void rotation_about(double R[9], double x, double y, double z, double deg)
{
    double n = sqrt(x * x + y * y + z * z), a = deg * M_PI / 180, c = cos(a), s = sin(a), t = 1 - c;
    x /= n, y /= n, z /= n;
    double r[9] = {c + t * x * x, t * x * y - s * z, t * x * z + s * y, t * x * y + s * z, c + t * y * y, t * y * z - s * x,
                   t * x * z - s * y, t * y * z + s * x, c + t * z * z};
    memcpy(R, r, sizeof r);
}

/* --- small matrices --------------------------------------------------------------------------------------------------------------- */

static void eigenvectors_reproduce_the_matrix(void **state)
{
    (void)state;
    ch4_rng rng = ch4_rng_at(3, 0);
    for (int n = 1; n <= CH4_EIG_MAX; n++) {
        double m[144], a[144], w[12];
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                m[i * n + j] = m[j * n + i] = ch4_rng_normal(&rng) * (i == 0 ? 1e6 : 1);
        memcpy(a, m, sizeof m);
        assert_true(ch4_eig_sym(a, w, n));
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k < n; k++)
                    sum += w[k] * a[k * n + i] * a[k * n + j];
                assert_true(fabs(sum - m[i * n + j]) < 1e-8 * fmax(1, fabs(w[n - 1])));
            }
        for (int k = 1; k < n; k++)
            assert_true(w[k - 1] <= w[k]);
    }
    assert_false(ch4_eig_sym((double[]){NAN, 0, 0, 1}, (double[2]){0}, 2));
}

static void nearest_rotation_is_a_rotation(void **state)
{
    (void)state;
    ch4_rng rng = ch4_rng_at(4, 0);
    for (int i = 0; i < 200; i++) {
        double M[9];
        ch4_rigid p = {.t = {0}};
        for (int k = 0; k < 9; k++)
            M[k] = ch4_rng_normal(&rng);
        assert_true(ch4_nearest_rotation(p.R, M));
        assert_true(ch4_rigid_valid(&p));
    }
    double R[9], want[9];
    rotation_about(want, 1, 2, 3, 50);
    assert_true(ch4_nearest_rotation(R, want));
    assert_true(ch4_rotation_angle_deg(R, want) < 1e-6);
}

/* --- PnP -------------------------------------------------------------------------------------------------------------------------- */

enum { N = 60 };

static ch4_rigid make_pairs(double *object, double *image, ch4_intrinsics k, double noise, int outliers, uint64_t seed)
{
    ch4_rng rng = ch4_rng_at(seed, 0);
    ch4_rigid pose = {.t = {0.1, -0.2, 3.5}};
    rotation_about(pose.R, 0.3, 1, -0.2, 70);
    for (int i = 0; i < N; i++) {
        double y[3];
        for (int c = 0; c < 3; c++)
            object[3 * i + c] = ch4_rng_range(&rng, -1, 1);
        ch4_rigid_apply(y, &pose, object + 3 * i);
        assert_true(ch4_project(image + 2 * i, k, y));
        for (int c = 0; c < 2; c++)
            image[2 * i + c] = i < outliers ? ch4_rng_range(&rng, 0, 512) : image[2 * i + c] + noise * ch4_rng_normal(&rng);
    }
    return pose;
}

static void direct_solvers_are_exact_without_noise(void **state)
{
    (void)state;
    double object[3 * N], image[2 * N], cost;
    ch4_intrinsics k = ch4_intrinsics_make(CH4_NDC_FOCAL, 512, 512);
    ch4_rigid want = make_pairs(object, image, k, 0, 0, 1), got;
    for (int n = 6; n <= N; n += 27) {
        ch4_pairs p = {.object = object, .image = image, .n = n};
        assert_true(ch4_epnp(&got, &p, k));
        assert_true(ch4_rotation_angle_deg(got.R, want.R) < 1e-5);
        assert_true(ch4_sqpnp(&got, &cost, &p, k));
        assert_true(ch4_rotation_angle_deg(got.R, want.R) < 1e-5 && cost < 1e-12);
    }
    ch4_pairs three = {.object = object, .image = image, .n = 3};
    assert_false(ch4_epnp(&got, &three, k));
}

static void half_outliers_do_not_matter(void **state)
{
    (void)state;
    double object[3 * N], image[2 * N];
    uint8_t mask[N], again[N];
    ch4_intrinsics k = ch4_intrinsics_make(CH4_NDC_FOCAL, 512, 512);
    ch4_rigid want = make_pairs(object, image, k, 0.5, N / 2, 2);
    object[3 * 40] = NAN;
    image[2 * 41] = INFINITY;
    ch4_pnp_options opt = ch4_pnp_defaults();
    for (int cauchy = 0; cauchy <= 4; cauchy += 4) {
        ch4_pnp_result r, r2;
        opt.cauchy_px = cauchy;
        assert_int_equal(ch4_pnp_solve(&r, mask, object, image, N, k, &opt, NULL), CH4_OK);
        assert_int_equal(r.status, CH4_PNP_OK);
        assert_true(ch4_rotation_angle_deg(r.pose.R, want.R) < 0.3);
        assert_true(r.inliers >= N / 2 - 2 && mask[40] == 0 && mask[41] == 0);
        assert_int_equal(ch4_pnp_solve(&r2, again, object, image, N, k, &opt, NULL), CH4_OK);
        assert_memory_equal(&r.pose, &r2.pose, sizeof r.pose);
        assert_memory_equal(mask, again, sizeof mask);
    }
}

static void nothing_to_solve_is_said(void **state)
{
    (void)state;
    double object[3 * N], image[2 * N];
    ch4_intrinsics k = ch4_intrinsics_make(CH4_NDC_FOCAL, 512, 512);
    ch4_pnp_options opt = ch4_pnp_defaults();
    ch4_pnp_result r;
    make_pairs(object, image, k, 0, 0, 3);
    assert_int_equal(ch4_pnp_solve(&r, NULL, object, image, 3, k, &opt, NULL), CH4_OK);
    assert_int_equal(r.status, CH4_PNP_TOO_FEW);
    assert_int_equal(ch4_pnp_solve(&r, NULL, NULL, NULL, 0, k, &opt, NULL), CH4_OK);
    assert_int_equal(r.status, CH4_PNP_TOO_FEW);
    make_pairs(object, image, k, 0, N, 4);
    assert_int_equal(ch4_pnp_solve(&r, NULL, object, image, N, k, &opt, NULL), CH4_OK);
    assert_int_equal(r.status, CH4_PNP_NO_CONSENSUS);
    for (int i = 0; i < N; i++)
        object[3 * i + 1] = object[3 * i + 2] = object[3 * i];
    assert_int_equal(ch4_pnp_solve(&r, NULL, object, image, N, k, &opt, NULL), CH4_OK);
    assert_int_equal(r.status, CH4_PNP_DEGENERATE);
    opt.threshold_px = 0;
    assert_int_equal(ch4_pnp_solve(&r, NULL, object, image, N, k, &opt, NULL), CH4_EINVAL);
}

/* --- rays ------------------------------------------------------------------------------------------------------------------------- */

/* The tree must find what a loop over all faces finds. */
static void tree_agrees_with_every_face_by_itself(void **state)
{
    (void)state;
    enum { V = 300, F = 500 };
    float v[3 * V];
    int32_t f[3 * F];
    ch4_rng rng = ch4_rng_at(5, 0);
    for (int i = 0; i < 3 * V; i++)
        v[i] = (float)ch4_rng_range(&rng, -1, 1);
    for (int i = 0; i < 3 * F; i++)
        f[i] = (int32_t)ch4_rng_below(&rng, V);
    ch4_raymesh *all = NULL;
    assert_int_equal(ch4_raymesh_create(&all, v, V, f, F, NULL), CH4_OK);
    ch4_raymesh *one[F];
    for (int i = 0; i < F; i++)
        assert_int_equal(ch4_raymesh_create(&one[i], v, V, f + 3 * i, 1, NULL), CH4_OK);
    for (int r = 0; r < 200; r++) {
        double o[3], d[3];
        ch4_hit best = {.face = -1};
        for (int k = 0; k < 3; k++) {
            o[k] = ch4_rng_range(&rng, -3, 3);
            d[k] = r % 7 == 0 && k ? 0 : ch4_rng_normal(&rng);
        }
        for (int i = 0; i < F; i++) {
            ch4_hit h = ch4_raymesh_cast(one[i], o, d);
            if (h.face >= 0 && (best.face < 0 || h.depth < best.depth)) {
                best = h;
                best.face = i;
            }
        }
        ch4_hit h = ch4_raymesh_cast(all, o, d);
        assert_int_equal(h.face, best.face);
        assert_true(h.depth == best.depth);
    }
    ch4_raymesh_destroy(&all);
    for (int i = 0; i < F; i++)
        ch4_raymesh_destroy(&one[i]);
    v[4] = NAN;
    assert_int_equal(ch4_raymesh_create(&all, v, V, f, F, NULL), CH4_EINVAL);
    f[7] = V;
    v[4] = 0;
    assert_int_equal(ch4_raymesh_create(&all, v, V, f, F, NULL), CH4_EINVAL);
}

/* --- a window --------------------------------------------------------------------------------------------------------------------- */

enum { T = 3, GRID = 8, P = GRID * GRID, SIDE = 64, VERT = 2 * P };

/* A bent sheet and its back, seen by a known camera; patch p shows vertex p. */
typedef struct window {
    float vertices[T * VERT * 3], xy[T * P * 2], score[T * P], vertex_score[P];
    int32_t vertex[P], faces[2 * (GRID - 1) * (GRID - 1) * 3];
    uint8_t alpha[T * SIDE * SIDE];
    int64_t index[T];
    ch4_rigid pose;
    ch4_pose_input in;
} window;

static void make_window(window *w)
{
    ch4_intrinsics k = ch4_intrinsics_make(CH4_NDC_FOCAL, SIDE, SIDE);
    *w = (window){.pose = {.t = {0, 0, 3}}};
    rotation_about(w->pose.R, 1, 0.2, 0, 160);
    for (int f = 0; f < T; f++)
        for (int p = 0; p < P; p++) {
            float *x = w->vertices + 3 * (f * VERT + p), *back = x + 3 * P;
            double y[3], uv[2];
            float x0 = (float)(p % GRID) / 4 - 0.9f;
            x[0] = x0 + 0.05f * (float)f;
            x[1] = (float)(p / GRID) / 4 - 0.9f;
            x[2] = 0.4f * x0 * x0 - 0.3f * x[1];
            memcpy(back, (float[]){x[0], x[1], x[2] + 5}, 3 * sizeof *x);
            ch4_rigid_apply(y, &w->pose, (double[]){x[0], x[1], x[2]});
            assert_true(ch4_project(uv, k, y));
            for (int c = 0; c < 2; c++)
                w->xy[2 * (f * P + p) + c] = (float)uv[c];
            w->score[f * P + p] = 1;
        }
    int n = 0;
    for (int i = 0; i < GRID - 1; i++)
        for (int j = 0; j < GRID - 1; j++) {
            int32_t a = GRID * i + j, quad[6] = {a, a + 1, a + GRID, a + 1, a + GRID + 1, a + GRID};
            memcpy(w->faces + 3 * n, quad, sizeof quad);
            n += 2;
        }
    for (int p = 0; p < P; p++) {
        w->vertex[p] = p;
        w->vertex_score[p] = 1;
    }
    memset(w->alpha, 255, sizeof w->alpha);
    for (int f = 0; f < T; f++)
        w->index[f] = f;
    w->in = (ch4_pose_input){.T = T, .P = P, .grid = GRID, .V = VERT, .F = n, .side = SIDE, .anchor = 1, .vertices = w->vertices, .faces = w->faces,
                             .alpha = w->alpha, .match_xy = w->xy, .score = w->score, .vertex = w->vertex, .vertex_score = w->vertex_score,
                             .frame_index = w->index};
}

static ch4_pose_options window_options(void)
{
    return (ch4_pose_options){.focal = CH4_NDC_FOCAL, .pnp = ch4_pnp_defaults(), .track_stride = 4};
}

static void window_finds_cameras_and_tracks(void **state)
{
    (void)state;
    window w;
    ch4_camera anchor;
    ch4_queries q;
    ch4_pose_result r;
    int64_t missed;
    ch4_pose_options o = window_options();
    make_window(&w);
    assert_int_equal(ch4_pose_anchor(&anchor, &w.in, &o, NULL), CH4_OK);
    assert_int_equal(anchor.status, CH4_CAMERA_SOLVED);
    assert_int_equal(ch4_pose_queries(&q, &missed, &w.in, &anchor, &o, NULL, NULL), CH4_OK);
    assert_true(q.Q > 20);
    assert_int_equal(q.Q + missed, 16 * 16);
    assert_int_equal(ch4_pose_window(&r, &w.in, &anchor, &q, &o, NULL, NULL), CH4_OK);
    assert_float_equal(r.threshold_px, 4, 1e-12); /* patches of 8 pixels */
    for (int f = 0; f < T; f++) {
        assert_int_equal(r.camera[f].status, CH4_CAMERA_SOLVED);
        assert_true(ch4_rotation_angle_deg(r.camera[f].pose.R, w.pose.R) < 0.05);
    }
    for (int64_t i = 0; i < 2 * q.Q; i++) /* in the anchor frame a track is where its query is */
        assert_true(fabsf(r.uv[2 * q.Q * w.in.anchor + i] - q.pixel[i]) < 1e-2f);
    for (int64_t i = 0; i < q.Q; i++) /* all points move by the same step */
        assert_true(fabsf(r.xyz[3 * (2 * q.Q + i)] - r.xyz[3 * (q.Q + i)] - 0.05f * (float)w.pose.R[0]) < 1e-4f);
    ch4_pose_result_fini(&r);
    o.anchor_only = true;
    assert_int_equal(ch4_pose_window(&r, &w.in, &anchor, &q, &o, NULL, NULL), CH4_OK);
    assert_int_equal(r.camera[2].status, CH4_CAMERA_ANCHOR);
    ch4_pose_result_fini(&r);
    ch4_queries_fini(&q);
}

static void what_cannot_be_solved_says_so(void **state)
{
    (void)state;
    window w;
    ch4_camera anchor;
    ch4_queries q;
    ch4_pose_result r;
    int64_t missed;
    ch4_pose_options o = window_options();
    make_window(&w);
    for (int i = 0; i < 2 * P; i++) /* frame 2 sees nothing: it keeps the camera of frame 1 */
        w.xy[2 * (2 * P) + i] = 10;
    assert_int_equal(ch4_pose_anchor(&anchor, &w.in, &o, NULL), CH4_OK);
    assert_int_equal(ch4_pose_queries(&q, &missed, &w.in, &anchor, &o, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_pose_window(&r, &w.in, &anchor, &q, &o, NULL, NULL), CH4_OK);
    assert_int_equal(r.camera[2].status, CH4_CAMERA_KEPT);
    assert_int_equal(r.camera[2].pnp, CH4_PNP_DEGENERATE);
    assert_memory_equal(&r.camera[2].pose, &r.camera[1].pose, sizeof r.camera[1].pose);
    ch4_pose_result_fini(&r);
    ch4_queries_fini(&q);
    for (int i = 0; i < 2 * P; i++) /* nor does the anchor frame: the nearest frame's */
        w.xy[2 * P + i] = 10;
    assert_int_equal(ch4_pose_anchor(&anchor, &w.in, &o, NULL), CH4_OK);
    assert_int_equal(anchor.status, CH4_CAMERA_KEPT);
    memset(w.alpha, 0, sizeof w.alpha); /* no object at all */
    assert_int_equal(ch4_pose_anchor(&anchor, &w.in, &o, NULL), CH4_OK);
    assert_int_equal(anchor.status, CH4_CAMERA_NONE);
    assert_true(ch4_rigid_valid(&anchor.pose));
    assert_int_equal(ch4_pose_queries(&q, &missed, &w.in, &anchor, &o, NULL, NULL), CH4_OK);
    assert_int_equal(q.Q, 0);
    assert_int_equal(ch4_pose_window(&r, &w.in, &anchor, &q, &o, NULL, NULL), CH4_OK);
    for (int f = 0; f < T; f++)
        assert_int_equal(r.camera[f].status, CH4_CAMERA_NONE);
    ch4_pose_result_fini(&r);
}

/* An object without symmetry: the sheet's near corner is pulled out; the picture is what the true camera sees of it. Six of its matches count,
 * and half of those are wrong. */
static void make_outline(window *w)
{
    make_window(w);
    ch4_intrinsics k = ch4_intrinsics_make(CH4_NDC_FOCAL, SIDE, SIDE);
    float *vert = w->vertices + 3 * VERT;
    memset(w->alpha, 0, sizeof w->alpha);
    for (int p = 0; p < P; p++)
        vert[3 * p + 1] -= p % GRID < 3 ? 0.25f * (float)(3 - p % GRID) : 0;
    ch4_raymesh *mesh = NULL;
    assert_int_equal(ch4_raymesh_create(&mesh, vert, VERT, w->faces, w->in.F, NULL), CH4_OK);
    for (int i = 0; i < SIDE * SIDE; i++) {
        double origin[3], d[3];
        ch4_camera_ray(origin, d, k, &w->pose, i % SIDE + 0.5, i / SIDE + 0.5);
        w->alpha[i] = ch4_raymesh_cast(mesh, origin, d).face >= 0 ? 255 : 0;
    }
    ch4_raymesh_destroy(&mesh);
    for (int p = 0; p < P; p++) {
        double y[3], uv[2];
        ch4_rigid_apply(y, &w->pose, (double[]){vert[3 * p], vert[3 * p + 1], vert[3 * p + 2]});
        assert_true(ch4_project(uv, k, y));
        for (int c = 0; c < 2; c++)
            w->xy[2 * (P + p) + c] = (float)uv[c] + (p % 3 == 0 ? 14 : 3) * (c ? 1 : -1);
        w->vertex_score[p] = p % 11 == 5;
    }
}

/* PnP cannot know; with the outline the camera is found. */
static void outline_helps_where_matches_are_few(void **state)
{
    (void)state;
    window w;
    ch4_camera anchor;
    ch4_pose_options o = window_options();
    make_outline(&w);
    assert_int_equal(ch4_pose_anchor(&anchor, &w.in, &o, NULL), CH4_OK);
    assert_true(anchor.status != CH4_CAMERA_OUTLINE);
    o.outline = true;
    assert_int_equal(ch4_pose_anchor(&anchor, &w.in, &o, NULL), CH4_OK);
    assert_int_equal(anchor.status, CH4_CAMERA_OUTLINE);
    assert_true(ch4_rotation_angle_deg(anchor.pose.R, w.pose.R) < 12);
    ch4_camera again;
    assert_int_equal(ch4_pose_anchor(&again, &w.in, &o, NULL), CH4_OK);
    assert_memory_equal(&again.pose, &anchor.pose, sizeof anchor.pose);
}

/* The model's view draws a camera near it to itself, and does not hold one that the picture shows to be elsewhere. */
static void the_view_decides_where_evidence_is_weak(void **state)
{
    (void)state;
    window w;
    ch4_camera without, with;
    ch4_pose_options o = window_options();
    make_outline(&w);
    o.outline = true;
    assert_int_equal(ch4_pose_anchor(&without, &w.in, &o, NULL), CH4_OK);
    o.has_view = true;
    o.view_weight = 0.2;
    memcpy(o.view, w.pose.R, sizeof o.view);
    assert_int_equal(ch4_pose_anchor(&with, &w.in, &o, NULL), CH4_OK);
    assert_true(ch4_rotation_angle_deg(with.pose.R, w.pose.R) < 0.5 * ch4_rotation_angle_deg(without.pose.R, w.pose.R));
    assert_true(ch4_rotation_angle_deg(with.pose.R, w.pose.R) < 3);
    ch4_view_rotation(o.view, 90, 0);
    assert_true(ch4_rotation_angle_deg(o.view, w.pose.R) > 60);
    assert_int_equal(ch4_pose_anchor(&with, &w.in, &o, NULL), CH4_OK);
    assert_true(ch4_rotation_angle_deg(with.pose.R, w.pose.R) < 12);
}

static void views_look_at_the_object_upright(void **state)
{
    (void)state;
    static const struct { double azimuth, elevation, from[3]; } item[] = {{0, 0, {0, 0, 1}}, {90, 0, {1, 0, 0}}, {0, 90, {0, 1, 0}}, {-180, 30, {0, 0.5, -0.8660254037844386}}};
    for (size_t i = 0; i < sizeof item / sizeof *item; i++) {
        ch4_rigid p = {.t = {0}};
        double y[3], up[3];
        ch4_view_rotation(p.R, item[i].azimuth, item[i].elevation);
        assert_true(ch4_rigid_valid(&p));
        ch4_rigid_apply(y, &p, item[i].from); /* the camera's place is behind it */
        assert_true(fabs(y[0]) < 1e-12 && fabs(y[1]) < 1e-12 && fabs(y[2] + 1) < 1e-12);
        ch4_rigid_apply(up, &p, (double[]){0, 1, 0});
        assert_true(fabs(up[0]) < 1e-12 && up[1] < 1e-12);
    }
}

/* --- the files -------------------------------------------------------------------------------------------------------------------- */

static void put(ch4_store_writer *w, const char *name, ch4_tensor t)
{
    assert_int_equal(ch4_store_write(w, name, &t, CH4_STORE_PLAIN, NULL), CH4_OK);
}

static void files_in_file_out(void **state)
{
    (void)state;
    char dir[] = "/tmp/ch4.XXXXXX", path[5][64];
    static const char *const name[] = {"decode", "chain", "animate", "pose", "pose1"};
    window w;
    ch4_store_writer *writer;
    ch4_err err = {0};
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 5; i++)
        snprintf(path[i], sizeof path[i], "%s/%s.h5", dir, name[i]);
    make_window(&w);
    assert_int_equal(ch4_store_create(&writer, path[0], NULL), CH4_OK);
    put(writer, "/alpha", CH4_VIEW(w.alpha, CH4_DTYPE_U8, T, SIDE, SIDE));
    put(writer, "/frame_index", CH4_VIEW(w.index, CH4_DTYPE_I64, T));
    put(writer, "/time", CH4_VIEW(((double[T]){0, 0.04, 0.08}), CH4_DTYPE_F64, T));
    assert_int_equal(ch4_store_commit(&writer, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&writer, path[1], NULL), CH4_OK);
    put(writer, "/anchor/faces", CH4_VIEW(w.faces, CH4_DTYPE_I32, w.in.F, 3));
    put(writer, "/patch/vertex", CH4_VIEW(w.vertex, CH4_DTYPE_I32, P));
    put(writer, "/patch/vertex_score", CH4_F32(w.vertex_score, P));
    put(writer, "/patch/match_xy", CH4_F32(w.xy, T, P, 2));
    put(writer, "/patch/score", CH4_F32(w.score, T, P));
    assert_int_equal(ch4_store_set_int(writer, "anchor_slot", 1, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&writer, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&writer, path[2], NULL), CH4_OK);
    put(writer, "/vertices", CH4_F32(w.vertices, T, VERT, 3));
    assert_int_equal(ch4_store_commit(&writer, NULL, NULL), CH4_OK);

    ch4_pose_options o = window_options();
    ch4_pose_report first, later;
    for (int i = 0; i < 2; i++) { /* window 0, and the same frames as a later window that takes over camera and queries */
        assert_int_equal(ch4_store_create(&writer, path[3 + i], NULL), CH4_OK);
        ch4_status st = ch4_pose_file(writer, i ? &later : &first, &(ch4_pose_files){path[0], path[1], path[2], i ? path[3] : NULL}, &o, NULL, &err);
        if (st != CH4_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(ch4_store_commit(&writer, NULL, NULL), CH4_OK);
    }
    assert_int_equal(first.solved, T);
    assert_int_equal(later.queries, first.queries);
    char a[33], b[33];
    assert_int_equal(ch4_store_check_file(path[3], a, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_check_file(path[4], b, NULL, NULL), CH4_OK);
    assert_string_equal(a, b);
    /* a chain file that names vertices which the motion does not have */
    w.vertex[5] = VERT;
    unlink(path[1]);
    assert_int_equal(ch4_store_create(&writer, path[1], NULL), CH4_OK);
    put(writer, "/anchor/faces", CH4_VIEW(w.faces, CH4_DTYPE_I32, w.in.F, 3));
    put(writer, "/patch/vertex", CH4_VIEW(w.vertex, CH4_DTYPE_I32, P));
    put(writer, "/patch/vertex_score", CH4_F32(w.vertex_score, P));
    put(writer, "/patch/match_xy", CH4_F32(w.xy, T, P, 2));
    put(writer, "/patch/score", CH4_F32(w.score, T, P));
    assert_int_equal(ch4_store_set_int(writer, "anchor_slot", 1, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&writer, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_create(&writer, path[3], NULL), CH4_OK);
    assert_int_equal(ch4_pose_file(writer, &first, &(ch4_pose_files){path[0], path[1], path[2], NULL}, &o, NULL, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "patch 5"));
    ch4_store_discard(&writer);
    for (int i = 0; i < 5; i++)
        unlink(path[i]);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eigenvectors_reproduce_the_matrix),
        cmocka_unit_test(nearest_rotation_is_a_rotation),
        cmocka_unit_test(direct_solvers_are_exact_without_noise),
        cmocka_unit_test(half_outliers_do_not_matter),
        cmocka_unit_test(nothing_to_solve_is_said),
        cmocka_unit_test(tree_agrees_with_every_face_by_itself),
        cmocka_unit_test(window_finds_cameras_and_tracks),
        cmocka_unit_test(what_cannot_be_solved_says_so),
        cmocka_unit_test(outline_helps_where_matches_are_few),
        cmocka_unit_test(the_view_decides_where_evidence_is_weak),
        cmocka_unit_test(views_look_at_the_object_upright),
        cmocka_unit_test(files_in_file_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
