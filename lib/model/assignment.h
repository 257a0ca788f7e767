/* Optimal assignment: which column each row gets so that the sum of costs is least (shortest augmenting paths, O(n^3), in double).
 * Used to give every token of a frame the noise that lies nearest to the anchor's token (model.yaml, noise: matched). */
#ifndef CH4_MODEL_ASSIGNMENT_H
#define CH4_MODEL_ASSIGNMENT_H

#include <stdint.h>

#include "base/err.h"

/* column[i] of row i for cost [n,n], row-major, finite. Deterministic: ties go to the smaller column. CH4_EINVAL for a NaN or infinity. */
ch4_status ch4_assign(int64_t *column, const double *cost, int64_t n, ch4_err *err);

/* The noise rows [N,d] reordered so that row t is the one assigned to token t of `tokens` [N,d] under squared distance. out may not be noise. */
ch4_status ch4_assign_noise(float *out, const float *noise, const float *tokens, int64_t N, int64_t d, ch4_err *err);

#endif
