/* ch4_bundle: a model directory: model.yaml and the networks it names. Networks are opened when they are first asked for, so that a
 * process loads only what it uses (decode: background remover; denoise: denoiser, image encoder, VAE encoder; chain: VAE decoder; animate: temporal
 * autoencoder), and belong to the bundle.
 * Not thread-safe. */
#ifndef CH4_BUNDLE_H
#define CH4_BUNDLE_H

#include "bundle/model_info.h"
#include "model/denoiser.h"
#include "model/image_encoder.h"
#include "model/image_processor.h"
#include "model/matting.h"
#include "model/temporal_decoder.h"
#include "model/vae.h"

typedef struct ch4_bundle ch4_bundle;

/* Reads DIR/model.yaml; nn is borrowed and outlives the bundle. CH4_ENOENT, CH4_ECONFIG. */
ch4_status ch4_bundle_open(ch4_bundle **out, const char *dir, ch4_nn *nn, ch4_err *err);
void       ch4_bundle_close(ch4_bundle **bundle);

/* How denoisers hold their weights, before the first is asked for; f32 and all in memory unless this is called. */
void ch4_bundle_set_loading(ch4_bundle *bundle, const ch4_denoiser_loading *loading);

const ch4_model_info *ch4_bundle_get_info(const ch4_bundle *bundle);
const char           *ch4_bundle_get_dir(const ch4_bundle *bundle);
ch4_nn               *ch4_bundle_get_nn(const ch4_bundle *bundle);

/* Borrowed networks; errors of their open functions. */
ch4_status ch4_bundle_get_denoiser(ch4_bundle *bundle, ch4_denoiser **out, ch4_err *err);
ch4_status ch4_bundle_get_image_to_3d(ch4_bundle *bundle, ch4_denoiser **out, ch4_err *err); /* the denoiser itself, or TripoSG's */
ch4_status ch4_bundle_get_image_encoder(ch4_bundle *bundle, ch4_image_encoder **out, ch4_image_processor *processor, ch4_err *err);
ch4_status ch4_bundle_get_vae_encoder(ch4_bundle *bundle, ch4_vae **out, ch4_err *err);
ch4_status ch4_bundle_get_vae_decoder(ch4_bundle *bundle, ch4_vae **out, ch4_err *err);

/* Networks that a model may go without: CH4_ECONFIG, naming the key of model.yaml, where it does. */
ch4_status ch4_bundle_get_temporal_decoder(ch4_bundle *bundle, ch4_temporal_decoder **out, ch4_err *err);
ch4_status ch4_bundle_get_matting(ch4_bundle *bundle, ch4_matting **out, ch4_err *err);

#endif
