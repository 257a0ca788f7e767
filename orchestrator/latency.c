#include "orchestrator/latency.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/run.h"
#include "orchestrator/trace.h"

_Static_assert((int)CH4_LATENCY_STAGES == (int)CH4_N_STAGES, "one row for every stage");

ch4_status ch4_latency_open(ch4_latency *l, const char *trace, ch4_err *err)
{
    *l = (ch4_latency){.zero_us = ch4_clock_us(), .index = -1};
    return trace ? ch4_trace_begin(l, trace, err) : CH4_OK;
}

void ch4_latency_close(ch4_latency *l)
{
    for (int s = 0; s < CH4_N_STAGES; s++)
        for (int k = 0; k < CH4_N_SPANS; k++) free(l->span[s][k].x);
    free(l->way.x);
    free(l->sink.x);
    free(l->cycle.x);
    ch4_trace_end(l);
    *l = (ch4_latency){0};
}

static void push(ch4_series *s, int64_t us)
{
    if (s->n == s->room) {
        const int64_t room = s->room ? 2 * s->room : 64;
        double *more = realloc(s->x, (size_t)room * sizeof *more);
        if (!more) return;
        s->x = more;
        s->room = room;
    }
    s->x[s->n++] = us > 0 ? (double)us / 1e6 : 0;
}

static int stage_of(const char *name)
{
    for (int i = 0; i < CH4_N_STAGES; i++)
        if (!strcmp(ch4_run_stages[i], name)) return i;
    return -1;
}

/* From the start of the chain's work at a window to that at the next one. */
static void add_cycle(ch4_latency *l, const Ch4__Window *w, int64_t chain_started)
{
    if (chain_started && l->chain_started && w->index == l->index + 1 && !strcmp(w->clip, l->clip)) push(&l->cycle, chain_started - l->chain_started);
    snprintf(l->clip, sizeof l->clip, "%s", w->clip);
    l->index = w->index;
    l->chain_started = chain_started;
}

void ch4_latency_add(ch4_latency *l, const Ch4__Window *w, int64_t clip, int64_t here_us)
{
    int64_t left = 0, first = 0, chain_started = 0; /* left: when it left the stage before */
    bool computed = true;
    for (size_t i = 0; i < w->n_parts; i++) {
        const Ch4__Times *t = w->parts[i]->times;
        const int s = stage_of(w->parts[i]->stage);
        if (!t || s < 0) continue;
        if (!first) first = t->started;
        if (t->found) {
            computed = false;
        } else {
            const int64_t span[CH4_N_SPANS] = {left ? t->arrived - left : 0, t->offered - t->arrived, t->started - t->offered, t->done - t->started, t->sent - t->done};
            for (int k = 0; k < CH4_N_SPANS; k++) push(&l->span[s][k], span[k]);
            if (!strcmp(ch4_run_stages[s], "chain")) chain_started = t->started;
        }
        left = t->sent;
    }
    if (computed && first) push(&l->way, here_us - first);
    if (computed && left) push(&l->sink, here_us - left);
    add_cycle(l, w, chain_started);
    ch4_trace_window(l, w, clip, here_us);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool ch4_series_sum(ch4_series *s, double *min, double *median, double *max)
{
    if (!s->n) return false;
    qsort(s->x, (size_t)s->n, sizeof s->x[0], by_size);
    *min = s->x[0], *median = s->x[(s->n - 1) / 2], *max = s->x[s->n - 1];
    return true;
}

static void row(ch4_series *s, const char *name, const char *what, bool always, FILE *out)
{
    double min, median, max;
    if (!ch4_series_sum(s, &min, &median, &max) || (!always && max < 0.0005)) return;
    fprintf(out, "  %-8s %-24s %8.3f %8.3f %8.3f\n", name, what, min, median, max);
}

/* In which stage, and for what, the windows waited longest, all together. */
static void report_most(const ch4_latency *l, FILE *out)
{
    static const char *const why[CH4_N_SPANS] = {"on the way to", "for their turn at", "for files of other stages at", "", "for room behind"};
    double most = 0, all = 0;
    int at = 0, what = 0;
    for (int s = 0; s < CH4_N_STAGES; s++)
        for (int k = 0; k < CH4_N_SPANS; k++) {
            double sum = 0;
            for (int64_t i = 0; i < l->span[s][k].n; i++) sum += l->span[s][k].x[i];
            all += sum;
            if (k != CH4_SPAN_WORK && sum > most) most = sum, at = s, what = k;
        }
    if (most > 0) fprintf(out, "  waited longest %s %s: %.0f %% of all their time\n", why[what], ch4_run_stages[at], 100 * most / all);
}

void ch4_latency_report(ch4_latency *l, FILE *out)
{
    static const char *const what[CH4_N_SPANS] = {"waits on the way there", "waits for its turn", "waits for other files", "works", "waits for room"};
    int64_t n = 0;
    for (int s = 0; s < CH4_N_STAGES; s++) n = ch4_max_i64(n, l->span[s][CH4_SPAN_WORK].n);
    if (!n) return;
    fprintf(out, "latency of %" PRId64 " windows in seconds       min   median      max\n", n);
    report_most(l, out);
    row(&l->way, "all", "decode to sink", true, out);
    row(&l->cycle, "cycle", "chain, animate, chain", true, out);
    for (int s = 0; s < CH4_N_STAGES; s++)
        for (int k = 0; k < CH4_N_SPANS; k++) row(&l->span[s][k], ch4_run_stages[s], what[k], k == CH4_SPAN_WORK, out);
    row(&l->sink, "sink", what[CH4_SPAN_EDGE], false, out);
}
