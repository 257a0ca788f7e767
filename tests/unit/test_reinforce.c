/* Reliable token pairs as gains of the temporal denoiser's self-attention. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/capture.h"
#include "model/reinforce.h"
#include "model/sampler.h"
#include "tests/support/tiny_model.h"

enum { T = 2, N = 3, D = 4, S = 4 };

static ch4_nn *nn;
static ch4_denoiser *den;
static float x[T * N * D], context[T * S * 12];
static const float framestep[T] = {4, 7};
static const uint8_t mask[T] = {1, 0};

static int set_up(void **state)
{
    (void)state;
    char path[64];
    ch4_denoiser_config config = tiny_denoiser_config(CH4_DENOISER_TEMPORAL, 5);
    ch4_safetensors *file = NULL;
    snprintf(path, sizeof path, "/tmp/ch4_reinforce_%ld.safetensors", (long)getpid());
    tiny_fill(x, "input.x", T * N * D);
    tiny_fill(context, "input.context", T * S * 12);
    ch4_status st = ch4_nn_open(&nn, "cpu", 2, NULL);
    if (!st)
        st = tiny_denoiser_save(&config, path, NULL, NULL, NULL);
    if (!st)
        st = ch4_safetensors_open(&file, path, NULL);
    if (!st)
        st = ch4_denoiser_create(&den, nn, &config, file, NULL, NULL);
    ch4_safetensors_close(&file);
    unlink(path);
    return st;
}

static int tear_down(void **state)
{
    (void)state;
    ch4_denoiser_close(&den);
    ch4_nn_close(&nn);
    return 0;
}

static ch4_reinforce *make(const ch4_token_pair *pairs, int64_t n, ch4_reinforce_rows rows, double lambda, int layer)
{
    ch4_reinforce *r = NULL;
    ch4_err err = {0};
    ch4_reinforce_options o = {.rows = rows, .lambda = lambda};
    o.layer[layer] = true;
    if (ch4_reinforce_create(&r, pairs, n, T, N, 0, &o, &err))
        fail_msg("%s", err.msg);
    return r;
}

static void pairs_are_merged_by_their_best(void **state)
{
    (void)state;
    ch4_token_pair p[] = {{1, 2, 0, 0.5f}, {1, 0, 1, 0.1f}, {1, 2, 0, 0.7f}, {0, 2, 2, 0.2f}, {1, 2, 0, 0.6f}};
    static const ch4_token_pair want[] = {{0, 2, 2, 0.2f}, {1, 0, 1, 0.1f}, {1, 2, 0, 0.7f}};
    assert_int_equal(ch4_token_pairs_merge(p, 5), 3);
    for (int i = 0; i < 3; i++)
        assert_true(p[i].slot == want[i].slot && p[i].anchor == want[i].anchor && p[i].token == want[i].token && p[i].confidence == want[i].confidence);
    assert_int_equal(ch4_token_pairs_merge(NULL, 0), 0);
}

static void table_names_rows_of_the_whole_sequence(void **state)
{
    (void)state;
    const ch4_token_pair p[] = {{1, 0, 2, 0.5f}, {1, 2, 1, 1.0f}};
    ch4_reinforce *r = make(p, 2, CH4_REINFORCE_BOTH_ROWS, 3, 1);
    const ch4_denoiser_gain *g = ch4_reinforce_gain(r);
    assert_true(g->layer[1] && !g->layer[0]);
    /* rows 1, 2, 3 are the anchor's tokens, 5, 6, 7 those of slot 1 */
    static const int64_t row[T * (N + 1) + 1] = {0, 0, 1, 1, 2, 2, 2, 3, 4};
    static const int32_t key[4] = {7, 6, 3, 1};
    assert_memory_equal(g->table.row, row, sizeof row);
    assert_memory_equal(g->table.key, key, sizeof key);
    assert_true(fabsf(g->table.log_gain[0] - logf(2.5f)) < 1e-6f && fabsf(g->table.log_gain[2] - logf(4)) < 1e-6f);
    ch4_reinforce_destroy(&r);
    r = make(p, 2, CH4_REINFORCE_ANCHOR_ROWS, 3, 1);
    assert_int_equal(ch4_reinforce_gain(r)->table.row[T * (N + 1)], 2);
    assert_int_equal(ch4_reinforce_gain(r)->table.key[0], 7);
    ch4_reinforce_destroy(&r);
    r = make(p, 0, CH4_REINFORCE_BOTH_ROWS, 3, 1);
    assert_null(ch4_reinforce_gain(r));
    ch4_reinforce_destroy(&r);
}

static void bad_pairs_are_refused(void **state)
{
    (void)state;
    const ch4_reinforce_options o = {.lambda = 1};
    const ch4_token_pair bad[][2] = {{{1, 0, 0, 1}, {2, 0, 0, 1}}, {{0, 0, 0, 1}, {1, 0, 0, 1}}, {{1, 0, 0, 1}, {1, 3, 0, 1}}, {{1, 0, -1, 1}, {1, 0, 0, 1}},
                                     {{1, 0, 0, 0}, {1, 1, 0, 1}}, {{1, 0, 0, NAN}, {1, 1, 0, 1}}, {{1, 0, 0, 1}, {1, 0, 0, 1}}, {{1, 1, 0, 1}, {1, 0, 0, 1}}};
    ch4_reinforce *r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ch4_reinforce_create(&r, bad[i], 2, T, N, 0, &o, NULL), CH4_EINVAL);
}

/* Raw block [N,N] of frame 1's rows against the anchor's columns in one head of a layer. */
static void read_block(float *block, int layer, const ch4_denoiser_gain *gain)
{
    const ch4_capture_config g = {.n_layers = 1, .layer = {{.layer = layer, .n_heads = 1, .head = {1}}}, .direction = CH4_FRAME_TO_ANCHOR};
    ch4_capture *c;
    float v[T * N * D], time[T] = {0, 751.1211f}, map[T * N * N];
    assert_int_equal(ch4_capture_create(&c, nn, &g, T, N, S, 4, NULL), CH4_OK);
    assert_int_equal(ch4_denoiser_begin(den, T, N, context, S, NULL), CH4_OK);
    assert_int_equal(ch4_denoiser_forward(den, v, &(ch4_denoiser_in){x, time, framestep, true, gain}, ch4_capture_probe(c, true, false), NULL), CH4_OK);
    assert_int_equal(ch4_capture_read(c, map, NULL, NULL, NULL), CH4_OK);
    memcpy(block, map + N * N, N * N * sizeof *block);
    ch4_capture_destroy(&c);
}

/* In the layer itself: the row's sum grows by (gain - 1) times the pair's weight, and what is read is the model's own logit against it. */
static void only_the_chosen_row_of_the_chosen_layer_changes(void **state)
{
    (void)state;
    const ch4_token_pair p = {1, 0, 2, 1};
    float before[N * N], after[N * N];
    ch4_reinforce *r = make(&p, 1, CH4_REINFORCE_FRAME_ROWS, 9, 2);
    read_block(before, 2, NULL);
    read_block(after, 2, ch4_reinforce_gain(r));
    for (int t = 0; t < N; t++)
        for (int a = 0; a < N; a++)
            assert_true(fabsf(after[t * N + a] - before[t * N + a] / (t == 2 ? 1 + 9 * before[2 * N] : 1)) < 1e-6f);
    read_block(before, 1, NULL);
    read_block(after, 1, ch4_reinforce_gain(r));
    assert_memory_equal(after, before, sizeof after);
    read_block(before, 3, NULL);
    read_block(after, 3, ch4_reinforce_gain(r)); /* a later layer sees other tokens */
    assert_true(memcmp(after, before, sizeof after) != 0);
    ch4_reinforce_destroy(&r);
    r = make(&p, 1, CH4_REINFORCE_ANCHOR_ROWS, 9, 2);
    read_block(before, 2, NULL);
    read_block(after, 2, ch4_reinforce_gain(r)); /* frame rows are left alone */
    assert_memory_equal(after, before, sizeof after);
    ch4_reinforce_destroy(&r);
}

static void later_steps_only(void **state)
{
    (void)state;
    const ch4_token_pair p = {1, 1, 2, 1};
    ch4_reinforce *r = make(&p, 1, CH4_REINFORCE_BOTH_ROWS, 20, 2);
    ch4_sampler_config config = ch4_sampler_config_make(4, 3.0, 7.5);
    const ch4_sampler_in in = {.T = T, .N = N, .S = S, .noise = x, .known = x, .mask = mask, .framestep = framestep, .context = context};
    float plain[2][N * D], now[N * D], clean[T * N * D];
    for (int with = 0; with < 2; with++) {
        ch4_sampler *s = NULL;
        assert_int_equal(ch4_sampler_create(&s, den, &config, &in, NULL), CH4_OK);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(ch4_sampler_step(s, NULL, NULL), CH4_OK);
            memcpy(now, ch4_sampler_latents(s) + N * D, sizeof now);
            if (k == 1 && with) {
                assert_memory_equal(now, plain[0], sizeof now);
                ch4_sampler_predict(s, clean);
                assert_memory_equal(clean, x, N * D * sizeof *x); /* the known frame */
                for (int i = 0; i < N * D; i++)
                    assert_true(fabsf(clean[N * D + i] - (now[i] + ch4_sampler_times(s)[2] / 1000 * ch4_sampler_velocity(s, -1)[N * D + i])) < 1e-6f);
                ch4_sampler_reinforce(s, ch4_reinforce_gain(r));
            }
            if (!with && (k == 1 || k == 3))
                memcpy(plain[k / 2], now, sizeof now);
        }
        ch4_sampler_destroy(&s);
    }
    assert_true(memcmp(now, plain[1], sizeof now) != 0);
    ch4_reinforce_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_merged_by_their_best), cmocka_unit_test(table_names_rows_of_the_whole_sequence), cmocka_unit_test(bad_pairs_are_refused),
        cmocka_unit_test(only_the_chosen_row_of_the_chosen_layer_changes), cmocka_unit_test(later_steps_only),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
