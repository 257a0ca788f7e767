/* Plots: what is drawn where, and what is refused. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/plot/plot.h"
#include "tools/plot/plot_canvas.h"

/* Pixels of a box that are nearer to the colour than to white or the grey of the grid. */
static int count_colour(const uint8_t *rgb, int width, int x0, int y0, int x1, int y1, uint32_t colour)
{
    int n = 0;
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            int far = 0;
            for (int k = 0; k < 3; k++) far += abs(rgb[3 * (y * width + x) + k] - (int)(colour >> (16 - 8 * k) & 255));
            n += far < 150;
        }
    return n;
}

static void test_text(void **state)
{
    (void)state;
    ch4_canvas c;
    assert_int_equal(ch4_canvas_init(&c, 40, 30, NULL), CH4_OK);
    ch4_canvas_text(&c, 20, 15, 0, false, "I", 0);
    int upright = count_colour(c.pixel, 40, 17, 8, 24, 22, 0);
    assert_true(upright > 8); /* all of the letter is where it was asked for */
    assert_int_equal(upright, count_colour(c.pixel, 40, 0, 0, 40, 30, 0));
    ch4_canvas_text(&c, 20, 15, 0, true, "I", 0xff0000);
    assert_int_equal(count_colour(c.pixel, 40, 0, 0, 40, 30, 0xff0000), upright); /* turned: drawn over the first, none lost */
    ch4_canvas_text(&c, 39, 29, 1, false, "outside", 0x00ff00); /* clipped */
    assert_int_equal(ch4_canvas_text_width("abc"), 3 * CH4_FONT_WIDTH);
    ch4_canvas_fini(&c);
}

/* A taller bar has more of its colour, in the ratio of the values. */
static void test_bars(void **state)
{
    (void)state;
    const double low[] = {1, NAN}, high[] = {4, 2};
    const char *const group[] = {"walker", "worm"};
    const ch4_plot_series series[] = {{.name = "a", .n = 2, .y = low, .colour = 0xff0000}, {.name = "b", .n = 2, .y = high, .colour = 0x0000ff}};
    const ch4_plot plot = {.title = "bars", .series = series, .n_series = 2, .group = group, .width = 400, .height = 300};
    uint8_t *rgb;
    int w, h;
    assert_int_equal(ch4_plot_draw(&rgb, &w, &h, &plot, NULL), CH4_OK);
    assert_int_equal(w, 400);
    assert_int_equal(h, 300);
    int top = 70, red = count_colour(rgb, w, 0, top, w, h, 0xff0000), blue = count_colour(rgb, w, 0, top, w, h, 0x0000ff);
    assert_true(red > 100);
    assert_true(blue > 5.2 * red && blue < 6.8 * red); /* 4 + 2 against 1, the missing value draws nothing; edges and the frame take some */
    free(rgb);
}

/* A constant line lies at one height; a gap is a gap; dashes cover less. */
static void test_lines(void **state)
{
    (void)state;
    const double flat[] = {1, 1, 1, 1, 1}, gap[] = {1, 1, NAN, 1, 1};
    ch4_plot_series s = {.n = 5, .y = flat, .colour = 0xff0000};
    const ch4_plot plot = {.series = &s, .n_series = 1, .y_min = 0, .y_max = 2, .width = 500, .height = 300};
    uint8_t *rgb;
    int w, h, covered[3];
    for (int i = 0; i < 3; i++) {
        s.y = i == 1 ? gap : flat;
        s.dashed = i == 2;
        assert_int_equal(ch4_plot_draw(&rgb, &w, &h, &plot, NULL), CH4_OK);
        covered[i] = count_colour(rgb, w, 0, 0, w, h, 0xff0000);
        assert_int_equal(covered[i], count_colour(rgb, w, 0, 142, w, 148, 0xff0000)); /* half-way up the axis */
        free(rgb);
    }
    assert_true(covered[0] > 300);
    assert_in_range(2 * covered[1], covered[0] - 20, covered[0] + 20);
    assert_true(covered[2] < 0.8 * covered[0] && covered[2] > 0.4 * covered[0]);
}

static void test_odd_data(void **state)
{
    (void)state;
    const double none[] = {NAN, NAN}, zero[] = {0, 0}, mixed[] = {-1, 1e9}, tiny[] = {1e-30, 1e30};
    const double *const y[] = {none, zero, mixed, tiny};
    uint8_t *rgb;
    int w, h;
    for (int i = 0; i < 4; i++)
        for (int as_log = 0; as_log < 2; as_log++) {
            const ch4_plot_series s = {.name = "x", .n = 2, .y = y[i], .low = y[i], .high = y[i], .marks = true};
            const ch4_plot plot = {.series = &s, .n_series = 1, .log_y = as_log, .log_x = as_log, .width = 200, .height = 160};
            assert_int_equal(ch4_plot_draw(&rgb, &w, &h, &plot, NULL), CH4_OK);
            free(rgb);
        }
}

static void test_refused(void **state)
{
    (void)state;
    const double y[] = {1, 2};
    const ch4_plot_series s = {.n = 2, .y = y};
    ch4_err err = {0};
    uint8_t *rgb;
    int w, h;
    assert_int_equal(ch4_plot_draw(&rgb, &w, &h, &(ch4_plot){.n_series = 0}, &err), CH4_EINVAL);
    assert_int_equal(ch4_plot_draw(&rgb, &w, &h, &(ch4_plot){.series = &s, .n_series = 1, .width = 9000}, &err), CH4_EINVAL);
    assert_int_equal(ch4_plot_draw(&rgb, &w, &h, &(ch4_plot){.series = &(ch4_plot_series){.n = 0}, .n_series = 1}, &err), CH4_EINVAL);
    assert_null(rgb);
    assert_int_equal(ch4_plot_save("/no/such/folder/x.png", &(ch4_plot){.series = &s, .n_series = 1}, &err), CH4_ENOENT);
    assert_non_null(strstr(err.msg, "/no/such/folder/x.png"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_bars), cmocka_unit_test(test_lines), cmocka_unit_test(test_odd_data),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
