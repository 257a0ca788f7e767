#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tensor/npy.h"

static char path[64];

static void write_file(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void saves_what_it_loads(void **state)
{
    (void)state;
    int64_t shapes[][5] = {{0}, {7}, {2, 3}, {0, 4}, {2, 1, 3, 1, 2}};
    int ranks[] = {0, 1, 2, 2, 5};
    for (int d = 0; d < CH4_DTYPE_COUNT; d++)
        for (int i = 0; i < 5; i++) {
            unsigned char data[96];
            for (int j = 0; j < 96; j++) data[j] = (unsigned char)(j * 7 + d);
            ch4_tensor t = ch4_tensor_view(data, (ch4_dtype)d, ranks[i], shapes[i]), back;
            ch4_buf buf;
            if (d == CH4_DTYPE_BF16) {
                assert_int_equal(ch4_npy_save(path, &t, NULL), CH4_EINVAL);
                continue;
            }
            assert_int_equal(ch4_npy_save(path, &t, NULL), CH4_OK);
            assert_int_equal(ch4_npy_load(&buf, &back, path, NULL), CH4_OK);
            assert_int_equal(back.dtype, d);
            assert_true(ch4_tensor_has_shape(&back, ranks[i], shapes[i]));
            assert_memory_equal(back.data, data, (size_t)ch4_tensor_count(&t) * ch4_dtype_size((ch4_dtype)d));
            ch4_buf_free(&buf);
        }
}

/* Bytes that numpy.save wrote for numpy.array([[1, -2]], dtype=numpy.int32). */
static void reads_and_writes_the_bytes_of_numpy(void **state)
{
    (void)state;
    unsigned char want[136] = "\x93NUMPY\x01\x00\x76\x00{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2), }";
    size_t n = 10 + strlen((char *)want + 10);
    memset(want + n, ' ', 127 - n);
    want[127] = '\n';
    int32_t data[2] = {1, -2};
    memcpy(want + 128, data, 8);
    write_file(want, 136);
    ch4_buf buf;
    ch4_tensor t;
    assert_int_equal(ch4_npy_load(&buf, &t, path, NULL), CH4_OK);
    assert_int_equal(t.dtype, CH4_DTYPE_I32);
    assert_memory_equal(t.data, data, 8);
    assert_int_equal(ch4_npy_save(path, &t, NULL), CH4_OK);
    ch4_buf_free(&buf);
    unsigned char got[137];
    FILE *f = fopen(path, "rb");
    assert_int_equal(fread(got, 1, sizeof(got), f), 136);
    fclose(f);
    assert_memory_equal(got, want, 136);
}

static void refuses_damaged_files(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '>i4', 'fortran_order': False, 'shape': (1, 2), }", "{'descr': '<i4', 'fortran_order': True, 'shape': (1, 2), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 3), }", "{'descr': '<i4', 'fortran_order': False, 'shape': (-1, -2), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "{'descr': '<i4', 'shape': (1, 2), }",
        "{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2",           "",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char file[256] = "\x93NUMPY\x01\x00";
        size_t n = strlen(headers[i]);
        file[8] = (char)n;
        memcpy(file + 10, headers[i], n);
        write_file(file, 10 + n + 8);
        ch4_buf buf;
        ch4_tensor t;
        ch4_err err = {0};
        assert_int_equal(ch4_npy_load(&buf, &t, path, &err), CH4_EFORMAT);
        assert_non_null(strstr(err.msg, path));
    }
    write_file("PK", 2);
    ch4_buf buf;
    ch4_tensor t;
    assert_int_equal(ch4_npy_load(&buf, &t, path, NULL), CH4_EFORMAT);
    unlink(path);
    assert_int_equal(ch4_npy_load(&buf, &t, path, NULL), CH4_ENOENT);
    assert_int_equal(ch4_npy_save("/nonexistent/x.npy", &(ch4_tensor){.dtype = CH4_DTYPE_F32}, NULL), CH4_ENOENT);
}

int main(void)
{
    snprintf(path, sizeof(path), "%s", "/tmp/ch4_npy.XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saves_what_it_loads),
        cmocka_unit_test(reads_and_writes_the_bytes_of_numpy),
        cmocka_unit_test(refuses_damaged_files),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
