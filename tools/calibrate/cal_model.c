#include "tools/calibrate/cal_model.h"

ch4_status ch4_cal_model_open(ch4_cal_model *out, const ch4_config *config, int threads, ch4_err *err)
{
    *out = (ch4_cal_model){.config = config};
    ch4_status st = ch4_nn_open(&out->nn, config->run.device == CH4_CONFIG_REF ? "ref" : "cpu", threads, err);
    if (!st) st = ch4_bundle_open(&out->bundle, config->run.model, out->nn, err);
    if (!st) st = ch4_bundle_get_denoiser(out->bundle, &out->denoiser, err);
    if (!st) st = ch4_bundle_get_vae_decoder(out->bundle, &out->decoder, err);
    if (!st) st = ch4_denoise_plan_make(&out->plan, config, ch4_bundle_get_info(out->bundle), err);
    if (!st && out->plan.branch == CH4_MODEL_BRANCH_MEAN)
        st = ch4_err_set(err, CH4_EUNSUP, "attention.branch: mean cannot be calibrated; say conditional or unconditional");
    if (st) return st;
    const ch4_denoiser_config *c = ch4_denoiser_get_config(out->denoiser);
    out->N = c->num_tokens, out->d = c->in_channels, out->frames = c->num_frames;
    out->layers = (int)c->num_layers, out->heads = (int)c->num_heads;
    out->chain = ch4_chain_resolve(config, ch4_bundle_get_info(out->bundle));
    out->chain.seed = (uint64_t)config->run.seed;
    if (out->heads > CH4_CAPTURE_HEADS) return ch4_err_set(err, CH4_EUNSUP, "%d heads; at most %d can be read", out->heads, CH4_CAPTURE_HEADS);
    return CH4_OK;
}

void ch4_cal_model_close(ch4_cal_model *m)
{
    ch4_bundle_close(&m->bundle);
    ch4_nn_close(&m->nn);
}
