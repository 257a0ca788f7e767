/* What a window's file holds, as files that everybody can open: arrays as .npy, and pictures of those that can be looked at. */
#ifndef CH4_TAP_DUMP_H
#define CH4_TAP_DUMP_H

#include "store/store.h"
#include "tools/plot/plot_canvas.h"

/* Writes every dataset of the run file `path` into `folder` (made if need be): /a/b -> a.b.npy, and where it is one of these a picture a.b.png:
 *   pictures    u8 [T,S,S,3], u8 [T,S,S]: the frames side by side
 *   maps        /attention/dense, /patch/dense [T,R,C]: heat maps, dark to bright, each frame's own maximum brightest, brightness the square root
 *   attention   index, value and mass as attention.png, the kept entries at their places
 *   points      f32 [T,K,3] and [K,3]: seen from the front (x right, y up), colour by place, so that a point keeps its colour
 * *n_files: how many were written. CH4_ENOENT: the file is gone. */
ch4_status ch4_tap_dump(int *n_files, const char *path, const char *folder, ch4_err *err);

/* --- tap_picture.c: pictures of n contiguous arrays, eight in a row: frames u8 [n,height,width,channels] (1 or 3), maps [n,rows,columns] >= 0, points
 * [n,count,3]. CH4_EUNSUP: too large, or nothing, to draw; CH4_ENOMEM. Free with ch4_canvas_fini, also after an error. */

ch4_status ch4_tap_draw_frames(ch4_canvas *out, const uint8_t *data, int64_t n, int64_t height, int64_t width, int channels, ch4_err *err);
ch4_status ch4_tap_draw_maps(ch4_canvas *out, const float *data, int64_t n, int64_t rows, int64_t columns, ch4_err *err);
ch4_status ch4_tap_draw_points(ch4_canvas *out, const float *data, int64_t n, int64_t count, ch4_err *err);

#endif
