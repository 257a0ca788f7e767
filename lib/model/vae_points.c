/* Which surface points become tokens: a seeded preselection, then farthest point sampling. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/vae.h"

enum { STREAM_PRESELECT = 0x76616571 }; /* of the random numbers */

ch4_status ch4_vae_farthest(int64_t *index, int64_t n, const float *points, int64_t stride, int64_t P, ch4_err *err)
{
    if (n < 1 || n > P)
        return ch4_err_set(err, CH4_EINVAL, "farthest points: %" PRId64 " of %" PRId64, n, P);
    double *nearest = NULL;
    ch4_status st = ch4_calloc(&nearest, (size_t)P, sizeof *nearest, "farthest points", err);
    if (st)
        return st;
    int64_t last = 0;
    for (int64_t k = 0; k < n; k++) {
        index[k] = last;
        const float *a = points + last * stride;
        int64_t best = 0;
        for (int64_t i = 0; i < P; i++) {
            const float *b = points + i * stride;
            double x = (double)a[0] - b[0], y = (double)a[1] - b[1], z = (double)a[2] - b[2], d = x * x + y * y + z * z;
            if (k == 0 || d < nearest[i])
                nearest[i] = d;
            if (nearest[i] > nearest[best])
                best = i;
        }
        last = best;
    }
    free(nearest);
    return CH4_OK;
}

ch4_status ch4_vae_pick_queries(int64_t *index, const float *surface, int64_t P, int64_t N, int64_t factor, uint64_t seed, ch4_err *err)
{
    if (N < 1 || P < 1 || factor < 0)
        return ch4_err_set(err, CH4_EINVAL, "vae: %" PRId64 " tokens from %" PRId64 " points", N, P);
    int64_t want = factor ? factor * N : ch4_max_i64(P, N), *pick = NULL;
    float *points = NULL;
    ch4_rng rng = ch4_rng_at(seed, STREAM_PRESELECT);
    ch4_status st = ch4_calloc(&pick, (size_t)ch4_max_i64(P, want), sizeof *pick, "vae queries", err);
    if (!st)
        st = ch4_calloc(&points, (size_t)want * 3, sizeof *points, "vae queries", err);
    for (int64_t i = 0; !st && i < P; i++)
        pick[i] = i;
    for (int64_t i = 0; !st && i < want; i++) {
        if (P < want) { /* with repeats */
            pick[i] = ch4_rng_below(&rng, (uint32_t)P);
        } else { /* the first steps of a shuffle */
            int64_t j = i + ch4_rng_below(&rng, (uint32_t)(P - i)), t = pick[i];
            pick[i] = pick[j];
            pick[j] = t;
        }
        for (int k = 0; k < 3; k++)
            points[3 * i + k] = surface[6 * pick[i] + k];
    }
    if (!st)
        st = ch4_vae_farthest(index, N, points, 3, want, err);
    for (int64_t i = 0; !st && i < N; i++)
        index[i] = pick[index[i]];
    free(points);
    free(pick);
    return st;
}
