#include "base/size.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

ch4_status ch4_size_bytes(size_t *out, const int64_t *shape, int n, size_t elem_size, ch4_err *err)
{
    size_t bytes = elem_size;
    bool empty = false;
    for (int i = 0; i < n; i++) {
        if (shape[i] < 0)
            return ch4_err_set(err, CH4_EINVAL, "negative size %" PRId64 " in dimension %d", shape[i], i);
        empty = empty || shape[i] == 0;
        if (!ch4_size_mul(bytes, shape[i] ? (size_t)shape[i] : 1, &bytes) || bytes > INT64_MAX)
            return ch4_err_set(err, CH4_EINVAL, "product of sizes overflows at dimension %d", i);
    }
    *out = empty ? 0 : bytes;
    return CH4_OK;
}

ch4_status ch4_calloc(void *out, size_t count, size_t size, const char *what, ch4_err *err)
{
    void *p = calloc(count ? count : 1, size ? size : 1); /* calloc checks the product */
    memcpy(out, &p, sizeof p);
    if (!p)
        return ch4_err_set(err, CH4_ENOMEM, "%s: cannot allocate %zu x %zu bytes", what, count, size);
    return CH4_OK; /* cppcheck-suppress memleak; *out has it */
}
