/* ch4_temporal_decoder: the ActionMesh temporal autoencoder (stage II): from the latents of a window and the vertices of one of its frames
 * to the vertices at any other time. The learned counterpart of the attention chain; docs/model.md, "temporal autoencoder".
 *
 *     h = [post_quant(z) of all frames; one alpha token per frame]         T*N rows, then T rows, one sequence
 *     h = self blocks(h), rotated by the frame number                      anew for every target time
 *     o = 2 sigmoid(-proj_out(LN(cross block(proj_query(vertex), h)))) - 1
 *
 * Axes: T frames, N tokens, d latent channels, C width, V vertices. Positions lie in the canonical cube.
 * Lifetime: open once; begin a window; for each target time one call of target, then any number of queries. Nothing is allocated after
 * begin. Not thread-safe. */
#ifndef CH4_MODEL_TEMPORAL_DECODER_H
#define CH4_MODEL_TEMPORAL_DECODER_H

#include <jansson.h>

#include "model/block.h"

typedef enum ch4_temporal_mode { CH4_TEMPORAL_DIRECT, CH4_TEMPORAL_RESIDUAL } ch4_temporal_mode;

typedef struct ch4_temporal_decoder_config {
    int64_t latent_channels, width, heads, layers, octaves;
    bool include_pi;
    ch4_temporal_mode mode; /* what the output means: a position, or what is added to the source's */
} ch4_temporal_decoder_config;

typedef struct ch4_temporal_decoder ch4_temporal_decoder;

/* Fields of config.json; absent keys have the published values. CH4_EFORMAT names the key. */
ch4_status ch4_temporal_decoder_config_parse(ch4_temporal_decoder_config *out, const json_t *object, ch4_err *err);

/* nn is borrowed, the weights are copied to the backend. CH4_EFORMAT: a missing, extra or misshapen tensor, named with its file. */
ch4_status ch4_temporal_decoder_create(ch4_temporal_decoder **out, ch4_nn *nn, const ch4_temporal_decoder_config *config, const ch4_safetensors *weights,
                                       ch4_err *err);

/* From a folder with config.json and model.safetensors. */
ch4_status ch4_temporal_decoder_open(ch4_temporal_decoder **out, ch4_nn *nn, const char *dir, ch4_err *err);
void       ch4_temporal_decoder_close(ch4_temporal_decoder **dec);

/* What a file holds of the network, without loading it; every problem goes to the report. */
ch4_status ch4_temporal_decoder_survey(const ch4_temporal_decoder_config *config, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err);

/* Bytes that begin reserves for such a window, besides the weights (4 bytes per loaded parameter). */
ch4_status ch4_temporal_decoder_workspace(size_t *out, const ch4_temporal_decoder_config *config, int64_t T, int64_t N, ch4_err *err);

const ch4_temporal_decoder_config *ch4_temporal_decoder_get_config(const ch4_temporal_decoder *dec);

/* Starts a window: z [T,N,d] and the video times of its frames [T]. Reserves all memory and projects the latents. */
ch4_status ch4_temporal_decoder_begin(ch4_temporal_decoder *dec, const float *z, const float *framestep, int64_t T, int64_t N, ch4_err *err);

/* Runs the self-attention stack from one time to another. Times are relative to the window, 0 its earliest frame and 1 its latest
 * (ch4_embed_alpha); the target may lie between frames. probe: CH4_PROBE_BLOCK_IN, SELF and BLOCK_OUT with one sequence of T*(N+1) rows. */
ch4_status ch4_temporal_decoder_target(ch4_temporal_decoder *dec, float source_alpha, float target_alpha, const ch4_probe *probe, ch4_err *err);

/* out [V,3] in (-1,1) for vertices [V,6] (position, unit normal) of the source, at the last target. probe sees the cross block as layer
 * `layers`, once per chunk of 2048 vertices. CH4_EINVAL before the first target. */
ch4_status ch4_temporal_decoder_query(ch4_temporal_decoder *dec, float *out, const float *vertices, int64_t V, const ch4_probe *probe, ch4_err *err);

/* out [V,3] = clamp(o) in direct mode, clamp(vertex + o) in residual mode, to [-scale,scale]; the reference has scale 1. vertices [V,6].
 * out may be o. */
void ch4_temporal_decoder_apply(float *out, const float *o, const float *vertices, int64_t V, ch4_temporal_mode mode, float scale);

#endif
