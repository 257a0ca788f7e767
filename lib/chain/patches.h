/* Matches between image patches, and between patches and vertices: paper Eq. 6 and 7. P = g*g patches of a square image,
 * row-major from the top-left one; N tokens, V vertices. b_t arrays are [P,N]: the token-to-patch attention, transposed. */
#ifndef CH4_CHAIN_PATCHES_H
#define CH4_CHAIN_PATCHES_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/nn.h"

/* b_t[p,t] = b[t,p]; normalize: each patch divided by its sum over tokens, a distribution (the paper's A(P->Z) does not exist in
 * the model, whose rows are tokens). b [N,P] >= 0. A patch without mass stays zero. */
void ch4_patch_rows(float *b_t, const float *b, int64_t n_tokens, int64_t n_patches, bool normalize);

/* Eq. 6: score[p,q] = sum_{t,s} anchor[p,t] w[s,t] frame[q,s]; w [N,N] from ch4_map_prepare. scratch [P,N], score [P,P]. */
ch4_status ch4_patch_score(ch4_nn *nn, float *score, float *scratch, const float *anchor, const float *frame, const float *w,
                           int64_t n_patches, int64_t n_tokens, ch4_err *err);

/* Eq. 7: score[p,v] = sum_t anchor[p,t] rows[v,t]; rows [V,N] = A(Va->Za). score [P,V]. */
ch4_status ch4_patch_vertex_score(ch4_nn *nn, float *score, const float *anchor, const float *rows, int64_t n_patches,
                                  int64_t n_vertices, int64_t n_tokens, ch4_err *err);

/* Index of the largest of n values that lie `stride` apart, lower index on ties; *gap (may be NULL) = largest minus second largest, 0 if n is 1. */
int64_t ch4_patch_argmax(const float *score, int64_t n, int64_t stride, float *gap);

/* Position below patch resolution: mean of the centres of the patches at most `radius` rows and columns from `best`, weighted by
 * softmax(score / (temperature * score[best])). xy in pixels, origin at the outer corner of the top-left pixel; patch_px = side of a
 * patch. score [P] of one row of Eq. 6, temperature > 0. score[best] <= 0: the centre of `best`. */
void ch4_patch_soft_argmax(float xy[2], const float *score, int64_t grid, int64_t best, int64_t radius, double temperature,
                           double patch_px);

#endif
