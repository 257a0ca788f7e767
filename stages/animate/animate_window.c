#include "stages/animate/animate_window.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/geodesic.h"
#include "mesh/mesh.h"
#include "stages/animate/skinning.h"

ch4_animate_options ch4_animate_defaults(void)
{
    return (ch4_animate_options){
        .tracks = ch4_track_defaults(),
        .landmarks = ch4_smooth_defaults(1.5),
        .final = ch4_smooth_defaults(1.0),
        .k = 120,
        .beta = 1.5,
    };
}

static ch4_status check_input(const ch4_animate_input *in, const ch4_animate_options *opt, ch4_err *err)
{
    if (in->F < 1 || in->K < 0 || in->V < 0 || in->a < 0 || in->a >= in->F)
        return ch4_err_set(err, CH4_EINVAL, "%" PRId64 " frames, %" PRId64 " landmarks, anchor frame %" PRId64, in->F, in->K, in->a);
    if (opt->use_score && !in->score)
        return ch4_err_set(err, CH4_EINVAL, "confidence by score without scores");
    for (int64_t l = 0; l < in->K; l++)
        if (in->landmark[l] < 0 || in->landmark[l] >= in->V)
            return ch4_err_set(err, CH4_EINVAL, "landmark %" PRId64 " is vertex %" PRId32 " of %" PRId64, l, in->landmark[l], in->V);
    return CH4_OK;
}

static ch4_status result_alloc(ch4_animate_result *r, const ch4_animate_input *in, bool want_before_final, ch4_err *err)
{
    size_t F = (size_t)in->F, cells, field;
    ch4_status st = ch4_size_bytes(&cells, (int64_t[]){in->F, in->K}, 2, 1, err);
    if (st == CH4_OK)
        st = ch4_size_bytes(&field, (int64_t[]){in->F, in->V}, 2, 1, err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->vertices, field, 3 * sizeof *r->vertices, "animated vertices", err);
    if (st == CH4_OK && want_before_final)
        st = ch4_calloc(&r->before_final, field, 3 * sizeof *r->before_final, "animated vertices", err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->smoothed, cells, 3 * sizeof *r->smoothed, "smoothed landmarks", err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->median, F, sizeof *r->median, "landmark medians", err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->threshold, F, sizeof *r->threshold, "landmark thresholds", err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->valid, cells, 1, "valid landmarks", err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->kept, (size_t)in->K, 1, "kept landmarks", err);
    return st;
}

/* Landmarks on the anchor mesh, their validity and smoothed paths. */
static ch4_status process_tracks(ch4_animate_result *r, float *anchor, double D, const ch4_animate_input *in, const ch4_animate_options *opt,
                                 ch4_err *err)
{
    double *confidence = NULL, *weight = NULL;
    size_t cells = (size_t)(in->F * in->K);
    for (int64_t l = 0; l < in->K; l++)
        memcpy(anchor + 3 * l, in->vert + 3 * (int64_t)in->landmark[l], 3 * sizeof *anchor);
    ch4_status st = ch4_tracks_validate(r->valid, r->median, r->threshold, anchor, in->path, in->F, in->K, in->a, D, &opt->tracks, err);
    if (st == CH4_OK)
        st = ch4_tracks_select(r->kept, &r->relaxed, r->valid, in->F, in->K, &opt->tracks, err);
    if (st == CH4_OK)
        st = ch4_calloc(&weight, cells, sizeof *weight, "landmark weights", err);
    if (st == CH4_OK && opt->use_score)
        st = ch4_calloc(&confidence, cells, sizeof *confidence, "landmark confidence", err);
    if (st == CH4_OK && opt->use_score)
        st = ch4_tracks_normalise_scores(confidence, NULL, in->score, in->F, in->K, in->a, err);
    if (st == CH4_OK) {
        ch4_tracks_weigh(weight, r->valid, confidence, in->F, in->K);
        st = ch4_tracks_smooth(r->smoothed, anchor, in->path, weight, in->F, in->K, in->a, &opt->landmarks, err);
    }
    free(confidence);
    free(weight);
    return st;
}

/* The kept landmarks: vertices, anchor positions, smoothed positions. */
typedef struct kept_landmarks {
    int64_t n;
    int32_t *vertex;
    double *source, *target; /* [n,3], [F,n,3] */
} kept_landmarks;

static ch4_status gather_kept(kept_landmarks *k, const ch4_animate_result *r, const float *anchor, const ch4_animate_input *in, ch4_err *err)
{
    ch4_status st = ch4_calloc(&k->vertex, (size_t)in->K, sizeof *k->vertex, "kept landmarks", err);
    if (st == CH4_OK)
        st = ch4_calloc(&k->source, (size_t)in->K, 3 * sizeof *k->source, "kept landmarks", err);
    if (st == CH4_OK)
        st = ch4_calloc(&k->target, (size_t)(in->F * in->K), 3 * sizeof *k->target, "kept landmarks", err);
    if (st != CH4_OK)
        return st;
    for (int64_t l = 0; l < in->K; l++)
        k->n += r->kept[l];
    for (int64_t l = 0, i = 0; l < in->K; l++) {
        if (!r->kept[l])
            continue;
        k->vertex[i] = in->landmark[l];
        for (int c = 0; c < 3; c++)
            k->source[3 * i + c] = anchor[3 * l + c];
        for (int64_t f = 0; f < in->F; f++)
            memcpy(k->target + 3 * (f * k->n + i), r->smoothed + 3 * (f * in->K + l), 3 * sizeof *k->target);
        i++;
    }
    return CH4_OK;
}

static ch4_status skin(ch4_animate_result *r, const kept_landmarks *k, double D, const ch4_animate_input *in, const ch4_animate_options *opt,
                       ch4_pool *pool, ch4_err *err)
{
    ch4_geodesic_knn knn = {0};
    double *weight = NULL;
    size_t cells;
    ch4_status st = ch4_geodesic_knn_init(&knn, in->vert, in->graph, k->vertex, k->n, opt->k, pool, err);
    if (st == CH4_OK)
        st = ch4_size_bytes(&cells, (int64_t[]){in->V, opt->k}, 2, 1, err);
    if (st == CH4_OK)
        st = ch4_calloc(&weight, cells, sizeof *weight, "skinning weights", err);
    if (st == CH4_OK) {
        ch4_geodesic_compute_weights(weight, &knn, opt->beta * knn.mean_spacing, pool);
        ch4_skinning s = {.vert = in->vert, .V = in->V, .knn = &knn, .weight = weight, .source = k->source, .target = k->target,
                          .F = in->F, .a = in->a, .D = D, .final = opt->final};
        st = ch4_skinning_animate(r->vertices, r->before_final, r->rank, &s, pool, err);
        r->mean_spacing = knn.mean_spacing;
        for (int64_t v = 0; v < in->V; v++)
            r->n_fallback += knn.fallback[v];
    }
    free(weight);
    ch4_geodesic_knn_fini(&knn);
    return st;
}

ch4_status ch4_animate_window(ch4_animate_result *out, const ch4_animate_input *in, const ch4_animate_options *opt, bool want_before_final,
                              ch4_pool *pool, ch4_err *err)
{
    ch4_animate_result r = {0};
    kept_landmarks kept = {0};
    float *anchor = NULL;
    double D = ch4_mesh_diagonal(in->vert, in->V);
    memset(out, 0, sizeof *out);
    ch4_status st = check_input(in, opt, err);
    if (st == CH4_OK)
        st = result_alloc(&r, in, want_before_final, err);
    if (st == CH4_OK)
        st = ch4_calloc(&anchor, (size_t)in->K, 3 * sizeof *anchor, "landmarks", err);
    if (st == CH4_OK)
        st = process_tracks(&r, anchor, D, in, opt, err);
    if (st == CH4_OK)
        st = gather_kept(&kept, &r, anchor, in, err);
    if (st == CH4_OK)
        st = skin(&r, &kept, D, in, opt, pool, err);
    if (st == CH4_OK) {
        r.n_kept = kept.n;
        *out = r;
        r = (ch4_animate_result){0};
    }
    free(anchor);
    free(kept.vertex);
    free(kept.source);
    free(kept.target);
    ch4_animate_result_fini(&r);
    return st;
}

void ch4_animate_result_fini(ch4_animate_result *r)
{
    if (!r)
        return;
    free(r->vertices);
    free(r->before_final);
    free(r->smoothed);
    free(r->median);
    free(r->threshold);
    free(r->valid);
    free(r->kept);
    memset(r, 0, sizeof *r);
}
