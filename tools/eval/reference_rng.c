#include "tools/eval/reference_rng.h"

enum { N = 624, M = 397 };

void ch4_mt19937_seed(ch4_mt19937 *g, uint32_t seed)
{
    g->word[0] = seed;
    for (uint32_t i = 1; i < N; i++) g->word[i] = 1812433253u * (g->word[i - 1] ^ (g->word[i - 1] >> 30)) + i;
    g->next = N;
}

static void twist(ch4_mt19937 *g)
{
    for (int i = 0; i < N; i++) {
        uint32_t y = (g->word[i] & 0x80000000u) | (g->word[(i + 1) % N] & 0x7fffffffu);
        g->word[i] = g->word[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    g->next = 0;
}

uint32_t ch4_mt19937_u32(ch4_mt19937 *g)
{
    if (g->next == N) twist(g);
    uint32_t y = g->word[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* numpy's legacy shuffle: Fisher and Yates from the back, each index by masking and rejection. */
void ch4_numpy_permutation(int32_t *order, int64_t n, uint32_t seed)
{
    ch4_mt19937 g;
    ch4_mt19937_seed(&g, seed);
    for (int64_t i = 0; i < n; i++) order[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t top = (uint32_t)i, mask = 0xffffffffu >> __builtin_clz(top), j;
        do j = ch4_mt19937_u32(&g) & mask;
        while (j > top);
        int32_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

/* --- SeedSequence (O'Neill's seed_seq_fe, in numpy's form) and PCG64 ---------------------------------------------------------- */

static uint32_t scramble(uint32_t value, uint32_t *constant, uint32_t multiplier)
{
    value ^= *constant;
    *constant *= multiplier;
    value *= *constant;
    return value ^ (value >> 16);
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    uint32_t r = 0xca01f9ddu * x - 0x4973f715u * y;
    return r ^ (r >> 16);
}

static void seed_sequence(uint64_t out[4], uint64_t seed)
{
    uint32_t entropy[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0}, pool[4], word[8], constant = 0x43b0d7e5u;
    for (int i = 0; i < 4; i++) pool[i] = scramble(entropy[i], &constant, 0x931e8875u);
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++)
            if (from != to) pool[to] = mix(pool[to], scramble(pool[from], &constant, 0x931e8875u));
    constant = 0x8b51f9ddu;
    for (int i = 0; i < 8; i++) word[i] = scramble(pool[i % 4], &constant, 0x58f38dedu);
    for (int i = 0; i < 4; i++) out[i] = word[2 * i] | (uint64_t)word[2 * i + 1] << 32;
}

static void advance(ch4_pcg64 *g)
{
    static const uint64_t high = 0x2360ed051fc65da4u, low = 0x4385df649fccf645u;
    g->state = g->state * ((unsigned __int128)high << 64 | low) + g->step;
}

void ch4_pcg64_seed(ch4_pcg64 *g, uint64_t seed)
{
    uint64_t s[4];
    seed_sequence(s, seed);
    g->state = 0;
    g->step = ((unsigned __int128)s[2] << 64 | s[3]) << 1 | 1;
    advance(g);
    g->state += (unsigned __int128)s[0] << 64 | s[1];
    advance(g);
}

uint64_t ch4_pcg64_u64(ch4_pcg64 *g)
{
    advance(g);
    uint64_t x = (uint64_t)(g->state >> 64) ^ (uint64_t)g->state;
    unsigned turn = (unsigned)(g->state >> 122);
    return x >> turn | x << (-turn & 63);
}

double ch4_pcg64_uniform(ch4_pcg64 *g) { return (double)(ch4_pcg64_u64(g) >> 11) * 0x1p-53; }

/* --- torch ---------------------------------------------------------------------------------------------------------------------- */

double ch4_torch_uniform53(ch4_mt19937 *g)
{
    uint64_t high = ch4_mt19937_u32(g), low = ch4_mt19937_u32(g);
    return (double)((high << 32 | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

float ch4_torch_uniform24(ch4_mt19937 *g) { return (float)(ch4_mt19937_u32(g) & 0xffffffu) * 0x1p-24f; }

/* Sums in float32 and the last entry forced to 1, as ATen's kernel has it: a sum in double picks other faces. */
void ch4_torch_multinomial(int32_t *index, int64_t n, const float *weight, int64_t n_weight, float *cumulated, ch4_mt19937 *g)
{
    float sum = 0;
    for (int64_t i = 0; i < n_weight; i++) cumulated[i] = sum += weight[i];
    for (int64_t i = 0; i < n_weight; i++) cumulated[i] /= sum;
    cumulated[n_weight - 1] = 1;
    for (int64_t i = 0; i < n; i++) {
        double x = ch4_torch_uniform53(g);
        int64_t lo = 0, hi = n_weight;
        while (lo < hi) {
            int64_t mid = lo + (hi - lo) / 2;
            if (cumulated[mid] < x) lo = mid + 1;
            else hi = mid;
        }
        index[i] = (int32_t)lo;
    }
}
