#include "stages/pose/pose_linalg.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

static bool all_finite(const double *x, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* One Jacobi rotation that zeroes a[p,q]; v's rows collect the eigenvectors. */
static void jacobi_rotate(double *a, double *v, int n, int p, int q)
{
    double tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
    double t = copysign(1, tau) / (fabs(tau) + sqrt(1 + tau * tau)), c = 1 / sqrt(1 + t * t), s = t * c;
    for (int k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k], vx = v[p * n + k], vy = v[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
        v[p * n + k] = c * vx - s * vy;
        v[q * n + k] = s * vx + c * vy;
    }
    for (int k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    a[p * n + q] = a[q * n + p] = 0;
}

/* Cyclic Jacobi and not LAPACK's dsyev: OpenBLAS hands that to its threads already for n = 9, which takes ten times as long as the
 * work, and small eigenvalues come out more exactly. */
bool ch4_eig_sym(double *a, double *w, int n)
{
    double v[CH4_EIG_MAX * CH4_EIG_MAX] = {0}, scale = 0;
    if (!all_finite(a, n * n))
        return false;
    for (int i = 0; i < n; i++)
        v[i * n + i] = 1;
    for (int i = 0; i < n * n; i++)
        scale = fmax(scale, fabs(a[i]));
    bool changed = scale > 0;
    for (int sweep = 0; changed && sweep < 30; sweep++) {
        changed = false;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                double small = 1e-17 * sqrt(fabs(a[p * n + p])) * sqrt(fabs(a[q * n + q]));
                if (fabs(a[p * n + q]) <= fmax(small, 1e-20 * scale))
                    continue;
                jacobi_rotate(a, v, n, p, q);
                changed = true;
            }
    }
    if (changed)
        return false;
    double sorted[CH4_EIG_MAX * CH4_EIG_MAX];
    for (int i = 0; i < n; i++) { /* ascending; among equals the order of the rows */
        int rank = 0;
        for (int j = 0; j < n; j++)
            rank += a[j * n + j] < a[i * n + i] || (a[j * n + j] == a[i * n + i] && j < i);
        w[rank] = a[i * n + i];
        memcpy(sorted + (size_t)(rank * n), v + (size_t)(i * n), (size_t)n * sizeof *v);
    }
    memcpy(a, sorted, (size_t)(n * n) * sizeof *a);
    return true;
}

bool ch4_nearest_rotation(double R[9], const double M[9])
{
    /* LAPACK reads row-major M as its transpose: M^T = U' S V'^T, so M = V' S U'^T; u and vt below are those of M^T. */
    double a[9], s[3], u[9], vt[9], work[64];
    if (!all_finite(M, 9))
        return false;
    memcpy(a, M, sizeof a);
    if (LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, 'A', 'A', 3, 3, a, 3, s, u, 3, vt, 3, work, 64) != 0)
        return false;
    /* in row-major terms: vt (column-major) holds V' row-major, u holds U'^T row-major */
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                R[3 * i + j] = vt[3 * i] * u[j] + vt[3 * i + 1] * u[3 + j] + vt[3 * i + 2] * u[6 + j];
        double det = R[0] * (R[4] * R[8] - R[5] * R[7]) - R[1] * (R[3] * R[8] - R[5] * R[6]) + R[2] * (R[3] * R[7] - R[4] * R[6]);
        if (det > 0)
            break;
        for (int j = 0; j < 3; j++) /* turn the direction of the smallest singular value */
            u[6 + j] = -u[6 + j];
    }
    return true;
}

bool ch4_least_squares(double *x, double *a, const double *b, int rows, int cols)
{
    double s[CH4_LS_ROWS], rhs[CH4_LS_ROWS] = {0}, work[128];
    lapack_int rank = 0;
    if (!all_finite(a, rows * cols) || !all_finite(b, rows))
        return false;
    memcpy(rhs, b, (size_t)rows * sizeof *b);
    if (LAPACKE_dgelss_work(LAPACK_COL_MAJOR, rows, cols, 1, a, rows, rhs, CH4_LS_ROWS, s, 1e-13, &rank, work, 128) != 0)
        return false;
    memcpy(x, rhs, (size_t)cols * sizeof *x);
    return true;
}

bool ch4_solve_spd(double *a, double *b, int n)
{
    for (int j = 0; j < n; j++) {
        for (int i = j; i < n; i++) {
            double s = a[i * n + j];
            for (int k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            if (i == j) {
                if (!(s > 0) || !isfinite(s))
                    return false;
                a[j * n + j] = sqrt(s);
            } else {
                a[i * n + j] = s / a[j * n + j];
            }
        }
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i * n + k] * b[k];
        b[i] /= a[i * n + i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            b[i] -= a[k * n + i] * b[k];
        b[i] /= a[i * n + i];
    }
    return true;
}

bool ch4_row_space(double *q, double *r, const double *j)
{
    double a[81] = {0}, tau[6], work[9 * 32];
    if (!all_finite(j, 54))
        return false;
    memcpy(a, j, 54 * sizeof *a); /* rows of j are columns of j^T in LAPACK's order: a is j^T [9,6] */
    if (LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, 9, 6, a, 9, tau, work, 9 * 32) != 0)
        return false;
    for (int row = 0; row < 6; row++)
        for (int col = 0; col < 6; col++)
            r[6 * row + col] = col <= row ? a[9 * row + col] : 0; /* R^T of j^T = Q R */
    if (LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, 9, 9, 6, a, 9, tau, work, 9 * 32) != 0)
        return false;
    memcpy(q, a, sizeof a); /* column k of Q is row k of q */
    return true;
}
