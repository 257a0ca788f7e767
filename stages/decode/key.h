/* Keying: alpha from a background of one colour. The colour is read off the frame's border; a pixel's alpha grows with its
 * distance from that colour; small separate spots (codec noise) are dropped. Plain functions over RGBA arrays.
 *
 * Distances are Euclidean in 8-bit RGB, 0 to 441. */
#ifndef CH4_DECODE_KEY_H
#define CH4_DECODE_KEY_H

#include "base/base.h"

typedef struct ch4_key {
    uint8_t rgb[3];  /* median of the border */
    double spread;   /* median distance of the border's pixels from it */
    double uniform;  /* share of the border's pixels within the tolerance of it */
} ch4_key;

/* Reads a border of max(1, min(width,height)/64) pixels of rgba u8 [height,width,4], each side of it at least 1 pixel. The object
 * may touch the border: medians stand that up to half of it. tolerance >= 0. */
ch4_key ch4_key_of_border(const uint8_t *rgba, int64_t width, int64_t height, double tolerance);

/* Colour distance between two keys, to tell whether a frame still has the clip's background. */
double ch4_key_distance(const ch4_key *a, const ch4_key *b);

/* Bytes of scratch that ch4_key_apply needs. CH4_EINVAL if the picture is too large. */
ch4_status ch4_key_workspace(size_t *bytes, int64_t width, int64_t height, ch4_err *err);

/* Writes alpha into rgba [height,width,4]: 0 up to the tolerance from key->rgb, 255 from twice the tolerance, linear between;
 * where it is between, the background's share is taken out of the colour, so that no fringe of it stays. Then regions joined by
 * sides or corners (alpha > 0) that hold fewer than min_pixels pixels of alpha > 127, or less than min_share of the largest
 * region's, become transparent. Returns the number of pixels with alpha > 127 that are left. */
int64_t ch4_key_apply(uint8_t *rgba, int64_t width, int64_t height, const ch4_key *key, double tolerance, int64_t min_pixels,
                      double min_share, void *workspace);

#endif
