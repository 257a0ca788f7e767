/* Kind autoencoder_stage2: the temporal decoder of ActionMesh. */
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "golden_nn.h"
#include "model/embed.h"
#include "model/temporal_decoder.h"

typedef struct stage2_in {
    ch4_tensor z, framestep, source, target, query;
    int64_t T, N, V, n_targets;
} stage2_in;

typedef struct recorder {
    ch4_golden_case *c;
    int64_t layers, target;
} recorder;

static ch4_status load_inputs(ch4_golden_case *c, stage2_in *in, ch4_err *err)
{
    ch4_status st = ch4_golden_input(c, &in->z, 4, "latent", err);
    if (!st)
        st = ch4_golden_input(c, &in->framestep, 2, "framestep", err);
    if (!st)
        st = ch4_golden_input(c, &in->source, 1, "source_alpha", err);
    if (!st)
        st = ch4_golden_input(c, &in->target, 2, "target_alphas", err);
    if (!st)
        st = ch4_golden_input(c, &in->query, 3, "query", err);
    if (!st && (in->z.shape[0] != 1 || in->query.shape[0] != 1 || in->query.shape[2] != 6 || in->framestep.shape[1] != in->z.shape[1]))
        st = ch4_err_set(err, CH4_EFORMAT, "one batch item of latents [T,N,d], T frame numbers and vertices [V,6] wanted");
    if (st)
        return st;
    in->T = in->z.shape[1];
    in->N = in->z.shape[2];
    in->V = in->query.shape[1];
    in->n_targets = in->target.shape[1];
    return CH4_OK;
}

static ch4_status check_mean(recorder *r, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    float *map;
    if (!ch4_golden_has(r->c, "out.self_attn_mean.last_layer.%d", (int)r->target))
        return CH4_OK;
    ch4_status st = ch4_golden_mean_map(r->c, nn, &map, e, err);
    if (!st)
        ch4_golden_check_f32(r->c, map, e->q->shape[2] * e->k->shape[2], "self_attn_mean.last_layer.%d", (int)r->target);
    return st;
}

static ch4_status on_target(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    recorder *r = ctx;
    switch (e->point) {
    case CH4_PROBE_BLOCK_IN: return ch4_golden_check_view(r->c, nn, e->x, err, "sequence_in.%d", (int)r->target);
    case CH4_PROBE_SELF: return e->layer == r->layers - 1 ? check_mean(r, nn, e, err) : CH4_OK;
    case CH4_PROBE_BLOCK_OUT: return e->layer == r->layers - 1 ? ch4_golden_check_view(r->c, nn, e->x, err, "kv_cache.%d", (int)r->target) : CH4_OK;
    default: return CH4_OK;
    }
}

typedef struct cross_rows {
    ch4_golden_case *c;
    float *rows; /* next rows of the map over all targets */
} cross_rows;

static ch4_status on_query(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    cross_rows *r = ctx;
    float *map;
    if (e->point != CH4_PROBE_CROSS)
        return CH4_OK;
    int64_t n = e->q->shape[2] * e->k->shape[2];
    ch4_status st = ch4_golden_mean_map(r->c, nn, &map, e, err);
    if (!st)
        memcpy(r->rows, map, (size_t)n * sizeof *map);
    r->rows += n;
    return st;
}

/* The rotation of every row of the sequence, each number once per half of its pair as recorded. */
static ch4_status check_tables(ch4_golden_case *c, const stage2_in *in, int64_t head_dim, ch4_err *err)
{
    int64_t rows = in->T * (in->N + 1), half = head_dim / 2;
    float *table[2], *wide;
    ch4_status st = ch4_golden_alloc(c, &table[0], (size_t)(2 * in->T * half), sizeof **table, err);
    if (!st)
        st = ch4_golden_alloc(c, &wide, (size_t)(rows * head_dim), sizeof *wide, err);
    if (st)
        return st;
    table[1] = table[0] + in->T * half;
    ch4_embed_rope(table[0], table[1], in->framestep.data, in->T, head_dim);
    for (int k = 0; k < 2; k++) {
        for (int64_t r = 0; r < rows; r++) {
            int64_t frame = r < in->T * in->N ? r / in->N : r - in->T * in->N;
            for (int64_t d = 0; d < head_dim; d++)
                wide[r * head_dim + d] = table[k][frame * half + d / 2];
        }
        ch4_golden_check_f32(c, wide, rows * head_dim, "rope_%s", k ? "sin" : "cos");
    }
    return CH4_OK;
}

/* What becomes of the output: names as recorded, "applied_<mode>[_scale<number>]". */
static ch4_status check_applied(ch4_golden_case *c, const stage2_in *in, const float *o, ch4_err *err)
{
    static const struct {
        const char *name;
        ch4_temporal_mode mode;
        float scale;
    } way[] = {{"applied_direct", CH4_TEMPORAL_DIRECT, 1.0f},
               {"applied_residual", CH4_TEMPORAL_RESIDUAL, 1.0f},
               {"applied_residual_scale0.8", CH4_TEMPORAL_RESIDUAL, 0.8f}};
    float *p;
    int64_t n = 3 * in->V;
    ch4_status st = ch4_golden_alloc(c, &p, (size_t)(in->n_targets * n), sizeof *p, err);
    for (size_t i = 0; !st && i < sizeof way / sizeof *way; i++) {
        for (int64_t t = 0; t < in->n_targets; t++)
            ch4_temporal_decoder_apply(p + t * n, o + t * n, in->query.data, in->V, way[i].mode, way[i].scale);
        ch4_golden_check_f32(c, p, in->n_targets * n, "%s", way[i].name);
    }
    return st;
}

static ch4_status run_targets(ch4_golden_case *c, ch4_temporal_decoder *dec, const stage2_in *in, ch4_err *err)
{
    int64_t S = in->T * (in->N + 1);
    recorder r = {c, ch4_temporal_decoder_get_config(dec)->layers, 0};
    cross_rows cross = {.c = c};
    float *o, *maps;
    ch4_status st = ch4_golden_alloc(c, &o, (size_t)(in->n_targets * in->V * 3), sizeof *o, err);
    if (!st)
        st = ch4_golden_alloc(c, &maps, (size_t)(in->n_targets * in->V * S), sizeof *maps, err);
    if (!st)
        st = ch4_temporal_decoder_begin(dec, in->z.data, in->framestep.data, in->T, in->N, err);
    cross.rows = maps;
    for (; !st && r.target < in->n_targets; r.target++) {
        st = ch4_temporal_decoder_target(dec, ((const float *)in->source.data)[0], ((const float *)in->target.data)[r.target], &(ch4_probe){on_target, &r}, err);
        if (!st)
            st = ch4_temporal_decoder_query(dec, o + 3 * in->V * r.target, in->query.data, in->V, &(ch4_probe){on_query, &cross}, err);
    }
    if (st)
        return st;
    ch4_golden_check_f32(c, maps, in->n_targets * in->V * S, "cross_attn_mean");
    ch4_golden_check_f32(c, o, in->n_targets * in->V * 3, "displacement");
    return check_applied(c, in, o, err);
}

ch4_status ch4_golden_autoencoder_stage2(ch4_golden_case *c, ch4_err *err)
{
    stage2_in in;
    ch4_temporal_decoder_config config;
    ch4_nn *nn = NULL;
    ch4_temporal_decoder *dec = NULL;
    ch4_status st = load_inputs(c, &in, err);
    if (!st)
        st = ch4_temporal_decoder_config_parse(&config, ch4_golden_json(c, "model"), err);
    if (!st)
        st = check_tables(c, &in, config.width / config.heads, err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = ch4_temporal_decoder_create(&dec, nn, &config, c->weights, err);
    if (!st)
        st = run_targets(c, dec, &in, err);
    ch4_temporal_decoder_close(&dec);
    ch4_nn_close(&nn);
    return st;
}
