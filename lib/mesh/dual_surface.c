#include "mesh/dual_surface_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

typedef struct cell {
    int64_t at;                 /* index of its low corner; cells are sorted by it */
    int32_t vertex[CELL_EDGES]; /* vertex of the sheet through that edge, -1 where the edge is not crossed */
    uint8_t mask;               /* bit c: corner c is inside */
    uint8_t doubled;            /* bit 2*d + side: both pairs of that face belong to one sheet */
} cell;

typedef struct extraction {
    const dual_grid *grid;
    int64_t step[3]; /* index distance of neighbours along each axis */
    cell *cells;
    int64_t n_cells;
    int64_t vert_room, face_room;
    ch4_mesh *out;
} extraction;

static int64_t corner_index(const extraction *x, int64_t at, int corner)
{
    return at + (corner & 1) * x->step[0] + (corner >> 1 & 1) * x->step[1] + (corner >> 2 & 1) * x->step[2];
}

/* The two pairs of edges that the sheets join on a face with four crossings. */
typedef struct face_pairs {
    int face, a[2], b[2];
} face_pairs;

/* Joins the crossing edges of the six faces: link[e] lists the two edges that follow e, one in each of its faces. Returns the number of
 * faces with four crossings. */
static int link_edges(int mask, int link[CELL_EDGES][2], face_pairs pairs[6])
{
    int n_link[CELL_EDGES] = {0}, n_pairs = 0;
    for (int f = 0; f < 6; f++) {
        int d = f / 2, p = (d + 1) % 3, q = (d + 2) % 3, base = (f & 1) << d;
        int corner[4] = {base, base | 1 << p, base | 1 << p | 1 << q, base | 1 << q};
        int edge[4] = {edge_at(p, corner[0]), edge_at(q, corner[1]), edge_at(p, corner[3]), edge_at(q, corner[0])};
        int crossed[4], n = 0;
        for (int i = 0; i < 4; i++)
            if ((mask >> corner[i] & 1) != (mask >> corner[(i + 1) % 4] & 1))
                crossed[n++] = i;
        if (n == 2) {
            int a = edge[crossed[0]], b = edge[crossed[1]];
            link[a][n_link[a]++] = b;
            link[b][n_link[b]++] = a;
        } else if (n == 4) {
            face_pairs *fp = &pairs[n_pairs++];
            fp->face = f;
            for (int i = 0, m = 0; i < 4; i++) {
                if (!(mask >> corner[i] & 1))
                    continue;
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

static ch4_status grow(void *array, int64_t *room, int64_t need, size_t size, ch4_err *err)
{
    void *p;
    size_t bytes;
    if (need <= *room)
        return CH4_OK;
    if (need > INT32_MAX)
        return ch4_err_set(err, CH4_EUNSUP, "iso-surface: more than 2^31 elements");
    int64_t more = ch4_max_i64(need, *room + *room / 2 + 1024);
    ch4_status st = ch4_size_bytes(&bytes, &more, 1, size, err);
    if (st != CH4_OK)
        return st;
    memcpy(&p, array, sizeof p);
    p = realloc(p, bytes);
    if (!p)
        return ch4_err_set(err, CH4_ENOMEM, "iso-surface: %" PRId64 " elements", more);
    memcpy(array, &p, sizeof p);
    *room = more;
    return CH4_OK;
}

static void grid_point(const extraction *x, int64_t index, int64_t p[3])
{
    p[0] = index % x->grid->dim[0];
    p[1] = index / x->grid->dim[0] % x->grid->dim[1];
    p[2] = index / x->grid->dim[0] / x->grid->dim[1];
}

static void crossing(const extraction *x, int64_t at, int edge, double pos[3])
{
    int d = edge / 4;
    int64_t i = corner_index(x, at, corner_of_edge(edge)), p[3];
    double a = x->grid->value[i], b = x->grid->value[i + x->step[d]];
    grid_point(x, i, p);
    for (int k = 0; k < 3; k++)
        pos[k] = x->grid->origin[k] + x->grid->spacing * (double)p[k];
    pos[d] += x->grid->spacing * (a / (a - b));
}

/* Gives cell c one vertex per cycle of linked edges. */
static ch4_status place_vertices(extraction *x, cell *c, ch4_err *err)
{
    int link[CELL_EDGES][2];
    face_pairs pairs[6];
    int n_pairs = link_edges(c->mask, link, pairs);
    for (int e = 0; e < CELL_EDGES; e++)
        c->vertex[e] = -1;
    for (int e = 0; e < CELL_EDGES; e++) {
        int low = corner_of_edge(e), high = low | 1 << e / 4;
        if (c->vertex[e] >= 0 || (c->mask >> low & 1) == (c->mask >> high & 1))
            continue;
        ch4_status st = grow(&x->out->vert, &x->vert_room, x->out->n_vert + 1, 3 * sizeof(float), err);
        if (st != CH4_OK)
            return st;
        double sum[3] = {0}, pos[3];
        int n = 0, at = e, from = -1;
        do {
            c->vertex[at] = (int32_t)x->out->n_vert;
            crossing(x, c->at, at, pos);
            for (int k = 0; k < 3; k++)
                sum[k] += pos[k];
            n++;
            int next = link[at][0] == from ? link[at][1] : link[at][0];
            from = at;
            at = next;
        } while (at != e);
        for (int k = 0; k < 3; k++)
            x->out->vert[3 * x->out->n_vert + k] = (float)(sum[k] / n);
        x->out->n_vert++;
    }
    c->doubled = 0;
    for (int i = 0; i < n_pairs; i++)
        if (c->vertex[pairs[i].a[0]] == c->vertex[pairs[i].a[1]])
            c->doubled |= (uint8_t)(1 << pairs[i].face);
    return CH4_OK;
}

/* Bits of the inside corners; 0 also where a corner is unknown. */
static int cell_mask(const extraction *x, int64_t at)
{
    int mask = 0;
    for (int c = 0; c < 8; c++) {
        float v = x->grid->value[corner_index(x, at, c)];
        if (v != v)
            return 0;
        mask |= (v < 0) << c;
    }
    return mask;
}

static ch4_status find_cells(extraction *x, ch4_err *err)
{
    const int64_t *n = x->grid->dim;
    int64_t room = 0;
    for (int64_t k = 0; k + 1 < n[2]; k++)
        for (int64_t j = 0; j + 1 < n[1]; j++)
            for (int64_t i = 0; i + 1 < n[0]; i++) {
                int64_t at = (k * n[1] + j) * n[0] + i;
                int mask = cell_mask(x, at);
                if (mask == 0 || mask == 255)
                    continue;
                ch4_status st = grow(&x->cells, &room, x->n_cells + 1, sizeof(cell), err);
                if (st != CH4_OK)
                    return st;
                cell *c = &x->cells[x->n_cells++];
                c->at = at;
                c->mask = (uint8_t)mask;
                if ((st = place_vertices(x, c, err)) != CH4_OK)
                    return st;
            }
    return CH4_OK;
}

static const cell *cell_at(const extraction *x, int64_t at)
{
    int64_t lo = 0, hi = x->n_cells;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (x->cells[mid].at < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < x->n_cells && x->cells[lo].at == at ? &x->cells[lo] : NULL;
}

static ch4_status check_doubled(const extraction *x, int64_t *touching, ch4_err *err)
{
    int64_t n = 0, p[3];
    for (int64_t i = 0; i < x->n_cells; i++)
        for (int d = 0; d < 3; d++) {
            if (!(x->cells[i].doubled >> (2 * d + 1) & 1))
                continue;
            const cell *other = cell_at(x, x->cells[i].at + x->step[d]);
            if (!other || !(other->doubled >> (2 * d) & 1))
                continue;
            grid_point(x, other->at, p);
            if (!touching)
                return ch4_err_set(err, CH4_EUNSUP, "iso-surface: two sheets touch at grid point (%" PRId64 ",%" PRId64 ",%" PRId64
                                   "); use a finer grid", p[0], p[1], p[2]);
            n++;
        }
    if (touching)
        *touching = n;
    return CH4_OK;
}

static double distance2(const float *a, const float *b)
{
    double s = 0;
    for (int k = 0; k < 3; k++)
        s += (double)(a[k] - b[k]) * (a[k] - b[k]);
    return s;
}

/* The two triangles around the grid edge from the low corner of c along d. */
static ch4_status add_quad(extraction *x, const cell *c, int d, ch4_err *err)
{
    static const int off[4][2] = {{1, 1}, {0, 1}, {0, 0}, {1, 0}}; /* counter-clockwise around +d */
    ch4_mesh *out = x->out;
    ch4_status st = grow(&out->face, &x->face_room, out->n_face + 2, 3 * sizeof(int32_t), err);
    if (st != CH4_OK)
        return st;
    int32_t quad[4];
    for (int i = 0; i < 4; i++) {
        const cell *q = cell_at(x, c->at - off[i][0] * x->step[(d + 1) % 3] - off[i][1] * x->step[(d + 2) % 3]);
        if (!q && x->grid->open)
            return CH4_OK;
        if (!q)
            return ch4_err_set(err, CH4_EINVAL, "iso-surface: a crossing edge has no known cells around it");
        quad[c->mask & 1 ? i : 3 - i] = q->vertex[4 * d + off[i][0] + 2 * off[i][1]];
    }
    const float *v = out->vert;
    int s = distance2(v + 3 * quad[0], v + 3 * quad[2]) <= distance2(v + 3 * quad[1], v + 3 * quad[3]) ? 0 : 1;
    int32_t tri[6] = {quad[s], quad[s + 1], quad[s + 2], quad[s], quad[s + 2], quad[(s + 3) % 4]};
    memcpy(out->face + 3 * out->n_face, tri, sizeof tri);
    out->n_face += 2;
    return CH4_OK;
}

static ch4_status add_faces(extraction *x, ch4_err *err)
{
    for (int64_t i = 0; i < x->n_cells; i++)
        for (int d = 0; d < 3; d++) {
            const cell *c = &x->cells[i];
            if ((c->mask & 1) == (c->mask >> (1 << d) & 1))
                continue;
            ch4_status st = add_quad(x, c, d, err);
            if (st != CH4_OK)
                return st;
        }
    return CH4_OK;
}

ch4_status dual_surface_extract(ch4_mesh *out, int64_t *touching, const dual_grid *grid, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    extraction x = {.grid = grid, .step = {1, grid->dim[0], grid->dim[0] * grid->dim[1]}, .out = out};
    ch4_status st = find_cells(&x, err);
    if (st == CH4_OK)
        st = check_doubled(&x, touching, err);
    if (st == CH4_OK)
        st = add_faces(&x, err);
    free(x.cells);
    return st;
}
