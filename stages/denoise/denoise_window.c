#include "stages/denoise/denoise_window.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/sample.h"
#include "model/assignment.h"
#include "stages/denoise/handover.h"
#include "stages/denoise/steer.h"

enum { STREAM_NOISE = 0x6e6f6973, STREAM_SURFACE = 0x73757266 }; /* of the random numbers */

ch4_status ch4_denoise_context(float **context, int64_t *S, int64_t *grid, ch4_bundle *bundle, const uint8_t *frames, int64_t T, int64_t side, ch4_err *err)
{
    ch4_image_encoder *enc;
    ch4_image_processor processor;
    float *pixels = NULL;
    *context = NULL;
    ch4_status st = ch4_bundle_get_image_encoder(bundle, &enc, &processor, err);
    if (st)
        return st;
    const ch4_image_encoder_config *config = ch4_image_encoder_get_config(enc);
    int64_t h = processor.crop_height, w = processor.crop_width;
    if (h != w)
        return ch4_err_set(err, CH4_EUNSUP, "image processor: crop of %" PRId64 "x%" PRId64 " pixels; a square one is needed", w, h);
    *grid = h / config->patch;
    *S = 1 + *grid * *grid;
    st = ch4_calloc(&pixels, (size_t)(T * 3 * h * w), sizeof *pixels, "pixels", err);
    if (!st)
        st = ch4_calloc(context, (size_t)(T * *S * config->width), sizeof **context, "image features", err);
    for (int64_t f = 0; !st && f < T; f++)
        st = ch4_image_process(&processor, pixels + f * 3 * h * w, frames + f * side * side * 3, side, side, err);
    if (!st)
        st = ch4_image_encoder_forward(enc, *context, pixels, T, h, w, NULL, err);
    free(pixels);
    if (st) {
        free(*context);
        *context = NULL;
    }
    return st;
}

static void fill_normal(float *out, int64_t n, uint64_t seed, uint64_t stream)
{
    ch4_rng rng = ch4_rng_at(seed, stream);
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)ch4_rng_normal(&rng);
}

ch4_status ch4_denoise_anchor_from_mesh(float *z, ch4_bundle *bundle, const ch4_denoise_plan *plan, int64_t N, const float *vert, const int32_t *face, int64_t n_face,
                                        uint64_t seed, ch4_err *err)
{
    return ch4_denoise_encode(z, bundle, plan, N, vert, vert, face, n_face, seed, err);
}

/* Share of n points on the right side, for a field whose sign inside the model may or may not name. */
static double right_side(const float *outside, const float *inside, int64_t n, ch4_model_inside sign)
{
    int64_t positive_inside = 0;
    for (int64_t i = 0; i < n; i++)
        positive_inside += (outside[i] < 0) + (inside[i] > 0);
    double share = (double)positive_inside / (double)(2 * n);
    if (sign == CH4_MODEL_INSIDE_AUTO)
        return fmax(share, 1 - share);
    return sign == CH4_MODEL_INSIDE_POSITIVE ? share : 1 - share;
}

ch4_status ch4_denoise_mesh_fit(double *share, ch4_bundle *bundle, const ch4_denoise_plan *plan, int64_t N, const float *z, const float *vert, const int32_t *face,
                                int64_t n_face, uint64_t seed, ch4_err *err)
{
    ch4_vae *vae;
    ch4_vae_cache *cache = NULL;
    int64_t P = ch4_min_i64(plan->points, 2048);
    float *point = NULL, *normal = NULL, *field = NULL;
    ch4_rng rng = ch4_rng_at(seed, STREAM_SURFACE);
    ch4_status st = ch4_bundle_get_vae_decoder(bundle, &vae, err);
    if (!st)
        st = ch4_calloc(&point, (size_t)P * 6, sizeof *point, "surface points", err);
    if (!st)
        st = ch4_calloc(&normal, (size_t)P * 3, sizeof *normal, "surface points", err);
    if (!st)
        st = ch4_calloc(&field, (size_t)P * 2, sizeof *field, "field", err);
    if (!st)
        st = ch4_mesh_sample(point, normal, NULL, NULL, P, vert, face, n_face, &rng, err);
    for (int64_t i = 0; !st && i < 3 * P; i++) {
        point[3 * P + i] = (float)(point[i] - CH4_DENOISE_FIT_DEPTH * normal[i]);
        point[i] += (float)(CH4_DENOISE_FIT_DEPTH * normal[i]);
    }
    if (!st)
        st = ch4_vae_cache_create(&cache, vae, z, N, NULL, err);
    if (!st)
        st = ch4_vae_query(vae, cache, field, NULL, point, 2 * P, NULL, err);
    if (!st)
        *share = right_side(field, field + P, P, ch4_bundle_get_info(bundle)->field.inside);
    ch4_vae_cache_destroy(&cache);
    free(point);
    free(normal);
    free(field);
    return st;
}

ch4_status ch4_denoise_noise(float *noise, const ch4_denoise_plan *plan, int64_t T, int64_t N, int64_t d, const float *anchor, uint64_t seed, ch4_err *err)
{
    int64_t n = N * d;
    if (plan->noise == CH4_MODEL_NOISE_INDEPENDENT) {
        fill_normal(noise, T * n, seed, STREAM_NOISE);
        return CH4_OK;
    }
    ch4_status st = CH4_OK;
    fill_normal(noise, n, seed, STREAM_NOISE);
    if (plan->noise == CH4_MODEL_NOISE_MATCHED) {
        float *matched = NULL;
        double pull = plan->noise_anchor, rest = sqrt(1 - pull * pull);
        st = ch4_calloc(&matched, (size_t)n, sizeof *matched, "noise", err);
        if (!st)
            st = ch4_assign_noise(matched, noise, anchor, N, d, err);
        for (int64_t i = 0; !st && i < n; i++)
            noise[i] = (float)(pull * anchor[i] + rest * matched[i]);
        free(matched);
    }
    for (int64_t f = 1; !st && f < T; f++)
        memcpy(noise + f * n, noise, (size_t)n * sizeof *noise);
    return st;
}

/* Nothing to generate: the attention of the known frames as they are. */
static ch4_status read_known(ch4_denoiser *den, ch4_capture *capture, const ch4_denoise_in *in, ch4_err *err)
{
    int64_t n = in->T * in->N * in->d;
    float *v = NULL, *time = NULL;
    ch4_status st = ch4_calloc(&v, (size_t)n, sizeof *v, "velocity", err);
    if (!st)
        st = ch4_calloc(&time, (size_t)in->T, sizeof *time, "times", err);
    if (!st)
        st = ch4_denoiser_begin(den, in->T, in->N, in->context, in->S, err);
    const ch4_denoiser_in pass = {.x = in->known, .time = time, .framestep = in->framestep, .use_context = true};
    if (!st)
        st = ch4_denoiser_forward(den, v, &pass, ch4_capture_probe(capture, true, true), err);
    free(time);
    free(v);
    return st;
}

/* What step k is reinforced with, and who reads along for what comes after. */
static ch4_status steer_step(ch4_sampler *s, const ch4_probe **probe, struct ch4_steering *steering, int k, int n_branches, ch4_err *err)
{
    const ch4_denoiser_gain *gain;
    ch4_status st = ch4_steering_gain(steering, s, k, &gain, err);
    ch4_sampler_reinforce(s, st ? NULL : gain);
    for (int b = 0; b < n_branches; b++)
        probe[b] = ch4_steering_probe(steering, k, b, probe[b]);
    return st;
}

ch4_status ch4_denoise_steps(float *latents, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_denoise_in *in, const ch4_denoise_watch *watch, ch4_err *err)
{
    ch4_denoiser *den;
    size_t n = (size_t)(in->T * in->N * in->d);
    float *noise = NULL;
    ch4_sampler *s = NULL;
    ch4_status st = ch4_bundle_get_denoiser(bundle, &den, err);
    if (!st)
        st = ch4_calloc(&noise, n, sizeof *noise, "noise", err);
    if (!st)
        st = ch4_denoise_noise(noise, plan, in->T, in->N, in->d, in->known + in->anchor * in->N * in->d, in->seed, err);
    if (!st) {
        const ch4_sampler_in start = {.T = in->T, .N = in->N, .S = in->S, .noise = noise, .known = in->known, .mask = in->mask, .framestep = in->framestep, .context = in->context};
        st = ch4_sampler_create(&s, den, &plan->window, &start, err);
    }
    for (int k = 0; !st && k < plan->window.steps; k++) {
        const ch4_probe *probe[CH4_MAX_BRANCHES];
        for (int b = 0; b < plan->window.n_branches; b++)
            probe[b] = watch ? watch->probe(watch->ctx, k, b) : NULL;
        if (in->steering)
            st = steer_step(s, probe, in->steering, k, plan->window.n_branches, err);
        if (st)
            break;
        st = in->canceled && in->canceled(in->ctx) ? ch4_err_set(err, CH4_ECANCELED, "canceled after step %d", k) : ch4_sampler_step(s, probe, err);
        if (!st && in->on_step)
            in->on_step(in->ctx, k + 1, plan->window.steps);
    }
    if (!st)
        memcpy(latents, ch4_sampler_latents(s), n * sizeof *latents);
    ch4_sampler_destroy(&s);
    free(noise);
    return st;
}

typedef struct reader {
    const ch4_denoise_plan *plan;
    const ch4_capture *capture;
} reader;

static const ch4_probe *probe_of(void *ctx, int step, int branch)
{
    const reader *r = ctx;
    return ch4_denoise_plan_probe(r->plan, r->capture, step, branch);
}

static ch4_status check_finite(const float *latents, int64_t n, ch4_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(latents[i]))
            return ch4_err_set(err, CH4_EFORMAT, "the denoiser gave a value that is not finite: are these weights damaged?");
    return CH4_OK;
}

ch4_status ch4_denoise_window(ch4_denoise_out *out, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_denoise_in *in, ch4_err *err)
{
    ch4_denoiser *den;
    ch4_capture *capture = NULL;
    ch4_capture_config reading = plan->capture;
    int64_t n_known = 0;
    for (int64_t f = 0; f < in->T; f++)
        n_known += in->mask[f] != 0;
    reading.anchor_slot = (int)in->anchor;
    if (n_known == in->T)
        reading.self_passes = reading.cross_passes = 1;
    ch4_status st = ch4_bundle_get_denoiser(bundle, &den, err);
    if (!st)
        st = ch4_capture_create(&capture, ch4_bundle_get_nn(bundle), &reading, in->T, in->N, in->S, ch4_denoiser_get_config(den)->num_heads, err);
    if (!st && n_known == in->T) {
        memcpy(out->latents, in->known, (size_t)(in->T * in->N * in->d) * sizeof *out->latents);
        st = read_known(den, capture, in, err);
    } else if (!st) {
        reader r = {plan, capture};
        st = ch4_denoise_steps(out->latents, bundle, plan, in, &(ch4_denoise_watch){probe_of, &r}, err);
    }
    if (!st)
        st = check_finite(out->latents, in->T * in->N * in->d, err);
    if (!st)
        st = ch4_capture_read(capture, out->attention, out->mass, out->patch, err);
    ch4_capture_destroy(&capture);
    return st;
}
