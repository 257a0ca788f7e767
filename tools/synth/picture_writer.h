/* PNG pictures and H.264 videos of a clip. The home of libav* and libpng in tools. */
#ifndef CH4_SYNTH_PICTURE_WRITER_H
#define CH4_SYNTH_PICTURE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* pixel [height,width,channels]; channels is 3 (RGB) or 4 (RGBA, alpha not premultiplied). CH4_EIO and kin name the path. */
ch4_status ch4_synth_png_save(const char *path, const uint8_t *pixel, int width, int height, int channels, ch4_err *err);

/* A picture as the bytes of its PNG file. */
typedef struct ch4_synth_png {
    uint8_t *data; /* malloc; ch4_synth_png_free */
    size_t size;
} ch4_synth_png;

/* *out must be zeroed or hold an earlier picture, which is freed. CH4_ENOMEM. */
ch4_status ch4_synth_png_encode(ch4_synth_png *out, const uint8_t *pixel, int width, int height, int channels, ch4_err *err);
ch4_status ch4_synth_png_write(const char *path, const ch4_synth_png *png, ch4_err *err);
void       ch4_synth_png_free(ch4_synth_png *png); /* NULL and zeroed are fine */

/* rgb [size,size,3] = rgba on white, rounded to nearest. */
void ch4_synth_on_white(uint8_t *rgb, const uint8_t *rgba, int size);

/* A video file, one stream, same frames same bytes:
 * H264   MP4, yuv420p, BT.601, constant quality 12, one thread: what video players take; without alpha
 * ALPHA  QuickTime with one PNG (RGBA) for each frame: lossless, with alpha, and the pictures of imgs/ need no second compression */
typedef enum ch4_synth_video_kind { CH4_SYNTH_VIDEO_H264, CH4_SYNTH_VIDEO_ALPHA } ch4_synth_video_kind;

typedef struct ch4_synth_video ch4_synth_video;

/* size must be even. CH4_EUNSUP if this libavcodec has no H.264 encoder; libav's own text is kept in other errors. */
ch4_status ch4_synth_video_create(ch4_synth_video **out, ch4_synth_video_kind kind, const char *path, int size, int fps, ch4_err *err);
ch4_status ch4_synth_video_write(ch4_synth_video *video, const uint8_t *rgb, ch4_err *err); /* H264: [size,size,3] */
ch4_status ch4_synth_video_write_png(ch4_synth_video *video, const ch4_synth_png *png, ch4_err *err);     /* ALPHA: RGBA of [size,size] */
ch4_status ch4_synth_video_finish(ch4_synth_video *video, ch4_err *err);                      /* flushes; destroy comes after it */
void       ch4_synth_video_destroy(ch4_synth_video **video);

#endif
