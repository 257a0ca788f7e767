#include "stages/animate/rigid_fit.h"

#include <math.h>
#include <string.h>

static const double RANK0 = 1e-14, RANK1 = 1e-6, RANK2 = 1e-6;

enum { MAX_SWEEPS = 30 }; /* five are typical */

/* Columns of H V = U S while V is built up, as vectors over the lanes. */
typedef struct jacobi {
    ch4_lanes b[3][3], v[3][3]; /* [column][row] */
} jacobi;

static inline ch4_lanes dot3(const ch4_lanes a[3], const ch4_lanes b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline void turn(ch4_lanes x[3], ch4_lanes y[3], ch4_lanes c, ch4_lanes s)
{
    for (int r = 0; r < 3; r++) {
        ch4_lanes t = c * x[r] - s * y[r];
        y[r] = s * x[r] + c * y[r];
        x[r] = t;
    }
}

/* Makes columns p and q orthogonal; answers whether some lane was not yet. */
static inline int rotate(jacobi *j, int p, int q)
{
    const ch4_lanes zero = {0}, one = ch4_lanes_set(1);
    ch4_lanes alpha = dot3(j->b[p], j->b[p]), beta = dot3(j->b[q], j->b[q]), gamma = dot3(j->b[p], j->b[q]);
    ch4_lane_mask open = gamma * gamma > ch4_lanes_set(1e-30) * alpha * beta;
    if (!ch4_lanes_any(open))
        return 0;
    ch4_lanes zeta = (beta - alpha) / (gamma + gamma), size = ch4_lanes_select(zeta < zero, -zeta, zeta);
    ch4_lanes t = one / (size + ch4_lanes_sqrt(one + zeta * zeta));
    t = ch4_lanes_select(zeta < zero, -t, t);
    t = ch4_lanes_select(open, t, zero); /* also where gamma is 0 and zeta no number */
    ch4_lanes c = one / ch4_lanes_sqrt(one + t * t), s = c * t;
    turn(j->b[p], j->b[q], c, s);
    turn(j->v[p], j->v[q], c, s);
    return 1;
}

static void cross(double out[3], const double a[3], const double b[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void identity(double R[9])
{
    memcpy(R, (double[9]){1, 0, 0, 0, 1, 0, 0, 0, 1}, 9 * sizeof *R);
}

/* Half turn about the normal of u that a fixed choice of axis gives: |u_k| <= 0.59 holds for some k, and rounding cannot flip the choice;
 * -u gives the same. */
static void half_turn(double R[9], const double u[3])
{
    double e[3] = {0}, a[3];
    int k = 0;
    while (k < 2 && fabs(u[k]) > 0.59)
        k++;
    e[k] = 1;
    cross(a, u, e);
    double n2 = dot(a, a);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            R[3 * i + j] = 2 * a[i] * a[j] / n2 - (i == j);
}

/* R = I + X + X^2 / (1 + c) with X the cross-product matrix of x = u x v, c = u.v. */
static void smallest_rotation(double R[9], const double u[3], const double v[3])
{
    double c = dot(u, v), x[3];
    if (c < -1 + 1e-12) {
        half_turn(R, u);
        return;
    }
    cross(x, u, v);
    double X[9] = {0, -x[2], x[1], x[2], 0, -x[0], -x[1], x[0], 0};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double xx = 0;
            for (int k = 0; k < 3; k++)
                xx += X[3 * i + k] * X[3 * k + j];
            R[3 * i + j] = (i == j) + X[3 * i + j] + xx / (1 + c);
        }
}

/* v1 u1^T + v2 u2^T + (v1 x v2)(u1 x u2)^T: the third columns up to the sign that the determinant asks for. */
static void rotation_of_axes(double R[9], const double u1[3], const double u2[3], const double v1[3], const double v2[3])
{
    double u3[3], v3[3];
    cross(u3, u1, u2);
    cross(v3, v1, v2);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            R[3 * i + j] = v1[i] * u1[j] + v2[i] * u2[j] + v3[i] * u3[j];
}

static void normalise(double x[3])
{
    double n = sqrt(dot(x, x));
    for (int k = 0; k < 3; k++)
        x[k] /= n;
}

/* Rank rules and rotation of one lane. b and v hold the columns of U S and V. */
static void finish_lane(ch4_rigid_lanes *out, int lane, double b[3][3], double v[3][3], double unit, double scale2)
{
    double s[3];
    int order[3] = {0, 1, 2};
    for (int k = 0; k < 3; k++)
        s[k] = sqrt(dot(b[k], b[k]));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2 - i; k++)
            if (s[order[k]] < s[order[k + 1]]) {
                int t = order[k];
                order[k] = order[k + 1];
                order[k + 1] = t;
            }
    double s1 = s[order[0]], s2 = s[order[1]], s3 = s[order[2]], *R = out->R[lane];
    for (int k = 0; k < 3; k++)
        out->singular[lane][k] = s[order[k]] * unit;
    double w[3];
    cross(w, b[0], b[1]);
    double det_b = dot(w, b[2]);
    cross(w, v[0], v[1]);
    out->det_sign[lane] = det_b * dot(w, v[2]) < 0 ? -1 : 1;
    if (!(s1 * unit > RANK0 * scale2)) {
        out->rank[lane] = 0;
        identity(R);
        return;
    }
    normalise(b[order[0]]);
    normalise(v[order[0]]);
    if (s2 <= RANK1 * s1) {
        out->rank[lane] = 1;
        smallest_rotation(R, b[order[0]], v[order[0]]);
        return;
    }
    out->rank[lane] = s3 <= RANK2 * s1 ? 2 : 3;
    normalise(b[order[1]]);
    normalise(v[order[1]]);
    rotation_of_axes(R, b[order[0]], b[order[1]], v[order[0]], v[order[1]]);
}

void ch4_rigid_rotations(ch4_rigid_lanes *out, const ch4_lanes H[3][3], double scale2)
{
    const ch4_lanes zero = {0}, one = ch4_lanes_set(1);
    jacobi j;
    ch4_lanes unit = zero; /* largest entry: squares must neither overflow nor vanish */
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            ch4_lanes size = ch4_lanes_select(H[r][c] < zero, -H[r][c], H[r][c]);
            unit = ch4_lanes_select(size > unit, size, unit);
        }
    unit = ch4_lanes_select(unit > zero, unit, one);
    for (int c = 0; c < 3; c++)
        for (int r = 0; r < 3; r++) {
            j.b[c][r] = H[r][c] / unit;
            j.v[c][r] = r == c ? one : zero;
        }
    for (int sweep = 0; sweep < MAX_SWEEPS; sweep++)
        if (!(rotate(&j, 0, 1) | rotate(&j, 0, 2) | rotate(&j, 1, 2)))
            break;
    for (int lane = 0; lane < CH4_LANES; lane++) {
        double b[3][3], v[3][3];
        for (int c = 0; c < 3; c++)
            for (int r = 0; r < 3; r++) {
                b[c][r] = j.b[c][r][lane];
                v[c][r] = j.v[c][r][lane];
            }
        finish_lane(out, lane, b, v, unit[lane], scale2);
    }
}

void ch4_rigid_fit(ch4_rigid *out, const double *p, const double *q, const int32_t *index, const double *weight, int64_t n, double scale2)
{
    double total = 0, H[3][3] = {{0}};
    *out = (ch4_rigid){.det_sign = 1};
    identity(out->R);
    for (int64_t i = 0; i < n; i++)
        total += weight[i];
    if (!(total > 0))
        return;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 3 * (index ? (int64_t)index[i] : i);
        for (int k = 0; k < 3; k++) {
            out->mu_p[k] += weight[i] / total * p[at + k];
            out->mu_q[k] += weight[i] / total * q[at + k];
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 3 * (index ? (int64_t)index[i] : i);
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++)
                H[r][c] += weight[i] / total * (p[at + r] - out->mu_p[r]) * (q[at + c] - out->mu_q[c]);
    }
    ch4_lanes lanes[3][3];
    ch4_rigid_lanes all;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
            lanes[r][c] = ch4_lanes_set(H[r][c]);
    ch4_rigid_rotations(&all, (const ch4_lanes(*)[3])lanes, scale2);
    memcpy(out->R, all.R[0], sizeof out->R);
    memcpy(out->singular, all.singular[0], sizeof out->singular);
    out->det_sign = all.det_sign[0];
    out->rank = all.rank[0];
}
