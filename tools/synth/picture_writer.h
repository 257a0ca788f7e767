/* PNG pictures and H.264 videos of a clip. The home of libav* and libpng in tools. */
#ifndef CH4_SYNTH_PICTURE_WRITER_H
#define CH4_SYNTH_PICTURE_WRITER_H

#include <stdint.h>

#include "base/err.h"

/* pixel [height,width,channels]; channels is 3 (RGB) or 4 (RGBA, alpha not premultiplied). CH4_EIO and kin name the path. */
ch4_status ch4_synth_png_save(const char *path, const uint8_t *pixel, int width, int height, int channels, ch4_err *err);

/* rgb [size,size,3] = rgba on white, rounded to nearest. */
void ch4_synth_on_white(uint8_t *rgb, const uint8_t *rgba, int size);

/* An MP4 with one H.264 stream (yuv420p, BT.601, constant quality 12, one thread: same frames, same bytes). */
typedef struct ch4_synth_video ch4_synth_video;

/* size must be even. CH4_EUNSUP if this libavcodec has no H.264 encoder; libav's own text is kept in other errors. */
ch4_status ch4_synth_video_create(ch4_synth_video **out, const char *path, int size, int fps, ch4_err *err);
ch4_status ch4_synth_video_write(ch4_synth_video *video, const uint8_t *rgb, ch4_err *err); /* [size,size,3] */
ch4_status ch4_synth_video_finish(ch4_synth_video *video, ch4_err *err);                      /* flushes; destroy comes after it */
void       ch4_synth_video_destroy(ch4_synth_video **video);

#endif
