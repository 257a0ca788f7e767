/* Picture operations of backend "cpu". A convolution is nine matrix products per output row, one for each tap, of shifted pixel rows of x: what an
 * unfolded copy of x would give, without the copy. Work is cut by output rows. */
#include "nn/cpu/cpu_impl.h"

#include <string.h>

#include "base/size.h"

typedef struct conv_job {
    ch4_tensor y;
    ch4_conv_in in;
} conv_job;

/* Adds tap (a,b) to output row i, over the output columns whose input column exists. */
static void add_tap(const conv_job *job, int64_t i, int64_t a, int64_t b)
{
    const ch4_tensor *x = job->in.x, *y = &job->y;
    int64_t step = job->in.step, C = x->shape[2], O = y->shape[2], row = i * step + (a - 1) * job->in.dilation, shift = (b - 1) * job->in.dilation;
    if (row < 0 || row >= x->shape[0] || shift > x->shape[1] - 1)
        return;
    int64_t first = shift < 0 ? (-shift + step - 1) / step : 0, last = ch4_min_i64(y->shape[1] - 1, (x->shape[1] - 1 - shift) / step);
    if (first > last)
        return;
    const float *w = (const float *)job->in.w->data + (a * 3 + b) * C;
    ch4_cpu_gemm_nt(last - first + 1, O, C, 1.0f, ch4_at3(x, row, first * step + shift), step * x->stride[1], w, 9 * C, 1.0f, ch4_at3(y, i, first), y->stride[1]);
}

static void conv_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const conv_job *job = ctx;
    const ch4_tensor *y = &job->y;
    for (int64_t j = 0; j < y->shape[1]; j++)
        memcpy(ch4_at3(y, i, j), job->in.bias->data, (size_t)y->shape[2] * sizeof(float));
    for (int64_t tap = 0; tap < 9; tap++)
        add_tap(job, i, tap / 3, tap % 3);
    for (int64_t j = 0; job->in.relu && j < y->shape[1]; j++) {
        float *p = ch4_at3(y, i, j);
        for (int64_t o = 0; o < y->shape[2]; o++)
            p[o] = p[o] > 0 ? p[o] : 0;
    }
}

ch4_status ch4_cpu_conv3x3(ch4_nn *nn, ch4_tensor *y, const ch4_conv_in *in, ch4_err *err)
{
    ch4_status st = ch4_nn_check_conv(y, in, err);
    if (st)
        return st;
    conv_job job = {*y, *in};
    ch4_cpu_begin(nn);
    ch4_pool_run(nn->pool, y->shape[0], conv_row, &job);
    return CH4_OK;
}

typedef struct pair_job {
    ch4_tensor y, x;
} pair_job;

static void pool_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const pair_job *job = ctx;
    const ch4_tensor *x = &job->x, *y = &job->y;
    int64_t below = ch4_min_i64(2 * i + 1, x->shape[0] - 1);
    for (int64_t j = 0; j < y->shape[1]; j++) {
        int64_t right = ch4_min_i64(2 * j + 1, x->shape[1] - 1);
        const float *p = ch4_at3(x, 2 * i, 2 * j), *q = ch4_at3(x, 2 * i, right), *r = ch4_at3(x, below, 2 * j), *s = ch4_at3(x, below, right);
        float *out = ch4_at3(y, i, j);
        for (int64_t c = 0; c < y->shape[2]; c++) {
            float top = p[c] > q[c] ? p[c] : q[c], bottom = r[c] > s[c] ? r[c] : s[c];
            out[c] = top > bottom ? top : bottom;
        }
    }
}

ch4_status ch4_cpu_maxpool2(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    ch4_status st = ch4_nn_check_pool(y, x, err);
    if (st)
        return st;
    pair_job job = {*y, *x};
    ch4_pool_run(nn->pool, y->shape[0], pool_row, &job);
    return CH4_OK;
}

static void resize_row(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const pair_job *job = ctx;
    const ch4_tensor *x = &job->x, *y = &job->y;
    int64_t a[2], b[2];
    double down, right;
    ch4_nn_bilinear(a, &down, i, y->shape[0], x->shape[0]);
    for (int64_t j = 0; j < y->shape[1]; j++) {
        ch4_nn_bilinear(b, &right, j, y->shape[1], x->shape[1]);
        const float *p = ch4_at3(x, a[0], b[0]), *q = ch4_at3(x, a[0], b[1]), *r = ch4_at3(x, a[1], b[0]), *s = ch4_at3(x, a[1], b[1]);
        float wp = (float)((1 - down) * (1 - right)), wq = (float)((1 - down) * right), wr = (float)(down * (1 - right)), ws = (float)(down * right);
        float *out = ch4_at3(y, i, j);
        for (int64_t c = 0; c < y->shape[2]; c++)
            out[c] = wp * p[c] + wq * q[c] + wr * r[c] + ws * s[c];
    }
}

ch4_status ch4_cpu_resize(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    ch4_status st = ch4_nn_check_resize(y, x, err);
    if (st)
        return st;
    pair_job job = {*y, *x};
    ch4_pool_run(nn->pool, y->shape[0], resize_row, &job);
    return CH4_OK;
}
