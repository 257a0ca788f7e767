/* The random streams that the public evaluation code draws from, bit for bit, so that our scores can be compared with its scores
 * point by point: numpy's RandomState and default_rng, and torch's generator on the CPU. For nothing else: chain4d's own draws use ch4_rng. */
#ifndef CH4_EVAL_REFERENCE_RNG_H
#define CH4_EVAL_REFERENCE_RNG_H

#include <stdint.h>

/* Mersenne Twister 19937 (Matsumoto and Nishimura), seeded by Knuth's recurrence as numpy's RandomState(seed) and torch do. */
typedef struct ch4_mt19937 {
    uint32_t word[624];
    int next; /* words of this round already given out */
} ch4_mt19937;

void     ch4_mt19937_seed(ch4_mt19937 *g, uint32_t seed);
uint32_t ch4_mt19937_u32(ch4_mt19937 *g);

/* order i32[n]: numpy.random.RandomState(seed).permutation(n). n below 2^31. */
void ch4_numpy_permutation(int32_t *order, int64_t n, uint32_t seed);

/* PCG64 (XSL-RR 128/64), seeded through SeedSequence: numpy.random.default_rng(seed). */
typedef struct ch4_pcg64 {
    unsigned __int128 state, step;
} ch4_pcg64;

void     ch4_pcg64_seed(ch4_pcg64 *g, uint64_t seed);
uint64_t ch4_pcg64_u64(ch4_pcg64 *g);
double   ch4_pcg64_uniform(ch4_pcg64 *g); /* [0,1), 53 bits: default_rng(seed).random() */

/* Uniforms of torch on the CPU: 53 bits of two words, first word on top; 24 bits of one word (torch.rand, float32). */
double ch4_torch_uniform53(ch4_mt19937 *g);
float  ch4_torch_uniform24(ch4_mt19937 *g);

/* index i32[n]: torch.multinomial(weight, n, replacement=True) for float32 weight[n_weight], n_weight >= 1, sum above 0.
 * cumulated f32[n_weight] is scratch. */
void ch4_torch_multinomial(int32_t *index, int64_t n, const float *weight, int64_t n_weight, float *cumulated, ch4_mt19937 *g);

#endif
