/* ch4_remover: the model's background remover (RMBG-1.4, lib/model/matting.h) as decode uses it: a network that is opened when a clip first
 * needs it, and the pictures around it. Its published weights are for non-commercial use. */
#ifndef CH4_DECODE_REMOVER_H
#define CH4_DECODE_REMOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct ch4_remover ch4_remover;

/* Reads DIR/model.yaml; no weights yet. device: a backend of lib/nn. CH4_ENOENT, CH4_ECONFIG. */
ch4_status ch4_remover_create(ch4_remover **out, const char *model_dir, const char *device, int threads, ch4_err *err);
void       ch4_remover_destroy(ch4_remover **remover);

/* The model names one, and its folder is there. */
bool ch4_remover_exists(const ch4_remover *remover);

/* Loads the network if that has not happened yet. CH4_ECONFIG: the model names none; errors of ch4_matting_open. */
ch4_status ch4_remover_open(ch4_remover *remover, ch4_err *err);

/* ch4_matte_options.remove: alpha 0 or 255 of rgba u8 [height,width,4] from its colours. Opens the network. */
ch4_status ch4_remover_apply(void *remover, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err);

#endif
