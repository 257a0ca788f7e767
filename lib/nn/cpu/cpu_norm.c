#include "nn/cpu/cpu_impl.h"

#include <math.h>

#include "base/size.h"
#include "nn/cpu/simd.h"

enum { ROWS_PER_ITEM = 32 };

static float sum_row(const float *x, int64_t n)
{
    v8f acc = v8_set(0.0f);
    int64_t i = 0;
    for (; i + CH4_LANES <= n; i += CH4_LANES)
        acc += v8_load(x + i);
    float sum = v8_sum(acc);
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

/* sum of (x - mean)^2 */
static float square_row(const float *x, float mean, int64_t n)
{
    v8f acc = v8_set(0.0f);
    int64_t i = 0;
    for (; i + CH4_LANES <= n; i += CH4_LANES) {
        v8f d = v8_load(x + i) - v8_set(mean);
        acc += d * d;
    }
    float sum = v8_sum(acc);
    for (; i < n; i++)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

typedef struct norm_job {
    ch4_rows x, y;
    const float *g, *b;
    float eps;
} norm_job;

static void norm_row(const norm_job *job, int64_t index)
{
    const float *x = ch4_rows_at(&job->x, index / job->x.rows, index % job->x.rows);
    float *y = ch4_rows_at(&job->y, index / job->x.rows, index % job->x.rows);
    int64_t n = job->x.width, i = 0;
    float mean = sum_row(x, n) / (float)n;
    float inv = 1.0f / sqrtf(square_row(x, mean, n) / (float)n + job->eps);
    for (; i + CH4_LANES <= n; i += CH4_LANES)
        v8_store(y + i, (v8_load(x + i) - v8_set(mean)) * v8_set(inv) * v8_load(job->g + i) + v8_load(job->b + i));
    for (; i < n; i++)
        y[i] = (x[i] - mean) * inv * job->g[i] + job->b[i];
}

static void norm_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const norm_job *job = ctx;
    int64_t end = ch4_min_i64((item + 1) * ROWS_PER_ITEM, job->x.groups * job->x.rows);
    for (int64_t i = item * ROWS_PER_ITEM; i < end; i++)
        norm_row(job, i);
}

ch4_status ch4_cpu_layernorm(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, const ch4_tensor *b, float eps, ch4_err *err)
{
    norm_job job = {.g = g->data, .b = b->data, .eps = eps};
    ch4_status st = ch4_nn_check_norm(&job.x, &job.y, y, x, g, b, err);
    if (st)
        return st;
    ch4_pool_run(nn->pool, (job.x.groups * job.x.rows + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM, norm_item, &job);
    return CH4_OK;
}

typedef struct head_job {
    ch4_tensor x, y;
    const float *g, *cos, *sin;
    float eps;
} head_job;

static void rms_head(const head_job *job, const float *x, float *y)
{
    int64_t n = job->x.shape[2], i = 0;
    float inv = 1.0f / sqrtf(square_row(x, 0.0f, n) / (float)n + job->eps);
    for (; i + CH4_LANES <= n; i += CH4_LANES)
        v8_store(y + i, v8_load(x + i) * v8_set(inv) * v8_load(job->g + i));
    for (; i < n; i++)
        y[i] = x[i] * inv * job->g[i];
}

static void rms_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const head_job *job = ctx;
    int64_t end = ch4_min_i64((item + 1) * ROWS_PER_ITEM, job->x.shape[0]);
    for (int64_t r = item * ROWS_PER_ITEM; r < end; r++)
        for (int64_t h = 0; h < job->x.shape[1]; h++)
            rms_head(job, ch4_at3(&job->x, r, h), ch4_at3(&job->y, r, h));
}

ch4_status ch4_cpu_rmsnorm(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, float eps, ch4_err *err)
{
    ch4_status st = ch4_nn_check_rmsnorm(y, x, g, err);
    if (st)
        return st;
    head_job job = {.x = *x, .y = *y, .g = g->data, .eps = eps};
    ch4_pool_run(nn->pool, (x->shape[0] + ROWS_PER_ITEM - 1) / ROWS_PER_ITEM, rms_item, &job);
    return CH4_OK;
}

static void rope_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    const head_job *job = ctx;
    int64_t f = item / job->x.shape[1], r = item % job->x.shape[1], half = job->x.shape[3] / 2;
    const float *c = job->cos + f * half, *s = job->sin + f * half;
    for (int64_t h = 0; h < job->x.shape[2]; h++) {
        float *v = ch4_at4(&job->x, f, r, h);
        for (int64_t j = 0; j < half; j++) {
            float a = v[2 * j], b = v[2 * j + 1];
            v[2 * j] = a * c[j] - b * s[j];
            v[2 * j + 1] = b * c[j] + a * s[j];
        }
    }
}

ch4_status ch4_cpu_rope(ch4_nn *nn, ch4_tensor *x, const ch4_tensor *cos, const ch4_tensor *sin, ch4_err *err)
{
    ch4_status st = ch4_nn_check_rope(x, cos, sin, err);
    if (st)
        return st;
    head_job job = {.x = *x, .cos = cos->data, .sin = sin->data};
    ch4_pool_run(nn->pool, x->shape[0] * x->shape[1], rope_item, &job);
    return CH4_OK;
}
