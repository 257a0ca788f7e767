/* A model opened for calibration: one per worker, since neither networks nor backends are shared between threads. */
#ifndef CH4_CAL_MODEL_H
#define CH4_CAL_MODEL_H

#include "bundle/bundle.h"
#include "config/config.h"
#include "chain/chain_options.h"
#include "stages/denoise/denoise_window.h"

typedef struct ch4_cal_model {
    ch4_nn *nn;
    ch4_bundle *bundle;
    ch4_denoiser *denoiser; /* borrowed from the bundle, like the next */
    ch4_vae *decoder;
    ch4_denoise_plan plan;
    ch4_chain_options chain; /* as model.yaml has it now */
    const ch4_config *config;
    int64_t N, d, frames;    /* tokens, channels, frames of a window */
    int layers, heads;
} ch4_cal_model;

/* dir as in config->run.model; threads of this model's backend. */
ch4_status ch4_cal_model_open(ch4_cal_model *out, const ch4_config *config, int threads, ch4_err *err);
void       ch4_cal_model_close(ch4_cal_model *model);

#endif
