/* Meshes for tests. All are freed with ch4_mesh_fini; out of memory ends the test. */
#ifndef CH4_TESTS_SHAPES_H
#define CH4_TESTS_SHAPES_H

#include "mesh/mesh.h"

/* Sphere around (x,0,0) from an octahedron with n parts per edge: 8 n^2 faces, outward. The eight sheets are not joined: seam vertices
 * are repeated at bit-equal positions, with zeros of both signs. */
ch4_mesh ch4_test_sphere(int n, double radius, double x);

/* nx by ny squares of side h in the plane z = 0, two triangles each, vertex (i,j) at index j (nx + 1) + i. */
ch4_mesh ch4_test_plane(int nx, int ny, double h);

/* Copies of both side by side in one mesh, b's indices after a's. */
ch4_mesh ch4_test_join(const ch4_mesh *a, const ch4_mesh *b);

/* Fails the test unless every directed edge occurs once and its opposite once. */
void ch4_test_assert_closed(const ch4_mesh *m);

#endif
