/* Sections rng (the random streams of the public evaluation code) and pingpong (which source frame a long clip shows). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_eval.h"
#include "tools/eval/drift.h"
#include "tools/eval/reference_rng.h"
#include "tools/synth/splitmix.h"

static void check_array(ch4_golden_case *c, json_t *want, const double *got, const char *name)
{
    bool same = json_array_size(want) > 0;
    for (size_t i = 0; i < json_array_size(want); i++)
        same = same && json_number_value(json_array_get(want, i)) == got[i];
    ch4_golden_check_true(c, same, "%s", name);
}

static ch4_status check_permutations(ch4_golden_case *c, json_t *all, ch4_err *err)
{
    const char *key;
    json_t *want;
    json_object_foreach(all, key, want) {
        unsigned seed;
        long n;
        int32_t *order;
        if (sscanf(key, "seed=%u,n=%ld", &seed, &n) != 2 || n < 1 || n > 100000000)
            return ch4_err_set(err, CH4_EFORMAT, "permutation '%s'", key);
        ch4_status st = ch4_golden_alloc(c, &order, (size_t)n, sizeof *order, err);
        if (st != CH4_OK)
            return st;
        ch4_numpy_permutation(order, n, seed);
        json_t *first = json_object_get(want, "first"), *last = json_object_get(want, "last"), *sum_want = json_object_get(want, "sum_first_10000");
        bool same = json_array_size(first) > 0 && json_array_size(first) <= (size_t)n && json_array_size(last) <= (size_t)n;
        for (size_t i = 0; same && i < json_array_size(first); i++)
            same = json_integer_value(json_array_get(first, i)) == order[i];
        for (size_t i = 0; same && i < json_array_size(last); i++)
            same = json_integer_value(json_array_get(last, i)) == order[n - (int64_t)json_array_size(last) + (int64_t)i];
        int64_t sum = 0;
        for (int64_t i = 0; i < n && i < 10000; i++)
            sum += order[i];
        ch4_golden_check_true(c, same && sum == json_integer_value(sum_want), "permutation %s", key);
    }
    return CH4_OK;
}

static void check_uniforms(ch4_golden_case *c, json_t *all)
{
    const char *key;
    json_t *want;
    json_object_foreach(all, key, want) {
        double got[64];
        ch4_pcg64 g;
        ch4_pcg64_seed(&g, strtoull(key + strcspn(key, "=") + (strchr(key, '=') != NULL), NULL, 10));
        for (size_t i = 0; i < json_array_size(want) && i < 64; i++)
            got[i] = ch4_pcg64_uniform(&g);
        ch4_golden_check_true(c, json_array_size(want) <= 64, "default_rng %s: size", key);
        check_array(c, want, got, key);
    }
}

static ch4_status check_torch(ch4_golden_case *c, json_t *torch, ch4_err *err)
{
    enum { MOST = 64 };
    json_t *weights = json_object_get(torch, "weights"), *u = json_object_get(torch, "then_rand_u"), *v = json_object_get(torch, "then_rand_v");
    json_t *drawn = json_object_get(torch, "multinomial_24");
    size_t n_weight = json_array_size(weights), n = json_array_size(drawn);
    float weight[MOST], scratch[MOST];
    int32_t index[MOST];
    double got[MOST];
    if (n_weight < 1 || n_weight > MOST || n > MOST || json_array_size(u) > MOST || json_array_size(v) > MOST)
        return ch4_err_set(err, CH4_EFORMAT, "sizes of the torch streams");
    for (size_t i = 0; i < n_weight; i++)
        weight[i] = (float)json_number_value(json_array_get(weights, i));
    ch4_mt19937 g;
    ch4_mt19937_seed(&g, (uint32_t)json_integer_value(json_object_get(torch, "seed")));
    ch4_torch_multinomial(index, (int64_t)n, weight, (int64_t)n_weight, scratch, &g);
    for (size_t i = 0; i < n; i++)
        got[i] = index[i];
    check_array(c, drawn, got, "torch multinomial");
    for (size_t i = 0; i < json_array_size(u); i++)
        got[i] = ch4_torch_uniform24(&g);
    check_array(c, u, got, "torch rand u");
    for (size_t i = 0; i < json_array_size(v); i++)
        got[i] = ch4_torch_uniform24(&g);
    check_array(c, v, got, "torch rand v");
    return CH4_OK;
}

static void check_splitmix(ch4_golden_case *c, json_t *want)
{
    uint64_t state = (uint64_t)json_integer_value(json_object_get(want, "seed"));
    json_t *words = json_object_get(want, "u64"), *doubles = json_object_get(want, "then_double");
    bool same = json_array_size(words) > 0;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *text = json_string_value(json_array_get(words, i));
        same = ch4_splitmix64(&state) == (text ? strtoull(text, NULL, 10) : 0) && same;
    }
    for (size_t i = 0; i < json_array_size(doubles); i++)
        same = ch4_splitmix64_uniform(&state) == json_real_value(json_array_get(doubles, i)) && same;
    ch4_golden_check_true(c, same, "splitmix64");
}

ch4_status ch4_golden_eval_rng(ch4_golden_case *c, ch4_err *err)
{
    json_t *root;
    ch4_status st = ch4_golden_eval_json(&root, c, err);
    if (st != CH4_OK)
        return st;
    st = check_permutations(c, json_object_get(root, "numpy_randomstate_permutation"), err);
    check_uniforms(c, json_object_get(root, "numpy_default_rng_random"));
    if (st == CH4_OK)
        st = check_torch(c, json_object_get(root, "torch_cpu"), err);
    check_splitmix(c, json_object_get(root, "splitmix64"));
    json_decref(root);
    return st;
}

ch4_status ch4_golden_eval_pingpong(ch4_golden_case *c, ch4_err *err)
{
    json_t *root;
    ch4_status st = ch4_golden_eval_json(&root, c, err);
    if (st != CH4_OK)
        return st;
    json_t *frames = json_object_get(root, "source_frame"), *windows = json_object_get(root, "windows"), *starts = json_object_get(root, "window_starts");
    int64_t clip = json_integer_value(json_object_get(root, "clip")), n = (int64_t)json_array_size(frames);
    bool same = n > 0 && n == json_integer_value(json_object_get(root, "frames"));
    for (int64_t k = 0; k < n; k++)
        same = same && ch4_pingpong_frame(k, clip) == json_integer_value(json_array_get(frames, (size_t)k));
    ch4_golden_check_true(c, same, "source_frame");
    ch4_golden_check_true(c, ch4_pingpong_frame(239, clip) == json_integer_value(json_object_get(root, "first_240_end_at_source_frame")),
                          "first_240_end_at_source_frame");
    int64_t n_windows = ch4_drift_windows(n, clip), begin = 0, end = 0;
    same = n_windows == (int64_t)json_array_size(windows) && n_windows == (int64_t)json_array_size(starts);
    for (int64_t w = 0; w < n_windows; w++) {
        ch4_drift_window(&begin, &end, w, n, clip);
        json_t *want = json_array_get(windows, (size_t)w);
        same = same && json_integer_value(json_array_get(want, 0)) == begin && json_integer_value(json_array_get(want, 1)) == end - 1 &&
               json_integer_value(json_array_get(starts, (size_t)w)) == begin;
    }
    ch4_golden_check_true(c, same, "windows");
    ch4_golden_expect(c, (double)n_windows, 0, "n_windows");
    ch4_golden_expect(c, (double)(end - begin), 0, "last_window_frames");
    json_decref(root);
    return CH4_OK;
}
