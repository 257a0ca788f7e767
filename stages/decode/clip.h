/* ch4_clip: a whole clip as square frames with alpha, in two passes over the input. The first finds the object's box over all frames; the
 * second gives the frames cut out, in order. Memory does not grow with the clip but for a time per frame. */
#ifndef CH4_DECODE_CLIP_H
#define CH4_DECODE_CLIP_H

#include "base/base.h"
#include "crop.h"
#include "frames.h"
#include "mask_file.h"
#include "matte.h"

typedef struct ch4_clip_options {
    ch4_frames_options frames;
    ch4_matte_options matte;
    const char *mask;   /* video or folder; NULL: none */
    const char *scratch; /* folder for what does not fit into memory (masks of the background remover); NULL: the system's */
    double padding;     /* share of the object's longer side */
    int64_t max_side;   /* larger crops are shrunk to this */
    int64_t anchor;     /* frame that must show the object; negative: the one that shows it largest and sharpest */
} ch4_clip_options;

/* What the caller hears while a clip is read; any of them may be NULL. */
typedef struct ch4_clip_hooks {
    void *ctx;
    void (*progress)(void *ctx, int64_t done, int64_t total); /* frames of both passes; total 0: unknown */
    void (*note)(void *ctx, const char *text);                /* one line for the user that is no error */
    bool (*canceled)(void *ctx);                              /* true: give up with CH4_ECANCELED */
} ch4_clip_hooks;

typedef struct ch4_clip_plan {
    int64_t n_frames;
    int64_t anchor;         /* options.anchor, or the frame that was chosen */
    int64_t width, height;  /* of the upright input frames, pixels */
    double *time;           /* [n_frames] seconds, growing */
    ch4_box object;         /* box around the object over all frames, source pixels */
    ch4_crop crop;          /* square; may begin before 0 */
    int64_t side;           /* S = min(crop.w, max_side) */
    ch4_matte_mode mode;    /* where alpha came from */
    int64_t n_empty;        /* frames that do not show the object: they stay, white */
    ch4_mask_file *removed; /* masks of the background remover, which runs once per frame; NULL: another mode */
} ch4_clip_plan;

/* First pass. CH4_EFORMAT (with file, frame and what to do): nothing decodes, no foreground can be told, or the anchor frame shows no
 * object (with a chosen one: no frame does). Other frames without object are allowed and noted: the chain gives them no confidence. CH4_ECONFIG: no frame `anchor`.
 * Free with ch4_clip_plan_fini. */
ch4_status ch4_clip_scan(ch4_clip_plan *out, const char *path, const ch4_clip_options *options, const ch4_clip_hooks *hooks, ch4_err *err);
void       ch4_clip_plan_fini(ch4_clip_plan *plan);

typedef struct ch4_clip ch4_clip;

/* Second pass; plan, path, options and hooks are borrowed until close. */
ch4_status ch4_clip_open(ch4_clip **out, const char *path, const ch4_clip_options *options, const ch4_clip_plan *plan, const ch4_clip_hooks *hooks,
                         ch4_err *err);
void       ch4_clip_close(ch4_clip **clip);

/* Next frame, composited on white: rgb u8 [S,S,3], alpha u8 [S,S]. NULL for both skips it. Called at most n_frames times. CH4_EIO if the input has fewer
 * frames than in the first pass. */
ch4_status ch4_clip_next(ch4_clip *clip, uint8_t *rgb, uint8_t *alpha, ch4_err *err);

#endif
