/* ch4_block: one pre-norm transformer block over the op table; every network here is a stack of them.
 *
 *     [h = LN(skip_linear([saved, h]))]           blocks of the upper half of a denoiser
 *     h += SelfAttn(LN(h))                        if has_self; heads may be rotated (rope) and normalised (qk norm)
 *     h += CrossAttn(LN(h), context)              if has_cross; keys and values of the context are computed once, ch4_block_context
 *     h += FF(LN(h))
 *
 * Axes: F frames (or batch items) of R rows each, C width, H heads, D = C/H, S context rows. A stream h is [F,R,C], contiguous.
 * Weights are arranged at load so that heads are ordinary: the interleaved head layout of TripoSG and ActionMesh (docs/model.md, "head
 * layout") is undone by permuting rows, which is exact. Not thread-safe. */
#ifndef CH4_MODEL_BLOCK_H
#define CH4_MODEL_BLOCK_H

#include "model/weights.h"

typedef struct ch4_attn {
    ch4_tensor norm_g, norm_b; /* of the stream */
    ch4_tensor ctx_g, ctx_b;   /* of the context; data NULL if the context is used as it is */
    ch4_tensor w_qkv, b_qkv;   /* self: [3C,C]; b_qkv [3C], data NULL if there is none */
    ch4_tensor w_q, w_kv;      /* cross: [C,C], [2C,Cc] */
    ch4_tensor norm_q, norm_k; /* [D]; data NULL if there is none */
    ch4_tensor w_o, b_o;
} ch4_attn;

typedef struct ch4_block {
    int64_t width, heads, inner;
    float eps; /* of the layer norms */
    bool has_skip, has_self, has_cross;
    ch4_tensor skip_saved, skip_current; /* [C,C] each: the two halves of the columns */
    ch4_tensor skip_b, skip_g, skip_beta;
    ch4_attn self, cross;
    ch4_tensor ff_g, ff_b, w1, b1, w2, b2;
} ch4_block;

/* What a block is made of and what its tensors are called below its prefix. */
typedef struct ch4_block_spec {
    int64_t width, heads, context_width, inner;
    bool self, cross, skip, qk_norm, context_norm;
    const char *norm_self, *self_attn, *norm_cross, *cross_attn, *norm_ff, *skip_linear, *skip_norm;
} ch4_block_spec;

extern const ch4_block_spec ch4_block_names_temporal; /* ActionMesh: norm_s_attn, s_attn, ...; sizes and flags are left to the caller */
extern const ch4_block_spec ch4_block_names_triposg;  /* TripoSG: norm1, attn1, ... */

/* Drops the scratch of w, as the next function does too. */
void ch4_block_load(ch4_block *b, ch4_weights *w, const ch4_block_spec *spec, const char *prefix);

/* The parameters are named and checked but not read (the half of a network that is not used). */
void ch4_block_expect(ch4_weights *w, const ch4_block_spec *spec, const char *prefix);

/* Block of a vision transformer with ordinary heads, biases and layer scales (DINOv2); the scales are folded into w_o and w2. */
void ch4_block_load_vit(ch4_block *b, ch4_weights *w, int64_t width, int64_t heads, int64_t inner, float eps, bool qkv_bias, const char *prefix);

/* --- reading along ------------------------------------------------------------------------------------------------------ */

typedef enum ch4_probe_point {
    CH4_PROBE_TIME,      /* x: [F,C] time tokens */
    CH4_PROBE_BLOCK_IN,  /* x: stream before the first block */
    CH4_PROBE_SELF,      /* q, k, v, lse after norm and rotation; B = 1 with all frames in one sequence if joint, else B = F */
    CH4_PROBE_CROSS,     /* q, k, v, lse; B = F; not called where the context is zero */
    CH4_PROBE_BLOCK_OUT, /* x: stream after the block */
    CH4_PROBE_NORM_OUT,  /* x: stream after the final norm (VAE encoder) */
    CH4_PROBE_MOMENTS,   /* x: [1,N,2d] mean and log-variance before the clamp (VAE encoder) */
} ch4_probe_point;

typedef struct ch4_probe_event {
    ch4_probe_point point;
    int layer;
    bool joint;
    int64_t frames, rows; /* F and R of the stream */
    float scale;          /* of the logits */
    const ch4_tensor *x;  /* [F,R,C] */
    const ch4_tensor *q, *k, *v; /* [B,H,S,D] strided views of backend memory */
    const ch4_tensor *lse;       /* [B,H,S] */
} ch4_probe_event;

/* Called in order from within the forward pass; views die when it returns. A status other than CH4_OK ends the pass. */
typedef struct ch4_probe {
    ch4_status (*fn)(void *ctx, ch4_nn *nn, const ch4_probe_event *event, ch4_err *err);
    void *ctx;
} ch4_probe;

ch4_status ch4_probe_call(const ch4_probe *probe, ch4_nn *nn, const ch4_probe_event *event, ch4_err *err); /* probe may be NULL */

/* --- running ------------------------------------------------------------------------------------------------------------- */

/* Backend memory that is laid out once and handed out as views; see ch4_space_take. */
typedef struct ch4_space {
    ch4_nn *nn;
    ch4_buf buf;
    size_t used;
} ch4_space;

/* Next contiguous f32 view of the space. While buf is empty this only measures, and the view has no data. */
ch4_tensor ch4_space_take(ch4_space *space, int rank, const int64_t *shape);

/* Makes the space at least `used` bytes and rewinds it; old views are dead. CH4_ENOMEM. */
ch4_status ch4_space_reserve(ch4_space *space, ch4_err *err);
void       ch4_space_free(ch4_space *space);

typedef struct ch4_block_work {
    ch4_tensor norm, mid; /* [F,R,C] */
    ch4_tensor wide;      /* F*R*max(3C, inner) floats */
    ch4_tensor lse;       /* F*H*R floats */
} ch4_block_work;

/* Scratch for streams of up to rows = F*R rows through a block of these sizes. */
void ch4_block_work_take(ch4_block_work *work, ch4_space *space, int64_t rows, int64_t width, int64_t inner, int64_t heads);

typedef struct ch4_block_run {
    ch4_nn *nn;
    int layer;
    int64_t frames, rows;
    bool joint;                    /* self-attention over all frames at once ("inflated") */
    const ch4_tensor *cos, *sin;   /* [F,D/2] rotation of queries and keys; NULL for none */
    const ch4_tensor *context_kv;  /* [Fc,S,2C] of ch4_block_context, Fc = F or 1 (shared); NULL: the context is zero, exactly */
    const ch4_probe *probe;        /* or NULL */
    const ch4_attention_gain *gain; /* of the self-attention, over all frames if joint; or NULL */
    ch4_block_work *work;
} ch4_block_run;

/* out = block(in). out and in are [F,R,C] contiguous; out may be in only if the block has no skip. saved: the skip operand, [F,R,C]. */
ch4_status ch4_block_forward(const ch4_block *b, const ch4_block_run *run, ch4_tensor *out, const ch4_tensor *in, const ch4_tensor *saved, ch4_err *err);

/* kv [Fc,S,2C] = keys and values of the context [Fc,S,Cc], keys normalised if the block does so. `scratch` holds Fc*S*Cc floats and is
 * used only where the block normalises its context; it may be NULL otherwise. */
ch4_status ch4_block_context(const ch4_block *b, ch4_nn *nn, ch4_tensor *kv, const ch4_tensor *context, ch4_tensor *scratch, ch4_err *err);

/* The queries and keys of the cross-attention alone, for the maps of points against tokens: q [F,R,C] from the stream `in`. */
ch4_status ch4_block_cross_queries(const ch4_block *b, ch4_nn *nn, ch4_tensor *q, const ch4_tensor *in, ch4_tensor *scratch, ch4_err *err);

/* [B,S,C] as heads [B,H,S,D]: first column `column` of rows that are `stride` apart. No copy. */
ch4_tensor ch4_block_heads(const ch4_tensor *rows, int64_t batch, int64_t seq, int64_t heads, int64_t head_dim, int64_t column);

#endif
