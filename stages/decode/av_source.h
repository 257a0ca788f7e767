/* ch4_av: a video or picture file as a sequence of upright RGBA pictures. The only home of libav*.
 *
 * Whatever libavformat and libavcodec open. Pictures are turned by the display matrix, made square-pixelled, and converted to
 * 8-bit RGB by the stream's own matrix and range (unstated: BT.709 from 720 rows, else BT.601); transfer curves are not touched.
 * Decoding is single-threaded and in order, so that the same file gives the same bytes. Only local files are opened: a
 * playlist that names others is refused. Not thread-safe. */
#ifndef CH4_DECODE_AV_SOURCE_H
#define CH4_DECODE_AV_SOURCE_H

#include "base/base.h"

typedef struct ch4_av ch4_av;

typedef struct ch4_av_info {
    int64_t width, height;  /* as shown: upright, square pixels */
    bool alpha;             /* the stored pictures have an alpha channel */
    bool lossless;          /* the codec keeps every value */
    int64_t stated_frames;  /* what the container says or its length amounts to; 0: unknown */
    bool stated_exactly;    /* stated_frames is a count, not length times rate */
    const char *codec;      /* "h264" */
} ch4_av_info;

typedef struct ch4_av_stats {
    int64_t frames;         /* good pictures so far */
    int64_t damaged;        /* packets or pictures that did not decode, left out */
    bool broken_off;        /* reading ended with an error instead of the end of the file */
} ch4_av_stats;

/* CH4_ENOENT (no such file), CH4_EFORMAT: empty, unreadable, not a video, no video stream, no decoder; the text names file and reason.
 * The first picture is decoded to learn what the file holds; it is given out by the first ch4_av_next. */
ch4_status ch4_av_open(ch4_av **out, const char *path, ch4_err *err);
void       ch4_av_close(ch4_av **av);

const ch4_av_info  *ch4_av_get_info(const ch4_av *av);
const ch4_av_stats *ch4_av_get_stats(const ch4_av *av);

/* Goes to the next good picture; *end at the end of what can be decoded (then nothing else is set). *time: seconds on the clock that a
 * player shows (0 = start of the file), or NaN if the file gives no times. CH4_EFORMAT if the picture's size changes. */
ch4_status ch4_av_next(ch4_av *av, double *time, bool *end, ch4_err *err);

/* The current picture as rgba u8 [height,width,4], tight, of the caller. width and height as in info, or any other size to
 * have it resampled (bicubic). Alpha is 255 where the file has none. */
ch4_status ch4_av_picture(ch4_av *av, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err);

#endif
