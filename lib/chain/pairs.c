#include "chain/pairs.h"

#include <stdlib.h>

#include "base/size.h"

typedef struct weighed {
    float weight;
    int32_t index;
} weighed;

static int by_weight(const void *a, const void *b)
{
    const weighed *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void sort_row(weighed *out, const float *row, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (weighed){row[i], (int32_t)i};
    qsort(out, (size_t)n, sizeof *out, by_weight);
}

static float largest(const float *x, int64_t n)
{
    float top = 0;
    for (int64_t i = 0; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* Least score of a reliable match. */
static float bar_of(weighed *scratch, const ch4_pairs_in *in)
{
    sort_row(scratch, in->score, in->n_points);
    int64_t kept = (int64_t)(in->share * (double)in->n_points);
    return scratch[ch4_min_i64(ch4_max_i64(kept, 1), in->n_points) - 1].weight;
}

/* from and to: the two rows, strongest entries first; top: the largest entry of w. */
static float strongest(int32_t *t, int32_t *s, const weighed *from, const weighed *to, const float *w, float top, int64_t n)
{
    float best = 0;
    for (int64_t i = 0; i < n && from[i].weight * top * to[0].weight >= best && from[i].weight > 0; i++)
        for (int64_t j = 0; j < n && from[i].weight * top * to[j].weight >= best && to[j].weight > 0; j++) {
            float x = from[i].weight * w[to[j].index * n + from[i].index] * to[j].weight;
            bool first = x == best && best > 0 && (from[i].index < *t || (from[i].index == *t && to[j].index < *s));
            if (x > best || first) {
                best = x;
                *t = from[i].index;
                *s = to[j].index;
            }
        }
    return best;
}

ch4_status ch4_pairs_find(ch4_token_pair *pairs, int64_t *n, const ch4_pairs_in *in, ch4_err *err)
{
    int64_t N = in->n_tokens;
    weighed *scores = NULL, *from = NULL, *to = NULL;
    if (in->n_points == 0)
        return CH4_OK;
    ch4_status st = ch4_calloc(&scores, (size_t)in->n_points, sizeof *scores, "token pairs", err);
    if (!st)
        st = ch4_calloc(&from, (size_t)N, sizeof *from, "token pairs", err);
    if (!st)
        st = ch4_calloc(&to, (size_t)N, sizeof *to, "token pairs", err);
    float bar = st ? 0 : bar_of(scores, in), top = st ? 0 : largest(in->w, N * N);
    for (int64_t v = 0; !st && v < in->n_points; v++) {
        int32_t t = 0, s = 0;
        if (in->best[v] < 0 || !(in->score[v] > 0) || in->score[v] < bar)
            continue;
        sort_row(from, in->rows + v * N, N);
        sort_row(to, in->candidates + in->best[v] * N, N);
        if (strongest(&t, &s, from, to, in->w, top, N) > 0)
            pairs[(*n)++] = (ch4_token_pair){in->slot, t, s, in->score[v]};
    }
    free(scores);
    free(from);
    free(to);
    return st;
}
