/* The main thread of a stage process: one loop over sockets, signals and the worker. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "stage/rundir.h"
#include "stage/stage_impl.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, GO_ON = -1 };

/* What one step came to: GO_ON, or the exit code of the process. */
typedef int outcome;

static outcome give_up(ch4_frame *f, ch4_status status, const ch4_err *err)
{
    ch4_log_error(&f->log, "cannot go on", CH4_STR("reason", err->msg));
    dprintf(STDERR_FILENO, "chain4d-%s: %s\n", f->def->name, err->msg);
    return ch4_status_exit_code(status);
}

static void refused(ch4_frame *f, const ch4_err *err)
{
    ch4_log_warn(&f->log, "message refused", CH4_STR("reason", err->msg));
}

/* --- the end of a clip --------------------------------------------------------------------------------------------------- */

/* Every window is committed: in this life of the process, or by its file. */
static bool all_there(const ch4_frame *f, const ch4_flow_clip *c, int64_t *missing)
{
    char dir[CH4_STAGE_PATH], path[CH4_STAGE_PATH];
    snprintf(dir, sizeof dir, "%.3900s/%s", f->run_dir, c->name);
    const ch4_stage_clip clip = {.name = c->name, .input = c->input, .dir = dir};
    for (int64_t i = 0; i < c->n_windows; i++) {
        if (c->done[i] || (!ch4_stage_path(path, &clip, i, f->def->name, NULL) && !access(path, F_OK))) continue;
        *missing = i;
        return false;
    }
    return true;
}

/* Passes the end of each clip on once its windows are all done. */
static ch4_status pass_ends(ch4_frame *f, ch4_err *err)
{
    for (ch4_flow_clip *c = f->flow.clips; c; c = c->next) {
        if (!c->has_end || c->state != CH4_CLIP_OPEN || ch4_flow_clip_busy(c)) continue;
        int64_t missing;
        if (!all_there(f, c, &missing)) {
            char text[CH4_ERR_MSG];
            snprintf(text, sizeof text, "%s: the end came after %" PRId64 " windows, but window %" PRId64 " did not", c->name, c->n_windows, missing);
            ch4_log_error(&f->log, text);
            ch4_flow_fail(&f->flow, c, missing, CH4_EPROTO, text);
            f->beat_now = true;
            continue;
        }
        ch4_status status = ch4_frame_send_clip_end(f, c, err);
        if (!status) status = ch4_edge_in_ack(f->in, c->name, -1, err);
        if (status) return status;
        c->has_end = false, c->end_sent = true;
    }
    return CH4_OK;
}

/* --- results of the worker ------------------------------------------------------------------------------------------------- */

static bool is_final(ch4_status status)
{
    switch (status) {
    case CH4_EFORMAT: case CH4_ENOENT: case CH4_EINVAL: case CH4_ECONFIG: case CH4_EUNSUP: case CH4_ENOSPC: case CH4_EEXIST: return true;
    default: return false;
    }
}

/* A window or a job failed. True: the clip ends here; false: it is tried again. */
static bool judge_failure(ch4_frame *f, ch4_flow_clip *c, const ch4_task *t, int attempts)
{
    bool final = is_final(t->status) || attempts >= f->config.pipeline.retries;
    ch4_log_write(&f->log, final ? CH4_LOG_ERROR : CH4_LOG_WARN, final ? "clip failed" : "will be tried again",
                  (const ch4_kv[]){CH4_STR("clip", c->name), CH4_INT("window", t->index), CH4_STR("status", ch4_status_name(t->status)),
                                   CH4_STR("reason", t->err.msg), CH4_INT("attempt", attempts + 1), {.type = CH4_KV_END}});
    if (final) {
        ch4_flow_fail(&f->flow, c, t->index, t->status, t->err.msg);
        ch4_edge_out_forget(f->out, c->name);
        f->beat_now = true;
    }
    return final;
}

static ch4_status window_over(ch4_frame *f, ch4_task *t, ch4_err *err)
{
    ch4_flow_clip *c = ch4_flow_find(&f->flow, t->clip);
    ch4_flow_window *w = c ? ch4_flow_find_window(c, t->index) : NULL;
    if (!w || w->state != CH4_WINDOW_RUNNING) return CH4_OK; /* forgotten meanwhile */
    if (t->status == CH4_EAGAIN) {
        ch4_flow_offer_later(&f->flow, w, ch4_clock_seconds(), false);
        return CH4_OK;
    }
    f->work_s += t->seconds;
    if (t->status) {
        if (judge_failure(f, c, t, w->attempts)) return ch4_edge_in_ack(f->in, t->clip, t->index, err);
        ch4_flow_offer_later(&f->flow, w, ch4_clock_seconds(), true);
        return CH4_OK;
    }
    t->part.times = (ch4_stage_times){w->arrived_us, w->offered_us, w->started_us, ch4_clock_us(), t->found};
    ch4_status status = ch4_frame_send_window(f, ch4_msg_get_envelope(w->msg)->window, c, t->index, t->n_windows, t->n_frames, &t->part, err);
    if (!status) status = ch4_edge_in_ack(f->in, t->clip, t->index, err);
    if (status) return status;
    ch4_flow_set_done(c, w);
    if (t->found) f->windows_found++;
    else f->windows_done++, f->frames_done += t->n_frames;
    ch4_log_info(&f->log, t->found ? "window found done" : "window done", CH4_STR("clip", t->clip), CH4_INT("window", t->index),
                 CH4_INT("bytes", t->part.bytes), CH4_REAL("seconds", t->seconds));
    f->beat_now = true;
    return CH4_OK;
}

double ch4_frame_source_work(const ch4_frame *f)
{
    if (!f->clip_since) return 0;
    return (f->waiting_since ? f->waiting_since : ch4_clock_seconds()) - f->clip_since - f->waited;
}

static ch4_status clip_over(ch4_frame *f, const ch4_task *t, ch4_err *err)
{
    ch4_flow_clip *c = ch4_flow_find(&f->flow, t->clip);
    if (!c) return CH4_OK;
    c->job_running = false;
    f->work_s += ch4_frame_source_work(f);
    f->clip_since = 0;
    if (c->state != CH4_CLIP_OPEN || (t->status == CH4_ECANCELED && f->stop_signal)) return CH4_OK;
    ch4_task failed = *t;
    failed.index = -1;
    if (!t->status && (c->n_windows == 0 || f->n_emitted != c->n_windows))
        failed.status = ch4_err_set(&failed.err, CH4_EINTERNAL, "%s: %" PRId64 " windows of %" PRId64 " were made", c->name, f->n_emitted, c->n_windows);
    if (!failed.status) {
        ch4_status status = ch4_frame_send_clip_end(f, c, err);
        if (!status) status = ch4_edge_in_ack(f->in, c->name, -1, err);
        c->end_sent = true;
        return status;
    }
    if (judge_failure(f, c, &failed, c->attempts)) return ch4_edge_in_ack(f->in, c->name, -1, err);
    c->attempts++;
    c->not_before = ch4_clock_seconds() + 0.1 * c->attempts;
    return CH4_OK;
}

static outcome take_result(ch4_frame *f)
{
    ch4_task t;
    ch4_err err = {0};
    if (!ch4_frame_take_result(f, &t)) return GO_ON;
    if (t.kind == CH4_TASK_WINDOW || t.kind == CH4_TASK_CLIP) ch4_work_write(ch4_bus_get_folder(f->bus), f->def->name, "", -1);
    ch4_status status = CH4_OK;
    switch (t.kind) {
    case CH4_TASK_OPEN:
        if (t.status) return give_up(f, t.status, &t.err);
        f->ready = true;
        ch4_log_info(&f->log, "ready", CH4_REAL("seconds", t.seconds), CH4_INT("threads", ch4_pool_threads(f->stage.pool)));
        if (f->ready_fd >= 0) {
            if (write(f->ready_fd, "\n", 1) != 1) ch4_log_warn(&f->log, "nobody waits for the ready line");
            close(f->ready_fd);
            f->ready_fd = -1;
        }
        break;
    case CH4_TASK_WINDOW: status = window_over(f, &t, &err); break;
    case CH4_TASK_CLIP: status = clip_over(f, &t, &err); break;
    default: break;
    }
    if (atomic_load(&f->superseded)) return give_up(f, CH4_ECANCELED, &t.err);
    return status ? give_up(f, status, &err) : GO_ON;
}

/* A source has a window to send: lets it pass when the graph has room, refuses it when it is not wanted. */
static outcome take_emission(ch4_frame *f)
{
    ch4_emission e;
    ch4_err err = {0};
    if (!ch4_frame_take_emission(f, &e)) return GO_ON;
    if (!f->waiting_since) f->waiting_since = ch4_clock_seconds(), f->asked_us = ch4_clock_us();
    ch4_flow_clip *c = ch4_flow_find(&f->flow, f->task.clip); /* the worker waits: its task stands still */
    if (!c || c->state != CH4_CLIP_OPEN || f->stop_signal) {
        ch4_frame_answer_emission(f, CH4_ECANCELED);
        return GO_ON;
    }
    if (ch4_edge_out_custody(f->out) >= f->config.pipeline.windows) return GO_ON; /* asked again after the next message */
    if (f->n_emitted == 0) {
        c->n_windows = e.n_windows;
        ch4_status status = ch4_frame_send_plan(f, c->name, e.n_windows, &err);
        if (status) return give_up(f, status, &err);
    }
    if (e.n_windows != c->n_windows || e.index != f->n_emitted) {
        ch4_log_error(&f->log, "windows out of order", CH4_STR("clip", c->name), CH4_INT("window", e.index), CH4_INT("expected", f->n_emitted));
        ch4_frame_answer_emission(f, CH4_EINTERNAL);
        return GO_ON;
    }
    e.part.times = (ch4_stage_times){f->turn_us, f->turn_us, f->turn_us, f->asked_us, e.found};
    ch4_status status = ch4_frame_send_window(f, NULL, c, e.index, e.n_windows, e.n_frames, &e.part, &err);
    if (status) return give_up(f, status, &err);
    f->n_emitted++;
    f->windows_done++;
    f->frames_done += e.n_frames;
    ch4_log_info(&f->log, "window done", CH4_STR("clip", c->name), CH4_INT("window", e.index), CH4_INT("bytes", e.part.bytes));
    f->beat_now = true;
    f->waited += ch4_clock_seconds() - f->waiting_since;
    f->waiting_since = 0;
    f->turn_us = ch4_clock_us();
    ch4_frame_answer_emission(f, CH4_OK);
    return GO_ON;
}

/* --- messages ------------------------------------------------------------------------------------------------------------ */

static void forget(ch4_frame *f, const char *clip)
{
    ch4_flow_end(&f->flow, clip);
    ch4_edge_out_forget(f->out, clip);
    pthread_mutex_lock(&f->lock);
    if (f->task.kind != CH4_TASK_NONE && !strcmp(f->task.clip, clip)) atomic_store(&f->canceled, true);
    pthread_mutex_unlock(&f->lock);
}

static void take_control(ch4_frame *f)
{
    for (;;) {
        ch4_msg *msg;
        ch4_err err = {0};
        ch4_status status = ch4_bus_try_recv(f->control, &msg, &err);
        if (status == CH4_EPROTO) {
            refused(f, &err);
            continue;
        }
        if (status) return; /* none, or the socket is closing down: the next poll tells */
        const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
        switch (e->body_case) {
        case CH4__ENVELOPE__BODY_RETIRE:
            ch4_edge_out_retire(f->out, e->retire->clip, e->retire->index);
            ch4_flow_retire(&f->flow, e->retire->clip, e->retire->index);
            break;
        case CH4__ENVELOPE__BODY_FORGET: forget(f, e->forget->clip); break;
        case CH4__ENVELOPE__BODY_STREAM_END: f->stream_end = e->stream_end->n_clips; break;
        default: ch4_log_warn(&f->log, "message refused", CH4_INT("kind", (int)e->body_case), CH4_STR("from", e->from)); break;
        }
        ch4_msg_destroy(&msg);
    }
}

static void note_arrival(ch4_frame *f, const char *clip, int64_t index)
{
    ch4_flow_clip *c = index >= 0 ? ch4_flow_find(&f->flow, clip) : NULL;
    ch4_flow_window *w = c ? ch4_flow_find_window(c, index) : NULL;
    if (w && !w->arrived_us) w->arrived_us = ch4_clock_us();
}

static void serve_tap(ch4_frame *f)
{
    ch4_err err = {0};
    if (ch4_tap_out_serve(f->tap, &err)) refused(f, &err);
}

static outcome take_items(ch4_frame *f)
{
    for (;;) {
        ch4_msg *msg;
        ch4_err err = {0};
        ch4_status status = ch4_edge_in_try_recv(f->in, &msg, &err);
        if (status == CH4_EAGAIN) return GO_ON;
        if (status == CH4_EPROTO) {
            refused(f, &err);
            continue;
        }
        if (status) return give_up(f, status, &err);
        ch4_tap_out_publish(f->tap, msg, false);
        char clip[CH4_MSG_NAME];
        snprintf(clip, sizeof clip, "%s", ch4_msg_get_clip(msg));
        const int64_t index = ch4_msg_get_index(msg);
        ch4_flow_answer answer;
        status = ch4_flow_add(&f->flow, &msg, &answer, &err);
        if (status == CH4_EPROTO) {
            refused(f, &err);
            continue;
        }
        if (!status && answer == CH4_FLOW_ACK) status = ch4_edge_in_ack(f->in, clip, index, &err);
        if (status) return give_up(f, status, &err);
        note_arrival(f, clip, index);
    }
}

static void take_signals(ch4_frame *f)
{
    struct signalfd_siginfo s;
    while (read(f->signal_fd, &s, sizeof s) == (ssize_t)sizeof s) {
        if (f->stop_signal) _exit(128 + (int)s.ssi_signo); /* the second one */
        f->stop_signal = (int)s.ssi_signo;
        ch4_log_info(&f->log, "stopping after the work in hand", CH4_INT("signal", f->stop_signal));
    }
}

/* --- handing out work --------------------------------------------------------------------------------------------------------- */

static void give_window(ch4_frame *f, const ch4_flow_clip *c, ch4_flow_window *w)
{
    const Ch4__Window *m = ch4_msg_get_envelope(w->msg)->window;
    ch4_task t = {.kind = CH4_TASK_WINDOW, .index = w->index, .n_windows = m->n_windows, .n_frames = m->n_frames};
    snprintf(t.clip, sizeof t.clip, "%s", c->name);
    snprintf(t.input, sizeof t.input, "%s", c->input);
    for (size_t i = 0; i < m->n_parts; i++) {
        if (strcmp(m->parts[i]->stage, f->def->from)) continue;
        snprintf(t.from.file, sizeof t.from.file, "%s", m->parts[i]->file);
        snprintf(t.from.checksum, sizeof t.from.checksum, "%s", m->parts[i]->checksum);
        t.from.bytes = m->parts[i]->bytes;
    }
    ch4_flow_start(&f->flow, w);
    w->started_us = ch4_clock_us();
    if (!w->offered_us) w->offered_us = w->started_us;
    ch4_work_write(ch4_bus_get_folder(f->bus), f->def->name, t.clip, t.index);
    ch4_frame_give(f, &t);
    f->beat_now = true;
}

/* end_clip for the first clip that needs it. */
static bool give_end(ch4_frame *f)
{
    for (ch4_flow_clip *c = f->flow.clips; c; c = c->next) {
        if (c->told_stage || ch4_flow_clip_busy(c) || (c->state == CH4_CLIP_OPEN && !c->end_sent)) continue;
        c->told_stage = true;
        ch4_task t = {.kind = CH4_TASK_END_CLIP, .index = -1};
        snprintf(t.clip, sizeof t.clip, "%s", c->name);
        ch4_frame_give(f, &t);
        return true;
    }
    return false;
}

static void give_work(ch4_frame *f)
{
    if (!f->ready || f->stop_signal || !ch4_frame_worker_idle(f) || give_end(f)) return;
    double now = ch4_clock_seconds();
    ch4_flow_clip *c;
    if (f->def->from) {
        ch4_flow_window *w = ch4_flow_next(&f->flow, now, &c);
        if (w) give_window(f, c, w);
        return;
    }
    c = ch4_flow_next_job(&f->flow, now);
    if (!c) return;
    ch4_task t = {.kind = CH4_TASK_CLIP, .index = -1};
    snprintf(t.clip, sizeof t.clip, "%s", c->name);
    snprintf(t.input, sizeof t.input, "%s", c->input);
    c->job_running = true;
    f->n_emitted = 0;
    f->clip_since = ch4_clock_seconds();
    f->waiting_since = f->waited = 0;
    f->turn_us = ch4_clock_us();
    ch4_work_write(ch4_bus_get_folder(f->bus), f->def->name, t.clip, t.index);
    ch4_frame_give(f, &t);
    f->beat_now = true;
}

/* --- the loop ------------------------------------------------------------------------------------------------------------------ */

static outcome finished(ch4_frame *f)
{
    if (!ch4_frame_worker_idle(f)) return GO_ON;
    if (f->stop_signal) return EXIT_DONE;
    if (f->stream_end < 0) return GO_ON;
    for (const ch4_flow_clip *c = f->flow.clips; c; c = c->next)
        if (c->state == CH4_CLIP_ENDED && !c->told_stage) return GO_ON; /* end_clip comes first */
    if (ch4_flow_empty(&f->flow) && ch4_edge_out_unacked(f->out) == 0) return EXIT_DONE;
    ch4_log_error(&f->log, "the stream ended while windows are still here", CH4_INT("clips", f->stream_end));
    return EXIT_FAILED;
}

static outcome tell_state(ch4_frame *f, double now)
{
    ch4_err err = {0};
    ch4_stage_note_line notes[CH4_STAGE_NOTES];
    int n = ch4_frame_take_notes(f, notes);
    ch4_status status = CH4_OK;
    for (int i = 0; i < n && !status; i++) status = ch4_frame_send_note(f, &notes[i], &err);
    if (!status && (f->beat_now || now >= f->next_beat)) {
        status = ch4_frame_send_beat(f, &err);
        f->beat_now = false;
        f->next_beat = now + f->config.pipeline.heartbeat_s;
    }
    if (!status) status = ch4_edge_in_tick(f->in, now, &err);
    return status ? give_up(f, status, &err) : GO_ON;
}

static outcome serve(ch4_frame *f)
{
    ch4_err err = {0};
    take_control(f);
    serve_tap(f);
    outcome o = take_items(f);
    if (o == GO_ON) o = take_result(f);
    if (o == GO_ON) o = take_emission(f);
    if (o != GO_ON) return o;
    ch4_status status = pass_ends(f, &err);
    if (status) return give_up(f, status, &err);
    give_work(f);
    status = ch4_edge_out_serve(f->out, &err);
    if (status == CH4_EPROTO) refused(f, &err);
    else if (status) return give_up(f, status, &err);
    return GO_ON;
}

static double seconds_to_wait(const ch4_frame *f)
{
    double now = ch4_clock_seconds(), wait = f->next_beat - now, again = ch4_flow_wait(&f->flow, now);
    if (wait > 0.05) wait = 0.05; /* the edges say Hello and look for lost peers */
    if (again >= 0 && again < wait) wait = again;
    return wait > 0.001 ? wait : 0.001;
}

static int loop(ch4_frame *f)
{
    const ch4_task open = {.kind = CH4_TASK_OPEN, .index = -1};
    ch4_frame_give(f, &open);
    for (;;) {
        ch4_sock *socks[4] = {f->control, ch4_edge_out_sock(f->out), ch4_edge_in_sock(f->in), ch4_tap_out_sock(f->tap)};
        const int fds[2] = {f->signal_fd, f->wake_fd};
        bool fd_ready[2];
        ch4_err err = {0};
        ch4_status status = ch4_bus_poll(socks, 4, fds, 2, fd_ready, seconds_to_wait(f), &err);
        if (status) return give_up(f, status, &err);
        uint64_t count;
        if (fd_ready[1] && read(f->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN) return EXIT_FAILED;
        if (fd_ready[0]) take_signals(f);
        outcome o = serve(f);
        if (o == GO_ON) o = tell_state(f, ch4_clock_seconds());
        if (o == GO_ON) o = finished(f);
        if (o != GO_ON) return o;
    }
}

int ch4_frame_run(ch4_frame *f)
{
    int code = loop(f);
    const ch4_tap_counts n = ch4_tap_out_counts(f->tap);
    ch4_log_write(&f->log, n.dropped ? CH4_LOG_WARN : CH4_LOG_INFO, "tap",
                  (const ch4_kv[]){CH4_INT("passed", n.passed), CH4_INT("copies", n.copies), CH4_INT("dropped", n.dropped), {.type = CH4_KV_END}});
    return code;
}
