#include "orchestrator/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

const char *const ch4_run_stages[CH4_N_STAGES] = {"decode", "denoise", "chain", "animate", "pose"};

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static ch4_status catch_signals(ch4_run *r, ch4_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL)) return ch4_err_set_errno(err, errno, "signals");
    r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signal_fd < 0 ? ch4_err_set_errno(err, errno, "signals") : CH4_OK;
}

static ch4_status put_jobs(ch4_run *r, ch4_err *err)
{
    ch4_status status = CH4_OK;
    for (int64_t i = 0; i < r->n_clips && !status; i++) {
        if (r->clips[i].phase != CH4_PHASE_WORK) continue;
        Ch4__Job job = CH4__JOB__INIT;
        job.clip = r->clips[i].plan->name;
        job.input = r->clips[i].plan->input;
        Ch4__Envelope e = CH4__ENVELOPE__INIT;
        e.body_case = CH4__ENVELOPE__BODY_JOB;
        e.job = &job;
        ch4_msg *msg;
        status = ch4_msg_encode(&msg, &r->me, &e, err);
        if (!status) status = ch4_edge_out_put(r->jobs, &msg, err);
    }
    return status;
}

static ch4_status run_open(ch4_run *r, ch4_plan *plan, ch4_err *err)
{
    const double beat = plan->config.pipeline.heartbeat_s, hello = beat < 0.25 ? beat : 0.25;
    r->plan = plan;
    r->signal_fd = r->sink_fd = r->log.fd = -1;
    ch4_progress_open(r);
    ch4_status status = catch_signals(r, err);
    if (!status) status = ch4_plan_make(plan, err);
    if (status) return status;
    r->log = ch4_log_make(plan->log_fd, (ch4_log_level)plan->config.log.level, CH4_LOG_JSON, "chain4d");
    ch4_log_info(&r->log, "run", CH4_STR("version", CH4_VERSION), CH4_STR("run_id", plan->run_id), CH4_INT("epoch", plan->epoch), CH4_INT("clips", plan->n_clips));
    r->me = (ch4_identity){.epoch = plan->epoch, .incarnation = ch4_bus_incarnation(), .name = "orchestrator"};
    strcpy(r->me.run_id, plan->run_id);
    status = ch4_latency_open(&r->latency, plan->trace, err);
    if (!status) status = ch4_clips_open(r, err);
    if (status || ch4_clips_over(r)) return status; /* nothing that a stage could do */
    status = ch4_supervise_open(r, err);
    if (!status) status = ch4_bus_create(&r->bus, plan->out, &r->me, err);
    if (!status) status = ch4_sock_bind(&r->control, r->bus, "control", err);
    if (!status) status = ch4_edge_out_open(&r->jobs, r->bus, "plan", 20 * hello + 5, err);
    if (!status) status = ch4_edge_in_open(&r->results, r->bus, ch4_run_stages[CH4_N_STAGES - 1], plan->config.pipeline.credit_bytes, hello, err);
    if (!status) status = put_jobs(r, err);
    return status;
}

static void run_close(ch4_run *r)
{
    ch4_supervise_close(r);
    ch4_clips_close(r);
    ch4_latency_close(&r->latency);
    ch4_edge_in_close(&r->results);
    ch4_edge_out_close(&r->jobs);
    ch4_sock_close(&r->control);
    ch4_bus_destroy(&r->bus);
    if (r->plan->lock_fd >= 0) ch4_bus_remove_folder(r->plan->out);
    if (r->signal_fd >= 0) close(r->signal_fd);
}

/* --- messages ----------------------------------------------------------------------------------------------------------- */

static void refused(ch4_run *r, const ch4_err *err)
{
    ch4_log_warn(&r->log, "message refused", CH4_STR("reason", err->msg));
}

static void on_failure(ch4_run *r, const Ch4__Failure *f, const char *stage)
{
    ch4_run_clip *c = ch4_clips_find(r, f->clip);
    if (!c) return;
    if (c->phase == CH4_PHASE_WORK || c->phase == CH4_PHASE_JOIN) ch4_clip_fail(r, c, f->index, stage, (ch4_status)f->status, f->text);
    else ch4_clip_forget(r, f->clip); /* said again by a stage that has not heard that it is over */
}

static void take_control(ch4_run *r)
{
    for (;;) {
        ch4_msg *msg;
        ch4_err err = {0};
        ch4_status status = ch4_bus_try_recv(r->control, &msg, &err);
        if (status == CH4_EPROTO) {
            refused(r, &err);
            continue;
        }
        if (status) return;
        const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
        ch4_run_clip *c = ch4_clips_find(r, ch4_msg_get_clip(msg));
        switch (e->body_case) {
        case CH4__ENVELOPE__BODY_BEAT: ch4_supervise_beat(r, e); break;
        case CH4__ENVELOPE__BODY_FAILURE: on_failure(r, e->failure, e->from); break;
        case CH4__ENVELOPE__BODY_NOTE: if (c) ch4_clip_note(r, c, e->note->text); break;
        case CH4__ENVELOPE__BODY_CLIP_PLAN:
            if (c && ch4_clip_set_windows(c, e->clip_plan->n_windows, &err)) ch4_clip_fail(r, c, -1, e->from, CH4_EPROTO, err.msg);
            break;
        default: ch4_log_warn(&r->log, "message refused", CH4_INT("kind", (int)e->body_case), CH4_STR("from", e->from)); break;
        }
        ch4_msg_destroy(&msg);
    }
}

/* A window has come through: everybody may let it go. Said again for one that comes twice. */
static void on_window(ch4_run *r, ch4_run_clip *c, const Ch4__Window *w)
{
    ch4_err err = {0};
    if (ch4_clip_set_windows(c, w->n_windows, &err)) {
        ch4_clip_fail(r, c, w->index, "sink", CH4_EPROTO, err.msg);
        return;
    }
    if (!c->here[w->index]) {
        ch4_clip_take_notes(r, c, w);
        ch4_latency_add(&r->latency, w, c - r->clips, ch4_clock_us());
    }
    c->n_here += !c->here[w->index];
    c->here[w->index] = 1;
    Ch4__Retire retire = CH4__RETIRE__INIT;
    retire.clip = w->clip;
    retire.index = w->index;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_RETIRE;
    e.retire = &retire;
    for (int i = 0; i < CH4_N_STAGES; i++) ch4_bus_post(r->control, ch4_run_stages[i], &e, NULL); /* one that is away has nothing to retire */
}

static void on_clip_end(ch4_run *r, ch4_run_clip *c, const Ch4__ClipEnd *end)
{
    ch4_err err = {0};
    if (c->phase != CH4_PHASE_WORK) return;
    if (ch4_clip_set_windows(c, end->n_windows, &err)) {
        ch4_clip_fail(r, c, -1, "sink", CH4_EPROTO, err.msg);
    } else if (c->n_here < c->n_windows) {
        char text[256];
        snprintf(text, sizeof text, "%.100s: the end came after %" PRId64 " of %" PRId64 " windows", c->plan->given, c->n_here, c->n_windows);
        ch4_clip_fail(r, c, -1, "sink", CH4_EPROTO, text);
    } else {
        c->phase = CH4_PHASE_JOIN;
    }
}

static void take_results(ch4_run *r)
{
    for (;;) {
        ch4_msg *msg;
        ch4_err err = {0};
        ch4_status status = ch4_edge_in_try_recv(r->results, &msg, &err);
        if (status == CH4_EPROTO) {
            refused(r, &err);
            continue;
        }
        if (status) return;
        const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
        ch4_run_clip *c = ch4_clips_find(r, ch4_msg_get_clip(msg));
        ch4_edge_in_ack(r->results, ch4_msg_get_clip(msg), ch4_msg_get_index(msg), NULL); /* a lost one is asked for again */
        if (c && (c->phase == CH4_PHASE_DONE || c->phase == CH4_PHASE_FAILED)) ch4_clip_forget(r, c->plan->name);
        else if (c && e->body_case == CH4__ENVELOPE__BODY_WINDOW) on_window(r, c, e->window);
        else if (c && e->body_case == CH4__ENVELOPE__BODY_CLIP_END) on_clip_end(r, c, e->clip_end);
        ch4_msg_destroy(&msg);
    }
}

static void take_signals(ch4_run *r)
{
    struct signalfd_siginfo s;
    while (read(r->signal_fd, &s, sizeof s) == (ssize_t)sizeof s) {
        if (s.ssi_signo == SIGCHLD) continue; /* several deaths may be one signal: reaped on every turn */
        r->signals++;
        if (!r->stop_signal) r->stop_signal = (int)s.ssi_signo;
        ch4_say(r, "%s: %s", strsignal((int)s.ssi_signo), r->signals > 1 ? "stopping at once" : "finishing the windows in hand (once more: stop at once)");
        ch4_log_info(&r->log, "stopping", CH4_INT("signal", (int)s.ssi_signo));
        ch4_supervise_stop(r, r->signals > 1);
    }
}

/* --- the loop -------------------------------------------------------------------------------------------------------------- */

static ch4_status wait_for_news(ch4_run *r, ch4_err *err)
{
    ch4_sock *socks[3] = {r->control, ch4_edge_out_sock(r->jobs), ch4_edge_in_sock(r->results)};
    int fds[2 + 2 * CH4_N_STAGES], stage[2 + 2 * CH4_N_STAGES], n = 2;
    bool is_ready_fd[2 + 2 * CH4_N_STAGES], ready[2 + 2 * CH4_N_STAGES];
    fds[0] = r->signal_fd, fds[1] = r->sink_fd;
    for (int i = 0; i < CH4_N_STAGES; i++) {
        const ch4_child *c = &r->children[i];
        if (c->ready_fd >= 0) fds[n] = c->ready_fd, stage[n] = i, is_ready_fd[n++] = true;
        if (c->print_fd >= 0) fds[n] = c->print_fd, stage[n] = i, is_ready_fd[n++] = false;
    }
    ch4_status status = ch4_bus_poll(socks, 3, fds, n, ready, 0.05, err);
    if (status) return status;
    for (int i = 2; i < n; i++)
        if (ready[i]) ch4_supervise_read(r, stage[i], is_ready_fd[i]);
    return CH4_OK;
}

static ch4_status turn(ch4_run *r, ch4_err *err)
{
    ch4_status status = wait_for_news(r, err);
    if (status) return status;
    take_signals(r);
    take_control(r);
    take_results(r);
    ch4_supervise_reap(r);
    ch4_clips_serve_sink(r);
    status = ch4_edge_out_serve(r->jobs, err);
    if (status == CH4_EPROTO) refused(r, err);
    else if (status) return status;
    status = ch4_edge_in_tick(r->results, ch4_clock_seconds(), err);
    if (status) return status;
    ch4_supervise_tick(r);
    if (!r->ending && ch4_clips_over(r)) ch4_supervise_end(r);
    ch4_progress_tick(r, false);
    ch4_status_tick(r);
    return CH4_OK;
}

int ch4_run_all(ch4_plan *plan)
{
    ch4_run *r;
    ch4_err err = {0};
    ch4_status status = ch4_calloc(&r, 1, sizeof *r, "the run", &err);
    if (status) return 1;
    status = run_open(r, plan, &err);
    while (!status && r->bus && !(r->ending && ch4_supervise_gone(r) && !r->sink_busy)) {
        err = (ch4_err){0};
        status = turn(r, &err);
    }
    ch4_progress_close(r);
    int code = ch4_status_exit_code(status);
    if (status) {
        ch4_say(r, "%s", err.msg);
        ch4_log_error(&r->log, "run failed", CH4_STR("reason", err.msg));
    } else {
        code = r->exit_code ? r->exit_code : r->stop_signal ? 128 + r->stop_signal : ch4_clips_exit_code(r);
        if (!code && plan->strict && ch4_tap_dropped(r)) code = 1;
        if (r->n_clips) ch4_report(r);
    }
    ch4_status_write(r, code);
    ch4_log_info(&r->log, "end", CH4_INT("exit", code));
    run_close(r);
    free(r);
    return code;
}
