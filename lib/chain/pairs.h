/* Which pair of tokens a match between two points goes through most, and which matches are reliable: what reinforcement (paper Eq. 5) acts on. */
#ifndef CH4_CHAIN_PAIRS_H
#define CH4_CHAIN_PAIRS_H

#include "model/reinforce.h"

typedef struct ch4_pairs_in {
    const float *rows;       /* [K,N] A(Va->Za) of the anchor points */
    const float *w;          /* [N,N] of ch4_map_prepare: w[s,t] from anchor token t to token s of the frame */
    const float *candidates; /* [U,N], prepared as for Eq. 3 */
    const int32_t *best;     /* [K] the candidate that each point was matched with; negative: none */
    const float *score;      /* [K] confidence of the match */
    int64_t n_points, n_tokens;
    int32_t slot;            /* of the frame */
    double share;            /* in (0,1]: this share of the points, those of the highest score, counts as reliable */
} ch4_pairs_in;

/* For each reliable match v -> u the pair (t, s) with the largest rows[v,t] w[s,t] candidates[u,s]; ties: the lower t, then the lower s. Appends at most
 * n_points pairs to `pairs` and counts them in *n; a match with score or product 0 gives none. The search leaves out what cannot be the largest,
 * so that it is exact but far cheaper than N^2. CH4_ENOMEM. */
ch4_status ch4_pairs_find(ch4_token_pair *pairs, int64_t *n, const ch4_pairs_in *in, ch4_err *err);

#endif
