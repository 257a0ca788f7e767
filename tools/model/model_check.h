/* What a model directory contains, whether it is whole, and what running it takes. Nothing is loaded: weights stay mapped files. */
#ifndef CH4_TOOLS_MODEL_CHECK_H
#define CH4_TOOLS_MODEL_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum { CH4_MODEL_NETWORKS = 6, CH4_MODEL_WAYS = 4 /* to hold the denoisers' weights: denoise.weights, denoise.offload */ };

typedef struct ch4_model_network {
    const char *name;   /* what it does */
    char path[256];     /* below the model's folder */
    char file[64];      /* name of its weight file */
    bool wanted, found; /* the model needs it; config.json and weights could be read */
    int64_t tensors, parameters, problems;
    char dtypes[64];    /* as stored, "F32" or "BF16 F32" */
} ch4_model_network;

/* The file that says what familiar pictures look like (stages/denoise/familiar.h). */
typedef struct ch4_model_familiar {
    char path[256];
    bool named, found;
    int64_t width; /* of the image features */
    double limit;
} ch4_model_familiar;

typedef struct ch4_model_check {
    char name[128];
    ch4_model_network network[CH4_MODEL_NETWORKS];
    ch4_model_familiar familiar;
    int64_t problems;                   /* of all kinds; each went to the reporter */
    int64_t frames, tokens, context;    /* window that memory is stated for: T, N, S */
    bool sized;                         /* what follows is known */
    size_t denoise_weights[CH4_MODEL_WAYS]; /* bytes */
    size_t denoise_work, chain_weights, chain_work, motion_weights, motion_work, matting_weights, matting_work;
    size_t memory, memory_free;         /* of this machine, or of the control group where that is less; 0 = unknown */
    int way;                            /* the first that lets denoise and chain fit side by side; CH4_MODEL_WAYS: none */
    bool runs;                          /* whole, and there is a way */
} ch4_model_check;

/* Checks DIR for this machine, or for one with so many bytes of memory (0: this one). problem(ctx, text) gets one line for everything that is wrong: an unreadable file, a key, a tensor, networks whose sizes do not
 * fit together. CH4_ENOENT, CH4_ECONFIG: no model.yaml that can be read. */
ch4_status ch4_model_check_dir(ch4_model_check *out, const char *dir, size_t memory, void (*problem)(void *ctx, const char *text), void *ctx, ch4_err *err);

void ch4_model_check_print(const ch4_model_check *check, const char *dir, FILE *out);

#endif
