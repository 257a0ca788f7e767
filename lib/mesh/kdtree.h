/* ch4_kdtree: the exact nearest of a fixed set of points. Queries on one tree may run in parallel. */
#ifndef CH4_MESH_KDTREE_H
#define CH4_MESH_KDTREE_H

#include <stdint.h>

#include "base/err.h"
#include "base/parallel.h"

typedef struct ch4_kdtree ch4_kdtree;

/* point f32[n,3], finite; copied. n == 0 is fine. CH4_ENOMEM. */
ch4_status ch4_kdtree_create(ch4_kdtree **out, const float *point, int64_t n, ch4_err *err);
void       ch4_kdtree_destroy(ch4_kdtree **tree);

/* Index of the nearest point (lowest index on ties) and its squared distance (may be NULL); -1 for an empty tree. */
int64_t ch4_kdtree_nearest(const ch4_kdtree *tree, const double query[3], double *distance2);

/* index i32[Q], distance f64[Q] (either may be NULL) for query f32[Q,3]; -1 and INFINITY for an empty tree. */
void ch4_kdtree_nearest_all(int32_t *index, double *distance, const ch4_kdtree *tree, const float *query, int64_t n_query, ch4_pool *pool);

#endif
