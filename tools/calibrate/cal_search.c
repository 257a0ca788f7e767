#include "tools/calibrate/cal_search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* --- numbers -------------------------------------------------------------------------------------------------------------------------------- */

void ch4_cal_mean(double *mean, double *se, const double *x, int64_t first, int64_t n)
{
    double sum = 0, square = 0;
    *mean = *se = (double)NAN;
    if (n < 1) return;
    for (int64_t i = 0; i < n; i++) sum += x[first + i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[first + i] - *mean) * (x[first + i] - *mean);
    if (n > 1) *se = sqrt(square / (double)(n - 1) / (double)n);
}

bool ch4_cal_better(const double *a, const double *b, int64_t n, double accept)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++) mean += (a[i] - b[i]) / (double)n;
    for (int64_t i = 0; i < n; i++) square += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
    return n > 1 && mean > accept * sqrt(square / (double)(n - 1) / (double)n);
}

/* --- what all parts of the search share ------------------------------------------------------------------------------------------------------- */

typedef struct search {
    ch4_cal_result *out;
    const ch4_cal_options *options;
    ch4_pool *pool;
    int jobs;
    ch4_cal_model *model;     /* [jobs] */
    ch4_cal_scratch *scratch; /* [jobs] */
    ch4_cal_clip *clip;       /* [n_clip] */
    ch4_status *status;       /* [n] of a parallel loop, first error in order of clips wins */
    ch4_err *why;             /* [n] */
    ch4_cal_store store;
    ch4_cal_slot *slot;       /* of the store; the last one is what model.yaml says */
    int n_slots;
} search;

static void say(const search *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(const search *s, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (s->options->quiet) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "calibrate: %s\n", text);
}

/* The first clip's error, if any. */
static ch4_status join(const search *s, int64_t n, ch4_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (s->status[i]) return ch4_err_set(err, s->status[i], "%s: %s", s->clip[i].name, s->why[i].msg);
    return CH4_OK;
}

static ch4_cal_reading reading_now(const search *s)
{
    const ch4_cal_model *m = &s->model[0];
    return (ch4_cal_reading){.direction = m->plan.capture.direction, .sinkhorn = m->chain.reading.sinkhorn, .power = m->chain.reading.power,
                             .unit_norm = m->chain.rows == CH4_MATCH_UNIT, .topk = m->chain.k, .temperature = m->chain.blend.temperature};
}

static int step_now(const search *s)
{
    int step = 0;
    while (!s->model[0].plan.read_step[step]) step++;
    return step;
}

/* --- every head alone ---------------------------------------------------------------------------------------------------------------------------- */

typedef struct ranking {
    search *s;
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
    search *s = t->r->s;
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
    search *s = r->s;
    turn t = {.r = r, .clip = i, .worker = worker};
    s->status[i] = ch4_cal_read(&s->clip[i], &s->model[worker], r->slot, r->n_slots, &(ch4_cal_taker){score_slot, &t}, &s->why[i]);
    say(s, "heads alone: %lld of %lld clips", (long long)__atomic_add_fetch(&r->done, 1, __ATOMIC_RELAXED), (long long)s->out->n_clip);
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
    search *s = r->s;
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

static ch4_status rank_heads(search *s, ch4_err *err)
{
    ranking r = {.s = s, .reading = reading_now(s)};
    double ignored;
    ch4_status st = list_heads(&r, err);
    if (!st) {
        ch4_pool_run(s->pool, s->out->n_clip, rank_clip, &r);
        st = join(s, s->out->n_clip, err);
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

static bool listed(const search *s, int step, int layer, int head)
{
    for (int i = 0; i < s->n_slots; i++)
        if (s->slot[i].step == step && s->slot[i].layer[0] == layer && s->slot[i].head[0] == head) return true;
    return false;
}

static int listed_of_step(const search *s, int step)
{
    int n = 0;
    for (int i = 0; i < s->n_slots; i++) n += s->slot[i].step == step;
    return n;
}

/* The best heads of the best steps, by their best direction; then one slot of what model.yaml says. */
static ch4_status make_list(search *s, ch4_err *err)
{
    const ch4_capture_config *now = &s->model[0].plan.capture;
    int64_t room = s->options->shortlist * s->options->steps + 1;
    int steps = 0, n = 0, total = 0, *layer = NULL, *head = NULL;
    ch4_status st = ch4_calloc(&s->slot, (size_t)room, sizeof(*s->slot), "short list", err);
    for (int64_t i = 0; !st && i < s->out->n_single; i++) {
        const ch4_cal_single *x = &s->out->single[i];
        int of_step = listed_of_step(s, x->step);
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
    if (!st) st = ch4_cal_slot_init(&s->slot[s->n_slots++], step_now(s), layer, head, total, err);
    free(layer);
    free(head);
    return st;
}

static void fill_clip(void *ctx, int64_t i, int worker)
{
    search *s = ctx;
    s->status[i] = ch4_cal_store_fill(&s->store, i, &s->model[worker], s->slot, &s->why[i]);
}

static ch4_status fill_store(search *s, ch4_err *err)
{
    ch4_status st = make_list(s, err);
    if (!st) st = ch4_cal_store_create(&s->store, s->clip, s->out->n_clip, s->n_slots, s->options->scratch, err);
    if (st) return st;
    s->out->map_bytes = s->store.bytes;
    say(s, "sets of %d heads: %zu MiB of maps in %s", s->n_slots - 1, s->store.bytes >> 20, s->options->scratch);
    ch4_pool_run(s->pool, s->out->n_clip, fill_clip, s);
    return join(s, s->out->n_clip, err);
}

/* --- choices of the short list -------------------------------------------------------------------------------------------------------------------- */

typedef struct trial {
    search *s;
    const int *slot; /* [n] */
    int n;
    ch4_cal_reading reading;
    double *error;   /* [n_clip] */
} trial;

static void try_clip(void *ctx, int64_t i, int worker)
{
    const trial *t = ctx;
    search *s = t->s;
    const ch4_cal_clip *c = &s->clip[i];
    ch4_cal_mean_maps mean = {.store = &s->store, .clip = i, .N = c->N, .E = c->E, .slot = t->slot, .n = t->n};
    s->status[i] = ch4_calloc(&mean.forward, (size_t)(c->N * c->N), sizeof(float), "maps", &s->why[i]);
    if (!s->status[i]) s->status[i] = ch4_calloc(&mean.backward, (size_t)(c->N * c->N), sizeof(float), "maps", &s->why[i]);
    if (!s->status[i])
        s->status[i] = ch4_cal_error(&t->error[i], c, &(ch4_cal_maps){ch4_cal_get_mean, &mean}, &t->reading, &s->model[worker], &s->scratch[worker], &s->why[i]);
    free(mean.forward);
    free(mean.backward);
}

static ch4_status try_set(search *s, double *error, const int *slot, int n, const ch4_cal_reading *reading, ch4_err *err)
{
    trial t = {s, slot, n, *reading, error};
    ch4_pool_run(s->pool, s->out->n_clip, try_clip, &t);
    return join(s, s->out->n_clip, err);
}

/* A set while it grows. */
typedef struct growing {
    int slot[CH4_CAL_MOST], n;
    ch4_cal_reading reading;
    double *error; /* [n_clip] */
    double mean;
} growing;

static double choosing_mean(const search *s, const double *error)
{
    double mean, se;
    ch4_cal_mean(&mean, &se, error, 0, s->out->n_choosing);
    return mean;
}

static bool holds(const growing *g, int slot)
{
    for (int i = 0; i < g->n; i++)
        if (g->slot[i] == slot) return true;
    return false;
}

/* Adds the head that helps most; *grown tells whether one did by more than noise. */
static ch4_status grow_once(search *s, growing *g, int step, bool *grown, ch4_err *err)
{
    int64_t n = s->out->n_clip;
    int winner = -1;
    double *x = NULL, *top = NULL, best = g->n ? g->mean : INFINITY;
    ch4_status st = ch4_calloc(&x, (size_t)n, sizeof(double), "scores", err);
    if (!st) st = ch4_calloc(&top, (size_t)n, sizeof(double), "scores", err);
    for (int i = 0; !st && i < s->n_slots - 1; i++) {
        if (s->slot[i].step != step || holds(g, i)) continue;
        g->slot[g->n] = i;
        st = try_set(s, x, g->slot, g->n + 1, &g->reading, err);
        if (st || choosing_mean(s, x) >= best) continue;
        best = choosing_mean(s, x), winner = i;
        memcpy(top, x, (size_t)n * sizeof(double));
    }
    *grown = !st && winner >= 0 && (g->n == 0 || ch4_cal_better(g->error, top, s->out->n_choosing, s->options->accept));
    if (*grown) {
        g->slot[g->n++] = winner;
        g->mean = best;
        memcpy(g->error, top, (size_t)n * sizeof(double));
    }
    free(x);
    free(top);
    return st;
}

/* The best set of each listed step and direction; the best of these. */
static ch4_status grow_sets(search *s, growing *best, ch4_err *err)
{
    ch4_status st = CH4_OK;
    double *error = NULL;
    best->mean = INFINITY;
    st = ch4_calloc(&error, (size_t)s->out->n_clip, sizeof(double), "scores", err);
    for (int step = 0; !st && step < s->model[0].plan.window.steps; step++)
        for (int way = 0; !st && way < CH4_CAL_WAYS && listed_of_step(s, step) > (s->slot[s->n_slots - 1].step == step); way++) {
            growing g = {.reading = reading_now(s), .error = error};
            bool grown = true;
            g.reading.direction = (ch4_capture_direction)way;
            while (!st && grown && g.n < s->options->most) st = grow_once(s, &g, step, &grown, err);
            if (st || g.mean >= best->mean) continue;
            double *keep = best->error;
            *best = g;
            best->error = keep;
            memcpy(keep, error, (size_t)s->out->n_clip * sizeof(double));
        }
    free(error);
    return st;
}

/* --- how the mean is read ---------------------------------------------------------------------------------------------------------------------------- */

static const double TRY_SINKHORN[] = {0, 1, 2, 3, 4, 6, 8, 12}, TRY_POWER[] = {0.5, 0.75, 1, 1.5, 2, 3}, TRY_UNIT[] = {0, 1}, TRY_TOPK[] = {1, 4, 8, 16, 32, 64, 128},
                    TRY_TEMPERATURE[] = {0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.4};

enum { N_KNOBS = 5 };
static const struct {
    const char *name;
    const double *value;
    int n;
} KNOB[N_KNOBS] = {{"sinkhorn", TRY_SINKHORN, 8}, {"power", TRY_POWER, 6}, {"unit_norm", TRY_UNIT, 2}, {"topk", TRY_TOPK, 7}, {"temperature", TRY_TEMPERATURE, 8}};

static void turn_knob(ch4_cal_reading *r, int knob, double x)
{
    if (knob == 0) r->sinkhorn = (int64_t)x;
    else if (knob == 1) r->power = x;
    else if (knob == 2) r->unit_norm = x != 0;
    else if (knob == 3) r->topk = (int64_t)x;
    else r->temperature = x;
}

/* The best value of one knob, taken if it is better than the present one by more than noise. */
static ch4_status tune_knob(search *s, growing *g, int knob, bool *changed, ch4_err *err)
{
    int64_t n = s->out->n_clip;
    double *x = NULL, *top = NULL, best = g->mean;
    ch4_cal_reading winner = g->reading;
    ch4_status st = ch4_calloc(&x, (size_t)n, sizeof(double), "scores", err);
    if (!st) st = ch4_calloc(&top, (size_t)n, sizeof(double), "scores", err);
    for (int i = 0; !st && i < KNOB[knob].n; i++) {
        ch4_cal_reading r = g->reading;
        turn_knob(&r, knob, KNOB[knob].value[i]);
        st = try_set(s, x, g->slot, g->n, &r, err);
        if (st || choosing_mean(s, x) >= best) continue;
        best = choosing_mean(s, x), winner = r;
        memcpy(top, x, (size_t)n * sizeof(double));
    }
    if (!st && best < g->mean && ch4_cal_better(g->error, top, s->out->n_choosing, s->options->accept)) {
        say(s, "%s: %.4f to %.4f", KNOB[knob].name, g->mean, best);
        g->mean = best, g->reading = winner, *changed = true;
        memcpy(g->error, top, (size_t)n * sizeof(double));
    }
    free(x);
    free(top);
    return st;
}

static ch4_status tune(search *s, growing *g, ch4_err *err)
{
    bool changed = true;
    ch4_status st = CH4_OK;
    for (int round = 0; !st && changed && round < 3; round++) {
        changed = false;
        for (int k = 0; !st && k < N_KNOBS; k++) st = tune_knob(s, g, k, &changed, err);
    }
    return st;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------------------------------ */

/* Statistics of a choice; the error array passes to it. */
static void conclude(const search *s, ch4_cal_choice *c, const int *slot, int n, const ch4_cal_reading *reading, double *error)
{
    const ch4_cal_result *r = s->out;
    *c = (ch4_cal_choice){.step = s->slot[slot[0]].step, .reading = *reading, .error = error};
    for (int i = 0; i < n; i++)
        for (int j = 0; j < s->slot[slot[i]].n && c->n < CH4_CAL_MOST; j++, c->n++)
            c->layer[c->n] = s->slot[slot[i]].layer[j], c->head[c->n] = s->slot[slot[i]].head[j];
    if (n == 1 && s->slot[slot[0]].n > CH4_CAL_MOST) c->n = 0;
    ch4_cal_mean(&c->mean, &c->se, error, 0, r->n_choosing);
    ch4_cal_mean(&c->held, &c->held_se, error, r->n_choosing, r->n_clip - r->n_choosing);
}

static ch4_status choose(search *s, ch4_err *err)
{
    growing g = {0};
    double *now = NULL;
    const ch4_cal_reading reading = reading_now(s);
    int last = s->n_slots - 1;
    ch4_status st = ch4_calloc(&g.error, (size_t)s->out->n_clip, sizeof(double), "scores", err);
    if (!st) st = ch4_calloc(&now, (size_t)s->out->n_clip, sizeof(double), "scores", err);
    if (!st) st = try_set(s, now, &last, 1, &reading, err);
    if (!st) st = grow_sets(s, &g, err);
    if (!st) say(s, "best set: %d heads of step %d, error %.4f", g.n, s->slot[g.slot[0]].step, g.mean);
    if (!st) st = tune(s, &g, err);
    if (st) {
        free(g.error);
        free(now);
        return st;
    }
    s->out->better = ch4_cal_better(now, g.error, s->out->n_choosing, s->options->accept);
    conclude(s, &s->out->now, &last, 1, &reading, now);
    conclude(s, &s->out->best, g.slot, g.n, &g.reading, g.error);
    return CH4_OK;
}

typedef struct opening {
    search *s;
    const char *const *name, *const *folder;
    int64_t done, n;
} opening;

static void open_clip(void *ctx, int64_t i, int worker)
{
    opening *o = ctx;
    search *s = o->s;
    s->status[i] = ch4_cal_clip_open(&s->clip[i], o->name[i], o->folder[i], &s->model[worker], &s->options->clip, &s->why[i]);
    say(s, "surfaces: %lld of %lld clips", (long long)__atomic_add_fetch(&o->done, 1, __ATOMIC_RELAXED), (long long)o->n);
}

/* Opens the clips; those that cannot be are told and left out. */
static ch4_status open_clips(search *s, const char *const *name, const char *const *folder, int64_t n, ch4_err *err)
{
    ch4_cal_result *r = s->out;
    opening o = {s, name, folder, 0, n};
    ch4_pool_run(s->pool, n, open_clip, &o);
    for (int64_t i = 0; i < n; i++) {
        if (s->status[i]) {
            fprintf(stderr, "calibrate: %s left out: %s\n", name[i], s->why[i].msg);
            ch4_cal_clip_fini(&s->clip[i]);
            r->n_failed++;
            continue;
        }
        if (r->n_clip < i) s->clip[r->n_clip] = s->clip[i], s->clip[i] = (ch4_cal_clip){0};
        const ch4_cal_clip *c = &s->clip[r->n_clip];
        r->clip[r->n_clip] = name[i], r->still[r->n_clip] = c->still, r->nearest[r->n_clip] = c->nearest;
        r->clip_bytes += ch4_cal_clip_bytes(c);
        r->n_clip++;
    }
    r->n_choosing = r->n_clip - s->options->holdout;
    if (r->n_choosing < 2) return ch4_err_set(err, CH4_EFORMAT, "%lld of %lld clips are left to choose by; two or more are needed", (long long)ch4_max_i64(0, r->n_choosing), (long long)n);
    return CH4_OK;
}

static ch4_status allocate(search *s, int64_t n, ch4_err *err)
{
    ch4_cal_result *r = s->out;
    ch4_status st = ch4_pool_create(&s->pool, s->jobs, err);
    if (!st) st = ch4_calloc(&s->model, (size_t)s->jobs, sizeof(*s->model), "models", err);
    if (!st) st = ch4_calloc(&s->scratch, (size_t)s->jobs, sizeof(*s->scratch), "models", err);
    if (!st) st = ch4_calloc(&s->clip, (size_t)n, sizeof(*s->clip), "clips", err);
    if (!st) st = ch4_calloc(&s->status, (size_t)n, sizeof(*s->status), "clips", err);
    if (!st) st = ch4_calloc(&s->why, (size_t)n, sizeof(*s->why), "clips", err);
    if (!st) st = ch4_calloc(&r->clip, (size_t)n, sizeof(*r->clip), "clips", err);
    if (!st) st = ch4_calloc(&r->still, (size_t)n, sizeof(double), "clips", err);
    return st ? st : ch4_calloc(&r->nearest, (size_t)n, sizeof(double), "clips", err);
}

static void release(search *s, int64_t n)
{
    for (int64_t i = 0; s->clip && i < n; i++) ch4_cal_clip_fini(&s->clip[i]);
    for (int i = 0; i < s->jobs; i++) {
        if (s->model) ch4_cal_model_close(&s->model[i]);
        if (s->scratch) ch4_cal_scratch_fini(&s->scratch[i]);
    }
    for (int i = 0; s->slot && i < s->n_slots; i++) ch4_cal_slot_fini(&s->slot[i]);
    ch4_cal_store_destroy(&s->store);
    free(s->slot);
    free(s->model);
    free(s->scratch);
    free(s->clip);
    free(s->status);
    free(s->why);
    ch4_pool_destroy(&s->pool);
}

ch4_status ch4_cal_search(ch4_cal_result *out, const char *const *name, const char *const *folder, int64_t n, const ch4_config *config, int jobs,
                          const ch4_cal_options *options, ch4_err *err)
{
    *out = (ch4_cal_result){0};
    search s = {.out = out, .options = options, .jobs = jobs};
    ch4_status st = allocate(&s, n, err);
    for (int i = 0; !st && i < jobs; i++) st = ch4_cal_model_open(&s.model[i], config, 1, err);
    if (!st) st = open_clips(&s, name, folder, n, err);
    if (!st) out->steps = s.model[0].plan.window.steps;
    if (!st) out->identity = s.model[0].plan.noise != CH4_MODEL_NOISE_INDEPENDENT;
    if (!st) st = rank_heads(&s, err);
    if (!st) st = fill_store(&s, err);
    if (!st) st = choose(&s, err);
    release(&s, n);
    return st;
}

void ch4_cal_result_fini(ch4_cal_result *r)
{
    for (int64_t i = 0; i < r->n_single; i++) {
        free(r->single[i].error);
        free(r->single[i].top1);
    }
    free(r->single);
    free(r->clip);
    free(r->still);
    free(r->nearest);
    free(r->now.error);
    free(r->best.error);
    *r = (ch4_cal_result){0};
}
