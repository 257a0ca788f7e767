/* The anchor's latent from pictures alone: image-to-3D with nothing known.
 *
 * One draw depends much on its noise and on the one view. Frames of the window that are generated together with the anchor frame show more of
 * the object, and the mean of the decoded fields of several draws is nearer to the object than any of them: what the draws do not agree on
 * cancels out. The mean's surface is encoded like a given mesh. */
#ifndef CH4_DENOISE_ANCHOR_IMAGE_H
#define CH4_DENOISE_ANCHOR_IMAGE_H

#include "bundle/bundle.h"
#include "stages/denoise/denoise_plan.h"

typedef struct ch4_anchor_images {
    int64_t T, N, S;
    const float *context;   /* [T,S,Cc] */
    const float *framestep; /* [T] */
    uint64_t seed;
} ch4_anchor_images;

/* Slot i of plan->anchor_frames among T: 0, the anchor, first, then evenly spread to the last. count <= T; 0 <= i < count. */
int64_t ch4_anchor_slot_of(int64_t i, int64_t count, int64_t T);

/* Latent z [N,d] of the object in slot 0, from plan->anchor_draws draws of plan->anchor_frames frames (at most T) each. One draw is taken as it
 * is. CH4_EFORMAT: the mean of several has no surface. Deterministic. */
ch4_status ch4_denoise_anchor_from_images(float *z, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_anchor_images *in, ch4_err *err);

#endif
