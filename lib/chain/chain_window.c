#include "chain/chain_window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/curvature.h"
#include "mesh/fps.h"
#include "chain/pairs.h"
#include "chain/patches.h"
#include "chain/surface.h"

enum { VERTEX_BLOCK = 4096 }; /* vertices of Eq. 7 that are held at once */

ch4_status ch4_chain_make_anchor(ch4_mesh *out, ch4_vae *vae, const float *z, int64_t N, const ch4_chain_options *options, const ch4_surface_pulse *pulse,
                                 ch4_err *err)
{
    ch4_vae_cache *cache = NULL;
    *out = (ch4_mesh){0};
    ch4_status status = ch4_vae_cache_create(&cache, vae, z, N, NULL, err);
    ch4_surface_in in = {vae, cache, options->anchor_cells, options->band, options->inside, pulse};
    double share;
    if (status == CH4_OK && !in.inside)
        status = ch4_surface_probe(&in.inside, &share, vae, cache, err);
    if (status == CH4_OK)
        status = ch4_surface_anchor(out, &in, options->octree ? &options->deep : NULL, options->floaters, options->max_faces, err);
    ch4_vae_cache_destroy(&cache);
    return status;
}

/* A latent of few tokens has no finer detail to show: with 64 tokens, 32, 48, 64 and 96 cells give the same errors to 1 %. */
int64_t ch4_chain_cells(const ch4_chain_options *options, int64_t N)
{
    return options->cells > 0 ? options->cells : N <= 128 ? 32 : N <= 1024 ? 64 : 126;
}

static ch4_status pick_landmarks(int32_t *index, int64_t *K, const ch4_mesh *mesh, const ch4_mesh_graph *graph, double alpha, ch4_err *err)
{
    double *curvature = NULL, *boost = NULL;
    ch4_status status = ch4_calloc(&curvature, (size_t)mesh->n_vert, sizeof *curvature, "curvature", err);
    if (status == CH4_OK)
        status = ch4_calloc(&boost, (size_t)mesh->n_vert, sizeof *boost, "curvature", err);
    if (status == CH4_OK)
        status = ch4_mesh_compute_curvature(curvature, boost, NULL, mesh->vert, mesh->face, mesh->n_face, graph, err);
    if (status == CH4_OK)
        status = ch4_fps_mesh(index, K, NULL, mesh->vert, graph, boost, alpha, *K, err);
    free(curvature);
    free(boost);
    return status;
}

ch4_status ch4_chain_landmarks(int32_t **index, int64_t *K, const ch4_mesh *mesh, const ch4_chain_options *options, ch4_err *err)
{
    ch4_mesh_graph graph = {0};
    bool all = options->landmarks == 0;
    *K = all ? mesh->n_vert : ch4_min_i64(options->landmarks, mesh->n_vert);
    ch4_status status = ch4_calloc(index, (size_t)*K, sizeof **index, "landmarks", err);
    if (status == CH4_OK)
        status = ch4_mesh_graph_init(&graph, mesh->vert, mesh->n_vert, mesh->face, mesh->n_face, err);
    if (status == CH4_OK && all) {
        *K = 0;
        for (int32_t v = 0; v < mesh->n_vert; v++) /* duplicates would be landmarks at distance 0 of each other */
            if (graph.rep[v] == v && !ch4_mesh_graph_unused(&graph, v))
                (*index)[(*K)++] = v;
    } else if (status == CH4_OK) {
        status = pick_landmarks(*index, K, mesh, &graph, options->curvature_boost, err);
    }
    if (status == CH4_OK && *K == 0)
        status = ch4_err_set(err, CH4_EFORMAT, "the anchor mesh has no edge: no landmarks");
    ch4_mesh_graph_fini(&graph);
    if (status) {
        free(*index);
        *index = NULL;
        *K = 0;
    }
    return status;
}

/* --- one window ------------------------------------------------------------------------------------------------------------ */

typedef struct window_work {
    const ch4_chain_in *in;
    const ch4_chain_options *options;
    ch4_chain_out *out;
    ch4_vae_cache *anchor_cache;
    int64_t N, K, P, D;
    float *rows, *mass_of, *transport;      /* [K,N] of the landmarks, [N], [K,N] */
    float *map, *w;                         /* [N,N] */
    float *patch_f32;                       /* [N,P] */
    int32_t *matched;                       /* [K] candidate of each landmark */
    float *anchor_patch, *frame_patch, *patch_scratch, *patch_score; /* [P,N] x3, [P,P] */
} window_work;

static ch4_status work_alloc(window_work *k, ch4_err *err)
{
    const struct {
        float **at;
        int64_t count;
    } arrays[] = {
        {&k->rows, k->K * k->N},          {&k->mass_of, k->N},
        {&k->transport, k->K * k->N},     {&k->map, k->N * k->N},
        {&k->w, k->N * k->N},             {&k->patch_f32, k->N * k->P},
        {&k->anchor_patch, k->P * k->N},  {&k->frame_patch, k->P * k->N},
        {&k->patch_scratch, k->P * k->N}, {&k->patch_score, k->P * ch4_max_i64(k->P, VERTEX_BLOCK)},
    };
    ch4_status status = CH4_OK;
    for (size_t i = 0; status == CH4_OK && i < sizeof arrays / sizeof arrays[0]; i++)
        status = ch4_calloc(arrays[i].at, (size_t)arrays[i].count, sizeof(float), "window of the chain", err);
    return status ? status : ch4_calloc(&k->matched, (size_t)k->K, sizeof *k->matched, "window of the chain", err);
}

static void work_free(window_work *k)
{
    ch4_vae_cache_destroy(&k->anchor_cache);
    free(k->matched);
    float *arrays[] = {k->rows, k->mass_of, k->transport, k->map, k->w, k->patch_f32, k->anchor_patch, k->frame_patch, k->patch_scratch, k->patch_score};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        free(arrays[i]);
}

static ch4_status out_alloc(ch4_chain_out *out, int64_t T, int64_t K, int64_t P, bool pairs, bool keep_surfaces, ch4_err *err)
{
    ch4_status s;
    if ((pairs && (s = ch4_calloc(&out->pair, (size_t)(T * K), sizeof *out->pair, "token pairs", err))) ||
        (s = ch4_calloc(&out->path, (size_t)(T * K * 3), sizeof(float), "paths", err)) ||
        (s = ch4_calloc(&out->score, (size_t)(T * K), sizeof(float), "paths", err)) ||
        (s = ch4_calloc(&out->patch_match, (size_t)(T * P), sizeof(int32_t), "patches", err)) ||
        (s = ch4_calloc(&out->patch_xy, (size_t)(T * P * 2), sizeof(float), "patches", err)) ||
        (s = ch4_calloc(&out->patch_score, (size_t)(T * P), sizeof(float), "patches", err)) ||
        (s = ch4_calloc(&out->vertex, (size_t)P, sizeof(int32_t), "patches", err)) ||
        (s = ch4_calloc(&out->vertex_score, (size_t)P, sizeof(float), "patches", err)))
        return s;
    if (keep_surfaces && (s = ch4_calloc(&out->mesh, (size_t)T, sizeof *out->mesh, "surfaces", err)))
        return s;
    out->n_mesh = keep_surfaces ? T : 0;
    return ch4_calloc(&out->count, (size_t)T, sizeof(int32_t), "surfaces", err);
}

void ch4_chain_out_fini(ch4_chain_out *out)
{
    free(out->path);
    free(out->score);
    free(out->patch_match);
    free(out->patch_xy);
    free(out->patch_score);
    free(out->vertex);
    free(out->vertex_score);
    free(out->count);
    free(out->surface);
    free(out->pair);
    for (int64_t f = 0; f < out->n_mesh; f++)
        ch4_mesh_fini(&out->mesh[f]);
    free(out->mesh);
    *out = (ch4_chain_out){0};
}

/* Positions of the landmarks on the anchor mesh, [K,3]. */
static void anchor_positions(const window_work *k, float *dst)
{
    for (int64_t i = 0; i < k->K; i++)
        memcpy(dst + 3 * i, k->in->mesh->vert + 3 * (int64_t)k->in->landmark[i], 3 * sizeof *dst);
}

/* Token-to-patch attention of a frame as [P,N]. */
static void read_patches(window_work *k, int64_t frame, float *b_t)
{
    const uint16_t *half = k->in->patch + frame * k->N * k->P;
    for (int64_t i = 0; i < k->N * k->P; i++)
        k->patch_f32[i] = ch4_f16_to_f32(half[i]);
    ch4_patch_rows(b_t, k->patch_f32, k->N, k->P, k->options->patch_normalize);
}

/* Eq. 7: the best anchor vertex of every anchor patch, in blocks of vertices. */
static ch4_status match_vertices(window_work *k, ch4_err *err)
{
    const ch4_mesh *mesh = k->in->mesh;
    float *rows = NULL;
    ch4_status status = ch4_calloc(&rows, VERTEX_BLOCK * (size_t)k->N, sizeof *rows, "vertex attention", err);
    for (int64_t p = 0; p < k->P; p++)
        k->out->vertex_score[p] = -INFINITY;
    for (int64_t v = 0; status == CH4_OK && v < mesh->n_vert; v += VERTEX_BLOCK) {
        int64_t n = ch4_min_i64(VERTEX_BLOCK, mesh->n_vert - v);
        status = ch4_vae_query(k->in->vae, k->anchor_cache, NULL, rows, mesh->vert + 3 * v, n, NULL, err);
        if (status == CH4_OK && k->options->rows == CH4_MATCH_UNIT)
            ch4_match_prepare_rows(rows, n, k->N, CH4_MATCH_UNIT);
        if (status == CH4_OK)
            status = ch4_patch_vertex_score(k->in->nn, k->patch_score, k->anchor_patch, rows, k->P, n, k->N, err);
        for (int64_t p = 0; status == CH4_OK && p < k->P; p++) {
            int64_t best = ch4_patch_argmax(k->patch_score + p * n, n, 1, NULL);
            if (k->patch_score[p * n + best] > k->out->vertex_score[p]) {
                k->out->vertex_score[p] = k->patch_score[p * n + best];
                k->out->vertex[p] = (int32_t)(v + best);
            }
        }
    }
    free(rows);
    return status;
}

/* Eq. 6 of one frame. */
static ch4_status match_patches(window_work *k, int64_t frame, ch4_err *err)
{
    ch4_chain_out *out = k->out;
    double patch_px = k->in->side / (double)k->in->grid;
    read_patches(k, frame, k->frame_patch);
    ch4_status status = ch4_patch_score(k->in->nn, k->patch_score, k->patch_scratch, k->anchor_patch, k->frame_patch, k->w, k->P, k->N, err);
    for (int64_t p = 0; status == CH4_OK && p < k->P; p++) {
        const float *score = k->patch_score + p * k->P;
        int64_t at = frame * k->P + p, best = ch4_patch_argmax(score, k->P, 1, NULL);
        out->patch_match[at] = (int32_t)best;
        out->patch_score[at] = score[best];
        ch4_patch_soft_argmax(out->patch_xy + 2 * at, score, k->in->grid, best, k->options->patch_radius, k->options->patch_temperature, patch_px);
    }
    return status;
}

/* An anchor patch is where it is. */
static void anchor_patches(window_work *k)
{
    int64_t a = k->in->anchor, g = k->in->grid;
    double px = k->in->side / (double)g;
    for (int64_t p = 0; p < k->P; p++) {
        k->out->patch_match[a * k->P + p] = (int32_t)p;
        k->out->patch_score[a * k->P + p] = 1;
        k->out->patch_xy[2 * (a * k->P + p)] = (float)(((double)(p % g) + 0.5) * px);
        k->out->patch_xy[2 * (a * k->P + p) + 1] = (float)(((double)(p / g) + 0.5) * px);
    }
}

/* Surface candidates of a frame, appended to the window's list; *points is the first of them. */
static ch4_status add_candidates(window_work *k, const ch4_vae_cache *cache, int64_t frame, const float **points, int64_t *n, ch4_err *err)
{
    ch4_mesh surface = {0};
    float *fresh = NULL;
    ch4_chain_out *out = k->out;
    const ch4_surface_pulse pulse = {k->in->progress, k->in->progress_ctx, frame, k->in->T};
    const ch4_surface_in in = {k->in->vae, cache, ch4_chain_cells(k->options, k->N), k->options->band, out->inside, k->in->progress ? &pulse : NULL};
    ch4_rng rng = ch4_rng_at(k->options->seed, (uint64_t)frame);
    ch4_status status = ch4_surface_extract(&surface, NULL, &in, err);
    if (status == CH4_OK)
        status = ch4_surface_candidates(&fresh, n, &surface, k->options->most, k->options->least, &rng, err);
    if (status == CH4_OK && out->mesh)
        out->mesh[frame] = surface;
    else
        ch4_mesh_fini(&surface);
    if (status)
        return status;
    float *all = realloc(out->surface, (size_t)(out->n_surface + *n + 1) * 3 * sizeof *all);
    if (!all) {
        free(fresh);
        return ch4_err_set(err, CH4_ENOMEM, "out of memory for %lld candidate points", (long long)(out->n_surface + *n));
    }
    memcpy(all + 3 * out->n_surface, fresh, (size_t)*n * 3 * sizeof *all);
    free(fresh);
    out->surface = all;
    *points = all + 3 * out->n_surface;
    out->n_surface += *n;
    out->count[frame] = (int32_t)*n;
    return CH4_OK;
}

/* Share of the model's attention that the landmarks' tokens spend on the frame. */
static void scale_by_mass(const window_work *k, float *score)
{
    for (int64_t i = 0; i < k->K; i++) {
        double mass = 0;
        for (int64_t t = 0; t < k->N; t++)
            mass += (double)k->rows[i * k->N + t] * k->mass_of[t];
        score[i] = (float)(score[i] * mass);
    }
}

static ch4_status find_pairs(const window_work *k, int64_t frame, const float *candidates, ch4_err *err)
{
    const ch4_pairs_in in = {.rows = k->rows, .w = k->w, .candidates = candidates, .best = k->matched, .score = k->out->score + frame * k->K,
                             .n_points = k->K, .n_tokens = k->N, .slot = (int32_t)frame, .share = k->options->pair_share};
    return k->options->pair_share > 0 ? ch4_pairs_find(k->out->pair, &k->out->n_pair, &in, err) : CH4_OK;
}

/* Eq. 2 to 4 of one frame. */
static ch4_status match_landmarks(window_work *k, const ch4_vae_cache *cache, int64_t frame, const float *points, int64_t n, ch4_err *err)
{
    float *candidates = NULL, *score = k->out->score + frame * k->K;
    ch4_status status = ch4_calloc(&candidates, (size_t)(n * k->N), sizeof *candidates, "candidate attention", err);
    if (status == CH4_OK && n > 0)
        status = ch4_vae_query(k->in->vae, cache, NULL, candidates, points, n, NULL, err);
    if (status == CH4_OK)
        status = ch4_match_transport(k->in->nn, k->transport, k->rows, k->w, k->K, k->N, err);
    if (status == CH4_OK) {
        ch4_match_prepare_rows(candidates, n, k->N, k->options->rows);
        const ch4_match_in in = {.transport = k->transport, .candidates = candidates, .points = points, .n_points = k->K, .n_candidates = n,
                                 .n_tokens = k->N, .k = k->options->k, .blend = k->options->blend, .matched = k->matched};
        status = ch4_match_points(k->in->nn, k->in->pool, k->out->path + 3 * frame * k->K, score, &in, err);
    }
    if (status == CH4_OK && k->options->score_mass)
        scale_by_mass(k, score);
    if (status == CH4_OK)
        status = find_pairs(k, frame, candidates, err);
    free(candidates);
    return status;
}

static ch4_status run_frame(window_work *k, int64_t frame, ch4_err *err)
{
    const ch4_chain_in *in = k->in;
    ch4_vae_cache *own = NULL;
    const ch4_vae_cache *cache = k->anchor_cache;
    const float *points = NULL;
    int64_t n = 0;
    ch4_status status = CH4_OK;
    if (frame != in->anchor) {
        status = ch4_vae_cache_create(&own, in->vae, in->latents + frame * k->N * k->D, k->N, NULL, err);
        cache = own;
    }
    if (status == CH4_OK)
        status = add_candidates(k, cache, frame, &points, &n, err);
    if (status == CH4_OK && frame != in->anchor) {
        ch4_map_reading reading = k->options->reading;
        reading.frame_to_anchor = in->frame_to_anchor;
        in->map(in->map_ctx, frame, k->map);
        ch4_map_prepare(k->w, k->mass_of, k->map, k->N, &reading);
        status = match_landmarks(k, cache, frame, points, n, err);
        if (status == CH4_OK && in->patch)
            status = match_patches(k, frame, err);
    }
    ch4_vae_cache_destroy(&own);
    return status ? ch4_err_wrap(err, status, "frame in slot %lld", (long long)frame) : CH4_OK;
}

ch4_status ch4_chain_run(ch4_chain_out *out, const ch4_chain_in *in, const ch4_chain_options *options, ch4_err *err)
{
    window_work k = {.in = in, .options = options, .out = out, .N = in->N, .K = in->K, .P = in->grid * in->grid,
                     .D = ch4_vae_get_config(in->vae)->latent_channels};
    *out = (ch4_chain_out){0};
    ch4_status status = out_alloc(out, in->T, k.K, k.P, options->pair_share > 0, options->keep_surfaces, err);
    if (status == CH4_OK)
        status = work_alloc(&k, err);
    if (status == CH4_OK)
        status = ch4_vae_cache_create(&k.anchor_cache, in->vae, in->latents + in->anchor * k.N * k.D, k.N, NULL, err);
    if (status == CH4_OK)
        status = ch4_surface_probe(&out->probed, &out->probe_share, in->vae, k.anchor_cache, err);
    if (status)
        goto out;
    out->inside = options->inside ? options->inside : out->probed;
    anchor_positions(&k, out->path + 3 * in->anchor * k.K);
    for (int64_t i = 0; i < k.K; i++)
        out->score[in->anchor * k.K + i] = 1;
    if (in->rows)
        memcpy(k.rows, in->rows, (size_t)(k.K * k.N) * sizeof *k.rows);
    else
        status = ch4_vae_query(in->vae, k.anchor_cache, NULL, k.rows, out->path + 3 * in->anchor * k.K, k.K, NULL, err);
    if (status)
        goto out;
    if (in->patch) {
        read_patches(&k, in->anchor, k.anchor_patch);
        anchor_patches(&k);
        status = match_vertices(&k, err);
    }
    for (int64_t f = 0; status == CH4_OK && f < in->T; f++) {
        status = run_frame(&k, f, err);
        if (status == CH4_OK && in->progress && !in->progress(in->progress_ctx, f + 1, in->T))
            status = ch4_err_set(err, CH4_ECANCELED, "canceled");
    }
    out->n_pair = ch4_token_pairs_merge(out->pair, out->n_pair);
out:
    work_free(&k);
    return status;
}
