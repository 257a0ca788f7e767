/* The chain from anchor points to points of a frame: paper Eq. 2, 3 and 4. Plain functions over row-major float arrays of the
 * caller. V anchor points, U candidate points of frame f, N tokens, k blended candidates. */
#ifndef CH4_CHAIN_MATCH_H
#define CH4_CHAIN_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/nn.h"

/* Eq. 2: out[v,s] = sum_t rows[v,t] w[s,t]. rows [V,N] = A(Va->Za), w [N,N] from ch4_map_prepare, out [V,N]. */
ch4_status ch4_match_transport(ch4_nn *nn, float *out, const float *rows, const float *w, int64_t n_points, int64_t n_tokens,
                               ch4_err *err);

/* Eq. 3: score[v,u] = sum_s transport[v,s] candidates[u,s]. candidates [U,N] = A(Vf->Zf), score [V,U]. */
ch4_status ch4_match_score(ch4_nn *nn, float *score, const float *transport, const float *candidates, int64_t n_points,
                           int64_t n_candidates, int64_t n_tokens, ch4_err *err);

/* What Eq. 3 compares with: candidate rows as they are, of unit Euclidean length (the plain product favours peaked rows), or with every
 * column divided by its sum over the candidates (a transition from tokens to points). In place, [U,N]; zero rows and columns stay. */
typedef enum ch4_match_rows { CH4_MATCH_PLAIN, CH4_MATCH_UNIT, CH4_MATCH_COLUMN } ch4_match_rows;
void ch4_match_prepare_rows(float *candidates, int64_t n_candidates, int64_t n_tokens, ch4_match_rows how);

/* The k best of one row of U scores, best first; ties: lower index. 1 <= k <= U. scratch [U] int32. */
void ch4_match_top(int32_t *index, float *best, int32_t *scratch, const float *score, int64_t n_candidates, int64_t k);

typedef struct ch4_blend {
    bool relative;      /* temperature is a share of the best score; else in units of the score */
    double temperature; /* > 0 */
} ch4_blend;

/* Eq. 4: weights[i] = softmax over the k best of score / temperature, point = sum_i weights[i] points[index[i]]. best descending.
 * weights [k] may be NULL. Relative and best[0] <= 0: nothing matches, point is NaN and weights are 0. */
void ch4_match_blend(float point[3], float *weights, const int32_t *index, const float *best, const float *points, int64_t k,
                     const ch4_blend *blend);

typedef struct ch4_match_in {
    const float *transport;  /* [V,N] */
    const float *candidates; /* [U,N], prepared */
    const float *points;     /* [U,3] */
    int64_t n_points, n_candidates, n_tokens, k; /* k is reduced to U where there are fewer candidates */
    ch4_blend blend;
    int32_t *matched;        /* [V] out: the candidate of the best score, -1 where there is none; may be NULL */
} ch4_match_in;

/* Eq. 3 and 4 for all points, in blocks so that no V x U matrix is held: path [V,3], score [V] = best score of Eq. 3 (the
 * confidence). Same bytes for any number of threads. U = 0: path NaN, score 0. CH4_ENOMEM and errors of the op table. */
ch4_status ch4_match_points(ch4_nn *nn, ch4_pool *pool, float *path, float *score, const ch4_match_in *in, ch4_err *err);

#endif
