#include "model/matting.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/size.h"
#include "model/net_config.h"

enum { MAX_LEVELS = 7, STAGES = 11, PREFIX_LEN = 96 };

typedef struct conv {
    ch4_tensor w, b;
    int64_t step, dilation;
    bool relu;
} conv;

/* One small U-net ("RSU"): `levels` convolutions down, levels - 1 up; flat: dilation in place of pooling. */
typedef struct unet_spec {
    const char *name;
    int levels;
    bool flat;
    int64_t in, mid, out;
} unet_spec;

typedef struct unet {
    const unet_spec *spec;
    conv in, down[MAX_LEVELS + 1], up[MAX_LEVELS]; /* numbered from 1, as the tensors are */
} unet;

static const unet_spec stages[STAGES] = {
    {"stage1", 7, false, 64, 32, 64},     {"stage2", 6, false, 64, 32, 128},    {"stage3", 5, false, 128, 64, 256},   {"stage4", 4, false, 256, 128, 512},
    {"stage5", 4, true, 512, 256, 512},   {"stage6", 4, true, 512, 256, 512},   {"stage5d", 4, true, 1024, 256, 512}, {"stage4d", 4, false, 1024, 128, 256},
    {"stage3d", 5, false, 512, 64, 128},  {"stage2d", 6, false, 256, 32, 64},   {"stage1d", 7, false, 128, 16, 64},
};

struct ch4_matting {
    ch4_nn *nn;
    ch4_weights *weights;
    conv first, side;
    unet unet[STAGES];
    ch4_space space;
    size_t most;  /* of the space, by the pass that measures */
    bool measure; /* lay out only: nothing is computed */
};

/* --- loading --- */

/* [O,C,3,3] as [O,3,3,C]; norm: the batch norm after it is taken into weights and bias. */
static void load_conv(ch4_weights *w, conv *c, int64_t out, int64_t in, const char *prefix, bool norm)
{
    const char *conv_name = norm ? ".conv_s1" : "";
    int64_t n = out * in * 9;
    float *raw = ch4_weights_scratch(w, 2 * n), *bias = ch4_weights_scratch(w, 5 * out);
    float *gain = bias ? bias + out : NULL, *shift = bias ? bias + 2 * out : NULL, *mean = bias ? bias + 3 * out : NULL, *var = bias ? bias + 4 * out : NULL;
    ch4_weights_read(w, raw, CH4_SHAPE(out, in, 3, 3), "%s%s.weight", prefix, conv_name);
    ch4_weights_read(w, bias, CH4_SHAPE(out), "%s%s.bias", prefix, conv_name);
    if (norm) {
        ch4_weights_read(w, gain, CH4_SHAPE(out), "%s.bn_s1.weight", prefix);
        ch4_weights_read(w, shift, CH4_SHAPE(out), "%s.bn_s1.bias", prefix);
        ch4_weights_read(w, mean, CH4_SHAPE(out), "%s.bn_s1.running_mean", prefix);
        ch4_weights_read(w, var, CH4_SHAPE(out), "%s.bn_s1.running_var", prefix);
        ch4_weights_expect(w, 0, NULL, "%s.bn_s1.num_batches_tracked", prefix);
    }
    for (int64_t o = 0; ch4_weights_ok(w) && o < out; o++) {
        double scale = norm ? gain[o] / sqrt((double)var[o] + 1e-5) : 1.0;
        for (int64_t i = 0; i < in; i++)
            for (int64_t tap = 0; tap < 9; tap++)
                raw[n + (o * 9 + tap) * in + i] = (float)(raw[(o * in + i) * 9 + tap] * scale);
        if (norm)
            bias[o] = (float)((bias[o] - (double)mean[o]) * scale + shift[o]);
    }
    ch4_weights_put(w, &c->w, raw ? raw + n : NULL, CH4_SHAPE(out, 3, 3, in));
    ch4_weights_put(w, &c->b, bias, CH4_SHAPE(out));
    c->step = c->dilation = 1;
    c->relu = norm;
    ch4_weights_drop_scratch(w);
}

static void load_unit(ch4_weights *w, conv *c, int64_t out, int64_t in, int64_t dilation, const char *stage, const char *unit, int number, const char *suffix)
{
    char prefix[PREFIX_LEN];
    if (number)
        snprintf(prefix, sizeof prefix, "%s.%s%d%s", stage, unit, number, suffix);
    else
        snprintf(prefix, sizeof prefix, "%s.%s%s", stage, unit, suffix);
    load_conv(w, c, out, in, prefix, true);
    c->dilation = dilation;
}

static void load_unet(ch4_weights *w, unet *u, const unet_spec *s)
{
    u->spec = s;
    load_unit(w, &u->in, s->out, s->in, 1, s->name, "rebnconv", 0, "in");
    for (int k = 1; k <= s->levels; k++) {
        int64_t dilation = s->flat ? (int64_t)1 << (k - 1) : k == s->levels ? 2 : 1;
        load_unit(w, &u->down[k], s->mid, k == 1 ? s->out : s->mid, dilation, s->name, "rebnconv", k, "");
    }
    for (int k = s->levels - 1; k >= 1; k--)
        load_unit(w, &u->up[k], k == 1 ? s->out : s->mid, 2 * s->mid, s->flat ? (int64_t)1 << (k - 1) : 1, s->name, "rebnconv", k, "d");
}

static void load(ch4_matting *m)
{
    static const int64_t side_channels[7] = {0, 64, 64, 128, 256, 512, 512};
    ch4_weights *w = m->weights;
    load_conv(w, &m->first, 64, 3, "conv_in", false);
    m->first.step = 2;
    for (int i = 0; i < STAGES; i++)
        load_unet(w, &m->unet[i], &stages[i]);
    load_conv(w, &m->side, 1, side_channels[1], "side1", false);
    for (int k = 2; k <= 6; k++) { /* outputs that only training looks at */
        ch4_weights_expect(w, CH4_SHAPE(1, side_channels[k], 3, 3), "side%d.weight", k);
        ch4_weights_expect(w, CH4_SHAPE(1), "side%d.bias", k);
    }
}

ch4_status ch4_matting_create(ch4_matting **out, ch4_nn *nn, const ch4_safetensors *weights, ch4_err *err)
{
    ch4_matting *m = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&m, 1, sizeof *m, "background remover", err);
    if (st)
        return st;
    m->nn = m->space.nn = nn;
    st = ch4_weights_create(&m->weights, nn, weights, err);
    if (!st) {
        load(m);
        st = ch4_weights_finish(m->weights, err);
    }
    if (st)
        ch4_matting_close(&m);
    *out = m;
    return st;
}

ch4_status ch4_matting_survey(const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    ch4_matting *m = NULL;
    ch4_status st = ch4_calloc(&m, 1, sizeof *m, "background remover", err);
    if (!st)
        st = ch4_weights_survey(&m->weights, file, report, err);
    if (!st) {
        load(m);
        st = ch4_weights_finish(m->weights, err);
    }
    ch4_matting_close(&m);
    return st;
}

ch4_status ch4_matting_open(ch4_matting **out, ch4_nn *nn, const char *dir, ch4_err *err)
{
    json_t *json = NULL;
    ch4_safetensors *file = NULL;
    *out = NULL;
    ch4_status st = ch4_net_open_dir(&json, &file, dir, err);
    if (!st)
        st = ch4_matting_create(out, nn, file, err);
    ch4_safetensors_close(&file);
    json_decref(json);
    return st;
}

void ch4_matting_close(ch4_matting **out)
{
    ch4_matting *m = *out;
    if (!m)
        return;
    ch4_space_free(&m->space);
    ch4_weights_destroy(&m->weights);
    free(m);
    *out = NULL;
}

/* --- running: each pass walks the same way, first to measure, then to compute --- */

static ch4_tensor take(ch4_matting *m, int64_t h, int64_t w, int64_t channels)
{
    ch4_tensor t = ch4_space_take(&m->space, CH4_SHAPE(h, w, channels));
    if (m->space.used > m->most)
        m->most = m->space.used;
    return t;
}

static ch4_status convolve(ch4_matting *m, const conv *c, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    const ch4_conv_in in = {.x = x, .w = &c->w, .bias = &c->b, .step = c->step, .dilation = c->dilation, .relu = c->relu};
    return m->measure ? CH4_OK : m->nn->ops->conv3x3(m->nn, y, &in, err);
}

static ch4_status resize(ch4_matting *m, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    return m->measure ? CH4_OK : m->nn->ops->resize(m->nn, y, x, err);
}

/* A picture of half the size, rounded up. */
static ch4_status halve(ch4_matting *m, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    *y = take(m, (x->shape[0] + 1) / 2, (x->shape[1] + 1) / 2, x->shape[2]);
    return m->measure ? CH4_OK : m->nn->ops->maxpool2(m->nn, y, x, err);
}

/* out = x0 + up(down(x0)), x0 = in(x). Every level has one picture [upper half of the U, lower half], whose channels the convolutions fill. */
static ch4_status run_unet(ch4_matting *m, const unet *u, ch4_tensor *out, const ch4_tensor *x, ch4_err *err)
{
    const unet_spec *s = u->spec;
    size_t mark = m->space.used;
    ch4_tensor x0 = take(m, x->shape[0], x->shape[1], s->out), both[MAX_LEVELS], left[MAX_LEVELS], right[MAX_LEVELS], src = x0;
    ch4_status st = convolve(m, &u->in, &x0, x, err);
    for (int k = 1; !st && k < s->levels; k++) {
        if (k > 1)
            src = right[k - 1];
        if (k > 1 && !s->flat)
            st = halve(m, &src, &right[k - 1], err);
        both[k] = take(m, src.shape[0], src.shape[1], 2 * s->mid);
        left[k] = ch4_tensor_slice(&both[k], 2, 0, s->mid);
        right[k] = ch4_tensor_slice(&both[k], 2, s->mid, s->mid);
        if (!st)
            st = convolve(m, &u->down[k], &right[k], &src, err);
    }
    if (!st)
        st = convolve(m, &u->down[s->levels], &left[s->levels - 1], &right[s->levels - 1], err);
    for (int k = s->levels - 1; !st && k > 1; k--) {
        ch4_tensor d = s->flat ? left[k - 1] : take(m, both[k].shape[0], both[k].shape[1], s->mid);
        st = convolve(m, &u->up[k], &d, &both[k], err);
        if (!st && !s->flat)
            st = resize(m, &left[k - 1], &d, err);
    }
    if (!st)
        st = convolve(m, &u->up[1], out, &both[1], err);
    if (!st && !m->measure)
        st = m->nn->ops->add(m->nn, out, &x0, err);
    m->space.used = mark;
    return st;
}

/* y [h,w,1] before the sigmoid. */
static ch4_status walk(ch4_matting *m, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    ch4_tensor src = take(m, (x->shape[0] + 1) / 2, (x->shape[1] + 1) / 2, 64), both[6], d;
    ch4_status st = convolve(m, &m->first, &src, x, err);
    for (int k = 1; !st && k <= 5; k++) { /* down: stage k fills the right part of level k, stage k+1 "d" will fill the left one */
        int64_t right = stages[k - 1].out, left = stages[STAGES - k].in - right;
        both[k] = take(m, src.shape[0], src.shape[1], left + right);
        ch4_tensor out = ch4_tensor_slice(&both[k], 2, left, right);
        st = run_unet(m, &m->unet[k - 1], &out, &src, err);
        if (!st)
            st = halve(m, &src, &out, err);
    }
    if (st)
        return st;
    d = take(m, src.shape[0], src.shape[1], stages[5].out);
    st = run_unet(m, &m->unet[5], &d, &src, err);
    for (int k = 5; !st && k >= 1; k--) { /* up */
        const unet *u = &m->unet[STAGES - k];
        ch4_tensor left = ch4_tensor_slice(&both[k], 2, 0, d.shape[2]);
        st = resize(m, &left, &d, err);
        d = take(m, both[k].shape[0], both[k].shape[1], u->spec->out);
        if (!st)
            st = run_unet(m, u, &d, &both[k], err);
    }
    ch4_tensor small = take(m, d.shape[0], d.shape[1], 1);
    if (!st)
        st = convolve(m, &m->side, &small, &d, err);
    return st ? st : resize(m, y, &small, err);
}

ch4_status ch4_matting_forward(ch4_matting *m, float *map, const float *image, int64_t h, int64_t w, ch4_err *err)
{
    if (h < 1 || w < 1)
        return ch4_err_set(err, CH4_EINVAL, "background remover: a picture of %" PRId64 "x%" PRId64, w, h);
    ch4_tensor x, y, host_x = CH4_F32((void *)(uintptr_t)image, h, w, 3), host_y = CH4_F32(map, h, w, 1);
    ch4_buf held = m->space.buf;
    ch4_status st = CH4_OK;
    m->most = 0;
    for (int pass = 0; !st && pass < 2; pass++) {
        m->measure = pass == 0;
        m->space.buf = held;
        if (m->measure)
            m->space.buf = (ch4_buf){0};
        m->space.used = 0;
        x = take(m, h, w, 3);
        y = take(m, h, w, 1);
        if (!m->measure)
            st = m->nn->ops->upload(m->nn, &x, &host_x, err);
        if (!st)
            st = walk(m, &y, &x, err);
        if (!st && m->measure) {
            m->space.buf = held;
            m->space.used = m->most;
            st = ch4_space_reserve(&m->space, err);
            held = m->space.buf;
        }
    }
    if (!st)
        st = m->nn->ops->download(m->nn, &host_y, &y, err);
    for (int64_t i = 0; !st && i < h * w; i++)
        map[i] = 1.0f / (1.0f + expf(-map[i]));
    return st;
}

ch4_status ch4_matting_workspace(size_t *out, int64_t h, int64_t w, ch4_err *err)
{
    ch4_matting *m = NULL;
    *out = 0;
    ch4_status st = ch4_calloc(&m, 1, sizeof *m, "background remover", err);
    if (st)
        return st;
    m->measure = true;
    for (int i = 0; i < STAGES; i++)
        m->unet[i].spec = &stages[i];
    ch4_tensor x = take(m, h, w, 3), y = take(m, h, w, 1);
    st = walk(m, &y, &x, err);
    *out = m->most;
    ch4_matting_close(&m);
    return st;
}
