#include "mesh/weld.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static uint64_t hash_position(const uint32_t bits[3])
{
    uint64_t h = (uint64_t)bits[0] * 0x9E3779B97F4A7C15u ^ ((uint64_t)bits[1] << 32 | bits[2]) * 0xC2B2AE3D27D4EB4Fu;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9u;
    return h ^ h >> 32;
}

static void position_bits(uint32_t bits[3], const float *p)
{
    float x[3] = {p[0] + 0.0f, p[1] + 0.0f, p[2] + 0.0f}; /* -0 + 0 = +0 */
    memcpy(bits, x, sizeof x);
}

ch4_status ch4_mesh_compute_weld(int32_t *rep, int64_t *n_rep, const float *vert, int64_t n_vert, ch4_err *err)
{
    size_t room = 16;
    while (room < 2 * (size_t)n_vert)
        room *= 2;
    int32_t *slot = NULL;
    ch4_status st = ch4_calloc(&slot, room, sizeof *slot, "weld table", err);
    if (st != CH4_OK)
        return st;
    memset(slot, 0xff, room * sizeof *slot);
    int64_t distinct = 0;
    for (int64_t v = 0; v < n_vert; v++) {
        uint32_t a[3], b[3];
        position_bits(a, vert + 3 * v);
        size_t s = hash_position(a) & (room - 1);
        for (; slot[s] >= 0; s = (s + 1) & (room - 1)) {
            position_bits(b, vert + 3 * (int64_t)slot[s]);
            if (memcmp(a, b, sizeof a) == 0)
                break;
        }
        if (slot[s] < 0) {
            slot[s] = (int32_t)v;
            distinct++;
        }
        rep[v] = slot[s];
    }
    if (n_rep)
        *n_rep = distinct;
    free(slot);
    return CH4_OK;
}
