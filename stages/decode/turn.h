/* Turning a picture as its display matrix says (phone videos are stored sideways), by quarter turns and flips. */
#ifndef CH4_DECODE_TURN_H
#define CH4_DECODE_TURN_H

#include <stdbool.h>
#include <stdint.h>

/* x' = x or y, then mirrored or not; y' = the other one. All false: as stored. */
typedef struct ch4_turn {
    bool transpose, flip_x, flip_y;
} ch4_turn;

/* From the 3x3 matrix of a container (row-major, x' = m[0] x + m[3] y, y' = m[1] x + m[4] y). Any other angle is taken as the
 * nearest quarter turn; a matrix of zeros turns nothing. */
ch4_turn ch4_turn_of_matrix(const int32_t m[9]);

/* Copies src u8 [height,width,4] (rows row_step bytes apart) into dst, tight: [height,width,4], or [width,height,4] if transposed. */
void ch4_turn_apply(uint8_t *dst, const uint8_t *src, int64_t width, int64_t height, int64_t row_step, ch4_turn turn);

#endif
