#include "base/rng.h"

#include <math.h>

static void philox_4x32_10(uint32_t ctr[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * ctr[0], p1 = (uint64_t)0xCD9E8D57u * ctr[2];
        uint32_t c0 = (uint32_t)(p1 >> 32) ^ ctr[1] ^ k0, c2 = (uint32_t)(p0 >> 32) ^ ctr[3] ^ k1;
        ctr[1] = (uint32_t)p1;
        ctr[3] = (uint32_t)p0;
        ctr[0] = c0;
        ctr[2] = c2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

ch4_rng ch4_rng_at(uint64_t seed, uint64_t stream)
{
    return (ch4_rng){.seed = seed, .stream = stream, .used = 4};
}

uint32_t ch4_rng_u32(ch4_rng *rng)
{
    if (rng->used == 4) {
        uint32_t ctr[4] = {(uint32_t)rng->block, (uint32_t)(rng->block >> 32), (uint32_t)rng->stream,
                           (uint32_t)(rng->stream >> 32)};
        philox_4x32_10(ctr, (uint32_t)rng->seed, (uint32_t)(rng->seed >> 32));
        for (int i = 0; i < 4; i++)
            rng->word[i] = ctr[i];
        rng->block++;
        rng->used = 0;
    }
    return rng->word[rng->used++];
}

uint64_t ch4_rng_u64(ch4_rng *rng)
{
    uint64_t lo = ch4_rng_u32(rng);
    return lo | (uint64_t)ch4_rng_u32(rng) << 32;
}

uint32_t ch4_rng_below(ch4_rng *rng, uint32_t n)
{
    uint32_t limit = (uint32_t)(-n) % n; /* 2^32 mod n: the biased low part is drawn again */
    for (;;) {
        uint64_t m = (uint64_t)ch4_rng_u32(rng) * n;
        if ((uint32_t)m >= limit)
            return (uint32_t)(m >> 32);
    }
}

double ch4_rng_uniform(ch4_rng *rng)
{
    return (double)(ch4_rng_u64(rng) >> 11) * 0x1p-53;
}

double ch4_rng_range(ch4_rng *rng, double lo, double hi)
{
    return lo + (hi - lo) * ch4_rng_uniform(rng);
}

double ch4_rng_normal(ch4_rng *rng)
{
    double u = 1.0 - ch4_rng_uniform(rng), v = ch4_rng_uniform(rng); /* u in (0,1]: log is finite */
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586476925 * v);
}
