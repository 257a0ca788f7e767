/* Weight folders of any size with the names and shapes that the loaders ask for (a survey without a file): numbers from a counter, or zeros that take no
 * disk. */
#ifndef CH4_TESTS_CHECKPOINT_H
#define CH4_TESTS_CHECKPOINT_H

#include <stdbool.h>

#include "tensor/tensor.h"

typedef enum checkpoint_net {
    CHECKPOINT_DENOISER,
    CHECKPOINT_TRANSFORMER,
    CHECKPOINT_VAE,
    CHECKPOINT_AUTOENCODER,
    CHECKPOINT_IMAGE_ENCODER,
    CHECKPOINT_MATTING,
} checkpoint_net;

typedef struct checkpoint_spec {
    checkpoint_net net;
    const char *config;     /* text of config.json; "{}": the published sizes */
    const char *file;       /* name of the weight file */
    ch4_dtype dtype;        /* of everything that is no counter */
    bool sparse;
    uint64_t seed;
} checkpoint_spec;

/* Makes the folder (and the ones above it), config.json and the weight file. Parameters are in [-1,1) times sqrt(3/columns), norms are near 1, biases within
 * 0.1. *bytes (may be NULL): of the weight file. CH4_EIO, CH4_ENOSPC, errors of the configuration. */
ch4_status checkpoint_write(const char *dir, const checkpoint_spec *spec, size_t *bytes, ch4_err *err);

#endif
