/* A model folder with random weights: the bundled model's networks a quarter as wide, with a quarter of its tokens. It generates nothing of sense, but
 * every stage runs on it, at a fraction of the cost. */
#ifndef CH4_TESTS_RANDOM_MODEL_H
#define CH4_TESTS_RANDOM_MODEL_H

#include "base/err.h"

/* Makes folder `dir` after the model folder `like` (models/mini). Same bytes each time. */
ch4_status random_model_save(const char *dir, const char *like, ch4_err *err);

#endif
