/* Kind image_preproc: alpha boxes, compositing on white, crop and padding of a short RGBA sequence, exact. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "stages/decode/crop.h"

typedef struct sequence {
    uint8_t *rgba; /* [T,H,W,4] */
    int64_t T, H, W;
    ch4_box *box; /* [T] */
    ch4_box all;
} sequence;

static const uint8_t *frame(const sequence *s, int64_t t)
{
    return s->rgba + 4 * t * s->H * s->W;
}

static ch4_status load(ch4_golden_case *c, sequence *s, ch4_err *err)
{
    ch4_tensor in;
    ch4_status st = ch4_golden_tensor(c, &in, CH4_DTYPE_I32, err, "in.frames_rgba");
    if (st != CH4_OK)
        return st;
    if (in.rank != 4 || in.shape[3] != 4)
        return ch4_err_set(err, CH4_EFORMAT, "in.frames_rgba is not [T,H,W,4]");
    s->T = in.shape[0];
    s->H = in.shape[1];
    s->W = in.shape[2];
    int64_t n = ch4_tensor_count(&in);
    st = ch4_golden_alloc(c, &s->rgba, (size_t)n, 1, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &s->box, (size_t)s->T, sizeof *s->box, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < n; i++) {
        int32_t v = ((const int32_t *)in.data)[i];
        if (v < 0 || v > 255)
            return ch4_err_set(err, CH4_EFORMAT, "in.frames_rgba holds %" PRId32 ", not a byte", v);
        s->rgba[i] = (uint8_t)v;
    }
    for (int64_t t = 0; t < s->T; t++) {
        s->box[t] = ch4_box_of_alpha(frame(s, t) + 3, s->W, s->H, 4, 4 * s->W, 0);
        s->all = ch4_box_union(s->all, s->box[t]);
    }
    return CH4_OK;
}

static ch4_status check_boxes(ch4_golden_case *c, const sequence *s, ch4_err *err)
{
    double *xywh;
    ch4_status st = ch4_golden_alloc(c, &xywh, (size_t)s->T * 4, sizeof *xywh, err);
    if (st != CH4_OK)
        return st;
    for (int64_t t = 0; t < s->T; t++) {
        const ch4_box *b = &s->box[t];
        memcpy(xywh + 4 * t, (double[]){(double)b->x, (double)b->y, (double)b->w, (double)b->h}, 4 * sizeof *xywh);
    }
    ch4_golden_check_f64(c, xywh, 4 * s->T, "bbox_xywh");
    ch4_golden_check_f64(c, (double[]){(double)s->all.x, (double)s->all.y, (double)s->all.w, (double)s->all.h}, 4, "bbox_grouped_xywh");
    return CH4_OK;
}

static ch4_status check_composite(ch4_golden_case *c, const sequence *s, int64_t t, ch4_err *err)
{
    int64_t n = s->H * s->W;
    float *hwc, *chw;
    ch4_status st = ch4_golden_alloc(c, &hwc, (size_t)n * 3, sizeof *hwc, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &chw, (size_t)n * 3, sizeof *chw, err);
    if (st != CH4_OK)
        return st;
    ch4_composite_white(hwc, frame(s, t), n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < 3; k++)
            chw[k * n + i] = hwc[3 * i + k];
    ch4_golden_check_f32(c, chw, 3 * n, "composite_rgb_chw.%" PRId64, t);
    return CH4_OK;
}

/* Frames [first, last) cut by one box, against one tensor [last-first,h,w,3]. The records keep the reference's shape, which can
 * be one short of a square; the stage itself cuts a square. */
static ch4_status check_padded(ch4_golden_case *c, const sequence *s, int64_t first, int64_t last, ch4_box box, double ratio, const char *name, ch4_err *err)
{
    ch4_crop crop = ch4_crop_of_box(box, ratio, false);
    int64_t per_frame = crop.w * crop.h * 3, n = per_frame * (last - first);
    uint8_t *rgb;
    float *values;
    ch4_status st = ch4_golden_alloc(c, &rgb, (size_t)n, 1, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &values, (size_t)n, sizeof *values, err);
    if (st != CH4_OK)
        return st;
    for (int64_t t = first; t < last; t++)
        ch4_crop_apply(rgb + per_frame * (t - first), NULL, frame(s, t), s->W, s->H, box, crop);
    for (int64_t i = 0; i < n; i++)
        values[i] = rgb[i];
    ch4_golden_check_f32(c, values, n, "%s", name);
    return CH4_OK;
}

ch4_status ch4_golden_image_preproc(ch4_golden_case *c, ch4_err *err)
{
    sequence s = {0};
    ch4_status st = load(c, &s, err);
    if (st == CH4_OK)
        st = check_boxes(c, &s, err);
    for (int64_t t = 0; st == CH4_OK && t < s.T; t++)
        if (ch4_golden_has(c, "out.composite_rgb_chw.%" PRId64, t))
            st = check_composite(c, &s, t, err);
    json_t *ratios = ch4_golden_json(c, "padding_ratios");
    for (size_t r = 0; st == CH4_OK && r < json_array_size(ratios); r++) {
        double ratio = json_number_value(json_array_get(ratios, r));
        char name[64];
        snprintf(name, sizeof name, "grouped_pad%.12g", ratio);
        if (ch4_golden_has(c, "out.%s", name))
            st = check_padded(c, &s, 0, s.T, s.all, ratio, name, err);
        for (int64_t t = 0; st == CH4_OK && t < s.T; t++) {
            snprintf(name, sizeof name, "independent_pad%.12g.%" PRId64, ratio, t);
            if (ch4_golden_has(c, "out.%s", name))
                st = check_padded(c, &s, t, t + 1, s.box[t], ratio, name, err);
        }
    }
    return st;
}
