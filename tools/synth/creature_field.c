#include "tools/synth/creature.h"

#include <math.h>
#include <string.h>

/* Points go through in blocks with fixed trip counts, which lets the compiler vectorise every loop over j. */
enum { BLOCK = 64 };

/* exp(x) for -80 <= x <= 0, relative error below 3e-6. Callers clamp with a value that is not a constant: a constant bound would
 * make the compiler split the loop instead of vectorising it. */
static inline float exp_negative(float x)
{
    float t = x * 1.44269504f;
    int32_t i = (int32_t)(t - 0.5f), bits = (i + 127) << 23;
    float f = t - (float)i, two;
    memcpy(&two, &bits, sizeof(two));
    return two * (1.0f + f * (0.69314718f + f * (0.24022651f + f * (0.05550411f + f * (0.00961813f + f * 0.00133336f)))));
}

typedef struct block {
    float x[3][BLOCK];
    float dist[CH4_SYNTH_PARTS][BLOCK];
    float toward[CH4_SYNTH_PARTS][3][BLOCK]; /* unit vector away from the capsule's axis */
    float least[BLOCK];
} block;

static void capsule_distance(block *b, const ch4_synth_capsule *c, int p)
{
    float ab[3], l2 = 0;
    for (int k = 0; k < 3; k++) ab[k] = c->b[k] - c->a[k], l2 += ab[k] * ab[k];
    float inv = 1.0f / (l2 > 1e-8f ? l2 : 1e-8f), dr = c->r1 - c->r0;
    for (int j = 0; j < BLOCK; j++) {
        float u = b->x[0][j] - c->a[0], v = b->x[1][j] - c->a[1], w = b->x[2][j] - c->a[2];
        float h = (u * ab[0] + v * ab[1] + w * ab[2]) * inv;
        h = h > 0 ? h : 0;
        h = h < 1 ? h : 1;
        u -= h * ab[0], v -= h * ab[1], w -= h * ab[2];
        float n = sqrtf(u * u + v * v + w * w);
        n = n > 1e-6f ? n : 1e-6f;
        float d = n - (c->r0 + h * dr), r = 1.0f / n;
        b->dist[p][j] = d;
        b->toward[p][0][j] = u * r, b->toward[p][1][j] = v * r, b->toward[p][2][j] = w * r;
        b->least[j] = d < b->least[j] ? d : b->least[j];
    }
}

static void union_value(float value[BLOCK], float grad[3][BLOCK], const block *b, int n)
{
    float sum[BLOCK] = {0}, g[3][BLOCK] = {{0}};
    for (int p = 0; p < n; p++)
        for (int j = 0; j < BLOCK; j++) {
            float far = b->least[j] + 80 * CH4_SYNTH_BLEND, d = b->dist[p][j] < far ? b->dist[p][j] : far;
            float e = exp_negative((b->least[j] - d) * (1 / CH4_SYNTH_BLEND));
            sum[j] += e;
            g[0][j] += e * b->toward[p][0][j], g[1][j] += e * b->toward[p][1][j], g[2][j] += e * b->toward[p][2][j];
        }
    for (int j = 0; j < BLOCK; j++) {
        float l = sqrtf(g[0][j] * g[0][j] + g[1][j] * g[1][j] + g[2][j] * g[2][j]), r = 1.0f / (l > 1e-6f ? l : 1e-6f);
        for (int k = 0; k < 3; k++) grad[k][j] = g[k][j] * r;
        value[j] = b->least[j] - CH4_SYNTH_BLEND * logf(sum[j]);
    }
}

void ch4_synth_field(float *value, float *gradient, float *weight, float weight_k, const ch4_synth_capsule *capsule, int n,
                     const float *xyz, int64_t count)
{
    block b;
    float val[BLOCK], grad[3][BLOCK];
    for (int64_t at = 0; at < count; at += BLOCK) {
        int64_t m = count - at < BLOCK ? count - at : BLOCK;
        for (int j = 0; j < BLOCK; j++) {
            int64_t i = at + (j < m ? j : m - 1);
            b.x[0][j] = xyz[3 * i], b.x[1][j] = xyz[3 * i + 1], b.x[2][j] = xyz[3 * i + 2];
            b.least[j] = INFINITY;
        }
        for (int p = 0; p < n; p++) capsule_distance(&b, &capsule[p], p);
        union_value(val, grad, &b, n);
        for (int64_t j = 0; j < m; j++) {
            value[at + j] = val[j];
            for (int k = 0; gradient && k < 3; k++) gradient[3 * (at + j) + k] = grad[k][j];
            float total = 0;
            for (int p = 0; weight && p < n; p++) {
                float e = expf((b.least[j] - b.dist[p][j]) / weight_k);
                weight[(at + j) * n + p] = e;
                total += e;
            }
            for (int p = 0; weight && p < n; p++) weight[(at + j) * n + p] /= total;
        }
    }
}
