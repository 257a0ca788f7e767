#include "nn/cpu/cpu_impl.h"

#include <string.h>

#include "base/size.h"
#include "nn/cpu/simd.h"

typedef struct linear_job {
    ch4_linear_args a;
    int64_t row_tiles, col_tiles;
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

static void linear_tile(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const linear_job *job = ctx;
    const ch4_linear_args *a = &job->a;
    int64_t col = item % job->col_tiles * CH4_CPU_COLS, row = item / job->col_tiles % job->row_tiles * CH4_CPU_ROWS;
    int64_t group = item / (job->col_tiles * job->row_tiles);
    int64_t n = ch4_min_i64(CH4_CPU_COLS, a->y.width - col), m = ch4_min_i64(CH4_CPU_ROWS, a->y.rows - row);
    float *y = ch4_rows_at(&a->y, group, row) + col;
    bool start = a->residual.data || a->bias;
    for (int64_t r = 0; start && r < m; r++)
        start_row(y + r * a->y.row_stride, a->residual.data ? ch4_rows_at(&a->residual, group, row + r) + col : NULL, a->bias ? a->bias + col : NULL, n);
    ch4_cpu_gemm_nt(m, n, a->x.width, 1.0f, ch4_rows_at(&a->x, group, row), a->x.row_stride, a->w + col * a->w_stride, a->w_stride,
                    start ? 1.0f : 0.0f, y, a->y.row_stride);
    for (int64_t r = 0; a->act == CH4_ACT_GELU && r < m; r++)
        gelu_row(y + r * a->y.row_stride, n);
}

ch4_status ch4_cpu_linear(ch4_nn *nn, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err)
{
    linear_job job;
    ch4_status st = ch4_nn_check_linear(&job.a, y, in, err);
    if (st)
        return st;
    if (job.a.x.rows > 1 && job.a.x.row_stride < job.a.x.width)
        return ch4_err_set(err, CH4_EUNSUP, "linear: rows of x overlap");
    job.row_tiles = (job.a.y.rows + CH4_CPU_ROWS - 1) / CH4_CPU_ROWS;
    job.col_tiles = (job.a.y.width + CH4_CPU_COLS - 1) / CH4_CPU_COLS;
    ch4_pool_run(nn->pool, job.a.y.groups * job.row_tiles * job.col_tiles, linear_tile, &job);
    return CH4_OK;
}
