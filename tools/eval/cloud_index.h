/* ch4_cloud_index: exact nearest neighbours between large point clouds, many queries at a time.
 *
 * Points are put in Morton order and cut into leaves of 8, eight boxes to a node above them: a search compares eight boxes or eight points
 * with one instruction, and building is a radix sort. Queries are answered in Morton order too, eight at a time on one way through the tree, which starts
 * from the answers of the eight before. Distances are compared in float32 of the differences; which of several equally near points is found is not defined, but the same
 * inputs give the same answer whatever the number of threads. */
#ifndef CH4_EVAL_CLOUD_INDEX_H
#define CH4_EVAL_CLOUD_INDEX_H

#include "base/base.h"

typedef struct ch4_cloud_index ch4_cloud_index;

/* point f32[n,3], finite, 1 <= n < 2^31; copied. CH4_EFORMAT: no points, or one that is not finite; CH4_ENOMEM. */
ch4_status ch4_cloud_index_create(ch4_cloud_index **out, const float *point, int64_t n, ch4_err *err);
void       ch4_cloud_index_destroy(ch4_cloud_index **index);

/* Takes new positions of the same n points and keeps the tree: exact for any positions, fast while they are still arranged much as before. */
void ch4_cloud_index_move(ch4_cloud_index *index, const float *point);

/* nearest i32[Q] (may be NULL), distance f64[Q] (may be NULL; Euclidean, of the float positions in double) for query f32[Q,3], finite.
 * CH4_EFORMAT: a query is not finite; CH4_ENOMEM. */
ch4_status ch4_cloud_nearest(int32_t *nearest, double *distance, const ch4_cloud_index *index, const float *query, int64_t n_query,
                             ch4_pool *pool, ch4_err *err);

/* nearest i32[Q] in the order given, on the calling thread, without allocation: for queries that are already in Morton order. */
void ch4_cloud_nearest_ordered(int32_t *nearest, const ch4_cloud_index *index, const float *query, int64_t n_query);

/* order i32[n]: the points along a Morton curve of their box. CH4_EFORMAT (not finite), CH4_ENOMEM. */
ch4_status ch4_cloud_order(int32_t *order, const float *point, int64_t n, ch4_err *err);

#endif
