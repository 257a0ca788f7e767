#include "model/image_processor.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/net_config.h"

enum { FRACTION_BITS = 22 };

ch4_image_processor ch4_image_processor_defaults(void)
{
    return (ch4_image_processor){
        .shortest_edge = 256, .crop_height = 224, .crop_width = 224, .rescale = 0.00392156862745098,
        .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f},
    };
}

static ch4_status parse_three(float out[3], const json_t *object, const char *key, ch4_err *err)
{
    const json_t *list = json_object_get(object, key);
    if (!list)
        return CH4_OK;
    for (size_t i = 0; i < 3; i++) {
        const json_t *v = json_array_get(list, i);
        if (json_array_size(list) != 3 || !json_is_number(v))
            return ch4_err_set(err, CH4_EFORMAT, "config: %s: three numbers wanted", key);
        out[i] = (float)json_number_value(v);
    }
    return CH4_OK;
}

ch4_status ch4_image_processor_parse(ch4_image_processor *out, const json_t *object, ch4_err *err)
{
    ch4_image_processor p = ch4_image_processor_defaults();
    int64_t resample = 3;
    ch4_status st = ch4_net_config_int(&resample, object, "resample", 3, 3, false, err);
    const json_t *size = json_object_get(object, "size"), *crop = json_object_get(object, "crop_size");
    if (!st && size)
        st = ch4_net_config_int(&p.shortest_edge, size, "shortest_edge", 1, 16384, true, err);
    if (!st && crop)
        st = ch4_net_config_int(&p.crop_height, crop, "height", 1, 16384, true, err);
    if (!st && crop)
        st = ch4_net_config_int(&p.crop_width, crop, "width", 1, 16384, true, err);
    if (!st)
        st = ch4_net_config_real(&p.rescale, object, "rescale_factor", 0, 1, err);
    if (!st)
        st = parse_three(p.mean, object, "image_mean", err);
    if (!st)
        st = parse_three(p.std, object, "image_std", err);
    *out = p;
    return st;
}

ch4_status ch4_image_processor_load(ch4_image_processor *out, const char *path, ch4_err *err)
{
    json_t *json = NULL;
    ch4_status st = ch4_net_config_load(&json, path, err);
    if (!st && (st = ch4_image_processor_parse(out, json, err)))
        ch4_err_wrap(err, st, "%s", path);
    json_decref(json);
    return st;
}

void ch4_image_resized_size(int64_t *out_h, int64_t *out_w, int64_t h, int64_t w, int64_t edge)
{
    *out_h = h < w ? edge : edge * h / w;
    *out_w = h < w ? edge * w / h : edge;
}

/* Filter of one axis: per output sample the first tap, their number, and coefficients with FRACTION_BITS fractional bits. */
typedef struct filter {
    int64_t *first, *count;
    int32_t *coefficient; /* [out][most] */
    int64_t most;
} filter;

static void filter_free(filter *f)
{
    free(f->first);
    free(f->count);
    free(f->coefficient);
}

static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static ch4_status filter_make(filter *f, int64_t in, int64_t out, ch4_err *err)
{
    double scale = (double)in / (double)out, stretch = fmax(scale, 1.0), support = 2.0 * stretch;
    double *weight = NULL;
    f->most = (int64_t)ceil(support) * 2 + 1;
    ch4_status st = ch4_calloc(&f->first, (size_t)out, sizeof *f->first, "resize filter", err);
    if (!st)
        st = ch4_calloc(&f->count, (size_t)out, sizeof *f->count, "resize filter", err);
    if (!st)
        st = ch4_calloc(&f->coefficient, (size_t)(out * f->most), sizeof *f->coefficient, "resize filter", err);
    if (!st)
        st = ch4_calloc(&weight, (size_t)f->most, sizeof *weight, "resize filter", err);
    for (int64_t o = 0; !st && o < out; o++) {
        double center = ((double)o + 0.5) * scale, sum = 0;
        int64_t lo = ch4_max_i64(0, (int64_t)(center - support + 0.5)), hi = ch4_min_i64(in, (int64_t)(center + support + 0.5));
        f->first[o] = lo;
        f->count[o] = hi - lo;
        for (int64_t i = 0; i < hi - lo; i++)
            sum += weight[i] = bicubic(((double)(i + lo) - center + 0.5) * (1.0 / stretch));
        for (int64_t i = 0; i < hi - lo; i++) {
            double k = (sum != 0 ? weight[i] / sum : weight[i]) * (1 << FRACTION_BITS);
            f->coefficient[o * f->most + i] = (int32_t)(k < 0 ? k - 0.5 : k + 0.5);
        }
    }
    free(weight);
    return st;
}

static uint8_t clip8(int64_t sum)
{
    int64_t v = (sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS;
    return (uint8_t)ch4_max_i64(0, ch4_min_i64(255, v));
}

/* Resamples along one axis: `n` lines that are line_in / line_out apart, samples step_in / step_out apart, three channels. */
typedef struct axis {
    int64_t n, out, line_in, line_out, step_in, step_out;
} axis;

static void resample(uint8_t *dst, const uint8_t *src, const filter *f, const axis *a)
{
    for (int64_t line = 0; line < a->n; line++)
        for (int64_t o = 0; o < a->out; o++) {
            const int32_t *k = f->coefficient + o * f->most;
            const uint8_t *in = src + line * a->line_in + f->first[o] * a->step_in;
            uint8_t *out = dst + line * a->line_out + o * a->step_out;
            for (int c = 0; c < 3; c++) {
                int64_t sum = 0;
                for (int64_t i = 0; i < f->count[o]; i++)
                    sum += (int64_t)in[i * a->step_in + c] * k[i];
                out[c] = clip8(sum);
            }
        }
}

ch4_status ch4_image_resize(uint8_t *dst, int64_t out_h, int64_t out_w, const uint8_t *src, int64_t h, int64_t w, ch4_err *err)
{
    filter across = {0}, down = {0};
    uint8_t *middle = NULL; /* [h,out_w,3] */
    ch4_status st = h < 1 || w < 1 || out_h < 1 || out_w < 1 ? ch4_err_set(err, CH4_EINVAL, "resize: empty picture") : CH4_OK;
    if (!st)
        st = filter_make(&across, w, out_w, err);
    if (!st)
        st = filter_make(&down, h, out_h, err);
    if (!st)
        st = ch4_calloc(&middle, (size_t)(h * out_w), 3, "resize", err);
    if (!st) { /* an axis that keeps its size is copied, as Pillow does */
        if (w == out_w)
            memcpy(middle, src, (size_t)(h * w * 3));
        else
            resample(middle, src, &across, &(axis){h, out_w, w * 3, out_w * 3, 3, 3});
        if (h == out_h)
            memcpy(dst, middle, (size_t)(out_h * out_w * 3));
        else
            resample(dst, middle, &down, &(axis){out_w, out_h, 3, 3, out_w * 3, out_w * 3});
    }
    free(middle);
    filter_free(&across);
    filter_free(&down);
    return st;
}

ch4_status ch4_image_process(const ch4_image_processor *p, float *pixels, const uint8_t *image, int64_t h, int64_t w, ch4_err *err)
{
    int64_t rh, rw, ch = p->crop_height, cw = p->crop_width;
    uint8_t *resized = NULL;
    ch4_image_resized_size(&rh, &rw, h, w, p->shortest_edge);
    if (rh < ch || rw < cw)
        return ch4_err_set(err, CH4_EINVAL, "image processor: %" PRId64 "x%" PRId64 " is cropped from %" PRId64 "x%" PRId64, cw, ch, rw, rh);
    ch4_status st = ch4_calloc(&resized, (size_t)(rh * rw), 3, "image processor", err);
    if (!st)
        st = ch4_image_resize(resized, rh, rw, image, h, w, err);
    int64_t top = (rh - ch) / 2, left = (rw - cw) / 2;
    for (int64_t c = 0; !st && c < 3; c++)
        for (int64_t y = 0; y < ch; y++)
            for (int64_t x = 0; x < cw; x++) {
                float v = (float)(resized[((top + y) * rw + left + x) * 3 + c] * p->rescale);
                pixels[(c * ch + y) * cw + x] = (v - p->mean[c]) / p->std[c];
            }
    free(resized);
    return st;
}
