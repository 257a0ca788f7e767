#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/base.h"

static void err_wraps_in_front_and_stays_one_line(void **state)
{
    (void)state;
    ch4_err err = {0};
    assert_int_equal(ch4_err_set(&err, CH4_EIO, "a\nb"), CH4_EIO);
    assert_int_equal(ch4_err_wrap(&err, CH4_EIO, "window %d", 3), CH4_EIO);
    assert_string_equal(err.msg, "window 3: a b");
    assert_int_equal(ch4_err_set_errno(&err, ENOSPC, "f"), CH4_ENOSPC);
    assert_int_equal(ch4_status_exit_code(CH4_EFORMAT), 3);
    assert_string_equal(ch4_status_name(CH4_EAGAIN), "CH4_EAGAIN");
}

static void size_product_overflow_is_an_error(void **state)
{
    (void)state;
    size_t bytes;
    int64_t huge[] = {INT64_MAX, 4}, neg[] = {3, -1}, fine[] = {3, 5}, none[] = {0, 1ll << 40, 7}, stride[] = {0, 1ll << 40, 1ll << 40};
    assert_int_equal(ch4_size_bytes(&bytes, huge, 2, 4, NULL), CH4_EINVAL);
    assert_int_equal(ch4_size_bytes(&bytes, neg, 2, 4, NULL), CH4_EINVAL);
    assert_int_equal(ch4_size_bytes(&bytes, fine, 2, 4, NULL), CH4_OK);
    assert_int_equal(bytes, 60);
    assert_int_equal(ch4_size_bytes(&bytes, none, 3, 4, NULL), CH4_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(ch4_size_bytes(&bytes, stride, 3, 4, NULL), CH4_EINVAL);
}

/* Known-answer test of the authors for Philox 4x32-10, counter and key zero. */
static void rng_matches_philox_known_answer(void **state)
{
    (void)state;
    ch4_rng r = ch4_rng_at(0, 0);
    assert_int_equal(ch4_rng_u32(&r), 0x6627e8d5u);
    assert_int_equal(ch4_rng_u32(&r), 0xe169c58du);
    assert_int_equal(ch4_rng_u32(&r), 0xbc57ac4cu);
    assert_int_equal(ch4_rng_u32(&r), 0x9b00dbd8u);
}

static void rng_normal_has_unit_moments(void **state)
{
    (void)state;
    ch4_rng r = ch4_rng_at(7, 1);
    double s = 0, s2 = 0;
    enum { N = 100000 };
    for (int i = 0; i < N; i++) {
        double x = ch4_rng_normal(&r);
        s += x;
        s2 += x * x;
    }
    assert_true(fabs(s / N) < 0.02);
    assert_true(fabs(s2 / N - 1) < 0.02);
}

static void hash_is_the_same_in_pieces(void **state)
{
    (void)state;
    char whole[CH4_HASH_HEX], parts[CH4_HASH_HEX];
    ch4_hash *h = NULL;
    ch4_hash_bytes(whole, "chain4d", 7);
    assert_int_equal(ch4_hash_create(&h, NULL), CH4_OK);
    ch4_hash_update(h, "chai", 4);
    ch4_hash_update(h, "n4d", 3);
    ch4_hash_hex(h, parts);
    ch4_hash_destroy(&h);
    assert_string_equal(whole, parts);
}

static atomic_int visits[1000];

static void visit(void *ctx, int64_t item, int worker)
{
    assert_true(worker >= 0 && worker < *(int *)ctx);
    atomic_fetch_add(&visits[item], 1);
}

static void pool_runs_every_item_once(void **state)
{
    (void)state;
    int n = 3;
    ch4_pool *pool = NULL;
    assert_int_equal(ch4_pool_create(&pool, n, NULL), CH4_OK);
    for (int round = 0; round < 50; round++)
        ch4_pool_run(pool, 1000, visit, &n);
    ch4_pool_destroy(&pool);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(visits[i], 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_wraps_in_front_and_stays_one_line), cmocka_unit_test(size_product_overflow_is_an_error),
        cmocka_unit_test(rng_matches_philox_known_answer),       cmocka_unit_test(rng_normal_has_unit_moments),
        cmocka_unit_test(hash_is_the_same_in_pieces),            cmocka_unit_test(pool_runs_every_item_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
