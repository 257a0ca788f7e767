/* Internals of backend "cpu". */
#ifndef CH4_NN_CPU_IMPL_H
#define CH4_NN_CPU_IMPL_H

#include "nn/nn_impl.h"

enum {
    CH4_CPU_ROWS = 128,   /* tile of linear: rows x columns of y */
    CH4_CPU_COLS = 256,
    CH4_CPU_DEPTH = 2048, /* of one product; longer rows are summed piece by piece, whatever the weights' type */
    CH4_CPU_QUERIES = 64, /* tile of attention: queries x keys */
    CH4_CPU_KEYS = 256,
};

/* Scratch of one worker thread, made at open. */
typedef struct ch4_cpu_scratch {
    float logits[CH4_CPU_QUERIES * CH4_CPU_KEYS];
    float out[CH4_CPU_QUERIES * CH4_NN_MAX_HEAD];
    float top[CH4_CPU_QUERIES], sum[CH4_CPU_QUERIES];
    float panel[CH4_CPU_COLS * CH4_CPU_DEPTH]; /* widened f16 or bf16 weights; untouched, and so not resident, where there are none */
} ch4_cpu_scratch;

typedef struct ch4_cpu_state {
    void *held; /* see ch4_cpu_begin */
    size_t held_size;
    ch4_cpu_scratch *scratch; /* [n_threads] */
} ch4_cpu_state;

static inline ch4_cpu_scratch *ch4_cpu_scratch_of(const ch4_nn *nn, int worker)
{
    return ((ch4_cpu_state *)nn->state)->scratch + worker;
}

/* Before the first product. OpenBLAS takes a buffer for every thread that is in a product, and waits for ever where it gets none. Room for them is held
 * from open until here, so that weights and windows that leave no room fail with a status instead. */
void ch4_cpu_begin(ch4_nn *nn);

ch4_status ch4_cpu_linear(ch4_nn *nn, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err);
ch4_status ch4_cpu_layernorm(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, const ch4_tensor *b, float eps, ch4_err *err);
ch4_status ch4_cpu_rmsnorm(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, float eps, ch4_err *err);
ch4_status ch4_cpu_rope(ch4_nn *nn, ch4_tensor *x, const ch4_tensor *cos, const ch4_tensor *sin, ch4_err *err);
ch4_status ch4_cpu_attention(ch4_nn *nn, ch4_tensor *o, ch4_tensor *lse, const ch4_attention_in *in, ch4_err *err);
ch4_status ch4_cpu_attention_map(ch4_nn *nn, ch4_tensor *a, const ch4_attention_map_in *in, ch4_err *err);
ch4_status ch4_cpu_conv3x3(ch4_nn *nn, ch4_tensor *y, const ch4_conv_in *in, ch4_err *err);
ch4_status ch4_cpu_maxpool2(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
ch4_status ch4_cpu_resize(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);

/* y = alpha x w^T + beta y with row strides; x [m,k], w [n,k], y [m,n]. Runs on the calling thread. */
void ch4_cpu_gemm_nt(int64_t m, int64_t n, int64_t k, float alpha, const float *x, int64_t ldx, const float *w, int64_t ldw, float beta, float *y,
                     int64_t ldy);
/* y = x w + beta y; x [m,k], w [k,n], y [m,n]. */
void ch4_cpu_gemm_nn(int64_t m, int64_t n, int64_t k, const float *x, int64_t ldx, const float *w, int64_t ldw, float beta, float *y, int64_t ldy);

#endif
