#include <math.h>
#include <string.h>

#include "tools/tap/tap_dump.h"

enum { COLUMNS = 8, GAP = 2, POINT_SIDE = 160, MAX_SIDE = 16384, MAP_SIDE = 512 };

/* A canvas for n cells of width x height. */
static ch4_status make_cells(ch4_canvas *out, int64_t n, int64_t width, int64_t height, ch4_err *err)
{
    *out = (ch4_canvas){0};
    const int64_t columns = n < COLUMNS ? n : COLUMNS, rows = (n + COLUMNS - 1) / COLUMNS;
    if (n < 1 || width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE || columns * (width + GAP) > MAX_SIDE || rows * (height + GAP) > MAX_SIDE)
        return ch4_err_set(err, CH4_EUNSUP, "%lld pictures of %lld x %lld are too large to draw", (long long)n, (long long)width, (long long)height);
    return ch4_canvas_init(out, (int)(columns * (width + GAP) - GAP), (int)(rows * (height + GAP) - GAP), err);
}

static uint8_t *cell_pixel(const ch4_canvas *c, int64_t cell, int64_t width, int64_t height, int64_t x, int64_t y)
{
    const int64_t left = cell % COLUMNS * (width + GAP), top = cell / COLUMNS * (height + GAP);
    return c->pixel + 3 * ((top + y) * c->width + left + x);
}

ch4_status ch4_tap_draw_frames(ch4_canvas *out, const uint8_t *data, int64_t n, int64_t height, int64_t width, int channels, ch4_err *err)
{
    ch4_status status = make_cells(out, n, width, height, err);
    if (status) return status;
    for (int64_t f = 0; f < n; f++)
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++) {
                const uint8_t *from = data + ((f * height + y) * width + x) * channels;
                uint8_t *to = cell_pixel(out, f, width, height, x, y);
                for (int k = 0; k < 3; k++) to[k] = from[channels == 3 ? k : 0];
            }
    return CH4_OK;
}

/* Black, violet, orange, white: brighter is more. v in [0,1]. */
static void heat(uint8_t rgb[3], double v)
{
    static const double stop[5][3] = {{0, 0, 4}, {87, 16, 110}, {188, 55, 84}, {249, 142, 9}, {252, 255, 220}};
    const double at = v * 4;
    const int i = at >= 4 ? 3 : (int)at;
    for (int k = 0; k < 3; k++) rgb[k] = (uint8_t)lrint(stop[i][k] + (stop[i + 1][k] - stop[i][k]) * (at - i));
}

ch4_status ch4_tap_draw_maps(ch4_canvas *out, const float *data, int64_t n, int64_t rows, int64_t columns, ch4_err *err)
{
    const int64_t step = (ch4_max_i64(rows, columns) + MAP_SIDE - 1) / MAP_SIDE; /* of a large map a pixel is the largest of step x step entries */
    const int64_t most = ch4_max_i64(rows, columns), zoom = most > 0 && most < 64 ? 64 / most : 1;
    const int64_t width = step ? (columns + step - 1) / step * zoom : 0, height = step ? (rows + step - 1) / step * zoom : 0;
    ch4_status status = make_cells(out, n, width, height, err);
    if (status) return status;
    for (int64_t f = 0; f < n; f++) {
        const float *map = data + f * rows * columns;
        double top = 0;
        for (int64_t i = 0; i < rows * columns; i++)
            if (isfinite(map[i]) && map[i] > top) top = map[i];
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++) {
                double v = 0;
                for (int64_t r = y / zoom * step; r < ch4_min_i64(rows, (y / zoom + 1) * step); r++)
                    for (int64_t c = x / zoom * step; c < ch4_min_i64(columns, (x / zoom + 1) * step); c++)
                        if (isfinite(map[r * columns + c]) && map[r * columns + c] > v) v = map[r * columns + c];
                heat(cell_pixel(out, f, width, height, x, y), top > 0 ? sqrt(v / top) : 0);
            }
    }
    return CH4_OK;
}

/* Where a point lies in the box of all frames, each axis as one colour: 0xRRGGBB. */
static uint32_t place_colour(const float *p, const float lo[3], const float hi[3])
{
    uint32_t colour = 0;
    for (int k = 0; k < 3; k++) colour = colour << 8 | (uint32_t)lrint(20 + 200 * (hi[k] > lo[k] ? (p[k] - lo[k]) / (hi[k] - lo[k]) : 0.5));
    return colour;
}

static bool finite3(const float *p)
{
    return isfinite(p[0]) && isfinite(p[1]) && isfinite(p[2]);
}

ch4_status ch4_tap_draw_points(ch4_canvas *out, const float *data, int64_t n, int64_t count, ch4_err *err)
{
    ch4_status status = make_cells(out, n, POINT_SIDE, POINT_SIDE, err);
    if (status) return status;
    float lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int64_t i = 0; i < n * count; i++)
        for (int k = 0; k < 3 && finite3(data + 3 * i); k++) lo[k] = fminf(lo[k], data[3 * i + k]), hi[k] = fmaxf(hi[k], data[3 * i + k]);
    const double side = fmax(fmax((double)hi[0] - lo[0], (double)hi[1] - lo[1]), 1e-6), scale = 0.9 * POINT_SIDE / side;
    for (int64_t f = 0; f < n; f++) {
        const int left = (int)(f % COLUMNS * (POINT_SIDE + GAP)), top = (int)(f / COLUMNS * (POINT_SIDE + GAP));
        const int clip[4] = {left, top, left + POINT_SIDE, top + POINT_SIDE};
        memcpy(out->clip, clip, sizeof clip);
        ch4_canvas_box(out, left, top, left + POINT_SIDE, top + POINT_SIDE, 0xf4f4f4);
        for (int64_t i = 0; i < count; i++) {
            const float *p = data + 3 * (f * count + i), *first = data + 3 * i;
            if (!finite3(p)) continue;
            const double x = left + POINT_SIDE / 2.0 + (p[0] - 0.5 * (lo[0] + hi[0])) * scale, y = top + POINT_SIDE / 2.0 - (p[1] - 0.5 * (lo[1] + hi[1])) * scale;
            ch4_canvas_disc(out, x, y, 1.2, place_colour(finite3(first) ? first : p, lo, hi));
        }
    }
    return CH4_OK;
}
