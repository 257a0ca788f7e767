/* The similarity x' = s R x + t that takes points p to q with the least squared error (Umeyama, "Least-squares estimation of transformation
 * parameters between two point patterns"). */
#ifndef CH4_EVAL_SIMILARITY_H
#define CH4_EVAL_SIMILARITY_H

#include "base/base.h"

typedef struct ch4_similarity {
    double scale, R[9], t[3];
    bool reflected; /* without the rule det R = +1 a reflection would have fitted better */
} ch4_similarity;

/* p, q f64[n,3], n >= 1. with_scale false: scale 1. compat: the scale of a reflected fit is formed from the sum of all three singular values, as some public
 * code has it, instead of s1 + s2 - s3. Points that all coincide give scale 1. */
void ch4_similarity_fit(ch4_similarity *out, const double *p, const double *q, int64_t n, bool with_scale, bool compat);

void ch4_similarity_apply(double *out, const ch4_similarity *s, const double *x, int64_t n);

#endif
