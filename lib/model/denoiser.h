/* ch4_denoiser: the flow network over latent tokens; the temporal one (ActionMesh stage I) and the image-to-3D one (TripoSG).
 *
 *     h = [time token; proj_in(x)] per frame;  blocks with U-shaped skips;  v = proj_out(LN(h without the time tokens))
 *
 * Temporal: self-attention of the "inflated" layers spans all frames of the window, queries and keys are rotated by the frame number,
 * known frames get time 0. Image-to-3D: the same network under other names, frames are independent batch items, no rotation.
 * The network is given velocities' convention v = data - noise; times run from 0 to 1000.
 *
 * Axes: T frames, N tokens per frame, d latent channels, S context rows per frame (row 0 is the class token), Cc context width.
 * Lifetime: open once, begin once per window (reserves all memory), then any number of forward calls, which allocate nothing.
 * Not thread-safe. */
#ifndef CH4_MODEL_DENOISER_H
#define CH4_MODEL_DENOISER_H

#include <jansson.h>

#include "model/block.h"

typedef enum ch4_denoiser_kind { CH4_DENOISER_TEMPORAL, CH4_DENOISER_IMAGE } ch4_denoiser_kind;

enum { CH4_MAX_LAYERS = 128 };

typedef struct ch4_denoiser_config {
    ch4_denoiser_kind kind;
    int64_t in_channels, width, num_layers, num_heads, context_width, inner;
    int64_t num_tokens, num_frames; /* nominal sizes of a window; any others work */
    bool inflated[CH4_MAX_LAYERS];  /* of the temporal kind */
} ch4_denoiser_config;

typedef struct ch4_denoiser ch4_denoiser;

/* Fields of config.json; absent keys have the published values. CH4_EFORMAT names the key. */
ch4_status ch4_denoiser_config_parse(ch4_denoiser_config *out, ch4_denoiser_kind kind, const json_t *object, ch4_err *err);

/* How weights are held. All zero: f32, all in backend memory. */
typedef struct ch4_denoiser_loading {
    ch4_weights_type type;
    bool offload; /* blocks stay in the file and take turns in one slot of backend memory; the same results, at the price of copying them in every pass */
} ch4_denoiser_loading;

/* nn is borrowed, the weights are copied to the backend; offloaded, they are copied when it is their turn and the file is borrowed until close.
 * loading may be NULL. CH4_EFORMAT: a missing, extra or misshapen tensor, named with its file. */
ch4_status ch4_denoiser_create(ch4_denoiser **out, ch4_nn *nn, const ch4_denoiser_config *config, const ch4_safetensors *weights,
                               const ch4_denoiser_loading *loading, ch4_err *err);

/* From a folder with config.json and model.safetensors (or diffusion_pytorch_model.safetensors). */
ch4_status ch4_denoiser_open(ch4_denoiser **out, ch4_nn *nn, ch4_denoiser_kind kind, const char *dir, const ch4_denoiser_loading *loading, ch4_err *err);
void       ch4_denoiser_close(ch4_denoiser **den);

/* What a file holds of the network and how much memory it takes loaded like this (NULL: f32, all of it), without loading it; every problem goes to
 * the report. CH4_ENOMEM, CH4_EFORMAT (unreadable names). */
ch4_status ch4_denoiser_survey(const ch4_denoiser_config *config, const ch4_safetensors *file, const ch4_denoiser_loading *loading, ch4_weights_report *report,
                               ch4_err *err);

/* Bytes that begin reserves for such a window, besides the weights. */
ch4_status ch4_denoiser_workspace(size_t *out, const ch4_denoiser_config *config, int64_t T, int64_t N, int64_t S, ch4_err *err);

/* From now on beat(ctx) is called after each block of a forward pass, which at full size takes minutes on a processor; false ends the pass with
 * CH4_ECANCELED. NULL: nobody is told. */
void ch4_denoiser_set_pulse(ch4_denoiser *den, bool (*beat)(void *ctx), void *ctx);

const ch4_denoiser_config *ch4_denoiser_get_config(const ch4_denoiser *den);

/* Starts a window of T frames of N tokens: reserves memory (kept for later windows of at most this size) and takes the context [T,S,Cc], whose
 * keys and values in a layer are made when the layer first needs them and do not change over the steps. context NULL: only forward passes
 * without it. */
ch4_status ch4_denoiser_begin(ch4_denoiser *den, int64_t T, int64_t N, const float *context, int64_t S, ch4_err *err);

/* Pairs of tokens that the self-attention of some layers is made to look at more (paper Eq. 5; reinforce.h). Queries and keys are rows of the
 * inflated sequence: row f (N+1) is the time token of slot f, its tokens follow. */
typedef struct ch4_denoiser_gain {
    ch4_attention_gain table;
    bool layer[CH4_MAX_LAYERS]; /* of the inflated ones */
} ch4_denoiser_gain;

typedef struct ch4_denoiser_in {
    const float *x;         /* [T,N,d] */
    const float *time;      /* [T], 0..1000; the caller sets it to 0 for known frames */
    const float *framestep; /* [T] video time of the frames, in any order; unused (NULL) by the image kind */
    bool use_context;       /* false: the context is all zero (the unconditional branch), exactly and at less cost */
    const ch4_denoiser_gain *gain; /* or NULL */
} ch4_denoiser_in;

/* v [T,N,d] = velocity. probe may be NULL; events in block.h. */
ch4_status ch4_denoiser_forward(ch4_denoiser *den, float *v, const ch4_denoiser_in *in, const ch4_probe *probe, ch4_err *err);

#endif
