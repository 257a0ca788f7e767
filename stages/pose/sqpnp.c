/* SQPnP: a quadratic in the nine entries of R, minimised over rotations by sequential quadratic programming from a few starts. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "stages/pose/pnp_minimal.h"
#include "stages/pose/pose_linalg.h"

typedef struct problem {
    double omega[81]; /* cost = r^T omega r, r = rows of R */
    double P[27];     /* t = P r, for points relative to the centroid */
    double centre[3];
} problem;

static bool invert3(double out[9], const double a[9])
{
    double c[9] = {a[4] * a[8] - a[5] * a[7], a[2] * a[7] - a[1] * a[8], a[1] * a[5] - a[2] * a[4],
                   a[5] * a[6] - a[3] * a[8], a[0] * a[8] - a[2] * a[6], a[2] * a[3] - a[0] * a[5],
                   a[3] * a[7] - a[4] * a[6], a[1] * a[6] - a[0] * a[7], a[0] * a[4] - a[1] * a[3]};
    double det = a[0] * c[0] + a[1] * c[3] + a[2] * c[6];
    if (!(fabs(det) > 0) || !isfinite(det))
        return false;
    for (int i = 0; i < 9; i++)
        out[i] = c[i] / det;
    return true;
}

static bool build(problem *pr, const ch4_pairs *p, ch4_intrinsics k)
{
    double sq[9] = {0}, sqa[27] = {0}, inv[9];
    memset(pr, 0, sizeof *pr);
    for (int64_t i = 0; i < p->n; i++)
        for (int c = 0; c < 3; c++)
            pr->centre[c] += p->object[3 * i + c] / (double)p->n;
    for (int64_t i = 0; i < p->n; i++) {
        double X[3], x = (p->image[2 * i] - k.cx) / k.fx, y = (p->image[2 * i + 1] - k.cy) / k.fy;
        double Q[9] = {1, 0, -x, 0, 1, -y, -x, -y, x * x + y * y};
        for (int c = 0; c < 3; c++)
            X[c] = p->object[3 * i + c] - pr->centre[c];
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++) {
                sq[3 * a + b] += Q[3 * a + b];
                for (int s = 0; s < 3; s++) {
                    sqa[9 * a + 3 * b + s] += Q[3 * a + b] * X[s];
                    for (int r = 0; r < 3; r++)
                        pr->omega[9 * (3 * a + r) + 3 * b + s] += Q[3 * a + b] * X[r] * X[s];
                }
            }
    }
    if (!invert3(inv, sq))
        return false;
    for (int a = 0; a < 3; a++)
        for (int j = 0; j < 9; j++)
            for (int b = 0; b < 3; b++)
                pr->P[9 * a + j] -= inv[3 * a + b] * sqa[9 * b + j];
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 9; j++)
            for (int a = 0; a < 3; a++)
                pr->omega[9 * i + j] += sqa[9 * a + i] * pr->P[9 * a + j];
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < i; j++)
            pr->omega[9 * i + j] = pr->omega[9 * j + i] = 0.5 * (pr->omega[9 * i + j] + pr->omega[9 * j + i]);
    return true;
}

static double cost_of(const problem *pr, const double r[9])
{
    double c = 0;
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 9; j++)
            c += r[i] * pr->omega[9 * i + j] * r[j];
    return c;
}

/* The six orthonormality constraints h(r) = 0 and their Jacobian [6,9]. */
static void constraints(double h[6], double J[54], const double r[9])
{
    static const int pair[6][2] = {{0, 0}, {1, 1}, {2, 2}, {0, 1}, {0, 2}, {1, 2}};
    memset(J, 0, 54 * sizeof *J);
    for (int q = 0; q < 6; q++) {
        int a = pair[q][0], b = pair[q][1];
        h[q] = a == b ? -1 : 0;
        for (int c = 0; c < 3; c++) {
            h[q] += r[3 * a + c] * r[3 * b + c];
            J[9 * q + 3 * a + c] += r[3 * b + c];
            J[9 * q + 3 * b + c] += r[3 * a + c];
        }
    }
}

/* One step: the shortest move onto the linearised constraints plus the best move inside their null space. */
static bool sqp_step(double delta[9], const problem *pr, const double r[9])
{
    double h[6], J[54], q[81], low[36], y[6], a[9] = {0}, g[3] = {0}, base[9];
    constraints(h, J, r);
    if (!ch4_row_space(q, low, J))
        return false;
    for (int i = 0; i < 6; i++) { /* low y = -h */
        y[i] = -h[i];
        for (int j = 0; j < i; j++)
            y[i] -= low[6 * i + j] * y[j];
        if (!(fabs(low[7 * i]) > 1e-12))
            return false;
        y[i] /= low[7 * i];
    }
    memset(delta, 0, 9 * sizeof *delta);
    for (int i = 0; i < 6; i++)
        for (int c = 0; c < 9; c++)
            delta[c] += y[i] * q[9 * i + c];
    for (int c = 0; c < 9; c++)
        base[c] = r[c] + delta[c];
    for (int i = 0; i < 3; i++) {
        double on[9] = {0};
        for (int c = 0; c < 9; c++)
            for (int d = 0; d < 9; d++)
                on[c] += pr->omega[9 * c + d] * q[9 * (6 + i) + d];
        for (int c = 0; c < 9; c++) {
            g[i] -= on[c] * base[c];
            for (int j = 0; j < 3; j++)
                a[3 * i + j] += on[c] * q[9 * (6 + j) + c];
        }
    }
    if (!ch4_solve_spd(a, g, 3)) /* the cost is flat here: only the constraints are met */
        return true;
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < 9; c++)
            delta[c] += g[i] * q[9 * (6 + i) + c];
    return true;
}

static bool descend(double r[9], const problem *pr)
{
    for (int step = 0; step < 15; step++) {
        double delta[9], len = 0;
        if (!sqp_step(delta, pr, r))
            return false;
        for (int c = 0; c < 9; c++) {
            r[c] += delta[c];
            len += delta[c] * delta[c];
        }
        if (len < 1e-20)
            break;
    }
    double raw[9];
    memcpy(raw, r, sizeof raw);
    return ch4_nearest_rotation(r, raw);
}

/* Runs one start and keeps it if it is cheaper than the best and puts the centroid in front of the camera. */
static void try_start(double best[9], double *best_cost, const problem *pr, const double start[9])
{
    double r[9], raw[9], z = 0;
    memcpy(raw, start, sizeof raw);
    if (!ch4_nearest_rotation(r, raw) || !descend(r, pr))
        return;
    for (int j = 0; j < 9; j++)
        z += pr->P[18 + j] * r[j]; /* depth of the centroid: the third row of t */
    double c = cost_of(pr, r);
    if (!(z > 0) || !(c < *best_cost))
        return;
    *best_cost = c;
    memcpy(best, r, 9 * sizeof *best);
}

bool ch4_sqpnp(ch4_rigid *out, double *cost, const ch4_pairs *p, ch4_intrinsics k)
{
    problem pr;
    double vec[81], s[9], best_cost = DBL_MAX;
    if (p->n < 3 || !build(&pr, p, k))
        return false;
    memcpy(vec, pr.omega, sizeof vec);
    if (!ch4_eig_sym(vec, s, 9))
        return false;
    for (int e = 0; e < 9; e++) {
        bool null_space = e == 0 || s[e] <= 1e-7 * s[8];
        if (!null_space && best_cost <= 3 * s[e]) /* nothing led by this eigenvector can cost less */
            break;
        for (int sign = -1; sign <= 1; sign += 2) {
            double start[9];
            for (int c = 0; c < 9; c++)
                start[c] = sign * vec[9 * e + c];
            try_start(out->R, &best_cost, &pr, start);
        }
    }
    if (best_cost == DBL_MAX)
        return false;
    for (int i = 0; i < 3; i++) {
        out->t[i] = 0;
        for (int j = 0; j < 9; j++)
            out->t[i] += pr.P[9 * i + j] * out->R[j];
        for (int j = 0; j < 3; j++)
            out->t[i] -= out->R[3 * i + j] * pr.centre[j];
    }
    if (cost)
        *cost = fmax(best_cost, 0);
    return ch4_rigid_valid(out);
}
