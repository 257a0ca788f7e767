/* Every op of every backend against "ref": odd sizes, zero rows, strided views, outputs poisoned with NaN. The seed is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "nn/nn.h"

static const uint64_t seed = 20260;
static ch4_nn *ref, *cpu, *cpu2;
static uint64_t stream;

static int open_backends(void **state)
{
    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    return ch4_nn_open(&ref, "ref", 1, NULL) || ch4_nn_open(&cpu, "cpu", 1, NULL) || ch4_nn_open(&cpu2, "cpu", 2, NULL);
}

static int close_backends(void **state)
{
    (void)state;
    ch4_nn_close(&ref);
    ch4_nn_close(&cpu);
    ch4_nn_close(&cpu2);
    return 0;
}

/* A tensor whose rows (all dimensions but the last) are `pad` elements longer than needed, so that every view is strided. */
static ch4_tensor make(int rank, const int64_t *shape, int64_t pad, float scale)
{
    int64_t wide[CH4_MAX_RANK];
    memcpy(wide, shape, (size_t)rank * sizeof *wide);
    wide[rank - 1] += pad;
    ch4_tensor all = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, wide);
    int64_t n = ch4_tensor_count(&all);
    all.data = malloc((size_t)(n ? n : 1) * sizeof(float));
    ch4_rng rng = ch4_rng_at(seed, stream++);
    for (int64_t i = 0; i < n; i++)
        ((float *)all.data)[i] = scale > 0 ? (float)ch4_rng_normal(&rng) * scale : NAN;
    return ch4_tensor_slice(&all, rank - 1, 0, shape[rank - 1]);
}
#define MAKE(pad, scale, ...) make((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}, (pad), (scale))
#define POISON (-1.0f)

static double value(const ch4_tensor *t, int64_t index)
{
    int64_t offset = 0;
    for (int i = t->rank - 1; i >= 0; i--) {
        offset += index % t->shape[i] * t->stride[i];
        index /= t->shape[i];
    }
    return ((const float *)t->data)[offset];
}

static void assert_close(const ch4_tensor *got, const ch4_tensor *want, double tolerance, const char *what)
{
    double diff = 0, norm = 0;
    int64_t n = ch4_tensor_count(want);
    for (int64_t i = 0; i < n; i++) {
        double a = value(got, i), b = value(want, i);
        if (isnan(a) || isnan(b))
            fail_msg("%s: NaN at %lld", what, (long long)i);
        diff += (a - b) * (a - b);
        norm += b * b;
    }
    if (sqrt(diff) > tolerance * sqrt(norm))
        fail_msg("%s: relative L2 error %g over %g", what, n ? sqrt(diff / norm) : 0.0, tolerance);
}

static void assert_same_bytes(const ch4_tensor *a, const ch4_tensor *b, const char *what)
{
    for (int64_t i = 0; i < ch4_tensor_count(a); i++)
        if (value(a, i) != value(b, i))
            fail_msg("%s: one and two threads differ at %lld", what, (long long)i);
}

static void linear_matches(void **state)
{
    (void)state;
    static const int64_t size[][4] = {/* G R I O */ {1, 1, 1, 1}, {1, 0, 5, 3}, {1, 7, 13, 5}, {2, 129, 31, 257}, {3, 65, 128, 128}, {1, 300, 40, 600}, {1, 5, 128, 1}};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++)
        for (int mode = 0; mode < 5; mode++) {
            int64_t g = size[s][0], r = size[s][1], i = size[s][2], o = size[s][3];
            ch4_tensor x = MAKE(3, 1.0f, g, r, i), w = MAKE(2, 0.5f, o, i), b = MAKE(0, 1.0f, o), res = MAKE(5, 1.0f, g, r, o);
            ch4_tensor y[3] = {MAKE(1, POISON, g, r, o), MAKE(1, POISON, g, r, o), MAKE(4, POISON, g, r, o)};
            ch4_linear_in in = {.x = &x, .w = &w};
            if (mode & 1)
                in.bias = &b;
            if (mode == 2 || mode == 3)
                in.residual = &res;
            if (mode == 4)
                in.act = CH4_ACT_GELU;
            assert_int_equal(ref->ops->linear(ref, &y[0], &in, NULL), CH4_OK);
            assert_int_equal(cpu->ops->linear(cpu, &y[1], &in, NULL), CH4_OK);
            assert_int_equal(cpu2->ops->linear(cpu2, &y[2], &in, NULL), CH4_OK);
            assert_close(&y[1], &y[0], 1e-6, "linear");
            assert_same_bytes(&y[1], &y[2], "linear");
            for (int k = 0; k < 3; k++)
                free(y[k].data);
            free(x.data), free(w.data), free(b.data), free(res.data);
        }
}

/* x as dtype: half-precision numbers of the same layout. */
static ch4_tensor narrowed(const ch4_tensor *x, ch4_dtype dtype)
{
    ch4_tensor t = *x;
    int64_t n = x->shape[0] * x->stride[0];
    uint16_t *half = malloc((size_t)(n ? n : 1) * sizeof *half);
    for (int64_t i = 0; i < n; i++)
        half[i] = dtype == CH4_DTYPE_F16 ? ch4_f32_to_f16(((const float *)x->data)[i]) : ch4_f32_to_bf16(((const float *)x->data)[i]);
    t.data = half;
    t.dtype = dtype;
    return t;
}

/* The same values back in f32. */
static ch4_tensor widened(const ch4_tensor *x)
{
    ch4_tensor t = *x, flat = ch4_tensor_view(x->data, x->dtype, 1, (int64_t[]){x->shape[0] * x->stride[0]});
    t.data = malloc((size_t)(flat.shape[0] + 1) * sizeof(float));
    t.dtype = CH4_DTYPE_F32;
    assert_int_equal(ch4_tensor_to_f32(t.data, &flat, NULL), CH4_OK);
    return t;
}

/* f16 and bf16 matrices: against ref, and the same bytes as with the widened matrix, whatever the number of threads. Sizes on both sides of
 * every tile: 128 rows (and 8 of these tiles, which share widened weights), 256 columns, 2048 terms. */
static void linear_takes_half_weights(void **state)
{
    (void)state;
    static const int64_t size[][4] = {/* G R I O */ {1, 1, 1, 1}, {1, 0, 5, 3}, {2, 129, 31, 257}, {1, 3, 2049, 300}, {1, 2100, 24, 9}, {1, 1300, 17, 260}, {1, 130, 4101, 5}};
    static const ch4_dtype half[] = {CH4_DTYPE_F16, CH4_DTYPE_BF16};
    for (size_t s = 0; s < sizeof size / sizeof *size; s++)
        for (int mode = 0; mode < 3; mode++)
            for (int h = 0; h < 2; h++) {
                int64_t g = size[s][0], r = size[s][1], i = size[s][2], o = size[s][3];
                ch4_tensor x = MAKE(3, 1.0f, g, r, i), f = MAKE(2, 0.5f, o, i), b = MAKE(0, 1.0f, o), res = MAKE(5, 1.0f, g, r, o);
                ch4_tensor w = narrowed(&f, half[h]), wide = widened(&w), y[4];
                ch4_linear_in in = {.x = &x, .w = &w, .bias = mode ? &b : NULL, .residual = mode == 1 ? &res : NULL, .act = mode == 2 ? CH4_ACT_GELU : CH4_ACT_NONE};
                ch4_nn *nn[4] = {ref, cpu, cpu2, cpu};
                for (int k = 0; k < 4; k++) {
                    y[k] = MAKE(k, POISON, g, r, o);
                    in.w = k == 3 ? &wide : &w;
                    assert_int_equal(nn[k]->ops->linear(nn[k], &y[k], &in, NULL), CH4_OK);
                }
                assert_close(&y[1], &y[0], 1e-6, ch4_dtype_name(half[h]));
                assert_same_bytes(&y[1], &y[2], "half weights");
                assert_same_bytes(&y[1], &y[3], "half and widened weights");
                for (int k = 0; k < 4; k++)
                    free(y[k].data);
                free(x.data), free(f.data), free(b.data), free(res.data), free(w.data), free(wide.data);
            }
}

/* All finite numbers of both types as rows of eight, so that the vector code is what widens them, times the unit matrix. */
static void every_half_number_is_widened_exactly(void **state)
{
    (void)state;
    enum { ROWS = 8192 };
    static uint16_t bits[ROWS * 8];
    static float y[8 * ROWS];
    float unit[8][8] = {{0}};
    for (int i = 0; i < 8; i++)
        unit[i][i] = 1;
    for (int b = 0; b < 2; b++) {
        ch4_dtype dtype = b ? CH4_DTYPE_BF16 : CH4_DTYPE_F16;
        float (*widen)(uint16_t) = b ? ch4_bf16_to_f32 : ch4_f16_to_f32;
        for (int i = 0; i < ROWS * 8; i++)
            bits[i] = isfinite(widen((uint16_t)i)) ? (uint16_t)i : 0;
        ch4_tensor w = CH4_VIEW(bits, dtype, ROWS, 8), x = CH4_F32(unit, 8, 8), out = CH4_F32(y, 8, ROWS);
        assert_int_equal(cpu->ops->linear(cpu, &out, &(ch4_linear_in){.x = &x, .w = &w}, NULL), CH4_OK);
        for (int i = 0; i < ROWS * 8; i++)
            if (y[i % 8 * ROWS + i / 8] != widen(bits[i]))
                fail_msg("%s %#x becomes %g, not %g", ch4_dtype_name(dtype), (unsigned)bits[i], (double)y[i % 8 * ROWS + i / 8], (double)widen(bits[i]));
    }
}

static void uploads_convert(void **state)
{
    (void)state;
    float f[3] = {1.0f, -2.5f, 1.0f + 0x1p-7f + 0x1p-9f}, back[3];
    uint16_t h[3] = {0x3c00, 0x8001, 0x7bff}, out[3];
    ch4_tensor from = CH4_F32(f, 3), half = CH4_VIEW(h, CH4_DTYPE_F16, 3), to16 = CH4_VIEW(out, CH4_DTYPE_F16, 3), tobf = CH4_VIEW(out, CH4_DTYPE_BF16, 3);
    ch4_tensor wide = CH4_F32(back, 3), two = CH4_F32(back, 2);
    assert_int_equal(cpu->ops->upload(cpu, &to16, &half, NULL), CH4_OK);
    assert_memory_equal(out, h, sizeof h);
    assert_int_equal(cpu->ops->upload(cpu, &tobf, &from, NULL), CH4_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(out[i], ch4_f32_to_bf16(f[i]));
    assert_int_equal(cpu->ops->upload(cpu, &wide, &half, NULL), CH4_OK);
    for (int i = 0; i < 3; i++)
        assert_true(back[i] == ch4_f16_to_f32(h[i]));
    assert_int_equal(cpu->ops->upload(cpu, &to16, &from, NULL), CH4_EUNSUP);
    assert_int_equal(cpu->ops->upload(cpu, &tobf, &half, NULL), CH4_EUNSUP);
    assert_int_equal(cpu->ops->upload(cpu, &two, &half, NULL), CH4_EINVAL);
    assert_int_equal(cpu->ops->download(cpu, &wide, &half, NULL), CH4_EUNSUP);
}

static void linear_adds_in_place(void **state)
{
    (void)state;
    ch4_tensor x = MAKE(0, 1.0f, 9, 16), w = MAKE(0, 1.0f, 16, 16), y = MAKE(0, 1.0f, 9, 16), want = MAKE(0, POISON, 9, 16);
    ch4_linear_in in = {.x = &x, .w = &w, .residual = &y};
    assert_int_equal(ref->ops->linear(ref, &want, &in, NULL), CH4_OK);
    assert_int_equal(cpu->ops->linear(cpu, &y, &in, NULL), CH4_OK);
    assert_close(&y, &want, 1e-6, "linear in place");
    free(x.data), free(w.data), free(y.data), free(want.data);
}

static void linear_refuses_bad_shapes(void **state)
{
    (void)state;
    ch4_tensor x = MAKE(0, 1.0f, 4, 8), w = MAKE(0, 1.0f, 3, 7), y = MAKE(0, 1.0f, 4, 3), tall = MAKE(0, 1.0f, 5, 3);
    ch4_err err = {0};
    for (int k = 0; k < 2; k++) {
        ch4_nn *nn = k ? cpu : ref;
        assert_int_equal(nn->ops->linear(nn, &y, &(ch4_linear_in){.x = &x, .w = &w}, &err), CH4_EINVAL);
        assert_non_null(strstr(err.msg, "w [3,7] F32"));
        ch4_tensor narrow = ch4_tensor_slice(&x, 1, 0, 7), half = narrow;
        assert_int_equal(nn->ops->linear(nn, &tall, &(ch4_linear_in){.x = &narrow, .w = &w}, &err), CH4_EINVAL);
        half.dtype = CH4_DTYPE_F16;
        assert_int_equal(nn->ops->linear(nn, &y, &(ch4_linear_in){.x = &half, .w = &w}, &err), CH4_EUNSUP);
    }
    free(x.data), free(w.data), free(y.data), free(tall.data);
}

static void norms_match(void **state)
{
    (void)state;
    static const int64_t width[] = {1, 7, 16, 48, 131};
    for (size_t s = 0; s < 5; s++)
        for (int64_t rows = 0; rows < 70; rows += 23) {
            int64_t n = width[s];
            ch4_tensor x = MAKE(3, 1e-2f, 2, rows, n), g = MAKE(0, 1.0f, n), b = MAKE(0, 1.0f, n);
            ch4_tensor y[3] = {MAKE(0, POISON, 2, rows, n), MAKE(2, POISON, 2, rows, n), MAKE(1, POISON, 2, rows, n)};
            ch4_nn *nn[3] = {ref, cpu, cpu2};
            for (int k = 0; k < 3; k++)
                assert_int_equal(nn[k]->ops->layernorm(nn[k], &y[k], &x, &g, &b, 1e-5f, NULL), CH4_OK);
            if (n > 1) /* a single number is its own mean: only rounding is left */
                assert_close(&y[1], &y[0], 1e-6, "layernorm");
            assert_same_bytes(&y[1], &y[2], "layernorm");
            for (int k = 0; k < 3; k++)
                assert_int_equal(nn[k]->ops->rmsnorm(nn[k], &y[k], &x, &g, 1e-6f, NULL), CH4_OK);
            assert_close(&y[1], &y[0], 1e-6, "rmsnorm");
            assert_same_bytes(&y[1], &y[2], "rmsnorm");
            for (int k = 0; k < 3; k++)
                free(y[k].data);
            free(x.data), free(g.data), free(b.data);
        }
}

static void rope_matches(void **state)
{
    (void)state;
    ch4_tensor a = MAKE(6, 1.0f, 3, 5, 4, 10), c = MAKE(0, 0.7f, 3, 5), s = MAKE(0, 0.7f, 3, 5), b = MAKE(0, POISON, 3, 5, 4, 10);
    assert_int_equal(ref->ops->copy(ref, &b, &a, NULL), CH4_OK);
    assert_int_equal(ref->ops->rope(ref, &a, &c, &s, NULL), CH4_OK);
    assert_int_equal(cpu2->ops->rope(cpu2, &b, &c, &s, NULL), CH4_OK);
    assert_close(&b, &a, 1e-6, "rope");
    ch4_tensor odd = ch4_tensor_slice(&a, 3, 0, 9);
    assert_int_equal(cpu->ops->rope(cpu, &odd, &c, &s, NULL), CH4_EINVAL);
    free(a.data), free(b.data), free(c.data), free(s.data);
}

static ch4_tensor swap12(ch4_tensor t)
{
    int64_t n = t.shape[1], st = t.stride[1];
    t.shape[1] = t.shape[2], t.stride[1] = t.stride[2], t.shape[2] = n, t.stride[2] = st;
    return t;
}

static void attention_matches(void **state)
{
    (void)state;
    static const int64_t size[][5] = {/* B H Sq Sk D */ {1, 1, 1, 1, 1}, {2, 3, 0, 5, 8}, {2, 3, 7, 5, 8}, {1, 4, 130, 300, 16}, {1, 2, 65, 515, 32}, {2, 1, 3, 257, 256}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        int64_t nb = size[i][0], nh = size[i][1], nq = size[i][2], nk = size[i][3], d = size[i][4];
        /* stored [B,S,H,D], as the projections write them, seen as [B,H,S,D]; large values so that the running maximum moves */
        ch4_tensor raw[3] = {MAKE(4, 3.0f, nb, nq, nh, d), MAKE(2, 1.0f, nb, nk, nh, d), MAKE(0, 1.0f, nb, nk, nh, d)};
        ch4_tensor q = swap12(raw[0]), k = swap12(raw[1]), v = swap12(raw[2]), o[3], lse[3], map[3];
        ch4_nn *nn[3] = {ref, cpu, cpu2};
        ch4_attention_in in = {&q, &k, &v, 1.0f / sqrtf((float)d), NULL};
        for (int b = 0; b < 3; b++) {
            o[b] = MAKE(b, POISON, nb, nh, nq, d);
            lse[b] = MAKE(0, POISON, nb, nh, nq);
            assert_int_equal(nn[b]->ops->attention(nn[b], &o[b], &lse[b], &in, NULL), CH4_OK);
        }
        assert_close(&o[1], &o[0], 2e-6, "attention");
        assert_close(&lse[1], &lse[0], 1e-5, "log-sum-exp");
        assert_same_bytes(&o[1], &o[2], "attention");
        int heads[2] = {(int)nh - 1, 0};
        ch4_tensor part = ch4_tensor_slice(&k, 2, nk / 3, nk - nk / 3);
        for (int renormalise = 0; renormalise < 2; renormalise++) {
            ch4_attention_map_in m = {&q, &part, renormalise ? NULL : &lse[0], heads, nh > 1 ? 2 : 1, in.scale, nh > 1 ? 0.5f : 1.0f, false};
            for (int b = 0; b < 3; b++) {
                map[b] = MAKE(3 * b, POISON, nb, nq, nk - nk / 3);
                m.accumulate = false;
                assert_int_equal(nn[b]->ops->attention_map(nn[b], &map[b], &m, NULL), CH4_OK);
                m.accumulate = true;
                assert_int_equal(nn[b]->ops->attention_map(nn[b], &map[b], &m, NULL), CH4_OK);
            }
            assert_close(&map[1], &map[0], 2e-6, "attention map");
            assert_same_bytes(&map[1], &map[2], "attention map");
            for (int64_t r = 0; renormalise && r < nb * nq; r++) {
                double sum = 0;
                for (int64_t c = 0; c < map[0].shape[2]; c++)
                    sum += value(&map[0], r * map[0].shape[2] + c);
                assert_true(fabs(sum - 2.0) < 1e-5); /* accumulated twice */
            }
            for (int b = 0; b < 3; b++)
                free(map[b].data);
        }
        for (int b = 0; b < 3; b++)
            free(o[b].data), free(lse[b].data), free(raw[b].data);
    }
}

static void copy_and_add_broadcast(void **state)
{
    (void)state;
    ch4_tensor x = MAKE(0, 1.0f, 3), y = MAKE(2, POISON, 4, 3);
    ch4_tensor wide = {.data = x.data, .dtype = CH4_DTYPE_F32, .rank = 2, .shape = {4, 3}, .stride = {0, 1}};
    assert_int_equal(cpu->ops->copy(cpu, &y, &wide, NULL), CH4_OK);
    assert_int_equal(cpu->ops->add(cpu, &y, &wide, NULL), CH4_OK);
    for (int64_t i = 0; i < 12; i++)
        assert_true(value(&y, i) == 2 * value(&wide, i));
    assert_int_equal(cpu->ops->add(cpu, &y, &x, NULL), CH4_EINVAL);
    free(x.data), free(y.data);
}

static void convolution_matches(void **state)
{
    (void)state;
    static const int64_t size[][6] = {/* H W C O step dilation */ {1, 1, 1, 1, 1, 1}, {1, 1, 5, 3, 1, 8},   {7, 5, 3, 4, 2, 1},   {8, 6, 17, 9, 1, 2},
                                      {9, 33, 12, 1, 1, 4},       {4, 3, 6, 10, 1, 8}, {16, 16, 64, 32, 2, 1}, {5, 70, 33, 65, 1, 1}};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++)
        for (int relu = 0; relu < 2; relu++) {
            int64_t h = size[k][0], w = size[k][1], c = size[k][2], o = size[k][3], step = size[k][4], oh = (h - 1) / step + 1, ow = (w - 1) / step + 1;
            ch4_tensor x = MAKE(3, 1.0f, h, w, c), f = MAKE(0, 0.5f, o, 3, 3, c), b = MAKE(0, 1.0f, o);
            ch4_tensor y[3] = {MAKE(1, POISON, oh, ow, o), MAKE(1, POISON, oh, ow, o), MAKE(4, POISON, oh, ow, o)};
            const ch4_conv_in in = {.x = &x, .w = &f, .bias = &b, .step = step, .dilation = size[k][5], .relu = relu};
            assert_int_equal(ref->ops->conv3x3(ref, &y[0], &in, NULL), CH4_OK);
            assert_int_equal(cpu->ops->conv3x3(cpu, &y[1], &in, NULL), CH4_OK);
            assert_int_equal(cpu2->ops->conv3x3(cpu2, &y[2], &in, NULL), CH4_OK);
            assert_close(&y[1], &y[0], 2e-6, "conv3x3");
            assert_same_bytes(&y[1], &y[2], "conv3x3");
            const ch4_conv_in wrong = {.x = &x, .w = &f, .bias = &b, .step = step + 70, .dilation = 1};
            if (oh > 1)
                assert_int_equal(cpu->ops->conv3x3(cpu, &y[1], &wrong, NULL), CH4_EINVAL);
            for (int n = 0; n < 3; n++)
                free(y[n].data);
            free(x.data), free(f.data), free(b.data);
        }
}

static void pictures_are_resized(void **state)
{
    (void)state;
    static const int64_t size[][5] = {/* H W C h w */ {1, 1, 1, 1, 1}, {1, 1, 7, 5, 3}, {5, 7, 3, 9, 14}, {9, 8, 11, 4, 3}, {16, 4, 8, 16, 4}};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        int64_t h = size[k][0], w = size[k][1], c = size[k][2], ph = (h + 1) / 2, pw = (w + 1) / 2;
        ch4_tensor x = MAKE(3, 1.0f, h, w, c), y[2] = {MAKE(1, POISON, size[k][3], size[k][4], c), MAKE(5, POISON, size[k][3], size[k][4], c)};
        ch4_tensor pool[2] = {MAKE(1, POISON, ph, pw, c), MAKE(5, POISON, ph, pw, c)};
        assert_int_equal(ref->ops->resize(ref, &y[0], &x, NULL), CH4_OK);
        assert_int_equal(cpu2->ops->resize(cpu2, &y[1], &x, NULL), CH4_OK);
        assert_close(&y[1], &y[0], 1e-6, "resize");
        assert_int_equal(ref->ops->maxpool2(ref, &pool[0], &x, NULL), CH4_OK);
        assert_int_equal(cpu2->ops->maxpool2(cpu2, &pool[1], &x, NULL), CH4_OK);
        assert_same_bytes(&pool[1], &pool[0], "maxpool2");
        if (h > 1)
            assert_int_equal(cpu->ops->maxpool2(cpu, &x, &x, NULL), CH4_EINVAL);
        free(x.data), free(y[0].data), free(y[1].data), free(pool[0].data), free(pool[1].data);
    }
}

static void unknown_backend_is_refused(void **state)
{
    (void)state;
    ch4_nn *nn = NULL;
    ch4_err err = {0};
    assert_null(ch4_nn_find("abacus"));
    assert_int_equal(ch4_nn_open(&nn, "abacus", 1, &err), CH4_EUNSUP);
    assert_null(nn);
    assert_non_null(strstr(err.msg, "abacus"));
}

/* Gains against the definition, over tiles and their borders: a row's odds change by exactly that factor. */
static void attention_gains_match(void **state)
{
    (void)state;
    enum { B = 2, H = 3, Q = 130, K = 520, D = 8, EACH = 5 };
    ch4_tensor q = MAKE(0, 2.0f, B, H, Q, D), k = MAKE(0, 1.0f, B, H, K, D), v = MAKE(0, 1.0f, B, H, K, D), o[3], lse[3];
    int64_t row[Q + 1] = {0};
    int32_t key[Q * EACH];
    float log_gain[Q * EACH];
    for (int64_t i = 0; i < Q; i++) {
        row[i + 1] = row[i];
        for (int64_t e = 0; i % 3 && e < EACH; e++) { /* every third query has none */
            key[row[i + 1]] = (int32_t)(e == 0 ? i % 2 : 255 * e / 2 + (i + e) % 3); /* also the first key, and both sides of a border */
            log_gain[row[i + 1]++] = (float)(e - 2) * 4.0f;
        }
    }
    const ch4_attention_gain gain = {row, key, log_gain};
    ch4_nn *nn[3] = {ref, cpu, cpu2};
    ch4_attention_in in = {&q, &k, &v, 0.35f, &gain};
    for (int b = 0; b < 3; b++) {
        o[b] = MAKE(0, POISON, B, H, Q, D);
        lse[b] = MAKE(0, POISON, B, H, Q);
        assert_int_equal(nn[b]->ops->attention(nn[b], &o[b], &lse[b], &in, NULL), CH4_OK);
    }
    assert_close(&o[1], &o[0], 2e-6, "attention with gains");
    assert_close(&lse[1], &lse[0], 1e-5, "log-sum-exp with gains");
    assert_same_bytes(&o[1], &o[2], "attention with gains");
    for (int64_t r = 0; r < B * H * Q; r++) { /* sum_j g_j exp(l_j) by hand */
        const float *x = (const float *)q.data + r * D, *y = (const float *)k.data + r / Q * K * D;
        double sum = 0;
        for (int64_t j = 0; j < K; j++) {
            double dot = 0, g = 1;
            for (int64_t c = 0; c < D; c++)
                dot += (double)x[c] * y[j * D + c];
            for (int64_t e = row[r % Q]; e < row[r % Q + 1]; e++)
                g *= key[e] == j ? exp((double)log_gain[e]) : 1;
            sum += g * exp(dot * 0.35f);
        }
        assert_true(fabs(value(&lse[0], r) - log(sum)) < 1e-5);
    }
    float kept = log_gain[3];
    log_gain[3] = NAN;
    assert_int_equal(cpu->ops->attention(cpu, &o[1], NULL, &in, NULL), CH4_EINVAL);
    log_gain[3] = kept;
    key[row[1]] = K;
    assert_int_equal(cpu->ops->attention(cpu, &o[1], NULL, &in, NULL), CH4_EINVAL);
    key[row[1]] = 1;
    row[2] = row[1] - 1;
    assert_int_equal(ref->ops->attention(ref, &o[0], NULL, &in, NULL), CH4_EINVAL);
    for (int b = 0; b < 3; b++)
        free(o[b].data), free(lse[b].data);
    free(q.data), free(k.data), free(v.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_matches),          cmocka_unit_test(linear_adds_in_place),   cmocka_unit_test(linear_refuses_bad_shapes),
        cmocka_unit_test(linear_takes_half_weights), cmocka_unit_test(every_half_number_is_widened_exactly), cmocka_unit_test(uploads_convert),
        cmocka_unit_test(norms_match),             cmocka_unit_test(rope_matches),           cmocka_unit_test(attention_matches),
        cmocka_unit_test(attention_gains_match),
        cmocka_unit_test(convolution_matches),     cmocka_unit_test(pictures_are_resized),
        cmocka_unit_test(copy_and_add_broadcast),  cmocka_unit_test(unknown_backend_is_refused),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
