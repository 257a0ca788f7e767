/* Eight floats at a time, in GCC's vector extension: one AVX register here, whatever the compiler makes of it elsewhere.
 * exp8 and gelu8 are our own Chebyshev fits (largest errors measured over their ranges in tests/kernel/test_cpu_math.c). */
#ifndef CH4_NN_CPU_SIMD_H
#define CH4_NN_CPU_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined __F16C__ || defined __FMA__
#include <immintrin.h>
#endif

#include "tensor/tensor.h"

enum { CH4_LANES = 8 };

typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));
typedef uint32_t v8u __attribute__((vector_size(32)));
typedef uint16_t v8h __attribute__((vector_size(16)));

static inline v8f v8_load(const float *p)
{
    v8f v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void v8_store(float *p, v8f v)
{
    memcpy(p, &v, sizeof v);
}

static inline v8f v8_set(float x)
{
    return (v8f){x, x, x, x, x, x, x, x};
}

static inline v8f v8_select(v8i mask, v8f a, v8f b)
{
    return (v8f)((mask & (v8i)a) | (~mask & (v8i)b));
}

static inline v8f v8_max(v8f a, v8f b)
{
    return v8_select(a > b, a, b);
}

/* n half-precision numbers as floats, exactly. */
static inline void ch4_widen_bf16(float *out, const uint16_t *in, int64_t n)
{
    int64_t i = 0;
    for (; i + CH4_LANES <= n; i += CH4_LANES) {
        v8h h;
        memcpy(&h, in + i, sizeof h);
        v8u wide = __builtin_convertvector(h, v8u) << 16; /* bf16 is the upper half of a float */
        memcpy(out + i, &wide, sizeof wide);
    }
    for (; i < n; i++)
        out[i] = ch4_bf16_to_f32(in[i]);
}

static inline void ch4_widen_f16(float *out, const uint16_t *in, int64_t n)
{
    int64_t i = 0;
#ifdef __F16C__
    for (; i + CH4_LANES <= n; i += CH4_LANES)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(in + i))));
#endif
    for (; i < n; i++)
        out[i] = ch4_f16_to_f32(in[i]);
}

/* Fixed order, so that a sum does not depend on anything but its numbers. */
static inline float v8_sum(v8f v)
{
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

static inline float v8_top(v8f v)
{
    float m = v[0];
    for (int i = 1; i < CH4_LANES; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}

/* a b + c, rounded once where the processor does that in one instruction. */
static inline v8f v8_fma(v8f a, v8f b, v8f c)
{
#ifdef __FMA__
    return (v8f)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/* e^x, relative error below 2e-7; x is clamped to [-87.3, 88.3], NaN stays NaN. */
static inline __attribute__((always_inline)) v8f v8_exp(v8f x)
{
    x = v8_select(x < v8_set(-87.3f), v8_set(-87.3f), x);
    x = v8_select(x > v8_set(88.3f), v8_set(88.3f), x);
    const v8f magic = v8_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number, kept in the low bits */
    v8f shifted = v8_fma(x, v8_set(1.44269504f), magic);
    v8f n = shifted - magic;
    v8f r = v8_fma(n, v8_set(-1.42860677e-6f), v8_fma(n, v8_set(-0.693145752f), x));
    v8f p = v8_set(1.39485808e-3f);
    p = v8_fma(p, r, v8_set(8.37512889e-3f));
    p = v8_fma(p, r, v8_set(4.16662183e-2f));
    p = v8_fma(p, r, v8_set(0.166664155f));
    p = v8_fma(p, r, v8_set(0.500000011f));
    p = v8_fma(p, r, v8_set(1.00000004f));
    p = v8_fma(p, r, v8_set(1.0f));
    v8i two_n = ((v8i)shifted - 0x4B400000 + 127) << 23;
    return p * (v8f)two_n;
}

/* x/2 (1 + erf(x/sqrt 2)), absolute error below 3e-7 max(1,|x|). */
static inline __attribute__((always_inline)) v8f v8_gelu(v8f x)
{
    v8f z = x * v8_set(0.707106781f);
    v8f t = v8_select(z < v8_set(0.0f), -z, z);
    v8f s = t * t;
    v8f a = v8_set(7.8824971e-05f); /* |z| <= 1: erf(z)/z as a polynomial in z^2 */
    a = v8_fma(a, s, v8_set(-0.000801885499f));
    a = v8_fma(a, s, v8_set(0.00518931194f));
    a = v8_fma(a, s, v8_set(-0.0268543288f));
    a = v8_fma(a, s, v8_set(0.112835975f));
    a = v8_fma(a, s, v8_set(-0.376126269f));
    a = v8_fma(a, s, v8_set(1.12837917f));
    a = a * t;
    v8f u = (v8_select(t > v8_set(4.0f), v8_set(4.0f), t) - v8_set(2.5f)) * v8_set(0.666666667f); /* 1 < |z| <= 4: -log erfc */
    v8f b = v8_set(-4.13666337e-05f);
    b = v8_fma(b, u, v8_set(0.000227403412f));
    b = v8_fma(b, u, v8_set(-0.000881570878f));
    b = v8_fma(b, u, v8_set(0.00319047281f));
    b = v8_fma(b, u, v8_set(-0.0109611241f));
    b = v8_fma(b, u, v8_set(0.0366474949f));
    b = v8_fma(b, u, v8_set(2.12376069f));
    b = v8_fma(b, u, v8_set(8.02902102f));
    b = v8_fma(b, u, v8_set(7.80681528f));
    b = v8_set(1.0f) - v8_exp(-b);
    v8f e = v8_select(t > v8_set(1.0f), b, a);
    e = v8_select(z < v8_set(0.0f), -e, e);
    return v8_set(0.5f) * x * (v8_set(1.0f) + e);
}

#endif
