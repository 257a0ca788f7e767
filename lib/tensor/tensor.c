#include "tensor/tensor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtype_table[CH4_DTYPE_COUNT] = {
#define X(id, text, bytes) [id] = {(text), (bytes)},
    CH4_DTYPE_LIST(X)
#undef X
};

size_t ch4_dtype_size(ch4_dtype dtype)
{
    return dtype_table[dtype].size;
}

const char *ch4_dtype_name(ch4_dtype dtype)
{
    return dtype_table[dtype].name;
}

bool ch4_dtype_parse(ch4_dtype *out, const char *name)
{
    if (strcmp(name, "BOOL") == 0)
        name = "U8";
    for (int i = 0; i < CH4_DTYPE_COUNT; i++)
        if (strcmp(dtype_table[i].name, name) == 0) {
            *out = (ch4_dtype)i;
            return true;
        }
    return false;
}

ch4_tensor ch4_tensor_view(void *data, ch4_dtype dtype, int rank, const int64_t *shape)
{
    assert(rank >= 0 && rank <= CH4_MAX_RANK);
    ch4_tensor t = {.data = data, .dtype = dtype, .rank = rank};
    int64_t stride = 1;
    for (int i = rank - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = stride;
        stride *= shape[i];
    }
    return t;
}

int64_t ch4_tensor_count(const ch4_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= t->shape[i];
    return n;
}

bool ch4_tensor_contiguous(const ch4_tensor *t)
{
    int64_t stride = 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        if (t->shape[i] != 1 && t->stride[i] != stride)
            return false;
        stride *= t->shape[i];
    }
    return true;
}

bool ch4_tensor_has_shape(const ch4_tensor *t, int rank, const int64_t *shape)
{
    return t->rank == rank && (rank == 0 || memcmp(t->shape, shape, (size_t)rank * sizeof *shape) == 0);
}

ch4_tensor ch4_tensor_slice(const ch4_tensor *t, int dim, int64_t begin, int64_t n)
{
    assert(dim >= 0 && dim < t->rank && begin >= 0 && n >= 0 && begin + n <= t->shape[dim]);
    ch4_tensor s = *t;
    s.data = (char *)t->data + begin * t->stride[dim] * (int64_t)ch4_dtype_size(t->dtype);
    s.shape[dim] = n;
    return s;
}

void ch4_tensor_describe(const ch4_tensor *t, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < t->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%" PRId64, i ? "," : "[", t->shape[i]);
    if (used < size)
        snprintf(out + used, size - used, "%s %s", t->rank ? "]" : "[]", ch4_dtype_name(t->dtype));
}

float ch4_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = h >> 10 & 0x1fu, man = h & 0x3ffu, bits;
    if (exp == 0x1f) {
        bits = sign | 0x7f800000u | man << 13;
    } else if (exp) {
        bits = sign | (exp + 112) << 23 | man << 13;
    } else {
        float f = (float)man * 0x1p-24f; /* subnormal: exact in float */
        memcpy(&bits, &f, sizeof bits);
        bits |= sign;
    }
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

uint16_t ch4_f32_to_f16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return sign | 0x7e00u;                       /* NaN */
    if (bits >= 0x477ff000u)
        return sign | 0x7c00u;                       /* rounds to infinity */
    if (bits < 0x38800000u) {                        /* subnormal half or zero: scale so that the float adder rounds */
        float f, magic = 0.5f;
        uint32_t half_bits;
        memcpy(&f, &bits, sizeof f);
        f += magic;
        memcpy(&half_bits, &f, sizeof half_bits);
        return sign | (uint16_t)(half_bits - 0x3f000000u);
    }
    bits += 0xfffu + (bits >> 13 & 1u) - (112u << 23);
    return sign | (uint16_t)(bits >> 13);
}

float ch4_bf16_to_f32(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

uint16_t ch4_f32_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* keep NaN a NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Element i of a source that need not be aligned: a mapped file promises nothing. */
#define LOADER(name, type)                                                                                             \
    static type name(const void *data, int64_t i)                                                                      \
    {                                                                                                                  \
        type x;                                                                                                        \
        memcpy(&x, (const char *)data + (size_t)i * sizeof x, sizeof x);                                               \
        return x;                                                                                                      \
    }
LOADER(load_f64, double)
LOADER(load_f32, float)
LOADER(load_i64, int64_t)
LOADER(load_i32, int32_t)
LOADER(load_i16, int16_t)
LOADER(load_u16, uint16_t)
LOADER(load_u8, uint8_t)

/* One loop body for both result types: the conversion is the same, only the destination differs. */
#define CONVERT(dst, src, n, T)                                                                                        \
    switch ((src)->dtype) {                                                                                            \
    case CH4_DTYPE_F64: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_f64((src)->data, i); break;                   \
    case CH4_DTYPE_F32: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_f32((src)->data, i); break;                   \
    case CH4_DTYPE_F16: for (int64_t i = 0; i < n; i++) dst[i] = (T)ch4_f16_to_f32(load_u16((src)->data, i)); break;   \
    case CH4_DTYPE_BF16: for (int64_t i = 0; i < n; i++) dst[i] = (T)ch4_bf16_to_f32(load_u16((src)->data, i)); break; \
    case CH4_DTYPE_I64: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_i64((src)->data, i); break;                   \
    case CH4_DTYPE_I32: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_i32((src)->data, i); break;                   \
    case CH4_DTYPE_I16: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_i16((src)->data, i); break;                   \
    case CH4_DTYPE_U16: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_u16((src)->data, i); break;                   \
    case CH4_DTYPE_U8: for (int64_t i = 0; i < n; i++) dst[i] = (T)load_u8((src)->data, i); break;                     \
    default: return ch4_err_set(err, CH4_EINVAL, "dtype %d is unknown", (int)(src)->dtype);                            \
    }

static ch4_status check_source(const ch4_tensor *src, ch4_err *err)
{
    if (!ch4_tensor_contiguous(src) || src->device != CH4_DEVICE_HOST)
        return ch4_err_set(err, CH4_EINVAL, "conversion needs a contiguous host tensor");
    return CH4_OK;
}

ch4_status ch4_tensor_to_f32(float *dst, const ch4_tensor *src, ch4_err *err)
{
    ch4_status st = check_source(src, err);
    if (st != CH4_OK)
        return st;
    int64_t n = ch4_tensor_count(src);
    CONVERT(dst, src, n, float)
    return CH4_OK;
}

ch4_status ch4_tensor_to_bf16(uint16_t *dst, const ch4_tensor *src, ch4_err *err)
{
    ch4_status st = check_source(src, err);
    if (st == CH4_OK && src->dtype != CH4_DTYPE_F32)
        st = ch4_err_set(err, CH4_EUNSUP, "%s to BF16", ch4_dtype_name(src->dtype));
    int64_t n = ch4_tensor_count(src);
    for (int64_t i = 0; st == CH4_OK && i < n; i++)
        dst[i] = ch4_f32_to_bf16(load_f32(src->data, i));
    return st;
}

ch4_status ch4_tensor_to_f64(double *dst, const ch4_tensor *src, ch4_err *err)
{
    ch4_status st = check_source(src, err);
    if (st != CH4_OK)
        return st;
    int64_t n = ch4_tensor_count(src);
    CONVERT(dst, src, n, double)
    return CH4_OK;
}

ch4_status ch4_buf_alloc(ch4_buf *out, size_t size, ch4_err *err)
{
    *out = (ch4_buf){0};
    void *p = NULL;
    if (posix_memalign(&p, 64, size ? size : 1) != 0)
        return ch4_err_set(err, CH4_ENOMEM, "cannot allocate %zu bytes", size);
    memset(p, 0, size);
    *out = (ch4_buf){p, size};
    return CH4_OK;
}

void ch4_buf_free(ch4_buf *buf)
{
    if (!buf)
        return;
    free(buf->data);
    *buf = (ch4_buf){0};
}
