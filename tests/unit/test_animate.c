/* Tracks, rigid fits, skinning, and the stage's files. Values of ordinary cases are checked by the golden records; here are the edges. */
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

#include "base/rng.h"
#include "bundle/model_info.h"
#include "config/config.h"
#include "mesh/fps.h"
#include "stages/animate/animate.h"
#include "stages/animate/animate_window.h"
#include "stages/animate/rigid_fit.h"
#include "store/store.h"
#include "tests/support/shapes.h"

static void outliers_and_kept_landmarks(void **state)
{
    (void)state;
    enum { F = 4, K = 5 };
    ch4_track_options opt = ch4_track_defaults();
    float anchor[3 * K] = {0}, raw[F * K * 3] = {0};
    for (int l = 0; l < K; l++)
        raw[3 * (K + l)] = 0.1f; /* frame 1: all move by 0.1 */
    raw[3 * (K + 4)] = 0.6f;     /* six times the median */
    raw[3 * (2 * K + 1)] = NAN;
    raw[3 * (3 * K + 2) + 1] = -0.24f; /* frame 3: median 0, counts as 0.05 D */
    raw[3 * (3 * K + 3) + 1] = 0.26f;
    raw[0] = INFINITY; /* the anchor frame is never judged */
    uint8_t valid[F * K], kept[K];
    double median[F], threshold[F];
    bool relaxed;
    assert_int_equal(ch4_tracks_validate(valid, median, threshold, anchor, raw, F, K, 0, 1, &opt, NULL), CH4_OK);
    uint8_t want[F * K] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1};
    assert_memory_equal(valid, want, sizeof want);
    assert_true(median[0] == 0 && fabs(median[1] - 0.1) < 1e-7 && median[3] == 0 && fabs(threshold[3] - 0.25) < 1e-12);
    assert_int_equal(ch4_tracks_select(kept, &relaxed, valid, F, K, &opt, NULL), CH4_OK);
    assert_true(relaxed); /* two survive, four are needed: the first of those with one bad frame fill up */
    uint8_t want_kept[K] = {1, 1, 1, 1, 0};
    assert_memory_equal(kept, want_kept, sizeof want_kept);
    opt.outlier_floor = 0;
    assert_int_equal(ch4_tracks_validate(valid, median, threshold, anchor, raw, F, K, 0, 1, &opt, NULL), CH4_OK);
    assert_false(valid[3 * K + 2]);
    opt.outlier_absolute = 0.05;
    assert_int_equal(ch4_tracks_validate(valid, median, threshold, anchor, raw, F, K, 0, 1, &opt, NULL), CH4_OK);
    assert_false(valid[K]);
}

static void smoothing_holds_over_gaps_and_pins_the_anchor(void **state)
{
    (void)state;
    enum { F = 20 };
    float anchor[3] = {1, 2, 3}, raw[3 * F];
    double weight[F] = {0}, smoothed[3 * F];
    for (int f = 0; f < F; f++)
        for (int k = 0; k < 3; k++)
            raw[3 * f + k] = f == 19 ? anchor[k] + 0.5f : NAN;
    weight[19] = 1;
    ch4_smooth_options opt = ch4_smooth_defaults(1.5);
    assert_int_equal(ch4_tracks_smooth(smoothed, anchor, raw, weight, F, 1, 0, &opt, NULL), CH4_OK);
    assert_true(smoothed[0] == 1 && smoothed[1] == 2 && smoothed[2] == 3);
    assert_true(fabs(smoothed[3 * 9] - 1) < 1e-9);    /* nearer to the anchor */
    assert_true(fabs(smoothed[3 * 10] - 1.5) < 1e-6); /* held from frame 19 */
    assert_true(fabs(smoothed[3 * 19] - 1.5) < 1e-6);
    opt.sigma = 0;
    weight[5] = 1; /* weight without a finite sample counts as none */
    assert_int_equal(ch4_tracks_smooth(smoothed, anchor, raw, weight, F, 1, 0, &opt, NULL), CH4_OK);
    assert_true(smoothed[3 * 5] == 1);
    double gain[9];
    opt = ch4_smooth_defaults(0);
    ch4_smooth_gain(gain, 3, 1, &opt);
    double want[9] = {1, 0, 0, 0, 0, 0, 0, 0, 1};
    assert_memory_equal(gain, want, sizeof want);
}

static void scores_become_shares_of_their_median(void **state)
{
    (void)state;
    float score[6] = {9, 9, 0.001f, 0.003f, NAN, -1};
    double c[6], median;
    assert_int_equal(ch4_tracks_normalise_scores(c, &median, score, 3, 2, 0, NULL), CH4_OK);
    assert_true(fabs(median - 0.002) < 1e-9 && c[0] == 1 && c[1] == 1 && fabs(c[2] - 0.5) < 1e-6 && c[3] == 1 && c[4] == 0 && c[5] == 0);
    uint8_t valid[6] = {1, 1, 1, 0, 1, 1};
    double w[6];
    ch4_tracks_weigh(w, valid, c, 3, 2);
    assert_true(w[2] == c[2] && w[3] == 0);
    ch4_tracks_weigh(w, valid, NULL, 3, 2);
    assert_true(w[2] == 1 && w[3] == 0);
}

static double det3(const double R[9])
{
    return R[0] * (R[4] * R[8] - R[5] * R[7]) - R[1] * (R[3] * R[8] - R[5] * R[6]) + R[2] * (R[3] * R[7] - R[4] * R[6]);
}

static void assert_rotation(const double R[9])
{
    assert_true(fabs(det3(R) - 1) < 1e-12);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            assert_true(fabs(R[i] * R[j] + R[3 + i] * R[3 + j] + R[6 + i] * R[6 + j] - (i == j)) < 1e-12);
}

static void fits_of_every_rank(void **state)
{
    (void)state;
    const double turn[9] = {0, -1, 0, 1, 0, 0, 0, 0, 1};
    double w[4] = {1, 2, 3, 4}, shape[3][12] = {
        {0, 0, 0, 1, 0, 0, 2, 0, 0, 5, 0, 0},  /* a line */
        {0, 0, 0, 1, 0, 0, 2, 1, 0, 5, 3, 0},  /* a plane */
        {0, 0, 0, 1, 0, 0, 2, 1, 0, 5, 3, 2}}; /* space */
    for (int s = 0; s < 3; s++) {
        double q[12];
        for (int i = 0; i < 4; i++)
            for (int r = 0; r < 3; r++)
                q[3 * i + r] = turn[3 * r] * shape[s][3 * i] + turn[3 * r + 1] * shape[s][3 * i + 1] + turn[3 * r + 2] * shape[s][3 * i + 2] + 7;
        ch4_rigid fit;
        ch4_rigid_fit(&fit, shape[s], q, NULL, w, 4, 10);
        assert_int_equal(fit.rank, s + 1);
        for (int i = 0; i < 9; i++)
            assert_true(fabs(fit.R[i] - turn[i]) < 1e-12);
        assert_true(fabs(fit.mu_p[0] - 2.8) < 1e-12);
        const int32_t index[2] = {3, 1};
        ch4_rigid_fit(&fit, shape[s], q, index, w, 2, 10);
        assert_int_equal(fit.rank, 1);
        assert_rotation(fit.R);
    }
    ch4_rigid fit;
    double one[3] = {1, 2, 3}, other[3] = {4, 4, 4}, zero[4] = {0};
    ch4_rigid_fit(&fit, one, other, NULL, w, 1, 10);
    assert_true(fit.rank == 0 && fit.R[0] == 1 && fit.R[1] == 0 && fit.mu_q[0] == 4);
    ch4_rigid_fit(&fit, one, other, NULL, zero, 1, 10);
    assert_true(fit.rank == 0 && fit.R[8] == 1);
    ch4_rigid_fit(&fit, NULL, NULL, NULL, NULL, 0, 10);
    assert_true(fit.rank == 0 && fit.R[4] == 1);
}

static void lines_turned_around(void **state)
{
    (void)state;
    ch4_rng rng = ch4_rng_at(2, 0);
    for (int i = 0; i < 200; i++) {
        double p[9], q[9], u[3], w[3] = {1, 1, 1};
        for (int k = 0; k < 3; k++) {
            u[k] = i < 6 ? (k == i / 2) * (i % 2 ? -1 : 1) : ch4_rng_normal(&rng); /* axes too */
            p[k] = -u[k], p[3 + k] = 0, p[6 + k] = 2 * u[k];
            q[k] = u[k], q[3 + k] = 0, q[6 + k] = -2 * u[k];
        }
        ch4_rigid fit;
        ch4_rigid_fit(&fit, p, q, NULL, w, 3, 1);
        assert_int_equal(fit.rank, 1);
        assert_rotation(fit.R);
        for (int r = 0; r < 3; r++)
            assert_true(fabs(fit.R[3 * r] * u[0] + fit.R[3 * r + 1] * u[1] + fit.R[3 * r + 2] * u[2] + u[r]) < 1e-9);
    }
}

/* A mirror image has no rotation: the best proper one is found at every scale, none of them is the reflection. */
static void reflections_stay_rotations(void **state)
{
    (void)state;
    ch4_rng rng = ch4_rng_at(3, 0);
    for (int i = 0; i < 300; i++) {
        double p[30], q[30], w[10], scale = pow(10, ch4_rng_range(&rng, -6, 6));
        for (int k = 0; k < 30; k++) {
            p[k] = scale * ch4_rng_normal(&rng);
            q[k] = k % 3 ? p[k] : -p[k];
        }
        for (int k = 0; k < 10; k++)
            w[k] = ch4_rng_uniform(&rng);
        ch4_rigid fit;
        ch4_rigid_fit(&fit, p, q, NULL, w, 10, scale * scale);
        assert_int_equal(fit.rank, 3);
        assert_int_equal(fit.det_sign, -1);
        assert_rotation(fit.R);
    }
}

typedef struct scene {
    ch4_mesh m;
    ch4_mesh_graph g;
    ch4_animate_input in;
    int32_t landmark[64];
    float path[9 * 64 * 3], score[9 * 64];
} scene;

/* Two spheres, the right one climbing by 0.02 a frame, the left one at rest; nine frames, anchor in the third. */
static scene *make_scene(void)
{
    scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    ch4_mesh a = ch4_test_sphere(6, 0.4, -0.5), b = ch4_test_sphere(6, 0.4, 0.5);
    s->m = ch4_test_join(&a, &b);
    assert_int_equal(ch4_mesh_graph_init(&s->g, s->m.vert, s->m.n_vert, s->m.face, s->m.n_face, NULL), CH4_OK);
    s->in = (ch4_animate_input){.vert = s->m.vert, .face = s->m.face, .V = s->m.n_vert, .n_face = s->m.n_face, .graph = &s->g,
                                .landmark = s->landmark, .path = s->path, .score = s->score, .F = 9, .a = 2};
    assert_int_equal(ch4_fps_mesh(s->landmark, &s->in.K, NULL, s->m.vert, &s->g, NULL, 0, 64, NULL), CH4_OK);
    assert_int_equal(s->in.K, 64);
    for (int f = 0; f < 9; f++)
        for (int l = 0; l < 64; l++) {
            const float *x = s->m.vert + 3 * s->landmark[l];
            float *y = s->path + 3 * (f * 64 + l);
            memcpy(y, x, 3 * sizeof *y);
            y[1] += x[0] > 0 ? 0.02f * (float)(f - 2) : 0;
            s->score[f * 64 + l] = 0.01f;
        }
    ch4_mesh_fini(&a);
    ch4_mesh_fini(&b);
    return s;
}

static void free_scene(scene *s)
{
    ch4_mesh_graph_fini(&s->g);
    ch4_mesh_fini(&s->m);
    free(s);
}

static void parts_move_on_their_own(void **state)
{
    (void)state;
    scene *s = make_scene();
    ch4_animate_options opt = ch4_animate_defaults();
    opt.landmarks.sigma = opt.final.sigma = 0;
    ch4_animate_result r;
    assert_int_equal(ch4_animate_window(&r, &s->in, &opt, false, NULL, NULL), CH4_OK);
    assert_int_equal(r.n_kept, 64);
    assert_int_equal(r.n_fallback, 0);
    for (int64_t f = 0; f < 9; f++)
        for (int64_t v = 0; v < s->in.V; v++) {
            const float *x = s->m.vert + 3 * v, *y = r.vertices + 3 * (f * s->in.V + v);
            float lift = x[0] > 0 ? 0.02f * (float)(f - 2) : 0;
            if (f == 2)
                assert_memory_equal(x, y, 3 * sizeof *x);
            assert_true(fabsf(y[0] - x[0]) < 1e-6f && fabsf(y[1] - x[1] - lift) < 1e-6f && fabsf(y[2] - x[2]) < 1e-6f);
        }
    ch4_animate_result_fini(&r);
    free_scene(s);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    scene *s = make_scene();
    ch4_rng rng = ch4_rng_at(8, 0);
    for (int i = 0; i < 9 * 64 * 3; i++)
        s->path[i] += (float)(0.01 * ch4_rng_normal(&rng));
    ch4_animate_options opt = ch4_animate_defaults();
    opt.use_score = true;
    ch4_animate_result one, three;
    ch4_pool *pool;
    assert_int_equal(ch4_pool_create(&pool, 3, NULL), CH4_OK);
    assert_int_equal(ch4_animate_window(&one, &s->in, &opt, false, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_animate_window(&three, &s->in, &opt, false, pool, NULL), CH4_OK);
    assert_memory_equal(one.vertices, three.vertices, (size_t)(9 * s->in.V) * 3 * sizeof(float));
    for (int64_t v = 0; v < s->in.V; v++) /* duplicates stay together */
        for (int64_t f = 0; f < 9; f++)
            for (int k = 0; k < 3; k++)
                assert_true(one.vertices[3 * (f * s->in.V + v) + k] == one.vertices[3 * (f * s->in.V + s->g.rep[v]) + k]);
    ch4_pool_destroy(&pool);
    ch4_animate_result_fini(&one);
    ch4_animate_result_fini(&three);
    free_scene(s);
}

static void nothing_to_follow(void **state)
{
    (void)state;
    scene *s = make_scene();
    ch4_animate_options opt = ch4_animate_defaults();
    ch4_animate_result r;
    for (int i = 0; i < 9 * 64 * 3; i++)
        s->path[i] = NAN;
    for (int64_t K = 0; K <= 64; K += 64) { /* no landmarks; no landmark with a sample */
        s->in.K = K;
        assert_int_equal(ch4_animate_window(&r, &s->in, &opt, false, NULL, NULL), CH4_OK);
        assert_true(r.relaxed == (K > 0));
        for (int64_t f = 0; f < 9; f++)
            for (int64_t i = 0; i < 3 * s->in.V; i++)
                assert_true(fabsf(r.vertices[f * 3 * s->in.V + i] - s->m.vert[i]) < 1e-6f);
        ch4_animate_result_fini(&r);
    }
    s->in.V = s->in.n_face = s->in.K = 0; /* no mesh at all */
    ch4_mesh_graph empty;
    assert_int_equal(ch4_mesh_graph_init(&empty, NULL, 0, NULL, 0, NULL), CH4_OK);
    s->in.graph = &empty;
    assert_int_equal(ch4_animate_window(&r, &s->in, &opt, false, NULL, NULL), CH4_OK);
    ch4_animate_result_fini(&r);
    ch4_mesh_graph_fini(&empty);
    s->in.a = 9;
    assert_int_equal(ch4_animate_window(&r, &s->in, &opt, false, NULL, NULL), CH4_EINVAL);
    free_scene(s);
}

/* order: frame of each slot, NULL for 0, 1, 2, ... */
static void write_chain_file(const char *path, const scene *s, const int64_t *order)
{
    ch4_store_writer *w;
    int64_t frame[9], anchor = 2;
    float path_rows[9][64 * 3], score_rows[9][64];
    for (int64_t i = 0; i < 9; i++) {
        frame[i] = order ? order[i] : i;
        anchor = frame[i] == 2 ? i : anchor;
        memcpy(path_rows[i], s->path + frame[i] * 64 * 3, sizeof path_rows[i]);
        memcpy(score_rows[i], s->score + frame[i] * 64, sizeof score_rows[i]);
    }
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/frame_index", CH4_VIEW(frame, CH4_DTYPE_I64, 9)},
        {"/anchor/vertices", CH4_F32(s->m.vert, s->m.n_vert, 3)},
        {"/anchor/faces", CH4_VIEW(s->m.face, CH4_DTYPE_I32, s->m.n_face, 3)},
        {"/landmarks/index", CH4_VIEW((void *)s->landmark, CH4_DTYPE_I32, 64)},
        {"/landmarks/path", CH4_F32(path_rows, 9, 64, 3)},
        {"/landmarks/score", CH4_F32(score_rows, 9, 64)},
    };
    unlink(path);
    assert_int_equal(ch4_store_create(&w, path, NULL), CH4_OK);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        assert_int_equal(ch4_store_write(w, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_int(w, "anchor_slot", anchor, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
}

static ch4_status run_file(const char *in, const char *out, ch4_err *err)
{
    ch4_store_writer *w;
    ch4_animate_options opt = ch4_animate_defaults();
    ch4_log log = ch4_log_make(-1, CH4_LOG_INFO, CH4_LOG_TEXT, "test");
    assert_int_equal(ch4_store_create(&w, out, NULL), CH4_OK);
    ch4_status st = ch4_animate_file(w, in, &opt, NULL, &log, err);
    if (st == CH4_OK)
        return ch4_store_commit(&w, NULL, err);
    ch4_store_discard(&w);
    return st;
}

static void files(void **state)
{
    (void)state;
    char dir[] = "/tmp/ch4_test_animate_XXXXXX", in[64], out[64];
    assert_non_null(mkdtemp(dir));
    snprintf(in, sizeof in, "%s/w0000.chain.h5", dir);
    snprintf(out, sizeof out, "%s/w0000.animate.h5", dir);
    scene *s = make_scene();
    ch4_err err;
    write_chain_file(in, s, NULL);
    assert_int_equal(run_file(in, out, &err), CH4_OK);
    ch4_store_reader *r;
    ch4_tensor t;
    assert_int_equal(ch4_store_open(&r, out, NULL), CH4_OK);
    assert_int_equal(ch4_store_stat(r, "/vertices", &t, NULL), CH4_OK);
    assert_true(t.rank == 3 && t.shape[0] == 9 && t.shape[1] == s->in.V && t.shape[2] == 3 && t.dtype == CH4_DTYPE_F32);
    assert_int_equal(ch4_store_stat(r, "/landmarks/smoothed", &t, NULL), CH4_OK);
    assert_int_equal(ch4_store_stat(r, "/landmarks/valid", &t, NULL), CH4_OK);
    assert_true(t.rank == 2 && t.dtype == CH4_DTYPE_U8);
    assert_int_equal(ch4_store_stat(r, "/landmarks/kept", &t, NULL), CH4_OK);
    ch4_store_close(&r);
    s->m.vert[3 * 17 + 2] = NAN;
    write_chain_file(in, s, NULL);
    assert_int_equal(run_file(in, out, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, in));
    assert_non_null(strstr(err.msg, "vertex 17"));
    s->m.vert[3 * 17 + 2] = 0;
    s->landmark[5] = 100000;
    write_chain_file(in, s, NULL);
    assert_int_equal(run_file(in, out, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "landmark 5"));
    unlink(in);
    assert_int_equal(run_file(in, out, &err), CH4_ENOENT);
    unlink(out);
    rmdir(dir);
    free_scene(s);
}

static void read_vertices(const char *path, float *out, size_t n)
{
    ch4_store_reader *r;
    ch4_buf buf;
    ch4_tensor t;
    assert_int_equal(ch4_store_open(&r, path, NULL), CH4_OK);
    assert_int_equal(ch4_store_read(r, "/vertices", CH4_DTYPE_F32, 3, NULL, &buf, &t, NULL), CH4_OK);
    assert_int_equal(buf.size, n * sizeof *out);
    memcpy(out, t.data, buf.size);
    ch4_buf_free(&buf);
    ch4_store_close(&r);
}

/* A window that is a whole clip begins with its anchor: what comes out must not depend on the order of the slots. */
static void slots_in_any_order(void **state)
{
    (void)state;
    static const int64_t orders[2][9] = {{2, 0, 1, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1, 0}};
    char dir[] = "/tmp/ch4_test_animate_XXXXXX", in[64], out[64];
    assert_non_null(mkdtemp(dir));
    snprintf(in, sizeof in, "%s/w0000.chain.h5", dir);
    snprintf(out, sizeof out, "%s/w0000.animate.h5", dir);
    scene *s = make_scene();
    ch4_err err;
    size_t row = (size_t)s->in.V * 3;
    float *plain = calloc(9 * row, sizeof *plain), *other = calloc(9 * row, sizeof *other);
    write_chain_file(in, s, NULL);
    assert_int_equal(run_file(in, out, &err), CH4_OK);
    read_vertices(out, plain, 9 * row);
    for (int k = 0; k < 2; k++) {
        unlink(out);
        write_chain_file(in, s, orders[k]);
        assert_int_equal(run_file(in, out, &err), CH4_OK);
        read_vertices(out, other, 9 * row);
        for (int64_t i = 0; i < 9; i++)
            assert_memory_equal(other + (size_t)i * row, plain + (size_t)orders[k][i] * row, row * sizeof *plain);
    }
    free(plain);
    free(other);
    unlink(in);
    unlink(out);
    rmdir(dir);
    free_scene(s);
}

static void options_are_the_models_where_the_pipeline_leaves_them_open(void **state)
{
    (void)state;
    ch4_config config;
    ch4_model_info model = {.animate = {.smooth_sigma = 0.25, .final_sigma = 0.125, .beta = 7}};
    ch4_animate_options o;
    assert_int_equal(ch4_config_defaults(&config, NULL), CH4_OK);
    ch4_animate_resolve(&o, &config, &model);
    assert_true(o.landmarks.sigma == 0.25 && o.final.sigma == 0.125 && o.beta == 7 && o.k == 120);
    config.animate.smooth_sigma = 0, config.animate.final_sigma = 2, config.animate.beta = 1;
    ch4_animate_resolve(&o, &config, &model);
    assert_true(o.landmarks.sigma == 0 && o.final.sigma == 2 && o.beta == 1);
    ch4_config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outliers_and_kept_landmarks),
        cmocka_unit_test(smoothing_holds_over_gaps_and_pins_the_anchor),
        cmocka_unit_test(scores_become_shares_of_their_median),
        cmocka_unit_test(fits_of_every_rank),
        cmocka_unit_test(lines_turned_around),
        cmocka_unit_test(reflections_stay_rotations),
        cmocka_unit_test(parts_move_on_their_own),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(nothing_to_follow),
        cmocka_unit_test(files),
        cmocka_unit_test(slots_in_any_order),
        cmocka_unit_test(options_are_the_models_where_the_pipeline_leaves_them_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
