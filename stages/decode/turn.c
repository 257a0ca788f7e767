#include "turn.h"

#include <stdlib.h>
#include <string.h>

ch4_turn ch4_turn_of_matrix(const int32_t m[9])
{
    int64_t a = m[0], b = m[1], c = m[3], d = m[4];
    if (llabs(a) + llabs(d) >= llabs(b) + llabs(c))
        return (ch4_turn){false, a < 0, d < 0};
    return (ch4_turn){true, c < 0, b < 0};
}

void ch4_turn_apply(uint8_t *dst, const uint8_t *src, int64_t width, int64_t height, int64_t row_step, ch4_turn turn)
{
    int64_t out_w = turn.transpose ? height : width, out_h = turn.transpose ? width : height;
    for (int64_t oy = 0; oy < out_h; oy++) {
        int64_t v = turn.flip_y ? out_h - 1 - oy : oy;
        if (!turn.transpose && !turn.flip_x) {
            memcpy(dst + 4 * oy * out_w, src + v * row_step, (size_t)(4 * out_w));
            continue;
        }
        for (int64_t ox = 0; ox < out_w; ox++) {
            int64_t u = turn.flip_x ? out_w - 1 - ox : ox;
            int64_t sx = turn.transpose ? v : u, sy = turn.transpose ? u : v;
            memcpy(dst + 4 * (oy * out_w + ox), src + sy * row_step + 4 * sx, 4);
        }
    }
}
