#include "model/vae.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/embed.h"
#include "model/net_config.h"

enum { QUERY_CHUNK = 2048 };

struct ch4_vae {
    ch4_nn *nn;
    ch4_vae_config config;
    ch4_vae_part parts;
    ch4_weights *weights;
    ch4_tensor enc_in_w, enc_in_b, enc_out_g, enc_out_b, quant_w, quant_b;
    ch4_tensor post_w, post_b, query_w, query_b, dec_out_g, dec_out_b, field_w, field_b; /* field_*: negated */
    ch4_block *enc, *dec; /* [layers + 1]: the encoder's first and the decoder's last are cross blocks */
    ch4_space space;      /* laid out anew by every call */
    ch4_block_work work;
    float *host;          /* features on their way to the backend, results on their way back */
    size_t host_count;
    int *head;            /* [heads] 0, 1, 2, ... */
};

struct ch4_vae_cache {
    ch4_nn *nn;
    ch4_buf buf;
    ch4_tensor kv; /* [1,N,2C] */
};

static int64_t feature_count(const ch4_vae_config *c)
{
    return 3 + 6 * c->octaves;
}

ch4_status ch4_vae_config_parse(ch4_vae_config *out, const json_t *object, ch4_err *err)
{
    ch4_vae_config c = {.latent_channels = 64, .heads = 8, .width_encoder = 512, .width_decoder = 1024, .layers_encoder = 8, .layers_decoder = 16, .octaves = 8};
    int64_t in_channels = 3;
    const struct {
        int64_t *value;
        const char *key;
        int64_t lo, hi;
    } field[] = {
        {&in_channels, "in_channels", 3, 3},           {&c.latent_channels, "latent_channels", 1, 65536}, {&c.heads, "num_attention_heads", 1, 1024},
        {&c.width_encoder, "width_encoder", 1, 65536}, {&c.width_decoder, "width_decoder", 1, 65536},     {&c.layers_encoder, "num_layers_encoder", 0, 256},
        {&c.layers_decoder, "num_layers_decoder", 0, 256}, {&c.octaves, "embed_frequency", 1, 20},
    };
    ch4_status st = ch4_net_config_bool(&c.include_pi, object, "embed_include_pi", err);
    for (size_t i = 0; !st && i < sizeof field / sizeof *field; i++)
        st = ch4_net_config_int(field[i].value, object, field[i].key, field[i].lo, field[i].hi, false, err);
    const char *embedding = json_string_value(json_object_get(object, "embedding_type"));
    if (!st && embedding && strcmp(embedding, "frequency") != 0)
        st = ch4_err_set(err, CH4_EFORMAT, "config: embedding_type: only \"frequency\" is supported, not \"%s\"", embedding);
    if (!st && (c.width_encoder % c.heads || c.width_decoder % c.heads || c.width_encoder / c.heads > 256 || c.width_decoder / c.heads > 256))
        st = ch4_err_set(err, CH4_EFORMAT, "config: widths %" PRId64 " and %" PRId64 " over %" PRId64 " heads: whole head widths up to 256 wanted", c.width_encoder,
                         c.width_decoder, c.heads);
    *out = c;
    return st;
}

/* Blocks 0..layers of one half; `cross` is the index of the one that reads from outside. */
static void load_blocks(ch4_vae *vae, ch4_block *block, const char *half, int64_t width, int64_t layers, int64_t cross, bool load)
{
    for (int64_t i = 0; i <= layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%s.blocks.%" PRId64 ".", half, i);
        ch4_block_spec spec = ch4_block_names_triposg;
        spec.width = spec.context_width = width;
        spec.heads = vae->config.heads;
        spec.inner = 4 * width;
        spec.self = i != cross;
        spec.cross = spec.context_norm = i == cross;
        if (load)
            ch4_block_load(&block[i], vae->weights, &spec, prefix);
        else
            ch4_block_expect(vae->weights, &spec, prefix);
    }
}

typedef struct dense {
    ch4_tensor *w, *b;
    int64_t out, in;
    const char *name;
    bool load, negate;
} dense;

static void load_dense(ch4_weights *w, const dense *d)
{
    if (!d->load) {
        ch4_weights_expect(w, CH4_SHAPE(d->out, d->in), "%s.weight", d->name);
        ch4_weights_expect(w, CH4_SHAPE(d->out), "%s.bias", d->name);
        return;
    }
    float *m = ch4_weights_scratch(w, d->out * d->in), *v = ch4_weights_scratch(w, d->out);
    ch4_weights_read(w, m, CH4_SHAPE(d->out, d->in), "%s.weight", d->name);
    ch4_weights_read(w, v, CH4_SHAPE(d->out), "%s.bias", d->name);
    for (int64_t i = 0; d->negate && m && v && i < d->out * d->in; i++)
        m[i] = -m[i];
    for (int64_t i = 0; d->negate && m && v && i < d->out; i++)
        v[i] = -v[i];
    ch4_weights_put(w, d->w, m, CH4_SHAPE(d->out, d->in));
    ch4_weights_put(w, d->b, v, CH4_SHAPE(d->out));
}

static void load_norm(ch4_weights *w, ch4_tensor *g, ch4_tensor *b, int64_t width, const char *name, bool load)
{
    if (load) {
        ch4_weights_get(w, g, CH4_SHAPE(width), "%s.weight", name);
        ch4_weights_get(w, b, CH4_SHAPE(width), "%s.bias", name);
    } else {
        ch4_weights_expect(w, CH4_SHAPE(width), "%s.weight", name);
        ch4_weights_expect(w, CH4_SHAPE(width), "%s.bias", name);
    }
}

static void load(ch4_vae *v)
{
    const ch4_vae_config *c = &v->config;
    bool enc = v->parts & CH4_VAE_ENCODER, dec = v->parts & CH4_VAE_DECODER;
    int64_t d = c->latent_channels, f = feature_count(c);
    const dense layer[] = {
        {&v->enc_in_w, &v->enc_in_b, c->width_encoder, f + 3, "encoder.proj_in", enc, false},
        {&v->quant_w, &v->quant_b, 2 * d, c->width_encoder, "quant", enc, false},
        {&v->post_w, &v->post_b, c->width_decoder, d, "post_quant", dec, false},
        {&v->query_w, &v->query_b, c->width_decoder, f, "decoder.proj_query", dec, false},
        {&v->field_w, &v->field_b, 1, c->width_decoder, "decoder.proj_out", dec, true},
    };
    for (size_t i = 0; i < sizeof layer / sizeof *layer; i++)
        load_dense(v->weights, &layer[i]);
    load_norm(v->weights, &v->enc_out_g, &v->enc_out_b, c->width_encoder, "encoder.norm_out", enc);
    load_norm(v->weights, &v->dec_out_g, &v->dec_out_b, c->width_decoder, "decoder.norm_out", dec);
    load_blocks(v, v->enc, "encoder", c->width_encoder, c->layers_encoder, 0, enc);
    load_blocks(v, v->dec, "decoder", c->width_decoder, c->layers_decoder, c->layers_decoder, dec);
}

/* The network without its weights. */
static ch4_status make(ch4_vae **out, ch4_nn *nn, const ch4_vae_config *config, ch4_vae_part parts, ch4_err *err)
{
    ch4_vae *v = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&v, 1, sizeof *v, "vae", err);
    if (st)
        return st;
    *v = (ch4_vae){.nn = nn, .config = *config, .parts = parts, .space = {.nn = nn}};
    st = ch4_calloc(&v->enc, (size_t)config->layers_encoder + 1, sizeof *v->enc, "vae", err);
    if (!st)
        st = ch4_calloc(&v->dec, (size_t)config->layers_decoder + 1, sizeof *v->dec, "vae", err);
    if (!st)
        st = ch4_calloc(&v->head, (size_t)config->heads, sizeof *v->head, "vae", err);
    for (int h = 0; !st && h < (int)config->heads; h++)
        v->head[h] = h;
    if (st)
        ch4_vae_close(&v);
    *out = v;
    return st;
}

ch4_status ch4_vae_create(ch4_vae **out, ch4_nn *nn, const ch4_vae_config *config, const ch4_safetensors *weights, ch4_vae_part parts, ch4_err *err)
{
    ch4_vae *v;
    ch4_status st = make(&v, nn, config, parts, err);
    if (!st)
        st = ch4_weights_create(&v->weights, nn, weights, err);
    if (!st) {
        load(v);
        st = ch4_weights_finish(v->weights, err);
    }
    if (st)
        ch4_vae_close(&v);
    *out = v;
    return st;
}

ch4_status ch4_vae_survey(const ch4_vae_config *config, const ch4_safetensors *file, ch4_vae_part parts, ch4_weights_report *report, ch4_err *err)
{
    ch4_vae *v;
    ch4_status st = make(&v, NULL, config, parts, err);
    if (!st)
        st = ch4_weights_survey(&v->weights, file, report, err);
    if (!st) {
        load(v);
        st = ch4_weights_finish(v->weights, err);
    }
    ch4_vae_close(&v);
    return st;
}

ch4_status ch4_vae_open(ch4_vae **out, ch4_nn *nn, const char *dir, ch4_vae_part parts, ch4_err *err)
{
    json_t *json = NULL;
    ch4_safetensors *file = NULL;
    ch4_vae_config config;
    *out = NULL;
    ch4_status st = ch4_net_open_dir(&json, &file, dir, err);
    if (!st && (st = ch4_vae_config_parse(&config, json, err)))
        ch4_err_wrap(err, st, "%s/config.json", dir);
    if (!st)
        st = ch4_vae_create(out, nn, &config, file, parts, err);
    ch4_safetensors_close(&file);
    json_decref(json);
    return st;
}

void ch4_vae_close(ch4_vae **out)
{
    ch4_vae *v = *out;
    if (!v)
        return;
    ch4_space_free(&v->space);
    ch4_weights_destroy(&v->weights);
    free(v->enc);
    free(v->dec);
    free(v->head);
    free(v->host);
    free(v);
    *out = NULL;
}

const ch4_vae_config *ch4_vae_get_config(const ch4_vae *vae)
{
    return &vae->config;
}

static ch4_status host_reserve(ch4_vae *v, int64_t count, ch4_err *err)
{
    if ((size_t)count <= v->host_count)
        return CH4_OK;
    free(v->host);
    v->host = NULL;
    v->host_count = 0;
    ch4_status st = ch4_calloc(&v->host, (size_t)count, sizeof *v->host, "vae", err);
    if (!st)
        v->host_count = (size_t)count;
    return st;
}

/* --- encoder --- */

typedef struct encode_views {
    ch4_tensor cloud_features, cloud, scratch, kv, features, h[2], moments;
} encode_views;

static void encode_lay_out(ch4_vae *v, encode_views *e, int64_t P, int64_t N)
{
    const ch4_vae_config *c = &v->config;
    int64_t C = c->width_encoder, f = feature_count(c) + 3;
    ch4_space *s = &v->space;
    s->used = 0;
    e->cloud_features = ch4_space_take(s, CH4_SHAPE(P, f));
    e->cloud = ch4_space_take(s, CH4_SHAPE(1, P, C));
    e->scratch = ch4_space_take(s, CH4_SHAPE(P, C));
    e->kv = ch4_space_take(s, CH4_SHAPE(1, P, 2 * C));
    e->features = ch4_space_take(s, CH4_SHAPE(N, f));
    e->h[0] = ch4_space_take(s, CH4_SHAPE(1, N, C));
    e->h[1] = ch4_space_take(s, CH4_SHAPE(1, N, C));
    e->moments = ch4_space_take(s, CH4_SHAPE(1, N, 2 * c->latent_channels));
    ch4_block_work_take(&v->work, s, N, C, 4 * C, c->heads);
}

/* [frequency embedding, normal] of rows of the surface; index NULL takes them all. */
static void features(const ch4_vae *v, float *out, const float *surface, const int64_t *index, int64_t n)
{
    int64_t f = feature_count(&v->config) + 3;
    for (int64_t i = 0; i < n; i++) {
        const float *p = surface + 6 * (index ? index[i] : i);
        ch4_embed_points(out + i * f, f, p, 6, 1, (int)v->config.octaves, v->config.include_pi);
        memcpy(out + i * f + f - 3, p + 3, 3 * sizeof *out);
    }
}

static ch4_status embed_surface(ch4_vae *v, encode_views *e, const float *surface, int64_t P, const int64_t *index, int64_t N, ch4_err *err)
{
    ch4_nn *nn = v->nn;
    int64_t f = feature_count(&v->config) + 3;
    ch4_status st = host_reserve(v, ch4_max_i64(P, N) * f, err);
    if (st)
        return st;
    features(v, v->host, surface, NULL, P);
    ch4_tensor all = CH4_F32(v->host, P, f), some = CH4_F32(v->host, N, f), cloud = e->cloud, h = e->h[0];
    st = nn->ops->upload(nn, &e->cloud_features, &all, err);
    features(v, v->host, surface, index, N);
    if (!st)
        st = nn->ops->upload(nn, &e->features, &some, err);
    cloud = ch4_tensor_view(cloud.data, CH4_DTYPE_F32, CH4_SHAPE(P, v->config.width_encoder));
    h = ch4_tensor_view(h.data, CH4_DTYPE_F32, CH4_SHAPE(N, v->config.width_encoder));
    if (!st)
        st = nn->ops->linear(nn, &cloud, &(ch4_linear_in){.x = &e->cloud_features, .w = &v->enc_in_w, .bias = &v->enc_in_b}, err);
    if (!st)
        st = nn->ops->linear(nn, &h, &(ch4_linear_in){.x = &e->features, .w = &v->enc_in_w, .bias = &v->enc_in_b}, err);
    return st ? st : ch4_block_context(&v->enc[0], nn, &e->kv, &e->cloud, &e->scratch, err);
}

ch4_status ch4_vae_encode(ch4_vae *v, float *mean, float *logvar, const float *surface, int64_t P, const int64_t *index, int64_t N, const ch4_probe *probe,
                          ch4_err *err)
{
    if (!(v->parts & CH4_VAE_ENCODER) || P < 1 || N < 1)
        return ch4_err_set(err, CH4_EINVAL, "vae: encoding %" PRId64 " points to %" PRId64 " tokens with this network", P, N);
    for (int64_t i = 0; i < N; i++)
        if (index[i] < 0 || index[i] >= P)
            return ch4_err_set(err, CH4_EINVAL, "vae: query index %" PRId64 " in a cloud of %" PRId64 " points", index[i], P);
    encode_views e;
    ch4_buf held = v->space.buf;
    v->space.buf = (ch4_buf){0};
    encode_lay_out(v, &e, P, N);
    v->space.buf = held;
    ch4_status st = ch4_space_reserve(&v->space, err);
    if (st)
        return st;
    encode_lay_out(v, &e, P, N);
    st = embed_surface(v, &e, surface, P, index, N, err);
    ch4_block_run run = {.nn = v->nn, .frames = 1, .rows = N, .context_kv = &e.kv, .probe = probe, .work = &v->work};
    for (int64_t i = 0; !st && i <= v->config.layers_encoder; i++) {
        run.layer = (int)i;
        st = ch4_block_forward(&v->enc[i], &run, &e.h[(i + 1) % 2], &e.h[i % 2], NULL, err);
    }
    ch4_tensor h = e.h[(v->config.layers_encoder + 1) % 2];
    int64_t d = v->config.latent_channels;
    if (!st)
        st = v->nn->ops->layernorm(v->nn, &h, &h, &v->enc_out_g, &v->enc_out_b, 1e-5f, err);
    if (!st)
        st = ch4_probe_call(probe, v->nn, &(ch4_probe_event){.point = CH4_PROBE_NORM_OUT, .frames = 1, .rows = N, .x = &h}, err);
    if (!st)
        st = v->nn->ops->linear(v->nn, &e.moments, &(ch4_linear_in){.x = &h, .w = &v->quant_w, .bias = &v->quant_b}, err);
    if (!st)
        st = ch4_probe_call(probe, v->nn, &(ch4_probe_event){.point = CH4_PROBE_MOMENTS, .frames = 1, .rows = N, .x = &e.moments}, err);
    if (!st)
        st = host_reserve(v, N * 2 * d, err);
    if (st)
        return st;
    ch4_tensor host = CH4_F32(v->host, N, 2 * d);
    st = v->nn->ops->download(v->nn, &host, &e.moments, err);
    for (int64_t i = 0; !st && i < N; i++)
        for (int64_t k = 0; k < d; k++) {
            mean[i * d + k] = v->host[i * 2 * d + k];
            if (logvar)
                logvar[i * d + k] = fminf(fmaxf(v->host[i * 2 * d + d + k], -30.0f), 20.0f);
        }
    return st;
}

/* --- decoder --- */

ch4_status ch4_vae_cache_create(ch4_vae_cache **out, ch4_vae *v, const float *z, int64_t N, const ch4_probe *probe, ch4_err *err)
{
    *out = NULL;
    if (!(v->parts & CH4_VAE_DECODER) || N < 1)
        return ch4_err_set(err, CH4_EINVAL, "vae: decoding %" PRId64 " tokens with this network", N);
    ch4_vae_cache *cache = NULL;
    int64_t C = v->config.width_decoder, L = v->config.layers_decoder;
    ch4_tensor latent, h[2], host = CH4_F32((void *)(uintptr_t)z, N, v->config.latent_channels);
    ch4_space *s = &v->space;
    ch4_buf held = s->buf;
    ch4_status st = ch4_calloc(&cache, 1, sizeof *cache, "vae cache", err);
    for (int pass = 0; !st && pass < 2; pass++) {
        s->buf = pass ? held : (ch4_buf){0};
        s->used = 0;
        latent = ch4_space_take(s, CH4_SHAPE(N, v->config.latent_channels));
        h[0] = ch4_space_take(s, CH4_SHAPE(1, N, C));
        h[1] = ch4_space_take(s, CH4_SHAPE(1, N, C));
        ch4_block_work_take(&v->work, s, N, C, 4 * C, v->config.heads);
        if (!pass) {
            s->buf = held;
            st = ch4_space_reserve(s, err);
            held = s->buf;
        }
    }
    if (!st) {
        cache->nn = v->nn;
        st = v->nn->ops->alloc(v->nn, &cache->buf, (size_t)(N * 2 * C) * sizeof(float), err);
    }
    if (!st)
        st = v->nn->ops->upload(v->nn, &latent, &host, err);
    if (!st) {
        ch4_tensor rows = ch4_tensor_view(h[0].data, CH4_DTYPE_F32, CH4_SHAPE(N, C));
        st = v->nn->ops->linear(v->nn, &rows, &(ch4_linear_in){.x = &latent, .w = &v->post_w, .bias = &v->post_b}, err);
    }
    ch4_block_run run = {.nn = v->nn, .frames = 1, .rows = N, .probe = probe, .work = &v->work};
    if (!st)
        st = ch4_probe_call(probe, v->nn, &(ch4_probe_event){.point = CH4_PROBE_BLOCK_IN, .frames = 1, .rows = N, .x = &h[0]}, err);
    for (int64_t i = 0; !st && i < L; i++) {
        run.layer = (int)i;
        st = ch4_block_forward(&v->dec[i], &run, &h[(i + 1) % 2], &h[i % 2], NULL, err);
    }
    if (!st) {
        cache->kv = ch4_tensor_view(cache->buf.data, CH4_DTYPE_F32, CH4_SHAPE(1, N, 2 * C));
        st = ch4_block_context(&v->dec[L], v->nn, &cache->kv, &h[L % 2], &v->work.norm, err);
    }
    if (st)
        ch4_vae_cache_destroy(&cache);
    *out = cache;
    return st;
}

void ch4_vae_cache_destroy(ch4_vae_cache **cache)
{
    if (!*cache)
        return;
    if ((*cache)->nn)
        (*cache)->nn->ops->release((*cache)->nn, &(*cache)->buf);
    free(*cache);
    *cache = NULL;
}

typedef struct query_views {
    ch4_tensor features, u, out, q, field, map;
} query_views;

static void query_lay_out(ch4_vae *v, query_views *e, int64_t Q, int64_t N)
{
    int64_t C = v->config.width_decoder;
    ch4_space *s = &v->space;
    s->used = 0;
    e->features = ch4_space_take(s, CH4_SHAPE(Q, feature_count(&v->config)));
    e->u = ch4_space_take(s, CH4_SHAPE(1, Q, C));
    e->out = ch4_space_take(s, CH4_SHAPE(1, Q, C));
    e->q = ch4_space_take(s, CH4_SHAPE(1, Q, C));
    e->field = ch4_space_take(s, CH4_SHAPE(Q, 1));
    e->map = ch4_space_take(s, CH4_SHAPE(1, Q, N));
    ch4_block_work_take(&v->work, s, Q, C, 4 * C, v->config.heads);
}

ch4_status ch4_vae_workspace(size_t *encode, size_t *decode, const ch4_vae_config *config, int64_t P, int64_t N, ch4_err *err)
{
    ch4_vae *v;
    encode_views e;
    query_views q;
    *encode = *decode = 0;
    ch4_status st = make(&v, NULL, config, CH4_VAE_BOTH, err);
    if (st)
        return st;
    encode_lay_out(v, &e, P, N);
    *encode = v->space.used;
    query_lay_out(v, &q, QUERY_CHUNK, N);
    *decode = v->space.used + (size_t)(N * 2 * config->width_decoder) * sizeof(float);
    ch4_vae_close(&v);
    return CH4_OK;
}

/* Head mean of the attention of the points in u; their queries are computed here, apart from the block. */
static ch4_status query_map(ch4_vae *v, const ch4_vae_cache *cache, query_views *e, int64_t Q, float *attention, ch4_err *err)
{
    const ch4_block *b = &v->dec[v->config.layers_decoder];
    int64_t N = cache->kv.shape[1], C = b->width, H = b->heads;
    ch4_status st = ch4_block_cross_queries(b, v->nn, &e->q, &e->u, &v->work.norm, err);
    if (st)
        return st;
    ch4_tensor q = ch4_block_heads(&e->q, 1, Q, H, C / H, 0), k = ch4_block_heads(&cache->kv, 1, N, H, C / H, 0), host = CH4_F32(attention, 1, Q, N);
    const ch4_attention_map_in in = {.q = &q, .k = &k, .heads = v->head, .n_heads = (int)H, .scale = 1.0f / sqrtf((float)(C / H)), .weight = 1.0f / (float)H};
    st = v->nn->ops->attention_map(v->nn, &e->map, &in, err);
    return st ? st : v->nn->ops->download(v->nn, &host, &e->map, err);
}

static ch4_status query_field(ch4_vae *v, const ch4_vae_cache *cache, query_views *e, int64_t Q, float *field, const ch4_probe *probe, ch4_err *err)
{
    int64_t L = v->config.layers_decoder;
    ch4_block_run run = {.nn = v->nn, .layer = (int)L, .frames = 1, .rows = Q, .context_kv = &cache->kv, .probe = probe, .work = &v->work};
    ch4_status st = ch4_block_forward(&v->dec[L], &run, &e->out, &e->u, NULL, err);
    ch4_tensor u = ch4_tensor_view(e->out.data, CH4_DTYPE_F32, CH4_SHAPE(Q, v->config.width_decoder)), host = CH4_F32(field, Q, 1);
    if (!st)
        st = v->nn->ops->layernorm(v->nn, &u, &u, &v->dec_out_g, &v->dec_out_b, 1e-5f, err);
    if (!st)
        st = v->nn->ops->linear(v->nn, &e->field, &(ch4_linear_in){.x = &u, .w = &v->field_w, .bias = &v->field_b}, err);
    return st ? st : v->nn->ops->download(v->nn, &host, &e->field, err);
}

static ch4_status query_chunk(ch4_vae *v, const ch4_vae_cache *cache, float *field, float *attention, const float *points, int64_t Q, const ch4_probe *probe,
                              ch4_err *err)
{
    query_views e;
    int64_t f = feature_count(&v->config);
    query_lay_out(v, &e, Q, cache->kv.shape[1]);
    ch4_embed_points(v->host, f, points, 3, Q, (int)v->config.octaves, v->config.include_pi);
    ch4_tensor host = CH4_F32(v->host, Q, f), u = ch4_tensor_view(e.u.data, CH4_DTYPE_F32, CH4_SHAPE(Q, v->config.width_decoder));
    ch4_status st = v->nn->ops->upload(v->nn, &e.features, &host, err);
    if (!st)
        st = v->nn->ops->linear(v->nn, &u, &(ch4_linear_in){.x = &e.features, .w = &v->query_w, .bias = &v->query_b}, err);
    if (!st)
        st = ch4_probe_call(probe, v->nn, &(ch4_probe_event){.point = CH4_PROBE_BLOCK_IN, .layer = (int)v->config.layers_decoder, .frames = 1, .rows = Q, .x = &e.u}, err);
    if (!st && attention)
        st = query_map(v, cache, &e, Q, attention, err);
    return st || !field ? st : query_field(v, cache, &e, Q, field, probe, err);
}

ch4_status ch4_vae_query(ch4_vae *v, const ch4_vae_cache *cache, float *field, float *attention, const float *points, int64_t Q, const ch4_probe *probe,
                         ch4_err *err)
{
    if (!(v->parts & CH4_VAE_DECODER) || Q < 0)
        return ch4_err_set(err, CH4_EINVAL, "vae: decoding %" PRId64 " points with this network", Q);
    int64_t N = cache->kv.shape[1], most = ch4_min_i64(Q, QUERY_CHUNK);
    query_views e;
    ch4_buf held = v->space.buf;
    v->space.buf = (ch4_buf){0};
    query_lay_out(v, &e, most, N);
    v->space.buf = held;
    ch4_status st = ch4_space_reserve(&v->space, err);
    if (!st)
        st = host_reserve(v, most * feature_count(&v->config), err);
    for (int64_t i = 0; !st && i < Q; i += QUERY_CHUNK)
        st = query_chunk(v, cache, field ? field + i : NULL, attention ? attention + i * N : NULL, points + 3 * i, ch4_min_i64(QUERY_CHUNK, Q - i), probe, err);
    return st;
}
