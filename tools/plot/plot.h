/* Plots as PNG files: lines over x, or bars in groups, with axes, ticks, grid and legend. What is drawn depends on the input alone: same data, same pixels.
 *
 * Text is ASCII; any other byte is drawn as '?'. Nothing is kept between calls; functions may run in parallel. */
#ifndef CH4_PLOT_H
#define CH4_PLOT_H

#include "base/base.h"

/* One line, or the bars of one colour. Arrays belong to the caller. */
typedef struct ch4_plot_series {
    const char *name;        /* in the legend; NULL: not there */
    int64_t n;               /* values; bars: the number of groups */
    const double *x;         /* [n]; NULL: 0, 1, 2, ... Bars do not use it. */
    const double *y;         /* [n]; values that are not finite, or not above 0 on a logarithmic axis, leave a gap */
    const double *low, *high; /* [n] ends of error bars, both or neither (NULL) */
    uint32_t colour;         /* 0xRRGGBB; 0: the next colour of the palette */
    bool dashed, marks;      /* of lines; marks: a dot on each value */
} ch4_plot_series;

typedef struct ch4_plot {
    const char *title, *x_label, *y_label; /* NULL: none */
    const ch4_plot_series *series;
    int n_series;
    const char *const *group; /* [n of a series]: names of the groups, which makes bars; NULL: lines */
    bool log_x, log_y;
    double y_min, y_max;      /* equal: from the data, from 0 where nothing is negative and the axis is linear */
    int width, height;        /* pixels; 0: 960 x 540 */
} ch4_plot;

/* One file of one plot. CH4_EINVAL: no series, or a size outside 160..8192; CH4_EIO and kin name the path; CH4_ENOMEM. */
ch4_status ch4_plot_save(const char *path, const ch4_plot *plot, ch4_err *err);

/* The same into memory: rgb u8[height,width,3], malloc'd, the caller frees it. */
ch4_status ch4_plot_draw(uint8_t **rgb, int *width, int *height, const ch4_plot *plot, ch4_err *err);

#endif
