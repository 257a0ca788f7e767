/* ch4_frames: the frames of a clip, in order, from a video file or a folder of pictures, with stride and a limit. */
#ifndef CH4_DECODE_FRAMES_H
#define CH4_DECODE_FRAMES_H

#include "base/base.h"

typedef struct ch4_frames_options {
    int64_t stride;      /* every stride-th frame is used, >= 1 */
    int64_t max_frames;  /* 0: all */
    double image_fps;    /* clock of a folder of pictures, and of files without times */
} ch4_frames_options;

typedef struct ch4_frames_info {
    int64_t width, height;
    bool alpha, lossless;
    int64_t expected;     /* frames that next is expected to give, after stride and limit; 0: unknown */
} ch4_frames_info;

typedef struct ch4_frames ch4_frames;

/* path: a file or a folder. masks: false, or true for the masks of a folder of pairs. Errors as ch4_av_open and ch4_folder_list. */
ch4_status ch4_frames_open(ch4_frames **out, const char *path, bool masks, const ch4_frames_options *options, ch4_err *err);
void       ch4_frames_close(ch4_frames **frames);

const ch4_frames_info *ch4_frames_get_info(const ch4_frames *frames);

/* True if path is a folder of NAME_image + NAME_mask pairs. */
bool ch4_frames_has_masks(const ch4_frames *frames);

/* Goes to the next used frame. *time: seconds, finite and growing, on the clock of the file; where the file
 * gives none, frame number / image_fps. */
ch4_status ch4_frames_next(ch4_frames *frames, double *time, bool *end, ch4_err *err);

/* Current frame as rgba u8 [height,width,4] of the caller; sizes other than the info's are resampled. */
ch4_status ch4_frames_picture(ch4_frames *frames, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err);

/* "walker.mp4: frame 12" or "walk/012.png", for messages: valid until the next call on frames. */
const char *ch4_frames_where(ch4_frames *frames);

/* After the end: true if the file gave less than it states or was damaged, with the numbers in text. */
bool ch4_frames_is_cut(const ch4_frames *frames, char *text, size_t size);

#endif
