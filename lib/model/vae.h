/* ch4_vae: the shape autoencoder over latent token sets (TripoSG VAE, docs/model.md).
 *
 *     encode: surface points with normals -> N tokens of d channels (mean and log-variance)
 *     decode: tokens -> a cache per shape -> field values at any points, and A_{V->Z}, the attention of points to tokens (paper Eq. 1)
 *
 * The field is the network's output negated, level set 0; which sign is inside is a property of the weights (model.yaml, field.inside).
 * Points are in the canonical cube. Axes: P surface points, N tokens, Q query points.
 * Lifetime: the networks are loaded once; a ch4_vae_cache holds what decoding one shape needs, for any number of queries.
 * Not thread-safe. */
#ifndef CH4_MODEL_VAE_H
#define CH4_MODEL_VAE_H

#include <jansson.h>

#include "model/block.h"

typedef struct ch4_vae_config {
    int64_t latent_channels, heads, width_encoder, width_decoder, layers_encoder, layers_decoder, octaves;
    bool include_pi;
} ch4_vae_config;

typedef enum ch4_vae_part { CH4_VAE_ENCODER = 1, CH4_VAE_DECODER = 2, CH4_VAE_BOTH = 3 } ch4_vae_part;

typedef struct ch4_vae ch4_vae;
typedef struct ch4_vae_cache ch4_vae_cache;

ch4_status ch4_vae_config_parse(ch4_vae_config *out, const json_t *object, ch4_err *err);

/* Loads the chosen part; the tensors of the other one are checked by name and shape all the same. */
ch4_status ch4_vae_create(ch4_vae **out, ch4_nn *nn, const ch4_vae_config *config, const ch4_safetensors *weights, ch4_vae_part parts, ch4_err *err);
ch4_status ch4_vae_open(ch4_vae **out, ch4_nn *nn, const char *dir, ch4_vae_part parts, ch4_err *err);
void       ch4_vae_close(ch4_vae **vae);

/* What a file holds of the network, without loading it; every problem goes to the report, which counts the chosen parts as loaded. */
ch4_status ch4_vae_survey(const ch4_vae_config *config, const ch4_safetensors *file, ch4_vae_part parts, ch4_weights_report *report, ch4_err *err);

/* Bytes besides the weights (4 bytes per loaded parameter): of encoding P points to N tokens, and of querying one shape of N tokens. */
ch4_status ch4_vae_workspace(size_t *encode, size_t *decode, const ch4_vae_config *config, int64_t P, int64_t N, ch4_err *err);

const ch4_vae_config *ch4_vae_get_config(const ch4_vae *vae);

/* --- encoder --------------------------------------------------------------------------------------------------------------- */

/* Chooses the N points whose tokens will stand for the shape: factor * N of the P points at random (seeded; with repeats only if there are
 * fewer), then farthest point sampling in double from the first of them; ties go to the first. The published model uses factor 4; factor 0
 * takes all points. surface [P,6]; index [N] into it. N >= 1, P >= 1. */
ch4_status ch4_vae_pick_queries(int64_t *index, const float *surface, int64_t P, int64_t N, int64_t factor, uint64_t seed, ch4_err *err);

/* Farthest point sampling alone: index[n] are positions in points [P, stride], the first is 0. Squared distances in double. n <= P. */
ch4_status ch4_vae_farthest(int64_t *index, int64_t n, const float *points, int64_t stride, int64_t P, ch4_err *err);

/* mean, logvar [N,d] (logvar clamped to [-30,20], may be NULL) of the shape given by surface [P,6] (position, unit normal), with the
 * points `index` [N] as queries. The mean is the latent that the other networks take; there is no scaling factor.
 * probe: layers are encoder blocks; CH4_PROBE_TIME is not used. */
ch4_status ch4_vae_encode(ch4_vae *vae, float *mean, float *logvar, const float *surface, int64_t P, const int64_t *index, int64_t N, const ch4_probe *probe,
                          ch4_err *err);

/* --- decoder --------------------------------------------------------------------------------------------------------------- */

/* Runs the self-attention stack once for latent z [N,d] and keeps the keys and values that queries read. */
ch4_status ch4_vae_cache_create(ch4_vae_cache **out, ch4_vae *vae, const float *z, int64_t N, const ch4_probe *probe, ch4_err *err);
void       ch4_vae_cache_destroy(ch4_vae_cache **cache);

/* field [Q] and/or attention [Q,N] (head mean, rows sum to 1) at points [Q,3]; either may be NULL. Without field the feed-forward is not
 * run, a sixth of the cost. Any Q; points are worked through in fixed chunks. probe sees the cross block as layer layers_decoder. */
ch4_status ch4_vae_query(ch4_vae *vae, const ch4_vae_cache *cache, float *field, float *attention, const float *points, int64_t Q, const ch4_probe *probe,
                         ch4_err *err);

#endif
