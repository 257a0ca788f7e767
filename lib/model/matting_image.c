/* What happens to a picture before and after the background remover, as ActionMesh does it. */
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "model/matting.h"

/* Where output sample o reads from: pixel centres at halves, edges clamped. */
static void taps(int64_t index[2], float *share, int64_t o, int64_t out, int64_t in)
{
    float s = fmaxf(((float)o + 0.5f) * ((float)in / (float)out) - 0.5f, 0.0f);
    index[0] = ch4_min_i64((int64_t)s, in - 1);
    index[1] = ch4_min_i64(index[0] + 1, in - 1);
    *share = s - (float)index[0];
}

void ch4_matting_prepare(float *image, int64_t side, const uint8_t *rgb, int64_t h, int64_t w)
{
    for (int64_t i = 0; i < side; i++)
        for (int64_t j = 0; j < side; j++) {
            int64_t a[2], b[2];
            float down, right;
            taps(a, &down, i, side, h);
            taps(b, &right, j, side, w);
            for (int c = 0; c < 3; c++) {
                float p = rgb[(a[0] * w + b[0]) * 3 + c], q = rgb[(a[0] * w + b[1]) * 3 + c];
                float r = rgb[(a[1] * w + b[0]) * 3 + c], s = rgb[(a[1] * w + b[1]) * 3 + c];
                float v = (1 - down) * ((1 - right) * p + right * q) + down * ((1 - right) * r + right * s);
                image[(i * side + j) * 3 + c] = v / 255.0f - 0.5f;
            }
        }
}

int ch4_matting_otsu(const int64_t histogram[256])
{
    double total = 0, sum = 0, below = 0, sum_below = 0, best = 0;
    int threshold = 0;
    for (int v = 0; v < 256; v++) {
        total += (double)histogram[v];
        sum += (double)v * (double)histogram[v];
    }
    for (int t = 0; t < 256; t++) {
        below += (double)histogram[t];
        sum_below += (double)t * (double)histogram[t];
        if (below == 0 || below == total)
            continue;
        double gap = sum_below / below - (sum - sum_below) / (total - below), between = below / total * ((total - below) / total) * gap * gap;
        if (between > best) {
            best = between;
            threshold = t;
        }
    }
    return threshold;
}

/* Sets the pixels of regions with fewer than min_pixels to 0. queue has h*w entries; alpha is 0 or 255, 1 while a pixel is on its way. */
static void drop_small(uint8_t *alpha, int64_t h, int64_t w, int64_t min_pixels, int64_t *queue)
{
    for (int64_t start = 0; start < h * w; start++) {
        if (alpha[start] != 255)
            continue;
        int64_t n = 0;
        queue[n++] = start;
        alpha[start] = 1;
        for (int64_t k = 0; k < n; k++)
            for (int64_t d = 0; d < 9; d++) {
                int64_t y = queue[k] / w + d / 3 - 1, x = queue[k] % w + d % 3 - 1;
                if (y < 0 || y >= h || x < 0 || x >= w || alpha[y * w + x] != 255)
                    continue;
                alpha[y * w + x] = 1;
                queue[n++] = y * w + x;
            }
        for (int64_t k = 0; k < n; k++)
            alpha[queue[k]] = n < min_pixels ? 0 : 2;
    }
    for (int64_t i = 0; i < h * w; i++)
        alpha[i] = alpha[i] ? 255 : 0;
}

ch4_status ch4_matting_finish(uint8_t *alpha, int64_t h, int64_t w, const float *map, int64_t side, ch4_err *err)
{
    float *large = NULL, lo = INFINITY, hi = -INFINITY;
    int64_t *queue = NULL, histogram[256] = {0};
    ch4_status st = ch4_calloc(&large, (size_t)(h * w), sizeof *large, "mask", err);
    if (!st)
        st = ch4_calloc(&queue, (size_t)(h * w), sizeof *queue, "mask", err);
    for (int64_t i = 0; !st && i < h; i++)
        for (int64_t j = 0; j < w; j++) {
            int64_t a[2], b[2];
            float down, right;
            taps(a, &down, i, h, side);
            taps(b, &right, j, w, side);
            float top = (1 - right) * map[a[0] * side + b[0]] + right * map[a[0] * side + b[1]];
            float bottom = (1 - right) * map[a[1] * side + b[0]] + right * map[a[1] * side + b[1]];
            large[i * w + j] = (1 - down) * top + down * bottom;
            lo = fminf(lo, large[i * w + j]);
            hi = fmaxf(hi, large[i * w + j]);
        }
    if (!st) {
        for (int64_t i = 0; i < h * w; i++)
            histogram[alpha[i] = hi > lo ? (uint8_t)((large[i] - lo) / (hi - lo) * 255.0f) : 0]++;
        int threshold = ch4_matting_otsu(histogram);
        for (int64_t i = 0; i < h * w; i++)
            alpha[i] = alpha[i] > threshold ? 255 : 0;
        drop_small(alpha, h, w, CH4_MATTING_MIN_PIXELS, queue);
    }
    free(large);
    free(queue);
    return st;
}
