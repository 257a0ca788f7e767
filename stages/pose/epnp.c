/* EPnP: camera-space coordinates of a few control points from the null space of a small matrix. */
#include <math.h>
#include <string.h>

#include "stages/pose/pnp_minimal.h"
#include "stages/pose/pose_linalg.h"

enum { MAX_PAIRS = 6, MAX_BETA = 4 };

/* Control point 0 is the centroid, point j the centroid + scale[j-1] * axis[j-1]; m = 3, or 2 when the points lie in a plane. */
typedef struct control {
    int m;
    double centre[3], axis[3][3], scale[3];
} control;

typedef struct distances {
    int n_pair, n_beta;
    double v[MAX_BETA][12];                    /* null vectors: camera-space control points of each */
    double prod[MAX_PAIRS][MAX_BETA][MAX_BETA]; /* dot products of differences of null vectors over a pair of control points */
    double ref[MAX_PAIRS];                     /* squared distance of the pair in object space */
} distances;

static bool principal_axes(control *c, double lambda[3], const ch4_pairs *p)
{
    double s[9] = {0}, w[3];
    memset(c->centre, 0, sizeof c->centre);
    for (int64_t i = 0; i < p->n; i++)
        for (int k = 0; k < 3; k++)
            c->centre[k] += p->object[3 * i + k] / (double)p->n;
    for (int64_t i = 0; i < p->n; i++)
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                s[3 * a + b] += (p->object[3 * i + a] - c->centre[a]) * (p->object[3 * i + b] - c->centre[b]);
    if (!ch4_eig_sym(s, w, 3))
        return false;
    for (int k = 0; k < 3; k++) { /* largest first */
        lambda[k] = w[2 - k];
        c->scale[k] = sqrt(fmax(w[2 - k], 0) / (double)p->n);
        memcpy(c->axis[k], s + 3 * (2 - k), sizeof c->axis[k]);
    }
    return true;
}

static void barycentric(double alpha[4], const control *c, const double x[3])
{
    alpha[0] = 1;
    for (int k = 0; k < c->m; k++) {
        const double *e = c->axis[k];
        alpha[k + 1] = (e[0] * (x[0] - c->centre[0]) + e[1] * (x[1] - c->centre[1]) + e[2] * (x[2] - c->centre[2])) / c->scale[k];
        alpha[0] -= alpha[k + 1];
    }
}

/* M^T M [3(m+1), 3(m+1)], M = the two projection equations of every pair in the unknown control points. */
static void normal_matrix(double *mtm, const control *c, const ch4_pairs *p, ch4_intrinsics k)
{
    double sum[4][4][4] = {0}; /* sums of alpha_i alpha_j times 1, x, y, x^2 + y^2 */
    for (int64_t i = 0; i < p->n; i++) {
        double a[4], x = (p->image[2 * i] - k.cx) / k.fx, y = (p->image[2 * i + 1] - k.cy) / k.fy;
        double f[4] = {1, x, y, x * x + y * y};
        barycentric(a, c, p->object + 3 * i);
        for (int r = 0; r <= c->m; r++)
            for (int s = 0; s <= r; s++)
                for (int q = 0; q < 4; q++)
                    sum[r][s][q] += a[r] * a[s] * f[q];
    }
    int d = 3 * (c->m + 1);
    for (int r = 0; r <= c->m; r++) {
        for (int s = 0; s <= c->m; s++) {
            const double *f = s <= r ? sum[r][s] : sum[s][r];
            double block[9] = {f[0], 0, -f[1], 0, f[0], -f[2], -f[1], -f[2], f[3]};
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++)
                    mtm[(3 * r + i) * d + 3 * s + j] = block[3 * i + j];
        }
    }
}

static void fill_distances(distances *d, const control *c, const double *eigvec)
{
    int dim = 3 * (c->m + 1);
    d->n_beta = c->m == 3 ? 4 : 3;
    for (int k = 0; k < d->n_beta; k++)
        memcpy(d->v[k], eigvec + k * dim, (size_t)dim * sizeof(double));
    d->n_pair = 0;
    for (int i = 0; i <= c->m; i++) {
        for (int j = i + 1; j <= c->m; j++) {
            int q = d->n_pair++;
            double si = i ? c->scale[i - 1] : 0, sj = c->scale[j - 1];
            d->ref[q] = si * si + sj * sj; /* the axes are orthogonal */
            for (int a = 0; a < d->n_beta; a++)
                for (int b = 0; b < d->n_beta; b++) {
                    double dot = 0;
                    for (int x = 0; x < 3; x++)
                        dot += (d->v[a][3 * i + x] - d->v[a][3 * j + x]) * (d->v[b][3 * i + x] - d->v[b][3 * j + x]);
                    d->prod[q][a][b] = dot;
                }
        }
    }
}

/* One null vector: beta = sum |dv| |dc| / sum |dv|^2. */
static bool start_one(double beta[MAX_BETA], const distances *d, int k)
{
    double num = 0, den = 0;
    for (int q = 0; q < d->n_pair; q++) {
        num += sqrt(fmax(d->prod[q][k][k], 0) * d->ref[q]);
        den += d->prod[q][k][k];
    }
    memset(beta, 0, MAX_BETA * sizeof *beta);
    beta[k] = den > 0 ? num / den : 0;
    return den > 0;
}

/* Products of betas as unknowns of a linear system; list names them as pairs (a,b). */
static bool solve_products(double *x, const distances *d, const int (*list)[2], int n)
{
    double a[MAX_PAIRS * MAX_PAIRS];
    for (int c = 0; c < n; c++)
        for (int q = 0; q < d->n_pair; q++)
            a[c * d->n_pair + q] = d->prod[q][list[c][0]][list[c][1]] * (list[c][0] == list[c][1] ? 1 : 2);
    return ch4_least_squares(x, a, d->ref, d->n_pair, n);
}

/* beta_0^2, beta_0 beta_1, beta_1^2 */
static bool start_two(double beta[MAX_BETA], const distances *d)
{
    static const int list[3][2] = {{0, 0}, {0, 1}, {1, 1}};
    double x[3];
    if (!solve_products(x, d, list, 3))
        return false;
    memset(beta, 0, MAX_BETA * sizeof *beta);
    beta[0] = sqrt(fabs(x[0]));
    beta[1] = x[1] * x[0] < 0 ? -sqrt(fabs(x[2])) : sqrt(fabs(x[2]));
    return true;
}

/* All six products of three betas; beta_2 follows from the product with beta_0. */
static bool start_three(double beta[MAX_BETA], const distances *d)
{
    static const int list[6][2] = {{0, 0}, {0, 1}, {1, 1}, {0, 2}, {1, 2}, {2, 2}};
    double x[6];
    if (!solve_products(x, d, list, 6))
        return false;
    memset(beta, 0, MAX_BETA * sizeof *beta);
    beta[0] = sqrt(fabs(x[0]));
    beta[1] = x[1] * x[0] < 0 ? -sqrt(fabs(x[2])) : sqrt(fabs(x[2]));
    beta[2] = beta[0] > 0 ? (x[0] < 0 ? -x[3] : x[3]) / beta[0] : 0;
    return true;
}

/* Four betas from the products with beta_0 alone: the ten products have only six equations. */
static bool start_four(double beta[MAX_BETA], const distances *d)
{
    static const int list[4][2] = {{0, 0}, {0, 1}, {0, 2}, {0, 3}};
    double x[4];
    if (!solve_products(x, d, list, d->n_beta))
        return false;
    memset(beta, 0, MAX_BETA * sizeof *beta);
    beta[0] = sqrt(fabs(x[0]));
    if (!(beta[0] > 0))
        return false;
    for (int k = 1; k < d->n_beta; k++)
        beta[k] = (x[0] < 0 ? -x[k] : x[k]) / beta[0];
    return true;
}

static double distance_residuals(double *r, const distances *d, const double *beta)
{
    double cost = 0;
    for (int q = 0; q < d->n_pair; q++) {
        r[q] = -d->ref[q];
        for (int a = 0; a < d->n_beta; a++)
            for (int b = 0; b < d->n_beta; b++)
                r[q] += beta[a] * beta[b] * d->prod[q][a][b];
        cost += r[q] * r[q];
    }
    return cost;
}

/* Damped Gauss-Newton on the distance residuals. */
static void refine_betas(double beta[MAX_BETA], const distances *d)
{
    double r[MAX_PAIRS], cost = distance_residuals(r, d, beta), lambda = 1e-6;
    int n = d->n_beta;
    for (int step = 0; step < 12; step++) {
        double a[MAX_BETA * MAX_BETA] = {0}, g[MAX_BETA] = {0}, trace = 0, next[MAX_BETA] = {0}, rn[MAX_PAIRS];
        for (int q = 0; q < d->n_pair; q++) {
            double j[MAX_BETA] = {0};
            for (int x = 0; x < n; x++)
                for (int y = 0; y < n; y++)
                    j[x] += 2 * beta[y] * d->prod[q][x][y];
            for (int x = 0; x < n; x++) {
                g[x] -= j[x] * r[q];
                for (int y = 0; y < n; y++)
                    a[x * n + y] += j[x] * j[y];
            }
        }
        for (int x = 0; x < n; x++)
            trace += a[x * n + x];
        for (int x = 0; x < n; x++)
            a[x * n + x] += lambda * trace / n;
        if (!ch4_solve_spd(a, g, n))
            return;
        for (int x = 0; x < n; x++)
            next[x] = beta[x] + g[x];
        double c = distance_residuals(rn, d, next);
        if (c < cost) {
            bool converged = cost - c <= 1e-12 * cost;
            memcpy(beta, next, sizeof next);
            memcpy(r, rn, sizeof rn);
            cost = c;
            lambda = fmax(lambda / 10, 1e-14);
            if (converged)
                return;
        } else {
            lambda *= 100;
            if (lambda > 1e4)
                return;
        }
    }
}

/* Camera-space control points from the betas, depths made positive, and the rotation between the two sets. Because the axes are
 * principal, sum over points of q x^T is n * sum over axes of (c_k - c_0) scale_k axis_k^T. */
static bool pose_from_betas(ch4_rigid *out, const distances *d, const control *c, const double *beta)
{
    double cam[12] = {0}, M[9] = {0};
    for (int k = 0; k < d->n_beta; k++)
        for (int x = 0; x < 3 * (c->m + 1); x++)
            cam[x] += beta[k] * d->v[k][x];
    if (cam[2] < 0) /* control point 0 is the centroid: its depth is the mean depth */
        for (int x = 0; x < 12; x++)
            cam[x] = -cam[x];
    for (int k = 0; k < c->m; k++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                M[3 * i + j] += (cam[3 * (k + 1) + i] - cam[i]) * c->scale[k] * c->axis[k][j];
    if (!ch4_nearest_rotation(out->R, M))
        return false;
    for (int i = 0; i < 3; i++)
        out->t[i] = cam[i] - (out->R[3 * i] * c->centre[0] + out->R[3 * i + 1] * c->centre[1] + out->R[3 * i + 2] * c->centre[2]);
    return ch4_rigid_valid(out);
}

static void keep_better(ch4_rigid *best, bool *have, const ch4_rigid *pose, const ch4_pairs *p, ch4_intrinsics k)
{
    if (!*have || ch4_pairs_better(p, k, pose, best))
        *best = *pose;
    *have = true;
}

static void solve_with(ch4_rigid *best, bool *have, const control *c, const ch4_pairs *p, ch4_intrinsics k)
{
    double mtm[CH4_EIG_MAX * CH4_EIG_MAX], w[CH4_EIG_MAX], beta[MAX_BETA];
    distances d;
    ch4_rigid pose;
    normal_matrix(mtm, c, p, k);
    if (!ch4_eig_sym(mtm, w, 3 * (c->m + 1)))
        return;
    fill_distances(&d, c, mtm);
    for (int start = 0; start < 4; start++) {
        bool ok = start == 0   ? start_one(beta, &d, 0)
                  : start == 1 ? start_two(beta, &d)
                  : start == 2 ? c->m == 3 && start_three(beta, &d)
                               : start_four(beta, &d);
        if (!ok)
            continue;
        refine_betas(beta, &d);
        if (pose_from_betas(&pose, &d, c, beta))
            keep_better(best, have, &pose, p, k);
    }
}

bool ch4_epnp(ch4_rigid *out, const ch4_pairs *p, ch4_intrinsics k)
{
    control c;
    double lambda[3];
    bool have = false;
    if (p->n < 4 || !principal_axes(&c, lambda, p) || !(lambda[1] > 0))
        return false;
    bool thin = lambda[2] < 1e-3 * lambda[0];
    if (lambda[2] > 1e-6 * lambda[0]) {
        c.m = 3;
        solve_with(out, &have, &c, p, k);
    }
    if (thin) {
        c.m = 2;
        solve_with(out, &have, &c, p, k);
    }
    /* The distances of nearly coplanar control points say little about the tilt: a few steps on the pixels themselves. Not for samples
     * of five: there the vote decides, and it would not pay. */
    if (have && thin && p->n > 5)
        ch4_pnp_refine(out, p, k, &(ch4_lm_options){.max_steps = 3});
    return have;
}
