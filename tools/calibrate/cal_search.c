#include "tools/calibrate/cal_search_impl.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* --- what all parts of the search share --------------------------------------------------------------------------------------------------------- */

void ch4_cal_say(const ch4_cal_work *s, const char *fmt, ...)
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
ch4_status ch4_cal_join(const ch4_cal_work *s, int64_t n, ch4_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (s->status[i]) return ch4_err_set(err, s->status[i], "%s: %s", s->clip[i].name, s->why[i].msg);
    return CH4_OK;
}

ch4_cal_reading ch4_cal_reading_now(const ch4_cal_work *s)
{
    const ch4_cal_model *m = &s->model[0];
    return (ch4_cal_reading){.direction = m->plan.capture.direction, .sinkhorn = m->chain.reading.sinkhorn, .power = m->chain.reading.power,
                             .unit_norm = m->chain.rows == CH4_MATCH_UNIT, .topk = m->chain.k, .temperature = m->chain.blend.temperature};
}

int ch4_cal_step_now(const ch4_cal_work *s)
{
    int step = 0;
    while (!s->model[0].plan.read_step[step]) step++;
    return step;
}

/* --- all of it ---------------------------------------------------------------------------------------------------------------------------------- */

typedef struct opening {
    ch4_cal_work *s;
    const char *const *name, *const *folder;
    int64_t done, n;
} opening;

static void open_clip(void *ctx, int64_t i, int worker)
{
    opening *o = ctx;
    ch4_cal_work *s = o->s;
    s->status[i] = ch4_cal_clip_open(&s->clip[i], o->name[i], o->folder[i], &s->model[worker], &s->options->clip, &s->why[i]);
    ch4_cal_say(s, "surfaces: %lld of %lld clips", (long long)__atomic_add_fetch(&o->done, 1, __ATOMIC_RELAXED), (long long)o->n);
}

/* Opens the clips; those that cannot be are told and left out. */
static ch4_status open_clips(ch4_cal_work *s, const char *const *name, const char *const *folder, int64_t n, ch4_err *err)
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

static ch4_status allocate(ch4_cal_work *s, int64_t n, ch4_err *err)
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

static void release(ch4_cal_work *s, int64_t n)
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
    ch4_cal_work s = {.out = out, .options = options, .jobs = jobs};
    ch4_status st = allocate(&s, n, err);
    for (int i = 0; !st && i < jobs; i++) st = ch4_cal_model_open(&s.model[i], config, 1, err);
    if (!st) st = open_clips(&s, name, folder, n, err);
    if (!st) out->steps = s.model[0].plan.window.steps;
    if (!st) out->identity = s.model[0].plan.noise != CH4_MODEL_NOISE_INDEPENDENT;
    if (!st) st = ch4_cal_rank_heads(&s, err);
    if (!st) st = ch4_cal_fill_store(&s, err);
    if (!st) st = ch4_cal_choose(&s, err);
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
