/* ch4_matte: what in a frame is the object. Decides once, at a clip's first frame, where alpha comes from; then gives every frame its alpha.
 *
 * auto: the pictures' own alpha if it lets a background through; else a mask if there is one; else the background remover if there is one;
 * else keying, if the border is of one colour; else an error that says what to do. */
#ifndef CH4_DECODE_MATTE_H
#define CH4_DECODE_MATTE_H

#include "base/base.h"
#include "key.h"

typedef enum ch4_matte_mode { CH4_MATTE_AUTO, CH4_MATTE_ALPHA, CH4_MATTE_MASK, CH4_MATTE_KEY, CH4_MATTE_RMBG } ch4_matte_mode;

typedef struct ch4_matte_options {
    ch4_matte_mode mode;
    double key_tolerance;  /* colour distance */
    double key_border;     /* share of the border that must be of the background's colour */
    double min_foreground; /* share of pixels that the background must have for alpha to count as valid */
    /* The background remover: sets the alpha of rgba u8 [height,width,4], 0 or 255, from its colours. NULL: there is none. */
    ch4_status (*remove)(void *ctx, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err);
    void *remove_ctx;
} ch4_matte_options;

typedef struct ch4_matte {
    ch4_matte_options options;
    ch4_matte_mode mode;  /* after the first frame: not AUTO */
    ch4_key key;          /* of the clip's first frame */
    void *workspace;
    size_t workspace_size;
} ch4_matte;

void ch4_matte_init(ch4_matte *matte, const ch4_matte_options *options);
void ch4_matte_fini(ch4_matte *matte);

/* Chooses the mode from the clip's first frame, rgba u8 [height,width,4]. has_alpha: the pictures carry alpha; has_mask: a mask
 * goes with the clip. where: file and frame, for messages. CH4_EFORMAT if nothing serves. */
ch4_status ch4_matte_begin(ch4_matte *matte, const uint8_t *rgba, int64_t width, int64_t height, bool has_alpha, bool has_mask,
                           const char *where, ch4_err *err);

/* Sets the alpha of rgba in place (keying also cleans edge colours); mask u8 [height,width,4] or NULL where the mode is not MASK.
 * *solid: pixels with alpha > 127, 0 = no object in this frame. */
ch4_status ch4_matte_apply(ch4_matte *matte, uint8_t *rgba, const uint8_t *mask, int64_t width, int64_t height, int64_t *solid, ch4_err *err);

/* Alpha at or below this is noise where the object's box is taken: 0 for alpha that was stored without loss. */
int ch4_matte_box_threshold(const ch4_matte *matte, bool lossless);

const char *ch4_matte_mode_name(ch4_matte_mode mode); /* "alpha" */

#endif
