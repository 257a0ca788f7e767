#include "chain/match.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"

enum { BLOCK = 128 }; /* points whose scores are held at once */

ch4_status ch4_match_transport(ch4_nn *nn, float *out, const float *rows, const float *w, int64_t n_points, int64_t n_tokens,
                               ch4_err *err)
{
    ch4_tensor y = CH4_F32(out, n_points, n_tokens), x = CH4_F32((float *)rows, n_points, n_tokens),
               m = CH4_F32((float *)w, n_tokens, n_tokens);
    return nn->ops->linear(nn, &y, &(ch4_linear_in){.x = &x, .w = &m}, err);
}

ch4_status ch4_match_score(ch4_nn *nn, float *score, const float *transport, const float *candidates, int64_t n_points,
                           int64_t n_candidates, int64_t n_tokens, ch4_err *err)
{
    ch4_tensor y = CH4_F32(score, n_points, n_candidates), x = CH4_F32((float *)transport, n_points, n_tokens),
               m = CH4_F32((float *)candidates, n_candidates, n_tokens);
    return nn->ops->linear(nn, &y, &(ch4_linear_in){.x = &x, .w = &m}, err);
}

static void unit_rows(float *rows, int64_t n_rows, int64_t n)
{
    for (int64_t u = 0; u < n_rows; u++) {
        double square = 0;
        for (int64_t s = 0; s < n; s++)
            square += (double)rows[u * n + s] * rows[u * n + s];
        for (int64_t s = 0; square > 0 && s < n; s++)
            rows[u * n + s] = (float)(rows[u * n + s] / sqrt(square));
    }
}

static void column_shares(float *rows, int64_t n_rows, int64_t n)
{
    for (int64_t s = 0; s < n; s++) {
        double sum = 0;
        for (int64_t u = 0; u < n_rows; u++)
            sum += rows[u * n + s];
        for (int64_t u = 0; sum > 0 && u < n_rows; u++)
            rows[u * n + s] = (float)(rows[u * n + s] / sum);
    }
}

void ch4_match_prepare_rows(float *candidates, int64_t n_candidates, int64_t n_tokens, ch4_match_rows how)
{
    if (how == CH4_MATCH_UNIT)
        unit_rows(candidates, n_candidates, n_tokens);
    else if (how == CH4_MATCH_COLUMN)
        column_shares(candidates, n_candidates, n_tokens);
}

/* Worse of two candidates: smaller score, or equal and higher index. */
static bool worse(const float *score, int32_t a, int32_t b)
{
    return score[a] == score[b] ? a > b : score[a] < score[b];
}

/* heap[0] is the worst kept one. */
static void sift_down(int32_t *heap, const float *score, int64_t n, int64_t i)
{
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && worse(score, heap[child + 1], heap[child]))
            child++;
        if (!worse(score, heap[child], heap[i]))
            return;
        int32_t t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
        i = child;
    }
}

void ch4_match_top(int32_t *index, float *best, int32_t *scratch, const float *score, int64_t n_candidates, int64_t k)
{
    int32_t *heap = scratch;
    for (int64_t i = 0; i < k; i++)
        heap[i] = (int32_t)i;
    for (int64_t i = k / 2; i-- > 0;)
        sift_down(heap, score, k, i);
    float bar = score[heap[0]];
    for (int64_t u = k; u < n_candidates; u++) {
        if (!(score[u] > bar)) /* equal scores: the lower index is in already */
            continue;
        heap[0] = (int32_t)u;
        sift_down(heap, score, k, 0);
        bar = score[heap[0]];
    }
    for (int64_t i = k; i-- > 0;) {
        index[i] = heap[0];
        best[i] = score[heap[0]];
        heap[0] = heap[i];
        sift_down(heap, score, i, 0);
    }
}

void ch4_match_blend(float point[3], float *weights, const int32_t *index, const float *best, const float *points, int64_t k,
                     const ch4_blend *blend)
{
    double tau = blend->relative ? blend->temperature * best[0] : blend->temperature, sum = 0, p[3] = {0};
    if (!(tau > 0)) {
        point[0] = point[1] = point[2] = NAN;
        for (int64_t i = 0; weights && i < k; i++)
            weights[i] = 0;
        return;
    }
    for (int64_t i = 0; i < k; i++) {
        double w = exp(((double)best[i] - best[0]) / tau);
        sum += w;
        for (int a = 0; a < 3; a++)
            p[a] += w * points[3 * (int64_t)index[i] + a];
    }
    for (int a = 0; a < 3; a++)
        point[a] = (float)(p[a] / sum);
    for (int64_t i = 0; weights && i < k; i++)
        weights[i] = (float)(exp(((double)best[i] - best[0]) / tau) / sum);
}

typedef struct match_job {
    const ch4_match_in *in;
    const float *score;     /* [rows of the block, U] */
    float *path, *best_out; /* of the block */
    int32_t *matched;       /* of the block, or NULL */
    float *best;            /* [workers, k] */
    int32_t *index, *heap;  /* [workers, k] each */
    int64_t k;
} match_job;

static void match_row(void *ctx, int64_t row, int worker)
{
    match_job *job = ctx;
    const ch4_match_in *in = job->in;
    float *best = job->best + worker * job->k;
    int32_t *index = job->index + worker * job->k;
    ch4_match_top(index, best, job->heap + worker * job->k, job->score + row * in->n_candidates, in->n_candidates, job->k);
    ch4_match_blend(job->path + 3 * row, NULL, index, best, in->points, job->k, &in->blend);
    job->best_out[row] = best[0];
    if (job->matched)
        job->matched[row] = index[0];
}

ch4_status ch4_match_points(ch4_nn *nn, ch4_pool *pool, float *path, float *score, const ch4_match_in *in, ch4_err *err)
{
    ch4_buf scores = {0};
    int64_t k = ch4_min_i64(in->k, in->n_candidates), workers = ch4_pool_threads(pool);
    match_job job = {.in = in, .k = k};
    ch4_status status = CH4_OK;
    if (in->n_candidates == 0) {
        for (int64_t v = 0; v < in->n_points; v++) {
            path[3 * v] = path[3 * v + 1] = path[3 * v + 2] = NAN;
            score[v] = 0;
            if (in->matched)
                in->matched[v] = -1;
        }
        return CH4_OK;
    }
    status = ch4_buf_alloc(&scores, (size_t)BLOCK * (size_t)in->n_candidates * sizeof(float), err);
    if (status == CH4_OK)
        status = ch4_calloc(&job.best, (size_t)(workers * k), sizeof *job.best, "matches", err);
    if (status == CH4_OK)
        status = ch4_calloc(&job.index, (size_t)(workers * k), sizeof *job.index, "matches", err);
    if (status == CH4_OK)
        status = ch4_calloc(&job.heap, (size_t)(workers * k), sizeof *job.heap, "matches", err);
    for (int64_t v = 0; status == CH4_OK && v < in->n_points; v += BLOCK) {
        int64_t n = ch4_min_i64(BLOCK, in->n_points - v);
        status = ch4_match_score(nn, scores.data, in->transport + v * in->n_tokens, in->candidates, n, in->n_candidates, in->n_tokens, err);
        job.score = scores.data;
        job.path = path + 3 * v;
        job.best_out = score + v;
        job.matched = in->matched ? in->matched + v : NULL;
        if (status == CH4_OK)
            ch4_pool_run(pool, n, match_row, &job);
    }
    free(job.best);
    free(job.index);
    free(job.heap);
    ch4_buf_free(&scores);
    return status;
}
