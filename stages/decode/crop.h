/* Boxes, compositing, cropping and padding of RGBA frames, as the ActionMesh preprocessing does it (docs/input.md).
 *
 * Pixels are uint8, interleaved, row-major; origin at the top-left pixel; boxes are in whole source pixels and include both
 * ends. Plain functions over arrays of the caller; no files, no state. */
#ifndef CH4_DECODE_CROP_H
#define CH4_DECODE_CROP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ch4_box {
    int64_t x, y, w, h; /* w == 0: empty */
} ch4_box;

/* Smallest box of the pixels whose alpha is above threshold (0: any that is not fully transparent). alpha points at the first
 * alpha byte; neighbours in a row are pixel_step bytes apart, rows row_step. */
ch4_box ch4_box_of_alpha(const uint8_t *alpha, int64_t width, int64_t height, int64_t pixel_step, int64_t row_step, int threshold);

/* Smallest box around both; an empty one adds nothing. */
ch4_box ch4_box_union(ch4_box a, ch4_box b);

/* Pixels of rgba u8 [height,width,4] with alpha > 127. */
int64_t ch4_alpha_count(const uint8_t *rgba, int64_t width, int64_t height);

/* out[i,c] = rgb * a + (1 - a) in [0,1], with float32 rounding after every operation as in the reference; a = alpha / 255.
 * rgba [n,4], out [n,3]. Truncated to 8 bits, opaque pixels keep their value. */
void ch4_composite_white(float *out, const uint8_t *rgba, int64_t n);

/* What is cut out of a frame: a rectangle in source pixels, which may begin before 0 and end beyond the frame. */
typedef ch4_box ch4_crop;

/* The object's box with the reference's padding: int(max(w,h) * ratio), plus what centres it, rounded down, on both sides;
 * the result can be one short of a square. make_square adds the missing column (right) or row (bottom). ratio >= 0. */
ch4_crop ch4_crop_of_box(ch4_box box, double ratio, bool make_square);

/* Composites on white and cuts out: out_rgb u8 [crop.h,crop.w,3], out_alpha u8 [crop.h,crop.w] or NULL. Pixels outside
 * `inside` (the object's box of the reference) or the frame are white with alpha 0. rgba u8 [height,width,4]. */
void ch4_crop_apply(uint8_t *out_rgb, uint8_t *out_alpha, const uint8_t *rgba, int64_t width, int64_t height, ch4_box inside, ch4_crop crop);

#endif
