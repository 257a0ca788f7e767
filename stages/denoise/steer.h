/* Reinforcement of a window (paper Sec. 4.3, Eq. 5): where the reliable pairs of tokens come from and in which steps they count.
 *
 *     window  after the first steps the chain is run on what they predict; its reliable matches steer the rest
 *     next    the reliable matches of the window before steer this one from its first step
 *
 * The second relies on tokens that keep their number from frame to frame, which noise that all frames share gives them: a pair that was matched
 * in many frames of one window is expected in the frames of the next. Arrays only. */
#ifndef CH4_DENOISE_STEER_H
#define CH4_DENOISE_STEER_H

#include "chain/chain_options.h"
#include "model/reinforce.h"
#include "stages/denoise/denoise_window.h"

typedef struct ch4_steer {
    bool window, next;
    int64_t after;                 /* steps before the chain is asked, 1 .. steps - 1 */
    ch4_reinforce_options options;
    ch4_chain_options chain;       /* of the chain that is run between the steps */
} ch4_steer;

/* reinforce.* over the model's options. CH4_ECONFIG names the option: no step is left to be steered, noise under which `next` cannot work, a layer that is
 * not one of n_layers. */
ch4_status ch4_steer_resolve(ch4_steer *out, const ch4_config *config, const ch4_model_info *info, const ch4_denoise_plan *plan, int64_t n_layers, ch4_err *err);

/* What the pairs of a window of T frames say of another window with these open frames: each pair with its mean confidence over the T - 1 frames, 0
 * where a frame does not have it, for each slot whose mask is 0. *out is the caller's to free(); merged. before: merged or not. CH4_ENOMEM. */
ch4_status ch4_steer_carry(ch4_token_pair **out, int64_t *n_out, const ch4_token_pair *before, int64_t n, int64_t T, const uint8_t *mask, int64_t T_now, ch4_err *err);

typedef struct ch4_steering ch4_steering;

/* Steers one window of `in`; all arguments are borrowed until destroy. carried [n]: pairs from ch4_steer_carry, or NULL. */
ch4_status ch4_steering_create(ch4_steering **out, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_steer *steer, const ch4_denoise_in *in,
                               const ch4_token_pair *carried, int64_t n, ch4_err *err);
void       ch4_steering_destroy(ch4_steering **s);

/* Asked before each step: what it is to be reinforced with, NULL: nothing. The chain runs in here. A latent without a surface gives no pairs. */
ch4_status ch4_steering_gain(ch4_steering *s, const ch4_sampler *sampler, int step, const ch4_denoiser_gain **gain, ch4_err *err);

/* Reads along in one step and branch, beside `other` (may be NULL). Valid until the next call for this branch. */
const ch4_probe *ch4_steering_probe(ch4_steering *s, int step, int branch, const ch4_probe *other);

int64_t ch4_steering_pairs(const ch4_steering *s); /* that the last step was reinforced with */

#endif
