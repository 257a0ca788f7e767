#include "nn/cpu/cpu_impl.h"

#include <string.h>

#include "base/size.h"
#include "nn/cpu/simd.h"

typedef struct linear_job {
    const ch4_nn *nn;
    ch4_linear_args a;
    int64_t row_tiles, col_tiles;
    int64_t group_tiles; /* row tiles of one item, which share the widened weights */
} linear_job;

static void gelu_row(float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + CH4_LANES <= n; i += CH4_LANES)
        v8_store(y + i, v8_gelu(v8_load(y + i)));
    if (i < n) {
        float tail[CH4_LANES] = {0};
        memcpy(tail, y + i, (size_t)(n - i) * sizeof *y);
        v8_store(tail, v8_gelu(v8_load(tail)));
        memcpy(y + i, tail, (size_t)(n - i) * sizeof *y);
    }
}

/* What the product is added to: residual + bias, either of which may be missing. y may be the residual. */
static void start_row(float *y, const float *residual, const float *bias, int64_t n)
{
    if (residual && bias)
        for (int64_t i = 0; i < n; i++)
            y[i] = residual[i] + bias[i];
    else if (residual)
        memmove(y, residual, (size_t)n * sizeof *y);
    else if (bias)
        memcpy(y, bias, (size_t)n * sizeof *y);
}

/* Rows [col, col + n) and columns [from, from + k) of w as floats; *ld is what lies between rows. */
static const float *weights(const ch4_linear_args *a, ch4_cpu_scratch *s, int64_t col, int64_t n, int64_t from, int64_t k, int64_t *ld)
{
    int64_t at = col * a->w_stride + from;
    if (a->w_dtype == CH4_DTYPE_F32) {
        *ld = a->w_stride;
        return (const float *)a->w + at;
    }
    *ld = k;
    for (int64_t r = 0; r < n; r++) {
        const uint16_t *row = (const uint16_t *)a->w + at + r * a->w_stride;
        if (a->w_dtype == CH4_DTYPE_F16)
            ch4_widen_f16(s->panel + r * k, row, k);
        else
            ch4_widen_bf16(s->panel + r * k, row, k);
    }
    return s->panel;
}

/* y += x w over columns [from, from + k) of both for one tile; the first piece begins with the residual and the bias, the last ends with the activation. */
static void linear_tile(const linear_job *job, int64_t group, int64_t tile, int64_t col, int64_t n, int64_t from, int64_t k, const float *w, int64_t ldw)
{
    const ch4_linear_args *a = &job->a;
    int64_t row = tile * CH4_CPU_ROWS, m = ch4_min_i64(CH4_CPU_ROWS, a->y.rows - row);
    float *y = ch4_rows_at(&a->y, group, row) + col;
    bool start = a->residual.data || a->bias;
    for (int64_t r = 0; from == 0 && start && r < m; r++)
        start_row(y + r * a->y.row_stride, a->residual.data ? ch4_rows_at(&a->residual, group, row + r) + col : NULL, a->bias ? a->bias + col : NULL, n);
    ch4_cpu_gemm_nt(m, n, k, 1.0f, ch4_rows_at(&a->x, group, row) + from, a->x.row_stride, w, ldw, from || start ? 1.0f : 0.0f, y, a->y.row_stride);
    for (int64_t r = 0; from + k == a->x.width && a->act == CH4_ACT_GELU && r < m; r++)
        gelu_row(y + r * a->y.row_stride, n);
}

static void linear_item(void *ctx, int64_t item, int worker)
{
    const linear_job *job = ctx;
    const ch4_linear_args *a = &job->a;
    int64_t chunks = (job->row_tiles + job->group_tiles - 1) / job->group_tiles, col = item % job->col_tiles * CH4_CPU_COLS;
    int64_t first = item / job->col_tiles % chunks * job->group_tiles, last = ch4_min_i64(first + job->group_tiles, job->row_tiles);
    int64_t group = item / (job->col_tiles * chunks), n = ch4_min_i64(CH4_CPU_COLS, a->y.width - col), ldw;
    for (int64_t from = 0; from < a->x.width; from += CH4_CPU_DEPTH) {
        int64_t k = ch4_min_i64(CH4_CPU_DEPTH, a->x.width - from);
        const float *w = weights(a, ch4_cpu_scratch_of(job->nn, worker), col, n, from, k, &ldw);
        for (int64_t tile = first; tile < last; tile++)
            linear_tile(job, group, tile, col, n, from, k, w, ldw);
    }
}

ch4_status ch4_cpu_linear(ch4_nn *nn, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err)
{
    linear_job job = {.nn = nn};
    ch4_status st = ch4_nn_check_linear(&job.a, y, in, err);
    if (st)
        return st;
    if (job.a.x.rows > 1 && job.a.x.row_stride < job.a.x.width)
        return ch4_err_set(err, CH4_EUNSUP, "linear: rows of x overlap");
    job.row_tiles = (job.a.y.rows + CH4_CPU_ROWS - 1) / CH4_CPU_ROWS;
    job.col_tiles = (job.a.y.width + CH4_CPU_COLS - 1) / CH4_CPU_COLS;
    /* Widening pays by the number of tiles that share it, idle threads cost; neither changes what is computed. */
    int64_t share = job.a.y.groups * job.row_tiles * job.col_tiles / (4 * nn->n_threads);
    job.group_tiles = job.a.w_dtype == CH4_DTYPE_F32 ? 1 : ch4_max_i64(1, ch4_min_i64(ch4_min_i64(8, share), job.row_tiles));
    int64_t chunks = (job.row_tiles + job.group_tiles - 1) / job.group_tiles;
    ch4_cpu_begin(nn);
    ch4_pool_run(nn->pool, job.a.y.groups * chunks * job.col_tiles, linear_item, &job);
    return CH4_OK;
}
