/* Tiny networks with generated weights, so that tests need no files: a value depends on the tensor's name and the element's index alone
 * (docs/model.md "golden numbers"). */
#ifndef CH4_TESTS_TINY_MODEL_H
#define CH4_TESTS_TINY_MODEL_H

#include "model/denoiser.h"
#include "model/temporal_decoder.h"

/* r(name, i) in [-1,1) */
double tiny_value(const char *name, int64_t i);
void   tiny_fill(float *out, const char *name, int64_t n);

/* width 32, 4 heads, 4 latent channels, 12 context channels. */
ch4_denoiser_config tiny_denoiser_config(ch4_denoiser_kind kind, int64_t layers);

/* Writes the weights of such a network to path. `skip` names a tensor that is left out, `add` one that is added; NULL for none. */
ch4_status tiny_denoiser_save(const ch4_denoiser_config *config, const char *path, const char *skip, const char *add, ch4_err *err);

/* The temporal autoencoder: width 32, 4 heads, 2 self blocks; its weights likewise; and a folder that holds it, which is made. */
ch4_temporal_decoder_config tiny_temporal_decoder_config(int64_t latent_channels);
ch4_status tiny_temporal_decoder_save(const ch4_temporal_decoder_config *config, const char *path, const char *skip, const char *add, ch4_err *err);
ch4_status tiny_temporal_decoder_make(const char *dir, int64_t latent_channels, ch4_err *err);

#endif
