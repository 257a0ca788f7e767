/* The maps of a short list of slots for all clips: a file without a name, mapped into memory, so that a large model needs disk and not memory. */
#ifndef CH4_CAL_MAPS_H
#define CH4_CAL_MAPS_H

#include "tools/calibrate/cal_read.h"
#include "tools/calibrate/cal_score.h"

typedef struct ch4_cal_store {
    float *base;     /* clip by clip: [n_slots,2,E,N,N] */
    size_t bytes;
    int64_t *begin;  /* [n_clip + 1] floats */
    int n_slots;
    const ch4_cal_clip *clip; /* [n_clip], borrowed */
    int64_t n_clip;
} ch4_cal_store;

/* In folder; the file is gone from it at once. Zeros. CH4_EIO, CH4_ENOSPC. */
ch4_status ch4_cal_store_create(ch4_cal_store *out, const ch4_cal_clip *clip, int64_t n_clip, int n_slots, const char *folder, ch4_err *err);
void       ch4_cal_store_destroy(ch4_cal_store *store);

/* Reads one clip's slots into the store. */
ch4_status ch4_cal_store_fill(ch4_cal_store *store, int64_t clip, ch4_cal_model *model, const ch4_cal_slot *slot, ch4_err *err);

/* Mean of the maps of some slots. Holds 2 blocks of N N floats that ch4_cal_mean_fini frees. */
typedef struct ch4_cal_mean_maps {
    const ch4_cal_store *store;
    int64_t clip, N, E;
    const int *slot; /* [n] */
    int n;
    float *forward, *backward;
} ch4_cal_mean_maps;

/* For ch4_cal_maps.get with a ch4_cal_mean_maps. */
void ch4_cal_get_mean(const void *ctx, int64_t e, const float **forward, const float **backward);

#endif
