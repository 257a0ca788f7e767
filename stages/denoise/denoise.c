#include "stages/denoise/denoise.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/mesh_io.h"
#include "model/windows.h"
#include "stages/denoise/anchor_image.h"
#include "stages/denoise/denoise_files.h"
#include "stages/denoise/familiar.h"
#include "stages/denoise/mesh_yaw.h"
#include "stages/denoise/handover.h"
#include "stages/denoise/steer.h"

typedef struct denoise {
    ch4_stage *stage;
    int64_t done, total; /* steps of the window in hand */
    ch4_nn *nn;
    ch4_bundle *bundle;
    ch4_denoise_plan plan;
    ch4_steer steer;
    int64_t reencode; /* the mesh is encoded anew in every so many windows; 0: never */
    int64_t N, d;
    ch4_denoise_mesh mesh; /* no vertices: none was given */
    float *upright;        /* [V,3] its vertices in the cube before they are turned */
    char *turned_clip;     /* whose yaw it has now; NULL: nobody's */
    ch4_familiar familiar; /* width 0: the model does not say what it was trained on */
    char *last_clip;       /* the window that was done last, for the next one's known frames; NULL: none */
    int64_t last_window;
    ch4_denoise_done last;
} denoise;

/* One window while it is worked on. */
typedef struct work {
    ch4_denoise_frames frames;
    float *context, *framestep, *known;
    uint8_t *mask;
    int64_t S, grid, anchor; /* anchor: slot */
    bool encoded;            /* see ch4_denoise_done */
    ch4_token_pair *pairs;   /* [n_pairs] carried over from the window that the anchor comes from */
    int64_t n_pairs, n_reinforced;
    ch4_denoise_out out;
} work;

static ch4_status load_mesh(denoise *s, const ch4_config *config, ch4_err *err)
{
    ch4_asset asset;
    ch4_status st = ch4_asset_load(&asset, config->mesh.path, err);
    if (st)
        return st;
    s->mesh.mesh = asset.mesh;
    asset.mesh = (ch4_mesh){0};
    ch4_asset_fini(&asset);
    size_t n = (size_t)s->mesh.mesh.n_vert;
    st = ch4_denoise_place_mesh(&s->mesh, config->mesh.normalize, err);
    if (!st)
        st = ch4_calloc(&s->upright, n, 3 * sizeof *s->upright, "mesh", err);
    if (st)
        return ch4_err_wrap(err, st, "%s", config->mesh.path);
    memcpy(s->upright, s->mesh.mesh.vert, 3 * n * sizeof *s->upright);
    return CH4_OK;
}

/* A step of a full-size network takes hours on a processor: every block of it is a sign of life. */
static bool on_block(void *ctx)
{
    const denoise *s = ctx;
    ch4_stage_progress(s->stage, s->done, s->total);
    return !ch4_stage_canceled(s->stage);
}

/* Everything that a window can need is opened before ready, so that a bad model or mesh ends the run at once. */
static ch4_status open_networks(denoise *s, ch4_err *err)
{
    ch4_denoiser *den, *image = NULL;
    ch4_image_encoder *enc;
    ch4_image_processor processor;
    ch4_vae *vae;
    ch4_status st = ch4_bundle_get_denoiser(s->bundle, &den, err);
    if (!st)
        st = ch4_bundle_get_image_encoder(s->bundle, &enc, &processor, err);
    if (!st && s->mesh.mesh.n_vert) {
        st = ch4_bundle_get_vae_encoder(s->bundle, &vae, err);
        if (!st)
            st = ch4_bundle_get_vae_decoder(s->bundle, &vae, err);
    } else if (!st) {
        st = ch4_bundle_get_image_to_3d(s->bundle, &image, err);
    }
    if (!st && s->reencode)
        st = ch4_bundle_get_vae_encoder(s->bundle, &vae, err);
    if (!st && s->steer.window)
        st = ch4_bundle_get_vae_decoder(s->bundle, &vae, err);
    if (st)
        return st;
    ch4_denoiser_set_pulse(den, on_block, s);
    if (image)
        ch4_denoiser_set_pulse(image, on_block, s);
    s->N = ch4_denoiser_get_config(den)->num_tokens;
    s->d = ch4_denoiser_get_config(den)->in_channels;
    if (ch4_image_encoder_get_config(enc)->width != ch4_denoiser_get_config(den)->context_width)
        return ch4_err_set(err, CH4_EFORMAT, "%s: the image encoder's width is not the denoiser's cross_attention_dim", ch4_bundle_get_dir(s->bundle));
    return CH4_OK;
}

static ch4_status load_familiar(denoise *s, ch4_err *err)
{
    const char *name = ch4_bundle_get_info(s->bundle)->familiar.path;
    char path[CH4_STAGE_PATH];
    ch4_image_encoder *enc;
    ch4_image_processor processor;
    if (!name[0])
        return CH4_OK;
    if (snprintf(path, sizeof path, "%s/%s", ch4_bundle_get_dir(s->bundle), name) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "%s: path too long", name);
    ch4_status st = ch4_bundle_get_image_encoder(s->bundle, &enc, &processor, err);
    return st ? st : ch4_familiar_load(&s->familiar, path, ch4_image_encoder_get_config(enc)->width, err);
}

static ch4_status resolve_steer(denoise *s, const ch4_config *config, ch4_err *err)
{
    ch4_denoiser *den;
    ch4_status st = ch4_bundle_get_denoiser(s->bundle, &den, err);
    return st ? st : ch4_steer_resolve(&s->steer, config, ch4_bundle_get_info(s->bundle), &s->plan, ch4_denoiser_get_config(den)->num_layers, err);
}

ch4_status ch4_denoise_open(ch4_stage *stage, void **state, ch4_err *err)
{
    const ch4_config *config = stage->config;
    denoise *s = NULL;
    if (!config->run.model[0])
        return ch4_err_set(err, CH4_ECONFIG, "run.model: no model was given");
    ch4_status st = ch4_calloc(&s, 1, sizeof *s, "denoise", err);
    if (st)
        return st;
    *state = s;
    s->stage = stage;
    st = ch4_nn_open(&s->nn, config->run.device == CH4_CONFIG_REF ? "ref" : "cpu", ch4_pool_threads(stage->pool), err);
    if (!st)
        st = ch4_bundle_open(&s->bundle, config->run.model, s->nn, err);
    if (!st)
        st = ch4_denoise_plan_make(&s->plan, config, ch4_bundle_get_info(s->bundle), err);
    if (!st)
        ch4_bundle_set_loading(s->bundle, &s->plan.loading);
    if (!st && config->mesh.path[0])
        st = load_mesh(s, config, err);
    if (!st)
        st = ch4_config_handover(&s->reencode, config, err);
    if (!st)
        st = resolve_steer(s, config, err);
    if (!st)
        st = open_networks(s, err);
    return st ? st : load_familiar(s, err);
}

static void forget(denoise *s)
{
    free(s->last_clip);
    s->last_clip = NULL;
    ch4_denoise_done_fini(&s->last);
}

void ch4_denoise_end_clip(ch4_stage *stage, void *state, const char *clip_name)
{
    (void)stage;
    denoise *s = state;
    if (s->last_clip && strcmp(s->last_clip, clip_name) == 0)
        forget(s);
}

void ch4_denoise_close(ch4_stage *stage, void *state)
{
    (void)stage;
    denoise *s = state;
    forget(s);
    ch4_mesh_fini(&s->mesh.mesh);
    free(s->upright);
    free(s->turned_clip);
    ch4_familiar_fini(&s->familiar);
    ch4_bundle_close(&s->bundle);
    ch4_nn_close(&s->nn);
    free(s);
}

/* --- known frames ---------------------------------------------------------------------------------------------------------------- */

/* Makes window v of the clip the one that is remembered. CH4_EAGAIN while its file is not there. */
static ch4_status remember(denoise *s, ch4_stage *stage, const ch4_stage_clip *clip, int64_t v, ch4_err *err)
{
    char path[CH4_STAGE_PATH];
    if (s->last_clip && s->last_window == v && strcmp(s->last_clip, clip->name) == 0)
        return CH4_OK;
    forget(s);
    if (!ch4_stage_has(stage, clip, v, "denoise"))
        return ch4_err_set(err, CH4_EAGAIN, "window %" PRId64 " is not done yet", v);
    ch4_status st = ch4_stage_path(path, clip, v, "denoise", err);
    if (!st)
        st = ch4_denoise_read_done(&s->last, path, err);
    if (!st && (s->last.N != s->N || s->last.d != s->d))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: latents of another model", path);
    if (!st) {
        s->last_clip = strdup(clip->name);
        s->last_window = v;
        st = s->last_clip ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "denoise: out of memory");
    }
    return st;
}

static bool reencodes(const denoise *s, const ch4_stage_window *window)
{
    return s->reencode > 0 && window->index > 0 && window->index % s->reencode == 0;
}

/* CH4_EAGAIN while a file that will be read is not there: asked before anything is computed. */
static ch4_status wait_for(ch4_stage *stage, const ch4_stage_window *window, int64_t v, const char *of, ch4_err *err)
{
    return ch4_stage_has(stage, &window->clip, v, of) ? CH4_OK : ch4_err_set(err, CH4_EAGAIN, "window %" PRId64 " is not through %s yet", v, of);
}

static ch4_status wait_for_feedback(const denoise *s, ch4_stage *stage, const ch4_stage_window *window, const work *w, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (int64_t f = 0; !st && f < w->frames.T; f++) {
        int64_t v = w->frames.first[f];
        if (v < 0 || v >= window->index)
            continue;
        if (reencodes(s, window))
            st = wait_for(stage, window, v, "animate", err);
        if (!st && s->steer.next)
            st = wait_for(stage, window, v, "chain", err);
    }
    return st;
}

/* The latent of the clip's mesh as window v has moved it in its slot i. */
static ch4_status encode_moved(denoise *s, const ch4_stage_window *window, float *z, int64_t v, int64_t i, ch4_err *err)
{
    char chain[CH4_STAGE_PATH], animate[CH4_STAGE_PATH];
    ch4_denoise_moved m = {0};
    ch4_status st = ch4_stage_path(chain, &window->clip, 0, "chain", err);
    if (!st)
        st = ch4_stage_path(animate, &window->clip, v, "animate", err);
    if (!st)
        st = ch4_denoise_read_moved(&m, chain, animate, i, err);
    if (!st)
        st = ch4_denoise_encode(z, s->bundle, &s->plan, s->N, m.rest.vert, m.vert, m.rest.face, m.rest.n_face, s->plan.seed, err);
    ch4_denoise_moved_fini(&m);
    return st;
}

/* Latents of the frames that earlier windows have: each from the first window that holds it. */
static ch4_status find_known(denoise *s, ch4_stage *stage, const ch4_stage_window *window, work *w, ch4_err *err)
{
    int64_t n = s->N * s->d;
    for (int64_t f = 0; f < w->frames.T; f++) {
        int64_t v = w->frames.first[f], i = 0;
        if (v < 0 || v > window->index)
            return ch4_err_set(err, CH4_EFORMAT, "%s: slot %" PRId64 " is said to come from window %" PRId64, window->input, f, v);
        if (v == window->index)
            continue;
        ch4_status st = remember(s, stage, &window->clip, v, err);
        if (st)
            return st;
        while (i < s->last.T && s->last.index[i] != w->frames.index[f])
            i++;
        if (i == s->last.T)
            return ch4_err_set(err, CH4_EFORMAT, "%s: window %" PRId64 " does not hold frame %" PRId64, window->input, v, w->frames.index[f]);
        if (reencodes(s, window))
            st = encode_moved(s, window, w->known + f * n, v, i, err);
        else
            memcpy(w->known + f * n, s->last.latents + i * n, (size_t)n * sizeof *w->known);
        if (st)
            return st;
        w->encoded = s->last.encoded || reencodes(s, window);
        w->mask[f] = 1;
    }
    w->anchor = ch4_window_anchor_slot(w->mask, w->frames.T);
    return CH4_OK;
}

/* Reliable pairs of the window that the anchor comes from, if its tokens are the same ones. */
static ch4_status carry_pairs(denoise *s, ch4_stage *stage, const ch4_stage_window *window, work *w, ch4_err *err)
{
    int64_t v = w->frames.first[w->anchor], n = 0;
    char path[CH4_STAGE_PATH];
    ch4_token_pair *before = NULL;
    if (!s->steer.next || window->index == 0)
        return CH4_OK;
    ch4_status st = remember(s, stage, &window->clip, v, err);
    if (!st && s->last.encoded != w->encoded)
        return CH4_OK;
    if (!st)
        st = ch4_stage_path(path, &window->clip, v, "chain", err);
    if (!st)
        st = ch4_denoise_read_pairs(&before, &n, path, s->N, err);
    if (!st)
        st = ch4_steer_carry(&w->pairs, &w->n_pairs, before, n, s->last.T, w->mask, w->frames.T, err);
    free(before);
    return st;
}

/* --- one window ------------------------------------------------------------------------------------------------------------------ */

static ch4_status allocate(denoise *s, work *w, ch4_err *err)
{
    size_t T = (size_t)w->frames.T, N = (size_t)s->N, z = T * N * (size_t)s->d;
    ch4_status st = ch4_calloc(&w->framestep, T, sizeof *w->framestep, "window", err);
    if (!st)
        st = ch4_calloc(&w->mask, T, 1, "window", err);
    if (!st)
        st = ch4_calloc(&w->known, z, sizeof *w->known, "latents", err);
    if (!st)
        st = ch4_calloc(&w->out.latents, z, sizeof *w->out.latents, "latents", err);
    if (!st)
        st = ch4_calloc(&w->out.attention, T * N * N, sizeof *w->out.attention, "attention", err);
    if (!st)
        st = ch4_calloc(&w->out.mass, T * N, sizeof *w->out.mass, "attention", err);
    for (int64_t f = 0; !st && f < w->frames.T; f++)
        w->framestep[f] = (float)w->frames.index[f];
    return st;
}

static void release(work *w)
{
    ch4_denoise_frames_fini(&w->frames);
    free(w->context);
    free(w->framestep);
    free(w->known);
    free(w->mask);
    free(w->pairs);
    free(w->out.latents);
    free(w->out.attention);
    free(w->out.mass);
    free(w->out.patch);
}

static const ch4_denoise_mesh *mesh_of(const denoise *s)
{
    return s->mesh.mesh.n_vert ? &s->mesh : NULL;
}

static void turn_mesh(denoise *s, double yaw)
{
    ch4_mesh *m = &s->mesh.mesh;
    s->mesh.place.yaw = yaw;
    for (int64_t v = 0; v < m->n_vert; v++) {
        double p[3] = {s->upright[3 * v], s->upright[3 * v + 1], s->upright[3 * v + 2]};
        ch4_turn_about_y(p, p, yaw);
        for (int k = 0; k < 3; k++)
            m->vert[3 * v + k] = (float)p[k];
    }
}

static ch4_status search_yaw(double *yaw, denoise *s, ch4_stage *stage, const ch4_stage_window *window, const work *w, uint64_t seed, ch4_err *err)
{
    uint8_t *alpha;
    ch4_status st = ch4_denoise_read_alpha(&alpha, w->frames.side, window->input, err);
    const ch4_yaw_in in = {.vert = s->upright, .face = s->mesh.mesh.face, .n_vert = s->mesh.mesh.n_vert, .n_face = s->mesh.mesh.n_face, .N = s->N, .S = w->S,
                           .context = w->context, .alpha = alpha, .side = w->frames.side, .seed = seed};
    if (!st)
        st = ch4_denoise_find_yaw(yaw, s->bundle, &s->plan, &in, err);
    free(alpha);
    if (!st && *yaw != 0)
        ch4_stage_note(stage, &window->clip, "the mesh is turned by %.0f degrees, to where the model knows it (mesh.yaw)", *yaw > 180 ? *yaw - 360 : *yaw);
    return st;
}

/* Turns the given mesh as the clip needs it: by the option, by what its first window shows, or as that window did. */
static ch4_status settle_yaw(denoise *s, ch4_stage *stage, const ch4_stage_window *window, const work *w, uint64_t seed, ch4_err *err)
{
    char path[CH4_STAGE_PATH];
    double yaw = 0;
    bool searched;
    if (!mesh_of(s) || (s->turned_clip && window->index > 0 && strcmp(s->turned_clip, window->clip.name) == 0))
        return CH4_OK;
    ch4_status st = ch4_config_mesh_yaw(&yaw, &searched, stage->config, err);
    if (!st && searched && window->index > 0) {
        if (!ch4_stage_has(stage, &window->clip, 0, "denoise"))
            return ch4_err_set(err, CH4_EAGAIN, "waits for how window 0 turns the mesh");
        st = ch4_stage_path(path, &window->clip, 0, "denoise", err);
        if (!st)
            st = ch4_denoise_read_yaw(&yaw, path, err);
    } else if (!st && searched && ch4_bundle_get_info(s->bundle)->view.known) {
        st = search_yaw(&yaw, s, stage, window, w, seed, err);
    }
    if (st)
        return st;
    turn_mesh(s, yaw);
    free(s->turned_clip);
    s->turned_clip = strdup(window->clip.name);
    return s->turned_clip ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "denoise: out of memory");
}

/* The latent of the given mesh, and a word to the user if the model cannot represent it. */
static ch4_status encode_mesh(denoise *s, ch4_stage *stage, const ch4_stage_window *window, float *z, uint64_t seed, ch4_err *err)
{
    const ch4_denoise_mesh *m = &s->mesh;
    const struct ch4_config *config = stage->config;
    const char *slash = strrchr(config->mesh.path, '/');
    double share = 1;
    ch4_status st = ch4_denoise_anchor_from_mesh(z, s->bundle, &s->plan, s->N, m->mesh.vert, m->mesh.face, m->mesh.n_face, seed, err);
    if (!st)
        st = ch4_denoise_mesh_fit(&share, s->bundle, &s->plan, s->N, z, m->mesh.vert, m->mesh.face, m->mesh.n_face, seed, err);
    if (st)
        return ch4_err_wrap(err, st, "%s", config->mesh.path);
    if (share < CH4_DENOISE_FIT_GOOD)
        ch4_stage_note(stage, &window->clip, "%s: the model reproduces only %.0f %% of this surface, it is unlike what the model was trained on: expect poor motion",
                       slash ? slash + 1 : config->mesh.path, 100 * share);
    return CH4_OK;
}

/* Slot 0 of the window that no earlier one leads up to. */
static ch4_status make_anchor(denoise *s, ch4_stage *stage, const ch4_stage_window *window, work *w, uint64_t seed, ch4_err *err)
{
    w->mask[0] = 1;
    w->encoded = mesh_of(s) != NULL;
    if (window->index == 0 && mesh_of(s))
        return encode_mesh(s, stage, window, w->known, seed, err);
    const ch4_anchor_images in = {.T = w->frames.T, .N = s->N, .S = w->S, .context = w->context, .framestep = w->framestep, .seed = seed};
    return ch4_denoise_anchor_from_images(w->known, s->bundle, &s->plan, &in, err);
}

/* Pictures unlike the training's are no error, but nobody should take the result for what the model can do. */
static ch4_status note_unfamiliar(const denoise *s, ch4_stage *stage, const ch4_stage_window *window, const work *w, ch4_err *err)
{
    double distance = 0;
    if (!s->familiar.width || window->index != 0)
        return CH4_OK;
    ch4_status st = ch4_familiar_distance(&distance, &s->familiar, w->context, w->frames.T, w->S, err);
    if (!st && distance > (double)s->familiar.limit)
        ch4_stage_note(stage, &window->clip, "these pictures are unlike what the model was trained on (distance %.1f, familiar up to %.1f): expect poor motion",
                       distance, (double)s->familiar.limit);
    return st;
}

static void on_step(void *ctx, int64_t done, int64_t total)
{
    denoise *s = ctx;
    s->done = done;
    s->total = total;
    ch4_stage_progress(s->stage, done, total);
}

static bool on_canceled(void *ctx)
{
    return ch4_stage_canceled(((const denoise *)ctx)->stage);
}

static ch4_status run_steered(denoise *s, work *w, ch4_denoise_in *in, ch4_err *err)
{
    ch4_steering *steering = NULL;
    ch4_status st = CH4_OK;
    if (s->steer.window || s->steer.next)
        st = ch4_steering_create(&steering, s->bundle, &s->plan, &s->steer, in, w->pairs, w->n_pairs, err);
    in->steering = steering;
    if (!st)
        st = ch4_denoise_window(&w->out, s->bundle, &s->plan, in, err);
    w->n_reinforced = steering ? ch4_steering_pairs(steering) : 0;
    ch4_steering_destroy(&steering);
    return st;
}

static ch4_status generate(denoise *s, ch4_stage *stage, const ch4_stage_window *window, work *w, ch4_err *err)
{
    uint64_t seed = s->plan.seed + (uint64_t)window->index;
    s->done = s->total = 0;
    ch4_status st = ch4_denoise_context(&w->context, &w->S, &w->grid, s->bundle, w->frames.rgb, w->frames.T, w->frames.side, err);
    if (!st)
        st = note_unfamiliar(s, stage, window, w, err);
    if (!st)
        st = settle_yaw(s, stage, window, w, seed, err);
    if (!st)
        st = ch4_calloc(&w->out.patch, (size_t)(w->frames.T * s->N * (w->S - 1)), sizeof *w->out.patch, "patch attention", err);
    if (!st && !w->mask[0])
        st = make_anchor(s, stage, window, w, seed, err);
    ch4_denoise_in in = {.T = w->frames.T, .N = s->N, .d = s->d, .S = w->S, .context = w->context, .framestep = w->framestep, .known = w->known,
                               .mask = w->mask, .anchor = w->anchor, .seed = seed, .on_step = on_step, .canceled = on_canceled, .ctx = s, .pool = stage->pool};
    return st ? st : run_steered(s, w, &in, err);
}

static ch4_status save(denoise *s, ch4_stage *stage, const ch4_stage_window *window, const work *w, ch4_err *err)
{
    ch4_store_writer *writer = NULL;
    const ch4_denoise_result result = {.frames = &w->frames, .out = &w->out, .plan = &s->plan, .mesh = mesh_of(s), .N = s->N, .d = s->d, .grid = w->grid, .anchor = w->anchor, .encoded = w->encoded,
                                       .pairs = w->n_reinforced,                                       .pool = stage->pool};
    ch4_status st = ch4_store_create(&writer, window->output, err);
    if (!st)
        st = ch4_denoise_write(writer, &result, err);
    if (!st)
        return ch4_stage_commit(stage, &writer, err);
    ch4_store_discard(&writer);
    return st;
}

ch4_status ch4_denoise_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err)
{
    denoise *s = state;
    work w = {0};
    ch4_status st = ch4_denoise_read_frames(&w.frames, window->input, err);
    if (!st)
        st = wait_for_feedback(s, stage, window, &w, err);
    if (!st)
        st = allocate(s, &w, err);
    if (!st)
        st = find_known(s, stage, window, &w, err);
    if (!st)
        st = carry_pairs(s, stage, window, &w, err);
    if (!st)
        st = generate(s, stage, window, &w, err);
    if (!st)
        st = save(s, stage, window, &w, err);
    release(&w);
    return st;
}
