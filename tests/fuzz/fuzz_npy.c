/* npy files. */
#include "tests/fuzz/fuzz.h"

#include "base/size.h"
#include "tensor/npy.h"

const char *const ch4_fuzz_words[] = {"\x93NUMPY", "'descr': ", "'<f4'", "'<f8'", "'|u1'", "'<i8'", "'>f4'", "'fortran_order': ", "False", "True", "'shape': ", "()", "(3,)", "(2, 3)",
                                      ",", "}", "{", "\n", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ch4_buf buf = {0};
    ch4_tensor t;
    ch4_err err = {0};
    ch4_status st = ch4_npy_load(&buf, &t, ch4_fuzz_file(data, size), &err);
    CH4_FUZZ_CHECK(st == CH4_OK || err.msg[0]);
    if (st == CH4_OK) {
        size_t bytes;
        CH4_FUZZ_CHECK(ch4_size_bytes(&bytes, t.shape, t.rank, ch4_dtype_size(t.dtype), NULL) == CH4_OK && bytes <= size);
        volatile uint8_t sum = 0;
        for (size_t i = 0; i < bytes; i++)
            sum += ((const uint8_t *)t.data)[i];
    }
    ch4_buf_free(&buf);
    return 0;
}
