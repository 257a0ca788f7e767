#include "bundle/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { PATH_LEN = 4096 };

struct ch4_bundle {
    ch4_nn *nn;
    char dir[PATH_LEN];
    ch4_model_info info;
    ch4_denoiser_loading loading;
    ch4_denoiser *denoiser, *transformer;
    ch4_image_encoder *image_encoder;
    ch4_image_processor processor;
    ch4_vae *vae_encoder, *vae_decoder;
    ch4_temporal_decoder *temporal_decoder;
    ch4_matting *matting;
};

static ch4_status path_of(const ch4_bundle *b, char out[PATH_LEN], const char *name, const char *file, ch4_err *err)
{
    if (snprintf(out, PATH_LEN, "%s/%s%s%s", b->dir, name, file ? "/" : "", file ? file : "") >= PATH_LEN)
        return ch4_err_set(err, CH4_EINVAL, "%s: path too long", b->dir);
    return CH4_OK;
}

ch4_status ch4_bundle_open(ch4_bundle **out, const char *dir, ch4_nn *nn, ch4_err *err)
{
    ch4_bundle *b = NULL;
    char path[PATH_LEN];
    *out = NULL;
    ch4_status st = ch4_calloc(&b, 1, sizeof *b, "model", err);
    if (st)
        return st;
    b->nn = nn;
    if (snprintf(b->dir, sizeof b->dir, "%s", dir) >= (int)sizeof b->dir)
        st = ch4_err_set(err, CH4_EINVAL, "model: path too long");
    if (!st)
        st = path_of(b, path, "model.yaml", NULL, err);
    if (!st)
        st = ch4_model_info_load(&b->info, path, NULL, err);
    if (st)
        free(b);
    else
        *out = b;
    return st;
}

void ch4_bundle_close(ch4_bundle **bundle)
{
    ch4_bundle *b = *bundle;
    if (!b)
        return;
    ch4_denoiser_close(&b->denoiser);
    ch4_denoiser_close(&b->transformer);
    ch4_image_encoder_close(&b->image_encoder);
    ch4_vae_close(&b->vae_encoder);
    ch4_vae_close(&b->vae_decoder);
    ch4_temporal_decoder_close(&b->temporal_decoder);
    ch4_matting_close(&b->matting);
    ch4_model_info_fini(&b->info);
    free(b);
    *bundle = NULL;
}

void ch4_bundle_set_loading(ch4_bundle *bundle, const ch4_denoiser_loading *loading)
{
    bundle->loading = *loading;
}

const ch4_model_info *ch4_bundle_get_info(const ch4_bundle *bundle)
{
    return &bundle->info;
}

const char *ch4_bundle_get_dir(const ch4_bundle *bundle)
{
    return bundle->dir;
}

ch4_nn *ch4_bundle_get_nn(const ch4_bundle *bundle)
{
    return bundle->nn;
}

static ch4_status get_denoiser(ch4_bundle *b, ch4_denoiser **slot, ch4_denoiser **out, ch4_denoiser_kind kind, const char *name, ch4_err *err)
{
    char dir[PATH_LEN];
    ch4_status st = *slot ? CH4_OK : path_of(b, dir, name, NULL, err);
    if (!st && !*slot)
        st = ch4_denoiser_open(slot, b->nn, kind, dir, &b->loading, err);
    *out = *slot;
    return st;
}

ch4_status ch4_bundle_get_denoiser(ch4_bundle *b, ch4_denoiser **out, ch4_err *err)
{
    return get_denoiser(b, &b->denoiser, out, CH4_DENOISER_TEMPORAL, b->info.networks.denoiser.path, err);
}

ch4_status ch4_bundle_get_image_to_3d(ch4_bundle *b, ch4_denoiser **out, ch4_err *err)
{
    if (b->info.networks.image_to_3d == CH4_MODEL_IMAGE3D_DENOISER)
        return ch4_bundle_get_denoiser(b, out, err);
    return get_denoiser(b, &b->transformer, out, CH4_DENOISER_IMAGE, b->info.networks.transformer.path, err);
}

ch4_status ch4_bundle_get_image_encoder(ch4_bundle *b, ch4_image_encoder **out, ch4_image_processor *processor, ch4_err *err)
{
    char path[PATH_LEN];
    const char *name = b->info.networks.image_encoder.path;
    ch4_status st = CH4_OK;
    if (!b->image_encoder) {
        st = path_of(b, path, name, "preprocessor_config.json", err);
        if (!st)
            st = ch4_image_processor_load(&b->processor, path, err);
        if (!st)
            st = path_of(b, path, name, NULL, err);
        if (!st)
            st = ch4_image_encoder_open(&b->image_encoder, b->nn, path, err);
    }
    *out = b->image_encoder;
    *processor = b->processor;
    return st;
}

static ch4_status get_vae(ch4_bundle *b, ch4_vae **slot, ch4_vae **out, ch4_vae_part part, ch4_err *err)
{
    char dir[PATH_LEN];
    ch4_status st = *slot ? CH4_OK : path_of(b, dir, b->info.networks.vae.path, NULL, err);
    if (!st && !*slot)
        st = ch4_vae_open(slot, b->nn, dir, part, err);
    *out = *slot;
    return st;
}

ch4_status ch4_bundle_get_vae_encoder(ch4_bundle *b, ch4_vae **out, ch4_err *err)
{
    return get_vae(b, &b->vae_encoder, out, CH4_VAE_ENCODER, err);
}

ch4_status ch4_bundle_get_vae_decoder(ch4_bundle *b, ch4_vae **out, ch4_err *err)
{
    return get_vae(b, &b->vae_decoder, out, CH4_VAE_DECODER, err);
}

/* Folder of a network that a model may go without. */
static ch4_status optional_path(const ch4_bundle *b, char out[PATH_LEN], const char *path, const char *key, const char *what, ch4_err *err)
{
    if (!path[0])
        return ch4_err_set(err, CH4_ECONFIG, "%s/model.yaml: %s: this model has no %s", b->dir, key, what);
    return path_of(b, out, path, NULL, err);
}

ch4_status ch4_bundle_get_temporal_decoder(ch4_bundle *b, ch4_temporal_decoder **out, ch4_err *err)
{
    char dir[PATH_LEN];
    ch4_status st = CH4_OK;
    if (!b->temporal_decoder) {
        st = optional_path(b, dir, b->info.networks.autoencoder.path, "networks.autoencoder.path", "temporal autoencoder", err);
        if (!st)
            st = ch4_temporal_decoder_open(&b->temporal_decoder, b->nn, dir, err);
    }
    *out = b->temporal_decoder;
    return st;
}

ch4_status ch4_bundle_get_matting(ch4_bundle *b, ch4_matting **out, ch4_err *err)
{
    char dir[PATH_LEN];
    ch4_status st = CH4_OK;
    if (!b->matting) {
        st = optional_path(b, dir, b->info.networks.matting.path, "networks.matting.path", "background remover", err);
        if (!st)
            st = ch4_matting_open(&b->matting, b->nn, dir, err);
    }
    *out = b->matting;
    return st;
}
