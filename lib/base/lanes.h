/* Four doubles at once, by the vector types of gcc and clang: one operation on all lanes, the same result in each lane as
 * the scalar operation. For inner loops that the compiler does not vectorise by itself. */
#ifndef CH4_BASE_LANES_H
#define CH4_BASE_LANES_H

#include <math.h>
#include <stdint.h>

enum { CH4_LANES = 4 };

typedef double ch4_lanes __attribute__((vector_size(CH4_LANES * sizeof(double)), may_alias, aligned(8)));
typedef int64_t ch4_lane_mask __attribute__((vector_size(CH4_LANES * sizeof(int64_t)), may_alias, aligned(8)));

static inline ch4_lanes ch4_lanes_set(double x) { return (ch4_lanes){x, x, x, x}; }

/* a where the lane of m is all ones (the result of a comparison), else b */
static inline ch4_lanes ch4_lanes_select(ch4_lane_mask m, ch4_lanes a, ch4_lanes b)
{
    return (ch4_lanes)(((ch4_lane_mask)a & m) | ((ch4_lane_mask)b & ~m));
}

static inline ch4_lanes ch4_lanes_sqrt(ch4_lanes x)
{
    return (ch4_lanes){sqrt(x[0]), sqrt(x[1]), sqrt(x[2]), sqrt(x[3])};
}

static inline int ch4_lanes_any(ch4_lane_mask m)
{
    return (m[0] | m[1] | m[2] | m[3]) != 0;
}

#endif
