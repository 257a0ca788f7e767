#include "focus.h"

#include <stdlib.h>

static int luma(const uint8_t *p)
{
    return 77 * p[0] + 150 * p[1] + 29 * p[2];
}

double ch4_focus_score(const uint8_t *rgba, int64_t width, int64_t height)
{
    int64_t area = 0, inner = 0;
    double edges = 0;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const uint8_t *p = rgba + 4 * (y * width + x);
            if (p[3] <= 127)
                continue;
            area++;
            if (x == 0 || y == 0 || x == width - 1 || y == height - 1)
                continue;
            const uint8_t *left = p - 4, *right = p + 4, *up = p - 4 * width, *down = p + 4 * width;
            if (left[3] <= 127 || right[3] <= 127 || up[3] <= 127 || down[3] <= 127)
                continue;
            inner++;
            edges += abs(4 * luma(p) - luma(left) - luma(right) - luma(up) - luma(down));
        }
    return inner ? (double)area * edges / (double)inner / 256 : 0;
}
