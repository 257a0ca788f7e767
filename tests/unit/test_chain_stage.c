/* The chain stage on files: two windows of a clip with the small random autoencoder of the golden cases. */
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

#include "stage/rundir.h"
#include "stage/stage_impl.h"
#include "stages/chain/chain.h"
#include "stages/chain/chain_files.h"
#include "store/attention.h"
#include "tensor/safetensors.h"

static const char golden[] = "tests/golden/triposg_vae_decode";
enum { T = 2, GRID = 2, SIDE = 32 };

typedef struct rig {
    char dir[64], clip_dir[96], path[256];
    ch4_frame *frame;
    ch4_config config;
    ch4_log log;
    void *state;
    ch4_safetensors *io;
    ch4_tensor z; /* [3,N,D] */
} rig;

static const char *in_dir(rig *r, const char *name)
{
    snprintf(r->path, sizeof r->path, "%s/%s", r->dir, name);
    return r->path;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A model folder with the golden weights. */
static void make_model(rig *r)
{
    char weights[4096], target[256];
    mkdir(in_dir(r, "model"), 0700);
    mkdir(in_dir(r, "model/vae"), 0700);
    write_text(in_dir(r, "model/model.yaml"), "name: tiny\nattention: {direction: frame_to_anchor, layers: [0]}\nchain: {topk: 4}\n");
    snprintf(target, sizeof target, "%s/weights.safetensors", golden);
    assert_non_null(realpath(target, weights));
    assert_int_equal(symlink(weights, in_dir(r, "model/vae/model.safetensors")), 0);
    snprintf(target, sizeof target, "%s/config.json", golden);
    json_t *json = json_load_file(target, 0, NULL);
    assert_int_equal(json_dump_file(json_object_get(json, "model"), in_dir(r, "model/vae/config.json"), 0), 0);
    json_decref(json);
}

static int setup(void **state)
{
    static rig r;
    ch4_err err = {0};
    ch4_epoch epoch;
    char model[128];
    memset(&r, 0, sizeof r);
    strcpy(r.dir, "/tmp/ch4_chain_XXXXXX");
    assert_non_null(mkdtemp(r.dir));
    snprintf(r.clip_dir, sizeof r.clip_dir, "%s/clip", r.dir);
    mkdir(r.clip_dir, 0700);
    make_model(&r);
    snprintf(model, sizeof model, "run.model=%s/model", r.dir);
    const char *sets[] = {model, "chain.resolution=16", "chain.anchor_resolution=20", "chain.candidates=400", "chain.candidates_min=50", "chain.landmarks=20"};
    assert_int_equal(ch4_config_load(&r.config, NULL, sets, 6, NULL, &err), CH4_OK);
    snprintf(model, sizeof model, "%s/io.safetensors", golden);
    assert_int_equal(ch4_safetensors_open(&r.io, model, &err), CH4_OK);
    assert_int_equal(ch4_safetensors_get(r.io, "in.latents", &r.z, &err), CH4_OK);
    assert_int_equal(ch4_epoch_take(&epoch, r.dir, "0123456789abcdef0123456789abcdef", &err), CH4_OK);
    r.frame = calloc(1, sizeof *r.frame);
    r.log = ch4_log_make(-1, CH4_LOG_INFO, CH4_LOG_TEXT, "test");
    static const ch4_stage_def def = {.name = "chain", .from = "denoise"};
    r.frame->def = &def;
    r.frame->stage = (ch4_stage){.config = &r.config, .log = &r.log, .run_dir = r.dir, .run_id = "0123456789abcdef0123456789abcdef", .epoch = epoch.number};
    if (ch4_chain_open(&r.frame->stage, &r.state, &err))
        fail_msg("%s", err.msg);
    *state = &r;
    return 0;
}

static int teardown(void **state)
{
    rig *r = *state;
    char cmd[128];
    ch4_chain_close(&r->frame->stage, r->state);
    ch4_config_fini(&r->config);
    ch4_safetensors_close(&r->io);
    free(r->frame);
    snprintf(cmd, sizeof cmd, "rm -rf %s", r->dir);
    return system(cmd);
}

static ch4_stage_window window_of(rig *r, int64_t index, char input[CH4_STAGE_PATH], char output[CH4_STAGE_PATH])
{
    ch4_stage_window w = {.clip = {"clip", "/clip.mp4", r->clip_dir}, .index = index, .n_windows = 2, .n_frames = T};
    assert_int_equal(ch4_stage_path(input, &w.clip, index, "denoise", NULL), CH4_OK);
    assert_int_equal(ch4_stage_path(output, &w.clip, index, "chain", NULL), CH4_OK);
    w.input = input;
    w.output = output;
    return w;
}

static ch4_store_writer *file_of(rig *r, int64_t index, const char *stage)
{
    char path[CH4_STAGE_PATH];
    ch4_store_writer *w = NULL;
    assert_int_equal(ch4_store_window_path(path, sizeof path, r->clip_dir, index, stage, NULL), CH4_OK);
    unlink(path);
    assert_int_equal(ch4_store_create(&w, path, NULL), CH4_OK);
    return w;
}

static void put(ch4_store_writer *w, const char *name, ch4_tensor t)
{
    assert_int_equal(ch4_store_write(w, name, &t, CH4_STORE_PLAIN, NULL), CH4_OK);
}

static void make_decoded(rig *r, int64_t index)
{
    static uint8_t frames[T * SIDE * SIDE * 3];
    int64_t number[T] = {index, index + 1}, first[T] = {index > 0 ? index - 1 : 0, index};
    ch4_store_writer *w = file_of(r, index, "decode");
    put(w, "/frames", CH4_VIEW(frames, CH4_DTYPE_U8, T, SIDE, SIDE, 3));
    put(w, "/frame_index", CH4_VIEW(number, CH4_DTYPE_I64, T));
    put(w, "/first_window", CH4_VIEW(first, CH4_DTYPE_I64, T));
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
}

/* mesh: a mesh given by the user, or NULL. */
static void make_denoised(rig *r, int64_t index, const ch4_mesh *mesh, int64_t channels)
{
    int64_t N = r->z.shape[1];
    uint16_t *half = calloc((size_t)(T * N * (N + GRID * GRID)), sizeof *half), *patch = half + T * N * N;
    float *mass = calloc((size_t)(T * N), sizeof *mass);
    for (int64_t i = 0; i < T * N; i++) {
        mass[i] = 0.5f;
        half[i * N + i % N] = 0x3c00;
        for (int64_t p = 0; p < GRID * GRID; p++)
            patch[i * GRID * GRID + p] = ch4_f32_to_f16((float)((i + p) % 4 + 1) / 10);
    }
    const ch4_attention a = {.n_frames = T, .n_tokens = N, .value = half, .mass = mass, .frame_to_anchor = true, .anchor_slot = 0};
    ch4_store_writer *w = file_of(r, index, "denoise");
    put(w, "/latents", CH4_F32((float *)r->z.data + index * N * channels, T, N, channels));
    assert_int_equal(ch4_attention_write(w, &a, NULL), CH4_OK);
    put(w, "/patch/dense", CH4_VIEW(patch, CH4_DTYPE_F16, T, N, GRID * GRID));
    assert_int_equal(ch4_store_set_int(w, "grid", GRID, NULL), CH4_OK);
    assert_int_equal(ch4_store_set_int(w, "encoded", 1, NULL), CH4_OK);
    if (mesh) {
        put(w, "/anchor/vertices", CH4_F32(mesh->vert, mesh->n_vert, 3));
        put(w, "/anchor/faces", CH4_VIEW(mesh->face, CH4_DTYPE_I32, mesh->n_face, 3));
    }
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
    free(half);
    free(mass);
}

static float corners[12] = {0.1f, 0.2f, 0.3f, 0.5f, 0, 0, 0, 0.5f, 0, 0, 0, -0.5f};
static int32_t faces[12] = {0, 1, 2, 0, 2, 3, 0, 3, 1, 1, 3, 2};
static const ch4_mesh tetrahedron = {corners, faces, 4, 4};

static void run_window(rig *r, int64_t index, ch4_status expected)
{
    char input[CH4_STAGE_PATH], output[CH4_STAGE_PATH];
    ch4_err err = {0};
    ch4_stage_window w = window_of(r, index, input, output);
    ch4_status status = ch4_chain_process(&r->frame->stage, r->state, &w, &err);
    if (status != expected)
        fail_msg("window %d: %s: %s", (int)index, ch4_status_name(status), err.msg);
}

static ch4_store_reader *result_of(rig *r, int64_t index)
{
    char path[CH4_STAGE_PATH];
    ch4_store_reader *reader = NULL;
    assert_int_equal(ch4_store_window_path(path, sizeof path, r->clip_dir, index, "chain", NULL), CH4_OK);
    assert_int_equal(ch4_store_open(&reader, path, NULL), CH4_OK);
    return reader;
}

static void a_given_mesh_goes_from_window_to_window(void **state)
{
    rig *r = *state;
    ch4_buf vb, lb;
    ch4_tensor v, l;
    float moved[T][12];
    for (int i = 0; i < 12; i++) {
        moved[0][i] = corners[i];
        moved[1][i] = corners[i] * 0.5f;
    }
    make_decoded(r, 0);
    make_decoded(r, 1);
    make_denoised(r, 0, &tetrahedron, r->z.shape[2]);
    make_denoised(r, 1, NULL, r->z.shape[2]);
    run_window(r, 1, CH4_EAGAIN);
    run_window(r, 0, CH4_OK);
    run_window(r, 1, CH4_EAGAIN);
    ch4_store_reader *first = result_of(r, 0);
    char run_id[40];
    assert_int_equal(ch4_store_get_text(first, "run_id", run_id, sizeof run_id, NULL), CH4_OK);
    assert_int_equal(ch4_store_read(first, "/landmarks/index", CH4_DTYPE_I32, 1, (int64_t[]){4}, &lb, &l, NULL), CH4_OK);
    ch4_store_close(&first);

    ch4_store_writer *w = file_of(r, 0, "animate");
    put(w, "/vertices", CH4_F32(&moved[0][0], T, 4, 3));
    assert_int_equal(ch4_store_commit(&w, NULL, NULL), CH4_OK);
    run_window(r, 1, CH4_OK);
    ch4_store_reader *second = result_of(r, 1);
    assert_int_equal(ch4_store_read(second, "/anchor/vertices", CH4_DTYPE_F32, 2, (int64_t[]){4, 3}, &vb, &v, NULL), CH4_OK);
    assert_memory_equal(v.data, moved[1], sizeof moved[1]);
    ch4_buf_free(&vb);
    assert_int_equal(ch4_store_read(second, "/landmarks/index", CH4_DTYPE_I32, 1, (int64_t[]){4}, &vb, &v, NULL), CH4_OK);
    assert_memory_equal(v.data, l.data, lb.size);
    ch4_buf_free(&vb);
    ch4_buf_free(&lb);
    assert_int_equal(ch4_store_read(second, "/landmarks/path", CH4_DTYPE_F32, 3, (int64_t[]){T, 4, 3}, &vb, &v, NULL), CH4_OK);
    for (int i = 0; i < 12; i++)
        assert_true(fabsf(((float *)v.data)[i]) <= 0.5f);
    ch4_buf_free(&vb);
    ch4_store_close(&second);
}

static void without_a_mesh_one_is_made(void **state)
{
    rig *r = *state;
    ch4_tensor v, count, points;
    make_decoded(r, 0);
    make_denoised(r, 0, NULL, r->z.shape[2]);
    run_window(r, 0, CH4_OK);
    ch4_store_reader *reader = result_of(r, 0);
    assert_int_equal(ch4_store_stat(reader, "/anchor/vertices", &v, NULL), CH4_OK);
    assert_true(v.shape[0] > 20);
    assert_int_equal(ch4_store_stat(reader, "/surface/count", &count, NULL), CH4_OK);
    assert_int_equal(count.shape[0], T);
    assert_int_equal(ch4_store_stat(reader, "/surface/points", &points, NULL), CH4_OK);
    assert_true(points.shape[0] >= 50);
    ch4_store_close(&reader);
}

static void files_that_do_not_fit_are_refused(void **state)
{
    rig *r = *state;
    make_decoded(r, 0);
    make_denoised(r, 0, NULL, r->z.shape[2] / 2);
    run_window(r, 0, CH4_EFORMAT);
    faces[0] = 7;
    make_denoised(r, 0, &tetrahedron, r->z.shape[2]);
    faces[0] = 0;
    run_window(r, 0, CH4_EFORMAT);
    char path[CH4_STAGE_PATH];
    assert_int_equal(ch4_store_window_path(path, sizeof path, r->clip_dir, 0, "denoise", NULL), CH4_OK);
    write_text(path, "no run file");
    run_window(r, 0, CH4_EFORMAT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_given_mesh_goes_from_window_to_window),
        CASE(without_a_mesh_one_is_made),
        CASE(files_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
