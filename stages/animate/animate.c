#include "stages/animate/animate.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/base.h"
#include "bundle/bundle.h"
#include "config/config.h"
#include "stages/animate/animate_files.h"
#include "stages/animate/learned.h"

typedef struct animate {
    ch4_animate_options options;
    ch4_nn *nn;                    /* NULL unless a network moves the mesh */
    ch4_bundle *bundle;
    ch4_temporal_decoder *learned; /* borrowed from the bundle; NULL: the chain's landmarks move it */
} animate;

ch4_status ch4_animate_file(ch4_store_writer *writer, const char *input, const ch4_animate_options *options, ch4_pool *pool, const ch4_log *log,
                            ch4_err *err)
{
    ch4_animate_chain_file c = {0};
    ch4_animate_result r = {0};
    ch4_status st = ch4_animate_open_chain(&c, input, err);
    if (st == CH4_OK)
        st = ch4_animate_sort_slots(&c, err);
    if (st == CH4_OK)
        st = ch4_animate_window(&r, &c.in, options, false, pool, err);
    if (st == CH4_OK)
        st = ch4_animate_unsort_slots(&c, &r, err);
    if (st == CH4_OK)
        st = ch4_animate_write(writer, &r, &c.in, err);
    if (st == CH4_OK)
        ch4_log_write(log, r.relaxed ? CH4_LOG_WARN : CH4_LOG_DEBUG, r.relaxed ? "few landmarks could be followed: the best are used" : "landmarks",
                      (const ch4_kv[]){CH4_STR("file", input), CH4_INT("landmarks", c.in.K), CH4_INT("kept", r.n_kept),
                                       CH4_INT("vertices", c.in.V), CH4_INT("unreached", r.n_fallback), {.type = CH4_KV_END}});
    ch4_animate_result_fini(&r);
    ch4_animate_close_chain(&c);
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
    bool learned = config->animate.method == CH4_ANIMATE_LEARNED;
    animate *s = NULL;
    ch4_status st = ch4_calloc(&s, 1, sizeof *s, "animate", err);
    if (st)
        return st;
    *state = s;
    if (learned)
        st = ch4_nn_open(&s->nn, config->run.device == CH4_CONFIG_REF ? "ref" : "cpu", ch4_pool_threads(stage->pool), err);
    if (!st)
        st = ch4_bundle_open(&s->bundle, config->run.model, s->nn, err);
    if (!st && learned && (st = ch4_bundle_get_temporal_decoder(s->bundle, &s->learned, err)))
        ch4_err_wrap(err, st, "animate.method: learned");
    if (!st)
        ch4_animate_resolve(&s->options, config, ch4_bundle_get_info(s->bundle));
    return st;
}

void ch4_animate_close(ch4_stage *stage, void *state)
{
    animate *s = state;
    (void)stage;
    ch4_bundle_close(&s->bundle);
    ch4_nn_close(&s->nn);
    free(s);
}

static bool progress(void *ctx, int64_t done, int64_t total)
{
    ch4_stage_progress(ctx, done, total);
    return !ch4_stage_canceled(ctx);
}

/* The window's anchor mesh (chain file) and latents (denoise file) through the temporal autoencoder. */
static ch4_status learn_file(ch4_store_writer *writer, animate *s, ch4_stage *stage, const ch4_stage_window *window, ch4_err *err)
{
    ch4_animate_chain_file c = {0};
    ch4_animate_latents l = {0};
    ch4_animate_result r = {0};
    char path[CH4_STAGE_PATH];
    const ch4_learned_options options = {.inward = stage->config->animate.normals == CH4_NORMALS_INWARD, .progress = progress, .ctx = stage};
    int64_t d = ch4_temporal_decoder_get_config(s->learned)->latent_channels;
    ch4_status st = ch4_animate_open_chain(&c, window->input, err);
    if (!st)
        st = ch4_stage_path(path, &window->clip, window->index, "denoise", err);
    if (!st)
        st = ch4_animate_open_latents(&l, path, err);
    if (!st && l.T != c.in.F)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: %" PRId64 " frames, %s has %" PRId64, path, l.T, window->input, c.in.F);
    if (!st && l.d != d)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: latents of %" PRId64 " channels, the model's temporal autoencoder takes %" PRId64, path, l.d, d);
    if (!st)
        st = ch4_learned_window(&r, s->learned, &c.in, l.z, l.N, l.frame, &options, err);
    if (!st)
        st = ch4_animate_write(writer, &r, &c.in, err);
    ch4_animate_result_fini(&r);
    ch4_animate_close_latents(&l);
    ch4_animate_close_chain(&c);
    return st;
}

ch4_status ch4_animate_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err)
{
    animate *s = state;
    ch4_store_writer *writer = NULL;
    ch4_status st = ch4_store_create(&writer, window->output, err);
    if (!st)
        st = s->learned ? learn_file(writer, s, stage, window, err) : ch4_animate_file(writer, window->input, &s->options, stage->pool, stage->log, err);
    if (!st)
        st = ch4_store_set_text(writer, "method", s->learned ? "learned" : "chain", err);
    if (!st)
        return ch4_stage_commit(stage, &writer, err);
    ch4_store_discard(&writer);
    return st;
}
