#include "tools/calibrate/cal_search_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- every head alone ---------------------------------------------------------------------------------------------------------------------------- */

typedef struct ranking {
    ch4_cal_work *s;
    ch4_cal_slot *slot;
    int n_slots;
    ch4_cal_reading reading;
    int64_t done;
} ranking;

/* One clip's turn: the maps of a slot are scored while they are there. */
typedef struct turn {
    ranking *r;
    int64_t clip;
    int worker;
    const float *forward, *backward;
} turn;

static void get_turn(const void *ctx, int64_t e, const float **forward, const float **backward)
{
    const turn *t = ctx;
    int64_t N = t->r->s->clip[t->clip].N;
    *forward = t->forward + e * N * N, *backward = t->backward + e * N * N;
}

static ch4_status score_slot(void *ctx, int slot, const float *forward, const float *backward, ch4_err *err)
{
    turn *t = ctx;
    ch4_cal_work *s = t->r->s;
    ch4_status st = CH4_OK;
    t->forward = forward, t->backward = backward;
    const ch4_cal_maps maps = {get_turn, t};
    for (int way = 0; !st && way < CH4_CAL_WAYS; way++) {
        ch4_cal_single *single = &s->out->single[slot * CH4_CAL_WAYS + way];
        ch4_cal_reading reading = t->r->reading;
        reading.direction = (ch4_capture_direction)way;
        st = ch4_cal_error(&single->error[t->clip], &s->clip[t->clip], &maps, &reading, &s->model[t->worker], &s->scratch[t->worker], err);
        single->top1[t->clip] = ch4_cal_top1(&s->clip[t->clip], &maps, (ch4_capture_direction)way);
    }
    return st;
}

static void rank_clip(void *ctx, int64_t i, int worker)
{
    ranking *r = ctx;
    ch4_cal_work *s = r->s;
    turn t = {.r = r, .clip = i, .worker = worker};
    s->status[i] = ch4_cal_read(&s->clip[i], &s->model[worker], r->slot, r->n_slots, &(ch4_cal_taker){score_slot, &t}, &s->why[i]);
    ch4_cal_say(s, "heads alone: %lld of %lld clips", (long long)__atomic_add_fetch(&r->done, 1, __ATOMIC_RELAXED), (long long)s->out->n_clip);
}

static int by_error(const void *a, const void *b)
{
    const ch4_cal_single *x = a, *y = b;
    if (x->mean != y->mean) return x->mean < y->mean ? -1 : 1;
    if (x->step != y->step) return x->step - y->step;
    if (x->layer != y->layer) return x->layer - y->layer;
    return x->head != y->head ? x->head - y->head : (int)x->direction - (int)y->direction;
}

/* Slots of every head and of every layer, step by step, and the table's rows for them. */
static ch4_status list_heads(ranking *r, ch4_err *err)
{
    ch4_cal_work *s = r->s;
    const ch4_cal_model *m = &s->model[0];
    int layer[CH4_MAX_LAYERS], n_layer, same[CH4_CAPTURE_HEADS], all[CH4_CAPTURE_HEADS];
    ch4_cal_layers(layer, &n_layer, m);
    int n = m->plan.window.steps * n_layer * (m->heads + 1);
    ch4_status st = ch4_calloc(&r->slot, (size_t)n, sizeof(*r->slot), "heads", err);
    if (!st) st = ch4_calloc(&s->out->single, (size_t)n * CH4_CAL_WAYS, sizeof(*s->out->single), "heads", err);
    for (int i = 0; !st && i < n; i++, r->n_slots++) {
        int head = i % (m->heads + 1) - 1, l = layer[i / (m->heads + 1) % n_layer], step = i / (m->heads + 1) / n_layer;
        for (int h = 0; h < m->heads; h++) same[h] = l, all[h] = h;
        st = ch4_cal_slot_init(&r->slot[i], step, same, head < 0 ? all : &head, head < 0 ? m->heads : 1, err);
        for (int way = 0; !st && way < CH4_CAL_WAYS; way++) {
            ch4_cal_single *x = &s->out->single[s->out->n_single++];
            *x = (ch4_cal_single){.step = step, .layer = l, .head = head, .direction = (ch4_capture_direction)way};
            st = ch4_calloc(&x->error, (size_t)s->out->n_clip, sizeof(double), "scores", err);
            if (!st) st = ch4_calloc(&x->top1, (size_t)s->out->n_clip, sizeof(double), "scores", err);
        }
    }
    return st;
}

ch4_status ch4_cal_rank_heads(ch4_cal_work *s, ch4_err *err)
{
    ranking r = {.s = s, .reading = ch4_cal_reading_now(s)};
    double ignored;
    ch4_status st = list_heads(&r, err);
    if (!st) {
        ch4_pool_run(s->pool, s->out->n_clip, rank_clip, &r);
        st = ch4_cal_join(s, s->out->n_clip, err);
    }
    for (int64_t i = 0; !st && i < s->out->n_single; i++) {
        ch4_cal_single *x = &s->out->single[i];
        ch4_cal_mean(&x->mean, &x->se, x->error, 0, s->out->n_choosing);
        ch4_cal_mean(&x->mean_top1, &ignored, x->top1, 0, s->out->n_choosing);
    }
    if (!st) qsort(s->out->single, (size_t)s->out->n_single, sizeof(*s->out->single), by_error);
    for (int i = 0; i < r.n_slots; i++) ch4_cal_slot_fini(&r.slot[i]);
    free(r.slot);
    return st;
}

/* --- the short list ------------------------------------------------------------------------------------------------------------------------------ */

static bool listed(const ch4_cal_work *s, int step, int layer, int head)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slot[i].step == step && s->slot[i].layer[0] == layer && s->slot[i].head[0] == head) return true;
    return false;
}

int ch4_cal_listed_of_step(const ch4_cal_work *s, int step)
{
    int n = 0;
    for (int i = 0; i < s->n_slots; i++) n += s->slot[i].step == step;
    return n;
}

/* The best heads of the best steps, by their best direction; then one slot of what model.yaml says. */
static ch4_status make_list(ch4_cal_work *s, ch4_err *err)
{
    const ch4_capture_config *now = &s->model[0].plan.capture;
    int64_t room = s->options->shortlist * s->options->steps + 1;
    int steps = 0, n = 0, total = 0, *layer = NULL, *head = NULL;
    ch4_status st = ch4_calloc(&s->slot, (size_t)room, sizeof(*s->slot), "short list", err);
    for (int64_t i = 0; !st && i < s->out->n_single; i++) {
        const ch4_cal_single *x = &s->out->single[i];
        int of_step = ch4_cal_listed_of_step(s, x->step);
        if (x->head < 0 || of_step >= s->options->shortlist || (of_step == 0 && steps >= s->options->steps) || listed(s, x->step, x->layer, x->head)) continue;
        steps += of_step == 0;
        st = ch4_cal_slot_init(&s->slot[s->n_slots++], x->step, &x->layer, &x->head, 1, err);
    }
    for (int i = 0; i < now->n_layers; i++) total += now->layer[i].n_heads ? now->layer[i].n_heads : s->model[0].heads;
    if (!st) st = ch4_calloc(&layer, (size_t)total, sizeof(int), "heads", err);
    if (!st) st = ch4_calloc(&head, (size_t)total, sizeof(int), "heads", err);
    for (int i = 0; !st && i < now->n_layers; i++)
        for (int j = 0; j < (now->layer[i].n_heads ? now->layer[i].n_heads : s->model[0].heads); j++, n++)
            layer[n] = now->layer[i].layer, head[n] = now->layer[i].n_heads ? now->layer[i].head[j] : j;
    if (!st) st = ch4_cal_slot_init(&s->slot[s->n_slots++], ch4_cal_step_now(s), layer, head, total, err);
    free(layer);
    free(head);
    return st;
}

static void fill_clip(void *ctx, int64_t i, int worker)
{
    ch4_cal_work *s = ctx;
    s->status[i] = ch4_cal_store_fill(&s->store, i, &s->model[worker], s->slot, &s->why[i]);
}

ch4_status ch4_cal_fill_store(ch4_cal_work *s, ch4_err *err)
{
    ch4_status st = make_list(s, err);
    if (!st) st = ch4_cal_store_create(&s->store, s->clip, s->out->n_clip, s->n_slots, s->options->scratch, err);
    if (st) return st;
    s->out->map_bytes = s->store.bytes;
    ch4_cal_say(s, "sets of %d heads: %zu MiB of maps in %s", s->n_slots - 1, s->store.bytes >> 20, s->options->scratch);
    ch4_pool_run(s->pool, s->out->n_clip, fill_clip, s);
    return ch4_cal_join(s, s->out->n_clip, err);
}
