/* Windows of a clip: which frames are processed together, in which order (docs/model.md "windows").
 *
 * Each window holds `size` frames (fewer only if the clip, or its shorter side of the anchor, is) and starts with a frame that is already known,
 * except for the first, which starts with the anchor. A window at the end of a pass is moved back to stay full. Windows to the left of the
 * anchor descend. */
#ifndef CH4_MODEL_WINDOWS_H
#define CH4_MODEL_WINDOWS_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_window_list {
    int64_t count;
    int64_t *offset; /* [count+1]: window w holds frame[offset[w]] .. frame[offset[w+1] - 1], in slot order */
    int64_t *frame;
} ch4_window_list;

/* anchor in [0,total), 1 <= slide <= size; CH4_EINVAL otherwise. Where the reference would give frames that do not exist (an anchor
 * strictly inside a clip shorter than a window), the one window is the anchor followed by all other frames. Free with fini. */
ch4_status ch4_window_list_init(ch4_window_list *out, int64_t anchor, int64_t total, int64_t size, int64_t slide, ch4_err *err);
void       ch4_window_list_fini(ch4_window_list *list);

/* The slot that a window is anchored at: the last of the known frames that its slots begin with, the one beside the first new frame, so that
 * the new frames join on without a jump also where a window was moved back. Slot 0 if that is new. known [T]. */
int64_t ch4_window_anchor_slot(const uint8_t *known, int64_t T);

#endif
