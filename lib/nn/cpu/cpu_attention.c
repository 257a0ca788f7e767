/* Attention in tiles of queries and keys with a running maximum and sum per row (the "online softmax"), so that no full matrix is held
 * and the log-sum-exp of every row is left over for attention_map. */
#include "nn/cpu/cpu_impl.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "nn/cpu/simd.h"

static float top_row(const float *x, int64_t n)
{
    float top = x[0];
    int64_t i = 0;
    if (n >= CH4_LANES) {
        v8f m = v8_load(x);
        for (i = CH4_LANES; i + CH4_LANES <= n; i += CH4_LANES)
            m = v8_max(v8_load(x + i), m);
        top = v8_top(m);
    }
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* x[i] = exp(x[i] - shift); returns the sum */
static float exp_row(float *x, float shift, int64_t n)
{
    v8f acc = v8_set(0.0f);
    int64_t i = 0;
    for (; i + CH4_LANES <= n; i += CH4_LANES) {
        v8f e = v8_exp(v8_load(x + i) - v8_set(shift));
        v8_store(x + i, e);
        acc += e;
    }
    float sum = v8_sum(acc), tail[CH4_LANES] = {0};
    if (i < n) {
        memcpy(tail, x + i, (size_t)(n - i) * sizeof *x);
        v8_store(tail, v8_exp(v8_load(tail) - v8_set(shift)));
        memcpy(x + i, tail, (size_t)(n - i) * sizeof *x);
        for (int64_t j = 0; j < n - i; j++)
            sum += tail[j];
    }
    return sum;
}

/* Logits of m queries against n keys into scratch, rows CH4_CPU_KEYS apart. */
static void logits(ch4_cpu_scratch *s, const ch4_tensor *q, const ch4_tensor *k, int64_t b, int64_t h, int64_t row, int64_t m, int64_t col,
                   int64_t n, float scale)
{
    ch4_cpu_gemm_nt(m, n, q->shape[3], scale, ch4_at4(q, b, h, row), q->stride[2], ch4_at4(k, b, h, col), k->stride[2], 0.0f, s->logits, CH4_CPU_KEYS);
}

/* Adds the gains that fall into a tile of logits. */
static void add_gains(ch4_cpu_scratch *s, const ch4_attention_gain *gain, int64_t row, int64_t m, int64_t col, int64_t n)
{
    for (int64_t r = 0; r < m; r++)
        for (int64_t e = gain->row[row + r]; e < gain->row[row + r + 1]; e++)
            if (gain->key[e] >= col && gain->key[e] < col + n)
                s->logits[r * CH4_CPU_KEYS + gain->key[e] - col] += gain->log_gain[e];
}

/* Folds one tile of logits into the running maximum and sum; leaves probabilities relative to the maximum in the tile and scales the
 * partial outputs (width > 0) down where the maximum has grown. */
static void fold_tile(ch4_cpu_scratch *s, int64_t m, int64_t n, int64_t width, bool first)
{
    for (int64_t r = 0; r < m; r++) {
        float *p = s->logits + r * CH4_CPU_KEYS, top = top_row(p, n);
        if (first) {
            s->top[r] = top;
            s->sum[r] = exp_row(p, top, n);
            continue;
        }
        if (top > s->top[r]) {
            float shrink = expf(s->top[r] - top), *o = s->out + r * CH4_NN_MAX_HEAD;
            s->top[r] = top;
            s->sum[r] *= shrink;
            for (int64_t d = 0; d < width; d++)
                o[d] *= shrink;
        }
        s->sum[r] += exp_row(p, s->top[r], n);
    }
}

typedef struct attention_job {
    const ch4_nn *nn;
    const ch4_attention_in *in;
    ch4_tensor o;
    const ch4_tensor *lse; /* or NULL */
    int64_t row_tiles;
} attention_job;

static void attention_item(void *ctx, int64_t item, int worker)
{
    const attention_job *job = ctx;
    const ch4_tensor *q = job->in->q, *k = job->in->k, *v = job->in->v;
    ch4_cpu_scratch *s = ch4_cpu_scratch_of(job->nn, worker);
    int64_t row = item % job->row_tiles * CH4_CPU_QUERIES, head = item / job->row_tiles % q->shape[1], batch = item / (job->row_tiles * q->shape[1]);
    int64_t m = ch4_min_i64(CH4_CPU_QUERIES, q->shape[2] - row), width = q->shape[3], keys = k->shape[2];
    for (int64_t col = 0; col < keys; col += CH4_CPU_KEYS) {
        int64_t n = ch4_min_i64(CH4_CPU_KEYS, keys - col);
        logits(s, q, k, batch, head, row, m, col, n, job->in->scale);
        if (job->in->gain)
            add_gains(s, job->in->gain, row, m, col, n);
        fold_tile(s, m, n, width, col == 0);
        ch4_cpu_gemm_nn(m, width, n, s->logits, CH4_CPU_KEYS, ch4_at4(v, batch, head, col), v->stride[2], col ? 1.0f : 0.0f, s->out, CH4_NN_MAX_HEAD);
    }
    for (int64_t r = 0; r < m; r++) {
        float *o = ch4_at4(&job->o, batch, head, row + r), inv = 1.0f / s->sum[r];
        for (int64_t d = 0; d < width; d++)
            o[d] = s->out[r * CH4_NN_MAX_HEAD + d] * inv;
        if (job->lse)
            ch4_at3(job->lse, batch, head)[(row + r) * job->lse->stride[2]] = s->top[r] + logf(s->sum[r]);
    }
}

ch4_status ch4_cpu_attention(ch4_nn *nn, ch4_tensor *o, ch4_tensor *lse, const ch4_attention_in *in, ch4_err *err)
{
    ch4_status st = ch4_nn_check_attention(o, lse, in, err);
    if (st)
        return st;
    attention_job job = {nn, in, *o, lse, (in->q->shape[2] + CH4_CPU_QUERIES - 1) / CH4_CPU_QUERIES};
    ch4_cpu_begin(nn);
    ch4_pool_run(nn->pool, in->q->shape[0] * in->q->shape[1] * job.row_tiles, attention_item, &job);
    return CH4_OK;
}

typedef struct map_job {
    const ch4_nn *nn;
    const ch4_attention_map_in *in;
    ch4_tensor a;
    int64_t row_tiles;
} map_job;

/* Log-sum-exp of m rows over the given keys only, into s->sum. */
static void rows_lse(const map_job *job, ch4_cpu_scratch *s, int64_t b, int64_t h, int64_t row, int64_t m)
{
    const ch4_tensor *q = job->in->q, *k = job->in->k;
    for (int64_t col = 0; col < k->shape[2]; col += CH4_CPU_KEYS) {
        int64_t n = ch4_min_i64(CH4_CPU_KEYS, k->shape[2] - col);
        logits(s, q, k, b, h, row, m, col, n, job->in->scale);
        fold_tile(s, m, n, 0, col == 0);
    }
    for (int64_t r = 0; r < m; r++)
        s->sum[r] = s->top[r] + logf(s->sum[r]);
}

static void map_head(const map_job *job, ch4_cpu_scratch *s, int64_t b, int64_t h, int64_t row, int64_t m, bool accumulate)
{
    const ch4_attention_map_in *in = job->in;
    if (in->lse)
        for (int64_t r = 0; r < m; r++)
            s->sum[r] = ch4_at3(in->lse, b, h)[(row + r) * in->lse->stride[2]];
    else
        rows_lse(job, s, b, h, row, m);
    for (int64_t col = 0; col < in->k->shape[2]; col += CH4_CPU_KEYS) {
        int64_t n = ch4_min_i64(CH4_CPU_KEYS, in->k->shape[2] - col);
        logits(s, in->q, in->k, b, h, row, m, col, n, in->scale);
        for (int64_t r = 0; r < m; r++) {
            float *p = s->logits + r * CH4_CPU_KEYS, *a = ch4_at3(&job->a, b, row + r) + col;
            exp_row(p, s->sum[r], n);
            for (int64_t j = 0; j < n; j++)
                a[j] = in->weight * p[j] + (accumulate ? a[j] : 0.0f);
        }
    }
}

static void map_item(void *ctx, int64_t item, int worker)
{
    const map_job *job = ctx;
    int64_t row = item % job->row_tiles * CH4_CPU_QUERIES, b = item / job->row_tiles;
    int64_t m = ch4_min_i64(CH4_CPU_QUERIES, job->in->q->shape[2] - row);
    for (int i = 0; i < job->in->n_heads; i++)
        map_head(job, ch4_cpu_scratch_of(job->nn, worker), b, job->in->heads[i], row, m, i > 0 || job->in->accumulate);
}

ch4_status ch4_cpu_attention_map(ch4_nn *nn, ch4_tensor *a, const ch4_attention_map_in *in, ch4_err *err)
{
    ch4_status st = ch4_nn_check_map(a, in, err);
    if (st)
        return st;
    map_job job = {nn, in, *a, (in->q->shape[2] + CH4_CPU_QUERIES - 1) / CH4_CPU_QUERIES};
    ch4_cpu_begin(nn);
    ch4_pool_run(nn->pool, in->q->shape[0] * job.row_tiles, map_item, &job);
    return CH4_OK;
}
