/* Small parts of lib/model: assignment, windows, schedules, farthest points, resizing, model.yaml. */
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

#include "base/rng.h"
#include "bundle/model_info.h"
#include "model/assignment.h"
#include "model/image_processor.h"
#include "model/schedule.h"
#include "model/vae.h"
#include "model/windows.h"

static double best_cost(const double *cost, int n, int row, unsigned used)
{
    if (row == n)
        return 0;
    double best = INFINITY;
    for (int j = 0; j < n; j++)
        if (!(used >> j & 1))
            best = fmin(best, cost[row * n + j] + best_cost(cost, n, row + 1, used | 1u << j));
    return best;
}

static void assignment_is_optimal(void **state)
{
    (void)state;
    ch4_rng rng = ch4_rng_at(7, 1);
    for (int n = 1; n <= 7; n++)
        for (int trial = 0; trial < 20; trial++) {
            double cost[49], sum = 0;
            int64_t column[7];
            unsigned used = 0;
            for (int i = 0; i < n * n; i++)
                cost[i] = trial % 2 ? ch4_rng_normal(&rng) : (double)ch4_rng_below(&rng, 4); /* with ties */
            assert_int_equal(ch4_assign(column, cost, n, NULL), CH4_OK);
            for (int i = 0; i < n; i++) {
                sum += cost[i * n + column[i]];
                used |= 1u << column[i];
            }
            assert_int_equal(used, (1u << n) - 1);
            assert_true(fabs(sum - best_cost(cost, n, 0, 0)) < 1e-9);
        }
    double bad[1] = {NAN};
    int64_t column[1];
    ch4_err err = {0};
    assert_int_equal(ch4_assign(column, bad, 1, &err), CH4_EINVAL);
}

static void assignment_undoes_a_permutation(void **state)
{
    (void)state;
    enum { N = 50, D = 6 };
    float tokens[N * D], noise[N * D], out[N * D];
    ch4_rng rng = ch4_rng_at(8, 1);
    for (int i = 0; i < N * D; i++)
        tokens[i] = (float)ch4_rng_normal(&rng);
    for (int i = 0; i < N; i++)
        memcpy(noise + (i * 17 + 5) % N * D, tokens + i * D, D * sizeof *noise);
    assert_int_equal(ch4_assign_noise(out, noise, tokens, N, D, NULL), CH4_OK);
    assert_memory_equal(out, tokens, sizeof out);
}

static void windows_follow_the_rule(void **state)
{
    (void)state;
    ch4_window_list w;
    assert_int_equal(ch4_window_list_init(&w, 0, 240, 16, 15, NULL), CH4_OK);
    assert_int_equal(w.count, 16);
    assert_int_equal(w.frame[w.offset[15]], 224); /* moved back to stay full */
    assert_int_equal(w.frame[w.offset[16] - 1], 239);
    ch4_window_list_fini(&w);
    assert_int_equal(ch4_window_list_init(&w, 3, 8, 16, 15, NULL), CH4_OK); /* shorter than a window, anchor inside */
    static const int64_t want[8] = {3, 0, 1, 2, 4, 5, 6, 7};
    assert_int_equal(w.count, 1);
    assert_memory_equal(w.frame, want, sizeof want);
    ch4_window_list_fini(&w);
    ch4_err err = {0};
    assert_int_equal(ch4_window_list_init(&w, 0, 10, 4, 5, &err), CH4_EINVAL);
    assert_int_equal(ch4_window_list_init(&w, 10, 10, 4, 3, &err), CH4_EINVAL);
    assert_null(w.frame);
}

/* Whatever the length and the anchor: every frame is in some window, no window is too long or holds a frame twice, the first begins with the
 * anchor, every other one with known frames and then new ones, and it is anchored at the known frame beside the new ones. */
static void check_windows(int64_t anchor, int64_t total)
{
    enum { SIZE = 16, SLIDE = 15 };
    ch4_window_list w;
    uint8_t *known = calloc((size_t)total, 1), slot[SIZE];
    int64_t n_known = 0;
    assert_int_equal(ch4_window_list_init(&w, anchor, total, SIZE, SLIDE, NULL), CH4_OK);
    assert_int_equal(w.frame[0], anchor);
    for (int64_t i = 0; i < w.count; i++) {
        const int64_t *f = w.frame + w.offset[i];
        int64_t n = w.offset[i + 1] - w.offset[i], shared = 0;
        assert_true(n >= 1 && n <= SIZE);
        for (int64_t k = 0; k < n; k++) {
            assert_true(f[k] >= 0 && f[k] < total);
            slot[k] = known[f[k]];
            shared += slot[k];
        }
        for (int64_t k = 0; k < n; k++)
            assert_int_equal(slot[k], k < shared);
        assert_true(i == 0 ? shared == 0 : shared >= 1 && shared < n);
        int64_t a = ch4_window_anchor_slot(slot, n);
        assert_int_equal(a, shared ? shared - 1 : 0);
        if (i > 0)
            assert_int_equal(llabs(f[a] - f[a + 1]), 1);
        for (int64_t k = 0; k < n; k++) {
            n_known += !known[f[k]];
            known[f[k]] = 1;
        }
        assert_int_equal(n_known, shared ? n_known : n);
    }
    assert_int_equal(n_known, total);
    ch4_window_list_fini(&w);
    free(known);
}

static void windows_cover_every_clip_once(void **state)
{
    (void)state;
    for (int64_t total = 1; total <= 100; total++)
        for (int64_t anchor = 0; anchor < total; anchor++)
            check_windows(anchor, total);
    const int64_t longer[] = {240, 241, 1000, 100000};
    for (int i = 0; i < 4; i++) {
        check_windows(0, longer[i]);
        check_windows(longer[i] / 2, longer[i]);
        check_windows(longer[i] - 1, longer[i]);
    }
}

static void schedule_ends_above_zero(void **state)
{
    (void)state;
    float t[5], d[4];
    ch4_schedule_temporal(t, d, 4, 3.0, 1000);
    static const float want[5] = {1000, 900.3591f, 751.1211f, 502.9851f, 8.928571f};
    for (int i = 0; i < 5; i++)
        assert_true(fabsf(t[i] - want[i]) < 1e-3f);
    assert_true(fabsf(d[0] + d[1] + d[2] + d[3] - 0.99107143f) < 1e-6f);
}

static void queries_are_distinct_and_seeded(void **state)
{
    (void)state;
    enum { P = 200, N = 20 };
    float surface[P * 6];
    int64_t a[P], b[N], c[N];
    ch4_rng rng = ch4_rng_at(3, 3);
    for (int i = 0; i < P * 6; i++)
        surface[i] = (float)ch4_rng_range(&rng, -1, 1);
    assert_int_equal(ch4_vae_pick_queries(a, surface, P, N, 4, 1, NULL), CH4_OK);
    assert_int_equal(ch4_vae_pick_queries(b, surface, P, N, 4, 1, NULL), CH4_OK);
    assert_int_equal(ch4_vae_pick_queries(c, surface, P, N, 4, 2, NULL), CH4_OK);
    assert_memory_equal(a, b, sizeof b);
    assert_true(memcmp(a, c, sizeof c) != 0);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++)
            assert_true(a[i] != a[j]);
    assert_int_equal(ch4_vae_pick_queries(a, surface, 3, N, 4, 1, NULL), CH4_OK); /* fewer points than tokens: with repeats */
    assert_int_equal(ch4_vae_pick_queries(a, surface, P, P, 0, 1, NULL), CH4_OK); /* all points are candidates */
}

static void resize_keeps_flat_pictures_flat(void **state)
{
    (void)state;
    uint8_t in[30 * 20 * 3], out[7 * 41 * 3];
    memset(in, 173, sizeof in);
    assert_int_equal(ch4_image_resize(out, 7, 41, in, 30, 20, NULL), CH4_OK);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], 173);
    ch4_image_processor p = ch4_image_processor_defaults();
    p.shortest_edge = 10;
    p.crop_height = p.crop_width = 12;
    float pixels[3 * 12 * 12];
    assert_int_equal(ch4_image_process(&p, pixels, in, 30, 20, NULL), CH4_EINVAL);
}

static void model_yaml_is_checked(void **state)
{
    (void)state;
    char path[64];
    ch4_model_info info;
    ch4_err err = {0};
    snprintf(path, sizeof path, "/tmp/ch4_model_%ld.yaml", (long)getpid());
    static const struct {
        const char *text, *message; /* message NULL: good */
    } file[] = {
        {"name: tiny\nnoise: matched\nattention:\n  layers: [3, 4]\n  heads: [0, 1]\n  step: last\n", NULL},
        {"attention: {layers: [3, 4], heads: [0]}\n", "attention.heads"},
        {"attention: {layers: []}\n", "attention.layers"},
        {"noise: purple\n", "noise"},
    };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        FILE *f = fopen(path, "w");
        fputs(file[i].text, f);
        fclose(f);
        ch4_status st = ch4_model_info_load(&info, path, NULL, &err);
        assert_int_equal(st, file[i].message ? CH4_ECONFIG : CH4_OK);
        if (file[i].message) {
            assert_non_null(strstr(err.msg, file[i].message));
            continue;
        }
        int64_t step;
        assert_int_equal(info.noise, CH4_MODEL_NOISE_MATCHED);
        assert_int_equal(ch4_model_info_step(&step, &info, 4, &err), CH4_OK);
        assert_int_equal(step, 3);
        ch4_model_info_fini(&info);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignment_is_optimal),         cmocka_unit_test(assignment_undoes_a_permutation), cmocka_unit_test(windows_follow_the_rule),
        cmocka_unit_test(windows_cover_every_clip_once),
        cmocka_unit_test(schedule_ends_above_zero),      cmocka_unit_test(queries_are_distinct_and_seeded), cmocka_unit_test(resize_keeps_flat_pictures_flat),
        cmocka_unit_test(model_yaml_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
