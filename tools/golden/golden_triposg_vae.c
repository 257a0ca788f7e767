/* Kinds triposg_vae_decode and triposg_vae_encode. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "golden_nn.h"
#include "model/embed.h"
#include "model/vae.h"

/* Gathers what the events of one batch item hold into arrays over the whole batch, then checks them by name. */
typedef struct gather {
    ch4_golden_case *c;
    int64_t batch, item, n_out;
    struct {
        char name[48];
        float *values;
        int64_t per_item;
    } out[160];
} gather;

static ch4_status put(gather *g, const float *values, int64_t count, ch4_err *err, const char *fmt, int layer)
{
    char name[48];
    snprintf(name, sizeof name, fmt, layer);
    if (!ch4_golden_has(g->c, "out.%s", name))
        return CH4_OK;
    int64_t k = 0;
    while (k < g->n_out && strcmp(g->out[k].name, name) != 0)
        k++;
    if (k == g->n_out) {
        if (k == (int64_t)(sizeof g->out / sizeof *g->out))
            return ch4_err_set(err, CH4_EFORMAT, "more records than this kind can gather");
        ch4_status st = ch4_golden_alloc(g->c, &g->out[k].values, (size_t)(g->batch * count), sizeof(float), err);
        if (st)
            return st;
        snprintf(g->out[k].name, sizeof g->out[k].name, "%s", name);
        g->out[k].per_item = count;
        g->n_out++;
    }
    if (g->out[k].per_item != count)
        return ch4_err_set(err, CH4_EFORMAT, "%s: batch items of different sizes", name);
    memcpy(g->out[k].values + g->item * count, values, (size_t)count * sizeof *values);
    return CH4_OK;
}

static ch4_status put_view(gather *g, ch4_nn *nn, const ch4_tensor *view, ch4_err *err, const char *fmt, int layer)
{
    float *values;
    ch4_status st = ch4_golden_snapshot(g->c, nn, &values, view, err);
    return st ? st : put(g, values, ch4_tensor_count(view), err, fmt, layer);
}

static void check_all(gather *g)
{
    for (int64_t k = 0; k < g->n_out; k++)
        ch4_golden_check_f32(g->c, g->out[k].values, g->batch * g->out[k].per_item, "%s", g->out[k].name);
}

static ch4_status put_cross(gather *g, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    float *map;
    const ch4_tensor *qkv[3] = {e->q, e->k, e->v};
    static const char *const name[3] = {"cross_q", "cross_k", "cross_v"};
    ch4_status st = ch4_golden_head_maps(g->c, nn, &map, e, err);
    if (!st)
        st = put(g, map, e->q->shape[1] * e->q->shape[2] * e->k->shape[2], err, "cross_attn_heads", 0);
    if (!st)
        st = ch4_golden_mean_map(g->c, nn, &map, e, err);
    if (!st && !ch4_golden_has(g->c, "out.kv_cache")) /* the decoder's mean comes from the query function itself */
        st = put(g, map, e->q->shape[2] * e->k->shape[2], err, "cross_attn_mean", 0);
    for (int i = 0; !st && i < 3; i++)
        st = put_view(g, nn, qkv[i], err, name[i], 0);
    return st;
}

/* --- decode ---------------------------------------------------------------------------------------------------------------- */

typedef struct decode_probe {
    gather *g;
    int64_t layers; /* self blocks */
} decode_probe;

static ch4_status on_decode(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    decode_probe *p = ctx;
    switch (e->point) {
    case CH4_PROBE_BLOCK_IN: return put_view(p->g, nn, e->x, err, e->layer == p->layers ? "query_proj" : "post_quant", 0);
    case CH4_PROBE_CROSS: return put_cross(p->g, nn, e, err);
    case CH4_PROBE_BLOCK_OUT:
        if (e->layer == p->layers)
            return put_view(p->g, nn, e->x, err, "cross_block", 0);
        return e->layer == p->layers - 1 ? put_view(p->g, nn, e->x, err, "kv_cache", 0) : put_view(p->g, nn, e->x, err, "decoder_block.%d", e->layer);
    default: return CH4_OK;
    }
}

static ch4_status decode_item(ch4_golden_case *c, ch4_vae *vae, gather *g, const ch4_tensor *z, const ch4_tensor *points, ch4_err *err)
{
    const ch4_vae_config *config = ch4_vae_get_config(vae);
    int64_t N = z->shape[1], Q = points->shape[1], width = 3 + 6 * config->octaves;
    const float *latent = (const float *)z->data + g->item * N * z->shape[2], *p = (const float *)points->data + g->item * Q * 3;
    decode_probe probe = {g, config->layers_decoder};
    ch4_vae_cache *cache = NULL;
    float *embed, *field, *map;
    ch4_status st = ch4_golden_alloc(c, &embed, (size_t)(Q * width), sizeof *embed, err);
    if (!st)
        st = ch4_golden_alloc(c, &field, (size_t)Q, sizeof *field, err);
    if (!st)
        st = ch4_golden_alloc(c, &map, (size_t)(Q * N), sizeof *map, err);
    if (!st) {
        ch4_embed_points(embed, width, p, 3, Q, (int)config->octaves, config->include_pi);
        st = put(g, embed, Q * width, err, "query_embed", 0);
    }
    if (!st)
        st = ch4_vae_cache_create(&cache, vae, latent, N, &(ch4_probe){on_decode, &probe}, err);
    if (!st)
        st = ch4_vae_query(vae, cache, field, map, p, Q, &(ch4_probe){on_decode, &probe}, err);
    if (!st)
        st = put(g, field, Q, err, "logits", 0);
    if (!st)
        st = put(g, map, Q * N, err, "cross_attn_mean", 0);
    ch4_vae_cache_destroy(&cache);
    return st;
}

ch4_status ch4_golden_triposg_vae_decode(ch4_golden_case *c, ch4_err *err)
{
    ch4_tensor z, points;
    ch4_vae_config config;
    ch4_nn *nn = NULL;
    ch4_vae *vae = NULL;
    gather *g;
    ch4_status st = ch4_golden_input(c, &z, 3, "latents", err);
    if (!st)
        st = ch4_golden_input(c, &points, 3, "queries", err);
    if (!st)
        st = ch4_golden_alloc(c, &g, 1, sizeof *g, err);
    if (!st)
        st = ch4_vae_config_parse(&config, ch4_golden_json(c, "model"), err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = ch4_vae_create(&vae, nn, &config, c->weights, CH4_VAE_DECODER, err);
    if (!st) {
        g->c = c;
        g->batch = z.shape[0];
        for (; !st && g->item < g->batch; g->item++)
            st = decode_item(c, vae, g, &z, &points, err);
        if (!st)
            check_all(g);
    }
    ch4_vae_close(&vae);
    ch4_nn_close(&nn);
    return st;
}

/* --- encode ---------------------------------------------------------------------------------------------------------------- */

static ch4_status on_encode(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    gather *g = ctx;
    switch (e->point) {
    case CH4_PROBE_CROSS: return put_cross(g, nn, e, err);
    case CH4_PROBE_BLOCK_OUT: return put_view(g, nn, e->x, err, "encoder_block.%d", e->layer);
    case CH4_PROBE_NORM_OUT: return put_view(g, nn, e->x, err, "encoder_out", 0);
    case CH4_PROBE_MOMENTS: return put_view(g, nn, e->x, err, "moments", 0);
    default: return CH4_OK;
    }
}

/* [frequency embedding, normal] of rows of the cloud, as the encoder forms them. */
static ch4_status put_features(gather *g, const ch4_vae_config *config, const float *surface, const int64_t *index, int64_t n, const char *name, ch4_err *err)
{
    int64_t width = 6 + 6 * config->octaves;
    float *out;
    ch4_status st = ch4_golden_alloc(g->c, &out, (size_t)(n * width), sizeof *out, err);
    for (int64_t i = 0; !st && i < n; i++) {
        const float *p = surface + 6 * (index ? index[i] : i);
        ch4_embed_points(out + i * width, width, p, 6, 1, (int)config->octaves, config->include_pi);
        memcpy(out + (i + 1) * width - 3, p + 3, 3 * sizeof *out);
    }
    return st ? st : put(g, out, n * width, err, name, 0);
}

/* The sampler alone: positions in the preselection, in order. */
static ch4_status check_sampler(ch4_golden_case *c, const ch4_tensor *surface, int64_t N, ch4_err *err)
{
    ch4_tensor pre;
    float *points;
    int64_t *index;
    ch4_status st = ch4_golden_tensor(c, &pre, CH4_DTYPE_I64, err, "in.preselect_indices");
    if (!st)
        st = ch4_golden_alloc(c, &points, (size_t)(3 * pre.shape[0]), sizeof *points, err);
    if (!st)
        st = ch4_golden_alloc(c, &index, (size_t)N, sizeof *index, err);
    for (int64_t i = 0; !st && i < pre.shape[0]; i++)
        memcpy(points + 3 * i, (const float *)surface->data + 6 * ((const int64_t *)pre.data)[i], 3 * sizeof *points);
    if (!st)
        st = ch4_vae_farthest(index, N, points, 3, pre.shape[0], err);
    if (!st)
        ch4_golden_check_index(c, index, N, NULL, N, 0, "in.fps_indices_in_preselect");
    return st;
}

static ch4_status encode_all(ch4_golden_case *c, ch4_vae *vae, const ch4_tensor *surface, const ch4_tensor *index, ch4_err *err)
{
    const ch4_vae_config *config = ch4_vae_get_config(vae);
    int64_t N = ch4_tensor_count(index), d = config->latent_channels, P = surface->shape[1];
    gather *g;
    float *mean, *logvar, *std;
    ch4_status st = ch4_golden_alloc(c, &g, 1, sizeof *g, err);
    if (!st)
        st = ch4_golden_alloc(c, &mean, (size_t)(N * d), sizeof *mean, err);
    if (!st)
        st = ch4_golden_alloc(c, &logvar, (size_t)(N * d), sizeof *logvar, err);
    if (!st)
        st = ch4_golden_alloc(c, &std, (size_t)(N * d), sizeof *std, err);
    if (st)
        return st;
    g->c = c;
    g->batch = 1;
    st = put_features(g, config, surface->data, index->data, N, "query_features", err);
    if (!st)
        st = put_features(g, config, surface->data, NULL, P, "cloud_features", err);
    if (!st)
        st = ch4_vae_encode(vae, mean, logvar, surface->data, P, index->data, N, &(ch4_probe){on_encode, g}, err);
    if (st)
        return st;
    for (int64_t i = 0; i < N * d; i++)
        std[i] = expf(0.5f * logvar[i]);
    check_all(g);
    ch4_golden_check_f32(c, mean, N * d, "mean");
    ch4_golden_check_f32(c, logvar, N * d, "logvar");
    ch4_golden_check_f32(c, std, N * d, "std");
    return CH4_OK;
}

ch4_status ch4_golden_triposg_vae_encode(ch4_golden_case *c, ch4_err *err)
{
    ch4_tensor surface, index;
    ch4_vae_config config;
    ch4_nn *nn = NULL;
    ch4_vae *vae = NULL;
    ch4_status st = ch4_golden_input(c, &surface, 3, "surface", err);
    if (!st && surface.shape[0] != 1)
        st = ch4_err_set(err, CH4_EFORMAT, "in.surface: one batch item wanted");
    if (!st)
        st = ch4_golden_tensor(c, &index, CH4_DTYPE_I64, err, "in.fps_indices");
    if (!st)
        st = ch4_vae_config_parse(&config, ch4_golden_json(c, "model"), err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = ch4_vae_create(&vae, nn, &config, c->weights, CH4_VAE_ENCODER, err);
    if (!st)
        st = encode_all(c, vae, &surface, &index, err);
    if (!st && ch4_golden_has(c, "in.preselect_indices"))
        st = check_sampler(c, &surface, ch4_tensor_count(&index), err);
    ch4_vae_close(&vae);
    ch4_nn_close(&nn);
    return st;
}
