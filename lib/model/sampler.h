/* ch4_sampler: integrates the flow of a denoiser step by step (docs/model.md "sampling").
 *
 *     x = mask * known + (1 - mask) * noise;   per step: v = o_0 + sum_i scale_i (o_{i+1} - o_i),  x_f += distance * v_f where mask_f = 0
 *
 * o_i are the outputs of the guidance branches at the same x and time. A branch keeps or drops the image (its context becomes zero) and the
 * known frames' mark (their time becomes that of the others). Known frames are never changed. All arithmetic is f32.
 * One object per window, advanced by its caller, so that a stage can interleave several. It owns its denoiser's window from create to the
 * last step. Not thread-safe. */
#ifndef CH4_MODEL_SAMPLER_H
#define CH4_MODEL_SAMPLER_H

#include "model/denoiser.h"

enum { CH4_MAX_BRANCHES = 4 };

typedef struct ch4_guidance_branch {
    bool image, latent; /* keep */
} ch4_guidance_branch;

typedef struct ch4_sampler_config {
    int steps;
    double shift;
    int train_steps;
    int n_branches;
    ch4_guidance_branch branch[CH4_MAX_BRANCHES];
    double scale[CH4_MAX_BRANCHES - 1]; /* n_branches - 1 of them */
} ch4_sampler_config;

/* One branch with everything kept, and [image off, all kept] with one scale. A guidance of 1 is the single branch, exactly. */
ch4_sampler_config ch4_sampler_config_make(int steps, double shift, double guidance);

typedef struct ch4_sampler_in {
    int64_t T, N, S;
    const float *noise;     /* [T,N,d] */
    const float *known;     /* [T,N,d], read where mask is 1; NULL if nothing is known */
    const uint8_t *mask;    /* [T]; NULL if nothing is known */
    const float *framestep; /* [T]; NULL for the image kind */
    const float *context;   /* [T,S,Cc] */
} ch4_sampler_in;

typedef struct ch4_sampler ch4_sampler;

/* Copies what it needs from `in`. CH4_EINVAL: no step, no branch, or no frame left to generate. den is borrowed. */
ch4_status ch4_sampler_create(ch4_sampler **out, ch4_denoiser *den, const ch4_sampler_config *config, const ch4_sampler_in *in, ch4_err *err);
void       ch4_sampler_destroy(ch4_sampler **s);

/* One step. probe, if not NULL, has one entry per branch, each NULL or reading along in that branch. CH4_EINVAL after the last step. */
ch4_status ch4_sampler_step(ch4_sampler *s, const ch4_probe *const *probe, ch4_err *err);

/* The steps from here on are made with this gain, in all branches; NULL: without. Borrowed until the next call or destroy. */
void ch4_sampler_reinforce(ch4_sampler *s, const ch4_denoiser_gain *gain);

int          ch4_sampler_steps_done(const ch4_sampler *s);
const float *ch4_sampler_latents(const ch4_sampler *s);             /* [T,N,d] now */
void         ch4_sampler_predict(const ch4_sampler *s, float *clean); /* [T,N,d]: where the last step's velocity leads to at time 0 */
const float *ch4_sampler_velocity(const ch4_sampler *s, int branch); /* of the last step: a branch's output, or with -1 the guided one */
const float *ch4_sampler_times(const ch4_sampler *s);                /* [steps + 1] */
const float *ch4_sampler_distances(const ch4_sampler *s);            /* [steps] */

#endif
