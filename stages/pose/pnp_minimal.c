#include "stages/pose/pnp_minimal.h"

#include <math.h>
#include <string.h>

#include "stages/pose/pose_linalg.h"

double ch4_pairs_error(const ch4_pairs *p, ch4_intrinsics k, const ch4_rigid *pose, int64_t *behind)
{
    double sum = 0;
    int64_t front = 0;
    for (int64_t i = 0; i < p->n; i++) {
        double y[3], uv[2];
        ch4_rigid_apply(y, pose, p->object + 3 * i);
        if (!ch4_project(uv, k, y))
            continue;
        double dx = uv[0] - p->image[2 * i], dy = uv[1] - p->image[2 * i + 1];
        sum += dx * dx + dy * dy;
        front++;
    }
    *behind = p->n - front;
    return front ? sum / (double)front : 0;
}

bool ch4_pairs_better(const ch4_pairs *p, ch4_intrinsics k, const ch4_rigid *a, const ch4_rigid *b)
{
    int64_t behind_a, behind_b;
    double ea = ch4_pairs_error(p, k, a, &behind_a), eb = ch4_pairs_error(p, k, b, &behind_b);
    return behind_a != behind_b ? behind_a < behind_b : ea < eb;
}

/* --- Levenberg-Marquardt ------------------------------------------------------------------------------------------------ */

typedef struct lm_point { /* one pair at a pose: residual, point relative to the rotation centre, depth */
    double rx, ry, rot[3], y[3];
} lm_point;

/* The pose as R (X - centre) + t: the rotation turns about the points and not about a far origin. */
typedef struct lm_state {
    double R[9], t[3], centre[3];
} lm_state;

static bool lm_eval(lm_point *out, const lm_state *s, const double *x, const double *u, ch4_intrinsics k)
{
    double d[3] = {x[0] - s->centre[0], x[1] - s->centre[1], x[2] - s->centre[2]}, uv[2];
    for (int i = 0; i < 3; i++) {
        out->rot[i] = s->R[3 * i] * d[0] + s->R[3 * i + 1] * d[1] + s->R[3 * i + 2] * d[2];
        out->y[i] = out->rot[i] + s->t[i];
    }
    if (!ch4_project(uv, k, out->y))
        return false;
    out->rx = uv[0] - u[0];
    out->ry = uv[1] - u[1];
    return true;
}

static double robust(double d2, double c)
{
    return c > 0 ? c * c * log1p(d2 / (c * c)) : d2;
}

/* Pairs that were behind the camera at the start stay out; skip is NULL when there is none (the usual case). */
static bool left_out(const lm_state *skip, const double *x, const double *u, ch4_intrinsics k)
{
    lm_point q;
    return skip && !lm_eval(&q, skip, x, u, k);
}

/* Cost over the pairs that take part; infinite if one of them went behind. */
static double lm_cost(const lm_state *s, const lm_state *skip, const ch4_pairs *p, ch4_intrinsics k, double cauchy)
{
    double sum = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const double *x = p->object + 3 * i, *u = p->image + 2 * i;
        lm_point q;
        if (left_out(skip, x, u, k))
            continue;
        if (!lm_eval(&q, s, x, u, k))
            return INFINITY;
        sum += robust(q.rx * q.rx + q.ry * q.ry, cauchy);
    }
    return sum;
}

static int64_t lm_normal(double JtJ[36], double Jtr[6], const lm_state *s, const lm_state *skip, const ch4_pairs *p, ch4_intrinsics k,
                         double cauchy)
{
    int64_t used = 0;
    memset(JtJ, 0, 36 * sizeof *JtJ);
    memset(Jtr, 0, 6 * sizeof *Jtr);
    for (int64_t i = 0; i < p->n; i++) {
        lm_point q;
        const double *x = p->object + 3 * i, *u = p->image + 2 * i;
        if (left_out(skip, x, u, k) || !lm_eval(&q, s, x, u, k))
            continue;
        double iz = 1 / q.y[2], a = k.fx * iz, b = -k.fx * q.y[0] * iz * iz, c = k.fy * iz, d = -k.fy * q.y[1] * iz * iz;
        /* d u / d Y = [a 0 b; 0 c d];  d Y / d omega = -[R x]_x;  d Y / d t = I */
        const double *v = q.rot;
        double ju[6] = {b * v[1], a * v[2] - b * v[0], -a * v[1], a, 0, b};
        double jv[6] = {-c * v[2] + d * v[1], -d * v[0], c * v[0], 0, c, d};
        double w = cauchy > 0 ? 1 / (1 + (q.rx * q.rx + q.ry * q.ry) / (cauchy * cauchy)) : 1;
        for (int r = 0; r < 6; r++) {
            Jtr[r] += w * (ju[r] * q.rx + jv[r] * q.ry);
            for (int col = 0; col <= r; col++)
                JtJ[6 * r + col] += w * (ju[r] * ju[col] + jv[r] * jv[col]);
        }
        used++;
    }
    for (int r = 0; r < 6; r++)
        for (int c = r + 1; c < 6; c++)
            JtJ[6 * r + c] = JtJ[6 * c + r];
    return used;
}

/* R <- exp([w]_x) R by Rodrigues' formula. */
static void rotate_left(double out[9], const double w[3], const double R[9])
{
    double th2 = w[0] * w[0] + w[1] * w[1] + w[2] * w[2], th = sqrt(th2);
    double a = th < 1e-6 ? 1 - th2 / 6 : sin(th) / th, b = th < 1e-6 ? 0.5 - th2 / 24 : (1 - cos(th)) / th2;
    double e[9] = {1 + b * (w[0] * w[0] - th2), b * w[0] * w[1] - a * w[2], b * w[0] * w[2] + a * w[1],
                   b * w[0] * w[1] + a * w[2], 1 + b * (w[1] * w[1] - th2), b * w[1] * w[2] - a * w[0],
                   b * w[0] * w[2] - a * w[1], b * w[1] * w[2] + a * w[0], 1 + b * (w[2] * w[2] - th2)};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            out[3 * i + j] = e[3 * i] * R[j] + e[3 * i + 1] * R[3 + j] + e[3 * i + 2] * R[6 + j];
}

static double norm3(const double v[3])
{
    return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

static void lm_from_pose(lm_state *s, const ch4_rigid *pose, const ch4_pairs *p)
{
    memcpy(s->R, pose->R, sizeof s->R);
    memset(s->centre, 0, sizeof s->centre);
    for (int64_t i = 0; i < p->n; i++)
        for (int c = 0; c < 3; c++)
            s->centre[c] += p->object[3 * i + c] / (double)p->n;
    ch4_rigid_apply(s->t, pose, s->centre);
}

/* One accepted step from s, damping lambda until the cost falls. 0: none found; 1: accepted; 2: accepted or found nothing because
 * the step is below rounding. */
static int lm_step(lm_state *s, double *cost, double *lambda, int *accepted, const lm_state *skip, const ch4_pairs *p, ch4_intrinsics k,
                   double cauchy)
{
    double JtJ[36], Jtr[6];
    if (lm_normal(JtJ, Jtr, s, skip, p, k, cauchy) < 3)
        return 0;
    for (; *lambda < 1e12; *lambda *= 10) {
        double a[36], delta[6];
        memcpy(a, JtJ, sizeof a);
        for (int i = 0; i < 6; i++) {
            a[7 * i] += *lambda * JtJ[7 * i];
            delta[i] = -Jtr[i];
        }
        if (!ch4_solve_spd(a, delta, 6))
            continue;
        lm_state next = *s;
        rotate_left(next.R, delta, s->R);
        for (int i = 0; i < 3; i++)
            next.t[i] += delta[3 + i];
        double c = lm_cost(&next, skip, p, k, cauchy);
        bool tiny = norm3(delta) < 1e-10 && norm3(delta + 3) < 1e-10 * (1 + norm3(s->t));
        if (c < *cost) {
            *s = next;
            *cost = c;
            *lambda = fmax(*lambda / 10, 1e-15);
            ++*accepted;
            return tiny ? 2 : 1;
        }
        if (tiny)
            return 2;
    }
    return 0;
}

int ch4_pnp_refine(ch4_rigid *pose, const ch4_pairs *p, ch4_intrinsics k, const ch4_lm_options *opt)
{
    if (p->n < 3)
        return 0;
    lm_state start, s;
    int64_t behind;
    lm_from_pose(&start, pose, p);
    s = start;
    ch4_pairs_error(p, k, pose, &behind);
    const lm_state *skip = behind > 0 ? &start : NULL;
    double lambda = 1e-3, cost = lm_cost(&s, skip, p, k, opt->cauchy_px);
    int accepted = 0;
    while (accepted < opt->max_steps && lm_step(&s, &cost, &lambda, &accepted, skip, p, k, opt->cauchy_px) == 1)
        ;
    if (accepted == 0)
        return 0;
    ch4_rigid out = {.t = {0}};
    if (!ch4_nearest_rotation(out.R, s.R)) /* removes the rounding of many products */
        return 0;
    for (int i = 0; i < 3; i++)
        out.t[i] = s.t[i] - (out.R[3 * i] * s.centre[0] + out.R[3 * i + 1] * s.centre[1] + out.R[3 * i + 2] * s.centre[2]);
    *pose = out;
    return accepted;
}
