/* Reinforcement (paper Eq. 5): reliable matches between tokens of the anchor and of other frames, turned into gains of the self-attention.
 *
 * Eq. 5 as printed multiplies numerator and denominator by the same confidence, which cancels. What is done here: the logit of a chosen pair is raised by
 * log(1 + lambda c / max c) before the softmax, which is the same as multiplying its weight by 1 + lambda c / max c and renormalising the row.
 *
 * T frames (slots) of N tokens. Not thread-safe. */
#ifndef CH4_MODEL_REINFORCE_H
#define CH4_MODEL_REINFORCE_H

#include "model/denoiser.h"

typedef struct ch4_token_pair {
    int32_t slot, anchor, token; /* token `anchor` of the anchor frame is where token `token` of the frame in this slot is */
    float confidence;            /* > 0, in any unit */
} ch4_token_pair;

/* Sorted by slot, anchor, token; a pair that occurs more than once is kept with its largest confidence. Returns the new count. */
int64_t ch4_token_pairs_merge(ch4_token_pair *pairs, int64_t n);

typedef enum ch4_reinforce_rows {
    CH4_REINFORCE_ANCHOR_ROWS, /* anchor tokens look at the frame's (the paper's letter) */
    CH4_REINFORCE_FRAME_ROWS,  /* the frame's tokens look at the anchor's */
    CH4_REINFORCE_BOTH_ROWS,
} ch4_reinforce_rows;

typedef struct ch4_reinforce_options {
    ch4_reinforce_rows rows;
    double lambda;              /* > 0: the most reliable pair counts 1 + lambda times */
    bool layer[CH4_MAX_LAYERS]; /* which layers */
} ch4_reinforce_options;

typedef struct ch4_reinforce ch4_reinforce;

/* Gains of a window whose anchor is in slot `anchor_slot`; pairs as merged. Memory grows with the pairs and T N, never with its square.
 * CH4_EINVAL: a slot or token out of range, the anchor's own slot, pairs that are not merged, a confidence that is not positive and finite. */
ch4_status ch4_reinforce_create(ch4_reinforce **out, const ch4_token_pair *pairs, int64_t n, int64_t T, int64_t N, int64_t anchor_slot,
                                const ch4_reinforce_options *options, ch4_err *err);
void       ch4_reinforce_destroy(ch4_reinforce **r);

/* Borrowed; NULL for r NULL or where there are no pairs. */
const ch4_denoiser_gain *ch4_reinforce_gain(const ch4_reinforce *r);

#endif
