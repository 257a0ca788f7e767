/* Shrinking square pictures by exact area averages, in whole numbers: the same bytes on every machine. */
#ifndef CH4_DECODE_SHRINK_H
#define CH4_DECODE_SHRINK_H

#include "base/base.h"

/* dst u8 [to,to,channels] = area averages of src u8 [from,from,channels], halves rounded up. 1 <= to <= from <= 65536,
 * channels 1 to 4; to == from copies. Scratch for one row is allocated: CH4_ENOMEM. CH4_EINVAL outside the limits. */
ch4_status ch4_shrink_square(uint8_t *dst, int64_t to, const uint8_t *src, int64_t from, int64_t channels, ch4_err *err);

#endif
