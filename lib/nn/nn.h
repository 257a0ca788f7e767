/* lib/nn: the operations a transformer needs, as one table of functions per backend.
 *
 * What it is     : ch4_nn_ops, a const table (ref: plain loops with double sums, the oracle; cpu: BLAS and threads), and ch4_nn, one
 *                  opened backend with its threads and scratch space. Callers write nn->ops->linear(nn, ...), never #ifdef.
 * What it is not : it knows no network, no file and no layer names. It never falls back to another backend.
 * Tensors        : f32 views; the weight matrix of `linear` may also be f16 or bf16. B batch, R/Sq query rows, C/Sk key rows or columns, H heads, D head width, I/O inner widths. Unless an op
 *                  says otherwise the innermost dimension is contiguous, the others may be strided, and inputs may broadcast (stride 0).
 * Memory         : weights and workspaces come from ops->alloc and are released by the caller with ops->release. Ops allocate nothing.
 * Results        : work is cut into tiles by shape alone, so results are the same bytes for any number of threads.
 * Threads        : one ch4_nn runs one op at a time; open several for several threads.
 * Errors         : CH4_EINVAL shapes that do not fit, CH4_EUNSUP dtype or layout outside the stated limits, CH4_EDEVICE, CH4_ENOMEM. */
#ifndef CH4_NN_H
#define CH4_NN_H

#include "base/parallel.h"
#include "tensor/tensor.h"

typedef struct ch4_nn ch4_nn;

typedef enum ch4_act { CH4_ACT_NONE, CH4_ACT_GELU } ch4_act;

typedef struct ch4_linear_in {
    const ch4_tensor *x;        /* [R,I] or [G,R,I] */
    const ch4_tensor *w;        /* [O,I] f32, f16 or bf16; rows may be strided */
    const ch4_tensor *bias;     /* [O] or NULL */
    const ch4_tensor *residual; /* shape of y, or NULL */
    ch4_act act;                /* applied after the bias; only without a residual */
} ch4_linear_in;

/* A few pairs of query and key whose logits are raised, in host memory; the same for every batch item and head. */
typedef struct ch4_attention_gain {
    const int64_t *row;    /* [Sq+1] from 0 on: query i has the entries row[i] .. row[i+1] - 1 */
    const int32_t *key;    /* growing within a row */
    const float *log_gain; /* finite */
} ch4_attention_gain;

typedef struct ch4_attention_in {
    const ch4_tensor *q; /* [B,H,Sq,D] */
    const ch4_tensor *k; /* [B,H,Sk,D] */
    const ch4_tensor *v; /* [B,H,Sk,D] */
    float scale;         /* 1/sqrt(D) everywhere in these models */
    const ch4_attention_gain *gain; /* or NULL */
} ch4_attention_in;

typedef struct ch4_attention_map_in {
    const ch4_tensor *q;   /* [B,H,R,D]: the chosen query rows */
    const ch4_tensor *k;   /* [B,H,C,D]: the chosen keys */
    const ch4_tensor *lse; /* [B,H,R]: log-sum-exp of the rows over ALL keys; NULL renormalises over the C keys given */
    const int *heads;      /* the heads that are averaged, each in [0,H) */
    int n_heads;           /* >= 1 */
    float scale, weight;
    bool accumulate;       /* add to what the map holds (for a mean over layers) */
} ch4_attention_map_in;

typedef struct ch4_conv_in {
    const ch4_tensor *x;    /* [H,W,C] */
    const ch4_tensor *w;    /* [O,3,3,C] contiguous: rows, columns, channels */
    const ch4_tensor *bias; /* [O] */
    int64_t step, dilation; /* of the output, and of the taps */
    bool relu;
} ch4_conv_in;

typedef struct ch4_nn_ops {
    const char *name;

    ch4_status (*open)(ch4_nn *nn, int n_threads, ch4_err *err);
    void       (*close)(ch4_nn *nn);

    /* Backend memory, zeroed and 64-byte aligned; release accepts an empty buffer. */
    ch4_status (*alloc)(ch4_nn *nn, ch4_buf *out, size_t size, ch4_err *err);
    void       (*release)(ch4_nn *nn, ch4_buf *buf);

    /* Host to backend and back. dst and src have the same element count and are contiguous;
     * the source of upload may lie at any address (a mapped file). upload: any dtype to f32, f16 and bf16 to
     * themselves, f32 to bf16 (rounded to nearest even); download gives f32. Both return when the data is there. */
    ch4_status (*upload)(ch4_nn *nn, ch4_tensor *dst, const ch4_tensor *src, ch4_err *err);
    ch4_status (*download)(ch4_nn *nn, ch4_tensor *dst, const ch4_tensor *src, ch4_err *err);

    /* ch4_nn linear: y[r,o] = residual[r,o] + act(bias[o] + sum_i x[r,i] w[o,i])
     * Source   : every projection and feed-forward of the networks; docs/model.md "primitive operations"
     * Shapes   : x [R,I] or [G,R,I]; y the same with O; y may be residual; y overlaps x or w nowhere
     * Limits   : I >= 1; R == 0 writes nothing; act and residual exclude each other; rows of x do not overlap
     * Numerics : act GELU is the exact one, x/2 (1 + erf(x/sqrt 2)); f16 and bf16 weights are widened to f32, which is exact, and x stays
     *            f32, so that the result has the same bytes as with the widened matrix; relative L2 error against ref 1e-6 */
    ch4_status (*linear)(ch4_nn *nn, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err);

    /* ch4_nn layernorm: y[r,d] = (x[r,d] - mean_r) / sqrt(var_r + eps) * g[d] + b[d], variance divided by D
     * Shapes   : x, y [R,D] or [G,R,D]; g, b [D] contiguous; y may be x
     * Numerics : mean and variance in f32 (two passes); relative L2 error against ref 1e-6 */
    ch4_status (*layernorm)(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, const ch4_tensor *b, float eps, ch4_err *err);

    /* ch4_nn rmsnorm: y[r,h,d] = g[d] * x[r,h,d] / sqrt(mean_d(x[r,h,:]^2) + eps), the query/key norm per head
     * Shapes   : x, y [R,H,D]; g [D] contiguous; y may be x
     * Numerics : sums in f32; relative L2 error against ref 1e-6 */
    ch4_status (*rmsnorm)(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, float eps, ch4_err *err);

    /* ch4_nn rope: rotates adjacent pairs in place: (x0,x1) -> (x0 c - x1 s, x1 c + x0 s), c,s = cos,sin[f, pair]
     * Shapes   : x [F,R,H,D], D even; cos, sin [F,D/2] contiguous; the same angle for all R rows and H heads of a frame */
    ch4_status (*rope)(ch4_nn *nn, ch4_tensor *x, const ch4_tensor *cos, const ch4_tensor *sin, ch4_err *err);

    /* ch4_nn attention: o = softmax(scale q k^T + log g) v;  lse[b,h,i] = log sum_j g_ij exp(scale q_i . k_j)
     * Source   : paper Eq. 1; with a gain g_ij on chosen pairs, 1 on all others, Eq. 5; blockwise: no Sq x Sk matrix is ever held
     * Shapes   : o [B,H,Sq,D]; lse [B,H,Sq] or NULL; o overlaps no input
     * Limits   : D <= 256, Sk >= 1; Sq == 0 writes nothing; entries of a gain outside its contract are CH4_EINVAL
     * Numerics : softmax in f32; relative L2 error against ref 2e-6, lse absolute 1e-5 */
    ch4_status (*attention)(ch4_nn *nn, ch4_tensor *o, ch4_tensor *lse, const ch4_attention_in *in, ch4_err *err);

    /* ch4_nn attention_map: a[b,i,j] = [accumulate] a + weight * sum_{h in heads} exp(scale q_i . k_j - lse_i)
     * Source   : paper Eq. 1 restricted to chosen rows and columns, from the log-sum-exp that attention kept: no second pass over all keys
     * Shapes   : a [B,R,C]; with weight 1/n_heads and lse the rows sum to the attention mass spent on the C keys (<= 1), without lse to 1
     * Numerics : relative L2 error against ref 2e-6 */
    ch4_status (*attention_map)(ch4_nn *nn, ch4_tensor *a, const ch4_attention_map_in *in, ch4_err *err);

    /* ch4_nn conv3x3: y[i,j,o] = relu(bias[o] + sum_{a,b,c} x[step i + dilation (a-1), step j + dilation (b-1), c] w[o,a,b,c]), zero outside x
     * Source   : RMBG-1.4; docs/model.md "background remover"
     * Shapes   : x [H,W,C]; y [(H-1)/step+1, (W-1)/step+1, O]; no overlap
     * Limits   : H, W, C, O, step, dilation >= 1; pixels may be strided, so that x and y may be channel ranges of wider pictures
     * Numerics : relative L2 error against ref 2e-6 */
    ch4_status (*conv3x3)(ch4_nn *nn, ch4_tensor *y, const ch4_conv_in *in, ch4_err *err);

    /* ch4_nn maxpool2: y[i,j,c] = the largest of x[2i..2i+1, 2j..2j+1, c]; pixels beyond the edge do not count
     * Shapes   : x [H,W,C]; y [ceil(H/2), ceil(W/2), C]; no overlap */
    ch4_status (*maxpool2)(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);

    /* ch4_nn resize: bilinear, pixel centres at halves, edges clamped, no antialiasing
     * Shapes   : x [H,W,C]; y [h,w,C], all >= 1; no overlap
     * Numerics : relative L2 error against ref 1e-6 */
    ch4_status (*resize)(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);

    /* y = x and y += x; shapes equal, rank 1 to 4, any strides, x may broadcast with stride 0; no overlap. */
    ch4_status (*copy)(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
    ch4_status (*add)(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
} ch4_nn_ops;

struct ch4_nn {
    const ch4_nn_ops *ops;
    ch4_pool *pool;
    int n_threads;
    void *state; /* of the backend */
};

/* Table by name ("ref", "cpu"); NULL where it is not built. */
const ch4_nn_ops *ch4_nn_find(const char *name);

/* Opens a backend. n_threads >= 1, or 0 for one per processor. CH4_EUNSUP for an unknown name (text lists the known ones). */
ch4_status ch4_nn_open(ch4_nn **out, const char *backend, int n_threads, ch4_err *err);
void       ch4_nn_close(ch4_nn **nn);

#endif
