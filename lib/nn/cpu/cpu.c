/* Backend "cpu": OpenBLAS for the matrix products of a tile, our threads over fixed tiles. OpenBLAS itself is held to one thread, because
 * how it would split a product depends on the number of threads, and with it the rounding. */
#include "nn/cpu/cpu_impl.h"

#include <cblas.h>
#include <stdlib.h>

#include "base/size.h"

static void cpu_close(ch4_nn *nn)
{
    ch4_pool_destroy(&nn->pool);
    free(nn->state);
    nn->state = NULL;
}

static ch4_status cpu_open(ch4_nn *nn, int n_threads, ch4_err *err)
{
    openblas_set_num_threads(1);
    ch4_status st = ch4_pool_create(&nn->pool, n_threads, err);
    if (st)
        return st;
    nn->n_threads = ch4_pool_threads(nn->pool);
    size_t size = sizeof(ch4_cpu_scratch) * (size_t)nn->n_threads;
    nn->state = aligned_alloc(64, (size + 63) / 64 * 64);
    return nn->state ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "cpu backend: %zu bytes of scratch", size);
}

static int ld(int64_t stride, int64_t width)
{
    return (int)ch4_max_i64(stride, width); /* a single row may come with any stride */
}

void ch4_cpu_gemm_nt(int64_t m, int64_t n, int64_t k, float alpha, const float *x, int64_t ldx, const float *w, int64_t ldw, float beta, float *y,
                     int64_t ldy)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, alpha, x, ld(ldx, k), w, ld(ldw, k), beta, y, ld(ldy, n));
}

void ch4_cpu_gemm_nn(int64_t m, int64_t n, int64_t k, const float *x, int64_t ldx, const float *w, int64_t ldw, float beta, float *y, int64_t ldy)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, x, ld(ldx, k), w, ld(ldw, n), beta, y, ld(ldy, n));
}

const ch4_nn_ops ch4_nn_ops_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .alloc = ch4_nn_host_alloc,
    .release = ch4_nn_host_release,
    .upload = ch4_nn_host_upload,
    .download = ch4_nn_host_download,
    .linear = ch4_cpu_linear,
    .layernorm = ch4_cpu_layernorm,
    .rmsnorm = ch4_cpu_rmsnorm,
    .rope = ch4_cpu_rope,
    .attention = ch4_cpu_attention,
    .attention_map = ch4_cpu_attention_map,
    .conv3x3 = ch4_cpu_conv3x3,
    .maxpool2 = ch4_cpu_maxpool2,
    .resize = ch4_cpu_resize,
    .copy = ch4_nn_host_copy,
    .add = ch4_nn_host_add,
};
