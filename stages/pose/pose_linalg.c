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

/* Householder reflections that make a tridiagonal: diagonal d, subdiagonal e[1..n-1]. Row k of q becomes the k-th basis vector: a_before =
 * q^T tri q. */
static void tridiagonal(double *a, double *q, double *d, double *e, int n)
{
    for (int i = 0; i < n * n; i++)
        q[i] = i / n == i % n;
    for (int k = 0; k + 2 < n; k++) {
        double v[CH4_EIG_MAX] = {0}, p[CH4_EIG_MAX] = {0}, norm = 0, dot = 0;
        for (int i = k + 1; i < n; i++)
            norm += a[i * n + k] * a[i * n + k];
        norm = sqrt(norm);
        double head = a[(k + 1) * n + k], alpha = head > 0 ? -norm : norm, beta = norm * (norm + fabs(head)); /* v.v / 2 */
        if (!(beta > 0))
            continue;
        for (int i = k + 1; i < n; i++)
            v[i] = a[i * n + k] - (i == k + 1 ? alpha : 0);
        for (int i = k; i < n; i++) { /* p = a v / beta */
            for (int j = k + 1; j < n; j++)
                p[i] += a[i * n + j] * v[j];
            p[i] /= beta;
        }
        for (int i = k + 1; i < n; i++)
            dot += p[i] * v[i];
        for (int i = k; i < n; i++)
            p[i] -= dot / (2 * beta) * v[i];
        for (int i = k; i < n; i++)
            for (int j = k; j < n; j++)
                a[i * n + j] -= v[i] * p[j] + p[i] * v[j];
        for (int c = 0; c < n; c++) { /* rows of q take part in the reflection */
            double s = 0;
            for (int i = k + 1; i < n; i++)
                s += v[i] * q[i * n + c];
            s /= beta;
            for (int i = k + 1; i < n; i++)
                q[i * n + c] -= s * v[i];
        }
    }
    for (int i = 0; i < n; i++) {
        d[i] = a[i * n + i];
        e[i] = i > 0 ? a[i * n + i - 1] : 0;
    }
}

/* One implicit QL sweep on rows l..m of a tridiagonal matrix (Wilkinson's shift), the rows of q along with it. */
static void ql_sweep(double *d, double *e, double *q, int n, int l, int m)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l + 1]), r = sqrt(g * g + 1), s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l + 1] / (g + copysign(r, g));
    for (int i = m - 1; i >= l; i--) {
        double f = s * e[i + 1], b = c * e[i + 1];
        r = sqrt(f * f + g * g);
        if (i + 2 < n)
            e[i + 2] = r;
        if (r == 0) { /* split early */
            d[i + 1] -= p;
            if (m + 1 < n)
                e[m + 1] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        for (int k = 0; k < n; k++) {
            double x = q[(i + 1) * n + k], y = q[i * n + k];
            q[(i + 1) * n + k] = s * y + c * x;
            q[i * n + k] = c * y - s * x;
        }
    }
    d[l] -= p;
    e[l + 1] = g;
    if (m + 1 < n)
        e[m + 1] = 0;
}

/* Not LAPACK's dsyev: OpenBLAS hands that to its threads already for n = 9, which takes many times as long as the work itself. */
bool ch4_eig_sym(double *a, double *w, int n)
{
    double q[CH4_EIG_MAX * CH4_EIG_MAX], d[CH4_EIG_MAX], e[CH4_EIG_MAX + 1] = {0};
    if (!all_finite(a, n * n))
        return false;
    tridiagonal(a, q, d, e, n);
    for (int l = 0, sweeps = 0; l < n;) {
        int m = l;
        while (m + 1 < n && fabs(e[m + 1]) > 1e-16 * (fabs(d[m]) + fabs(d[m + 1])))
            m++;
        if (m == l) {
            l++;
            sweeps = 0;
        } else if (sweeps++ < 60) {
            ql_sweep(d, e, q, n, l, m);
        } else {
            return false;
        }
    }
    for (int i = 0; i < n; i++) { /* ascending; among equals the order of the rows */
        int rank = 0;
        for (int j = 0; j < n; j++)
            rank += d[j] < d[i] || (j < i && d[j] == d[i]);
        w[rank] = d[i];
        memcpy(a + (size_t)(rank * n), q + (size_t)(i * n), (size_t)n * sizeof *q);
    }
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
