#include "stages/chain/chain.h"

#include <stdlib.h>
#include <string.h>

#include "bundle/bundle.h"
#include "config/config.h"
#include "stages/chain/chain_files.h"
#include "stages/chain/first_rows.h"

typedef struct chain_state {
    ch4_nn *nn;
    ch4_bundle *bundle;
    ch4_vae *vae; /* borrowed from the bundle */
    ch4_chain_options options; /* all but the seed */
    bool keep_rows;            /* landmarks keep the tokens of the first window */
    ch4_first_rows first;
} chain_state;

/* What all frames of a window start from: see denoise.noise. */
static ch4_status choose_rows(bool *keep, const ch4_config *config, const ch4_model_info *info, ch4_err *err)
{
    bool shared = config->denoise.noise == CH4_NOISE_MODEL ? info->noise != CH4_MODEL_NOISE_INDEPENDENT : config->denoise.noise != CH4_NOISE_INDEPENDENT;
    *keep = config->chain.rows == CH4_CHAIN_ROWS_FIRST || (config->chain.rows == CH4_CHAIN_ROWS_AUTO && shared);
    if (*keep && !shared)
        return ch4_err_set(err, CH4_ECONFIG, "chain.rows: first needs noise that all frames share (denoise.noise: shared or matched)");
    return CH4_OK;
}

ch4_status ch4_chain_open(ch4_stage *stage, void **state, ch4_err *err)
{
    const ch4_config *config = stage->config;
    chain_state *s = NULL;
    ch4_status status = ch4_calloc(&s, 1, sizeof *s, "chain", err);
    if (status)
        return status;
    *state = s;
    status = ch4_nn_open(&s->nn, config->run.device == CH4_CONFIG_REF ? "ref" : "cpu", ch4_pool_threads(stage->pool), err);
    if (status == CH4_OK)
        status = ch4_bundle_open(&s->bundle, config->run.model, s->nn, err);
    if (status == CH4_OK)
        status = ch4_bundle_get_vae_decoder(s->bundle, &s->vae, err);
    if (status == CH4_OK)
        s->options = ch4_chain_resolve(config, ch4_bundle_get_info(s->bundle));
    if (status == CH4_OK)
        status = choose_rows(&s->keep_rows, config, ch4_bundle_get_info(s->bundle), err);
    if (config->reinforce.mode == CH4_REINFORCE_NEXT || config->reinforce.mode == CH4_REINFORCE_ALWAYS)
        s->options.pair_share = config->reinforce.share;
    return status;
}

void ch4_chain_close(ch4_stage *stage, void *state)
{
    chain_state *s = state;
    (void)stage;
    ch4_first_rows_fini(&s->first);
    ch4_bundle_close(&s->bundle);
    ch4_nn_close(&s->nn);
    free(s);
}

void ch4_chain_end_clip(ch4_stage *stage, void *state, const char *clip_name)
{
    chain_state *s = state;
    (void)stage;
    if (s->first.clip && strcmp(s->first.clip, clip_name) == 0)
        ch4_first_rows_fini(&s->first);
}

/* --- one window ------------------------------------------------------------------------------------------------------------ */

/* What a window starts from. */
typedef struct anchor {
    ch4_mesh mesh;
    int32_t *landmark;
    int64_t K;
} anchor;

static void anchor_fini(anchor *a)
{
    ch4_mesh_fini(&a->mesh);
    free(a->landmark);
    a->landmark = NULL;
}

/* The slot of frame number `frame` in window `index`. */
static ch4_status find_slot(int64_t *slot, const ch4_stage_clip *clip, int64_t index, int64_t frame, ch4_err *err)
{
    char path[CH4_STAGE_PATH];
    ch4_chain_decoded d = {0};
    ch4_status status = ch4_stage_path(path, clip, index, "decode", err);
    if (status == CH4_OK)
        status = ch4_chain_read_decoded(&d, path, err);
    if (status)
        return status;
    *slot = 0;
    while (*slot < d.T && d.frame[*slot] != frame)
        ++*slot;
    if (*slot == d.T)
        status = ch4_err_set(err, CH4_EFORMAT, "%s: does not hold frame %lld", path, (long long)frame);
    ch4_chain_decoded_fini(&d);
    return status;
}

/* Before any costly work, as the frame of the stage wants it. */
static ch4_status take_over(anchor *a, ch4_stage *stage, const ch4_stage_window *w, int64_t from, int64_t frame, ch4_err *err)
{
    char chain[CH4_STAGE_PATH], animate[CH4_STAGE_PATH];
    int64_t slot = 0;
    if (from < 0 || from >= w->index)
        return ch4_err_set(err, CH4_EFORMAT, "window %lld: its anchor frame %lld is in no earlier window", (long long)w->index, (long long)frame);
    if (!ch4_stage_has(stage, &w->clip, from, "animate"))
        return ch4_err_set(err, CH4_EAGAIN, "window %lld waits for the animated vertices of window %lld", (long long)w->index, (long long)from);
    ch4_status status = find_slot(&slot, &w->clip, from, frame, err);
    if (status == CH4_OK)
        status = ch4_stage_path(chain, &w->clip, from, "chain", err);
    if (status == CH4_OK)
        status = ch4_stage_path(animate, &w->clip, from, "animate", err);
    if (status == CH4_OK)
        status = ch4_chain_read_handover(&a->mesh, &a->landmark, &a->K, chain, animate, slot, err);
    return status;
}

static bool progress(void *ctx, int64_t done, int64_t total)
{
    ch4_stage_progress(ctx, done, total);
    return !ch4_stage_canceled(ctx);
}

/* The clip's first window: the given mesh, or one made from the anchor's latent. */
static ch4_status start_clip(anchor *a, ch4_stage *stage, chain_state *s, ch4_chain_denoised *d, ch4_err *err)
{
    const ch4_surface_pulse pulse = {progress, stage, 0, d->T};
    ch4_status status = CH4_OK;
    if (d->given.n_vert > 0) {
        a->mesh = d->given;
        d->given = (ch4_mesh){0};
    } else {
        status = ch4_chain_make_anchor(&a->mesh, s->vae, d->latents + d->attention.anchor_slot * d->N * d->D, d->N, &s->options, &pulse, err);
    }
    if (status == CH4_OK)
        status = ch4_chain_landmarks(&a->landmark, &a->K, &a->mesh, &s->options, err);
    return status;
}

static void map_of(const void *ctx, int64_t frame, float *out)
{
    ch4_attention_expand(ctx, frame, out);
}

static ch4_status check_model(const chain_state *s, const ch4_chain_denoised *d, const ch4_stage_window *w, const ch4_chain_decoded *f, ch4_err *err)
{
    int64_t D = ch4_vae_get_config(s->vae)->latent_channels;
    if (d->T != w->n_frames || d->T != f->T)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %lld frames, the window has %lld", w->input, (long long)d->T, (long long)w->n_frames);
    if (d->D != D)
        return ch4_err_set(err, CH4_EFORMAT, "%s: latents of %lld channels, the model has %lld", w->input, (long long)d->D, (long long)D);
    return CH4_OK;
}

/* The tokens of the landmarks as the first window has them, where they are the same tokens; else NULL. */
static ch4_status rows_of_first(const float **rows, chain_state *s, const ch4_stage_window *w, const ch4_chain_denoised *d, const anchor *a, ch4_err *err)
{
    *rows = NULL;
    if (w->index == 0 || !s->keep_rows)
        return CH4_OK;
    ch4_status status = ch4_first_rows_load(&s->first, s->vae, &w->clip, err);
    if (status == CH4_OK && (s->first.K != a->K || s->first.N != d->N))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: not the landmarks or tokens of window 0", w->input);
    if (status == CH4_OK && s->first.encoded == d->encoded)
        *rows = s->first.rows;
    return status;
}

static ch4_status run_and_write(ch4_stage *stage, chain_state *s, const ch4_stage_window *w, const ch4_chain_denoised *d, const anchor *a,
                                const ch4_chain_decoded *f, ch4_err *err)
{
    ch4_chain_out out = {0};
    ch4_store_writer *writer = NULL;
    ch4_chain_options options = s->options;
    options.seed = (uint64_t)(stage->config->run.seed + w->index);
    const float *rows;
    ch4_status status = rows_of_first(&rows, s, w, d, a, err);
    if (status)
        return status;
    const ch4_chain_in in = {.nn = s->nn, .vae = s->vae, .pool = stage->pool, .T = d->T, .N = d->N, .grid = d->grid,
                             .anchor = d->attention.anchor_slot, .side = (double)f->side, .frame = f->frame, .latents = d->latents, .patch = d->patch,
                             .frame_to_anchor = d->attention.frame_to_anchor, .map = map_of, .map_ctx = &d->attention, .mesh = &a->mesh,
                             .landmark = a->landmark, .K = a->K, .rows = rows, .progress = progress, .progress_ctx = stage};
    status = ch4_chain_run(&out, &in, &options, err);
    if (status == CH4_OK && out.probed != out.inside)
        ch4_stage_note(stage, &w->clip, "model.yaml says that the field is %s inside, the anchor's own field looks the other way (%.0f %% of the cube's faces): check "
                       "field.inside", out.inside > 0 ? "positive" : "negative", 100 * out.probe_share);
    if (status == CH4_OK)
        status = ch4_store_create(&writer, w->output, err);
    if (status == CH4_OK)
        status = ch4_chain_write(writer, &in, &out, err);
    if (status == CH4_OK)
        status = ch4_stage_commit(stage, &writer, err);
    ch4_store_discard(&writer);
    ch4_chain_out_fini(&out);
    return status;
}

ch4_status ch4_chain_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err)
{
    chain_state *s = state;
    ch4_chain_denoised d = {0};
    ch4_chain_decoded f = {0};
    anchor a = {0};
    char decode[CH4_STAGE_PATH];
    ch4_status status = ch4_stage_path(decode, &window->clip, window->index, "decode", err);
    if (status == CH4_OK)
        status = ch4_chain_read_decoded(&f, decode, err);
    if (status == CH4_OK)
        status = ch4_chain_read_denoised(&d, window->input, err);
    if (status == CH4_OK)
        status = check_model(s, &d, window, &f, err);
    int64_t slot = d.attention.anchor_slot;
    if (status == CH4_OK)
        status = window->index == 0 ? start_clip(&a, stage, s, &d, err) : take_over(&a, stage, window, f.first[slot], f.frame[slot], err);
    if (status == CH4_OK)
        status = run_and_write(stage, s, window, &d, &a, &f, err);
    anchor_fini(&a);
    ch4_chain_denoised_fini(&d);
    ch4_chain_decoded_fini(&f);
    return status;
}
