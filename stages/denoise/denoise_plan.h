/* What the pipeline file and the model together ask of a window: schedules, guidance, noise, and how attention is read. */
#ifndef CH4_DENOISE_PLAN_H
#define CH4_DENOISE_PLAN_H

#include "bundle/model_info.h"
#include "config/config.h"
#include "model/capture.h"
#include "model/sampler.h"

enum { CH4_DENOISE_MAX_STEPS = 1000 };

typedef struct ch4_denoise_plan {
    ch4_sampler_config window, anchor; /* anchor: image-to-3D */
    ch4_model_noise noise;
    double noise_anchor;               /* pull of matched noise to the anchor's tokens, 0..0.95 */
    ch4_capture_config capture;        /* anchor_slot 0 */
    ch4_model_branch branch;
    bool read_step[CH4_DENOISE_MAX_STEPS];
    bool dense;
    int64_t keep;                      /* entries kept of each row */
    int64_t points, preselect;         /* of an encoded mesh */
    int64_t anchor_draws, anchor_frames; /* of an anchor that is made from pictures */
    double band, floaters;             /* of its surface: chain.band, mesh.floaters */
    uint64_t seed;
    ch4_denoiser_loading loading;
} ch4_denoise_plan;

/* config over info. CH4_ECONFIG names the option: a step that does not exist, a branch that guidance does not run, too many heads or layers. */
ch4_status ch4_denoise_plan_make(ch4_denoise_plan *out, const ch4_config *config, const ch4_model_info *info, ch4_err *err);

/* Probe of one step and branch, or NULL: self-attention by plan->branch, cross-attention of the conditional branch. */
const ch4_probe *ch4_denoise_plan_probe(const ch4_denoise_plan *plan, const ch4_capture *capture, int64_t step, int branch);

#endif
