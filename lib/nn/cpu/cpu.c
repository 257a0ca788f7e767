/* Backend "cpu": OpenBLAS for the matrix products of a tile, our threads over fixed tiles. OpenBLAS itself is held to one thread, because
 * how it would split a product depends on the number of threads, and with it the rounding. */
#include "nn/cpu/cpu_impl.h"

#include <cblas.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/size.h"

static const size_t blas_buffer = (size_t)130 << 20; /* of one thread: 128 MiB in the builds for x86-64, aligned */

void ch4_cpu_begin(ch4_nn *nn)
{
    ch4_cpu_state *s = nn->state;
    if (s->held)
        munmap(s->held, s->held_size);
    s->held = NULL;
}

static void cpu_close(ch4_nn *nn)
{
    ch4_cpu_state *s = nn->state;
    ch4_pool_destroy(&nn->pool);
    if (!s)
        return;
    ch4_cpu_begin(nn);
    free(s->scratch);
    free(s);
    nn->state = NULL;
}

static ch4_status cpu_open(ch4_nn *nn, int n_threads, ch4_err *err)
{
    openblas_set_num_threads(1);
    ch4_status st = ch4_pool_create(&nn->pool, n_threads, err);
    if (!st)
        st = ch4_calloc(&nn->state, 1, sizeof(ch4_cpu_state), "cpu backend", err);
    if (st)
        return st;
    ch4_cpu_state *s = nn->state;
    nn->n_threads = ch4_pool_threads(nn->pool);
    size_t size = sizeof(ch4_cpu_scratch) * (size_t)nn->n_threads;
    s->scratch = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!s->scratch)
        return ch4_err_set(err, CH4_ENOMEM, "cpu backend: %zu bytes of scratch", size);
    s->held_size = blas_buffer * (size_t)nn->n_threads;
    s->held = mmap(NULL, s->held_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->held != MAP_FAILED)
        return CH4_OK;
    s->held = NULL;
    return ch4_err_set(err, CH4_ENOMEM, "cpu backend: OpenBLAS needs %zu bytes for %d threads", s->held_size, nn->n_threads);
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
