#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "chain/match.h"
#include "chain/pairs.h"
#include "chain/patches.h"
#include "chain/token_map.h"

static void directions_agree_on_transposed_maps(void **state)
{
    (void)state;
    const float a[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, at[] = {1, 4, 7, 2, 5, 8, 3, 6, 9};
    float wa[9], wb[9], mass[3];
    ch4_map_prepare(wa, mass, a, 3, &(ch4_map_reading){.frame_to_anchor = false, .normalize = true, .power = 1});
    ch4_map_prepare(wb, NULL, at, 3, &(ch4_map_reading){.frame_to_anchor = true, .normalize = true, .power = 1});
    assert_memory_equal(wa, wb, sizeof wa);
    assert_true(mass[0] == 6 && mass[2] == 24);
    assert_true(fabsf(wa[0 * 3 + 1] - 4.f / 15) < 1e-6f); /* frame token 0 of anchor token 1 */
}

static void sinkhorn_makes_both_sides_stochastic(void **state)
{
    (void)state;
    enum { N = 12 };
    float a[N * N], w[N * N];
    ch4_rng rng = ch4_rng_at(1, 1);
    for (int i = 0; i < N * N; i++)
        a[i] = (float)ch4_rng_uniform(&rng) + 0.01f;
    ch4_map_prepare(w, NULL, a, N, &(ch4_map_reading){.power = 2, .sinkhorn = 60});
    for (int i = 0; i < N; i++) {
        double row = 0, col = 0;
        for (int j = 0; j < N; j++) {
            row += w[i * N + j];
            col += w[j * N + i];
        }
        assert_true(fabs(row - 1) < 1e-4 && fabs(col - 1) < 1e-4);
    }
}

static void empty_rows_stay_zero(void **state)
{
    (void)state;
    const float a[] = {0, 0, 0, 1};
    float w[4];
    ch4_map_prepare(w, NULL, a, 2, &(ch4_map_reading){.normalize = true, .power = 1, .sinkhorn = 2});
    for (int i = 0; i < 3; i++)
        assert_true(w[i] == 0);
    assert_true(w[3] == 1);
    float rows[] = {0, 0, 3, 4};
    ch4_match_prepare_rows(rows, 2, 2, CH4_MATCH_UNIT);
    assert_true(rows[0] == 0 && fabsf(rows[2] - 0.6f) < 1e-6f && fabsf(rows[3] - 0.8f) < 1e-6f);
    ch4_match_prepare_rows(rows, 2, 2, CH4_MATCH_COLUMN);
    assert_true(fabsf(rows[2] - 1) < 1e-6f && fabsf(rows[3] - 1) < 1e-6f);
}

static void top_agrees_with_sorting_for_every_k(void **state)
{
    (void)state;
    enum { U = 57 };
    float score[U], best[U];
    int32_t index[U], scratch[U];
    ch4_rng rng = ch4_rng_at(2, 1);
    for (int i = 0; i < U; i++)
        score[i] = (float)ch4_rng_below(&rng, 20); /* many ties */
    for (int k = 1; k <= U; k++) {
        ch4_match_top(index, best, scratch, score, U, k);
        for (int i = 0; i < k; i++) {
            int better = 0;
            for (int j = 0; j < U; j++)
                better += score[j] > score[index[i]] || (score[j] == score[index[i]] && j < index[i]);
            assert_int_equal(better, i);
            assert_true(best[i] == score[index[i]]);
        }
    }
}

static void blend_scales_with_the_best_score_or_not(void **state)
{
    (void)state;
    const float points[] = {0, 0, 0, 1, 0, 0, 0, 1, 0}, best[] = {4, 2}, small[] = {4e-6f, 2e-6f};
    const int32_t index[] = {1, 2};
    float p[3], q[3], w[2];
    ch4_match_blend(p, w, index, best, points, 2, &(ch4_blend){.relative = true, .temperature = 0.5});
    ch4_match_blend(q, NULL, index, small, points, 2, &(ch4_blend){.relative = true, .temperature = 0.5});
    double e = exp(-1.0);
    assert_true(fabs(p[0] - 1 / (1 + e)) < 1e-6 && fabs(p[1] - e / (1 + e)) < 1e-6);
    assert_true(fabs(w[0] + w[1] - 1) < 1e-6);
    assert_true(fabsf(p[0] - q[0]) < 1e-6f);
    ch4_match_blend(q, NULL, index, best, points, 2, &(ch4_blend){.relative = false, .temperature = 2});
    assert_true(fabsf(p[0] - q[0]) < 1e-6f);
    const float none[] = {0, 0};
    ch4_match_blend(q, w, index, none, points, 2, &(ch4_blend){.relative = true, .temperature = 0.5});
    assert_true(isnan(q[0]) && w[0] == 0);
}

/* A known permutation of tokens must be found again; 1, 2 and no threads give the same bytes. */
static void chain_finds_a_known_permutation(void **state)
{
    (void)state;
    enum { N = 24, V = 300, U = 24, K = 8 };
    static float rows[V * N], map[N * N], w[N * N], transport[V * N], candidates[U * N], points[U * 3], path[2][V * 3], score[2][V];
    memset(rows, 0, sizeof rows);
    memset(map, 0, sizeof map);
    memset(candidates, 0, sizeof candidates);
    for (int v = 0; v < V; v++)
        rows[v * N + v % N] = 1;
    for (int t = 0; t < N; t++)
        map[t * N + (t * 7 + 3) % N] = 0.5f;
    for (int u = 0; u < U; u++) {
        candidates[u * N + u] = 1;
        points[3 * u] = (float)u;
    }
    for (int run = 0; run < 2; run++) {
        ch4_nn *nn = NULL;
        ch4_pool *pool = NULL;
        assert_int_equal(ch4_nn_open(&nn, run ? "cpu" : "ref", run + 1, NULL), CH4_OK);
        assert_int_equal(ch4_pool_create(&pool, run + 1, NULL), CH4_OK);
        ch4_map_prepare(w, NULL, map, N, &(ch4_map_reading){.normalize = true, .power = 1});
        assert_int_equal(ch4_match_transport(nn, transport, rows, w, V, N, NULL), CH4_OK);
        ch4_match_in in = {transport, candidates, points, V, U, N, K, {true, 1e-3}, NULL};
        assert_int_equal(ch4_match_points(nn, pool, path[run], score[run], &in, NULL), CH4_OK);
        in.n_candidates = 0;
        float nothing[3 * V], zero[V];
        assert_int_equal(ch4_match_points(nn, pool, nothing, zero, &in, NULL), CH4_OK);
        assert_true(isnan(nothing[5]) && zero[7] == 0);
        ch4_pool_destroy(&pool);
        ch4_nn_close(&nn);
    }
    for (int v = 0; v < V; v++)
        assert_true(path[0][3 * v] == (float)((v % N * 7 + 3) % N) && score[0][v] == 1);
    assert_memory_equal(path[0], path[1], sizeof path[0]);
}

static void soft_argmax_stays_between_the_centres(void **state)
{
    (void)state;
    float score[16] = {0}, xy[2], gap;
    score[5] = 2;
    score[6] = 2;
    assert_int_equal(ch4_patch_argmax(score, 16, 1, &gap), 5);
    assert_true(gap == 0);
    ch4_patch_soft_argmax(xy, score, 4, 5, 1, 0.05, 8);
    assert_true(fabsf(xy[0] - 16) < 1e-4f && fabsf(xy[1] - 12) < 1e-4f);
    ch4_patch_soft_argmax(xy, score, 4, 5, 0, 0.05, 8);
    assert_true(xy[0] == 12 && xy[1] == 12);
    memset(score, 0, sizeof score);
    ch4_patch_soft_argmax(xy, score, 4, 0, 1, 0.05, 8);
    assert_true(xy[0] == 4 && xy[1] == 4);
}

/* The pruned search for the strongest pair of tokens against all of them, and the choice of reliable matches. */
static void pairs_are_the_strongest(void **state)
{
    (void)state;
    enum { K = 40, N = 17, U = 9 };
    float rows[K * N], w[N * N], cand[U * N], score[K];
    int32_t best[K];
    ch4_token_pair pairs[K];
    ch4_rng rng = ch4_rng_at(3, 5);
    for (int i = 0; i < K * N; i++)
        rows[i] = (float)pow(ch4_rng_uniform(&rng), 6);
    for (int i = 0; i < N * N; i++)
        w[i] = (float)pow(ch4_rng_uniform(&rng), 6);
    for (int i = 0; i < U * N; i++)
        cand[i] = (float)pow(ch4_rng_uniform(&rng), 6);
    for (int v = 0; v < K; v++) {
        best[v] = v == 7 ? -1 : (int32_t)ch4_rng_below(&rng, U);
        score[v] = (float)ch4_rng_uniform(&rng);
    }
    score[7] = 1, score[3] = 0.9f;
    for (int j = 0; j < N; j++)
        rows[3 * N + j] = 0; /* no product at all */
    const ch4_pairs_in in = {.rows = rows, .w = w, .candidates = cand, .best = best, .score = score, .n_points = K, .n_tokens = N, .slot = 4, .share = 0.5};
    int64_t n = 0, expected = 0;
    assert_int_equal(ch4_pairs_find(pairs, &n, &in, NULL), CH4_OK);
    for (int v = 0; v < K; v++) {
        int above = 0, bt = -1, bs = -1;
        float top = 0;
        for (int i = 0; i < K; i++)
            above += score[i] > score[v];
        if (above >= K / 2 || v == 7 || v == 3)
            continue;
        for (int t = 0; t < N; t++)
            for (int s = 0; s < N; s++) {
                float x = rows[v * N + t] * w[s * N + t] * cand[best[v] * N + s];
                if (x > top)
                    top = x, bt = t, bs = s;
            }
        assert_true(expected < n);
        const ch4_token_pair *p = &pairs[expected++];
        assert_true(p->slot == 4 && p->anchor == bt && p->token == bs && p->confidence == score[v]);
    }
    assert_int_equal(n, expected);
    assert_true(n == K / 2 - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directions_agree_on_transposed_maps),     cmocka_unit_test(sinkhorn_makes_both_sides_stochastic),
        cmocka_unit_test(empty_rows_stay_zero),                    cmocka_unit_test(top_agrees_with_sorting_for_every_k),
        cmocka_unit_test(blend_scales_with_the_best_score_or_not), cmocka_unit_test(chain_finds_a_known_permutation),
        cmocka_unit_test(pairs_are_the_strongest),
        cmocka_unit_test(soft_argmax_stays_between_the_centres),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
