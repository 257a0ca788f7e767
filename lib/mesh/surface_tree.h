/* ch4_surface_tree: the nearest point on the triangles of a mesh. Queries on one tree may run in parallel. */
#ifndef CH4_MESH_SURFACE_TREE_H
#define CH4_MESH_SURFACE_TREE_H

#include <stdint.h>

#include "base/err.h"

typedef struct ch4_surface_tree ch4_surface_tree;

typedef struct ch4_surface_point {
    int64_t face;      /* -1 for a mesh without faces */
    double bary[3];    /* weights of the face's corners, each in [0,1], sum 1 */
    double point[3];
    double distance2;  /* INFINITY for a mesh without faces */
} ch4_surface_point;

/* Copies what it needs. Degenerate faces count as the segment or point they are. CH4_ENOMEM. */
ch4_status ch4_surface_tree_create(ch4_surface_tree **out, const float *vert, const int32_t *face, int64_t n_face, ch4_err *err);
void       ch4_surface_tree_destroy(ch4_surface_tree **tree);

/* Exact up to rounding; lowest face index on ties. */
ch4_surface_point ch4_surface_tree_nearest(const ch4_surface_tree *tree, const double query[3]);

#endif
