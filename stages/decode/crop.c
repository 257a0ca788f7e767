#include "crop.h"

#include <string.h>

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

ch4_box ch4_box_of_alpha(const uint8_t *alpha, int64_t width, int64_t height, int64_t pixel_step, int64_t row_step, int threshold)
{
    int64_t x0 = width, x1 = -1, y0 = height, y1 = -1;
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *row = alpha + y * row_step;
        int64_t first = 0, last = width - 1;
        while (first < width && row[first * pixel_step] <= threshold)
            first++;
        if (first == width)
            continue;
        while (row[last * pixel_step] <= threshold)
            last--;
        x0 = min_i64(x0, first);
        x1 = max_i64(x1, last);
        y0 = min_i64(y0, y);
        y1 = y;
    }
    return x1 < 0 ? (ch4_box){0, 0, 0, 0} : (ch4_box){x0, y0, x1 - x0 + 1, y1 - y0 + 1};
}

ch4_box ch4_box_union(ch4_box a, ch4_box b)
{
    if (a.w == 0)
        return b;
    if (b.w == 0)
        return a;
    int64_t x0 = min_i64(a.x, b.x), y0 = min_i64(a.y, b.y);
    int64_t x1 = max_i64(a.x + a.w, b.x + b.w), y1 = max_i64(a.y + a.h, b.y + b.h);
    return (ch4_box){x0, y0, x1 - x0, y1 - y0};
}

int64_t ch4_alpha_count(const uint8_t *rgba, int64_t width, int64_t height)
{
    int64_t n = 0;
    for (int64_t i = 0; i < width * height; i++)
        n += rgba[4 * i + 3] > 127;
    return n;
}

/* Rounds to float after each step: the build uses no contraction, and the casts keep that visible. */
static float composite(uint8_t value, float alpha)
{
    const float by_255 = (float)(1.0 / 255.0);
    float colour = (float)value * by_255;
    float front = colour * alpha;
    float back = 1.0f - alpha;
    return front + back;
}

void ch4_composite_white(float *out, const uint8_t *rgba, int64_t n)
{
    const float by_255 = (float)(1.0 / 255.0);
    for (int64_t i = 0; i < n; i++) {
        float alpha = (float)rgba[4 * i + 3] * by_255;
        for (int c = 0; c < 3; c++)
            out[3 * i + c] = composite(rgba[4 * i + c], alpha);
    }
}

ch4_crop ch4_crop_of_box(ch4_box box, double ratio, bool make_square)
{
    int64_t side = max_i64(box.w, box.h), base = (int64_t)((double)side * ratio);
    int64_t pad_x = base + (side - box.w) / 2, pad_y = base + (side - box.h) / 2;
    ch4_crop crop = {box.x - pad_x, box.y - pad_y, box.w + 2 * pad_x, box.h + 2 * pad_y};
    if (make_square)
        crop.w = crop.h = side + 2 * base;
    return crop;
}

void ch4_crop_apply(uint8_t *out_rgb, uint8_t *out_alpha, const uint8_t *rgba, int64_t width, int64_t height, ch4_box inside, ch4_crop crop)
{
    memset(out_rgb, 255, (size_t)(crop.w * crop.h * 3));
    if (out_alpha)
        memset(out_alpha, 0, (size_t)(crop.w * crop.h));
    int64_t x0 = max_i64(max_i64(inside.x, crop.x), 0), x1 = min_i64(min_i64(inside.x + inside.w, crop.x + crop.w), width);
    int64_t y0 = max_i64(max_i64(inside.y, crop.y), 0), y1 = min_i64(min_i64(inside.y + inside.h, crop.y + crop.h), height);
    for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++) {
            const uint8_t *p = rgba + 4 * (y * width + x);
            int64_t at = (y - crop.y) * crop.w + (x - crop.x);
            float mixed[3];
            ch4_composite_white(mixed, p, 1);
            for (int c = 0; c < 3; c++)
                out_rgb[3 * at + c] = (uint8_t)(mixed[c] * 255.0f);
            if (out_alpha)
                out_alpha[at] = p[3];
        }
}
