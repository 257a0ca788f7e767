/* Kinds denoiser_forward, denoiser_sample4, triposg_dit_forward: the flow networks, block by block and with their attention, and their samplers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "golden_nn.h"
#include "model/capture.h"
#include "model/denoiser.h"
#include "model/embed.h"
#include "model/sampler.h"

/* Checks whatever an event of the pass has a record for; names begin with `prefix`. */
typedef struct recorder {
    ch4_golden_case *c;
    const char *prefix;
    int64_t anchor;
    ch4_capture *capture[CH4_MAX_LAYERS]; /* of the layers whose anchor block is recorded */
} recorder;

static ch4_status check_self(recorder *r, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    ch4_golden_case *c = r->c;
    ch4_status st = CH4_OK;
    float *map;
    if (ch4_golden_has(c, "out.%sself_attn_heads.%d", r->prefix, e->layer)) {
        st = ch4_golden_head_maps(c, nn, &map, e, err);
        if (!st)
            ch4_golden_check_f32(c, map, e->q->shape[0] * e->q->shape[1] * e->q->shape[2] * e->k->shape[2], "%sself_attn_heads.%d", r->prefix, e->layer);
    }
    if (!st && ch4_golden_has(c, "out.%sself_attn_perframe.%d", r->prefix, e->layer)) {
        st = ch4_golden_mean_map(c, nn, &map, e, err);
        if (!st)
            ch4_golden_check_f32(c, map, e->q->shape[0] * e->q->shape[2] * e->k->shape[2], "%sself_attn_perframe.%d", r->prefix, e->layer);
    }
    if (!st && e->joint && ch4_golden_has(c, "out.%sself_attn_anchor.%d", r->prefix, e->layer)) {
        ch4_tensor q = ch4_tensor_slice(e->q, 2, r->anchor * e->rows, e->rows), lse = ch4_tensor_slice(e->lse, 2, r->anchor * e->rows, e->rows);
        ch4_probe_event rows = *e;
        rows.q = &q;
        rows.lse = &lse;
        st = ch4_golden_mean_map(c, nn, &map, &rows, err);
        if (!st)
            ch4_golden_check_f32(c, map, e->rows * e->k->shape[2], "%sself_attn_anchor.%d", r->prefix, e->layer);
    }
    const ch4_tensor *qkv[3] = {e->q, e->k, e->v};
    for (int i = 0; !st && i < 3; i++)
        st = ch4_golden_check_view(c, nn, qkv[i], err, "%sself_%c.%d", r->prefix, "qkv"[i], e->layer);
    return st;
}

static ch4_status check_cross(recorder *r, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    ch4_golden_case *c = r->c;
    ch4_status st = CH4_OK;
    float *map;
    if (ch4_golden_has(c, "out.%scross_attn_heads.%d", r->prefix, e->layer)) {
        st = ch4_golden_head_maps(c, nn, &map, e, err);
        if (!st)
            ch4_golden_check_f32(c, map, e->q->shape[0] * e->q->shape[1] * e->q->shape[2] * e->k->shape[2], "%scross_attn_heads.%d", r->prefix, e->layer);
    }
    if (!st && ch4_golden_has(c, "out.%scross_attn_notime.%d", r->prefix, e->layer)) {
        ch4_tensor q = ch4_tensor_slice(e->q, 2, 1, e->rows - 1), lse = ch4_tensor_slice(e->lse, 2, 1, e->rows - 1);
        ch4_probe_event rows = *e;
        rows.q = &q;
        rows.lse = &lse;
        st = ch4_golden_mean_map(c, nn, &map, &rows, err);
        if (!st)
            ch4_golden_check_f32(c, map, e->frames * (e->rows - 1) * e->k->shape[2], "%scross_attn_notime.%d", r->prefix, e->layer);
    }
    const ch4_tensor *qkv[3] = {e->q, e->k, e->v};
    for (int i = 0; !st && i < 3; i++)
        st = ch4_golden_check_view(c, nn, qkv[i], err, "%scross_%c.%d", r->prefix, "qkv"[i], e->layer);
    return st;
}

static ch4_status on_event(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    recorder *r = ctx;
    ch4_status st = CH4_OK;
    switch (e->point) {
    case CH4_PROBE_TIME: return ch4_golden_check_view(r->c, nn, e->x, err, "time_token");
    case CH4_PROBE_BLOCK_IN: return ch4_golden_check_view(r->c, nn, e->x, err, "block_in");
    case CH4_PROBE_BLOCK_OUT: return ch4_golden_check_view(r->c, nn, e->x, err, "%sblock.%d", r->prefix, e->layer);
    case CH4_PROBE_SELF: st = check_self(r, nn, e, err); break;
    case CH4_PROBE_CROSS: st = check_cross(r, nn, e, err); break;
    default: return CH4_OK;
    }
    if (!st && r->capture[e->layer]) {
        const ch4_probe *p = ch4_capture_probe(r->capture[e->layer], true, true);
        st = p->fn(p->ctx, nn, e, err);
    }
    return st;
}

/* One capture per layer, all heads, rows of the anchor: what the records hold as [N,T,N] the capture gives as [T,N,N]. */
static ch4_status start_capture(recorder *r, ch4_nn *nn, const ch4_denoiser_config *config, int layer, int64_t T, int64_t N, int64_t S, ch4_err *err)
{
    ch4_capture_config g = {.n_layers = 1, .direction = CH4_ANCHOR_TO_FRAME, .anchor_slot = (int)r->anchor};
    g.layer[0].layer = layer;
    return ch4_capture_create(&r->capture[layer], nn, &g, T, N, S, config->num_heads, err);
}

/* [T,N,N] of a capture as [N,T,N] */
static ch4_status read_capture(recorder *r, int layer, float *out, int64_t T, int64_t N, ch4_err *err)
{
    float *raw;
    ch4_status st = ch4_golden_alloc(r->c, &raw, (size_t)(T * N * N), sizeof *raw, err);
    if (!st)
        st = ch4_capture_read(r->capture[layer], raw, NULL, NULL, err);
    for (int64_t f = 0; !st && f < T; f++)
        for (int64_t t = 0; t < N; t++)
            memcpy(out + (t * T + f) * N, raw + (f * N + t) * N, (size_t)N * sizeof *out);
    return st;
}

static void stop_captures(recorder *r)
{
    for (int i = 0; i < CH4_MAX_LAYERS; i++)
        ch4_capture_destroy(&r->capture[i]);
}

/* --- denoiser_forward ------------------------------------------------------------------------------------------------------ */

typedef struct forward_in {
    ch4_tensor x, context, framestep, mask, time;
    float *frame_time; /* [T] */
    int64_t T, N, d, S;
} forward_in;

static ch4_status load_forward(ch4_golden_case *c, forward_in *in, ch4_err *err)
{
    ch4_status st = ch4_golden_input(c, &in->x, 4, "hidden_states", err);
    if (!st)
        st = ch4_golden_input(c, &in->context, 4, "context", err);
    if (!st)
        st = ch4_golden_input(c, &in->framestep, 2, "framestep", err);
    if (!st)
        st = ch4_golden_input(c, &in->mask, 2, "mask", err);
    if (!st)
        st = ch4_golden_input(c, &in->time, 1, "diffusion_time", err);
    if (!st && in->x.shape[0] != 1)
        st = ch4_err_set(err, CH4_EFORMAT, "in.hidden_states: one batch item wanted");
    if (st)
        return st;
    in->T = in->x.shape[1];
    in->N = in->x.shape[2];
    in->d = in->x.shape[3];
    in->S = in->context.shape[2];
    st = ch4_golden_alloc(c, &in->frame_time, (size_t)in->T, sizeof *in->frame_time, err);
    for (int64_t f = 0; !st && f < in->T; f++)
        in->frame_time[f] = ((const float *)in->time.data)[0] * (1.0f - ((const float *)in->mask.data)[f]);
    return st;
}

/* The small tables before the network. */
static ch4_status check_tables(ch4_golden_case *c, const forward_in *in, const ch4_denoiser_config *config, ch4_err *err)
{
    int64_t W = config->width, D = W / config->num_heads;
    float *sinusoid, *table[2], *wide;
    ch4_status st = ch4_golden_alloc(c, &sinusoid, (size_t)(in->T * W), sizeof *sinusoid, err);
    for (int i = 0; !st && i < 2; i++)
        st = ch4_golden_alloc(c, &table[i], (size_t)(in->T * D), sizeof *table[i], err);
    if (!st)
        st = ch4_golden_alloc(c, &wide, (size_t)(in->T * D), sizeof *wide, err);
    if (st)
        return st;
    ch4_embed_times(sinusoid, in->frame_time, in->T, W, false);
    ch4_golden_check_f32(c, sinusoid, in->T * W, "time_sinusoid");
    ch4_embed_rope(table[0], table[1], in->framestep.data, in->T, D);
    for (int i = 0; i < 2; i++) {
        for (int64_t k = 0; k < in->T * D; k++)
            wide[k] = table[i][k / 2]; /* recorded once for each number of a pair */
        ch4_golden_check_f32(c, wide, in->T * D, "rope_%s", i ? "sin" : "cos");
    }
    return CH4_OK;
}

static ch4_status run_variant(ch4_golden_case *c, ch4_nn *nn, const forward_in *in, ch4_denoiser_config config, const char *name, const json_t *inflated, ch4_err *err)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", name);
    recorder r = {.c = c, .prefix = prefix, .anchor = ch4_golden_int_or(c, "anchor_frame", 0)};
    ch4_denoiser *den = NULL;
    float *v, *map;
    memset(config.inflated, 0, sizeof config.inflated);
    for (size_t i = 0; i < json_array_size(inflated); i++)
        config.inflated[json_integer_value(json_array_get(inflated, i)) % CH4_MAX_LAYERS] = true;
    ch4_status st = ch4_denoiser_create(&den, nn, &config, c->weights, NULL, err);
    for (int i = 0; !st && i < config.num_layers; i++)
        if (config.inflated[i])
            st = start_capture(&r, nn, &config, i, in->T, in->N, in->S, err);
    if (!st)
        st = ch4_golden_alloc(c, &v, (size_t)(in->T * in->N * in->d), sizeof *v, err);
    if (!st)
        st = ch4_golden_alloc(c, &map, (size_t)(in->T * in->N * in->N), sizeof *map, err);
    if (!st)
        st = ch4_denoiser_begin(den, in->T, in->N, in->context.data, in->S, err);
    if (!st) {
        const ch4_denoiser_in x = {.x = in->x.data, .time = in->frame_time, .framestep = in->framestep.data, .use_context = true};
        st = ch4_denoiser_forward(den, v, &x, &(ch4_probe){on_event, &r}, err);
    }
    if (!st)
        ch4_golden_check_f32(c, v, in->T * in->N * in->d, "%svelocity", prefix);
    for (int i = 0; !st && i < config.num_layers; i++)
        if (r.capture[i] && !(st = read_capture(&r, i, map, in->T, in->N, err)))
            ch4_golden_check_f32(c, map, in->T * in->N * in->N, "%sself_attn_anchor_notime.%d", prefix, i);
    stop_captures(&r);
    ch4_denoiser_close(&den);
    return st;
}

ch4_status ch4_golden_denoiser_forward(ch4_golden_case *c, ch4_err *err)
{
    forward_in in;
    ch4_denoiser_config config;
    ch4_nn *nn = NULL;
    ch4_status st = load_forward(c, &in, err);
    if (!st)
        st = ch4_denoiser_config_parse(&config, CH4_DENOISER_TEMPORAL, ch4_golden_json(c, "model"), err);
    if (!st)
        st = check_tables(c, &in, &config, err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    const char *name;
    json_t *variant;
    json_object_foreach(ch4_golden_json(c, "variants"), name, variant)
        if (!st)
            st = run_variant(c, nn, &in, config, name, json_object_get(variant, "inflated_layers"), err);
    ch4_nn_close(&nn);
    return st;
}

/* --- denoiser_sample4 -------------------------------------------------------------------------------------------------------- */

static ch4_status sample_config(ch4_golden_case *c, ch4_sampler_config *out, ch4_err *err)
{
    *out = (ch4_sampler_config){
        .steps = (int)ch4_golden_int_or(c, "scheduler.num_inference_steps", 4),
        .shift = ch4_golden_real_or(c, "scheduler.shift", 3.0),
        .train_steps = (int)ch4_golden_int_or(c, "scheduler.num_train_timesteps", 1000),
    };
    const json_t *branches = ch4_golden_json(c, "guidance.guidance_at_inference"), *scales = ch4_golden_json(c, "guidance.guidance_scales");
    size_t n = json_array_size(branches);
    if (n < 1 || n > CH4_MAX_BRANCHES || json_array_size(scales) + 1 != n)
        return ch4_err_set(err, CH4_EFORMAT, "guidance: 1 to %d branches and one scale less wanted", CH4_MAX_BRANCHES);
    out->n_branches = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *b = json_array_get(branches, i);
        out->branch[i] = (ch4_guidance_branch){json_integer_value(json_array_get(b, 0)) != 0, json_integer_value(json_array_get(b, 1)) != 0};
        if (i + 1 < n)
            out->scale[i] = json_number_value(json_array_get(scales, i));
    }
    return CH4_OK;
}

/* Velocities and latents after a step; names as recorded. */
static void check_step(ch4_golden_case *c, const ch4_sampler *s, const char *prefix, int branches, int64_t count)
{
    int step = ch4_sampler_steps_done(s) - 1;
    if (branches == 2) {
        ch4_golden_check_f32(c, ch4_sampler_velocity(s, 0), count, "%svelocity_uncond.%d", prefix, step);
        ch4_golden_check_f32(c, ch4_sampler_velocity(s, 1), count, "%svelocity_cond.%d", prefix, step);
    }
    if (ch4_golden_has(c, "out.%svelocity_cfg.%d", prefix, step))
        ch4_golden_check_f32(c, ch4_sampler_velocity(s, -1), count, "%svelocity_cfg.%d", prefix, step);
    ch4_golden_check_f32(c, ch4_sampler_latents(s), count, "%slatents.%d", prefix, step);
}

typedef struct sample_in {
    ch4_tensor noise, known, mask, context, framestep;
    uint8_t *bytes; /* the mask */
} sample_in;

static ch4_status load_sample(ch4_golden_case *c, sample_in *in, ch4_err *err)
{
    ch4_status st = ch4_golden_input(c, &in->noise, 4, "init_noise", err);
    if (!st)
        st = ch4_golden_input(c, &in->known, 4, "cond_latents", err);
    if (!st)
        st = ch4_golden_input(c, &in->mask, 2, "mask", err);
    if (!st)
        st = ch4_golden_input(c, &in->context, 4, "context", err);
    if (!st)
        st = ch4_golden_input(c, &in->framestep, 2, "framestep", err);
    if (!st)
        st = ch4_golden_alloc(c, &in->bytes, (size_t)in->noise.shape[1], 1, err);
    for (int64_t f = 0; !st && f < in->noise.shape[1]; f++)
        in->bytes[f] = ((const float *)in->mask.data)[f] != 0;
    return st;
}

static ch4_status run_steps(ch4_golden_case *c, ch4_nn *nn, ch4_sampler *s, const ch4_denoiser_config *config, const ch4_sampler_config *sample,
                            const ch4_sampler_in *in, ch4_err *err)
{
    recorder r = {.c = c, .prefix = "", .anchor = ch4_golden_int_or(c, "anchor_frame", 0)};
    int64_t L = config->num_layers, block = in->T * in->N * in->N;
    float *maps; /* of the inflated layers, in order */
    ch4_status st = ch4_golden_alloc(c, &maps, (size_t)(L * block), sizeof *maps, err);
    for (int k = 0; !st && k < sample->steps; k++) {
        bool recorded = ch4_golden_has(c, "out.self_attn_anchor_notime.%d", k);
        for (int i = 0; !st && recorded && i < L; i++)
            if (config->inflated[i])
                st = start_capture(&r, nn, config, i, in->T, in->N, in->S, err);
        const ch4_probe probe = {on_event, &r}, *in_branch[CH4_MAX_BRANCHES] = {NULL};
        in_branch[sample->n_branches - 1] = &probe;
        if (!st)
            st = ch4_sampler_step(s, in_branch, err);
        if (!st)
            check_step(c, s, "", sample->n_branches, in->T * in->N * config->in_channels);
        int64_t n = 0;
        for (int i = 0; !st && recorded && i < L; i++)
            if (config->inflated[i])
                st = read_capture(&r, i, maps + n++ * block, in->T, in->N, err);
        if (!st && recorded)
            ch4_golden_check_f32(c, maps, n * block, "self_attn_anchor_notime.%d", k);
        stop_captures(&r);
    }
    return st;
}

ch4_status ch4_golden_denoiser_sample4(ch4_golden_case *c, ch4_err *err)
{
    sample_in x;
    ch4_denoiser_config config;
    ch4_sampler_config sample;
    ch4_nn *nn = NULL;
    ch4_denoiser *den = NULL;
    ch4_sampler *s = NULL;
    ch4_status st = load_sample(c, &x, err);
    if (!st)
        st = ch4_denoiser_config_parse(&config, CH4_DENOISER_TEMPORAL, ch4_golden_json(c, "model"), err);
    if (!st)
        st = sample_config(c, &sample, err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = ch4_denoiser_create(&den, nn, &config, c->weights, NULL, err);
    if (!st) {
        const ch4_sampler_in in = {.T = x.noise.shape[1], .N = x.noise.shape[2], .S = x.context.shape[2], .noise = x.noise.data, .known = x.known.data,
                                   .mask = x.bytes, .framestep = x.framestep.data, .context = x.context.data};
        st = ch4_sampler_create(&s, den, &sample, &in, err);
        if (!st) {
            ch4_golden_check_f32(c, ch4_sampler_latents(s), ch4_tensor_count(&x.noise), "init_latent");
            ch4_golden_check_f32(c, ch4_sampler_times(s), sample.steps + 1, "timesteps");
            ch4_golden_check_f32(c, ch4_sampler_distances(s), sample.steps, "distances");
            st = run_steps(c, nn, s, &config, &sample, &in, err);
        }
    }
    ch4_sampler_destroy(&s);
    ch4_denoiser_close(&den);
    ch4_nn_close(&nn);
    return st;
}

/* --- triposg_dit_forward -------------------------------------------------------------------------------------------------------- */

static ch4_status dit_forward(ch4_golden_case *c, ch4_denoiser *den, ch4_err *err)
{
    ch4_tensor x, time, context;
    recorder r = {.c = c, .prefix = "forward."};
    float *v;
    ch4_status st = ch4_golden_input(c, &x, 3, "hidden_states", err);
    if (!st)
        st = ch4_golden_input(c, &time, 1, "timestep", err);
    if (!st)
        st = ch4_golden_input(c, &context, 3, "encoder_hidden_states", err);
    if (!st)
        st = ch4_golden_alloc(c, &v, (size_t)ch4_tensor_count(&x), sizeof *v, err);
    if (!st)
        st = ch4_denoiser_begin(den, x.shape[0], x.shape[1], context.data, context.shape[1], err);
    if (!st)
        st = ch4_denoiser_forward(den, v, &(ch4_denoiser_in){.x = x.data, .time = time.data, .use_context = true}, &(ch4_probe){on_event, &r}, err);
    if (!st)
        ch4_golden_check_f32(c, v, ch4_tensor_count(&x), "forward.velocity");
    return st;
}

static ch4_status dit_sample(ch4_golden_case *c, ch4_denoiser *den, ch4_err *err)
{
    ch4_tensor noise, context;
    ch4_sampler *s = NULL;
    ch4_sampler_config config = ch4_sampler_config_make((int)ch4_golden_int_or(c, "sample.num_inference_steps", 3),
                                                        ch4_golden_real_or(c, "sample.scheduler.shift", 1.0), ch4_golden_real_or(c, "sample.guidance_scale", 7.0));
    config.train_steps = (int)ch4_golden_int_or(c, "sample.scheduler.num_train_timesteps", 1000);
    float *sigmas;
    ch4_status st = ch4_golden_input(c, &noise, 3, "sample.init_latents", err);
    if (!st)
        st = ch4_golden_input(c, &context, 3, "sample.image_embeds", err);
    if (!st)
        st = ch4_golden_alloc(c, &sigmas, (size_t)config.steps + 1, sizeof *sigmas, err);
    if (!st) {
        const ch4_sampler_in in = {.T = noise.shape[0], .N = noise.shape[1], .S = context.shape[1], .noise = noise.data, .context = context.data};
        st = ch4_sampler_create(&s, den, &config, &in, err);
    }
    if (st)
        return st;
    ch4_golden_check_f32(c, ch4_sampler_times(s), config.steps, "sample.timesteps");
    sigmas[0] = ch4_sampler_times(s)[0] / (float)config.train_steps;
    for (int i = 0; i < config.steps; i++)
        sigmas[i + 1] = sigmas[i] - ch4_sampler_distances(s)[i];
    ch4_golden_check_f32(c, sigmas, config.steps + 1, "sample.sigmas");
    for (int k = 0; !st && k < config.steps; k++) {
        st = ch4_sampler_step(s, NULL, err);
        if (!st)
            check_step(c, s, "sample.", config.n_branches, ch4_tensor_count(&noise));
    }
    ch4_sampler_destroy(&s);
    return st;
}

ch4_status ch4_golden_triposg_dit_forward(ch4_golden_case *c, ch4_err *err)
{
    ch4_denoiser_config config;
    ch4_nn *nn = NULL;
    ch4_denoiser *den = NULL;
    ch4_status st = ch4_denoiser_config_parse(&config, CH4_DENOISER_IMAGE, ch4_golden_json(c, "model"), err);
    if (!st)
        st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = ch4_denoiser_create(&den, nn, &config, c->weights, NULL, err);
    if (!st)
        st = dit_forward(c, den, err);
    if (!st)
        st = dit_sample(c, den, err);
    ch4_denoiser_close(&den);
    ch4_nn_close(&nn);
    return st;
}
