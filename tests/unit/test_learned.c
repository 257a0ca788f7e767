/* The temporal autoencoder and the learned animation that it drives: known outputs, damaged weights, a window over arrays, and the animate
 * stage on files. */
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

#include "mesh/mesh.h"
#include "stage/rundir.h"
#include "stage/stage_impl.h"
#include "stages/animate/animate.h"
#include "stages/animate/learned.h"
#include "tests/support/shapes.h"
#include "tests/support/tiny_model.h"

enum { T = 2, N = 3, D = 4, V = 3 };

static ch4_nn *nn;
static char dir[64], path[4200];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/ch4_learned_XXXXXX");
    return mkdtemp(dir) ? ch4_nn_open(&nn, "cpu", 2, NULL) : 1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[96];
    ch4_nn_close(&nn);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static ch4_status open_with(ch4_temporal_decoder **out, const char *skip, const char *add, ch4_err *err)
{
    ch4_temporal_decoder_config config = tiny_temporal_decoder_config(D);
    ch4_safetensors *file = NULL;
    assert_int_equal(tiny_temporal_decoder_save(&config, in_dir("weights.safetensors"), skip, add, err), CH4_OK);
    assert_int_equal(ch4_safetensors_open(&file, in_dir("weights.safetensors"), err), CH4_OK);
    ch4_status st = ch4_temporal_decoder_create(out, nn, &config, file, err);
    ch4_safetensors_close(&file);
    return st;
}

/* From an independent double implementation of the network's description. */
static void matches_known_numbers(void **state)
{
    (void)state;
    static const float want[2][9] = {
        {-0.05132676f, 0.14379156f, 0.40603971f, -0.05600931f, 0.44051119f, 0.10785654f, -0.59539953f, -0.56744594f, -0.62875361f},
        {-0.10773324f, 0.13234649f, 0.36062898f, -0.10763212f, 0.40998655f, 0.12672012f, -0.70133158f, -0.56133682f, -0.64886123f}};
    static const float framestep[T] = {0, 5}, target[2] = {0.4f, 1.0f};
    ch4_temporal_decoder *dec = NULL;
    float z[T * N * D], query[V * 6], out[V * 3];
    tiny_fill(z, "input.latent", T * N * D);
    tiny_fill(query, "input.query", V * 6);
    assert_int_equal(open_with(&dec, NULL, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_temporal_decoder_begin(dec, z, framestep, T, N, NULL), CH4_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ch4_temporal_decoder_target(dec, 0, target[i], NULL, NULL), CH4_OK);
        assert_int_equal(ch4_temporal_decoder_query(dec, out, query, V, NULL, NULL), CH4_OK);
        for (int k = 0; k < 9; k++)
            assert_true(fabs(out[k] - want[i][k]) < 1e-5);
    }
    ch4_temporal_decoder_close(&dec);
}

static void damaged_weights_are_named(void **state)
{
    (void)state;
    ch4_temporal_decoder *dec = NULL;
    ch4_err err = {0};
    assert_int_equal(open_with(&dec, "blocks.2.x_attn.norm_cross.bias", NULL, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "weights.safetensors: tensor blocks.2.x_attn.norm_cross.bias is missing"));
    assert_int_equal(open_with(&dec, NULL, "blocks.2.s_attn.to_q.weight", &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "tensor blocks.2.s_attn.to_q.weight does not belong"));
    assert_int_equal(open_with(&dec, "post_quant.weight", "post_quant.weight", &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "tensor post_quant.weight is [2,2] F32, the configuration wants [32,4] F32"));
    assert_null(dec);
}

/* --- a window ------------------------------------------------------------------------------------------------------------------- */

enum { F = 3 };

typedef struct scene {
    ch4_mesh mesh;
    ch4_mesh_graph graph;
    int32_t landmark[5];
    float z[F * N * D];
    int64_t frame[F];
    ch4_animate_input in;
} scene;

static void make_scene(scene *s)
{
    memset(s, 0, sizeof *s);
    s->mesh = ch4_test_sphere(4, 0.5, 0.1);
    assert_int_equal(ch4_mesh_graph_init(&s->graph, s->mesh.vert, s->mesh.n_vert, s->mesh.face, s->mesh.n_face, NULL), CH4_OK);
    tiny_fill(s->z, "input.latent", F * N * D);
    for (int i = 0; i < 5; i++)
        s->landmark[i] = 7 * i;
    for (int f = 0; f < F; f++)
        s->frame[f] = 40 - 2 * f; /* a window that runs backwards */
    s->in = (ch4_animate_input){.vert = s->mesh.vert, .V = s->mesh.n_vert, .face = s->mesh.face, .n_face = s->mesh.n_face, .graph = &s->graph,
                                .landmark = s->landmark, .K = 5, .F = F, .a = 0};
}

static void free_scene(scene *s)
{
    ch4_mesh_graph_fini(&s->graph);
    ch4_mesh_fini(&s->mesh);
}

static bool stop_at_second(void *ctx, int64_t done, int64_t total)
{
    (void)ctx;
    return total == F && done < 2;
}

static void window_asks_for_every_frame_but_the_anchor(void **state)
{
    (void)state;
    scene s;
    ch4_temporal_decoder *dec = NULL;
    ch4_animate_result r, turned;
    make_scene(&s);
    size_t v3 = (size_t)s.in.V * 3;
    float *query = calloc(v3 * 2, sizeof *query), *want = calloc(v3, sizeof *want), *normal = calloc(v3, sizeof *normal);
    assert_int_equal(open_with(&dec, NULL, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_learned_window(&r, dec, &s.in, s.z, N, s.frame, &(ch4_learned_options){0}, NULL), CH4_OK);
    assert_memory_equal(r.vertices, s.mesh.vert, v3 * sizeof(float));
    assert_true(r.n_kept == 5 && r.kept[4] == 1 && r.valid[F * 5 - 1] == 1 && !r.relaxed);
    for (int k = 0; k < 3; k++)
        assert_true(r.smoothed[3 * (2 * 5 + 3) + k] == r.vertices[2 * v3 + 3 * 21 + (size_t)k]);
    /* frame 38 by hand: the anchor is the window's latest frame, so it is at 1 and frame 38 half-way down to 36 */
    assert_int_equal(ch4_mesh_compute_angle_normals(normal, s.graph.rep, s.mesh.vert, s.in.V, s.mesh.face, s.mesh.n_face, NULL), CH4_OK);
    for (size_t i = 0; i < v3; i++) {
        query[i / 3 * 6 + i % 3] = s.mesh.vert[i];
        query[i / 3 * 6 + 3 + i % 3] = normal[i];
    }
    assert_int_equal(ch4_temporal_decoder_begin(dec, s.z, (const float[]){40, 38, 36}, F, N, NULL), CH4_OK);
    assert_int_equal(ch4_temporal_decoder_target(dec, 1.0f, 0.5f, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_temporal_decoder_query(dec, want, query, s.in.V, NULL, NULL), CH4_OK);
    assert_memory_equal(r.vertices + v3, want, v3 * sizeof(float));
    /* seams stay closed */
    for (int64_t v = 0; v < s.in.V; v++)
        for (int k = 0; k < 3; k++)
            assert_true(r.vertices[2 * (int64_t)v3 + 3 * v + k] == r.vertices[2 * (int64_t)v3 + 3 * s.graph.rep[v] + k]);
    assert_int_equal(ch4_learned_window(&turned, dec, &s.in, s.z, N, s.frame, &(ch4_learned_options){.inward = true}, NULL), CH4_OK);
    assert_memory_not_equal(r.vertices + v3, turned.vertices + v3, v3 * sizeof(float));
    ch4_animate_result_fini(&turned);
    ch4_animate_result_fini(&r);
    assert_int_equal(ch4_learned_window(&r, dec, &s.in, s.z, N, s.frame, &(ch4_learned_options){.progress = stop_at_second}, NULL), CH4_ECANCELED);
    ch4_animate_result_fini(&r);
    s.in.a = F;
    assert_int_equal(ch4_learned_window(&r, dec, &s.in, s.z, N, s.frame, &(ch4_learned_options){0}, NULL), CH4_EINVAL);
    ch4_temporal_decoder_close(&dec);
    free_scene(&s);
    free(query);
    free(want);
    free(normal);
}

/* The sphere's sheets are not joined, yet its normals are those of a sphere. */
static void angle_normals_are_welded(void **state)
{
    (void)state;
    ch4_mesh m = ch4_test_sphere(8, 0.5, 0);
    ch4_mesh_graph g;
    float *n = calloc((size_t)m.n_vert * 3, sizeof *n);
    assert_int_equal(ch4_mesh_graph_init(&g, m.vert, m.n_vert, m.face, m.n_face, NULL), CH4_OK);
    assert_int_equal(ch4_mesh_compute_angle_normals(n, g.rep, m.vert, m.n_vert, m.face, m.n_face, NULL), CH4_OK);
    for (int64_t i = 0; i < 3 * m.n_vert; i++)
        assert_true(fabs(n[i] - m.vert[i] / 0.5) < 0.02);
    ch4_mesh_graph_fini(&g);
    /* a corner of a cube, one side of it cut into many triangles: the angle counts, not the number */
    float p[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0.5f, 0.5f, 0}, out[15];
    int32_t f[] = {0, 4, 1, 0, 2, 4, 0, 3, 2, 0, 1, 3}, rep[] = {0, 1, 2, 3, 4};
    assert_int_equal(ch4_mesh_compute_angle_normals(out, rep, p, 5, f, 4, NULL), CH4_OK);
    for (int k = 0; k < 3; k++)
        assert_true(fabs(out[k] + sqrt(1.0 / 3)) < 1e-6);
    ch4_mesh_fini(&m);
    free(n);
}

/* --- the stage ------------------------------------------------------------------------------------------------------------------ */

typedef struct rig {
    ch4_frame *frame;
    ch4_config config;
    ch4_log log;
    char clip_dir[96];
} rig;

static void write_text(const char *to, const char *text)
{
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void make_rig(rig *r, const char *model_yaml)
{
    char model[96];
    ch4_epoch epoch;
    memset(r, 0, sizeof *r);
    mkdir(in_dir("model"), 0755);
    write_text(in_dir("model/model.yaml"), model_yaml);
    snprintf(model, sizeof model, "run.model=%s/model", dir);
    const char *sets[] = {model, "animate.method=learned"};
    assert_int_equal(ch4_config_load(&r->config, NULL, sets, 2, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_epoch_take(&epoch, dir, "0123456789abcdef0123456789abcdef", NULL), CH4_OK);
    snprintf(r->clip_dir, sizeof r->clip_dir, "%s/clip", dir);
    mkdir(r->clip_dir, 0755);
    r->log = ch4_log_make(-1, CH4_LOG_INFO, CH4_LOG_TEXT, "test");
    r->frame = calloc(1, sizeof *r->frame);
    static const ch4_stage_def def = {.name = "animate", .from = "chain"};
    r->frame->def = &def;
    r->frame->stage = (ch4_stage){.config = &r->config, .log = &r->log, .run_dir = dir, .run_id = "0123456789abcdef0123456789abcdef", .epoch = epoch.number};
}

static void free_rig(rig *r)
{
    ch4_config_fini(&r->config);
    free(r->frame);
}

static void put_files(const rig *r, const scene *s, int64_t channels)
{
    ch4_store_writer *w;
    float path_of[F * 5 * 3] = {0}, score[F * 5] = {0};
    char file[CH4_STAGE_PATH];
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/anchor/vertices", CH4_F32(s->mesh.vert, s->mesh.n_vert, 3)},    {"/anchor/faces", CH4_VIEW(s->mesh.face, CH4_DTYPE_I32, s->mesh.n_face, 3)},
        {"/landmarks/index", CH4_VIEW((void *)s->landmark, CH4_DTYPE_I32, 5)}, {"/landmarks/path", CH4_F32(path_of, F, 5, 3)},
        {"/landmarks/score", CH4_F32(score, F, 5)},                          {"/frame_index", CH4_VIEW((void *)s->frame, CH4_DTYPE_I64, F)},
    };
    assert_int_equal(ch4_store_window_path(file, sizeof file, r->clip_dir, 0, "chain", NULL), CH4_OK);
    unlink(file);
    assert_int_equal(ch4_store_create(&w, file, NULL), CH4_OK);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        assert_int_equal(ch4_store_write(w, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_int(w, "anchor_slot", 0, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_store_window_path(file, sizeof file, r->clip_dir, 0, "denoise", NULL), CH4_OK);
    unlink(file);
    assert_int_equal(ch4_store_create(&w, file, NULL), CH4_OK);
    ch4_tensor z = CH4_F32((void *)s->z, F, N * D / channels, channels), index = CH4_VIEW((void *)s->frame, CH4_DTYPE_I64, F);
    assert_int_equal(ch4_store_write(w, "/latents", &z, CH4_STORE_PLAIN, NULL), CH4_OK);
    assert_int_equal(ch4_store_write(w, "/frame_index", &index, CH4_STORE_PLAIN, NULL), CH4_OK);
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
}

static ch4_status process(rig *r, void *state, ch4_err *err)
{
    char input[CH4_STAGE_PATH], output[CH4_STAGE_PATH];
    ch4_stage_window w = {.clip = {"clip", "/clip.mp4", r->clip_dir}, .n_windows = 1, .n_frames = F, .input = input, .output = output};
    assert_int_equal(ch4_stage_path(input, &w.clip, 0, "chain", NULL), CH4_OK);
    assert_int_equal(ch4_stage_path(output, &w.clip, 0, "animate", NULL), CH4_OK);
    return ch4_animate_process(&r->frame->stage, state, &w, err);
}

static void stage_moves_the_mesh_with_the_models_network(void **state)
{
    (void)state;
    rig r;
    scene s;
    void *animate = NULL;
    ch4_err err = {0};
    ch4_animate_result want;
    ch4_temporal_decoder *dec = NULL;
    make_scene(&s);
    make_rig(&r, "name: tiny\nnetworks: {autoencoder: {path: stage2}}\n");
    assert_int_equal(tiny_temporal_decoder_make(in_dir("model/stage2"), D, &err), CH4_OK);
    if (ch4_animate_open(&r.frame->stage, &animate, &err))
        fail_msg("%s", err.msg);
    put_files(&r, &s, 2);
    assert_int_equal(process(&r, animate, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "latents of 2 channels"));
    put_files(&r, &s, D);
    if (process(&r, animate, &err))
        fail_msg("%s", err.msg);
    ch4_animate_close(&r.frame->stage, animate);

    ch4_store_reader *reader = NULL;
    ch4_buf buf;
    ch4_tensor t;
    char method[16];
    assert_int_equal(ch4_store_open(&reader, in_dir("clip/w0000.animate.h5"), NULL), CH4_OK);
    assert_int_equal(ch4_store_get_text(reader, "method", method, sizeof method, NULL), CH4_OK);
    assert_string_equal(method, "learned");
    assert_int_equal(ch4_store_read(reader, "/vertices", CH4_DTYPE_F32, 3, (int64_t[]){F, s.in.V, 3}, &buf, &t, NULL), CH4_OK);
    assert_int_equal(open_with(&dec, NULL, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_learned_window(&want, dec, &s.in, s.z, N, s.frame, &(ch4_learned_options){0}, NULL), CH4_OK);
    assert_memory_equal(t.data, want.vertices, buf.size);
    ch4_animate_result_fini(&want);
    ch4_temporal_decoder_close(&dec);
    ch4_buf_free(&buf);
    ch4_store_close(&reader);
    free_rig(&r);
    free_scene(&s);
}

static void stage_says_that_the_model_has_no_such_network(void **state)
{
    (void)state;
    rig r;
    void *animate = NULL;
    ch4_err err = {0};
    make_rig(&r, "name: tiny\n");
    assert_int_equal(ch4_animate_open(&r.frame->stage, &animate, &err), CH4_ECONFIG);
    assert_non_null(strstr(err.msg, "animate.method: learned"));
    assert_non_null(strstr(err.msg, "model.yaml: networks.autoencoder.path: this model has no temporal autoencoder"));
    ch4_animate_close(&r.frame->stage, animate);
    free_rig(&r);
    make_rig(&r, "name: tiny\nnetworks: {autoencoder: {path: nowhere}}\n");
    assert_int_equal(ch4_animate_open(&r.frame->stage, &animate, &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "nowhere/config.json"));
    ch4_animate_close(&r.frame->stage, animate);
    free_rig(&r);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(matches_known_numbers),
        CASE(damaged_weights_are_named),
        CASE(window_asks_for_every_frame_but_the_anchor),
        CASE(angle_normals_are_welded),
        CASE(stage_moves_the_mesh_with_the_models_network),
        CASE(stage_says_that_the_model_has_no_such_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
