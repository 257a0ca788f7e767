/* ch4_capture: attention read out of a forward pass of the temporal denoiser, through its probe and without a second pass.
 *
 * From chosen layers and heads of the self-attention it takes the blocks between the anchor frame and every frame f (paper Eq. 1 and the
 * A_{Za->Zf} of Eq. 2), from the same layers' cross-attention the map of every token to the image patches of its frame. Both are raw
 * probabilities of the full softmax: time tokens and the class token are dropped and nothing is renormalised, so a row's sum is the mass
 * it spends there. Every chosen (pass, layer, head) weighs the same; the patch map averages all heads of these layers.
 * With `head_normalized` each head's block is divided by its row sums before averaging; the masses stay those of the raw block.
 *
 *     CH4_FRAME_TO_ANCHOR  attention[f][t][t'] = how much token t of frame f reads from token t' of the anchor
 *     CH4_ANCHOR_TO_FRAME  attention[f][t][t'] = how much token t of the anchor reads from token t' of frame f
 *     CH4_BOTH_WAYS        mean of the first and the transposed second; rows are the frame's, as in the first
 *
 * Axes: T frames, N tokens, P patches (context rows without the class token). Lifetime: one window; not thread-safe. */
#ifndef CH4_MODEL_CAPTURE_H
#define CH4_MODEL_CAPTURE_H

#include "model/block.h"

typedef enum ch4_capture_direction { CH4_FRAME_TO_ANCHOR, CH4_ANCHOR_TO_FRAME, CH4_BOTH_WAYS } ch4_capture_direction;

enum { CH4_CAPTURE_LAYERS = 32, CH4_CAPTURE_HEADS = 32 };

typedef struct ch4_capture_layer {
    int layer;
    int n_heads; /* 0: all heads */
    int head[CH4_CAPTURE_HEADS];
} ch4_capture_layer;

typedef struct ch4_capture_config {
    int n_layers; /* >= 1 */
    ch4_capture_layer layer[CH4_CAPTURE_LAYERS];
    ch4_capture_direction direction;
    int anchor_slot;
    bool head_normalized;
    int self_passes, cross_passes; /* forward passes that will be read; 0 counts as 1 */
} ch4_capture_config;

typedef struct ch4_capture ch4_capture;

/* For a window of T frames of N tokens, H heads and S context rows (S - 1 patches); reserves all memory. CH4_EINVAL for a slot, layer or head
 * that cannot be. nn is borrowed. */
ch4_status ch4_capture_create(ch4_capture **out, ch4_nn *nn, const ch4_capture_config *config, int64_t T, int64_t N, int64_t S, int64_t H, ch4_err *err);
void       ch4_capture_destroy(ch4_capture **c);

/* Give this to each forward pass that is to be read, for the self-attention, the cross-attention (only a pass with context) or both; NULL for
 * neither. Borrowed from c. */
const ch4_probe *ch4_capture_probe(const ch4_capture *c, bool self, bool cross);

/* attention [T,N,N], mass [T,N] (row sums of the raw block), patch [T,N,P]; each may be NULL. CH4_EINVAL if a chosen layer was not met
 * in all passes: too deep, or a pass without context. */
ch4_status ch4_capture_read(const ch4_capture *c, float *attention, float *mass, float *patch, ch4_err *err);

/* --- one block ------------------------------------------------------------------------------------------------------------ */

typedef struct ch4_capture_block {
    ch4_capture_direction direction; /* not both */
    int64_t anchor_slot;
    int64_t first, count;            /* frames */
    const int *heads;
    int n_heads;
    float weight;
    bool accumulate;
    bool head_normalized;            /* rows divided by their sums over the block's keys, head by head */
} ch4_capture_block;

/* What a capture does at each layer, for those who read more than one set at a time: map [count,N,N] = [map +] weight * the heads' sum, from a
 * CH4_PROBE_SELF event. CH4_EINVAL: the layer attends within frames only. */
ch4_status ch4_capture_read_block(ch4_nn *nn, ch4_tensor *map, const ch4_probe_event *event, const ch4_capture_block *block, ch4_err *err);

#endif
