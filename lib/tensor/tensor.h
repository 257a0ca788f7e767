/* ch4_tensor: an n-dimensional view of memory that somebody else owns; ch4_buf: owned host bytes.
 *
 * Shapes are listed outermost first, as in the papers; strides count elements. A view is passed by value and dies before
 * its memory. Nothing here allocates device memory or computes. */
#ifndef CH4_TENSOR_H
#define CH4_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CH4_DTYPE_LIST(X)                                                                                              \
    X(CH4_DTYPE_F64, "F64", 8)                                                                                         \
    X(CH4_DTYPE_F32, "F32", 4)                                                                                         \
    X(CH4_DTYPE_F16, "F16", 2)                                                                                         \
    X(CH4_DTYPE_BF16, "BF16", 2)                                                                                       \
    X(CH4_DTYPE_I64, "I64", 8)                                                                                         \
    X(CH4_DTYPE_I32, "I32", 4)                                                                                         \
    X(CH4_DTYPE_I16, "I16", 2)                                                                                         \
    X(CH4_DTYPE_U16, "U16", 2)                                                                                         \
    X(CH4_DTYPE_U8, "U8", 1)

typedef enum ch4_dtype {
#define X(name, text, size) name,
    CH4_DTYPE_LIST(X)
#undef X
    CH4_DTYPE_COUNT
} ch4_dtype;

size_t      ch4_dtype_size(ch4_dtype dtype);
const char *ch4_dtype_name(ch4_dtype dtype);               /* as safetensors spells it */
bool        ch4_dtype_parse(ch4_dtype *out, const char *name); /* "BOOL", one byte of 0 or 1, is read as U8 */

enum { CH4_MAX_RANK = 5 };

typedef enum ch4_device { CH4_DEVICE_HOST, CH4_DEVICE_CUDA } ch4_device;

typedef struct ch4_tensor {
    void *data;
    ch4_dtype dtype;
    int rank;
    int64_t shape[CH4_MAX_RANK];
    int64_t stride[CH4_MAX_RANK]; /* in elements; 0 broadcasts */
    ch4_device device;
} ch4_tensor;

/* Contiguous row-major host view of data. rank in [0, CH4_MAX_RANK] (asserted). */
ch4_tensor ch4_tensor_view(void *data, ch4_dtype dtype, int rank, const int64_t *shape);

/* The same for float data with the sizes written out: CH4_F32(p, 3, 4) is a [3,4] view. */
#define CH4_VIEW(p, dt, ...)                                                                                           \
    ch4_tensor_view((p), (dt), (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__})
#define CH4_F32(p, ...) CH4_VIEW(p, CH4_DTYPE_F32, __VA_ARGS__)

int64_t ch4_tensor_count(const ch4_tensor *t);             /* product of the shape; 1 for rank 0 */
bool    ch4_tensor_contiguous(const ch4_tensor *t);
bool    ch4_tensor_has_shape(const ch4_tensor *t, int rank, const int64_t *shape);

/* Part [begin, begin + n) of dimension dim; asserts the range. */
ch4_tensor ch4_tensor_slice(const ch4_tensor *t, int dim, int64_t begin, int64_t n);

/* Writes "[3,4] F32" into out, for messages. */
void ch4_tensor_describe(const ch4_tensor *t, char *out, size_t size);

/* Copies count elements of src (any dtype, contiguous, at any address) into dst as float / double. Exact for all types but F64 -> float
 * and I64. To bf16: rounds F32 to nearest even; CH4_EUNSUP for other types. */
ch4_status ch4_tensor_to_f32(float *dst, const ch4_tensor *src, ch4_err *err);
ch4_status ch4_tensor_to_f64(double *dst, const ch4_tensor *src, ch4_err *err);
ch4_status ch4_tensor_to_bf16(uint16_t *dst, const ch4_tensor *src, ch4_err *err);

float    ch4_f16_to_f32(uint16_t h);
uint16_t ch4_f32_to_f16(float x);                          /* round to nearest even, overflow to infinity */
float    ch4_bf16_to_f32(uint16_t h);
uint16_t ch4_f32_to_bf16(float x);                         /* round to nearest even */

typedef struct ch4_buf {
    void *data;
    size_t size;
} ch4_buf;

/* size zeroed bytes, 64-byte aligned (size 0 is fine). CH4_ENOMEM. Free with ch4_buf_free, which also resets it. */
ch4_status ch4_buf_alloc(ch4_buf *out, size_t size, ch4_err *err);
void       ch4_buf_free(ch4_buf *buf);

#endif
