#include "mesh/curvature.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "mesh/mesh.h"
#include "mesh/vec_impl.h"

static const double LIVE_ALTITUDE = 1e-6; /* of the diagonal */

static v3 face_cross(const float *vert, const int32_t r[3])
{
    v3 a = v3_at(vert, r[0]);
    return v3_cross(v3_sub(v3_at(vert, r[1]), a), v3_sub(v3_at(vert, r[2]), a));
}

void ch4_mesh_compute_live_faces(uint8_t *live, const float *vert, const int32_t *face, int64_t n_face, const int32_t *rep, double diagonal)
{
    for (int64_t f = 0; f < n_face; f++) {
        int32_t r[3] = {rep[face[3 * f]], rep[face[3 * f + 1]], rep[face[3 * f + 2]]};
        live[f] = 0;
        if (r[0] == r[1] || r[1] == r[2] || r[2] == r[0])
            continue;
        double longest = 0;
        for (int k = 0; k < 3; k++) {
            double side = v3_norm(v3_sub(v3_at(vert, r[(k + 1) % 3]), v3_at(vert, r[k])));
            longest = side > longest ? side : longest;
        }
        live[f] = v3_norm(face_cross(vert, r)) / longest > LIVE_ALTITUDE * diagonal;
    }
}

/* What is known of an edge; stored at the CSR entry from its lower to its higher end. */
typedef struct edge_faces {
    int32_t face[2];
    uint8_t count;   /* live faces, 3 = more than two */
    uint8_t down[2]; /* the face runs from the higher end to the lower */
} edge_faces;

static void add_face(edge_faces *e, int32_t face, int down)
{
    if (e->count < 2) {
        e->face[e->count] = face;
        e->down[e->count] = (uint8_t)down;
    }
    if (e->count < 3)
        e->count++;
}

static double dihedral(const edge_faces *e, const double *normal)
{
    const double *p = normal + 3 * (int64_t)e->face[0], *q = normal + 3 * (int64_t)e->face[1];
    v3 a = {p[0], p[1], p[2]}, b = {q[0], q[1], q[2]};
    if (e->down[0] == e->down[1])
        b = v3_scale(b, -1);
    return atan2(v3_norm(v3_cross(a, b)), v3_dot(a, b));
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Fills normals of live faces, areas of representatives and the faces of every edge. */
static void gather_faces(const float *vert, const int32_t *face, int64_t n_face, const ch4_mesh_graph *g, const uint8_t *live,
                         double *normal, double *area, edge_faces *edge)
{
    for (int64_t f = 0; f < n_face; f++) {
        if (!live[f])
            continue;
        int32_t r[3] = {g->rep[face[3 * f]], g->rep[face[3 * f + 1]], g->rep[face[3 * f + 2]]};
        v3 n = face_cross(vert, r);
        double len = v3_norm(n);
        normal[3 * f] = n.x / len;
        normal[3 * f + 1] = n.y / len;
        normal[3 * f + 2] = n.z / len;
        for (int k = 0; k < 3; k++) {
            int32_t a = r[k], b = r[(k + 1) % 3];
            area[a] += len / 6; /* a third of len / 2 */
            add_face(&edge[a < b ? ch4_mesh_graph_find(g, a, b) : ch4_mesh_graph_find(g, b, a)], (int32_t)f, a > b);
        }
    }
}

/* Linear interpolation at index 0.95 (n - 1) of the sorted values; 0 for none. */
static double percentile_95(double *value, int64_t n)
{
    if (n == 0)
        return 0;
    qsort(value, (size_t)n, sizeof *value, compare_double);
    double at = 0.95 * (double)(n - 1);
    int64_t i = (int64_t)at;
    return i + 1 < n ? value[i] + (at - (double)i) * (value[i + 1] - value[i]) : value[n - 1];
}

ch4_status ch4_mesh_compute_curvature(double *curvature, double *boost, double *p95, const float *vert, const int32_t *face, int64_t n_face,
                                      const ch4_mesh_graph *g, ch4_err *err)
{
    uint8_t *live = NULL;
    double *normal = NULL, *area = NULL, *sorted = NULL;
    edge_faces *edge = NULL;
    size_t n = (size_t)g->n_vert;
    ch4_status st = ch4_calloc(&live, (size_t)n_face, 1, "curvature", err);
    if (st == CH4_OK)
        st = ch4_calloc(&normal, (size_t)n_face, 3 * sizeof *normal, "curvature", err);
    if (st == CH4_OK)
        st = ch4_calloc(&area, n, sizeof *area, "curvature", err);
    if (st == CH4_OK)
        st = ch4_calloc(&sorted, n, sizeof *sorted, "curvature", err);
    if (st == CH4_OK)
        st = ch4_calloc(&edge, 2 * (size_t)g->n_edge, sizeof *edge, "curvature", err);
    if (st != CH4_OK)
        goto out;
    ch4_mesh_compute_live_faces(live, vert, face, n_face, g->rep, ch4_mesh_diagonal(vert, g->n_vert));
    gather_faces(vert, face, n_face, g, live, normal, area, edge);
    for (int64_t v = 0; v < g->n_vert; v++)
        curvature[v] = 0;
    for (int64_t v = 0; v < g->n_vert; v++)
        for (int64_t e = g->offset[v]; e < g->offset[v + 1]; e++)
            if (edge[e].count == 2) {
                double bend = g->length[e] * dihedral(&edge[e], normal);
                curvature[v] += bend;
                curvature[g->neighbor[e]] += bend;
            }
    int64_t n_value = 0;
    for (int64_t v = 0; v < g->n_vert; v++) {
        curvature[v] = area[v] > 0 ? curvature[v] / (4 * area[v]) : 0;
        if (area[v] > 0)
            sorted[n_value++] = curvature[v];
    }
    double p = percentile_95(sorted, n_value);
    for (int64_t v = 0; v < g->n_vert; v++) {
        curvature[v] = curvature[g->rep[v]];
        boost[v] = p > 0 ? fmin(1, curvature[v] / p) : 0;
    }
    if (p95)
        *p95 = p;
out:
    free(live);
    free(normal);
    free(area);
    free(sorted);
    free(edge);
    return st;
}
