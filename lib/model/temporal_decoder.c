#include "model/temporal_decoder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/embed.h"
#include "model/net_config.h"

enum { QUERY_CHUNK = 2048, QUERY_CHANNELS = 6 };

struct ch4_temporal_decoder {
    ch4_nn *nn;
    ch4_temporal_decoder_config config;
    ch4_weights *weights;
    ch4_tensor post_w, post_b, query_w, query_b, out_g, out_beta, out_w, out_b; /* out_w, out_b: negated */
    ch4_block *block; /* [layers + 1], the last is the cross block */
    int64_t T, N;     /* of the window that was begun; T = 0 before */
    bool ready;       /* kv holds a target */
    ch4_space space;
    ch4_block_work work;
    ch4_tensor z, latent, cos, sin; /* latent [T*N,C] is kept for all targets; tables [T*(N+1),D/2], one row per token */
    ch4_tensor stream[2], kv;       /* [T*(N+1),1,C]; [1,T*(N+1),2C] */
    ch4_tensor features, u, v, o;   /* of a chunk of vertices */
    float *host;
};

static int64_t feature_count(const ch4_temporal_decoder_config *c)
{
    return 3 + 6 * c->octaves + 3;
}

ch4_status ch4_temporal_decoder_config_parse(ch4_temporal_decoder_config *out, const json_t *object, ch4_err *err)
{
    ch4_temporal_decoder_config c = {.latent_channels = 64, .width = 1024, .heads = 8, .layers = 16, .octaves = 8};
    int64_t three[3] = {3, 3, 3};
    const struct {
        int64_t *value;
        const char *key;
        int64_t lo, hi;
    } field[] = {
        {&three[0], "in_channels", 3, 3}, {&three[1], "in_extra_channels", 3, 3},       {&three[2], "out_dim", 3, 3},
        {&c.width, "width", 4, 65536},    {&c.latent_channels, "latent_channels", 1, 65536}, {&c.heads, "num_attention_heads", 1, 1024},
        {&c.layers, "num_layers", 0, 256}, {&c.octaves, "embed_frequency", 1, 20},
    };
    ch4_status st = ch4_net_config_bool(&c.include_pi, object, "embed_include_pi", err);
    for (size_t i = 0; !st && i < sizeof field / sizeof *field; i++)
        st = ch4_net_config_int(field[i].value, object, field[i].key, field[i].lo, field[i].hi, false, err);
    const json_t *mode = json_object_get(object, "prediction_mode");
    const char *text = json_string_value(mode);
    if (!st && mode && !json_is_null(mode) && (!text || (strcmp(text, "direct") != 0 && strcmp(text, "residual") != 0)))
        st = ch4_err_set(err, CH4_EFORMAT, "config: prediction_mode: \"direct\" or \"residual\" wanted");
    c.mode = text && strcmp(text, "residual") == 0 ? CH4_TEMPORAL_RESIDUAL : CH4_TEMPORAL_DIRECT;
    /* a quarter of the width each for cosines and sines of two times, and pairs of channels that are rotated */
    if (!st && (c.width % 4 || c.width % (2 * c.heads) || c.width / c.heads > 256))
        st = ch4_err_set(err, CH4_EFORMAT, "config: width %" PRId64 " over %" PRId64 " heads: a multiple of 4, even head widths up to 256 wanted", c.width, c.heads);
    *out = c;
    return st;
}

/* The last layer with its sign turned: the network's output is the negative of what the file holds. */
static void load_negated(ch4_temporal_decoder *dec, ch4_weights *w)
{
    int64_t C = dec->config.width;
    float *m = ch4_weights_scratch(w, 3 * C), *b = ch4_weights_scratch(w, 3);
    ch4_weights_read(w, m, CH4_SHAPE(3, C), "proj_out.weight");
    ch4_weights_read(w, b, CH4_SHAPE(3), "proj_out.bias");
    for (int64_t i = 0; m && b && i < 3 * C; i++)
        m[i] = -m[i];
    for (int i = 0; m && b && i < 3; i++)
        b[i] = -b[i];
    ch4_weights_put(w, &dec->out_w, m, CH4_SHAPE(3, C));
    ch4_weights_put(w, &dec->out_b, b, CH4_SHAPE(3));
}

static void load(ch4_temporal_decoder *dec, ch4_weights *w)
{
    const ch4_temporal_decoder_config *c = &dec->config;
    int64_t C = c->width;
    ch4_weights_get(w, &dec->post_w, CH4_SHAPE(C, c->latent_channels), "post_quant.weight");
    ch4_weights_get(w, &dec->post_b, CH4_SHAPE(C), "post_quant.bias");
    ch4_weights_get(w, &dec->query_w, CH4_SHAPE(C, feature_count(c)), "proj_query.weight");
    ch4_weights_get(w, &dec->query_b, CH4_SHAPE(C), "proj_query.bias");
    ch4_block_spec spec = ch4_block_names_temporal;
    spec.width = spec.context_width = C;
    spec.heads = c->heads;
    spec.inner = 4 * C;
    for (int64_t i = 0; i <= c->layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "blocks.%" PRId64 ".", i);
        spec.self = i < c->layers;
        spec.cross = spec.context_norm = i == c->layers;
        ch4_block_load(&dec->block[i], w, &spec, prefix);
    }
    ch4_weights_get(w, &dec->out_g, CH4_SHAPE(C), "norm_out.weight");
    ch4_weights_get(w, &dec->out_beta, CH4_SHAPE(C), "norm_out.bias");
    load_negated(dec, w);
}

/* The network without its weights. */
static ch4_status make(ch4_temporal_decoder **out, ch4_nn *nn, const ch4_temporal_decoder_config *config, ch4_err *err)
{
    ch4_temporal_decoder *dec = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&dec, 1, sizeof *dec, "temporal decoder", err);
    if (st)
        return st;
    *dec = (ch4_temporal_decoder){.nn = nn, .config = *config, .space = {.nn = nn}};
    st = ch4_calloc(&dec->block, (size_t)config->layers + 1, sizeof *dec->block, "temporal decoder", err);
    if (st)
        ch4_temporal_decoder_close(&dec);
    *out = dec;
    return st;
}

ch4_status ch4_temporal_decoder_create(ch4_temporal_decoder **out, ch4_nn *nn, const ch4_temporal_decoder_config *config, const ch4_safetensors *weights,
                                       ch4_err *err)
{
    ch4_temporal_decoder *dec;
    ch4_status st = make(&dec, nn, config, err);
    if (!st)
        st = ch4_weights_create(&dec->weights, nn, weights, err);
    if (!st) {
        load(dec, dec->weights);
        st = ch4_weights_finish(dec->weights, err);
    }
    if (st)
        ch4_temporal_decoder_close(&dec);
    *out = dec;
    return st;
}

ch4_status ch4_temporal_decoder_survey(const ch4_temporal_decoder_config *config, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    ch4_temporal_decoder *dec;
    ch4_status st = make(&dec, NULL, config, err);
    if (!st)
        st = ch4_weights_survey(&dec->weights, file, report, err);
    if (!st) {
        load(dec, dec->weights);
        st = ch4_weights_finish(dec->weights, err);
    }
    ch4_temporal_decoder_close(&dec);
    return st;
}

ch4_status ch4_temporal_decoder_open(ch4_temporal_decoder **out, ch4_nn *nn, const char *dir, ch4_err *err)
{
    json_t *json = NULL;
    ch4_safetensors *file = NULL;
    ch4_temporal_decoder_config config;
    *out = NULL;
    ch4_status st = ch4_net_open_dir(&json, &file, dir, err);
    if (!st && (st = ch4_temporal_decoder_config_parse(&config, json, err)))
        ch4_err_wrap(err, st, "%s/config.json", dir);
    if (!st)
        st = ch4_temporal_decoder_create(out, nn, &config, file, err);
    ch4_safetensors_close(&file);
    json_decref(json);
    return st;
}

void ch4_temporal_decoder_close(ch4_temporal_decoder **out)
{
    ch4_temporal_decoder *dec = *out;
    if (!dec)
        return;
    ch4_space_free(&dec->space);
    ch4_weights_destroy(&dec->weights);
    free(dec->block);
    free(dec->host);
    free(dec);
    *out = NULL;
}

const ch4_temporal_decoder_config *ch4_temporal_decoder_get_config(const ch4_temporal_decoder *dec)
{
    return &dec->config;
}

/* All views of a window, in one order: the first walk measures, the second hands out. */
static void lay_out(ch4_temporal_decoder *dec)
{
    const ch4_temporal_decoder_config *c = &dec->config;
    ch4_space *s = &dec->space;
    int64_t C = c->width, half = C / c->heads / 2, rows = dec->T * (dec->N + 1);
    dec->z = ch4_space_take(s, CH4_SHAPE(dec->T * dec->N, c->latent_channels));
    dec->latent = ch4_space_take(s, CH4_SHAPE(dec->T * dec->N, C));
    dec->cos = ch4_space_take(s, CH4_SHAPE(rows, half));
    dec->sin = ch4_space_take(s, CH4_SHAPE(rows, half));
    for (int i = 0; i < 2; i++)
        dec->stream[i] = ch4_space_take(s, CH4_SHAPE(rows, 1, C));
    dec->kv = ch4_space_take(s, CH4_SHAPE(1, rows, 2 * C));
    dec->features = ch4_space_take(s, CH4_SHAPE(QUERY_CHUNK, feature_count(c)));
    dec->u = ch4_space_take(s, CH4_SHAPE(1, QUERY_CHUNK, C));
    dec->v = ch4_space_take(s, CH4_SHAPE(1, QUERY_CHUNK, C));
    dec->o = ch4_space_take(s, CH4_SHAPE(QUERY_CHUNK, 3));
    ch4_block_work_take(&dec->work, s, ch4_max_i64(rows, QUERY_CHUNK), C, 4 * C, c->heads);
}

ch4_status ch4_temporal_decoder_workspace(size_t *out, const ch4_temporal_decoder_config *config, int64_t T, int64_t N, ch4_err *err)
{
    ch4_temporal_decoder *dec;
    *out = 0;
    ch4_status st = make(&dec, NULL, config, err);
    if (st)
        return st;
    dec->T = T;
    dec->N = N;
    lay_out(dec);
    *out = dec->space.used;
    ch4_temporal_decoder_close(&dec);
    return CH4_OK;
}

static ch4_status reserve(ch4_temporal_decoder *dec, ch4_err *err)
{
    const ch4_temporal_decoder_config *c = &dec->config;
    ch4_buf held = dec->space.buf;
    dec->space.buf = (ch4_buf){0}; /* measure */
    dec->space.used = 0;
    lay_out(dec);
    dec->space.buf = held;
    ch4_status st = ch4_space_reserve(&dec->space, err);
    if (st)
        return ch4_err_wrap(err, st, "temporal decoder: window of %" PRId64 " frames of %" PRId64 " tokens", dec->T, dec->N);
    lay_out(dec);
    free(dec->host);
    dec->host = NULL;
    int64_t tables = (dec->T * (dec->N + 1) + dec->T) * (c->width / c->heads), chunk = QUERY_CHUNK * feature_count(c);
    return ch4_calloc(&dec->host, (size_t)ch4_max_i64(ch4_max_i64(tables, chunk), dec->T * c->width), sizeof(float), "temporal decoder", err);
}

/* Rotation of every row of the sequence: a frame's angle for its N tokens, then the frames' once more for the alpha tokens. */
static ch4_status upload_tables(ch4_temporal_decoder *dec, const float *framestep, ch4_err *err)
{
    int64_t T = dec->T, N = dec->N, rows = T * (N + 1), half = dec->config.width / dec->config.heads / 2;
    float *wide = dec->host, *frame[2] = {wide + 2 * rows * half, wide + (2 * rows + T) * half};
    ch4_tensor *table[2] = {&dec->cos, &dec->sin};
    ch4_status st = CH4_OK;
    ch4_embed_rope(frame[0], frame[1], framestep, T, 2 * half);
    for (int k = 0; !st && k < 2; k++) {
        for (int64_t r = 0; r < rows; r++)
            memcpy(wide + r * half, frame[k] + (r < T * N ? r / N : r - T * N) * half, (size_t)half * sizeof *wide);
        ch4_tensor host = CH4_F32(wide, rows, half);
        st = dec->nn->ops->upload(dec->nn, table[k], &host, err);
    }
    return st;
}

ch4_status ch4_temporal_decoder_begin(ch4_temporal_decoder *dec, const float *z, const float *framestep, int64_t T, int64_t N, ch4_err *err)
{
    if (T < 1 || N < 1)
        return ch4_err_set(err, CH4_EINVAL, "temporal decoder: empty window");
    dec->T = T;
    dec->N = N;
    dec->ready = false;
    ch4_status st = reserve(dec, err);
    if (!st)
        st = upload_tables(dec, framestep, err);
    ch4_tensor host = CH4_F32((void *)(uintptr_t)z, T * N, dec->config.latent_channels);
    if (!st)
        st = dec->nn->ops->upload(dec->nn, &dec->z, &host, err);
    if (!st)
        st = dec->nn->ops->linear(dec->nn, &dec->latent, &(ch4_linear_in){.x = &dec->z, .w = &dec->post_w, .bias = &dec->post_b}, err);
    if (st)
        dec->T = 0;
    return st;
}

/* First stream: the latents, then T times the token [E(source), E(target)]. */
static ch4_status compose(ch4_temporal_decoder *dec, const float alpha[2], ch4_err *err)
{
    int64_t T = dec->T, N = dec->N, C = dec->config.width;
    ch4_tensor rows = ch4_tensor_view(dec->stream[0].data, CH4_DTYPE_F32, CH4_SHAPE(T * (N + 1), C));
    ch4_tensor latent = ch4_tensor_slice(&rows, 0, 0, T * N), token = ch4_tensor_slice(&rows, 0, T * N, T);
    ch4_embed_times(dec->host, alpha, 2, C / 2, true);
    for (int64_t f = 1; f < T; f++)
        memcpy(dec->host + f * C, dec->host, (size_t)C * sizeof *dec->host);
    ch4_tensor host = CH4_F32(dec->host, T, C);
    ch4_status st = dec->nn->ops->copy(dec->nn, &latent, &dec->latent, err);
    return st ? st : dec->nn->ops->upload(dec->nn, &token, &host, err);
}

ch4_status ch4_temporal_decoder_target(ch4_temporal_decoder *dec, float source_alpha, float target_alpha, const ch4_probe *probe, ch4_err *err)
{
    if (!dec->T)
        return ch4_err_set(err, CH4_EINVAL, "temporal decoder: no window");
    int64_t L = dec->config.layers, rows = dec->T * (dec->N + 1);
    /* Every row is a frame of its own to the block: each has its angle, and "joint" makes them one sequence again. */
    ch4_block_run run = {.nn = dec->nn, .frames = rows, .rows = 1, .joint = true, .cos = &dec->cos, .sin = &dec->sin, .probe = probe, .work = &dec->work};
    dec->ready = false;
    ch4_status st = compose(dec, (const float[2]){source_alpha, target_alpha}, err);
    if (!st)
        st = ch4_probe_call(probe, dec->nn, &(ch4_probe_event){.point = CH4_PROBE_BLOCK_IN, .frames = rows, .rows = 1, .x = &dec->stream[0]}, err);
    for (int64_t i = 0; !st && i < L; i++) {
        run.layer = (int)i;
        st = ch4_block_forward(&dec->block[i], &run, &dec->stream[(i + 1) % 2], &dec->stream[i % 2], NULL, err);
    }
    if (!st)
        st = ch4_block_context(&dec->block[L], dec->nn, &dec->kv, &dec->stream[L % 2], &dec->work.norm, err);
    dec->ready = !st;
    return st;
}

static void embed_vertices(ch4_temporal_decoder *dec, const float *vertices, int64_t n)
{
    int64_t f = feature_count(&dec->config);
    ch4_embed_points(dec->host, f, vertices, QUERY_CHANNELS, n, (int)dec->config.octaves, dec->config.include_pi);
    for (int64_t i = 0; i < n; i++)
        memcpy(dec->host + (i + 1) * f - 3, vertices + QUERY_CHANNELS * i + 3, 3 * sizeof *dec->host);
}

static ch4_status query_chunk(ch4_temporal_decoder *dec, float *out, const float *vertices, int64_t n, const ch4_probe *probe, ch4_err *err)
{
    ch4_nn *nn = dec->nn;
    int64_t f = feature_count(&dec->config), C = dec->config.width, L = dec->config.layers;
    ch4_tensor features = ch4_tensor_slice(&dec->features, 0, 0, n), u = ch4_tensor_slice(&dec->u, 1, 0, n), v = ch4_tensor_slice(&dec->v, 1, 0, n);
    ch4_tensor o = ch4_tensor_slice(&dec->o, 0, 0, n), host = CH4_F32(dec->host, n, f), result = CH4_F32(out, n, 3);
    ch4_tensor u_rows = ch4_tensor_view(u.data, CH4_DTYPE_F32, CH4_SHAPE(n, C)), v_rows = ch4_tensor_view(v.data, CH4_DTYPE_F32, CH4_SHAPE(n, C));
    ch4_block_run run = {.nn = nn, .layer = (int)L, .frames = 1, .rows = n, .context_kv = &dec->kv, .probe = probe, .work = &dec->work};
    embed_vertices(dec, vertices, n);
    ch4_status st = nn->ops->upload(nn, &features, &host, err);
    if (!st)
        st = nn->ops->linear(nn, &u_rows, &(ch4_linear_in){.x = &features, .w = &dec->query_w, .bias = &dec->query_b}, err);
    if (!st)
        st = ch4_block_forward(&dec->block[L], &run, &v, &u, NULL, err);
    if (!st)
        st = nn->ops->layernorm(nn, &v_rows, &v_rows, &dec->out_g, &dec->out_beta, 1e-5f, err);
    if (!st)
        st = nn->ops->linear(nn, &o, &(ch4_linear_in){.x = &v_rows, .w = &dec->out_w, .bias = &dec->out_b}, err);
    if (!st)
        st = nn->ops->download(nn, &result, &o, err);
    for (int64_t i = 0; !st && i < 3 * n; i++)
        out[i] = tanhf(0.5f * out[i]); /* = 2 sigmoid(o) - 1 */
    return st;
}

ch4_status ch4_temporal_decoder_query(ch4_temporal_decoder *dec, float *out, const float *vertices, int64_t V, const ch4_probe *probe, ch4_err *err)
{
    if (!dec->ready || V < 0)
        return ch4_err_set(err, CH4_EINVAL, "temporal decoder: %" PRId64 " vertices without a target time", V);
    ch4_status st = CH4_OK;
    for (int64_t i = 0; !st && i < V; i += QUERY_CHUNK)
        st = query_chunk(dec, out + 3 * i, vertices + QUERY_CHANNELS * i, ch4_min_i64(QUERY_CHUNK, V - i), probe, err);
    return st;
}

void ch4_temporal_decoder_apply(float *out, const float *o, const float *vertices, int64_t V, ch4_temporal_mode mode, float scale)
{
    for (int64_t i = 0; i < V; i++)
        for (int k = 0; k < 3; k++) {
            float p = o[3 * i + k] + (mode == CH4_TEMPORAL_RESIDUAL ? vertices[QUERY_CHANNELS * i + k] : 0.0f);
            out[3 * i + k] = fminf(fmaxf(p, -scale), scale);
        }
}
