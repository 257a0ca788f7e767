/* ch4_rng: counter-based random numbers (Philox 4x32-10; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3").
 *
 * A generator is (seed, stream, position): no hidden state, so the same numbers come out whatever the number of threads
 * or processes. Give every independent use its own stream. Copying a ch4_rng copies its position. */
#ifndef CH4_BASE_RNG_H
#define CH4_BASE_RNG_H

#include <stdint.h>

typedef struct ch4_rng {
    uint64_t seed, stream, block; /* block: index of the next group of four 32-bit words */
    uint32_t word[4];
    int used;                     /* words of the current group already given out; 4 = none left */
} ch4_rng;

ch4_rng ch4_rng_at(uint64_t seed, uint64_t stream);

uint32_t ch4_rng_u32(ch4_rng *rng);
uint64_t ch4_rng_u64(ch4_rng *rng);
uint32_t ch4_rng_below(ch4_rng *rng, uint32_t n);          /* uniform in [0,n), unbiased; n >= 1 */
double   ch4_rng_uniform(ch4_rng *rng);                    /* [0,1), 53 bits */
double   ch4_rng_range(ch4_rng *rng, double lo, double hi);
double   ch4_rng_normal(ch4_rng *rng);                     /* N(0,1), Box-Muller, one number per pair of uniforms */

#endif
