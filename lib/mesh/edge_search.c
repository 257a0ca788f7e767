#include "mesh/edge_search_impl.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"

static const double WAVE_EDGES = 2; /* width of a wave in mean edge lengths */

ch4_status edge_search_init(edge_search *s, const ch4_mesh_graph *g, double wave, ch4_err *err)
{
    *s = (edge_search){.g = g, .wave = wave};
    ch4_status st = ch4_calloc(&s->dist, (size_t)g->n_vert, sizeof *s->dist, "geodesics", err);
    if (st == CH4_OK)
        st = ch4_calloc(&s->touched, (size_t)g->n_vert, sizeof *s->touched, "geodesics", err);
    for (int64_t v = 0; st == CH4_OK && v < g->n_vert; v++)
        s->dist[v] = INFINITY;
    return st;
}

void edge_search_fini(edge_search *s)
{
    free(s->dist);
    free(s->touched);
    free(s->near);
    free(s->far);
}

double edge_search_wave(const ch4_mesh_graph *g)
{
    double sum = 0;
    for (int64_t e = 0; e < 2 * g->n_edge; e++)
        sum += g->length[e];
    return g->n_edge ? WAVE_EDGES * sum / (2 * (double)g->n_edge) : 1;
}

void edge_search_reset(edge_search *s)
{
    for (int64_t i = 0; i < s->n_touched; i++)
        s->dist[s->touched[i]] = INFINITY;
    s->n_touched = s->n_near = s->n_far = 0;
    s->horizon = 0;
}

static bool append(reached **list, int64_t *n, int64_t *room, double d, int32_t v)
{
    if (*n == *room) {
        int64_t more = *room ? 2 * *room : 1024;
        reached *p = realloc(*list, (size_t)more * sizeof *p);
        if (!p)
            return false;
        *list = p;
        *room = more;
    }
    (*list)[(*n)++] = (reached){d, v};
    return true;
}

static inline bool reach(edge_search *s, double d, int32_t v)
{
    if (s->dist[v] == INFINITY)
        s->touched[s->n_touched++] = v;
    s->dist[v] = d;
    return d < s->horizon ? append(&s->near, &s->n_near, &s->near_room, d, v) : append(&s->far, &s->n_far, &s->far_room, d, v);
}

bool edge_search_start(edge_search *s, double d, int32_t v)
{
    return d >= s->dist[v] || reach(s, d, v);
}

/* Moves the horizon past the nearest waiting vertex and what now lies before it to near. */
static bool advance(edge_search *s)
{
    double nearest = INFINITY;
    int64_t kept = 0;
    for (int64_t i = 0; i < s->n_far; i++) {
        reached r = s->far[i];
        if (r.d != s->dist[r.v])
            continue;
        s->far[kept++] = r;
        nearest = fmin(nearest, r.d);
    }
    s->n_far = kept;
    if (kept == 0)
        return false;
    s->horizon = fmax(nearest + s->wave, nextafter(nearest, INFINITY));
    return true;
}

bool edge_search_wave_on(edge_search *s, const double *limit, bool *more)
{
    const ch4_mesh_graph *g = s->g;
    *more = advance(s);
    int64_t kept = 0;
    s->n_near = 0;
    for (int64_t i = 0; i < s->n_far; i++) {
        reached r = s->far[i];
        if (r.d >= s->horizon)
            s->far[kept++] = r;
        else if (!append(&s->near, &s->n_near, &s->near_room, r.d, r.v))
            return false;
    }
    s->n_far = kept;
    for (int64_t i = 0; i < s->n_near; i++) {
        reached r = s->near[i];
        if (r.d != s->dist[r.v])
            continue;
        for (int64_t e = g->offset[r.v]; e < g->offset[r.v + 1]; e++) {
            int32_t u = g->neighbor[e];
            double d = r.d + g->length[e];
            if (d < s->dist[u] && (!limit || d < limit[u]) && !reach(s, d, u))
                return false;
        }
    }
    return true;
}

bool edge_search_run(edge_search *s, const double *limit)
{
    bool more = true, ok = true;
    while (ok && more)
        ok = edge_search_wave_on(s, limit, &more);
    return ok;
}
