#include "tools/plot/plot.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/plot/plot_canvas.h"

static const uint32_t INK = 0x202428, GRID = 0xe4e6e8, FRAME = 0x9aa0a6;
/* Okabe and Ito's colours, which colour-blind readers can tell apart, without yellow; more for crowded plots. */
static const uint32_t PALETTE[] = {0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x6a6a6a, 0x8c564b, 0x7a3fa0, 0x9aa818, 0x17becf, 0x111111};
enum { N_PALETTE = sizeof(PALETTE) / sizeof(*PALETTE), MARGIN = 12, LINE = CH4_FONT_HEIGHT + 5, TICK_ROOM = 64, SWATCH = 26, MAX_TICKS = 64 };

typedef struct axis {
    double lo, hi; /* values; their logarithms on a logarithmic axis */
    double from, to; /* pixels */
    bool log;
    int n_tick;
    double tick[MAX_TICKS]; /* values */
} axis;

typedef struct drawing {
    const ch4_plot *p;
    ch4_canvas canvas;
    axis x, y;
    bool upright; /* names of groups are written from bottom to top */
} drawing;

static uint32_t colour_of(const ch4_plot *p, int s) { return p->series[s].colour ? p->series[s].colour : PALETTE[s % N_PALETTE]; }

static bool shown(double v, bool is_log) { return isfinite(v) && (!is_log || v > 0); }

static double place(const axis *a, double v) { return a->from + ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo) * (a->to - a->from); }

/* --- ranges and ticks ------------------------------------------------------------------------------------------------------------------------- */

static void widen(axis *a, double v)
{
    if (!shown(v, a->log)) return;
    if (a->log) v = log10(v);
    a->lo = fmin(a->lo, v);
    a->hi = fmax(a->hi, v);
}

/* 1, 2 or 5 times a power of ten, so that a range has about `count` of them. */
static double nice_step(double range, int count)
{
    double raw = range / count, power = pow(10, floor(log10(raw))), m = raw / power;
    return power * (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10);
}

static void linear_ticks(axis *a, int count, bool widen_to_ticks)
{
    double step = nice_step(a->hi - a->lo, count);
    if (widen_to_ticks) a->lo = floor(a->lo / step + 1e-9) * step, a->hi = ceil(a->hi / step - 1e-9) * step;
    for (double k = ceil(a->lo / step - 1e-9); k * step <= a->hi + 1e-9 * step && a->n_tick < MAX_TICKS; k++) a->tick[a->n_tick++] = k * step;
}

/* 1, 2 and 5 of each decade, only 1 where there are many. */
static void log_ticks(axis *a)
{
    bool many = a->hi - a->lo > 4;
    for (double d = floor(a->lo); d <= a->hi + 1e-9; d++)
        for (int m = 1; m <= 5; m += m == 2 ? 3 : 1) {
            double l = d + log10(m);
            if ((m == 1 || !many) && (m < 3 || m == 5) && l >= a->lo - 1e-9 && l <= a->hi + 1e-9 && a->n_tick < MAX_TICKS) a->tick[a->n_tick++] = pow(10, l);
        }
}

static void fit_x(axis *a, const ch4_plot *p)
{
    *a = (axis){.lo = INFINITY, .hi = -INFINITY, .log = p->log_x && !p->group};
    for (int s = 0; s < p->n_series; s++)
        for (int64_t i = 0; i < p->series[s].n; i++)
            if (shown(p->series[s].y[i], p->log_y)) widen(a, p->series[s].x && !p->group ? p->series[s].x[i] : (double)i);
    if (p->group) a->lo = -0.5, a->hi = (double)p->series[0].n - 0.5;
    if (!(a->lo <= a->hi)) a->lo = 0, a->hi = 1;
    if (!(a->lo < a->hi)) a->lo -= 0.5, a->hi += 0.5;
    if (a->log) log_ticks(a);
    else if (!p->group) linear_ticks(a, 10, false);
}

static void fit_y(axis *a, const ch4_plot *p)
{
    *a = (axis){.lo = INFINITY, .hi = -INFINITY, .log = p->log_y};
    for (int s = 0; s < p->n_series; s++)
        for (int64_t i = 0; i < p->series[s].n; i++) {
            const ch4_plot_series *r = &p->series[s];
            widen(a, r->y[i]);
            if (r->low) widen(a, r->low[i]);
            if (r->high) widen(a, r->high[i]);
        }
    if (!(a->lo <= a->hi)) a->lo = 0, a->hi = 1;
    bool given = p->y_min < p->y_max && (!a->log || p->y_min > 0);
    if (given) a->lo = a->log ? log10(p->y_min) : p->y_min, a->hi = a->log ? log10(p->y_max) : p->y_max;
    else if (!a->log && a->lo > 0) a->lo = 0;
    else if (!a->log && p->group && a->hi < 0) a->hi = 0;
    if (!(a->lo < a->hi)) a->lo -= a->log ? 0.5 : a->lo > 0 ? a->lo : 0, a->hi += a->log ? 0.5 : 1;
    if (a->log) {
        double room = given ? 0 : 0.03 * (a->hi - a->lo);
        a->lo -= room, a->hi += room;
        log_ticks(a);
        return;
    }
    linear_ticks(a, 7, !given);
}

/* --- frame ------------------------------------------------------------------------------------------------------------------------------------ */

/* Breaks the legend into rows; draws it where `draw` is set. Returns the number of rows. */
static int legend(drawing *d, double top, bool draw)
{
    double left = d->x.from, x = left;
    int row = 0;
    for (int s = 0; s < d->p->n_series; s++) {
        const ch4_plot_series *r = &d->p->series[s];
        if (!r->name) continue;
        double width = SWATCH + 6 + ch4_canvas_text_width(r->name) + 18;
        if (x > left && x + width > d->canvas.width - MARGIN) x = left, row++;
        double y = top + LINE * (row + 0.5);
        if (draw) {
            if (d->p->group) ch4_canvas_box(&d->canvas, x + 8, y - 5, x + SWATCH, y + 5, colour_of(d->p, s));
            else if (r->dashed)
                for (int k = 0; k < 3; k++) ch4_canvas_line(&d->canvas, x + 10 * k, y, x + 10 * k + 5, y, 2, colour_of(d->p, s));
            else ch4_canvas_line(&d->canvas, x, y, x + SWATCH, y, 2, colour_of(d->p, s));
            if (r->marks && !d->p->group) ch4_canvas_disc(&d->canvas, x + SWATCH / 2.0, y, 3.5, colour_of(d->p, s));
            ch4_canvas_text(&d->canvas, x + SWATCH + 6, y, 1, false, r->name, INK);
        }
        x += width;
    }
    return x > left ? row + 1 : 0;
}

static int longest_group(const ch4_plot *p)
{
    int longest = 0;
    for (int64_t i = 0; p->group && i < p->series[0].n; i++) longest = ch4_canvas_text_width(p->group[i]) > longest ? ch4_canvas_text_width(p->group[i]) : longest;
    return longest;
}

/* Where the axes lie; the legend goes between title and axes. Returns its top. */
static double lay_out(drawing *d)
{
    const ch4_plot *p = d->p;
    int group = longest_group(p);
    d->x.from = MARGIN + (p->y_label ? LINE : 0) + TICK_ROOM;
    d->x.to = d->canvas.width - MARGIN - 8;
    double legend_top = MARGIN + (p->title ? LINE + 4 : 0);
    d->y.to = legend_top + LINE * legend(d, 0, false) + 8;
    d->upright = p->group && group + 8 > (d->x.to - d->x.from) / (double)p->series[0].n;
    d->y.from = d->canvas.height - MARGIN - (p->x_label ? LINE : 0) - (d->upright ? group + 8 : LINE);
    return legend_top;
}

static void draw_axes(drawing *d)
{
    const ch4_plot *p = d->p;
    ch4_canvas *c = &d->canvas;
    char text[32];
    for (int i = 0; i < d->y.n_tick; i++) {
        double y = floor(place(&d->y, d->y.tick[i])) + 0.5;
        ch4_canvas_line(c, d->x.from, y, d->x.to, y, 1, GRID);
        snprintf(text, sizeof(text), "%.6g", fabs(d->y.tick[i]) < 1e-12 ? 0.0 : d->y.tick[i]);
        ch4_canvas_text(c, d->x.from - 8, y, -1, false, text, INK);
    }
    for (int i = 0; i < d->x.n_tick; i++) {
        double x = floor(place(&d->x, d->x.tick[i])) + 0.5;
        ch4_canvas_line(c, x, d->y.to, x, d->y.from, 1, GRID);
        snprintf(text, sizeof(text), "%.6g", fabs(d->x.tick[i]) < 1e-12 ? 0.0 : d->x.tick[i]);
        ch4_canvas_text(c, x, d->y.from + LINE / 2.0 + 2, 0, false, text, INK);
    }
    for (int64_t i = 0; p->group && i < p->series[0].n; i++) {
        double x = place(&d->x, (double)i);
        ch4_canvas_text(c, x, d->y.from + (d->upright ? 6 : LINE / 2.0 + 2), d->upright ? -1 : 0, d->upright, p->group[i], INK);
    }
    if (p->title) ch4_canvas_text(c, d->x.from, MARGIN + LINE / 2.0, 1, false, p->title, INK);
    if (p->x_label) ch4_canvas_text(c, (d->x.from + d->x.to) / 2, c->height - MARGIN - LINE / 2.0 + 4, 0, false, p->x_label, INK);
    if (p->y_label) ch4_canvas_text(c, MARGIN + LINE / 2.0, (d->y.from + d->y.to) / 2, 0, true, p->y_label, INK);
}

static void draw_frame(drawing *d)
{
    double x0 = floor(d->x.from) + 0.5, x1 = floor(d->x.to) + 0.5, y0 = floor(d->y.to) + 0.5, y1 = floor(d->y.from) + 0.5;
    ch4_canvas_line(&d->canvas, x0, y0, x0, y1, 1, FRAME);
    ch4_canvas_line(&d->canvas, x0, y1, x1, y1, 1, FRAME);
}

/* --- data ------------------------------------------------------------------------------------------------------------------------------------- */

static void error_bar(drawing *d, const ch4_plot_series *r, int64_t i, double x, uint32_t colour)
{
    if (!r->low || !r->high || !shown(r->low[i], d->y.log) || !shown(r->high[i], d->y.log)) return;
    double y0 = place(&d->y, r->low[i]), y1 = place(&d->y, r->high[i]);
    ch4_canvas_line(&d->canvas, x, y0, x, y1, 1.2, colour);
    ch4_canvas_line(&d->canvas, x - 3, y0, x + 3, y0, 1.2, colour);
    ch4_canvas_line(&d->canvas, x - 3, y1, x + 3, y1, 1.2, colour);
}

/* Dashes of 7 pixels with gaps of 5; *phase goes on from one piece of a line to the next. */
static void dashes(ch4_canvas *c, double x0, double y0, double x1, double y1, uint32_t colour, double *phase)
{
    const double on = 7, off = 5;
    double length = hypot(x1 - x0, y1 - y0);
    for (double at = -*phase; at < length; at += on + off) {
        double a = fmax(at, 0) / length, b = fmin(at + on, length) / length;
        if (b > a) ch4_canvas_line(c, x0 + a * (x1 - x0), y0 + a * (y1 - y0), x0 + b * (x1 - x0), y0 + b * (y1 - y0), 1.8, colour);
    }
    *phase = fmod(*phase + length, on + off);
}

static void draw_line(drawing *d, int s)
{
    const ch4_plot_series *r = &d->p->series[s];
    uint32_t colour = colour_of(d->p, s);
    double x0 = 0, y0 = 0, phase = 0;
    bool before = false;
    for (int64_t i = 0; i < r->n; i++) {
        double vx = r->x ? r->x[i] : (double)i;
        bool now = shown(vx, d->x.log) && shown(r->y[i], d->y.log);
        double x = now ? place(&d->x, vx) : 0, y = now ? place(&d->y, r->y[i]) : 0;
        if (now && before && r->dashed) dashes(&d->canvas, x0, y0, x, y, colour, &phase);
        else if (now && before) ch4_canvas_line(&d->canvas, x0, y0, x, y, 1.8, colour);
        if (now) error_bar(d, r, i, x, colour);
        if (now && r->marks) ch4_canvas_disc(&d->canvas, x, y, 3.5, colour);
        x0 = x, y0 = y, before = now;
    }
}

static void draw_bars(drawing *d)
{
    const ch4_plot *p = d->p;
    double group = (d->x.to - d->x.from) / (double)p->series[0].n, bar = 0.8 * group / p->n_series;
    double base = d->y.log ? d->y.from : place(&d->y, fmin(fmax(0, d->y.lo), d->y.hi));
    for (int s = 0; s < p->n_series; s++)
        for (int64_t i = 0; i < p->series[s].n; i++) {
            double left = d->x.from + group * ((double)i + 0.1) + bar * s, v = p->series[s].y[i];
            if (!shown(v, d->y.log)) continue;
            double y = place(&d->y, v);
            ch4_canvas_box(&d->canvas, left, fmin(y, base), left + fmax(bar - 1, 1), fmax(y, base), colour_of(p, s));
            error_bar(d, &p->series[s], i, left + bar / 2, INK);
        }
}

ch4_status ch4_plot_draw(uint8_t **rgb, int *width, int *height, const ch4_plot *p, ch4_err *err)
{
    drawing d = {.p = p};
    *rgb = NULL;
    *width = p->width ? p->width : 960, *height = p->height ? p->height : 540;
    if (p->n_series < 1) return ch4_err_set(err, CH4_EINVAL, "a plot needs data");
    if (*width < 160 || *height < 160 || *width > 8192 || *height > 8192) return ch4_err_set(err, CH4_EINVAL, "a plot of %d x %d pixels", *width, *height);
    for (int s = 0; s < p->n_series; s++)
        if (p->series[s].n < 1 || (p->group && p->series[s].n != p->series[0].n))
            return ch4_err_set(err, CH4_EINVAL, "series %d of a plot has %lld values", s, (long long)p->series[s].n);
    ch4_status st = ch4_canvas_init(&d.canvas, *width, *height, err);
    if (st) return st;
    fit_x(&d.x, p);
    fit_y(&d.y, p);
    double legend_top = lay_out(&d);
    draw_axes(&d);
    (void)legend(&d, legend_top, true);
    const int inside[4] = {(int)d.x.from - 4, (int)d.y.to - 4, (int)d.x.to + 5, (int)d.y.from + 5};
    for (int k = 0; k < 4; k++) d.canvas.clip[k] = inside[k] > 0 ? inside[k] : 0;
    d.canvas.clip[2] = d.canvas.clip[2] < *width ? d.canvas.clip[2] : *width;
    d.canvas.clip[3] = d.canvas.clip[3] < *height ? d.canvas.clip[3] : *height;
    if (p->group) draw_bars(&d);
    for (int s = 0; !p->group && s < p->n_series; s++) draw_line(&d, s);
    draw_frame(&d);
    *rgb = d.canvas.pixel;
    return CH4_OK;
}

ch4_status ch4_plot_save(const char *path, const ch4_plot *plot, ch4_err *err)
{
    uint8_t *rgb = NULL;
    int width, height;
    ch4_status st = ch4_plot_draw(&rgb, &width, &height, plot, err);
    if (st) return st;
    png_image image = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)width, .height = (png_uint_32)height, .format = PNG_FORMAT_RGB};
    FILE *f = fopen(path, "wbe");
    if (!f) st = ch4_err_set_errno(err, errno, "%s", path);
    errno = 0;
    if (!st && !png_image_write_to_stdio(&image, f, 0, rgb, 0, NULL))
        st = errno ? ch4_err_set_errno(err, errno, "%s: %s", path, image.message) : ch4_err_set(err, CH4_EIO, "%s: %s", path, image.message);
    if (f && fclose(f) != 0 && !st) st = ch4_err_set_errno(err, errno, "%s", path);
    free(rgb);
    return st;
}
