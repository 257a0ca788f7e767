#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tensor/safetensors.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/ch4_st_%ld.safetensors", (long)getpid());
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static void write_raw(const char *header, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    uint64_t n = strlen(header);
    fwrite(&n, 8, 1, f);
    fwrite(header, 1, n, f);
    fwrite(data, 1, size, f);
    fclose(f);
}

static void round_trip_keeps_values(void **state)
{
    (void)state;
    float a[6] = {1, 2, 3, 4, 5, 6};
    uint8_t b[3] = {7, 8, 9};
    ch4_named_tensor t[] = {{"b", CH4_VIEW(b, CH4_DTYPE_U8, 3)}, {"a", CH4_F32(a, 2, 3)}};
    ch4_safetensors *f = NULL;
    ch4_err err = {0};
    assert_int_equal(ch4_safetensors_save(path, t, 2, &err), CH4_OK);
    assert_int_equal(ch4_safetensors_open(&f, path, &err), CH4_OK);
    assert_int_equal(ch4_safetensors_count(f), 2);
    assert_string_equal(ch4_safetensors_name(f, 0), "a");
    ch4_tensor v; /* "a" starts at byte 3 of the data: allowed by the container, aligned by the reader */
    assert_int_equal(ch4_safetensors_get(f, "a", &v, &err), CH4_OK);
    assert_int_equal((uintptr_t)v.data % sizeof(float), 0);
    assert_memory_equal(v.data, a, sizeof a);
    assert_int_equal(ch4_safetensors_get(f, "b", &v, &err), CH4_OK);
    assert_memory_equal(v.data, b, sizeof b);
    ch4_safetensors_close(&f);
}

static void aligned_round_trip(void **state)
{
    (void)state;
    float a[6] = {1, 2, 3, 4, 5, 6}, back[6];
    ch4_named_tensor t[] = {{"a", CH4_F32(a, 2, 3)}};
    ch4_safetensors *f = NULL;
    assert_int_equal(ch4_safetensors_save(path, t, 1, NULL), CH4_OK);
    assert_int_equal(ch4_safetensors_open(&f, path, NULL), CH4_OK);
    ch4_tensor v;
    assert_int_equal(ch4_safetensors_get(f, "a", &v, NULL), CH4_OK);
    assert_true(ch4_tensor_has_shape(&v, 2, (int64_t[]){2, 3}));
    assert_int_equal(ch4_tensor_to_f32(back, &v, NULL), CH4_OK);
    assert_memory_equal(a, back, sizeof a);
    ch4_err err = {0};
    assert_int_equal(ch4_safetensors_get(f, "zz", &v, &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "zz"));
    ch4_safetensors_close(&f);
}

static void hostile_headers_are_errors(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,16]}}",                       /* shape and range disagree */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[4,20]}}",                       /* beyond the file */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}",                      /* negative size */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}",                       /* reversed */
        "{\"a\":{\"dtype\":\"Q4\",\"shape\":[4],\"data_offsets\":[0,16]}}",                        /* dtype */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",                        /* 8 bytes belong to nobody */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}",   /* overflow */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,1099511627776,1099511627776],\"data_offsets\":[0,0]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",                       /* overflow behind a size of 0 */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"b\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", /* one range twice */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[-16,0]}}",                      /* negative offset */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,32]}}",                       /* truncated: 16 bytes are there */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,18446744073709551616]}}",     /* no integer of 64 bits */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,4],\"data_offsets\":[0,16]}}",             /* rank */
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]}}",
        "{\"a\":3}", "[]", "{", "",
    };
    float data[4] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_raw(bad[i], data, sizeof data);
        ch4_safetensors *f = NULL;
        ch4_err err = {0};
        ch4_status st = ch4_safetensors_open(&f, path, &err);
        if (st != CH4_EFORMAT || f)
            fail_msg("header %zu was accepted: %s", i, bad[i]);
        assert_non_null(strstr(err.msg, path));
    }
}

static void header_longer_than_file_is_an_error(void **state)
{
    (void)state;
    FILE *f = fopen(path, "wb");
    uint64_t n = UINT64_MAX;
    fwrite(&n, 8, 1, f);
    fclose(f);
    ch4_safetensors *s = NULL;
    assert_int_equal(ch4_safetensors_open(&s, path, NULL), CH4_EFORMAT);
    assert_int_equal(ch4_safetensors_open(&s, "/nonexistent/x", NULL), CH4_ENOENT);
}

static void half_conversion_is_exact_over_all_values(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float x = ch4_f16_to_f32((uint16_t)h);
        if (isnan(x))
            assert_true(isnan(ch4_f16_to_f32(ch4_f32_to_f16(x))));
        else
            assert_int_equal(ch4_f32_to_f16(x), h);
    }
    assert_int_equal(ch4_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(ch4_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(ch4_f32_to_f16(1.0f + 0x1p-11f), 0x3c00); /* tie to even */
    assert_int_equal(ch4_f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
}

/* --- models in parts --- */

static char part[2][80], index_path[80];

static int make_parts(void **state)
{
    static float a[2] = {1, 2}, b[3] = {3, 4, 5}, c[1] = {6};
    const ch4_named_tensor first[] = {{"a", CH4_F32(a, 2)}, {"c", CH4_F32(c, 1)}}, second[] = {{"b", CH4_F32(b, 3)}};
    make_path(state);
    for (int i = 0; i < 2; i++)
        snprintf(part[i], sizeof part[i], "%s-%d", path, i);
    snprintf(index_path, sizeof index_path, "%s.index.json", path);
    return ch4_safetensors_save(part[0], first, 2, NULL) || ch4_safetensors_save(part[1], second, 1, NULL);
}

static int remove_parts(void **state)
{
    (void)state;
    unlink(part[0]);
    unlink(part[1]);
    unlink(index_path);
    return 0;
}

/* Writes an index, in which %0 and %1 stand for the names of the parts, and opens it. */
static ch4_status open_index(ch4_safetensors **f, const char *text, ch4_err *err)
{
    FILE *file = fopen(index_path, "w");
    for (const char *p = text; *p; p++)
        if (*p == '%')
            fputs(strrchr(part[*++p - '0'], '/') + 1, file);
        else
            fputc(*p, file);
    fclose(file);
    return ch4_safetensors_open(f, index_path, err);
}

static void parts_are_one_model(void **state)
{
    (void)state;
    ch4_safetensors *f = NULL;
    ch4_err err = {0};
    ch4_tensor v;
    if (open_index(&f, "{\"metadata\": {\"total_size\": 24}, \"weight_map\": {\"c\": \"%0\", \"b\": \"%1\", \"a\": \"%0\"}}", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(ch4_safetensors_count(f), 3);
    assert_string_equal(ch4_safetensors_name(f, 1), "b");
    assert_string_equal(ch4_safetensors_path(f), index_path);
    assert_string_equal(ch4_safetensors_path_of(f, "b"), part[1]);
    assert_string_equal(ch4_safetensors_path_of(f, "nosuch"), index_path);
    assert_int_equal(ch4_safetensors_get(f, "b", &v, &err), CH4_OK);
    assert_true(((const float *)v.data)[2] == 5);
    ch4_safetensors_close(&f);
}

static void parts_that_disagree_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        ch4_status status;
    } c[] = {
        {"{\"weight_map\": {\"a\": \"%0\", \"b\": \"%1\"}}", "tensor 'c' is not listed", CH4_EFORMAT},
        {"{\"weight_map\": {\"a\": \"%0\", \"b\": \"%0\", \"c\": \"%0\"}}", "tensor 'b' is missing", CH4_EFORMAT},
        {"{\"weight_map\": {\"a\": \"nosuch\"}}", "nosuch", CH4_ENOENT},
        {"{\"weight_map\": {\"a\": \"../%0\"}}", "same folder", CH4_EFORMAT},
        {"{\"weight_map\": {\"a\": \"%0.index.json\"}}", "no index", CH4_EFORMAT},
        {"{\"weight_map\": {\"a\": 7}}", "file name", CH4_EFORMAT},
        {"{\"weight_map\": {\"a\": \"%0\", \"a\": \"%0\"}}", "duplicate", CH4_EFORMAT},
        {"{\"weight_map\": []}", "weight_map", CH4_EFORMAT},
        {"{", "index.json:", CH4_EFORMAT},
    };
    for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
        ch4_safetensors *f = NULL;
        ch4_err err = {0};
        assert_int_equal(open_index(&f, c[i].text, &err), c[i].status);
        assert_null(f);
        if (!strstr(err.msg, c[i].says))
            fail_msg("case %zu: %s", i, err.msg);
    }
}

/* An index that names itself must not be followed for ever. */
static void index_of_indices_is_an_error(void **state)
{
    (void)state;
    ch4_safetensors *f = NULL;
    ch4_err err = {0};
    char text[160];
    snprintf(text, sizeof text, "{\"weight_map\": {\"a\": \"%s\"}}", strrchr(index_path, '/') + 1);
    assert_int_equal(open_index(&f, text, &err), CH4_EFORMAT);
    assert_non_null(strstr(err.msg, "index"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip_keeps_values, make_path, remove_path),
        cmocka_unit_test_setup_teardown(aligned_round_trip, make_path, remove_path),
        cmocka_unit_test_setup_teardown(hostile_headers_are_errors, make_path, remove_path),
        cmocka_unit_test_setup_teardown(header_longer_than_file_is_an_error, make_path, remove_path),
        cmocka_unit_test_setup_teardown(parts_are_one_model, make_parts, remove_parts),
        cmocka_unit_test_setup_teardown(parts_that_disagree_are_errors, make_parts, remove_parts),
        cmocka_unit_test_setup_teardown(index_of_indices_is_an_error, make_parts, remove_parts),
        cmocka_unit_test(half_conversion_is_exact_over_all_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
