/* ch4_mask_file: masks of a clip's frames, one bit per pixel, in a file without a name: memory does not grow with the clip, and nothing is left
 * when the process ends. */
#ifndef CH4_DECODE_MASK_FILE_H
#define CH4_DECODE_MASK_FILE_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_mask_file ch4_mask_file;

/* For frames of n_pixels, in folder dir (NULL: the system's for temporary files). CH4_EIO, CH4_ENOENT, CH4_ENOSPC, CH4_ENOMEM. */
ch4_status ch4_mask_file_create(ch4_mask_file **out, const char *dir, int64_t n_pixels, ch4_err *err);
void       ch4_mask_file_destroy(ch4_mask_file **file);

/* Keeps which pixels of rgba u8 [n_pixels,4] have alpha > 127 as frame `index`; and sets the alpha of rgba to 0 or 255 as it was kept. CH4_EIO also for a
 * frame that was not put there; CH4_ENOSPC. */
ch4_status ch4_mask_file_put(ch4_mask_file *file, int64_t index, const uint8_t *rgba, ch4_err *err);
ch4_status ch4_mask_file_get(ch4_mask_file *file, int64_t index, uint8_t *rgba, ch4_err *err);

#endif
