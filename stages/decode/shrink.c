#include "shrink.h"

#include <stdlib.h>
#include <string.h>

/* In units of 1/to of a source pixel, output pixel o covers [o*from, (o+1)*from) and source pixel i [i*to, (i+1)*to). */
static int64_t overlap(int64_t o, int64_t i, int64_t from, int64_t to)
{
    return ch4_min_i64((o + 1) * from, (i + 1) * to) - ch4_max_i64(o * from, i * to);
}

/* Adds weight * (horizontal sums of one source row) to acc [to,channels]. A full sum is at most 255 * from * from < 2^40. */
static void add_row(uint64_t *acc, const uint8_t *row, int64_t to, int64_t from, int64_t channels, int64_t weight)
{
    for (int64_t o = 0; o < to; o++)
        for (int64_t i = o * from / to; i < from && i * to < (o + 1) * from; i++) {
            uint64_t w = (uint64_t)(weight * overlap(o, i, from, to));
            for (int64_t c = 0; c < channels; c++)
                acc[o * channels + c] += w * row[i * channels + c];
        }
}

ch4_status ch4_shrink_square(uint8_t *dst, int64_t to, const uint8_t *src, int64_t from, int64_t channels, ch4_err *err)
{
    if (to < 1 || to > from || from > 65536 || channels < 1 || channels > 4)
        return ch4_err_set(err, CH4_EINVAL, "shrink from %lld to %lld", (long long)from, (long long)to);
    if (to == from) {
        memcpy(dst, src, (size_t)(from * from * channels));
        return CH4_OK;
    }
    uint64_t *acc;
    ch4_status st = ch4_calloc(&acc, (size_t)(to * channels), sizeof *acc, "shrink row", err);
    if (st != CH4_OK)
        return st;
    uint64_t area = (uint64_t)from * (uint64_t)from;
    for (int64_t o = 0; o < to; o++) {
        memset(acc, 0, (size_t)(to * channels) * sizeof *acc);
        for (int64_t i = o * from / to; i < from && i * to < (o + 1) * from; i++)
            add_row(acc, src + i * from * channels, to, from, channels, overlap(o, i, from, to));
        for (int64_t k = 0; k < to * channels; k++)
            dst[o * to * channels + k] = (uint8_t)((acc[k] + area / 2) / area);
    }
    free(acc);
    return CH4_OK;
}
