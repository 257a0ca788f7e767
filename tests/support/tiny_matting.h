/* The background remover at its only size (798 tensors, 176 MB) with generated weights (tiny_value). */
#ifndef CH4_TESTS_TINY_MATTING_H
#define CH4_TESTS_TINY_MATTING_H

#include "base/err.h"

/* Writes the weights to path. `skip` names a tensor that is left out, `more` one of [2,2] that is added; NULL for none. */
ch4_status tiny_matting_save(const char *path, const char *skip, const char *more, ch4_err *err);

/* Makes a folder that holds the network. */
ch4_status tiny_matting_make(const char *dir, ch4_err *err);

#endif
