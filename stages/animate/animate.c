#include "stages/animate/animate.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/base.h"
#include "bundle/model_info.h"
#include "config/config.h"
#include "mesh/mesh.h"
#include "stages/animate/animate_window.h"
#include "store/store.h"

/* A chain file's arrays and the memory that they lie in. */
typedef struct chain_file {
    ch4_animate_input in;
    ch4_mesh_graph graph;
    ch4_buf buf[5];
} chain_file;

static ch4_status read_array(const ch4_store_reader *r, ch4_buf *buf, ch4_tensor *t, const char *name, ch4_dtype dtype, int rank,
                             const int64_t *shape, ch4_err *err)
{
    ch4_status st = ch4_store_read(r, name, dtype, rank, shape, buf, t, err);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", name);
}

static ch4_status read_chain(chain_file *c, const ch4_store_reader *r, ch4_err *err)
{
    ch4_tensor vert, face, landmark, path, score;
    ch4_animate_input *in = &c->in;
    ch4_status st = read_array(r, &c->buf[0], &vert, "/anchor/vertices", CH4_DTYPE_F32, 2, (int64_t[]){-1, 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[1], &face, "/anchor/faces", CH4_DTYPE_I32, 2, (int64_t[]){-1, 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[2], &landmark, "/landmarks/index", CH4_DTYPE_I32, 1, (int64_t[]){-1}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[3], &path, "/landmarks/path", CH4_DTYPE_F32, 3, (int64_t[]){-1, landmark.shape[0], 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[4], &score, "/landmarks/score", CH4_DTYPE_F32, 2, (int64_t[]){path.shape[0], landmark.shape[0]}, err);
    if (st == CH4_OK)
        st = ch4_store_get_int(r, "anchor_slot", &in->a, err);
    if (st != CH4_OK)
        return st;
    in->vert = vert.data;
    in->V = vert.shape[0];
    in->face = face.data;
    in->n_face = face.shape[0];
    in->landmark = landmark.data;
    in->K = landmark.shape[0];
    in->path = path.data;
    in->score = score.data;
    in->F = path.shape[0];
    st = ch4_mesh_check(in->vert, in->V, in->face, in->n_face, err);
    for (int64_t l = 0; st == CH4_OK && l < in->K; l++)
        if (in->landmark[l] < 0 || in->landmark[l] >= in->V)
            st = ch4_err_set(err, CH4_EFORMAT, "landmark %" PRId64 " is vertex %" PRId32 " of %" PRId64, l, in->landmark[l], in->V);
    if (st == CH4_OK && (in->F < 1 || in->a < 0 || in->a >= in->F))
        st = ch4_err_set(err, CH4_EFORMAT, "anchor slot %" PRId64 " of %" PRId64 " frames", in->a, in->F);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", ch4_store_path(r));
}

static ch4_status open_chain(chain_file *c, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = read_chain(c, r, err);
    if (st == CH4_OK)
        st = ch4_mesh_graph_init(&c->graph, c->in.vert, c->in.V, c->in.face, c->in.n_face, err);
    c->in.graph = &c->graph;
    ch4_store_close(&r);
    return st;
}

static void close_chain(chain_file *c)
{
    ch4_mesh_graph_fini(&c->graph);
    for (size_t i = 0; i < sizeof c->buf / sizeof *c->buf; i++)
        ch4_buf_free(&c->buf[i]);
}

static ch4_status write_smoothed(ch4_store_writer *writer, const ch4_animate_result *r, int64_t F, int64_t K, ch4_err *err)
{
    ch4_buf buf = {0};
    ch4_status st = ch4_buf_alloc(&buf, (size_t)(F * K) * 3 * sizeof(float), err);
    if (st != CH4_OK)
        return st;
    ch4_tensor t = CH4_F32(buf.data, F, K, 3);
    for (int64_t i = 0; i < F * K * 3; i++)
        ((float *)buf.data)[i] = (float)r->smoothed[i];
    st = ch4_store_write(writer, "/landmarks/smoothed", &t, CH4_STORE_PLAIN, err);
    ch4_buf_free(&buf);
    return st;
}

static ch4_status write_result(ch4_store_writer *writer, const ch4_animate_result *r, const ch4_animate_input *in, ch4_err *err)
{
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/vertices", CH4_F32(r->vertices, in->F, in->V, 3)},
        {"/landmarks/valid", CH4_VIEW(r->valid, CH4_DTYPE_U8, in->F, in->K)},
        {"/landmarks/kept", CH4_VIEW(r->kept, CH4_DTYPE_U8, in->K)},
    };
    ch4_status st = write_smoothed(writer, r, in->F, in->K, err);
    for (size_t i = 0; st == CH4_OK && i < sizeof sets / sizeof *sets; i++)
        st = ch4_store_write(writer, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, err);
    if (st == CH4_OK)
        st = ch4_store_set_int(writer, "anchor_slot", in->a, err);
    if (st == CH4_OK)
        st = ch4_store_set_int(writer, "relaxed", r->relaxed, err);
    if (st == CH4_OK)
        st = ch4_store_set_real(writer, "mean_spacing", r->mean_spacing, err);
    return st;
}

ch4_status ch4_animate_file(ch4_store_writer *writer, const char *input, const ch4_animate_options *options, ch4_pool *pool, const ch4_log *log,
                            ch4_err *err)
{
    chain_file c = {0};
    ch4_animate_result r = {0};
    ch4_status st = open_chain(&c, input, err);
    if (st == CH4_OK)
        st = ch4_animate_window(&r, &c.in, options, false, pool, err);
    if (st == CH4_OK)
        st = write_result(writer, &r, &c.in, err);
    if (st == CH4_OK)
        ch4_log_write(log, r.relaxed ? CH4_LOG_WARN : CH4_LOG_DEBUG, r.relaxed ? "few landmarks could be followed: the best are used" : "landmarks",
                      (const ch4_kv[]){CH4_STR("file", input), CH4_INT("landmarks", c.in.K), CH4_INT("kept", r.n_kept),
                                       CH4_INT("vertices", c.in.V), CH4_INT("unreached", r.n_fallback), {.type = CH4_KV_END}});
    ch4_animate_result_fini(&r);
    close_chain(&c);
    return st;
}

void ch4_animate_resolve(ch4_animate_options *out, const ch4_config *config, const ch4_model_info *model)
{
    ch4_animate_options o = ch4_animate_defaults();
    o.landmarks.sigma = config->animate.smooth_sigma >= 0 ? config->animate.smooth_sigma : model->animate.smooth_sigma;
    o.final.sigma = config->animate.final_sigma >= 0 ? config->animate.final_sigma : model->animate.final_sigma;
    o.k = config->animate.neighbors;
    o.beta = config->animate.beta > 0 ? config->animate.beta : model->animate.beta;
    o.tracks.outlier_factor = config->animate.outlier_factor;
    o.tracks.outlier_floor = config->animate.outlier_floor;
    o.tracks.outlier_absolute = config->animate.outlier_absolute;
    o.tracks.min_valid = config->animate.min_valid;
    o.use_score = config->animate.confidence == CH4_CONFIDENCE_SCORE;
    *out = o;
}

ch4_status ch4_animate_open(ch4_stage *stage, void **state, ch4_err *err)
{
    const ch4_config *config = stage->config;
    ch4_model_info model;
    char path[CH4_STORE_PATH];
    if (snprintf(path, sizeof path, "%s/model.yaml", config->run.model) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "%.60s...: path too long", config->run.model);
    ch4_animate_options *options = NULL;
    ch4_status st = ch4_calloc(&options, 1, sizeof *options, "animate", err);
    if (st == CH4_OK)
        st = ch4_model_info_load(&model, path, NULL, err);
    if (st) {
        free(options);
        return st;
    }
    ch4_animate_resolve(options, config, &model);
    ch4_model_info_fini(&model);
    *state = options;
    return CH4_OK;
}

void ch4_animate_close(ch4_stage *stage, void *state)
{
    (void)stage;
    free(state);
}

ch4_status ch4_animate_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err)
{
    ch4_store_writer *writer = NULL;
    ch4_status st = ch4_store_create(&writer, window->output, err);
    if (st == CH4_OK)
        st = ch4_animate_file(writer, window->input, state, stage->pool, stage->log, err);
    if (st == CH4_OK)
        return ch4_stage_commit(stage, &writer, err);
    ch4_store_discard(&writer);
    return st;
}
