/* What the user sees: a line per stage while it works, lines about clips, the table at the end. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/run.h"

static const double REDRAW_S = 0.2, PLAIN_S = 5;

void ch4_progress_open(ch4_run *r)
{
    r->progress = (ch4_progress){.on = !r->plan->quiet, .terminal = isatty(STDERR_FILENO), .start = ch4_clock_seconds()};
    r->progress.next = r->progress.start + (r->progress.terminal ? 0 : PLAIN_S);
}

static void erase(ch4_run *r)
{
    if (r->progress.lines) fprintf(stderr, "\033[%dA\033[J", r->progress.lines);
    r->progress.lines = 0;
}

void ch4_say(ch4_run *r, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    erase(r);
    fprintf(stderr, "chain4d: %s\n", text);
    fflush(stderr);
    if (r->progress.terminal) r->progress.next = 0; /* draw again below the line */
}

/* Windows of all clips that are to be done in this start; *open: how many clips have not said theirs yet. */
static int64_t total_windows(const ch4_run *r, int64_t *unknown)
{
    int64_t n = 0;
    *unknown = 0;
    for (int64_t i = 0; i < r->n_clips; i++) {
        const ch4_run_clip *c = &r->clips[i];
        if (c->before) continue;
        n += c->n_windows;
        *unknown += c->n_windows == 0 && c->phase == CH4_PHASE_WORK;
    }
    return n;
}

static void time_left(char *out, size_t size, const ch4_stage_stats *s, int64_t done, int64_t total, double now)
{
    out[0] = 0;
    if (done <= 0 || done >= total || !s->first_work) return;
    double left = (now - s->first_work) / (double)done * (double)(total - done);
    if (left < 60) snprintf(out, size, "%.0f s left", left);
    else if (left < 3600) snprintf(out, size, "%d:%02d min left", (int)left / 60, (int)left % 60);
    else snprintf(out, size, "%d:%02d h left", (int)(left / 3600), (int)(left / 60) % 60);
}

/* "denoise    3 done, 1 in flight of 16 windows   12.4 frames/s   12 s left" */
static void stage_line(char *out, size_t size, const ch4_run *r, int i, int64_t total, bool more, double now)
{
    const ch4_stage_stats *s = &r->stats[i];
    int64_t done = ch4_min_i64(s->base_windows + s->windows, total), flight = s->waiting + (*s->clip && s->index >= 0);
    char left[40], rate[40] = "", step[48] = "";
    time_left(left, sizeof left, s, done, total, now);
    double work = s->base_work_s + s->work_s;
    int64_t frames = s->base_frames + s->frames;
    if (frames > 0 && work > 0.01) snprintf(rate, sizeof rate, "%.1f frames/s", (double)frames / work);
    if (*s->clip && s->steps > 0) snprintf(step, sizeof step, "step %" PRId64 "/%" PRId64, s->step, s->steps);
    snprintf(out, size, "%-8s %4" PRId64 " done %3" PRId64 " in flight of %" PRId64 "%s windows  %-16s %-14s %s", ch4_run_stages[i], done, flight, total,
             more ? "+" : "", rate, left, step);
}

static void draw(ch4_run *r, double now)
{
    int64_t unknown, total = total_windows(r, &unknown);
    erase(r);
    for (int i = 0; i < CH4_N_STAGES; i++) {
        char line[256];
        stage_line(line, sizeof line, r, i, total, unknown > 0, now);
        fprintf(stderr, "%.*s\n", 110, line);
    }
    r->progress.lines = CH4_N_STAGES;
    fflush(stderr);
}

static void plain_line(ch4_run *r)
{
    int64_t unknown, total = total_windows(r, &unknown);
    char line[256];
    int n = snprintf(line, sizeof line, "windows done of %" PRId64 "%s:", total, unknown ? "+" : "");
    for (int i = 0; i < CH4_N_STAGES && n < (int)sizeof line; i++) {
        const ch4_stage_stats *s = &r->stats[i];
        n += snprintf(line + n, sizeof line - (size_t)n, " %s %" PRId64, ch4_run_stages[i], ch4_min_i64(s->base_windows + s->windows, total));
    }
    if (!strcmp(line, r->progress.last)) return;
    snprintf(r->progress.last, sizeof r->progress.last, "%s", line);
    fprintf(stderr, "chain4d: %s\n", line);
    fflush(stderr);
}

void ch4_progress_tick(ch4_run *r, bool now_please)
{
    ch4_progress *p = &r->progress;
    double now = ch4_clock_seconds();
    if (!p->on || (now < p->next && !now_please)) return;
    p->next = now + (p->terminal ? REDRAW_S : PLAIN_S);
    if (p->terminal) draw(r, now);
    else plain_line(r);
}

void ch4_progress_close(ch4_run *r)
{
    if (r->progress.on && r->progress.terminal) draw(r, ch4_clock_seconds());
    r->progress.lines = 0;
}

/* --- the final table -------------------------------------------------------------------------------------------------------- */

static void print_bytes(int64_t n)
{
    if (n < 10000) printf("%8" PRId64 " B  ", n);
    else if (n < 10000000) printf("%8.1f kB ", (double)n / 1e3);
    else printf("%8.1f MB ", (double)n / 1e6);
}

static void print_done(const ch4_run *r, const ch4_run_clip *c)
{
    if (c->before) {
        printf("%s: done before, in %s/%s\n", c->plan->given, r->plan->out, c->plan->name);
        return;
    }
    printf("%s: %" PRId64 " frames, %" PRId64 " windows, %" PRId64 " vertices, mean movement %.3f\n", c->plan->given, c->report.n_frames, c->n_windows,
           c->report.n_vertices, c->report.movement);
    for (int k = 0; k < c->report.n_files; k++) {
        printf("  ");
        print_bytes(c->report.files[k].bytes);
        printf(" %s/%s/%s\n", r->plan->out, c->plan->name, c->report.files[k].name);
    }
}

void ch4_report(ch4_run *r)
{
    int64_t done = 0, failed = 0;
    for (int64_t i = 0; i < r->n_clips; i++) {
        const ch4_run_clip *c = &r->clips[i];
        if (c->phase == CH4_PHASE_DONE) print_done(r, c), done++;
        else if (c->phase == CH4_PHASE_FAILED) printf("%s: failed\n", c->plan->given), failed++;
        else printf("%s: not done%s\n", c->plan->given, r->exit_code ? "" : "; the same command goes on with it");
    }
    printf("time %.1f s; seconds of work:", ch4_clock_seconds() - r->progress.start);
    for (int i = 0; i < CH4_N_STAGES; i++) printf(" %s %.1f", ch4_run_stages[i], r->stats[i].base_work_s + r->stats[i].work_s);
    printf("\n");
    ch4_latency_report(&r->latency, stdout);
    if (ch4_tap_dropped(r)) printf("taps: %" PRId64 " messages were dropped, listeners were too slow for them\n", ch4_tap_dropped(r));
    if (r->n_clips > 1) printf("%" PRId64 " of %" PRId64 " clips done, %" PRId64 " failed\n", done, r->n_clips, failed);
    fflush(stdout);
}
