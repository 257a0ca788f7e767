#include "tools/calibrate/cal_search_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- choices of the short list -------------------------------------------------------------------------------------------------------------------- */

typedef struct trial {
    ch4_cal_work *s;
    const int *slot; /* [n] */
    int n;
    ch4_cal_reading reading;
    double *error;   /* [n_clip] */
} trial;

static void try_clip(void *ctx, int64_t i, int worker)
{
    const trial *t = ctx;
    ch4_cal_work *s = t->s;
    const ch4_cal_clip *c = &s->clip[i];
    ch4_cal_mean_maps mean = {.store = &s->store, .clip = i, .N = c->N, .E = c->E, .slot = t->slot, .n = t->n};
    s->status[i] = ch4_calloc(&mean.forward, (size_t)(c->N * c->N), sizeof(float), "maps", &s->why[i]);
    if (!s->status[i]) s->status[i] = ch4_calloc(&mean.backward, (size_t)(c->N * c->N), sizeof(float), "maps", &s->why[i]);
    if (!s->status[i])
        s->status[i] = ch4_cal_error(&t->error[i], c, &(ch4_cal_maps){ch4_cal_get_mean, &mean}, &t->reading, &s->model[worker], &s->scratch[worker], &s->why[i]);
    free(mean.forward);
    free(mean.backward);
}

static ch4_status try_set(ch4_cal_work *s, double *error, const int *slot, int n, const ch4_cal_reading *reading, ch4_err *err)
{
    trial t = {s, slot, n, *reading, error};
    ch4_pool_run(s->pool, s->out->n_clip, try_clip, &t);
    return ch4_cal_join(s, s->out->n_clip, err);
}

/* A set while it grows. */
typedef struct growing {
    int slot[CH4_CAL_MOST], n;
    ch4_cal_reading reading;
    double *error; /* [n_clip] */
    double mean;
} growing;

static double choosing_mean(const ch4_cal_work *s, const double *error)
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
static ch4_status grow_once(ch4_cal_work *s, growing *g, int step, bool *grown, ch4_err *err)
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
static ch4_status grow_sets(ch4_cal_work *s, growing *best, ch4_err *err)
{
    ch4_status st = CH4_OK;
    double *error = NULL;
    best->mean = INFINITY;
    st = ch4_calloc(&error, (size_t)s->out->n_clip, sizeof(double), "scores", err);
    for (int step = 0; !st && step < s->model[0].plan.window.steps; step++)
        for (int way = 0; !st && way < CH4_CAL_WAYS && ch4_cal_listed_of_step(s, step) > (s->slot[s->n_slots - 1].step == step); way++) {
            growing g = {.reading = ch4_cal_reading_now(s), .error = error};
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
static ch4_status tune_knob(ch4_cal_work *s, growing *g, int knob, bool *changed, ch4_err *err)
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
        ch4_cal_say(s, "%s: %.4f to %.4f", KNOB[knob].name, g->mean, best);
        g->mean = best, g->reading = winner, *changed = true;
        memcpy(g->error, top, (size_t)n * sizeof(double));
    }
    free(x);
    free(top);
    return st;
}

static ch4_status tune(ch4_cal_work *s, growing *g, ch4_err *err)
{
    bool changed = true;
    ch4_status st = CH4_OK;
    for (int round = 0; !st && changed && round < 3; round++) {
        changed = false;
        for (int k = 0; !st && k < N_KNOBS; k++) st = tune_knob(s, g, k, &changed, err);
    }
    return st;
}

/* --- the choice -------------------------------------------------------------------------------------------------------------------------------- */

/* Statistics of a choice; the error array passes to it. */
static void conclude(const ch4_cal_work *s, ch4_cal_choice *c, const int *slot, int n, const ch4_cal_reading *reading, double *error)
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

ch4_status ch4_cal_choose(ch4_cal_work *s, ch4_err *err)
{
    growing g = {0};
    double *now = NULL;
    const ch4_cal_reading reading = ch4_cal_reading_now(s);
    int last = s->n_slots - 1;
    ch4_status st = ch4_calloc(&g.error, (size_t)s->out->n_clip, sizeof(double), "scores", err);
    if (!st) st = ch4_calloc(&now, (size_t)s->out->n_clip, sizeof(double), "scores", err);
    if (!st) st = try_set(s, now, &last, 1, &reading, err);
    if (!st) st = grow_sets(s, &g, err);
    if (!st) ch4_cal_say(s, "best set: %d heads of step %d, error %.4f", g.n, s->slot[g.slot[0]].step, g.mean);
    if (!st) st = tune(s, &g, err);
    if (st) {
        free(g.error);
        free(now);
        return st;
    }
    s->out->better = ch4_cal_better(now, g.error, s->out->n_choosing, s->options->accept);
    conclude(s, &s->out->now, &last, 1, &reading, now);
    conclude(s, &s->out->best, g.slot, g.n, &g.reading, g.error);
    /* The best of many is flattered by the clips that chose it: clips that did not must agree. */
    if (s->out->n_clip > s->out->n_choosing && !(s->out->best.held < s->out->now.held)) s->out->better = false;
    return CH4_OK;
}
