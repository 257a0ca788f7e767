#include "mesh/marching_surface_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* Vertices of the edges of two neighbouring layers: [2][3][dim1,dim0], 0 where there is none yet, else index + 1. Edges along axis 2 belong to
 * the layer of their lower end. */
typedef struct marcher {
    const dual_grid *grid;
    int64_t step[3], plane; /* plane = dim0 dim1 */
    int32_t *vertex;
    int64_t vert_room, face_room;
    ch4_mesh *out;
} marcher;

static ch4_status grow(void *array, int64_t *room, int64_t need, size_t size, ch4_err *err)
{
    void *p;
    if (need <= *room)
        return CH4_OK;
    if (need > INT32_MAX)
        return ch4_err_set(err, CH4_EUNSUP, "marching cubes: more than 2^31 elements");
    int64_t more = need + need / 2 + 1024;
    memcpy(&p, array, sizeof p);
    p = realloc(p, (size_t)more * size);
    if (!p)
        return ch4_err_set(err, CH4_ENOMEM, "marching cubes: %" PRId64 " elements", more);
    memcpy(array, &p, sizeof p);
    *room = more;
    return CH4_OK;
}

/* next[e]: the edge that follows e around its polygon, -1 where e is not crossed. A face's corners are walked so that the face is seen from
 * outside of the cell; a run of inside corners is entered over one edge and left over another. */
static void link_edges(int mask, int next[CELL_EDGES])
{
    for (int e = 0; e < CELL_EDGES; e++)
        next[e] = -1;
    for (int f = 0; f < 6; f++) {
        int d = f / 2, p = (d + 1) % 3, q = (d + 2) % 3, base = (f & 1) << d;
        int corner[4] = {base, base | 1 << p, base | 1 << p | 1 << q, base | 1 << q};
        int edge[4] = {edge_at(p, corner[0]), edge_at(q, corner[1]), edge_at(p, corner[3]), edge_at(q, corner[0])};
        for (int i = 0; i < 4; i++) {
            if (!(mask >> corner[i] & 1) || mask >> corner[(i + 3) % 4] & 1)
                continue;
            int last = i;
            while (mask >> corner[(last + 1) % 4] & 1)
                last = (last + 1) % 4;
            int entry = edge[(i + 3) % 4], exit = edge[last];
            if (f & 1)
                next[entry] = exit;
            else
                next[exit] = entry;
        }
    }
}

static int64_t corner_at(const marcher *m, int64_t at, int corner)
{
    return at + (corner & 1) * m->step[0] + (corner >> 1 & 1) * m->step[1] + (corner >> 2 & 1) * m->step[2];
}

/* The vertex on an edge of the cell whose low corner is `at`; made where it is not there yet. */
static ch4_status vertex_of(marcher *m, int32_t *index, int64_t at, int edge, ch4_err *err)
{
    const dual_grid *g = m->grid;
    int d = edge / 4;
    int64_t low = corner_at(m, at, corner_of_edge(edge)), k = low / m->plane;
    int32_t *slot = m->vertex + ((k & 1) * 3 + d) * m->plane + low % m->plane;
    if (!*slot) {
        ch4_status st = grow(&m->out->vert, &m->vert_room, m->out->n_vert + 1, 3 * sizeof(float), err);
        if (st != CH4_OK)
            return st;
        double a = g->value[low], b = g->value[low + m->step[d]];
        double p[3] = {(double)(low % g->dim[0]), (double)(low / g->dim[0] % g->dim[1]), (double)k};
        p[d] += a / (a - b);
        for (int c = 0; c < 3; c++)
            m->out->vert[3 * m->out->n_vert + c] = (float)(g->origin[c] + g->spacing * p[c]);
        *slot = (int32_t)++m->out->n_vert;
    }
    *index = *slot - 1;
    return CH4_OK;
}

static ch4_status add_cell(marcher *m, int64_t at, int mask, ch4_err *err)
{
    int next[CELL_EDGES];
    link_edges(mask, next);
    for (int e = 0; e < CELL_EDGES; e++) {
        int32_t polygon[CELL_EDGES];
        int n = 0;
        for (int now = e; next[now] >= 0;) {
            ch4_status st = vertex_of(m, &polygon[n++], at, now, err);
            if (st != CH4_OK)
                return st;
            int then = next[now];
            next[now] = -1;
            now = then;
        }
        for (int i = 2; i < n; i++) {
            ch4_status st = grow(&m->out->face, &m->face_room, m->out->n_face + 1, 3 * sizeof(int32_t), err);
            if (st != CH4_OK)
                return st;
            memcpy(m->out->face + 3 * m->out->n_face++, (int32_t[]){polygon[0], polygon[i - 1], polygon[i]}, 3 * sizeof(int32_t));
        }
    }
    return CH4_OK;
}

/* Bits of the inside corners; 0 also where a corner is unknown. */
static int cell_mask(const marcher *m, int64_t at)
{
    int mask = 0;
    for (int c = 0; c < 8; c++) {
        float v = m->grid->value[corner_at(m, at, c)];
        if (v != v)
            return 0;
        mask |= (v < 0) << c;
    }
    return mask;
}

ch4_status marching_surface_extract(ch4_mesh *out, const dual_grid *grid, ch4_err *err)
{
    const int64_t *n = grid->dim;
    marcher m = {.grid = grid, .step = {1, n[0], n[0] * n[1]}, .plane = n[0] * n[1], .out = out};
    memset(out, 0, sizeof *out);
    ch4_status st = ch4_calloc(&m.vertex, 6 * (size_t)m.plane, sizeof *m.vertex, "marching cubes", err);
    for (int64_t k = 0; st == CH4_OK && k + 1 < n[2]; k++) {
        memset(m.vertex + ((k + 1) & 1) * 3 * m.plane, 0, 3 * (size_t)m.plane * sizeof *m.vertex);
        for (int64_t j = 0; j + 1 < n[1]; j++)
            for (int64_t i = 0; st == CH4_OK && i + 1 < n[0]; i++) {
                int64_t at = (k * n[1] + j) * n[0] + i;
                int mask = cell_mask(&m, at);
                if (mask != 0 && mask != 255)
                    st = add_cell(&m, at, mask, err);
            }
    }
    free(m.vertex);
    return st;
}
