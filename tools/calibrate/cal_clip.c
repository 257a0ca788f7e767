#include "tools/calibrate/cal_clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "chain/surface.h"
#include "stages/decode/decode.h"
#include "tools/eval/eval_clip.h"
#include "tools/eval/eval_tracks.h"

enum { STREAM_POINTS = 0x63616c70 };

/* --- pictures ------------------------------------------------------------------------------------------------------------------------------ */

/* Frames as the decode stage cuts them out: rgb u8 [T,side,side,3], the caller's to free(). */
static ch4_status read_frames(uint8_t **rgb, int64_t *T, int64_t *side, const char *folder, const ch4_config *config, int64_t most, ch4_err *err)
{
    char path[4096];
    ch4_clip_options options = ch4_decode_resolve(config);
    ch4_clip_plan plan = {0};
    ch4_clip *clip = NULL;
    snprintf(path, sizeof(path), "%s/imgs", folder);
    if (access(path, R_OK)) snprintf(path, sizeof(path), "%s/video.mp4", folder);
    if (!options.frames.max_frames || options.frames.max_frames > most) options.frames.max_frames = most;
    ch4_status st = ch4_clip_scan(&plan, path, &options, &(ch4_clip_hooks){0}, err);
    *T = plan.n_frames, *side = plan.side;
    if (!st && *T < 2) st = ch4_err_set(err, CH4_EFORMAT, "%s: one frame; two or more are needed", path);
    if (!st) st = ch4_calloc(rgb, (size_t)(*T * *side * *side), 3, "frames", err);
    if (!st) st = ch4_clip_open(&clip, path, &options, &plan, &(ch4_clip_hooks){0}, err);
    for (int64_t f = 0; !st && f < *T; f++) st = ch4_clip_next(clip, *rgb + f * *side * *side * 3, NULL, err);
    ch4_clip_close(&clip);
    ch4_clip_plan_fini(&plan);
    return st;
}

/* --- truth --------------------------------------------------------------------------------------------------------------------------------- */

/* K of n vertices, evenly at random, ascending: Floyd's selection. */
static ch4_status choose_points(int32_t *index, int64_t K, int64_t n, uint64_t seed, ch4_err *err)
{
    uint8_t *chosen = NULL;
    ch4_rng rng = ch4_rng_at(seed, STREAM_POINTS);
    ch4_status st = ch4_calloc(&chosen, (size_t)n, 1, "points", err);
    for (int64_t j = n - K; !st && j < n; j++) {
        int64_t i = ch4_rng_below(&rng, (uint32_t)(j + 1));
        chosen[chosen[i] ? j : i] = 1;
    }
    for (int64_t v = 0, k = 0; !st && v < n; v++)
        if (chosen[v]) index[k++] = (int32_t)v;
    free(chosen);
    return st;
}

static double distance(const float a[3], const float b[3])
{
    double s = 0;
    for (int i = 0; i < 3; i++) s += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(s);
}

static ch4_status take_truth(ch4_cal_clip *c, const ch4_eval_truth *truth, const ch4_cal_clip_options *o, ch4_err *err)
{
    int32_t *index = NULL;
    size_t K = (size_t)(c->K = ch4_min_i64(o->points, truth->n_vert));
    c->E = ch4_min_i64(o->frames, c->T - 1);
    ch4_status st = ch4_calloc(&index, K, sizeof(*index), "points", err);
    if (!st) st = choose_points(index, c->K, truth->n_vert, o->seed, err);
    if (!st) st = ch4_calloc(&c->rest, K, 3 * sizeof(float), "points", err);
    if (!st) st = ch4_calloc(&c->frame, (size_t)c->E, sizeof(*c->frame), "frames", err);
    for (int64_t i = 0; !st && i < c->K; i++) memcpy(c->rest + 3 * i, truth->vert + 3 * index[i], 3 * sizeof(float));
    for (int64_t e = 0; !st && e < c->E; e++) {
        ch4_cal_frame *f = &c->frame[e];
        f->slot = 1 + e * (c->T - 1) / c->E + (c->T - 1) / (2 * c->E); /* middles of E equal parts */
        st = ch4_calloc(&f->truth, K, 3 * sizeof(float), "points", err);
        if (!st) st = ch4_calloc(&f->moving, K, 1, "points", err);
        for (int64_t i = 0; !st && i < c->K; i++) {
            memcpy(f->truth + 3 * i, truth->vert + 3 * (f->slot * truth->n_vert + index[i]), 3 * sizeof(float));
            f->moving[i] = distance(f->truth + 3 * i, c->rest + 3 * i) > CH4_EVAL_MOVING;
            c->n_moving += f->moving[i];
        }
    }
    free(index);
    return st;
}

/* --- the model's part ---------------------------------------------------------------------------------------------------------------------- */

static ch4_status encode(ch4_cal_clip *c, const ch4_eval_truth *truth, const uint8_t *rgb, int64_t side, ch4_cal_model *m, ch4_err *err)
{
    int64_t grid;
    ch4_vae_cache *cache = NULL;
    ch4_status st = ch4_denoise_context(&c->context, &c->S, &grid, m->bundle, rgb, c->T, side, err);
    if (!st) st = ch4_calloc(&c->known, (size_t)(c->T * m->N * m->d), sizeof(float), "latents", err);
    if (!st) st = ch4_calloc(&c->framestep, (size_t)c->T, sizeof(float), "window", err);
    if (!st) st = ch4_calloc(&c->mask, (size_t)c->T, 1, "window", err);
    if (!st) st = ch4_calloc(&c->anchor_rows, (size_t)(c->K * m->N), sizeof(float), "anchor attention", err);
    if (!st) st = ch4_denoise_anchor_from_mesh(c->known, m->bundle, &m->plan, m->N, truth->vert, truth->face, truth->n_face, m->plan.seed, err);
    if (!st) st = ch4_vae_cache_create(&cache, m->decoder, c->known, m->N, NULL, err);
    if (!st) st = ch4_vae_query(m->decoder, cache, NULL, c->anchor_rows, c->rest, c->K, NULL, err);
    c->input_floats = c->T * (c->S * ch4_denoiser_get_config(m->denoiser)->context_width + m->N * m->d + 1);
    c->inside = m->chain.inside;
    double share;
    if (!st && !c->inside) st = ch4_surface_probe(&c->inside, &share, m->decoder, cache, err);
    for (int64_t f = 0; !st && f < c->T; f++) c->framestep[f] = (float)f;
    if (!st) c->mask[0] = 1;
    ch4_vae_cache_destroy(&cache);
    return st;
}

static ch4_status decode_frame(ch4_cal_frame *f, const float *z, int inside, ch4_cal_model *m, ch4_err *err)
{
    ch4_vae_cache *cache = NULL;
    ch4_mesh surface = {0};
    ch4_rng rng = ch4_rng_at(m->chain.seed, (uint64_t)f->slot);
    ch4_status st = ch4_vae_cache_create(&cache, m->decoder, z, m->N, NULL, err);
    const ch4_surface_in in = {m->decoder, cache, ch4_chain_cells(&m->chain, m->N), m->chain.band, inside, NULL};
    if (!st) st = ch4_surface_extract(&surface, NULL, &in, err);
    if (!st) st = ch4_surface_candidates(&f->points, &f->n_points, &surface, m->chain.most, m->chain.least, &rng, err);
    if (!st) st = ch4_calloc(&f->rows, (size_t)(f->n_points * m->N), sizeof(float), "candidate attention", err);
    if (!st && f->n_points) st = ch4_vae_query(m->decoder, cache, NULL, f->rows, f->points, f->n_points, NULL, err);
    ch4_mesh_fini(&surface);
    ch4_vae_cache_destroy(&cache);
    return st;
}

static ch4_status generate(ch4_cal_clip *c, ch4_cal_model *m, ch4_err *err)
{
    float *latents = NULL;
    const ch4_denoise_in in = {.T = c->T, .N = m->N, .d = m->d, .S = c->S, .context = c->context, .framestep = c->framestep, .known = c->known, .mask = c->mask,
                               .seed = m->plan.seed};
    ch4_status st = ch4_calloc(&latents, (size_t)(c->T * m->N * m->d), sizeof(float), "latents", err);
    if (!st) st = ch4_denoise_steps(latents, m->bundle, &m->plan, &in, NULL, err);
    for (int64_t e = 0; !st && e < c->E; e++) st = decode_frame(&c->frame[e], latents + c->frame[e].slot * m->N * m->d, c->inside, m, err);
    free(latents);
    return st;
}

/* What trivial answers reach on the moving points. */
static ch4_status score_trivial(ch4_cal_clip *c, ch4_err *err)
{
    float *near = NULL;
    double still = 0, nearest = 0;
    ch4_status st = ch4_calloc(&near, (size_t)c->K, 3 * sizeof(float), "points", err);
    for (int64_t e = 0; !st && e < c->E; e++) {
        const ch4_cal_frame *f = &c->frame[e];
        memcpy(near, c->rest, (size_t)c->K * 3 * sizeof(float));
        if (f->n_points) st = ch4_eval_nearest_in_cloud(near, c->rest, c->K, f->points, f->n_points, NULL, err);
        for (int64_t i = 0; !st && i < c->K; i++) {
            if (!f->moving[i]) continue;
            still += distance(c->rest + 3 * i, f->truth + 3 * i);
            nearest += distance(near + 3 * i, f->truth + 3 * i);
        }
    }
    c->still = still / (double)c->n_moving, c->nearest = nearest / (double)c->n_moving;
    free(near);
    return st;
}

ch4_status ch4_cal_clip_open(ch4_cal_clip *out, const char *name, const char *folder, ch4_cal_model *m, const ch4_cal_clip_options *o, ch4_err *err)
{
    ch4_eval_truth truth = {0};
    uint8_t *rgb = NULL;
    int64_t side = 0;
    *out = (ch4_cal_clip){.name = name, .N = m->N};
    ch4_status st = ch4_eval_truth_open(&truth, folder, err);
    if (!st) st = read_frames(&rgb, &out->T, &side, folder, m->config, ch4_min_i64(m->frames, truth.n_frames), err);
    if (!st) st = take_truth(out, &truth, o, err);
    if (!st && out->n_moving == 0) st = ch4_err_set(err, CH4_EFORMAT, "%s: no point moves by more than %g", folder, CH4_EVAL_MOVING);
    if (!st) st = encode(out, &truth, rgb, side, m, err);
    if (!st) st = generate(out, m, err);
    if (!st) st = score_trivial(out, err);
    free(rgb);
    ch4_eval_truth_close(&truth);
    return st;
}

void ch4_cal_clip_fini(ch4_cal_clip *c)
{
    for (int64_t e = 0; c->frame && e < c->E; e++) {
        free(c->frame[e].truth);
        free(c->frame[e].moving);
        free(c->frame[e].points);
        free(c->frame[e].rows);
    }
    free(c->frame);
    free(c->rest);
    free(c->anchor_rows);
    free(c->context);
    free(c->known);
    free(c->framestep);
    free(c->mask);
    *c = (ch4_cal_clip){0};
}

size_t ch4_cal_clip_bytes(const ch4_cal_clip *c)
{
    int64_t floats = c->input_floats + c->K * (3 + c->N);
    for (int64_t e = 0; c->frame && e < c->E; e++) floats += 3 * c->K + c->frame[e].n_points * (3 + c->N);
    return (size_t)floats * sizeof(float);
}
