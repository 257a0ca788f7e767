#include "tools/calibrate/cal_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

ch4_status ch4_cal_slot_init(ch4_cal_slot *out, int step, const int *layer, const int *head, int n, ch4_err *err)
{
    *out = (ch4_cal_slot){.step = step, .n = n};
    ch4_status st = ch4_calloc(&out->layer, (size_t)n, sizeof(int), "heads", err);
    if (!st) st = ch4_calloc(&out->head, (size_t)n, sizeof(int), "heads", err);
    for (int i = 0; !st && i < n; i++) out->layer[i] = layer[i], out->head[i] = head[i];
    return st;
}

void ch4_cal_slot_fini(ch4_cal_slot *slot)
{
    free(slot->layer);
    free(slot->head);
    *slot = (ch4_cal_slot){0};
}

void ch4_cal_layers(int *layer, int *n, const ch4_cal_model *model)
{
    *n = 0;
    for (int i = 0; i < model->layers; i++)
        if (ch4_denoiser_get_config(model->denoiser)->inflated[i]) layer[(*n)++] = i;
}

typedef struct reading {
    const ch4_cal_clip *clip;
    ch4_cal_model *model;
    const ch4_cal_slot *slot;
    int n_slots, step, n_met; /* n_met: layers of slots met so far */
    const ch4_cal_taker *taker;
    ch4_space space;
    ch4_tensor block;          /* [1,N,N] of the backend */
    float *forward, *backward; /* [E,N,N] */
    ch4_probe probe;
} reading;

/* Rows and columns of [N,N] exchanged, in place. */
static void transpose(float *m, int64_t N)
{
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < i; j++) {
            float x = m[i * N + j];
            m[i * N + j] = m[j * N + i];
            m[j * N + i] = x;
        }
}

static ch4_status read_way(reading *r, float *out, const ch4_probe_event *e, ch4_capture_block b, ch4_err *err)
{
    int64_t N = r->model->N;
    ch4_status st = CH4_OK;
    for (int64_t i = 0; !st && i < r->clip->E; i++) {
        ch4_tensor host = CH4_F32(out + i * N * N, 1, N, N);
        b.first = r->clip->frame[i].slot;
        st = ch4_capture_read_block(r->model->nn, &r->block, e, &b, err);
        if (!st) st = r->model->nn->ops->download(r->model->nn, &host, &r->block, err);
        if (!st && b.direction == CH4_ANCHOR_TO_FRAME) transpose(out + i * N * N, N);
    }
    return st;
}

static ch4_status on_event(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    (void)nn;
    reading *r = ctx;
    ch4_status st = CH4_OK;
    if (e->point != CH4_PROBE_SELF) return CH4_OK;
    for (int s = 0; !st && s < r->n_slots; s++) {
        const ch4_cal_slot *slot = &r->slot[s];
        int begin = 0, end;
        if (slot->step != r->step) continue;
        while (begin < slot->n && slot->layer[begin] != e->layer) begin++;
        for (end = begin; end < slot->n && slot->layer[end] == e->layer;) end++;
        if (begin == end) continue;
        r->n_met += end - begin;
        const ch4_capture_block b = {.direction = CH4_FRAME_TO_ANCHOR, .count = 1, .heads = slot->head + begin, .n_heads = end - begin, .weight = 1.0f / (float)slot->n,
                                     .head_normalized = r->model->plan.capture.head_normalized};
        ch4_capture_block reversed = b;
        reversed.direction = CH4_ANCHOR_TO_FRAME;
        st = read_way(r, r->forward, e, b, err);
        if (!st) st = read_way(r, r->backward, e, reversed, err);
        if (!st) st = r->taker->take(r->taker->ctx, s, r->forward, r->backward, err);
    }
    return st;
}

static const ch4_probe *probe_of(void *ctx, int step, int branch)
{
    reading *r = ctx;
    bool conditional = branch == r->model->plan.window.n_branches - 1;
    r->step = step;
    return conditional == (r->model->plan.branch == CH4_MODEL_BRANCH_CONDITIONAL) ? &r->probe : NULL;
}

static ch4_status check(const reading *r, ch4_err *err)
{
    for (int s = 0; s < r->n_slots; s++)
        for (int i = 0; i < r->slot[s].n; i++)
            if (r->slot[s].head[i] < 0 || r->slot[s].head[i] >= r->model->heads || r->slot[s].layer[i] < 0 || r->slot[s].layer[i] >= r->model->layers ||
                r->slot[s].step < 0 || r->slot[s].step >= r->model->plan.window.steps)
                return ch4_err_set(err, CH4_EINVAL, "there is no step %d, layer %d, head %d: the model has %d, %d and %d", r->slot[s].step, r->slot[s].layer[i],
                                   r->slot[s].head[i], r->model->plan.window.steps, r->model->layers, r->model->heads);
    return CH4_OK;
}

static int wanted(const reading *r)
{
    int n = 0;
    for (int s = 0; s < r->n_slots; s++) n += r->slot[s].n;
    return n;
}

ch4_status ch4_cal_read(const ch4_cal_clip *c, ch4_cal_model *m, const ch4_cal_slot *slot, int n_slots, const ch4_cal_taker *taker, ch4_err *err)
{
    size_t map;
    float *latents = NULL;
    reading r = {.clip = c, .model = m, .slot = slot, .n_slots = n_slots, .taker = taker, .space = {.nn = m->nn}};
    r.probe = (ch4_probe){on_event, &r};
    const ch4_denoise_in in = {.T = c->T, .N = m->N, .d = m->d, .S = c->S, .context = c->context, .framestep = c->framestep, .known = c->known, .mask = c->mask,
                               .seed = m->plan.seed};
    ch4_status st = check(&r, err);
    if (!st) st = ch4_size_bytes(&map, (int64_t[]){c->E, m->N, m->N}, 3, 1, err);
    if (!st) st = ch4_calloc(&r.forward, map, sizeof(float), "attention", err);
    if (!st) st = ch4_calloc(&r.backward, map, sizeof(float), "attention", err);
    if (!st) st = ch4_calloc(&latents, (size_t)(c->T * m->N * m->d), sizeof(float), "latents", err);
    r.block = ch4_space_take(&r.space, CH4_SHAPE(1, m->N, m->N));
    if (!st) st = ch4_space_reserve(&r.space, err);
    if (!st) r.block = ch4_space_take(&r.space, CH4_SHAPE(1, m->N, m->N));
    if (!st) st = ch4_denoise_steps(latents, m->bundle, &m->plan, &in, &(ch4_denoise_watch){probe_of, &r}, err);
    if (!st && r.n_met != wanted(&r)) st = ch4_err_set(err, CH4_EINVAL, "%d of %d heads were met: a layer is named in two places of a slot", r.n_met, wanted(&r));
    ch4_space_free(&r.space);
    free(r.forward);
    free(r.backward);
    free(latents);
    return st;
}
