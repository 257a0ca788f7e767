/* The stage processes of a run: started sinks first, watched, started again, ended. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/place.h"
#include "orchestrator/run.h"

enum { DEATHS = 6 };

static void feed(ch4_run *r, int i, ch4_child_event event)
{
    ch4_child *c = &r->children[i];
    ch4_child_feed(c, event, &ch4_launcher_local, &r->commands[i], &r->limits, &r->log);
    if (c->failed && !r->exit_code && !r->ending) { /* the first error names the run's result */
        r->exit_code = c->exit_code;
        ch4_say(r, "%s", c->reason);
        ch4_log_error(&r->log, "run failed", CH4_STR("stage", c->name), CH4_STR("reason", c->reason), CH4_INT("exit", c->exit_code));
        ch4_supervise_stop(r, false);
    }
}

ch4_status ch4_supervise_open(ch4_run *r, ch4_err *err)
{
    const ch4_plan *p = r->plan;
    r->limits = (ch4_child_limits){.ready_s = p->config.pipeline.ready_s, .drain_s = p->config.pipeline.drain_s,
                                   .grace_s = p->config.pipeline.drain_s, .deaths = DEATHS};
    static char epoch[24], threads[16]; /* one run per process */
    snprintf(epoch, sizeof epoch, "%" PRId64, p->epoch);
    snprintf(threads, sizeof threads, "%d", p->threads);
    for (int i = 0; i < CH4_N_STAGES; i++) {
        r->children[i] = (ch4_child){.name = ch4_run_stages[i], .ready_fd = -1, .print_fd = -1};
        ch4_status status = ch4_place_program(r->programs[i], ch4_run_stages[i], err);
        if (status) return ch4_err_wrap(err, status, "a stage's program is missing");
        char **a = r->commands[i].argv;
        r->commands[i].program = r->programs[i];
        *a++ = r->programs[i];
        *a++ = "--run", *a++ = p->out;
        *a++ = "--run-id", *a++ = (char *)p->run_id;
        *a++ = "--epoch", *a++ = epoch;
        *a++ = "--ready-fd", *a++ = "";
        if (p->threads >= 0) *a++ = "--threads", *a++ = threads;
        *a = NULL;
    }
    return CH4_OK;
}

/* --- signs of life ------------------------------------------------------------------------------------------------------------ */

static int find_stage(const char *name)
{
    for (int i = 0; i < CH4_N_STAGES; i++)
        if (!strcmp(ch4_run_stages[i], name)) return i;
    return -1;
}

void ch4_supervise_beat(ch4_run *r, const Ch4__Envelope *e)
{
    int i = find_stage(e->from);
    if (i < 0) return;
    ch4_stage_stats *s = &r->stats[i];
    const Ch4__Beat *b = e->beat;
    double now = ch4_clock_seconds();
    if (s->incarnation != e->incarnation) {
        s->base_windows += s->windows, s->base_frames += s->frames, s->base_work_s += s->work_s, s->base_tap_dropped += s->tap_dropped;
        s->incarnation = e->incarnation;
        s->moves = -1, s->windows = 0;
    }
    if (b->moves != s->moves || !*b->clip) s->last_move = now;
    if (b->windows_done + b->windows_found > s->windows) r->children[i].deaths = 0;
    s->last_beat = now;
    s->moves = b->moves;
    s->windows = b->windows_done + b->windows_found;
    s->frames = b->frames_done;
    s->waiting = b->windows_waiting;
    s->work_s = b->work_s;
    s->tap_dropped = b->tap_dropped;
    if (!s->first_work && (*b->clip || s->windows)) s->first_work = now;
    snprintf(s->clip, sizeof s->clip, "%s", b->clip);
    s->index = b->index, s->step = b->step, s->steps = b->steps;
}

int64_t ch4_tap_dropped(const ch4_run *r)
{
    int64_t n = 0;
    for (int i = 0; i < CH4_N_STAGES; i++) n += r->stats[i].base_tap_dropped + r->stats[i].tap_dropped;
    return n;
}

/* Alive for the kernel, but silent, or at the same step for too long. */
static bool stalled(const ch4_run *r, int i, double now)
{
    const ch4_stage_stats *s = &r->stats[i];
    const double beat = r->plan->config.pipeline.heartbeat_s, silence = 10 * beat + 2 < 20 ? 10 * beat + 2 : 20;
    return now - s->last_beat > silence || (*s->clip && now - s->last_move > r->plan->config.pipeline.stall_s);
}

void ch4_supervise_tick(ch4_run *r)
{
    double now = ch4_clock_seconds();
    for (int i = CH4_N_STAGES - 1; i >= 0 && !r->ending; i--) { /* sinks before sources, each waits for the one before it */
        ch4_child *c = &r->children[i];
        if (c->state == CH4_CHILD_DOWN && !c->deadline) feed(r, i, CH4_CHILD_ON_START);
        if (c->state == CH4_CHILD_STARTING && c->deaths == 0 && r->stats[i].incarnation == 0) break;
    }
    for (int i = 0; i < CH4_N_STAGES; i++) {
        ch4_child *c = &r->children[i];
        if (c->deadline && now >= c->deadline) {
            if (c->state == CH4_CHILD_STARTING) {
                snprintf(c->last_words, sizeof c->last_words, "not ready after %.3g s", r->limits.ready_s);
                ch4_log_warn(&r->log, "stage not ready in time", CH4_STR("stage", c->name));
            }
            feed(r, i, CH4_CHILD_ON_DEADLINE);
        } else if (c->state == CH4_CHILD_UP && stalled(r, i, now)) {
            snprintf(c->last_words, sizeof c->last_words, "no sign of %s", now - r->stats[i].last_move > r->plan->config.pipeline.stall_s ? "progress" : "life");
            ch4_log_warn(&r->log, "stage hangs, will be killed", CH4_STR("stage", c->name), CH4_STR("clip", r->stats[i].clip), CH4_INT("window", r->stats[i].index));
            feed(r, i, CH4_CHILD_ON_STALL);
        }
    }
}

/* --- pipes ------------------------------------------------------------------------------------------------------------------------ */

/* What a stage prints goes to the log; its last line is kept, as the reason of its death. */
static void take_print(ch4_run *r, ch4_child *c)
{
    char text[4097];
    ssize_t n = read(c->print_fd, text, sizeof text - 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        close(c->print_fd);
        c->print_fd = -1;
        return;
    }
    text[n] = 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        ch4_log_warn(&r->log, "printed", CH4_STR("stage", c->name), CH4_STR("line", line));
        snprintf(c->last_words, sizeof c->last_words, "%.255s", line);
    }
}

void ch4_supervise_read(ch4_run *r, int i, bool ready_fd)
{
    ch4_child *c = &r->children[i];
    if (!ready_fd) {
        take_print(r, c);
        return;
    }
    char byte = 0;
    ssize_t n = read(c->ready_fd, &byte, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(c->ready_fd);
    c->ready_fd = -1;
    if (n != 1 || byte != '\n') return; /* closed without the line: not ready; its exit or its deadline follows */
    r->stats[i].last_beat = r->stats[i].last_move = ch4_clock_seconds();
    r->stats[i].clip[0] = 0;
    feed(r, i, CH4_CHILD_ON_READY);
}

/* --- deaths ----------------------------------------------------------------------------------------------------------------------- */

/* A stage that dies again and again at one window: the window is set aside, the rest goes on. */
static void judge_poison(ch4_run *r, int i)
{
    char name[CH4_MSG_NAME];
    int64_t index;
    ch4_work_read(ch4_bus_get_folder(r->bus), ch4_run_stages[i], name, &index);
    ch4_run_clip *c = ch4_clips_find(r, name);
    if (!c) return;
    ch4_log_warn(&r->log, "stage died at work", CH4_STR("stage", ch4_run_stages[i]), CH4_STR("clip", name), CH4_INT("window", index));
    int *deaths = &c->poison_deaths[i];
    *deaths = c->poison_window[i] == index ? *deaths + 1 : 1;
    c->poison_window[i] = index;
    if (*deaths <= r->plan->config.pipeline.retries && *deaths < DEATHS - 1) return;
    char how[80], text[CH4_ERR_MSG], where[40] = "";
    ch4_child_describe_exit(how, sizeof how, r->children[i].wait_status);
    if (index >= 0) snprintf(where, sizeof where, " window %" PRId64 " of", index);
    snprintf(text, sizeof text, "stage %s died %d times at%s %.200s, last with %s: set aside; see run.log", ch4_run_stages[i], *deaths, where,
             c->plan->given, how);
    ch4_clip_fail(r, c, index, ch4_run_stages[i], CH4_EINTERNAL, text);
    r->children[i].deaths = 0;
}

void ch4_supervise_reap(ch4_run *r)
{
    for (int i = 0; i < CH4_N_STAGES; i++) {
        ch4_child *c = &r->children[i];
        int wait_status;
        if (!c->pid || waitpid(c->pid, &wait_status, WNOHANG) != c->pid) continue;
        while (c->print_fd >= 0) { /* what it still had to say; the write end is closed now */
            int before = c->print_fd;
            take_print(r, c);
            if (c->print_fd == before && errno == EAGAIN) break;
        }
        ch4_child_event event = ch4_child_take_exit(c, wait_status);
        if (!r->ending && event == CH4_CHILD_ON_CRASH) judge_poison(r, i);
        r->stats[i].clip[0] = 0;
        feed(r, i, event);
    }
}

/* --- the end ---------------------------------------------------------------------------------------------------------------------- */

void ch4_supervise_end(ch4_run *r)
{
    if (r->ending) return;
    r->ending = true;
    Ch4__StreamEnd end = CH4__STREAM_END__INIT;
    end.n_clips = r->n_clips;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_STREAM_END;
    e.stream_end = &end;
    for (int i = 0; i < CH4_N_STAGES; i++) { /* sources first */
        ch4_bus_post(r->control, ch4_run_stages[i], &e, NULL);
        feed(r, i, CH4_CHILD_ON_END);
    }
}

void ch4_supervise_stop(ch4_run *r, bool at_once)
{
    r->ending = true;
    if (at_once) r->limits.grace_s = 0;
    for (int i = 0; i < CH4_N_STAGES; i++) {
        if (at_once) ch4_launcher_local.signal(&r->children[i], SIGKILL);
        feed(r, i, CH4_CHILD_ON_STOP);
    }
}

bool ch4_supervise_gone(const ch4_run *r)
{
    for (int i = 0; i < CH4_N_STAGES; i++)
        if (r->children[i].state != CH4_CHILD_GONE) return false;
    return true;
}

void ch4_supervise_close(ch4_run *r)
{
    for (int i = 0; i < CH4_N_STAGES; i++) {
        ch4_child *c = &r->children[i];
        int wait_status;
        if (c->pid > 0) {
            ch4_launcher_local.signal(c, SIGKILL);
            while (waitpid(c->pid, &wait_status, 0) < 0 && errno == EINTR) continue;
            ch4_child_take_exit(c, wait_status);
        }
    }
}
