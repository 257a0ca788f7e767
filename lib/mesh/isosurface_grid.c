#include "mesh/isosurface_grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* Corner c of a cell has offset (c & 1, c >> 1 & 1, c >> 2 & 1). Edge 4*d + u + 2*v runs along axis d at offset u on axis
 * d+1 and v on axis d+2 (axes modulo 3). */
enum { CELL_EDGES = 12 };

typedef struct cell {
    int64_t at[3];
    int32_t vertex[CELL_EDGES]; /* vertex of the sheet through that edge, -1 where the edge is not crossed */
    uint8_t doubled;            /* bit 2*d + side: both pairs of that face belong to one sheet */
} cell;

typedef struct extraction {
    const float *value;
    const int64_t *dim;
    const double *origin;
    double spacing;
    int32_t *cell_of; /* per grid point: index of the active cell whose low corner it is, -1 if none */
    cell *cells;
    int64_t n_cells;
    int64_t vert_room, face_room;
    ch4_grid_surface *out;
} extraction;

static int64_t point_index(const extraction *x, int64_t i, int64_t j, int64_t k)
{
    return (k * x->dim[1] + j) * x->dim[0] + i;
}

static int corner_of_edge(int edge)
{
    int d = edge / 4, u = edge & 1, v = edge >> 1 & 1;
    return u << (d + 1) % 3 | v << (d + 2) % 3;
}

static int edge_at(int d, int corner)
{
    return 4 * d + (corner >> (d + 1) % 3 & 1) + 2 * (corner >> (d + 2) % 3 & 1);
}

/* Joins the crossing edges of the six faces: link[e] lists the two edges that follow e, one in each of its faces. Returns for
 * each face with four crossings the two pairs. */
typedef struct face_pairs {
    int face, a[2], b[2];
} face_pairs;

static int link_edges(int mask, int link[CELL_EDGES][2], face_pairs pairs[6])
{
    int n_link[CELL_EDGES] = {0}, n_pairs = 0;
    for (int f = 0; f < 6; f++) {
        int d = f / 2, p = (d + 1) % 3, q = (d + 2) % 3, base = (f & 1) << d;
        int corner[4] = {base, base | 1 << p, base | 1 << p | 1 << q, base | 1 << q};
        int edge[4] = {edge_at(p, corner[0]), edge_at(q, corner[1]), edge_at(p, corner[3]), edge_at(q, corner[0])};
        int crossed[4], n = 0;
        for (int i = 0; i < 4; i++)
            if ((mask >> corner[i] & 1) != (mask >> corner[(i + 1) % 4] & 1)) crossed[n++] = i;
        if (n == 2) {
            int a = edge[crossed[0]], b = edge[crossed[1]];
            link[a][n_link[a]++] = b;
            link[b][n_link[b]++] = a;
        } else if (n == 4) {
            face_pairs *fp = &pairs[n_pairs++];
            fp->face = f;
            for (int i = 0, m = 0; i < 4; i++) {
                if (!(mask >> corner[i] & 1)) continue;
                int a = edge[(i + 3) % 4], b = edge[i];
                link[a][n_link[a]++] = b;
                link[b][n_link[b]++] = a;
                fp->a[m] = a;
                fp->b[m++] = b;
            }
        }
    }
    return n_pairs;
}

static ch4_status grow(void **array, int64_t *room, int64_t need, size_t size, ch4_err *err)
{
    if (need <= *room) return CH4_OK;
    int64_t more = ch4_max_i64(need, *room + *room / 2 + 1024);
    size_t bytes;
    ch4_status st = ch4_size_bytes(&bytes, &more, 1, size, err);
    if (st) return st;
    void *p = realloc(*array, bytes);
    if (!p) return ch4_err_set(err, CH4_ENOMEM, "iso-surface: %lld elements", (long long)more);
    *array = p;
    *room = more;
    return CH4_OK;
}

static void crossing(const extraction *x, const int64_t at[3], int edge, double pos[3])
{
    int d = edge / 4, c = corner_of_edge(edge);
    int64_t p[3] = {at[0] + (c & 1), at[1] + (c >> 1 & 1), at[2] + (c >> 2 & 1)}, q[3] = {p[0], p[1], p[2]};
    q[d]++;
    double a = x->value[point_index(x, p[0], p[1], p[2])], b = x->value[point_index(x, q[0], q[1], q[2])];
    for (int k = 0; k < 3; k++) pos[k] = x->origin[k] + x->spacing * (double)p[k];
    pos[d] += x->spacing * (a / (a - b));
}

/* Gives cell c one vertex per cycle of linked edges. */
static ch4_status place_vertices(extraction *x, cell *c, int mask, ch4_err *err)
{
    int link[CELL_EDGES][2];
    face_pairs pairs[6];
    int n_pairs = link_edges(mask, link, pairs);
    for (int e = 0; e < CELL_EDGES; e++) c->vertex[e] = -1;
    for (int e = 0; e < CELL_EDGES; e++) {
        int low = corner_of_edge(e), high = low | 1 << e / 4;
        if (c->vertex[e] >= 0 || (mask >> low & 1) == (mask >> high & 1)) continue;
        ch4_status st = grow((void **)&x->out->vert, &x->vert_room, x->out->n_vert + 1, 3 * sizeof(float), err);
        if (st) return st;
        double sum[3] = {0}, pos[3];
        int n = 0, at = e, from = -1;
        do {
            c->vertex[at] = (int32_t)x->out->n_vert;
            crossing(x, c->at, at, pos);
            for (int k = 0; k < 3; k++) sum[k] += pos[k];
            n++;
            int next = link[at][0] == from ? link[at][1] : link[at][0];
            from = at;
            at = next;
        } while (at != e);
        for (int k = 0; k < 3; k++) x->out->vert[3 * x->out->n_vert + k] = (float)(sum[k] / n);
        x->out->n_vert++;
    }
    c->doubled = 0;
    for (int i = 0; i < n_pairs; i++)
        if (c->vertex[pairs[i].a[0]] == c->vertex[pairs[i].a[1]]) c->doubled |= (uint8_t)(1 << pairs[i].face);
    return CH4_OK;
}

static ch4_status find_cells(extraction *x, ch4_err *err)
{
    const int64_t *n = x->dim;
    int64_t room = 0;
    for (int64_t k = 0; k + 1 < n[2]; k++)
        for (int64_t j = 0; j + 1 < n[1]; j++)
            for (int64_t i = 0; i + 1 < n[0]; i++) {
                int mask = 0;
                for (int c = 0; c < 8; c++)
                    mask |= (x->value[point_index(x, i + (c & 1), j + (c >> 1 & 1), k + (c >> 2))] < 0) << c;
                if (mask == 0 || mask == 255) continue;
                ch4_status st = grow((void **)&x->cells, &room, x->n_cells + 1, sizeof(cell), err);
                if (st) return st;
                cell *c = &x->cells[x->n_cells];
                c->at[0] = i, c->at[1] = j, c->at[2] = k;
                x->cell_of[point_index(x, i, j, k)] = (int32_t)x->n_cells++;
                if ((st = place_vertices(x, c, mask, err))) return st;
            }
    return CH4_OK;
}

static ch4_status check_doubled(const extraction *x, ch4_err *err)
{
    for (int64_t i = 0; i < x->n_cells; i++)
        for (int d = 0; d < 3; d++) {
            const cell *c = &x->cells[i];
            if (!(c->doubled >> (2 * d + 1) & 1)) continue;
            int64_t p[3] = {c->at[0], c->at[1], c->at[2]};
            p[d]++;
            int32_t other = x->cell_of[point_index(x, p[0], p[1], p[2])];
            if (other >= 0 && x->cells[other].doubled >> (2 * d) & 1)
                return ch4_err_set(err, CH4_EUNSUP, "iso-surface: two sheets touch at grid point (%lld,%lld,%lld); use a finer grid",
                                   (long long)p[0], (long long)p[1], (long long)p[2]);
        }
    return CH4_OK;
}

static double distance2(const float *a, const float *b)
{
    double s = 0;
    for (int k = 0; k < 3; k++) s += (double)(a[k] - b[k]) * (a[k] - b[k]);
    return s;
}

/* The two triangles around the grid edge that starts at p along d; inside_low: the field is negative at p. */
static ch4_status add_quad(extraction *x, const int64_t p[3], int d, bool inside_low, ch4_err *err)
{
    static const int off[4][2] = {{1, 1}, {0, 1}, {0, 0}, {1, 0}}; /* counter-clockwise around +d */
    ch4_grid_surface *out = x->out;
    ch4_status st = grow((void **)&out->face, &x->face_room, out->n_face + 2, 3 * sizeof(int32_t), err);
    if (st) return st;
    int32_t quad[4];
    for (int i = 0; i < 4; i++) {
        int64_t q[3] = {p[0], p[1], p[2]};
        q[(d + 1) % 3] -= off[i][0];
        q[(d + 2) % 3] -= off[i][1];
        const cell *c = &x->cells[x->cell_of[point_index(x, q[0], q[1], q[2])]];
        quad[inside_low ? i : 3 - i] = c->vertex[4 * d + off[i][0] + 2 * off[i][1]];
    }
    const float *v = out->vert;
    int s = distance2(v + 3 * quad[0], v + 3 * quad[2]) <= distance2(v + 3 * quad[1], v + 3 * quad[3]) ? 0 : 1;
    int32_t tri[6] = {quad[s], quad[s + 1], quad[s + 2], quad[s], quad[s + 2], quad[(s + 3) % 4]};
    memcpy(out->face + 3 * out->n_face, tri, sizeof(tri));
    out->n_face += 2;
    return CH4_OK;
}

static ch4_status add_faces(extraction *x, ch4_err *err)
{
    const int64_t *n = x->dim;
    for (int64_t k = 0; k < n[2]; k++)
        for (int64_t j = 0; j < n[1]; j++)
            for (int64_t i = 0; i < n[0]; i++)
                for (int d = 0; d < 3; d++) {
                    int64_t p[3] = {i, j, k}, q[3] = {i, j, k};
                    if (++q[d] >= n[d]) continue;
                    bool a = x->value[point_index(x, i, j, k)] < 0, b = x->value[point_index(x, q[0], q[1], q[2])] < 0;
                    if (a == b) continue;
                    ch4_status st = add_quad(x, p, d, a, err);
                    if (st) return st;
                }
    return CH4_OK;
}

static ch4_status check_border(const extraction *x, ch4_err *err)
{
    const int64_t *n = x->dim;
    for (int64_t k = 0; k < n[2]; k++)
        for (int64_t j = 0; j < n[1]; j++)
            for (int64_t i = 0; i < n[0]; i++) {
                bool border = i == 0 || j == 0 || k == 0 || i == n[0] - 1 || j == n[1] - 1 || k == n[2] - 1;
                if (border && !(x->value[point_index(x, i, j, k)] >= 0))
                    return ch4_err_set(err, CH4_EINVAL, "iso-surface: field not outside at border point (%lld,%lld,%lld)",
                                       (long long)i, (long long)j, (long long)k);
            }
    return CH4_OK;
}

ch4_status ch4_isosurface_grid(ch4_grid_surface *out, const float *value, const int64_t dim[3], const double origin[3],
                               double spacing, ch4_err *err)
{
    memset(out, 0, sizeof(*out));
    extraction x = {.value = value, .dim = dim, .origin = origin, .spacing = spacing, .out = out};
    if (dim[0] < 2 || dim[1] < 2 || dim[2] < 2) return ch4_err_set(err, CH4_EINVAL, "iso-surface: grid below 2x2x2");
    size_t points;
    ch4_status st = ch4_size_bytes(&points, dim, 3, 1, err);
    if (!st) st = check_border(&x, err);
    if (!st) st = ch4_calloc(&x.cell_of, points, sizeof(int32_t), "iso-surface cells", err);
    if (st) goto out;
    memset(x.cell_of, 0xff, points * sizeof(int32_t));
    st = find_cells(&x, err);
    if (!st) st = check_doubled(&x, err);
    if (!st) st = add_faces(&x, err);
out:
    free(x.cell_of);
    free(x.cells);
    return st;
}

void ch4_grid_surface_free(ch4_grid_surface *surface)
{
    if (!surface) return;
    free(surface->vert);
    free(surface->face);
    memset(surface, 0, sizeof(*surface));
}
