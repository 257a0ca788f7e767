/* safetensors headers. The first byte of an input says what follows: 'R' a file as it is; 'H' a JSON header up to a zero byte, then the data, with the
 * length in front made to fit, so that mutations of the JSON are not lost on it. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tensor/safetensors.h"

const char *const ch4_fuzz_words[] = {"\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"F32\"", "\"BF16\"", "\"F16\"", "\"F64\"", "\"I64\"", "\"U8\"", "\"BOOL\"",
                                      "[0,", "[]", "{}", "\"__metadata__\":", "null", "-1", "0.5", "\"a\":", "\"b\":", "[4,4]", "\\u0000", "\"", ",", "[", "]", "{", "}", NULL};

/* Everything that an opened file promises: names sorted and distinct, views whose bytes can be read, of their own, aligned on demand. */
static void use(const ch4_safetensors *file, size_t size)
{
    int64_t n = ch4_safetensors_count(file);
    size_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *name = ch4_safetensors_name(file, i);
        ch4_tensor peeked, t;
        size_t bytes;
        CH4_FUZZ_CHECK(i == 0 || strcmp(ch4_safetensors_name(file, i - 1), name) < 0);
        CH4_FUZZ_CHECK(ch4_safetensors_has(file, name));
        CH4_FUZZ_CHECK(ch4_safetensors_peek(file, name, &peeked, NULL) == CH4_OK && ch4_safetensors_get(file, name, &t, NULL) == CH4_OK);
        CH4_FUZZ_CHECK((uintptr_t)t.data % ch4_dtype_size(t.dtype) == 0);
        CH4_FUZZ_CHECK(ch4_size_bytes(&bytes, t.shape, t.rank, ch4_dtype_size(t.dtype), NULL) == CH4_OK && bytes <= size);
        CH4_FUZZ_CHECK(ch4_tensor_count(&t) * (int64_t)ch4_dtype_size(t.dtype) == (int64_t)bytes);
        CH4_FUZZ_CHECK(bytes == 0 || memcmp(t.data, peeked.data, bytes) == 0);
        double *values = malloc((bytes + 1) * sizeof *values);
        CH4_FUZZ_CHECK(values && ch4_tensor_to_f64(values, &peeked, NULL) == CH4_OK);
        free(values);
        ch4_safetensors_prefetch(file, name);
        ch4_safetensors_release(file, name);
        total += bytes;
    }
    CH4_FUZZ_CHECK(total <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[8 + (1 << 17)];
    size_t n = size ? size - 1 : 0;
    ch4_safetensors *file = NULL;
    ch4_err err = {0};
    if (size < 1 || (data[0] != 'R' && data[0] != 'H') || n > sizeof bytes - 8)
        return 0;
    if (data[0] == 'H') {
        const uint8_t *end = memchr(data + 1, 0, n);
        uint64_t header = end ? (uint64_t)(end - data - 1) : n;
        for (int i = 0; i < 8; i++)
            bytes[i] = (uint8_t)(header >> 8 * i);
        memcpy(bytes + 8, data + 1, header);
        size_t rest = end ? n - header - 1 : 0;
        memcpy(bytes + 8 + header, data + 1 + header + (end != NULL), rest);
        n = 8 + header + rest;
    } else {
        memcpy(bytes, data + 1, n);
    }
    ch4_status st = ch4_safetensors_open(&file, ch4_fuzz_file(bytes, n), &err);
    CH4_FUZZ_CHECK((st == CH4_OK) == (file != NULL));
    CH4_FUZZ_CHECK(st == CH4_OK || err.msg[0]);
    if (file)
        use(file, n);
    ch4_safetensors_close(&file);
    return 0;
}
