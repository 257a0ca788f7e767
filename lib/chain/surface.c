#include "chain/surface.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/clean.h"
#include "mesh/isosurface.h"
#include "mesh/sample.h"

static ch4_status field_at(void *ctx, float *value, const float *point, int64_t n, ch4_err *err)
{
    const ch4_surface_in *in = ctx;
    const ch4_surface_pulse *p = in->pulse;
    if (p && !p->beat(p->ctx, p->done, p->total))
        return ch4_err_set(err, CH4_ECANCELED, "canceled");
    return ch4_vae_query(in->vae, in->cache, value, NULL, point, n, NULL, err);
}

ch4_status ch4_surface_extract(ch4_mesh *out, int64_t *n_point, const ch4_surface_in *in, ch4_err *err)
{
    ch4_isosurface_options options = ch4_isosurface_defaults();
    ch4_isosurface_info info = {0};
    options.cells = in->cells;
    options.levels = 1;
    while (options.cells % 2 == 0 && options.cells >= 32) {
        options.cells /= 2;
        options.levels++;
    }
    options.band = in->band;
    options.inside = in->inside;
    ch4_status status = ch4_isosurface_extract(out, &info, field_at, (void *)in, &options, err);
    if (n_point)
        *n_point = info.n_point;
    return status;
}

ch4_status ch4_surface_probe(int *inside, double *share, ch4_vae *vae, const ch4_vae_cache *cache, ch4_err *err)
{
    enum { SIDE = 6, N = 8 + 6 * SIDE * SIDE };
    float point[3 * N], value[N];
    double half = ch4_isosurface_defaults().half;
    int positive = 0;
    for (int c = 0; c < 8; c++)
        for (int k = 0; k < 3; k++)
            point[3 * c + k] = (float)(c >> k & 1 ? half : -half);
    for (int i = 0; i < 6 * SIDE * SIDE; i++) {
        float *p = point + 3 * (8 + i);
        int face = i / (SIDE * SIDE), d = face / 2;
        p[d] = (float)(face & 1 ? half : -half);
        p[(d + 1) % 3] = (float)(half * ((2 * (i % SIDE) + 1) / (double)SIDE - 1));
        p[(d + 2) % 3] = (float)(half * ((2 * (i / SIDE % SIDE) + 1) / (double)SIDE - 1));
    }
    ch4_status status = ch4_vae_query(vae, cache, value, NULL, point, N, NULL, err);
    for (int i = 0; status == CH4_OK && i < N; i++) {
        if (!isfinite(value[i]))
            status = ch4_err_set(err, CH4_EFORMAT, "the field is %g at (%g, %g, %g)", (double)value[i], (double)point[3 * i], (double)point[3 * i + 1],
                                 (double)point[3 * i + 2]);
        positive += value[i] > 0;
    }
    *inside = 2 * positive > N ? -1 : 1;
    *share = (double)(*inside < 0 ? positive : N - positive) / N;
    return status;
}

/* A coarser extraction, of about `want` times as many faces, which go with the square of the resolution. False: there is none. */
static bool coarsen(ch4_surface_in *in, ch4_octree_options *octree, double want)
{
    enum { LEAST_CELLS = 8, LEAST_DEPTH = 4 };
    if (octree) {
        int next = octree->depth + (int)floor(log(want) / log(4));
        bool more = octree->depth > LEAST_DEPTH;
        octree->depth = next < LEAST_DEPTH ? LEAST_DEPTH : next;
        return more;
    }
    int64_t next = (int64_t)((double)in->cells * sqrt(want));
    bool more = in->cells > LEAST_CELLS;
    in->cells = ch4_max_i64(LEAST_CELLS, ch4_min_i64(next, in->cells - 1) & ~(int64_t)3);
    return more;
}

ch4_status ch4_surface_anchor(ch4_mesh *out, const ch4_surface_in *in, const ch4_octree_options *octree, double floaters, int64_t max_faces, ch4_err *err)
{
    ch4_surface_in at = *in;
    ch4_octree_options deep = octree ? *octree : ch4_octree_defaults();
    ch4_clean_options clean = ch4_clean_defaults();
    clean.floaters = floaters;
    deep.inside = in->inside;
    *out = (ch4_mesh){0};
    for (;;) {
        ch4_mesh raw = {0};
        ch4_mesh_fini(out);
        ch4_status status = octree ? ch4_octree_surface_extract(&raw, NULL, field_at, &at, &deep, err) : ch4_surface_extract(&raw, NULL, &at, err);
        if (status == CH4_OK)
            status = ch4_mesh_clean(out, NULL, raw.vert, raw.n_vert, raw.face, raw.n_face, &clean, err);
        ch4_mesh_fini(&raw);
        if (status)
            return status;
        if (out->n_face == 0)
            return ch4_err_set(err, CH4_EFORMAT, "the anchor's latent has no surface: no object was recognised in the anchor frame");
        if (max_faces <= 0 || out->n_face <= max_faces || !coarsen(&at, octree ? &deep : NULL, (double)max_faces / (double)out->n_face))
            return CH4_OK;
    }
}

/* Marks `most` of n evenly at random: Floyd's selection. */
static void choose(uint8_t *chosen, int64_t n, int64_t most, ch4_rng *rng)
{
    for (int64_t j = n - most; j < n; j++) {
        int64_t i = ch4_rng_below(rng, (uint32_t)(j + 1));
        chosen[chosen[i] ? j : i] = 1;
    }
}

ch4_status ch4_surface_candidates(float **points, int64_t *n, const ch4_mesh *surface, int64_t most, int64_t least, ch4_rng *rng,
                                  ch4_err *err)
{
    uint8_t *chosen = NULL;
    int64_t V = surface->n_vert, count = V > most ? most : V > 0 && V < least ? least : V, kept = 0;
    *points = NULL;
    *n = 0;
    ch4_status status = ch4_calloc(points, 3 * (size_t)count, sizeof **points, "candidate points", err);
    if (status == CH4_OK)
        status = ch4_calloc(&chosen, (size_t)V, 1, "candidate points", err);
    if (status)
        goto out;
    if (V > most)
        choose(chosen, V, most, rng);
    else
        memset(chosen, 1, (size_t)V);
    for (int64_t v = 0; v < V; v++)
        if (chosen[v])
            memcpy(*points + 3 * kept++, surface->vert + 3 * v, 3 * sizeof(float));
    if (kept < count)
        status = ch4_mesh_sample(*points + 3 * kept, NULL, NULL, NULL, count - kept, surface->vert, surface->face, surface->n_face, rng, err);
    *n = count;
out:
    free(chosen);
    if (status) {
        free(*points);
        *points = NULL;
        *n = 0;
    }
    return status;
}
