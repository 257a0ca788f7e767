#include "model/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/schedule.h"

struct ch4_sampler {
    ch4_denoiser *den;
    ch4_sampler_config config;
    int64_t T, per_frame; /* per_frame = N d */
    int step;
    float *x, *guided, *velocity[CH4_MAX_BRANCHES]; /* [T,N,d] each */
    float *times, *distances, *frame_time, *framestep;
    uint8_t *mask;
    const ch4_denoiser_gain *gain;
};

ch4_sampler_config ch4_sampler_config_make(int steps, double shift, double guidance)
{
    ch4_sampler_config c = {.steps = steps, .shift = shift, .train_steps = 1000, .n_branches = 1, .branch = {{true, true}}};
    if (guidance != 1.0) {
        c.n_branches = 2;
        c.branch[0].image = false;
        c.branch[1] = (ch4_guidance_branch){true, true};
        c.scale[0] = guidance;
    }
    return c;
}

static ch4_status allocate(ch4_sampler *s, ch4_err *err)
{
    size_t n = (size_t)(s->T * s->per_frame), T = (size_t)s->T, k = (size_t)s->config.steps + 1;
    ch4_status st = ch4_calloc(&s->x, n, sizeof(float), "sampler", err);
    if (!st)
        st = ch4_calloc(&s->guided, n, sizeof(float), "sampler", err);
    for (int b = 0; !st && b < s->config.n_branches; b++)
        st = ch4_calloc(&s->velocity[b], n, sizeof(float), "sampler", err);
    if (!st)
        st = ch4_calloc(&s->times, k, sizeof(float), "sampler", err);
    if (!st)
        st = ch4_calloc(&s->distances, k, sizeof(float), "sampler", err);
    if (!st)
        st = ch4_calloc(&s->frame_time, T, sizeof(float), "sampler", err);
    if (!st)
        st = ch4_calloc(&s->framestep, T, sizeof(float), "sampler", err);
    return st ? st : ch4_calloc(&s->mask, T, 1, "sampler", err);
}

static ch4_status fill_schedule(ch4_sampler *s, ch4_err *err)
{
    const ch4_sampler_config *c = &s->config;
    if (ch4_denoiser_get_config(s->den)->kind == CH4_DENOISER_TEMPORAL) {
        ch4_schedule_temporal(s->times, s->distances, c->steps, c->shift, c->train_steps);
        return CH4_OK;
    }
    float *sigmas = NULL;
    ch4_status st = ch4_calloc(&sigmas, (size_t)c->steps + 1, sizeof *sigmas, "sampler", err);
    if (st)
        return st;
    ch4_schedule_image(s->times, sigmas, c->steps, c->shift, c->train_steps);
    for (int i = 0; i < c->steps; i++)
        s->distances[i] = sigmas[i] - sigmas[i + 1];
    free(sigmas);
    return CH4_OK;
}

static ch4_status check(const ch4_sampler_config *c, const ch4_sampler_in *in, ch4_err *err)
{
    if (c->steps < 1 || c->train_steps < 1 || c->n_branches < 1 || c->n_branches > CH4_MAX_BRANCHES || !(c->shift > 0))
        return ch4_err_set(err, CH4_EINVAL, "sampler: at least one step, one training step, one branch and a positive shift wanted");
    int64_t known = 0;
    for (int64_t f = 0; in->mask && f < in->T; f++)
        known += in->mask[f] != 0;
    if (known == in->T)
        return ch4_err_set(err, CH4_EINVAL, "sampler: all frames are known, nothing is left to generate");
    return known && !in->known ? ch4_err_set(err, CH4_EINVAL, "sampler: latents of the known frames are missing") : CH4_OK;
}

ch4_status ch4_sampler_create(ch4_sampler **out, ch4_denoiser *den, const ch4_sampler_config *config, const ch4_sampler_in *in, ch4_err *err)
{
    ch4_sampler *s = NULL;
    *out = NULL;
    ch4_status st = check(config, in, err);
    if (!st)
        st = ch4_calloc(&s, 1, sizeof *s, "sampler", err);
    if (st)
        return st;
    *s = (ch4_sampler){.den = den, .config = *config, .T = in->T, .per_frame = in->N * ch4_denoiser_get_config(den)->in_channels};
    st = allocate(s, err);
    if (!st)
        st = fill_schedule(s, err);
    if (!st)
        st = ch4_denoiser_begin(den, in->T, in->N, in->context, in->S, err);
    if (st) {
        ch4_sampler_destroy(&s);
        return st;
    }
    size_t frame = (size_t)s->per_frame * sizeof(float);
    for (int64_t f = 0; f < s->T; f++) {
        s->mask[f] = in->mask && in->mask[f];
        s->framestep[f] = in->framestep ? in->framestep[f] : 0.0f;
        memcpy(s->x + f * s->per_frame, (s->mask[f] ? in->known : in->noise) + f * s->per_frame, frame);
    }
    *out = s;
    return CH4_OK;
}

void ch4_sampler_destroy(ch4_sampler **out)
{
    ch4_sampler *s = *out;
    if (!s)
        return;
    for (int b = 0; b < CH4_MAX_BRANCHES; b++)
        free(s->velocity[b]);
    free(s->x);
    free(s->guided);
    free(s->times);
    free(s->distances);
    free(s->frame_time);
    free(s->framestep);
    free(s->mask);
    free(s);
    *out = NULL;
}

static void guide(ch4_sampler *s)
{
    int64_t n = s->T * s->per_frame;
    memcpy(s->guided, s->velocity[0], (size_t)n * sizeof(float));
    for (int b = 0; b + 1 < s->config.n_branches; b++) {
        float scale = (float)s->config.scale[b];
        for (int64_t i = 0; i < n; i++)
            s->guided[i] += scale * (s->velocity[b + 1][i] - s->velocity[b][i]);
    }
}

ch4_status ch4_sampler_step(ch4_sampler *s, const ch4_probe *const *probe, ch4_err *err)
{
    if (s->step >= s->config.steps)
        return ch4_err_set(err, CH4_EINVAL, "sampler: all %d steps are done", s->config.steps);
    for (int b = 0; b < s->config.n_branches; b++) {
        for (int64_t f = 0; f < s->T; f++)
            s->frame_time[f] = s->mask[f] && s->config.branch[b].latent ? 0.0f : s->times[s->step];
        const ch4_denoiser_in in = {.x = s->x, .time = s->frame_time, .framestep = s->framestep, .use_context = s->config.branch[b].image, .gain = s->gain};
        ch4_status st = ch4_denoiser_forward(s->den, s->velocity[b], &in, probe ? probe[b] : NULL, err);
        if (st)
            return ch4_err_wrap(err, st, "step %d, branch %d", s->step, b);
    }
    guide(s);
    float distance = s->distances[s->step++];
    for (int64_t f = 0; f < s->T; f++)
        for (int64_t i = f * s->per_frame; !s->mask[f] && i < (f + 1) * s->per_frame; i++)
            s->x[i] += distance * s->guided[i];
    return CH4_OK;
}

void ch4_sampler_reinforce(ch4_sampler *s, const ch4_denoiser_gain *gain)
{
    s->gain = gain;
}

void ch4_sampler_predict(const ch4_sampler *s, float *clean)
{
    float left = s->times[s->step] / (float)s->config.train_steps;
    for (int64_t f = 0; f < s->T; f++)
        for (int64_t i = f * s->per_frame; i < (f + 1) * s->per_frame; i++)
            clean[i] = s->x[i] + (s->mask[f] ? 0 : left * s->guided[i]);
}

int ch4_sampler_steps_done(const ch4_sampler *s)
{
    return s->step;
}

const float *ch4_sampler_latents(const ch4_sampler *s)
{
    return s->x;
}

const float *ch4_sampler_velocity(const ch4_sampler *s, int branch)
{
    return branch < 0 ? s->guided : s->velocity[branch];
}

const float *ch4_sampler_times(const ch4_sampler *s)
{
    return s->times;
}

const float *ch4_sampler_distances(const ch4_sampler *s)
{
    return s->distances;
}
