#include "key.h"

#include <math.h>
#include <string.h>

/* --- the border -------------------------------------------------------------------------------------------------------------- */

typedef void visit_fn(void *ctx, const uint8_t *pixel);

static int64_t visit_border(const uint8_t *rgba, int64_t width, int64_t height, visit_fn *visit, void *ctx)
{
    int64_t b = ch4_max_i64(1, ch4_min_i64(width, height) / 64), n = 0;
    for (int64_t y = 0; y < height; y++) {
        bool whole_row = y < b || y >= height - b;
        for (int64_t x = 0; x < width; x++) {
            if (!whole_row && x == b && width - b > x)
                x = width - b;
            visit(ctx, rgba + 4 * (y * width + x));
            n++;
        }
    }
    return n;
}

static void count_channels(void *ctx, const uint8_t *p)
{
    int64_t(*hist)[256] = ctx;
    for (int c = 0; c < 3; c++)
        hist[c][p[c]]++;
}

static int median_bin(const int64_t *hist, int n_bins, int64_t n)
{
    int64_t below = 0;
    for (int i = 0; i < n_bins; i++)
        if ((below += hist[i]) * 2 >= n)
            return i;
    return n_bins - 1;
}

/* Squared distance from a colour, at most 195075. */
static int64_t distance2(const uint8_t *a, const uint8_t *b)
{
    int64_t d2 = 0;
    for (int c = 0; c < 3; c++) {
        int64_t d = (int64_t)a[c] - b[c];
        d2 += d * d;
    }
    return d2;
}

typedef struct distances {
    const ch4_key *key;
    double tolerance;
    int64_t within;
    int64_t hist[443]; /* of whole distances */
} distances;

static void count_distances(void *ctx, const uint8_t *p)
{
    distances *d = ctx;
    double r = sqrt((double)distance2(p, d->key->rgb));
    d->within += r <= d->tolerance;
    d->hist[(int)r]++;
}

ch4_key ch4_key_of_border(const uint8_t *rgba, int64_t width, int64_t height, double tolerance)
{
    ch4_key key = {0};
    int64_t hist[3][256] = {{0}};
    int64_t n = visit_border(rgba, width, height, count_channels, hist);
    for (int c = 0; c < 3; c++)
        key.rgb[c] = (uint8_t)median_bin(hist[c], 256, n);
    distances d = {.key = &key, .tolerance = tolerance};
    visit_border(rgba, width, height, count_distances, &d);
    key.spread = median_bin(d.hist, 443, n);
    key.uniform = (double)d.within / (double)n;
    return key;
}

double ch4_key_distance(const ch4_key *a, const ch4_key *b)
{
    return sqrt((double)distance2(a->rgb, b->rgb));
}

/* --- regions ------------------------------------------------------------------------------------------------------------------
 * Runs of a row with alpha > 0, joined to touching runs of the row above by union-find; a run's parent is never a later run. */

typedef struct run {
    int32_t y, x0, x1; /* [x0,x1) */
    int32_t parent;
    int64_t solid;     /* pixels with alpha > 127; of the whole region at its root */
} run;

ch4_status ch4_key_workspace(size_t *bytes, int64_t width, int64_t height, ch4_err *err)
{
    if (width < 1 || height < 1 || width > 32768 || height > 32768)
        return ch4_err_set(err, CH4_EINVAL, "a picture of %lld x %lld pixels: sides of 1 to 32768 are supported", (long long)width, (long long)height);
    return ch4_size_bytes(bytes, (int64_t[]){height, (width + 1) / 2}, 2, sizeof(run), err);
}

static int32_t root_of(run *runs, int32_t i)
{
    while (runs[i].parent != i) {
        runs[i].parent = runs[runs[i].parent].parent;
        i = runs[i].parent;
    }
    return i;
}

static void join(run *runs, int32_t a, int32_t b)
{
    int32_t i = root_of(runs, a), j = root_of(runs, b);
    if (i != j)
        runs[i > j ? i : j].parent = i < j ? i : j;
}

static int32_t find_runs(run *runs, const uint8_t *rgba, int64_t width, int64_t height)
{
    int32_t n = 0, above = 0;
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *row = rgba + 4 * y * width;
        int32_t first = n;
        for (int64_t x = 0; x < width;) {
            if (row[4 * x + 3] == 0) {
                x++;
                continue;
            }
            run r = {.y = (int32_t)y, .x0 = (int32_t)x, .parent = n};
            for (; x < width && row[4 * x + 3] != 0; x++)
                r.solid += row[4 * x + 3] > 127;
            r.x1 = (int32_t)x;
            runs[n++] = r;
        }
        int32_t i = above, j = first; /* both rows' runs are in order of x; corners touch too */
        while (i < first && j < n) {
            if (runs[i].x0 <= runs[j].x1 && runs[j].x0 <= runs[i].x1)
                join(runs, i, j);
            if (runs[i].x1 < runs[j].x1)
                i++;
            else
                j++;
        }
        above = first;
    }
    return n;
}

static int64_t drop_small(uint8_t *rgba, int64_t width, run *runs, int32_t n, int64_t min_pixels, double min_share)
{
    int64_t largest = 0, left = 0;
    for (int32_t i = n - 1; i >= 0; i--) {
        int32_t root = root_of(runs, i);
        if (root != i)
            runs[root].solid += runs[i].solid;
    }
    for (int32_t i = 0; i < n; i++)
        if (runs[i].parent == i && runs[i].solid > largest)
            largest = runs[i].solid;
    for (int32_t i = 0; i < n; i++) {
        int64_t solid = runs[root_of(runs, i)].solid;
        if (solid >= min_pixels && solid > 0 && (double)solid >= min_share * (double)largest) {
            left += runs[i].parent == i ? solid : 0;
            continue;
        }
        for (int64_t x = runs[i].x0; x < runs[i].x1; x++)
            rgba[4 * (runs[i].y * width + x) + 3] = 0;
    }
    return left;
}

/* --- alpha ---------------------------------------------------------------------------------------------------------------------- */

static uint8_t to_byte(double v)
{
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5);
}

int64_t ch4_key_apply(uint8_t *rgba, int64_t width, int64_t height, const ch4_key *key, double tolerance, int64_t min_pixels,
                      double min_share, void *workspace)
{
    double low = tolerance, high = 2 * tolerance, low2 = low * low, high2 = high * high;
    for (int64_t i = 0; i < width * height; i++) {
        uint8_t *p = rgba + 4 * i;
        double d2 = (double)distance2(p, key->rgb);
        if (d2 <= low2) {
            p[3] = 0;
        } else if (d2 >= high2) {
            p[3] = 255;
        } else {
            double alpha = (sqrt(d2) - low) / (high - low);
            p[3] = to_byte(255 * alpha);
            alpha = p[3] / 255.0;
            for (int c = 0; p[3] > 0 && c < 3; c++)
                p[c] = to_byte((p[c] - (1 - alpha) * key->rgb[c]) / alpha);
        }
    }
    int32_t n = find_runs(workspace, rgba, width, height);
    return drop_small(rgba, width, workspace, n, min_pixels, min_share);
}
