#include "tools/eval/similarity.h"

#include <string.h>

#include "stages/animate/rigid_fit.h"

void ch4_similarity_fit(ch4_similarity *out, const double *p, const double *q, int64_t n, bool with_scale, bool compat)
{
    double mu_p[3] = {0}, mu_q[3] = {0}, variance = 0, H[3][3] = {{0}}, share = 1 / (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) mu_p[k] += share * p[3 * i + k], mu_q[k] += share * q[3 * i + k];
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++) {
            double d = p[3 * i + k] - mu_p[k];
            variance += share * d * d;
            for (int c = 0; c < 3; c++) H[k][c] += share * d * (q[3 * i + c] - mu_q[c]);
        }
    ch4_lanes lanes[3][3];
    ch4_rigid_lanes r;
    for (int k = 0; k < 9; k++) lanes[k / 3][k % 3] = ch4_lanes_set(H[k / 3][k % 3]);
    ch4_rigid_rotations(&r, (const ch4_lanes(*)[3])lanes, variance);
    out->reflected = r.rank[0] == 3 && r.det_sign[0] < 0;
    double third = out->reflected && !compat ? -r.singular[0][2] : r.singular[0][2];
    out->scale = with_scale && variance > 0 ? (r.singular[0][0] + r.singular[0][1] + third) / variance : 1;
    memcpy(out->R, r.R[0], sizeof(out->R));
    for (int k = 0; k < 3; k++)
        out->t[k] = mu_q[k] - out->scale * (out->R[3 * k] * mu_p[0] + out->R[3 * k + 1] * mu_p[1] + out->R[3 * k + 2] * mu_p[2]);
}

void ch4_similarity_apply(double *out, const ch4_similarity *s, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double p[3] = {x[3 * i], x[3 * i + 1], x[3 * i + 2]};
        for (int k = 0; k < 3; k++) out[3 * i + k] = s->scale * (s->R[3 * k] * p[0] + s->R[3 * k + 1] * p[1] + s->R[3 * k + 2] * p[2]) + s->t[k];
    }
}
