/* A picture and what plots are drawn with: lines, discs and boxes with smooth edges, and text in one fixed font. */
#ifndef CH4_PLOT_CANVAS_H
#define CH4_PLOT_CANVAS_H

#include "base/base.h"

/* Pixel (i, j) covers [i, i+1) x [j, j+1), origin at the top left. Everything is clipped to the clip box, which starts as the whole picture. */
typedef struct ch4_canvas {
    int width, height;
    int clip[4];    /* x0, y0, x1, y1; the last two are outside */
    uint8_t *pixel; /* [height,width,3] */
} ch4_canvas;

/* White. CH4_ENOMEM. Free with fini, also after an error. */
ch4_status ch4_canvas_init(ch4_canvas *out, int width, int height, ch4_err *err);
void       ch4_canvas_fini(ch4_canvas *canvas);

/* Colours are 0xRRGGBB. */
void ch4_canvas_line(ch4_canvas *c, double x0, double y0, double x1, double y1, double width, uint32_t colour);
void ch4_canvas_disc(ch4_canvas *c, double x, double y, double radius, uint32_t colour);
void ch4_canvas_box(ch4_canvas *c, double x0, double y0, double x1, double y1, uint32_t colour);

enum { CH4_FONT_WIDTH = 7, CH4_FONT_HEIGHT = 13, CH4_FONT_FIRST = 32, CH4_FONT_GLYPHS = 95 };

/* Rows of a glyph from top to bottom, bit 6 leftmost: X11's "fixed" 7x13 (misc-fixed, public domain). */
extern const uint8_t ch4_font[CH4_FONT_GLYPHS][CH4_FONT_HEIGHT];

int ch4_canvas_text_width(const char *text); /* pixels */

/* Text whose middle is at (x, y), moved by half its length to the right for align 1 (starts there), to the left for align -1 (ends there). upward: turned by a
 * quarter, read from bottom to top; align then moves it up (1) or down (-1). */
void ch4_canvas_text(ch4_canvas *c, double x, double y, int align, bool upward, const char *text, uint32_t colour);

#endif
