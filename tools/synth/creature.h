/* Procedural animated creatures: up to 18 tapered capsules on a tree of joints whose angles are sinusoids of time.
 *
 * Object space: canonical cube [-1,1]^3, y up, right-handed; the creature looks along +x at rest. One scale and one offset
 * per clip put the union over all frames inside [-0.95,0.95]^3. Time unit: 16 frames, whatever the number of frames asked
 * for, so a longer clip continues the motion of a shorter one (its scale may differ). All randomness comes from (seed). */
#ifndef CH4_SYNTH_CREATURE_H
#define CH4_SYNTH_CREATURE_H

#include <stdint.h>

#include "base/err.h"

enum { CH4_SYNTH_PARTS = 18 };
#define CH4_SYNTH_BLEND 0.025f      /* k of the log-sum-exp union, in object units */
#define CH4_SYNTH_UNUSED_RADIUS -9.0f

#define CH4_SYNTH_PLAN_LIST(X) X(QUAD, "quad") X(BIPED, "biped") X(BIRD, "bird") X(LIZARD, "lizard") X(HEXA, "hexa") X(WORM, "worm")
typedef enum ch4_synth_plan {
#define X(name, text) CH4_SYNTH_PLAN_##name,
    CH4_SYNTH_PLAN_LIST(X)
#undef X
    CH4_SYNTH_PLAN_COUNT
} ch4_synth_plan;

const char *ch4_synth_plan_name(ch4_synth_plan plan);
/* Bit set of a comma-separated list such as "quad,biped". CH4_EINVAL names the unknown plan and those that exist. */
ch4_status ch4_synth_plan_parse(uint32_t *out, const char *list, ch4_err *err);

/* A capsule: axis from a to b, radius r0 at a, r1 at b; unused slots have radius CH4_SYNTH_UNUSED_RADIUS. */
typedef struct ch4_synth_capsule {
    float a[3], b[3], r0, r1;
} ch4_synth_capsule;

typedef struct ch4_synth_creature {
    ch4_synth_plan plan;
    int n_parts;
    int64_t n_frames;
    ch4_synth_capsule rest[CH4_SYNTH_PARTS];                /* all joints straight, same scale, not centred */
    ch4_synth_capsule (*posed)[CH4_SYNTH_PARTS];            /* [n_frames] */
    float (*rotation)[CH4_SYNTH_PARTS][9];                  /* [n_frames] row-major, rest to posed orientation of each part */
} ch4_synth_creature;

/* Draws creature number `attempt` of a seed (callers count attempts up until one passes their checks) from the plans in the
 * bit set. n_frames >= 1. CH4_ENOMEM. The caller owns *out and frees it with ch4_synth_creature_fini, also after an error. */
ch4_status ch4_synth_creature_init(ch4_synth_creature *out, uint64_t seed, uint64_t attempt, uint32_t plans, int64_t n_frames,
                                   ch4_err *err);
void       ch4_synth_creature_fini(ch4_synth_creature *creature);

/* Signed distance (negative inside) to the smooth union of the first n capsules at count points xyz [count,3]:
 * -k log sum_p exp(-d_p / k), d_p the distance to capsule p. value [count]; gradient [count,3] (unit length) and weight
 * [count,n] = softmax_p(-d_p / weight_k) may be NULL. */
void ch4_synth_field(float *value, float *gradient, float *weight, float weight_k, const ch4_synth_capsule *capsule, int n,
                     const float *xyz, int64_t count);

#endif
