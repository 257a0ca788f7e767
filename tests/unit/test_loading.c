/* How a denoiser holds its weights (as stored, widened, rounded; all in memory or one layer at a time) changes memory, not results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/denoiser.h"
#include "tests/support/tiny_model.h"

enum { T = 2, N = 5, D = 4, S = 4, LAYERS = 5, OUT = T * N * D };

static ch4_nn *nn;
static ch4_denoiser_config config;
static char path[64], half_path[80];
static float x[OUT], context[T * S * 12];

/* The file again with all matrices in another type. */
static void save_as(const char *to, const char *from, ch4_dtype dtype)
{
    ch4_safetensors *file = NULL;
    assert_int_equal(ch4_safetensors_open(&file, from, NULL), CH4_OK);
    int64_t n = ch4_safetensors_count(file);
    ch4_named_tensor *t = calloc((size_t)n, sizeof *t);
    for (int64_t i = 0; i < n; i++) {
        ch4_tensor src;
        assert_int_equal(ch4_safetensors_get(file, ch4_safetensors_name(file, i), &src, NULL), CH4_OK);
        int64_t count = ch4_tensor_count(&src);
        void *copy = malloc((size_t)count * 4);
        memcpy(copy, src.data, (size_t)count * 4);
        for (int64_t k = 0; src.rank == 2 && k < count; k++) {
            float v = ((const float *)src.data)[k];
            ((uint16_t *)copy)[k] = dtype == CH4_DTYPE_F16 ? ch4_f32_to_f16(v) : ch4_f32_to_bf16(v);
        }
        t[i] = (ch4_named_tensor){ch4_safetensors_name(file, i), ch4_tensor_view(copy, src.rank == 2 ? dtype : CH4_DTYPE_F32, src.rank, src.shape)};
    }
    assert_int_equal(ch4_safetensors_save(to, t, n, NULL), CH4_OK);
    for (int64_t i = 0; i < n; i++)
        free(t[i].tensor.data);
    free(t);
    ch4_safetensors_close(&file);
}

/* The file with a header one byte longer, so that no tensor is aligned. */
static void save_shifted(const char *to, const char *from)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    uint64_t header;
    int c;
    assert_int_equal(fread(&header, 8, 1, in), 1);
    header++;
    fwrite(&header, 8, 1, out);
    fputc(getc(in), out);
    fputc(' ', out);
    while ((c = getc(in)) != EOF)
        fputc(c, out);
    fclose(in);
    fclose(out);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/ch4_loading_%ld.safetensors", (long)getpid());
    snprintf(half_path, sizeof half_path, "%s.half", path);
    tiny_fill(x, "input.x", OUT);
    tiny_fill(context, "input.context", T * S * 12);
    config = tiny_denoiser_config(CH4_DENOISER_TEMPORAL, LAYERS);
    return ch4_nn_open(&nn, "cpu", 2, NULL) || tiny_denoiser_save(&config, path, NULL, NULL, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    ch4_nn_close(&nn);
    unlink(path);
    unlink(half_path);
    return 0;
}

/* Two windows with and without context; out [4][OUT]. */
static void run(float out[4][OUT], const char *file_path, ch4_weights_type type, bool offload)
{
    ch4_denoiser *den = NULL;
    ch4_safetensors *file = NULL;
    ch4_err err = {0};
    float time[T] = {0, 751.1211f};
    const float framestep[T] = {4, 7};
    const ch4_denoiser_loading loading = {type, offload};
    assert_int_equal(ch4_safetensors_open(&file, file_path, NULL), CH4_OK);
    if (ch4_denoiser_create(&den, nn, &config, file, &loading, &err))
        fail_msg("%s", err.msg);
    if (!offload)
        ch4_safetensors_close(&file); /* all is in memory */
    for (int pass = 0; pass < 4; pass++) {
        ch4_denoiser_in in = {.x = x, .time = time, .framestep = framestep, .use_context = pass % 2 == 0};
        if (pass % 2 == 0)
            assert_int_equal(ch4_denoiser_begin(den, T, N - pass / 2, context + pass, S, NULL), CH4_OK);
        memset(out[pass], 0, sizeof out[pass]);
        if (ch4_denoiser_forward(den, out[pass], &in, NULL, &err))
            fail_msg("%s", err.msg);
    }
    ch4_denoiser_close(&den);
    ch4_safetensors_close(&file);
}

static void assert_same_results(const char *a_path, ch4_weights_type a_type, bool a_offload, const char *b_path, ch4_weights_type b_type, bool b_offload)
{
    static float a[4][OUT], b[4][OUT];
    run(a, a_path, a_type, a_offload);
    run(b, b_path, b_type, b_offload);
    assert_true(a[0][0] != 0 && memcmp(a[0], a[1], sizeof a[0]) != 0); /* context counts */
    assert_memory_equal(a, b, sizeof a);
}

static void layers_in_turn_give_the_same_bytes(void **state)
{
    (void)state;
    assert_same_results(path, CH4_WEIGHTS_F32, false, path, CH4_WEIGHTS_F32, true);
    assert_same_results(path, CH4_WEIGHTS_BF16, false, path, CH4_WEIGHTS_BF16, true);
}

static void stored_halves_give_the_same_bytes_as_widened_ones(void **state)
{
    (void)state;
    static const ch4_dtype half[] = {CH4_DTYPE_F16, CH4_DTYPE_BF16};
    for (int i = 0; i < 2; i++) {
        save_as(half_path, path, half[i]);
        for (int offload = 0; offload < 2; offload++)
            assert_same_results(half_path, CH4_WEIGHTS_F32, false, half_path, CH4_WEIGHTS_STORED, offload);
    }
}

static void rounding_at_load_equals_a_rounded_file(void **state)
{
    (void)state;
    static float exact[4][OUT], rounded[4][OUT];
    save_as(half_path, path, CH4_DTYPE_BF16);
    assert_same_results(path, CH4_WEIGHTS_BF16, true, half_path, CH4_WEIGHTS_STORED, false);
    run(exact, path, CH4_WEIGHTS_STORED, false);
    run(rounded, path, CH4_WEIGHTS_BF16, false);
    assert_memory_not_equal(exact, rounded, sizeof exact);
}

static void files_that_align_nothing_are_read(void **state)
{
    (void)state;
    save_shifted(half_path, path);
    for (int offload = 0; offload < 2; offload++)
        assert_same_results(path, CH4_WEIGHTS_STORED, false, half_path, CH4_WEIGHTS_STORED, offload);
    assert_same_results(path, CH4_WEIGHTS_BF16, false, half_path, CH4_WEIGHTS_BF16, true);
}

static size_t survey_bytes(const char *file_path, ch4_weights_type type, bool offload)
{
    ch4_safetensors *file = NULL;
    ch4_weights_report report = {0};
    assert_int_equal(ch4_safetensors_open(&file, file_path, NULL), CH4_OK);
    assert_int_equal(ch4_denoiser_survey(&config, file, &(ch4_denoiser_loading){type, offload}, &report, NULL), CH4_OK);
    assert_int_equal(report.problems, 0);
    ch4_safetensors_close(&file);
    return report.bytes;
}

/* Counted by hand from the tensor table: width C, feed-forward I, context X, head width HEAD. */
static void survey_tells_the_memory(void **state)
{
    (void)state;
    enum { C = 32, I = 128, X = 12, HEAD = 8 };
    const size_t head = (4 * C * C + 4 * C + 4 * C * C + C + C * D + C) + (2 * C + D * C + D);
    const size_t matrices = 3 * C * C + C * C + (C * C + 2 * C * X + C * C) + 2 * I * C, vectors = 6 * C + 4 * HEAD + 2 * C + I + C;
    const size_t skip_matrix = 2 * C * C, skip_vectors = 3 * C;
    size_t all = head + LAYERS * (matrices + vectors) + 2 * (skip_matrix + skip_vectors);
    assert_int_equal(survey_bytes(path, CH4_WEIGHTS_F32, false), 4 * all);
    assert_int_equal(survey_bytes(path, CH4_WEIGHTS_STORED, false), 4 * all);
    size_t head_matrices = 8 * C * C + 2 * C * D, all_matrices = head_matrices + LAYERS * matrices + 2 * skip_matrix;
    assert_int_equal(survey_bytes(path, CH4_WEIGHTS_BF16, false), 4 * all - 2 * all_matrices);
    /* one layer, the largest, instead of five; tensors in the slot begin at multiples of 64 bytes */
    size_t slot = survey_bytes(path, CH4_WEIGHTS_F32, true) - 4 * head, layer = 4 * (matrices + vectors + skip_matrix + skip_vectors);
    assert_true(slot >= layer && slot < layer + 64 * 25);
}

static void bad_layers_are_named_at_open(void **state)
{
    (void)state;
    ch4_denoiser *den = NULL;
    ch4_safetensors *file = NULL;
    ch4_err err = {0};
    assert_int_equal(tiny_denoiser_save(&config, half_path, "blocks.3.s_attn.to_k.weight", NULL, NULL), CH4_OK);
    assert_int_equal(ch4_safetensors_open(&file, half_path, NULL), CH4_OK);
    assert_int_equal(ch4_denoiser_create(&den, nn, &config, file, &(ch4_denoiser_loading){.offload = true}, &err), CH4_EFORMAT);
    assert_null(den);
    assert_non_null(strstr(err.msg, "tensor blocks.3.s_attn.to_k.weight is missing"));
    ch4_safetensors_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_in_turn_give_the_same_bytes),     cmocka_unit_test(stored_halves_give_the_same_bytes_as_widened_ones),
        cmocka_unit_test(rounding_at_load_equals_a_rounded_file), cmocka_unit_test(files_that_align_nothing_are_read),
        cmocka_unit_test(survey_tells_the_memory),                cmocka_unit_test(bad_layers_are_named_at_open),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
