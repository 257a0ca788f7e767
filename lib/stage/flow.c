#include "stage/flow.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* A window that is not ready is offered again after 4, 8, ... 64 ms; one that failed after 0.1, 0.2, ... 3.2 s. */
static const double AGAIN_FIRST = 0.004, AGAIN_LAST = 0.064, RETRY_FIRST = 0.1, RETRY_LAST = 3.2;

ch4_flow_clip *ch4_flow_find(ch4_flow *flow, const char *clip)
{
    for (ch4_flow_clip *c = flow->clips; c; c = c->next)
        if (!strcmp(c->name, clip)) return c;
    return NULL;
}

ch4_flow_window *ch4_flow_find_window(ch4_flow_clip *clip, int64_t index)
{
    for (ch4_flow_window *w = clip->windows; w; w = w->next)
        if (w->index == index) return w;
    return NULL;
}

static void window_free(ch4_flow *flow, ch4_flow_window *w)
{
    flow->waiting -= w->state == CH4_WINDOW_QUEUED;
    ch4_msg_destroy(&w->msg);
    free(w);
}

static void drop_windows(ch4_flow *flow, ch4_flow_clip *c)
{
    for (ch4_flow_window *w = c->windows, *next; w; w = next) {
        next = w->next;
        window_free(flow, w);
    }
    c->windows = NULL;
}

void ch4_flow_free(ch4_flow *flow)
{
    for (ch4_flow_clip *c = flow->clips, *next; c; c = next) {
        next = c->next;
        drop_windows(flow, c);
        free(c->done);
        free(c->input);
        free(c);
    }
    flow->clips = NULL;
}

static ch4_flow_clip *add_clip(ch4_flow *flow, const char *name, const char *input, ch4_err *err)
{
    ch4_flow_clip *c = NULL, **end = &flow->clips;
    if (ch4_calloc(&c, 1, sizeof *c, "a clip", err)) return NULL;
    strcpy(c->name, name); /* fits: checked by ch4_msg_decode */
    c->input = strdup(input);
    if (!c->input) {
        ch4_err_set(err, CH4_ENOMEM, "out of memory for clip %s", name);
        free(c);
        return NULL;
    }
    while (*end) end = &(*end)->next;
    return *end = c;
}

static ch4_status set_n_windows(ch4_flow_clip *c, int64_t n, ch4_err *err)
{
    if (c->n_windows == n) return CH4_OK;
    if (c->n_windows)
        return ch4_err_set(err, CH4_EPROTO, "clip %s has %" PRId64 " windows in one message and %" PRId64 " in another", c->name,
                           c->n_windows, n);
    ch4_status status = ch4_calloc(&c->done, (size_t)n, 1, "the windows of a clip", err);
    if (!status) c->n_windows = n;
    return status;
}

static ch4_status add_window(ch4_flow *flow, ch4_flow_clip *c, ch4_msg **msg, ch4_flow_answer *answer, ch4_err *err)
{
    int64_t index = ch4_msg_get_index(*msg);
    ch4_flow_window *w, **at = &c->windows;
    while (*at && (*at)->index < index) at = &(*at)->next;
    if (*at && (*at)->index == index) { /* offered again by a producer that does not know how far it got */
        *answer = (*at)->state == CH4_WINDOW_DONE ? CH4_FLOW_ACK : CH4_FLOW_TAKEN;
        return CH4_OK;
    }
    ch4_status status = ch4_calloc(&w, 1, sizeof *w, "a window", err);
    if (status) return status;
    *w = (ch4_flow_window){.next = *at, .index = index, .msg = *msg};
    *msg = NULL;
    *at = w;
    flow->waiting++;
    return CH4_OK;
}

static ch4_status add_to_clip(ch4_flow *flow, ch4_flow_clip *c, ch4_msg **msg, ch4_flow_answer *answer, ch4_err *err)
{
    const Ch4__Envelope *e = ch4_msg_get_envelope(*msg);
    ch4_status status;
    switch (e->body_case) {
    case CH4__ENVELOPE__BODY_WINDOW:
        status = set_n_windows(c, e->window->n_windows, err);
        return status ? status : add_window(flow, c, msg, answer, err);
    case CH4__ENVELOPE__BODY_CLIP_END:
        status = set_n_windows(c, e->clip_end->n_windows, err);
        if (status) return status;
        if (c->end_sent) *answer = CH4_FLOW_ACK;
        else c->has_end = true;
        return CH4_OK;
    case CH4__ENVELOPE__BODY_JOB:
        if (c->end_sent) *answer = CH4_FLOW_ACK;
        else c->is_job = true;
        return CH4_OK;
    default:
        return ch4_err_set(err, CH4_EPROTO, "message of kind %d does not belong to a clip", (int)e->body_case);
    }
}

ch4_status ch4_flow_add(ch4_flow *flow, ch4_msg **msg, ch4_flow_answer *answer, ch4_err *err)
{
    const Ch4__Envelope *e = ch4_msg_get_envelope(*msg);
    const char *input = e->body_case == CH4__ENVELOPE__BODY_WINDOW     ? e->window->input
                        : e->body_case == CH4__ENVELOPE__BODY_CLIP_END ? e->clip_end->input
                        : e->body_case == CH4__ENVELOPE__BODY_JOB      ? e->job->input
                                                                       : "";
    *answer = CH4_FLOW_TAKEN;
    ch4_status status = CH4_OK;
    ch4_flow_clip *c = ch4_flow_find(flow, ch4_msg_get_clip(*msg));
    if (!c) c = add_clip(flow, ch4_msg_get_clip(*msg), input, err);
    if (!c) status = CH4_ENOMEM;
    else if (c->state != CH4_CLIP_OPEN) *answer = CH4_FLOW_ACK;
    else status = add_to_clip(flow, c, msg, answer, err);
    ch4_msg_destroy(msg);
    return status;
}

ch4_flow_window *ch4_flow_next(ch4_flow *flow, double now, ch4_flow_clip **clip)
{
    for (ch4_flow_clip *c = flow->clips; c; c = c->next)
        for (ch4_flow_window *w = c->windows; w; w = w->next)
            if (w->state == CH4_WINDOW_QUEUED && w->not_before <= now) {
                *clip = c;
                return w;
            }
    return NULL;
}

ch4_flow_clip *ch4_flow_next_job(ch4_flow *flow, double now)
{
    for (ch4_flow_clip *c = flow->clips; c; c = c->next)
        if (c->is_job && !c->job_running && !c->end_sent && c->state == CH4_CLIP_OPEN && c->not_before <= now) return c;
    return NULL;
}

double ch4_flow_wait(const ch4_flow *flow, double now)
{
    double first = -1;
    for (const ch4_flow_clip *c = flow->clips; c; c = c->next) {
        double at = c->is_job && !c->job_running && !c->end_sent && c->state == CH4_CLIP_OPEN ? c->not_before : -1;
        if (at >= 0 && (first < 0 || at < first)) first = at;
        for (const ch4_flow_window *w = c->windows; w; w = w->next)
            if (w->state == CH4_WINDOW_QUEUED && (first < 0 || w->not_before < first)) first = w->not_before;
    }
    if (first < 0) return -1;
    return first > now ? first - now : 0;
}

void ch4_flow_start(ch4_flow *flow, ch4_flow_window *w)
{
    w->state = CH4_WINDOW_RUNNING;
    flow->waiting--;
}

void ch4_flow_offer_later(ch4_flow *flow, ch4_flow_window *w, double now, bool failed)
{
    double lo = failed ? RETRY_FIRST : AGAIN_FIRST, hi = failed ? RETRY_LAST : AGAIN_LAST;
    w->wait = w->wait * 2 < lo ? lo : w->wait * 2 > hi ? hi : w->wait * 2;
    w->not_before = now + w->wait;
    w->state = CH4_WINDOW_QUEUED;
    w->attempts += failed;
    flow->waiting++;
}

void ch4_flow_set_done(ch4_flow_clip *c, ch4_flow_window *w)
{
    w->state = CH4_WINDOW_DONE;
    c->done[w->index] = 1;
    ch4_msg_destroy(&w->msg);
}

/* A window that is still to be done here stays: the one at the sink was a copy. */
void ch4_flow_retire(ch4_flow *flow, const char *clip, int64_t index)
{
    ch4_flow_clip *c = ch4_flow_find(flow, clip);
    if (!c) return;
    ch4_flow_window **at = &c->windows;
    while (*at && (*at)->index != index) at = &(*at)->next;
    ch4_flow_window *w = *at;
    if (!w || w->state != CH4_WINDOW_DONE) return;
    *at = w->next;
    window_free(flow, w);
}

void ch4_flow_fail(ch4_flow *flow, ch4_flow_clip *c, int64_t index, ch4_status status, const char *text)
{
    if (c->state != CH4_CLIP_OPEN) return;
    c->state = CH4_CLIP_FAILED;
    c->failed_index = index;
    c->failed_status = status;
    strncpy(c->failed_text, text, sizeof c->failed_text - 1);
    drop_windows(flow, c);
}

void ch4_flow_end(ch4_flow *flow, const char *clip)
{
    ch4_flow_clip *c = ch4_flow_find(flow, clip);
    if (!c) c = add_clip(flow, clip, "", NULL);
    if (!c) return;
    c->state = CH4_CLIP_ENDED;
    c->has_end = false;
    drop_windows(flow, c);
    free(c->done);
    c->done = NULL, c->n_windows = 0;
}

bool ch4_flow_clip_busy(const ch4_flow_clip *clip)
{
    for (const ch4_flow_window *w = clip->windows; w; w = w->next)
        if (w->state != CH4_WINDOW_DONE) return true;
    return clip->job_running;
}

bool ch4_flow_empty(const ch4_flow *flow)
{
    for (const ch4_flow_clip *c = flow->clips; c; c = c->next)
        if (c->state != CH4_CLIP_ENDED) return false;
    return true;
}
