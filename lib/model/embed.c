#include "model/embed.h"

#include <math.h>

void ch4_embed_points(float *out, int64_t stride, const float *points, int64_t point_stride, int64_t n, int octaves, bool include_pi)
{
    for (int64_t i = 0; i < n; i++) {
        const float *p = points + i * point_stride;
        float *row = out + i * stride, *s = row + 3, *c = s + 3 * octaves;
        for (int axis = 0; axis < 3; axis++) {
            row[axis] = p[axis];
            for (int j = 0; j < octaves; j++) {
                /* times a power of two is exact, so float functions lose nothing; with pi the argument itself would be rounded */
                if (include_pi) {
                    *s++ = (float)sin(p[axis] * ldexp(M_PI, j));
                    *c++ = (float)cos(p[axis] * ldexp(M_PI, j));
                } else {
                    sincosf(ldexpf(p[axis], j), s++, c++);
                }
            }
        }
    }
}

void ch4_embed_times(float *out, const float *t, int64_t n, int64_t width, bool cos_first)
{
    int64_t half = width / 2;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < half; j++) {
            double angle = t[i] * exp(-log(10000.0) * (double)j / (double)half);
            float *row = out + i * width;
            row[j + (cos_first ? half : 0)] = (float)sin(angle);
            row[j + (cos_first ? 0 : half)] = (float)cos(angle);
        }
}

static void range(double *lo, double *hi, const float *t, int64_t n)
{
    *lo = *hi = n ? t[0] : 0.0;
    for (int64_t i = 1; i < n; i++) {
        *lo = fmin(*lo, t[i]);
        *hi = fmax(*hi, t[i]);
    }
}

void ch4_embed_rope(float *cos_out, float *sin_out, const float *framestep, int64_t frames, int64_t head_dim)
{
    int64_t half = head_dim / 2;
    double lo, hi;
    range(&lo, &hi, framestep, frames);
    for (int64_t f = 0; f < frames; f++)
        for (int64_t j = 0; j < half; j++) {
            double angle = (framestep[f] - lo) * pow(10000.0, -2.0 * (double)j / (double)head_dim);
            cos_out[f * half + j] = (float)cos(angle);
            sin_out[f * half + j] = (float)sin(angle);
        }
}

void ch4_embed_alpha(float *alpha, const float *t, int64_t n)
{
    double lo, hi;
    range(&lo, &hi, t, n);
    for (int64_t i = 0; i < n; i++)
        alpha[i] = hi > lo ? (float)((t[i] - lo) / (hi - lo)) : 0.0f;
}

int64_t ch4_embed_output_times(float *out, int64_t capacity, const float *framestep, int64_t n, int level, bool keep_first)
{
    double lo, hi;
    range(&lo, &hi, framestep, n);
    int64_t steps = (int64_t)lround(hi - lo) << (level - 1), first = keep_first ? 0 : 1;
    for (int64_t i = first; i <= steps && i - first < capacity; i++)
        out[i - first] = (float)(steps ? lo + (hi - lo) * (double)i / (double)steps : lo);
    return steps + 1 - first;
}
