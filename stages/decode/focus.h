/* How well a frame shows its object: the larger and the sharper, the better an anchor it makes. */
#ifndef CH4_DECODE_FOCUS_H
#define CH4_DECODE_FOCUS_H

#include <stdint.h>

/* Area times sharpness: pixels of the object (alpha above half) times the mean magnitude of the luma's Laplacian over those whose four
 * neighbours belong to the object too, so that its outline, which is sharp against any background, does not count. rgba u8 [height,width,4]. 0
 * where no pixel has such neighbours. Only comparisons within one clip make sense. */
double ch4_focus_score(const uint8_t *rgba, int64_t width, int64_t height);

#endif
