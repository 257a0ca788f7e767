#include "tools/plot/plot_canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ch4_status ch4_canvas_init(ch4_canvas *out, int width, int height, ch4_err *err)
{
    *out = (ch4_canvas){.width = width, .height = height, .clip = {0, 0, width, height}};
    ch4_status st = ch4_calloc(&out->pixel, (size_t)width * (size_t)height, 3, "picture", err);
    if (!st) memset(out->pixel, 255, (size_t)width * (size_t)height * 3);
    return st;
}

void ch4_canvas_fini(ch4_canvas *c)
{
    if (!c) return;
    free(c->pixel);
    *c = (ch4_canvas){0};
}

/* Blends `colour` over a pixel. */
static void blend(ch4_canvas *c, int x, int y, double cover, uint32_t colour)
{
    if (x < c->clip[0] || y < c->clip[1] || x >= c->clip[2] || y >= c->clip[3] || !(cover > 0)) return;
    uint8_t *p = c->pixel + 3 * ((int64_t)y * c->width + x);
    if (cover > 1) cover = 1;
    for (int k = 0; k < 3; k++) {
        double over = colour >> (16 - 8 * k) & 255;
        p[k] = (uint8_t)lrint(p[k] + (over - p[k]) * cover);
    }
}

/* Pixels from lo to hi, cut to [from, to). */
static void span(int *begin, int *end, double lo, double hi, int from, int to)
{
    *begin = lo > from ? (lo < to ? (int)lo : to) : from;
    *end = hi < to ? (hi > from ? (int)ceil(hi) : from) : to;
}

void ch4_canvas_line(ch4_canvas *c, double x0, double y0, double x1, double y1, double width, uint32_t colour)
{
    double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy, half = width / 2;
    int xb, xe, yb, ye;
    if (!isfinite(length2)) return;
    span(&xb, &xe, fmin(x0, x1) - half - 1, fmax(x0, x1) + half + 1, c->clip[0], c->clip[2]);
    span(&yb, &ye, fmin(y0, y1) - half - 1, fmax(y0, y1) + half + 1, c->clip[1], c->clip[3]);
    for (int y = yb; y < ye; y++)
        for (int x = xb; x < xe; x++) {
            double px = x + 0.5 - x0, py = y + 0.5 - y0, s = length2 > 0 ? fmax(0, fmin(1, (px * dx + py * dy) / length2)) : 0;
            blend(c, x, y, half + 0.5 - hypot(px - s * dx, py - s * dy), colour);
        }
}

void ch4_canvas_disc(ch4_canvas *c, double x, double y, double radius, uint32_t colour)
{
    ch4_canvas_line(c, x, y, x, y, 2 * radius, colour);
}

void ch4_canvas_box(ch4_canvas *c, double x0, double y0, double x1, double y1, uint32_t colour)
{
    int xb, xe, yb, ye;
    span(&xb, &xe, x0, x1, c->clip[0], c->clip[2]);
    span(&yb, &ye, y0, y1, c->clip[1], c->clip[3]);
    for (int y = yb; y < ye; y++)
        for (int x = xb; x < xe; x++) blend(c, x, y, (fmin(x + 1, x1) - fmax(x, x0)) * (fmin(y + 1, y1) - fmax(y, y0)), colour);
}

int ch4_canvas_text_width(const char *text) { return CH4_FONT_WIDTH * (int)strlen(text); }

void ch4_canvas_text(ch4_canvas *c, double x, double y, int align, bool upward, const char *text, uint32_t colour)
{
    int length = ch4_canvas_text_width(text);
    double along = (align - 1) * length / 2.0, across = -CH4_FONT_HEIGHT / 2.0;
    int left = (int)lrint(upward ? x + across : x + along), top = (int)lrint(upward ? y - along : y + across);
    for (int i = 0; text[i]; i++) {
        unsigned code = (unsigned char)text[i];
        const uint8_t *glyph = ch4_font[code >= CH4_FONT_FIRST && code < CH4_FONT_FIRST + CH4_FONT_GLYPHS ? code - CH4_FONT_FIRST : '?' - CH4_FONT_FIRST];
        for (int row = 0; row < CH4_FONT_HEIGHT; row++)
            for (int col = 0; col < CH4_FONT_WIDTH; col++) {
                int u = i * CH4_FONT_WIDTH + col;
                if (glyph[row] >> (CH4_FONT_WIDTH - 1 - col) & 1) blend(c, upward ? left + row : left + u, upward ? top - 1 - u : top + row, 1, colour);
            }
    }
}
