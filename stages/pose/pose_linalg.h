/* The few dense solvers that PnP needs: LAPACK, but for eigenvectors. Matrices are small and live on the caller's stack; nothing allocates.
 * All return false where the iteration did not converge or an input was not finite. */
#ifndef CH4_POSE_LINALG_H
#define CH4_POSE_LINALG_H

#include <stdbool.h>

enum { CH4_EIG_MAX = 12, CH4_LS_ROWS = 6 };

/* Symmetric a [n,n], n <= CH4_EIG_MAX: eigenvalues w ascending; row k of a becomes the unit eigenvector of w[k]. */
bool ch4_eig_sym(double *a, double *w, int n);

/* R = the rotation that maximises tr(R^T M), for row-major M [3,3]: U diag(1, 1, det U V^T) V^T. */
bool ch4_nearest_rotation(double R[9], const double M[9]);

/* Least-squares solution x [cols] of smallest norm of a x = b, with a [rows,cols] column-major (overwritten) and b [rows];
 * rows and cols at most CH4_LS_ROWS. */
bool ch4_least_squares(double *x, double *a, const double *b, int rows, int cols);

/* Solves the symmetric positive definite system a x = b, a [n,n] row-major, n <= 6, in place (b becomes x). False if a is
 * not positive definite. */
bool ch4_solve_spd(double *a, double *b, int n);

/* Orthonormal basis of the row space and the null space of j [6,9] row-major: q [9,9], rows 0..5 span the row space, rows 6..8
 * its complement; r [6,6] lower triangular (row-major) with j = r * q[0..5]. */
bool ch4_row_space(double *q, double *r, const double *j);

#endif
