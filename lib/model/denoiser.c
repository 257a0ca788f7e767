#include "model/denoiser.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "model/embed.h"
#include "model/net_config.h"

struct ch4_denoiser {
    ch4_nn *nn;
    ch4_denoiser_config config;
    ch4_weights *weights;
    ch4_safetensors *file; /* owned; NULL if it is borrowed or closed */
    bool offload;
    ch4_tensor time_w1, time_b1, time_w2, time_b2, in_w, in_b, out_g, out_beta, out_w, out_b;
    ch4_block *block; /* [num_layers]; offloaded: one, in the slot */
    int64_t T, N, S;  /* of the window that was begun; S = 0 without context */
    ch4_space space;
    ch4_block_work work;
    ch4_tensor x, v, sinusoid, time_inner, cos, sin, context;
    ch4_tensor stream[2]; /* [T,N+1,C], written in turn */
    ch4_tensor *saved;    /* [num_layers/2] outputs that the upper half takes up again */
    ch4_tensor *kv;       /* [num_layers] keys and values of the context, once they are made */
    bool *kv_made;        /* [num_layers] */
    bool (*beat)(void *ctx);
    void *beat_ctx;
    float *host;          /* sinusoid and rotation tables before they are uploaded */
};

static ch4_status parse_inflated(ch4_denoiser_config *c, const json_t *object, ch4_err *err)
{
    const json_t *list = json_object_get(object, "inflated_layers");
    if (!list || json_is_null(list)) {
        for (int64_t i = 0; i < c->num_layers; i++)
            c->inflated[i] = true;
        return CH4_OK;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= c->num_layers)
            return ch4_err_set(err, CH4_EFORMAT, "config: inflated_layers: layer numbers below num_layers wanted");
        c->inflated[json_integer_value(v)] = true;
    }
    return json_is_array(list) ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "config: inflated_layers: a list wanted");
}

ch4_status ch4_denoiser_config_parse(ch4_denoiser_config *out, ch4_denoiser_kind kind, const json_t *object, ch4_err *err)
{
    ch4_denoiser_config c = {.kind = kind, .in_channels = 64, .width = 2048, .num_layers = 21, .num_heads = 16, .context_width = 1024, .num_tokens = 2048, .num_frames = 16};
    double mlp_ratio = 4.0;
    ch4_status st = ch4_net_config_int(&c.in_channels, object, "in_channels", 1, 65536, false, err);
    if (!st)
        st = ch4_net_config_int(&c.width, object, "width", 2, 65536, false, err);
    if (!st)
        st = ch4_net_config_int(&c.num_layers, object, "num_layers", 1, CH4_MAX_LAYERS, false, err);
    if (!st)
        st = ch4_net_config_int(&c.num_heads, object, "num_attention_heads", 1, 1024, false, err);
    if (!st)
        st = ch4_net_config_int(&c.context_width, object, "cross_attention_dim", 1, 65536, false, err);
    if (!st)
        st = ch4_net_config_int(&c.num_tokens, object, "num_tokens_nominal", 1, 1 << 20, false, err);
    if (!st)
        st = ch4_net_config_int(&c.num_frames, object, "temporal_context_size", 1, 4096, false, err);
    if (!st)
        st = ch4_net_config_real(&mlp_ratio, object, "mlp_ratio", 0.01, 64, err);
    if (!st && kind == CH4_DENOISER_TEMPORAL)
        st = parse_inflated(&c, object, err);
    if (!st && (c.width % c.num_heads || c.width / c.num_heads % 2 || c.width / c.num_heads > 256))
        st = ch4_err_set(err, CH4_EFORMAT, "config: width %" PRId64 " over %" PRId64 " heads: an even head width up to 256 wanted", c.width, c.num_heads);
    c.inner = (int64_t)((double)c.width * mlp_ratio);
    *out = c;
    return st;
}

static void load_block(ch4_denoiser *den, ch4_block *block, int64_t layer)
{
    const ch4_denoiser_config *c = &den->config;
    char prefix[64];
    ch4_block_spec spec = c->kind == CH4_DENOISER_TEMPORAL ? ch4_block_names_temporal : ch4_block_names_triposg;
    spec.width = c->width;
    spec.heads = c->num_heads;
    spec.context_width = c->context_width;
    spec.inner = c->inner;
    spec.self = spec.cross = spec.qk_norm = true;
    spec.skip = layer > c->num_layers / 2;
    snprintf(prefix, sizeof prefix, "blocks.%" PRId64 ".", layer);
    ch4_block_load(block, den->weights, &spec, prefix);
}

/* Everything, or everything but the blocks, of which offloading only takes the measure. */
static void load(ch4_denoiser *den, ch4_weights *w)
{
    const ch4_denoiser_config *c = &den->config;
    int64_t C = c->width;
    ch4_weights_get(w, &den->time_w1, CH4_SHAPE(4 * C, C), "time_proj.linear_1.weight");
    ch4_weights_get(w, &den->time_b1, CH4_SHAPE(4 * C), "time_proj.linear_1.bias");
    ch4_weights_get(w, &den->time_w2, CH4_SHAPE(C, 4 * C), "time_proj.linear_2.weight");
    ch4_weights_get(w, &den->time_b2, CH4_SHAPE(C), "time_proj.linear_2.bias");
    ch4_weights_get(w, &den->in_w, CH4_SHAPE(C, c->in_channels), "proj_in.weight");
    ch4_weights_get(w, &den->in_b, CH4_SHAPE(C), "proj_in.bias");
    for (int64_t i = 0; i < c->num_layers; i++) {
        if (den->offload)
            ch4_weights_begin_part(w, CH4_PART_MEASURE);
        load_block(den, &den->block[den->offload ? 0 : i], i);
        if (den->offload)
            ch4_weights_end_part(w, NULL); /* errors stick */
    }
    ch4_weights_get(w, &den->out_g, CH4_SHAPE(C), "norm_out.weight");
    ch4_weights_get(w, &den->out_beta, CH4_SHAPE(C), "norm_out.bias");
    ch4_weights_get(w, &den->out_w, CH4_SHAPE(c->in_channels, C), "proj_out.weight");
    ch4_weights_get(w, &den->out_b, CH4_SHAPE(c->in_channels), "proj_out.bias");
}

/* The block of a layer with its weights at hand. While an offloaded one computes, the system reads the next one's part of the file. */
static ch4_status block_at(ch4_denoiser *den, int64_t layer, ch4_block **out, ch4_err *err)
{
    *out = &den->block[den->offload ? 0 : layer];
    if (!den->offload)
        return CH4_OK;
    ch4_weights_begin_part(den->weights, CH4_PART_LOAD);
    load_block(den, *out, layer);
    ch4_status st = ch4_weights_end_part(den->weights, err);
    if (st)
        return ch4_err_wrap(err, st, "layer %" PRId64, layer);
    ch4_block next;
    ch4_weights_begin_part(den->weights, CH4_PART_PREFETCH);
    load_block(den, &next, (layer + 1) % den->config.num_layers);
    return ch4_weights_end_part(den->weights, err);
}

/* The network without its weights. */
static ch4_status make(ch4_denoiser **out, ch4_nn *nn, const ch4_denoiser_config *config, ch4_err *err)
{
    ch4_denoiser *den = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&den, 1, sizeof *den, "denoiser", err);
    if (st)
        return st;
    den->nn = nn;
    den->space.nn = nn;
    den->config = *config;
    size_t n = (size_t)config->num_layers;
    st = ch4_calloc(&den->block, n, sizeof *den->block, "denoiser", err);
    if (!st)
        st = ch4_calloc(&den->saved, n / 2 + 1, sizeof *den->saved, "denoiser", err);
    if (!st)
        st = ch4_calloc(&den->kv, n, sizeof *den->kv, "denoiser", err);
    if (!st)
        st = ch4_calloc(&den->kv_made, n, sizeof *den->kv_made, "denoiser", err);
    if (st)
        ch4_denoiser_close(&den);
    *out = den;
    return st;
}

static void set_loading(ch4_denoiser *den, const ch4_denoiser_loading *loading)
{
    den->offload = loading && loading->offload;
    ch4_weights_set_type(den->weights, loading ? loading->type : CH4_WEIGHTS_F32);
}

ch4_status ch4_denoiser_create(ch4_denoiser **out, ch4_nn *nn, const ch4_denoiser_config *config, const ch4_safetensors *weights,
                               const ch4_denoiser_loading *loading, ch4_err *err)
{
    ch4_denoiser *den;
    ch4_status st = make(&den, nn, config, err);
    if (!st)
        st = ch4_weights_create(&den->weights, nn, weights, err);
    if (!st) {
        set_loading(den, loading);
        load(den, den->weights);
        st = ch4_weights_finish(den->weights, err);
    }
    if (st)
        ch4_denoiser_close(&den);
    *out = den;
    return st;
}

ch4_status ch4_denoiser_survey(const ch4_denoiser_config *config, const ch4_safetensors *file, const ch4_denoiser_loading *loading, ch4_weights_report *report,
                               ch4_err *err)
{
    ch4_denoiser *den;
    ch4_status st = make(&den, NULL, config, err);
    if (!st)
        st = ch4_weights_survey(&den->weights, file, report, err);
    if (!st) {
        set_loading(den, loading);
        load(den, den->weights);
        st = ch4_weights_finish(den->weights, err);
    }
    ch4_denoiser_close(&den);
    return st;
}

ch4_status ch4_denoiser_open(ch4_denoiser **out, ch4_nn *nn, ch4_denoiser_kind kind, const char *dir, const ch4_denoiser_loading *loading, ch4_err *err)
{
    json_t *json = NULL;
    ch4_safetensors *file = NULL;
    ch4_denoiser_config config;
    *out = NULL;
    ch4_status st = ch4_net_open_dir(&json, &file, dir, err);
    if (!st && (st = ch4_denoiser_config_parse(&config, kind, json, err)))
        ch4_err_wrap(err, st, "%s/config.json", dir);
    if (!st)
        st = ch4_denoiser_create(out, nn, &config, file, loading, err);
    if (!st && loading && loading->offload)
        (*out)->file = file;
    else
        ch4_safetensors_close(&file);
    json_decref(json);
    return st;
}

void ch4_denoiser_close(ch4_denoiser **out)
{
    ch4_denoiser *den = *out;
    if (!den)
        return;
    ch4_space_free(&den->space);
    ch4_weights_destroy(&den->weights);
    ch4_safetensors_close(&den->file);
    free(den->block);
    free(den->saved);
    free(den->kv);
    free(den->kv_made);
    free(den->host);
    free(den);
    *out = NULL;
}

void ch4_denoiser_set_pulse(ch4_denoiser *den, bool (*beat)(void *ctx), void *ctx)
{
    den->beat = beat;
    den->beat_ctx = ctx;
}

const ch4_denoiser_config *ch4_denoiser_get_config(const ch4_denoiser *den)
{
    return &den->config;
}

/* All views of a window, in one order: the first walk measures, the second hands out. */
static void lay_out(ch4_denoiser *den, int64_t T, int64_t N, int64_t S)
{
    const ch4_denoiser_config *c = &den->config;
    ch4_space *s = &den->space;
    int64_t C = c->width, R = N + 1, half = C / c->num_heads / 2;
    den->x = ch4_space_take(s, CH4_SHAPE(T, N, c->in_channels));
    den->v = ch4_space_take(s, CH4_SHAPE(T, N, c->in_channels));
    den->sinusoid = ch4_space_take(s, CH4_SHAPE(T, C));
    den->time_inner = ch4_space_take(s, CH4_SHAPE(T, 4 * C));
    den->cos = ch4_space_take(s, CH4_SHAPE(T, half));
    den->sin = ch4_space_take(s, CH4_SHAPE(T, half));
    den->context = ch4_space_take(s, CH4_SHAPE(T, S, c->context_width));
    for (int i = 0; i < 2; i++)
        den->stream[i] = ch4_space_take(s, CH4_SHAPE(T, R, C));
    for (int64_t i = 0; i < c->num_layers / 2; i++)
        den->saved[i] = ch4_space_take(s, CH4_SHAPE(T, R, C));
    for (int64_t i = 0; i < c->num_layers; i++)
        den->kv[i] = ch4_space_take(s, CH4_SHAPE(T, S, 2 * C));
    ch4_block_work_take(&den->work, s, T * R, C, c->inner, c->num_heads);
}

ch4_status ch4_denoiser_workspace(size_t *out, const ch4_denoiser_config *config, int64_t T, int64_t N, int64_t S, ch4_err *err)
{
    ch4_denoiser *den;
    *out = 0;
    ch4_status st = make(&den, NULL, config, err);
    if (st)
        return st;
    lay_out(den, T, N, S);
    *out = den->space.used;
    ch4_denoiser_close(&den);
    return CH4_OK;
}

static ch4_status reserve(ch4_denoiser *den, int64_t T, int64_t N, int64_t S, ch4_err *err)
{
    ch4_buf held = den->space.buf;
    den->space.buf = (ch4_buf){0}; /* measure */
    den->space.used = 0;
    lay_out(den, T, N, S);
    den->space.buf = held;
    ch4_status st = ch4_space_reserve(&den->space, err);
    if (st)
        return ch4_err_wrap(err, st, "denoiser: window of %" PRId64 " frames of %" PRId64 " tokens", T, N);
    lay_out(den, T, N, S);
    free(den->host);
    den->host = NULL;
    return ch4_calloc(&den->host, (size_t)(T * den->config.width), 2 * sizeof(float), "denoiser", err);
}

ch4_status ch4_denoiser_begin(ch4_denoiser *den, int64_t T, int64_t N, const float *context, int64_t S, ch4_err *err)
{
    if (T < 1 || N < 1 || (context && S < 1))
        return ch4_err_set(err, CH4_EINVAL, "denoiser: empty window");
    den->S = 0;
    den->T = T;
    den->N = N;
    ch4_status st = reserve(den, T, N, context ? S : 0, err);
    if (st || !context)
        return st;
    ch4_tensor host = CH4_F32((void *)(uintptr_t)context, T, S, den->config.context_width);
    st = den->nn->ops->upload(den->nn, &den->context, &host, err);
    for (int64_t i = 0; i < den->config.num_layers; i++)
        den->kv_made[i] = false;
    if (!st)
        den->S = S;
    return st;
}

/* Uploads x, the times' sinusoid and the rotation tables; fills the first stream. */
static ch4_status embed(ch4_denoiser *den, const ch4_denoiser_in *in, const ch4_probe *probe, ch4_err *err)
{
    ch4_nn *nn = den->nn;
    int64_t T = den->T, N = den->N, C = den->config.width, half = C / den->config.num_heads / 2;
    ch4_tensor x = CH4_F32((void *)(uintptr_t)in->x, T, N, den->config.in_channels), host = CH4_F32(den->host, T, C);
    ch4_status st = nn->ops->upload(nn, &den->x, &x, err);
    ch4_embed_times(den->host, in->time, T, C, false);
    if (!st)
        st = nn->ops->upload(nn, &den->sinusoid, &host, err);
    if (!st && den->config.kind == CH4_DENOISER_TEMPORAL) {
        ch4_tensor c = CH4_F32(den->host, T, half), s = CH4_F32(den->host + T * half, T, half);
        ch4_embed_rope(c.data, s.data, in->framestep, T, 2 * half);
        st = nn->ops->upload(nn, &den->cos, &c, err);
        if (!st)
            st = nn->ops->upload(nn, &den->sin, &s, err);
    }
    ch4_tensor rows = ch4_tensor_slice(&den->stream[0], 1, 1, N), token = ch4_tensor_slice(&den->stream[0], 1, 0, 1), first = token;
    first.rank = 2; /* [T,C], a frame's stream apart */
    first.shape[1] = C;
    first.stride[1] = 1;
    if (!st)
        st = nn->ops->linear(nn, &den->time_inner, &(ch4_linear_in){.x = &den->sinusoid, .w = &den->time_w1, .bias = &den->time_b1, .act = CH4_ACT_GELU}, err);
    if (!st)
        st = nn->ops->linear(nn, &first, &(ch4_linear_in){.x = &den->time_inner, .w = &den->time_w2, .bias = &den->time_b2}, err);
    if (!st)
        st = nn->ops->linear(nn, &rows, &(ch4_linear_in){.x = &den->x, .w = &den->in_w, .bias = &den->in_b}, err);
    if (!st)
        st = ch4_probe_call(probe, nn, &(ch4_probe_event){.point = CH4_PROBE_TIME, .frames = T, .rows = N + 1, .x = &first}, err);
    return st ? st : ch4_probe_call(probe, nn, &(ch4_probe_event){.point = CH4_PROBE_BLOCK_IN, .frames = T, .rows = N + 1, .x = &den->stream[0]}, err);
}

/* Keys and values of the context in a layer, the same in all passes of the window. */
static ch4_status make_kv(ch4_denoiser *den, const ch4_block *block, int64_t layer, ch4_err *err)
{
    ch4_status st = den->kv_made[layer] ? CH4_OK : ch4_block_context(block, den->nn, &den->kv[layer], &den->context, NULL, err);
    den->kv_made[layer] = !st;
    return st;
}

ch4_status ch4_denoiser_forward(ch4_denoiser *den, float *v, const ch4_denoiser_in *in, const ch4_probe *probe, ch4_err *err)
{
    const ch4_denoiser_config *c = &den->config;
    if (in->use_context && !den->S)
        return ch4_err_set(err, CH4_EINVAL, "denoiser: the window was begun without context");
    ch4_status st = embed(den, in, probe, err);
    bool temporal = c->kind == CH4_DENOISER_TEMPORAL;
    ch4_block_run run = {.nn = den->nn, .frames = den->T, .rows = den->N + 1, .probe = probe, .work = &den->work,
                         .cos = temporal ? &den->cos : NULL, .sin = temporal ? &den->sin : NULL};
    ch4_tensor *h = &den->stream[0];
    int64_t half = c->num_layers / 2;
    for (int64_t i = 0; !st && i < c->num_layers; i++) {
        /* The lower half writes its outputs where they are kept; the upper half takes them up, last in first out. */
        ch4_tensor *out = i < half ? &den->saved[i] : &den->stream[(i - half) % 2 == 0];
        run.layer = (int)i;
        run.joint = c->inflated[i];
        run.context_kv = in->use_context ? &den->kv[i] : NULL;
        run.gain = in->gain && in->gain->layer[i] && run.joint ? &in->gain->table : NULL;
        ch4_block *block;
        st = block_at(den, i, &block, err);
        if (!st && in->use_context)
            st = make_kv(den, block, i, err);
        if (!st)
            st = ch4_block_forward(block, &run, out, h, i > half ? &den->saved[2 * half - i] : NULL, err);
        if (!st && den->beat && !den->beat(den->beat_ctx))
            st = ch4_err_set(err, CH4_ECANCELED, "canceled");
        h = out;
    }
    if (st)
        return st;
    ch4_tensor rows = ch4_tensor_slice(h, 1, 1, den->N), norm = ch4_tensor_view(den->work.norm.data, CH4_DTYPE_F32, CH4_SHAPE(den->T, den->N, c->width));
    ch4_tensor host = CH4_F32(v, den->T, den->N, c->in_channels);
    st = den->nn->ops->layernorm(den->nn, &norm, &rows, &den->out_g, &den->out_beta, 1e-5f, err);
    if (!st)
        st = den->nn->ops->linear(den->nn, &den->v, &(ch4_linear_in){.x = &norm, .w = &den->out_w, .bias = &den->out_b}, err);
    return st ? st : den->nn->ops->download(den->nn, &host, &den->v, err);
}
