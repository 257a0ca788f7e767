/* The rigid motion that takes weighted points p to q best (orthogonal Procrustes; paper App. D), with rules for what too few points leave
 * open. Plain functions, no state.
 *
 * H = sum w (p - mu_p)(q - mu_q)^T = U S V^T with weights of sum 1. R = V diag(1,1,det U det V) U^T, x -> R (x - mu_p) + mu_q.
 * The rank class is tested in this order (ours; the paper has no rule):
 *   0  s1 <= 1e-14 scale2    a point, or a collapsed target: R = identity
 *   1  s2 <= 1e-6 s1         points on a line: the smallest rotation that takes the first column of U to that of V
 *   2  s3 <= 1e-6 s1         points in a plane: the formula, which is still unique
 *   3  else                  the formula
 * The singular values come from one-sided Jacobi rotations of H itself: H^T H would lose half the digits that these tests need. */
#ifndef CH4_ANIMATE_RIGID_FIT_H
#define CH4_ANIMATE_RIGID_FIT_H

#include <stdint.h>

#include "base/lanes.h"

typedef struct ch4_rigid {
    double R[9];        /* row-major, determinant +1 */
    double mu_p[3], mu_q[3];
    double singular[3]; /* descending */
    int det_sign;       /* of det U det V; without meaning below rank 3 */
    int rank;           /* class of the table above */
} ch4_rigid;

/* Of n pairs: pair i is row index[i] of p and q f64[.,3] (index NULL: row i) with weight[i] >= 0, at any scale. scale2: squared size of
 * the object (box diagonal). Means are subtracted before products are formed. Without pairs or weight: identity, zero means. */
void ch4_rigid_fit(ch4_rigid *out, const double *p, const double *q, const int32_t *index, const double *weight, int64_t n, double scale2);

/* R, singular values, det_sign and rank of four matrices H[row][column] at once; what ch4_rigid_fit does in each lane. */
typedef struct ch4_rigid_lanes {
    double R[CH4_LANES][9];
    double singular[CH4_LANES][3];
    int det_sign[CH4_LANES], rank[CH4_LANES];
} ch4_rigid_lanes;

void ch4_rigid_rotations(ch4_rigid_lanes *out, const ch4_lanes H[3][3], double scale2);

#endif
