/* Vertices at the same position. Everything that works on the connected surface (graph, curvature, landmarks, geodesics) works on one
 * representative per position; results are copied to the duplicates, so that duplicates always move together. */
#ifndef CH4_MESH_WELD_H
#define CH4_MESH_WELD_H

#include <stdint.h>

#include "base/err.h"

/* rep i32[V]: the smallest index whose float position is bit-equal after -0 -> +0. n_rep (may be NULL): number of distinct
 * positions. No tolerance: welding near vertices can close gaps that geodesics then leak through. CH4_ENOMEM. */
ch4_status ch4_mesh_compute_weld(int32_t *rep, int64_t *n_rep, const float *vert, int64_t n_vert, ch4_err *err);

#endif
