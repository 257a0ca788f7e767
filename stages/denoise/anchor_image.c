#include "stages/denoise/anchor_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/clean.h"
#include "mesh/isosurface.h"
#include "stages/denoise/denoise_window.h"

enum { STREAM_ANCHOR = 0x616e6368 }; /* of the random numbers; draw k uses the k-th after it */
enum { COARSE_CELLS = 16, LEVELS = 2 }; /* of the mean's surface: 32 cells per axis */

int64_t ch4_anchor_slot_of(int64_t i, int64_t count, int64_t T)
{
    return count > 1 ? (2 * i * (T - 1) + count - 1) / (2 * (count - 1)) : 0;
}

/* --- draws ----------------------------------------------------------------------------------------------------------------------- */

/* What all draws share: the chosen frames. */
typedef struct views {
    int64_t F, N, d, S;
    float *context, *framestep; /* [F,S,Cc], [F] */
    float *noise;               /* [F,N,d] */
} views;

static void views_fini(views *v)
{
    free(v->context);
    free(v->framestep);
    free(v->noise);
}

static ch4_status views_init(views *v, const ch4_denoiser_config *config, const ch4_denoise_plan *plan, const ch4_anchor_images *in, ch4_err *err)
{
    *v = (views){.F = ch4_min_i64(plan->anchor_frames, in->T), .N = in->N, .d = config->in_channels, .S = in->S};
    size_t row = (size_t)(in->S * config->context_width);
    ch4_status st = ch4_calloc(&v->context, (size_t)v->F * row, sizeof *v->context, "image features", err);
    if (!st)
        st = ch4_calloc(&v->framestep, (size_t)v->F, sizeof *v->framestep, "frames", err);
    if (!st)
        st = ch4_calloc(&v->noise, (size_t)(v->F * v->N * v->d), sizeof *v->noise, "noise", err);
    for (int64_t i = 0; !st && i < v->F; i++) {
        int64_t slot = ch4_anchor_slot_of(i, v->F, in->T);
        memcpy(v->context + (size_t)i * row, in->context + (size_t)slot * row, row * sizeof *v->context);
        v->framestep[i] = in->framestep[slot];
    }
    return st;
}

/* Latent z [N,d] of the first frame from one noise set, which all frames share: it ties their tokens together. */
static ch4_status draw(float *z, ch4_denoiser *den, const ch4_denoise_plan *plan, views *v, uint64_t seed, int64_t number, ch4_err *err)
{
    int64_t n = v->N * v->d;
    ch4_rng rng = ch4_rng_at(seed, STREAM_ANCHOR + (uint64_t)number);
    ch4_sampler *s = NULL;
    for (int64_t i = 0; i < n; i++)
        v->noise[i] = (float)ch4_rng_normal(&rng);
    for (int64_t f = 1; f < v->F; f++)
        memcpy(v->noise + f * n, v->noise, (size_t)n * sizeof *v->noise);
    const ch4_sampler_in in = {.T = v->F, .N = v->N, .S = v->S, .noise = v->noise, .framestep = v->framestep, .context = v->context};
    ch4_status st = ch4_sampler_create(&s, den, &plan->anchor, &in, err);
    for (int k = 0; !st && k < plan->anchor.steps; k++)
        st = ch4_sampler_step(s, NULL, err);
    if (!st)
        memcpy(z, ch4_sampler_latents(s), (size_t)n * sizeof *z);
    ch4_sampler_destroy(&s);
    return st;
}

/* --- the mean of their fields ------------------------------------------------------------------------------------------------------ */

typedef struct mean_field {
    ch4_vae *vae;
    ch4_vae_cache **cache; /* [K] */
    int64_t K;
    float *value;          /* [batch] */
} mean_field;

static ch4_status mean_at(void *ctx, float *value, const float *point, int64_t n, ch4_err *err)
{
    const mean_field *m = ctx;
    memset(value, 0, (size_t)n * sizeof *value);
    for (int64_t k = 0; k < m->K; k++) {
        ch4_status st = ch4_vae_query(m->vae, m->cache[k], m->value, NULL, point, n, NULL, err);
        if (st)
            return st;
        for (int64_t i = 0; i < n; i++)
            value[i] += m->value[i] / (float)m->K;
    }
    return CH4_OK;
}

static int sign_inside(ch4_model_inside inside)
{
    return inside == CH4_MODEL_INSIDE_AUTO ? 0 : inside == CH4_MODEL_INSIDE_POSITIVE ? 1 : -1;
}

static ch4_status extract(ch4_mesh *out, mean_field *m, const ch4_denoise_plan *plan, ch4_model_inside inside, ch4_err *err)
{
    ch4_isosurface_options options = ch4_isosurface_defaults();
    ch4_clean_options clean = ch4_clean_defaults();
    ch4_mesh raw = {0};
    options.cells = COARSE_CELLS;
    options.levels = LEVELS;
    options.band = plan->band;
    options.inside = sign_inside(inside);
    clean.floaters = plan->floaters;
    ch4_status st = ch4_calloc(&m->value, (size_t)options.batch, sizeof *m->value, "field", err);
    if (!st)
        st = ch4_isosurface_extract(&raw, NULL, mean_at, m, &options, err);
    if (!st)
        st = ch4_mesh_clean(out, NULL, raw.vert, raw.n_vert, raw.face, raw.n_face, &clean, err);
    ch4_mesh_fini(&raw);
    if (!st && out->n_face == 0)
        st = ch4_err_set(err, CH4_EFORMAT, "the anchor's latents have no surface: no object was recognised in the anchor frame");
    return st;
}

/* Surface of the mean field of K latents [K,N,d]. Free *out with ch4_mesh_fini. */
static ch4_status mean_surface(ch4_mesh *out, ch4_bundle *bundle, const ch4_denoise_plan *plan, const float *z, int64_t K, int64_t N, int64_t d, ch4_err *err)
{
    mean_field m = {.K = K};
    *out = (ch4_mesh){0};
    ch4_status st = ch4_bundle_get_vae_decoder(bundle, &m.vae, err);
    if (!st)
        st = ch4_calloc(&m.cache, (size_t)K, sizeof *m.cache, "fields", err);
    for (int64_t k = 0; !st && k < K; k++)
        st = ch4_vae_cache_create(&m.cache[k], m.vae, z + k * N * d, N, NULL, err);
    if (!st)
        st = extract(out, &m, plan, ch4_bundle_get_info(bundle)->field.inside, err);
    for (int64_t k = 0; m.cache && k < K; k++)
        ch4_vae_cache_destroy(&m.cache[k]);
    free(m.cache);
    free(m.value);
    return st;
}

ch4_status ch4_denoise_anchor_from_images(float *z, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_anchor_images *in, ch4_err *err)
{
    ch4_denoiser *den;
    views v = {0};
    ch4_mesh mesh = {0};
    float *drawn = NULL;
    int64_t K = plan->anchor_draws;
    ch4_status st = ch4_bundle_get_image_to_3d(bundle, &den, err);
    if (st)
        return st;
    st = views_init(&v, ch4_denoiser_get_config(den), plan, in, err);
    int64_t n = v.N * v.d;
    if (!st)
        st = ch4_calloc(&drawn, (size_t)(K * n), sizeof *drawn, "latents", err);
    for (int64_t k = 0; !st && k < K; k++)
        st = draw(drawn + k * n, den, plan, &v, in->seed, k, err);
    if (!st && K == 1) {
        memcpy(z, drawn, (size_t)n * sizeof *z);
    } else if (!st) {
        st = mean_surface(&mesh, bundle, plan, drawn, K, v.N, v.d, err);
        if (!st)
            st = ch4_denoise_anchor_from_mesh(z, bundle, plan, v.N, mesh.vert, mesh.face, mesh.n_face, in->seed, err);
    }
    ch4_mesh_fini(&mesh);
    free(drawn);
    views_fini(&v);
    return st;
}
