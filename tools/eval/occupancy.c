#include "tools/eval/occupancy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/weld.h"

/* --- closed? ------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct edge {
    int32_t lo, hi, way; /* way: +1 from lo to hi */
} edge;

static int by_ends(const void *pa, const void *pb)
{
    const edge *a = pa, *b = pb;
    return a->lo != b->lo ? (a->lo < b->lo ? -1 : 1) : a->hi != b->hi ? (a->hi < b->hi ? -1 : 1) : 0;
}

ch4_status ch4_mesh_is_closed(bool *closed, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    int32_t *same = NULL;
    edge *e = NULL;
    int64_t n = 0;
    ch4_status st = ch4_calloc(&same, (size_t)n_vert, sizeof(*same), "vertices", err);
    if (!st) st = ch4_calloc(&e, (size_t)n_face, 3 * sizeof(*e), "edges", err);
    if (!st) st = ch4_mesh_compute_weld(same, NULL, vert, n_vert, err);
    for (int64_t i = 0; !st && i < 3 * n_face; i++) {
        int32_t a = same[face[i]], b = same[face[i / 3 * 3 + (i % 3 + 1) % 3]];
        if (a != b) e[n++] = (edge){a < b ? a : b, a < b ? b : a, a < b ? 1 : -1};
    }
    *closed = !st && n > 0;
    if (!st) qsort(e, (size_t)n, sizeof(*e), by_ends);
    for (int64_t i = 0, sum = 0; !st && i < n; i++) {
        sum += e[i].way;
        if (i + 1 < n && by_ends(&e[i], &e[i + 1]) == 0) continue;
        *closed = *closed && sum == 0;
        sum = 0;
    }
    free(same);
    free(e);
    return st;
}

/* --- closed meshes: crossings of a ray along +z ---------------------------------------------------------------------------------------------------- */

enum { CELLS = 192, CHUNK = 2048 };

/* Faces by the cells of a grid over x and y that their boxes touch. */
typedef struct columns {
    double lo[2], size[2]; /* of the grid; of a cell */
    int64_t *begin;        /* [CELLS * CELLS + 1] */
    int32_t *face;         /* faces of cell c: begin[c] .. begin[c + 1] - 1 */
} columns;

static void cell_range(int out[4], const columns *c, const float *vert, const int32_t *f)
{
    for (int k = 0; k < 2; k++) {
        double a = vert[3 * (int64_t)f[0] + k], b = vert[3 * (int64_t)f[1] + k], d = vert[3 * (int64_t)f[2] + k];
        out[k] = (int)((fmin(a, fmin(b, d)) - c->lo[k]) / c->size[k]);
        out[2 + k] = (int)((fmax(a, fmax(b, d)) - c->lo[k]) / c->size[k]);
        out[2 + k] = out[2 + k] < CELLS ? out[2 + k] : CELLS - 1;
    }
}

static ch4_status build_columns(columns *c, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    double hi[2] = {-INFINITY, -INFINITY};
    int range[4];
    c->lo[0] = c->lo[1] = INFINITY;
    for (int64_t i = 0; i < n_vert; i++)
        for (int k = 0; k < 2; k++) c->lo[k] = fmin(c->lo[k], vert[3 * i + k]), hi[k] = fmax(hi[k], vert[3 * i + k]);
    for (int k = 0; k < 2; k++) c->size[k] = hi[k] > c->lo[k] ? (hi[k] - c->lo[k]) / CELLS * (1 + 1e-9) : 1;
    ch4_status st = ch4_calloc(&c->begin, CELLS * CELLS + 1, sizeof(*c->begin), "columns", err);
    for (int pass = 0; !st && pass < 2; pass++) {
        for (int64_t f = 0; f < n_face; f++) {
            cell_range(range, c, vert, face + 3 * f);
            for (int y = range[1]; y <= range[3]; y++)
                for (int x = range[0]; x <= range[2]; x++) {
                    if (pass == 0) c->begin[y * CELLS + x + 1]++;
                    else c->face[c->begin[y * CELLS + x]++] = (int32_t)f;
                }
        }
        for (int64_t i = 0; pass == 0 && i < CELLS * CELLS; i++) c->begin[i + 1] += c->begin[i];
        if (pass == 0) st = ch4_calloc(&c->face, (size_t)c->begin[CELLS * CELLS], sizeof(*c->face), "columns", err);
    }
    if (!st) memmove(c->begin + 1, c->begin, CELLS * CELLS * sizeof(*c->begin)); /* filling moved each begin to the next one's */
    if (!st) c->begin[0] = 0;
    return st;
}

/* Twice the signed area of (a, b, p), the same but for its sign for (b, a, p): neighbours agree on which side of their edge a point lies. */
static double side_of(const float *vert, int32_t a, int32_t b, double x, double y)
{
    const float *p = vert + 3 * (int64_t)(a < b ? a : b), *q = vert + 3 * (int64_t)(a < b ? b : a);
    double s = ((double)q[0] - p[0]) * (y - p[1]) - ((double)q[1] - p[1]) * (x - p[0]);
    return a < b ? s : -s;
}

static int crossings(const columns *c, const float *vert, const int32_t *face, const int32_t *same, const float *point)
{
    /* Off the grid's own lines, on which the vertices of regular objects lie. */
    double x = point[0] + 3.7e-8, y = point[1] + 6.1e-8, z = point[2];
    double u = (x - c->lo[0]) / c->size[0], v = (y - c->lo[1]) / c->size[1];
    int winding = 0;
    if (!(u >= 0 && v >= 0 && u < CELLS && v < CELLS)) return 0;
    int64_t cell = (int64_t)v * CELLS + (int64_t)u;
    for (int64_t i = c->begin[cell]; i < c->begin[cell + 1]; i++) {
        const int32_t *f = face + 3 * (int64_t)c->face[i];
        const int32_t t[3] = {same[f[0]], same[f[1]], same[f[2]]};
        double w[3] = {side_of(vert, t[1], t[2], x, y), side_of(vert, t[2], t[0], x, y), side_of(vert, t[0], t[1], x, y)};
        bool up = w[0] > 0 && w[1] > 0 && w[2] > 0, down = w[0] < 0 && w[1] < 0 && w[2] < 0;
        if (!up && !down) continue;
        double at = (w[0] * vert[3 * (int64_t)t[0] + 2] + w[1] * vert[3 * (int64_t)t[1] + 2] + w[2] * vert[3 * (int64_t)t[2] + 2]) / (w[0] + w[1] + w[2]);
        if (at > z) winding += up ? 1 : -1;
    }
    return winding;
}

/* --- open meshes: solid angles (Van Oosterom and Strackee) ---------------------------------------------------------------------------------------- */

static double solid_angles(const float *vert, const int32_t *face, int64_t n_face, const float *point)
{
    double sum = 0;
    for (int64_t i = 0; i < n_face; i++) {
        double p[3][3], l[3], d[3];
        for (int c = 0; c < 3; c++) {
            for (int k = 0; k < 3; k++) p[c][k] = (double)vert[3 * (int64_t)face[3 * i + c] + k] - point[k];
            l[c] = sqrt(p[c][0] * p[c][0] + p[c][1] * p[c][1] + p[c][2] * p[c][2]);
        }
        for (int c = 0; c < 3; c++) {
            const double *a = p[c], *b = p[(c + 1) % 3];
            d[c] = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        }
        double det = 0;
        for (int k = 0; k < 3; k++) det += p[0][k] * (p[1][(k + 1) % 3] * p[2][(k + 2) % 3] - p[1][(k + 2) % 3] * p[2][(k + 1) % 3]);
        sum += 2 * atan2(det, l[0] * l[1] * l[2] + d[0] * l[2] + d[1] * l[0] + d[2] * l[1]);
    }
    return sum / (4 * M_PI);
}

typedef struct job {
    uint8_t *inside;
    const float *point, *vert;
    const int32_t *face, *same;
    int64_t n, n_face, undecided;
    const columns *columns; /* NULL: open */
} job;

static void job_item(void *ctx, int64_t item, int worker)
{
    (void)worker;
    job *j = ctx;
    int64_t undecided = 0;
    for (int64_t i = item * CHUNK; i < ch4_min_i64((item + 1) * CHUNK, j->n); i++) {
        double w = j->columns ? crossings(j->columns, j->vert, j->face, j->same, j->point + 3 * i) : solid_angles(j->vert, j->face, j->n_face, j->point + 3 * i);
        j->inside[i] = w > 0.5;
        undecided += fabs(w - 0.5) < 0.1;
    }
    __atomic_add_fetch(&j->undecided, undecided, __ATOMIC_RELAXED);
}

ch4_status ch4_compute_occupancy(uint8_t *inside, double *undecided, const float *point, int64_t n, const float *vert, int64_t n_vert, const int32_t *face,
                                 int64_t n_face, ch4_pool *pool, ch4_err *err)
{
    columns c = {0};
    bool closed = false;
    int32_t *same = NULL;
    ch4_status st = ch4_mesh_is_closed(&closed, vert, n_vert, face, n_face, err);
    if (!st && closed) st = build_columns(&c, vert, n_vert, face, n_face, err);
    if (!st) st = ch4_calloc(&same, (size_t)n_vert, sizeof(*same), "vertices", err);
    if (!st) st = ch4_mesh_compute_weld(same, NULL, vert, n_vert, err);
    job j = {inside, point, vert, face, same, n, n_face, 0, closed ? &c : NULL};
    if (!st) ch4_pool_run(pool, (n + CHUNK - 1) / CHUNK, job_item, &j);
    if (undecided) *undecided = n ? (double)j.undecided / (double)n : 0;
    free(same);
    free(c.begin);
    free(c.face);
    return st;
}
