/* Three-vectors in double, for the algorithms of lib/mesh. */
#ifndef CH4_MESH_VEC_IMPL_H
#define CH4_MESH_VEC_IMPL_H

#include <math.h>
#include <stdint.h>

typedef struct v3 {
    double x, y, z;
} v3;

static inline v3 v3_at(const float *p, int64_t i)
{
    return (v3){p[3 * i], p[3 * i + 1], p[3 * i + 2]};
}

static inline v3 v3_add(v3 a, v3 b) { return (v3){a.x + b.x, a.y + b.y, a.z + b.z}; }
static inline v3 v3_sub(v3 a, v3 b) { return (v3){a.x - b.x, a.y - b.y, a.z - b.z}; }
static inline v3 v3_scale(v3 a, double s) { return (v3){a.x * s, a.y * s, a.z * s}; }
static inline double v3_dot(v3 a, v3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static inline v3 v3_cross(v3 a, v3 b)
{
    return (v3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static inline double v3_norm(v3 a) { return sqrt(v3_dot(a, a)); }

#endif
