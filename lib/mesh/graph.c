#include "mesh/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/vec_impl.h"
#include "mesh/weld.h"

static int compare_i32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Rows hold about six entries; a vertex in the middle of a fan may have thousands. */
static void sort_row(int32_t *row, int64_t n)
{
    if (n > 32) {
        qsort(row, (size_t)n, sizeof *row, compare_i32);
        return;
    }
    for (int64_t i = 1; i < n; i++) {
        int32_t x = row[i];
        int64_t j = i;
        for (; j > 0 && row[j - 1] > x; j--)
            row[j] = row[j - 1];
        row[j] = x;
    }
}

/* Calls for the six directed edges of every face: pass 0 counts into offset[a + 1], pass 1 writes at cursor[a]. */
static void scatter_edges(const ch4_mesh_graph *g, const int32_t *face, int64_t n_face, int64_t *at, int32_t *neighbor)
{
    for (int64_t f = 0; f < n_face; f++)
        for (int k = 0; k < 3; k++) {
            int32_t a = g->rep[face[3 * f + k]], b = g->rep[face[3 * f + (k + 1) % 3]];
            if (a == b)
                continue;
            if (neighbor) {
                neighbor[at[a]++] = b;
                neighbor[at[b]++] = a;
            } else {
                at[a + 1]++;
                at[b + 1]++;
            }
        }
}

/* Sorts the rows, drops repeated entries and closes the gaps; offset becomes that of the compacted table. */
static int64_t compact_rows(int64_t *offset, int32_t *neighbor, int64_t n_vert)
{
    int64_t w = 0, begin = 0;
    for (int64_t v = 0; v < n_vert; v++) {
        int64_t end = offset[v + 1], row = w;
        sort_row(neighbor + begin, end - begin);
        for (int64_t i = begin; i < end; i++)
            if (w == row || neighbor[w - 1] != neighbor[i])
                neighbor[w++] = neighbor[i];
        offset[v + 1] = w;
        begin = end;
    }
    return w;
}

ch4_status ch4_mesh_graph_init(ch4_mesh_graph *out, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    ch4_mesh_graph g = {.n_vert = n_vert};
    int64_t *cursor = NULL;
    memset(out, 0, sizeof *out);
    ch4_status st = ch4_calloc(&g.rep, (size_t)n_vert, sizeof *g.rep, "mesh graph", err);
    if (st == CH4_OK)
        st = ch4_calloc(&g.offset, (size_t)n_vert + 1, sizeof *g.offset, "mesh graph", err);
    if (st == CH4_OK)
        st = ch4_calloc(&cursor, (size_t)n_vert + 1, sizeof *cursor, "mesh graph", err);
    if (st == CH4_OK)
        st = ch4_mesh_compute_weld(g.rep, NULL, vert, n_vert, err);
    if (st != CH4_OK)
        goto out;
    scatter_edges(&g, face, n_face, g.offset, NULL);
    for (int64_t v = 0; v < n_vert; v++)
        g.offset[v + 1] += g.offset[v];
    st = ch4_calloc(&g.neighbor, (size_t)g.offset[n_vert], sizeof *g.neighbor, "mesh graph", err);
    if (st != CH4_OK)
        goto out;
    memcpy(cursor, g.offset, (size_t)n_vert * sizeof *cursor);
    scatter_edges(&g, face, n_face, cursor, g.neighbor);
    int64_t n = compact_rows(g.offset, g.neighbor, n_vert);
    g.n_edge = n / 2;
    st = ch4_calloc(&g.length, (size_t)n, sizeof *g.length, "mesh graph", err);
    if (st != CH4_OK)
        goto out;
    for (int64_t v = 0; v < n_vert; v++)
        for (int64_t e = g.offset[v]; e < g.offset[v + 1]; e++)
            g.length[e] = v3_norm(v3_sub(v3_at(vert, g.neighbor[e]), v3_at(vert, v)));
    *out = g;
    g = (ch4_mesh_graph){0};
out:
    free(cursor);
    ch4_mesh_graph_fini(&g);
    return st;
}

void ch4_mesh_graph_fini(ch4_mesh_graph *g)
{
    if (!g)
        return;
    free(g->rep);
    free(g->offset);
    free(g->neighbor);
    free(g->length);
    memset(g, 0, sizeof *g);
}

int64_t ch4_mesh_graph_find(const ch4_mesh_graph *g, int32_t a, int32_t b)
{
    int64_t lo = g->offset[a], hi = g->offset[a + 1];
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (g->neighbor[mid] < b)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < g->offset[a + 1] && g->neighbor[lo] == b ? lo : -1;
}

ch4_status ch4_mesh_compute_components(int32_t *component, int64_t *n_component, const ch4_mesh_graph *g, ch4_err *err)
{
    int32_t *stack = NULL;
    ch4_status st = ch4_calloc(&stack, (size_t)g->n_vert, sizeof *stack, "mesh components", err);
    if (st != CH4_OK)
        return st;
    int32_t count = 0;
    for (int64_t v = 0; v < g->n_vert; v++)
        component[v] = -1;
    for (int64_t v = 0; v < g->n_vert; v++) {
        if (g->rep[v] != v || component[v] >= 0 || ch4_mesh_graph_unused(g, v))
            continue;
        int64_t top = 0;
        stack[top++] = (int32_t)v;
        component[v] = count;
        while (top > 0) {
            int32_t u = stack[--top];
            for (int64_t e = g->offset[u]; e < g->offset[u + 1]; e++) {
                int32_t w = g->neighbor[e];
                if (component[w] < 0) {
                    component[w] = count;
                    stack[top++] = w;
                }
            }
        }
        count++;
    }
    for (int64_t v = 0; v < g->n_vert; v++)
        component[v] = component[g->rep[v]];
    if (n_component)
        *n_component = count;
    free(stack);
    return CH4_OK;
}
