/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): the random numbers of minibench. The generator is its
 * state, a plain uint64_t; seeding is an assignment. */
#ifndef CH4_SYNTH_SPLITMIX_H
#define CH4_SYNTH_SPLITMIX_H

#include <stdint.h>

/* The next word: the increment is applied first, so the state may be any number. */
static inline uint64_t ch4_splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* [0,1), 53 bits. */
static inline double ch4_splitmix64_uniform(uint64_t *state)
{
    return (double)(ch4_splitmix64(state) >> 11) * 0x1p-53;
}

#endif
