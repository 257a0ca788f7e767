/* Checked arithmetic on sizes. Shapes come from files and peers; 16 frames of 4096 tokens, squared, pass 2^31, so every
 * product of sizes that decides an allocation or an offset goes through here. */
#ifndef CH4_BASE_SIZE_H
#define CH4_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

static inline bool ch4_size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool ch4_size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Product of n non-negative sizes times the element size, in bytes. CH4_EINVAL for a negative size or a product past 2^63, also where another size
 * is 0: the strides of an empty tensor are products too. */
ch4_status ch4_size_bytes(size_t *out, const int64_t *shape, int n, size_t elem_size, ch4_err *err);

/* calloc of count * size bytes with the product checked; *out is NULL on failure (CH4_ENOMEM, text names `what`).
 * count == 0 gives a valid pointer to at least one byte. The caller frees with free(). */
ch4_status ch4_calloc(void *out, size_t count, size_t size, const char *what, ch4_err *err);

static inline int64_t ch4_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ch4_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

#endif
