#include "stages/animate/learned.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/mesh.h"
#include "model/embed.h"

static ch4_status result_alloc(ch4_animate_result *r, const ch4_animate_input *in, ch4_err *err)
{
    size_t F = (size_t)in->F, V = (size_t)in->V, K = (size_t)in->K;
    ch4_status st = ch4_calloc(&r->vertices, F * V, 3 * sizeof *r->vertices, "animated vertices", err);
    if (!st)
        st = ch4_calloc(&r->smoothed, F * K, 3 * sizeof *r->smoothed, "landmarks", err);
    if (!st)
        st = ch4_calloc(&r->valid, F * K, 1, "landmarks", err);
    return st ? st : ch4_calloc(&r->kept, K, 1, "landmarks", err);
}

/* query [V,6]: the vertices of the anchor mesh and their normals. */
static ch4_status make_query(float *query, const ch4_animate_input *in, bool inward, ch4_err *err)
{
    float *normal = NULL, sign = inward ? -1.0f : 1.0f;
    ch4_status st = ch4_calloc(&normal, (size_t)in->V, 3 * sizeof *normal, "vertex normals", err);
    if (!st)
        st = ch4_mesh_compute_angle_normals(normal, in->graph->rep, in->vert, in->V, in->face, in->n_face, err);
    for (int64_t v = 0; !st && v < in->V; v++)
        for (int k = 0; k < 3; k++) {
            query[6 * v + k] = in->vert[3 * v + k];
            query[6 * v + 3 + k] = sign * normal[3 * v + k];
        }
    free(normal);
    return st;
}

/* How far the work is; told after each block and chunk of vertices too, which at full size can take minutes on a processor. */
typedef struct pulse {
    const ch4_learned_options *options;
    int64_t done, total;
} pulse;

static ch4_status tell(const pulse *p, ch4_err *err)
{
    const ch4_learned_options *o = p->options;
    return o->progress && !o->progress(o->ctx, p->done, p->total) ? ch4_err_set(err, CH4_ECANCELED, "canceled") : CH4_OK;
}

static ch4_status on_event(void *ctx, ch4_nn *nn, const ch4_probe_event *event, ch4_err *err)
{
    (void)nn;
    return event->point == CH4_PROBE_BLOCK_OUT ? tell(ctx, err) : CH4_OK;
}

static ch4_status run_frames(float *vertices, ch4_temporal_decoder *dec, const ch4_animate_input *in, const float *query, const float *alpha,
                             const ch4_learned_options *o, ch4_err *err)
{
    ch4_temporal_mode mode = ch4_temporal_decoder_get_config(dec)->mode;
    pulse p = {.options = o, .total = in->F};
    const ch4_probe probe = {on_event, &p};
    ch4_status st = CH4_OK;
    for (int64_t f = 0; !st && f < in->F; f++) {
        float *out = vertices + 3 * f * in->V;
        if (f == in->a) {
            memcpy(out, in->vert, (size_t)in->V * 3 * sizeof *out);
        } else {
            st = ch4_temporal_decoder_target(dec, alpha[in->a], alpha[f], &probe, err);
            if (!st)
                st = ch4_temporal_decoder_query(dec, out, query, in->V, &probe, err);
            if (!st)
                ch4_temporal_decoder_apply(out, out, query, in->V, mode, 1.0f);
        }
        p.done = f + 1;
        if (!st)
            st = tell(&p, err);
    }
    return st;
}

static void place_landmarks(ch4_animate_result *r, const ch4_animate_input *in)
{
    for (int64_t f = 0; f < in->F; f++)
        for (int64_t l = 0; l < in->K; l++) {
            for (int k = 0; k < 3; k++)
                r->smoothed[3 * (f * in->K + l) + k] = r->vertices[3 * (f * in->V + in->landmark[l]) + k];
            r->valid[f * in->K + l] = 1;
        }
    memset(r->kept, 1, (size_t)in->K);
    r->n_kept = in->K;
}

ch4_status ch4_learned_window(ch4_animate_result *out, ch4_temporal_decoder *dec, const ch4_animate_input *in, const float *z, int64_t N, const int64_t *frame,
                              const ch4_learned_options *options, ch4_err *err)
{
    float *query = NULL, *time = NULL;
    *out = (ch4_animate_result){0};
    if (in->F < 1 || N < 1 || in->V < 0 || in->K < 0 || in->a < 0 || in->a >= in->F)
        return ch4_err_set(err, CH4_EINVAL, "learned animation: %" PRId64 " frames of %" PRId64 " tokens, anchor slot %" PRId64, in->F, N, in->a);
    ch4_status st = result_alloc(out, in, err);
    if (!st)
        st = ch4_calloc(&query, (size_t)in->V, 6 * sizeof *query, "vertices", err);
    if (!st)
        st = ch4_calloc(&time, (size_t)in->F, 2 * sizeof *time, "frame times", err);
    if (!st)
        st = make_query(query, in, options->inward, err);
    for (int64_t f = 0; !st && f < in->F; f++)
        time[f] = (float)frame[f];
    if (!st) {
        ch4_embed_alpha(time + in->F, time, in->F);
        st = ch4_temporal_decoder_begin(dec, z, time, in->F, N, err);
    }
    if (!st)
        st = run_frames(out->vertices, dec, in, query, time + in->F, options, err);
    if (!st)
        place_landmarks(out, in);
    free(query);
    free(time);
    return st;
}
