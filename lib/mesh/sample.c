#include "mesh/sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "mesh/vec_impl.h"

static v3 face_cross(const float *vert, const int32_t i[3])
{
    v3 a = v3_at(vert, i[0]);
    return v3_cross(v3_sub(v3_at(vert, i[1]), a), v3_sub(v3_at(vert, i[2]), a));
}

/* First face whose cumulated area exceeds x; faces without area are never chosen. */
static int64_t pick_face(const double *sum, int64_t n_face, double x)
{
    int64_t lo = 0, hi = n_face - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (sum[mid] > x)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void store(float *out, int64_t i, v3 p)
{
    out[3 * i] = (float)p.x;
    out[3 * i + 1] = (float)p.y;
    out[3 * i + 2] = (float)p.z;
}

ch4_status ch4_mesh_sample(float *point, float *normal, int32_t *face_of, float *bary, int64_t n, const float *vert, const int32_t *face,
                           int64_t n_face, ch4_rng *rng, ch4_err *err)
{
    double *sum = NULL, total = 0;
    ch4_status st = ch4_calloc(&sum, (size_t)n_face, sizeof *sum, "surface sampling", err);
    if (st != CH4_OK)
        return st;
    for (int64_t f = 0; f < n_face; f++)
        sum[f] = total += v3_norm(face_cross(vert, face + 3 * f)) / 2;
    if (!(total > 0)) {
        free(sum);
        return ch4_err_set(err, CH4_EFORMAT, "the mesh has no area to sample points on");
    }
    while (n_face > 1 && sum[n_face - 2] == total)
        n_face--; /* trailing faces without area: rounding must not reach them */
    for (int64_t i = 0; i < n; i++) {
        int64_t f = pick_face(sum, n_face, ch4_rng_uniform(rng) * total);
        double u = ch4_rng_uniform(rng), v = ch4_rng_uniform(rng);
        if (u + v > 1) {
            u = 1 - u;
            v = 1 - v;
        }
        const int32_t *t = face + 3 * f;
        v3 a = v3_scale(v3_at(vert, t[0]), 1 - u - v), b = v3_scale(v3_at(vert, t[1]), u), c = v3_scale(v3_at(vert, t[2]), v);
        store(point, i, v3_add(v3_add(a, b), c));
        if (normal) {
            v3 m = face_cross(vert, t);
            store(normal, i, v3_scale(m, 1 / v3_norm(m)));
        }
        if (face_of)
            face_of[i] = (int32_t)f;
        if (bary)
            store(bary, i, (v3){1 - u - v, u, v});
    }
    free(sum);
    return CH4_OK;
}
