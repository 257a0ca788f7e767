/* Reading many heads along one run of the denoiser: slots of heads, each read in both directions, layer by layer, nothing kept. */
#ifndef CH4_CAL_READ_H
#define CH4_CAL_READ_H

#include "tools/calibrate/cal_clip.h"

/* Heads of one step that are averaged with equal weight, as attention.layers and attention.heads of model.yaml are. */
typedef struct ch4_cal_slot {
    int step;
    int n;             /* >= 1 */
    int *layer, *head; /* [n]; of one layer, neighbours */
} ch4_cal_slot;

/* Copies layer and head [n]. Free with ch4_cal_slot_fini. CH4_ENOMEM. */
ch4_status ch4_cal_slot_init(ch4_cal_slot *out, int step, const int *layer, const int *head, int n, ch4_err *err);
void       ch4_cal_slot_fini(ch4_cal_slot *slot);

/* Called for each slot and each of its layers in turn with that layer's share of the slot's mean: forward [E,N,N], rows are tokens of the evaluated frames
 * reading the anchor's; backward [E,N,N], the anchor's tokens reading the frames', transposed to the same layout. Valid during the call. */
typedef struct ch4_cal_taker {
    ch4_status (*take)(void *ctx, int slot, const float *forward, const float *backward, ch4_err *err);
    void *ctx;
} ch4_cal_taker;

/* Runs the steps of the clip once more (the same numbers as the first time) and hands out what the slots ask for. Holds 3 blocks of E N N floats.
 * CH4_EINVAL: a slot names a step, layer or head that is not there or a layer that attends within frames only. */
ch4_status ch4_cal_read(const ch4_cal_clip *clip, ch4_cal_model *model, const ch4_cal_slot *slot, int n_slots, const ch4_cal_taker *taker, ch4_err *err);

/* Layers of which attention can be read (the inflated ones), ascending: layer [*n] is the caller's, with room for model->layers. */
void ch4_cal_layers(int *layer, int *n, const ch4_cal_model *model);

#endif
