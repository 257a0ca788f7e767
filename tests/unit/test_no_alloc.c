/* A network's block loop allocates nothing: calls of the allocator are counted over a whole forward pass after the window was begun. The
 * ops of backend "cpu" take their scratch from ch4_nn, made at open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model/capture.h"
#include "model/denoiser.h"
#include "tests/support/tiny_model.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0 /* the sanitizer owns the allocator */
#else
#define COUNTS 1
#endif

static atomic_long calls;

#if COUNTS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* Take the place of the C library's, which they call. */
void *malloc(size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&calls, 1);
    return __libc_memalign(alignment, size);
}
#endif

static void count_calls(const ch4_denoiser_loading *loading)
{
    enum { T = 3, N = 20, S = 10 };
    static float x[T * N * 4], context[T * S * 12], v[T * N * 4], time[T] = {0, 900, 900}, framestep[T] = {0, 1, 2};
    char path[64];
    snprintf(path, sizeof path, "/tmp/ch4_alloc_%ld.safetensors", (long)getpid());
    ch4_denoiser_config config = tiny_denoiser_config(CH4_DENOISER_TEMPORAL, 5);
    ch4_capture_config reading = {.n_layers = 1, .layer = {{.layer = 2}}};
    ch4_safetensors *file = NULL;
    ch4_nn *nn = NULL;
    ch4_denoiser *den = NULL;
    ch4_capture *capture = NULL;
    tiny_fill(x, "input.x", T * N * 4);
    tiny_fill(context, "input.context", T * S * 12);
    assert_int_equal(ch4_nn_open(&nn, "ref", 1, NULL), CH4_OK); /* OpenBLAS allocates inside its own kernels for small products */
    assert_int_equal(tiny_denoiser_save(&config, path, NULL, NULL, NULL), CH4_OK);
    assert_int_equal(ch4_safetensors_open(&file, path, NULL), CH4_OK);
    assert_int_equal(ch4_denoiser_create(&den, nn, &config, file, loading, NULL), CH4_OK);
    assert_int_equal(ch4_capture_create(&capture, nn, &reading, T, N, S, config.num_heads, NULL), CH4_OK);
    assert_int_equal(ch4_denoiser_begin(den, T, N, context, S, NULL), CH4_OK);
    long before = atomic_load(&calls);
    assert_true(before > 10); /* the counter counts */
    const ch4_denoiser_in in = {.x = x, .time = time, .framestep = framestep, .use_context = true};
    assert_int_equal(ch4_denoiser_forward(den, v, &in, ch4_capture_probe(capture, true, true), NULL), CH4_OK);
    assert_int_equal(atomic_load(&calls) - before, 0);
    ch4_capture_destroy(&capture);
    ch4_denoiser_close(&den);
    ch4_safetensors_close(&file);
    ch4_nn_close(&nn);
    unlink(path);
}

static void forward_allocates_nothing(void **state)
{
    (void)state;
    if (!COUNTS)
        skip();
    count_calls(NULL);
}

static void layers_in_turn_allocate_nothing(void **state)
{
    (void)state;
    if (!COUNTS)
        skip();
    count_calls(&(ch4_denoiser_loading){.type = CH4_WEIGHTS_STORED, .offload = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward_allocates_nothing), cmocka_unit_test(layers_in_turn_allocate_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
