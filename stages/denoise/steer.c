#include "stages/denoise/steer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* --- options ---------------------------------------------------------------------------------------------------------------- */

static ch4_status choose_layers(ch4_steer *s, const ch4_config *config, const ch4_denoise_plan *plan, int64_t n_layers, ch4_err *err)
{
    const ch4_ints *list = &config->reinforce.layers;
    for (int64_t i = 0; i < list->n; i++) {
        if (list->v[i] < 0 || list->v[i] >= n_layers)
            return ch4_err_set(err, CH4_ECONFIG, "reinforce.layers: the model has no layer %" PRId64, list->v[i]);
        s->options.layer[list->v[i]] = true;
    }
    for (int i = 0; list->n == 0 && i < plan->capture.n_layers; i++)
        s->options.layer[plan->capture.layer[i].layer] = true;
    return CH4_OK;
}

ch4_status ch4_steer_resolve(ch4_steer *out, const ch4_config *config, const ch4_model_info *info, const ch4_denoise_plan *plan, int64_t n_layers, ch4_err *err)
{
    static const ch4_reinforce_rows rows[] = {CH4_REINFORCE_ANCHOR_ROWS, CH4_REINFORCE_FRAME_ROWS, CH4_REINFORCE_BOTH_ROWS};
    ch4_reinforce_mode mode = config->reinforce.mode;
    ch4_steer s = {
        .window = mode == CH4_REINFORCE_WINDOW || mode == CH4_REINFORCE_ALWAYS,
        .next = mode == CH4_REINFORCE_NEXT || mode == CH4_REINFORCE_ALWAYS,
        .after = config->reinforce.after,
        .options = {.rows = rows[config->reinforce.direction], .lambda = config->reinforce.gain},
        .chain = ch4_chain_resolve(config, info),
    };
    s.chain.pair_share = config->reinforce.share;
    s.chain.landmarks = config->reinforce.landmarks;
    s.chain.octree = s.chain.keep_surfaces = false;
    *out = s;
    if (s.window && s.after >= plan->window.steps)
        return ch4_err_set(err, CH4_ECONFIG, "reinforce.after: %" PRId64 " of %d steps leave none to be reinforced", s.after, plan->window.steps);
    if (s.next && plan->noise == CH4_MODEL_NOISE_INDEPENDENT)
        return ch4_err_set(err, CH4_ECONFIG, "reinforce.mode: next and both need noise that all frames share (denoise.noise: shared or matched): otherwise a token "
                                             "of one frame says nothing about the one of the same number in another");
    return s.window || s.next ? choose_layers(out, config, plan, n_layers, err) : CH4_OK;
}

/* --- from window to window ------------------------------------------------------------------------------------------------------ */

static int by_tokens(const void *a, const void *b)
{
    const ch4_token_pair *x = a, *y = b;
    if (x->anchor != y->anchor)
        return x->anchor < y->anchor ? -1 : 1;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Pairs of the same tokens in several slots become one, with the mean over T - 1 slots. Returns the new count. */
static int64_t average(ch4_token_pair *p, int64_t n, int64_t T)
{
    int64_t kept = 0;
    if (n > 0)
        qsort(p, (size_t)n, sizeof *p, by_tokens);
    for (int64_t i = 0; i < n; i++)
        if (kept > 0 && p[kept - 1].anchor == p[i].anchor && p[kept - 1].token == p[i].token)
            p[kept - 1].confidence += p[i].confidence;
        else
            p[kept++] = p[i];
    for (int64_t i = 0; i < kept; i++)
        p[i].confidence /= (float)(T - 1);
    return kept;
}

ch4_status ch4_steer_carry(ch4_token_pair **out, int64_t *n_out, const ch4_token_pair *before, int64_t n, int64_t T, const uint8_t *mask, int64_t T_now, ch4_err *err)
{
    ch4_token_pair *mean = NULL;
    int64_t open = 0, at = 0;
    *out = NULL;
    *n_out = 0;
    for (int64_t f = 0; f < T_now; f++)
        open += !mask[f];
    ch4_status st = ch4_calloc(&mean, (size_t)n, sizeof *mean, "token pairs", err);
    if (st)
        return st;
    memcpy(mean, before, (size_t)n * sizeof *mean);
    n = average(mean, ch4_token_pairs_merge(mean, n), T);
    st = ch4_calloc(out, (size_t)(n * open), sizeof **out, "token pairs", err);
    for (int64_t f = 0; !st && f < T_now; f++)
        for (int64_t i = 0; !mask[f] && i < n; i++) {
            (*out)[at] = mean[i];
            (*out)[at++].slot = (int32_t)f;
        }
    *n_out = at;
    free(mean);
    return st;
}

/* --- one window ---------------------------------------------------------------------------------------------------------------- */

/* Two that read along in one pass. */
typedef struct both_probes {
    const ch4_probe *a, *b;
} both_probes;

struct ch4_steering {
    ch4_bundle *bundle;
    const ch4_denoise_plan *plan;
    const ch4_steer *steer;
    const ch4_denoise_in *in;
    const ch4_token_pair *carried;
    int64_t n_carried;
    ch4_capture *capture;     /* of the step that the chain is run after; NULL: it is not */
    ch4_reinforce *reinforce; /* that counts now */
    int64_t n_pairs;          /* in it */
    both_probes pair[CH4_MAX_BRANCHES];
    ch4_probe both[CH4_MAX_BRANCHES];
};

static ch4_status on_both(void *ctx, ch4_nn *nn, const ch4_probe_event *event, ch4_err *err)
{
    const both_probes *p = ctx;
    ch4_status st = ch4_probe_call(p->a, nn, event, err);
    return st ? st : ch4_probe_call(p->b, nn, event, err);
}

static ch4_status use(ch4_steering *s, const ch4_token_pair *pairs, int64_t n, ch4_err *err)
{
    ch4_reinforce_destroy(&s->reinforce);
    s->n_pairs = n;
    return ch4_reinforce_create(&s->reinforce, pairs, n, s->in->T, s->in->N, s->in->anchor, &s->steer->options, err);
}

ch4_status ch4_steering_create(ch4_steering **out, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_steer *steer, const ch4_denoise_in *in,
                               const ch4_token_pair *carried, int64_t n, ch4_err *err)
{
    ch4_steering *s = NULL;
    ch4_denoiser *den;
    *out = NULL;
    ch4_status st = ch4_bundle_get_denoiser(bundle, &den, err);
    if (!st)
        st = ch4_calloc(&s, 1, sizeof *s, "reinforcement", err);
    if (st)
        return st;
    *s = (ch4_steering){.bundle = bundle, .plan = plan, .steer = steer, .in = in, .carried = carried, .n_carried = n};
    for (int b = 0; b < CH4_MAX_BRANCHES; b++)
        s->both[b] = (ch4_probe){on_both, &s->pair[b]};
    if (steer->window) {
        ch4_capture_config reading = plan->capture;
        reading.anchor_slot = (int)in->anchor;
        reading.self_passes = plan->branch == CH4_MODEL_BRANCH_MEAN ? 2 : 1;
        reading.cross_passes = 1;
        st = ch4_capture_create(&s->capture, ch4_bundle_get_nn(bundle), &reading, in->T, in->N, in->S, ch4_denoiser_get_config(den)->num_heads, err);
    }
    if (!st && n > 0)
        st = use(s, carried, n, err);
    if (st)
        ch4_steering_destroy(&s);
    *out = s;
    return st;
}

void ch4_steering_destroy(ch4_steering **s)
{
    if (!*s)
        return;
    ch4_capture_destroy(&(*s)->capture);
    ch4_reinforce_destroy(&(*s)->reinforce);
    free(*s);
    *s = NULL;
}

const ch4_probe *ch4_steering_probe(ch4_steering *s, int step, int branch, const ch4_probe *other)
{
    if (!s->capture || step != s->steer->after - 1)
        return other;
    bool conditional = branch == s->plan->window.n_branches - 1;
    bool self = s->plan->branch == CH4_MODEL_BRANCH_MEAN || conditional == (s->plan->branch == CH4_MODEL_BRANCH_CONDITIONAL);
    both_probes *p = &s->pair[branch];
    *p = (both_probes){ch4_capture_probe(s->capture, self, false), other};
    return !p->a ? other : !other ? p->a : &s->both[branch];
}

int64_t ch4_steering_pairs(const ch4_steering *s)
{
    return s->n_pairs;
}

/* --- the chain between two steps ------------------------------------------------------------------------------------------------ */

typedef struct maps {
    const float *attention; /* [T,N,N] */
    int64_t N;
} maps;

static void map_of(const void *ctx, int64_t frame, float *out)
{
    const maps *m = ctx;
    memcpy(out, m->attention + frame * m->N * m->N, (size_t)(m->N * m->N) * sizeof *out);
}

/* Anchor points: landmarks on the surface of the anchor's latent. The tracked mesh will do no better here, and may still be on its way. */
static ch4_status run_chain(ch4_chain_out *out, const ch4_steering *s, const float *latents, const maps *m, ch4_err *err)
{
    const ch4_denoise_in *in = s->in;
    ch4_chain_options options = s->steer->chain;
    ch4_mesh surface = {0};
    ch4_vae *vae;
    int32_t *landmark = NULL;
    int64_t K = 0;
    ch4_err none;
    options.anchor_cells = ch4_chain_cells(&options, in->N);
    options.seed = in->seed;
    ch4_status st = ch4_bundle_get_vae_decoder(s->bundle, &vae, err);
    if (st)
        return st;
    st = ch4_chain_make_anchor(&surface, vae, latents + in->anchor * in->N * in->d, in->N, &options, NULL, &none);
    if (st == CH4_EFORMAT) { /* no surface */
        ch4_mesh_fini(&surface);
        return CH4_OK;
    }
    if (st)
        ch4_err_set(err, st, "%s", none.msg);
    if (!st)
        st = ch4_chain_landmarks(&landmark, &K, &surface, &options, err);
    const ch4_chain_in chain = {.nn = ch4_bundle_get_nn(s->bundle), .vae = vae, .pool = in->pool, .T = in->T, .N = in->N, .anchor = in->anchor, .latents = latents,
                                .frame_to_anchor = s->plan->capture.direction != CH4_ANCHOR_TO_FRAME, .map = map_of, .map_ctx = m, .mesh = &surface,
                                .landmark = landmark, .K = K};
    if (!st)
        st = ch4_chain_run(out, &chain, &options, err);
    free(landmark);
    ch4_mesh_fini(&surface);
    return st;
}

/* The reliable pairs of what the steps so far predict, and those that were carried over. */
static ch4_status ask_chain(ch4_steering *s, const ch4_sampler *sampler, ch4_err *err)
{
    const ch4_denoise_in *in = s->in;
    float *clean = NULL, *attention = NULL;
    ch4_token_pair *pairs = NULL;
    ch4_chain_out out = {0};
    int64_t n = 0;
    ch4_status st = ch4_calloc(&clean, (size_t)(in->T * in->N * in->d), sizeof *clean, "latents", err);
    if (!st)
        st = ch4_calloc(&attention, (size_t)(in->T * in->N * in->N), sizeof *attention, "attention", err);
    if (!st)
        st = ch4_capture_read(s->capture, attention, NULL, NULL, err);
    if (!st) {
        ch4_sampler_predict(sampler, clean);
        st = run_chain(&out, s, clean, &(maps){attention, in->N}, err);
    }
    if (!st)
        st = ch4_calloc(&pairs, (size_t)(out.n_pair + s->n_carried), sizeof *pairs, "token pairs", err);
    for (int64_t i = 0; !st && i < out.n_pair; i++)
        if (!in->mask[out.pair[i].slot]) /* two known frames are as they are */
            pairs[n++] = out.pair[i];
    for (int64_t i = 0; !st && i < s->n_carried; i++)
        pairs[n++] = s->carried[i];
    if (!st)
        st = use(s, pairs, ch4_token_pairs_merge(pairs, n), err);
    ch4_chain_out_fini(&out);
    free(pairs);
    free(attention);
    free(clean);
    return st;
}

ch4_status ch4_steering_gain(ch4_steering *s, const ch4_sampler *sampler, int step, const ch4_denoiser_gain **gain, ch4_err *err)
{
    ch4_status st = s->capture && step == s->steer->after ? ask_chain(s, sampler, err) : CH4_OK;
    *gain = ch4_reinforce_gain(s->reinforce);
    return st ? ch4_err_wrap(err, st, "reinforcement before step %d", step) : CH4_OK;
}
