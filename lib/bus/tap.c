#include "bus/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/size.h"

static const double HELLO_S = 0.5;

typedef struct listener {
    char name[32];
    uint64_t incarnation; /* 0: the place is free */
    double last_hello;
} listener;

struct ch4_tap_out {
    ch4_bus *bus;
    ch4_sock *sock;
    listener listeners[CH4_TAP_LISTENERS];
    ch4_tap_counts counts;
};

struct ch4_tap_in {
    ch4_bus *bus;
    ch4_sock *sock;
    double next_hello;
    uint64_t incarnation; /* of the stage; 0 before its welcome */
    int64_t sequence;     /* last one known */
    int64_t missed;
};

static void endpoint_of(char out[40], const char *stage)
{
    snprintf(out, 40, "%.31s.tap", stage);
}

/* --- the stage's end ---------------------------------------------------------------------------------------------------- */

ch4_status ch4_tap_out_open(ch4_tap_out **out, ch4_bus *bus, const char *stage, ch4_err *err)
{
    *out = NULL;
    ch4_tap_out *t;
    char endpoint[40];
    endpoint_of(endpoint, stage);
    ch4_status status = ch4_calloc(&t, 1, sizeof *t, "a tap", err);
    if (status) return status;
    t->bus = bus;
    status = ch4_sock_bind_queue(&t->sock, bus, endpoint, CH4_TAP_QUEUE, err);
    if (!status) *out = t, t = NULL;
    ch4_tap_out_close(&t);
    return status;
}

static void forget(ch4_tap_out *t, listener *l)
{
    l->incarnation = 0;
    t->counts.listeners--;
}

/* One copy to one listener. */
static void offer(ch4_tap_out *t, listener *l, const ch4_msg *msg)
{
    switch (ch4_bus_offer(t->sock, l->name, msg)) {
    case CH4_OFFER_TAKEN: t->counts.copies++; break;
    case CH4_OFFER_FULL: t->counts.dropped++; break;
    default: forget(t, l); break;
    }
}

static ch4_status encode(ch4_msg **out, const ch4_tap_out *t, Ch4__Tap *tap, ch4_err *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    tap->sequence = t->counts.passed;
    tap->time_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_TAP;
    e.tap = tap;
    return ch4_msg_encode(out, ch4_bus_me(t->bus), &e, err);
}

void ch4_tap_out_close(ch4_tap_out **tap)
{
    if (!tap || !*tap) return;
    ch4_sock_close(&(*tap)->sock);
    free(*tap);
    *tap = NULL;
}

ch4_sock *ch4_tap_out_sock(ch4_tap_out *tap)
{
    return tap->sock;
}

static void on_hello(ch4_tap_out *t, const Ch4__Envelope *env)
{
    listener *l = NULL;
    for (int i = CH4_TAP_LISTENERS - 1; i >= 0; i--)
        if (t->listeners[i].incarnation && !strcmp(t->listeners[i].name, env->from)) l = &t->listeners[i];
    if (env->hello->credit_bytes == 0) {
        if (l) forget(t, l);
        return;
    }
    bool known = l && l->incarnation == env->incarnation;
    for (int i = CH4_TAP_LISTENERS - 1; i >= 0 && !l; i--)
        if (!t->listeners[i].incarnation) l = &t->listeners[i];
    if (!l) return;
    if (!l->incarnation) t->counts.listeners++;
    strcpy(l->name, env->from); /* at most 31 bytes: checked by ch4_msg_decode */
    l->incarnation = env->incarnation;
    l->last_hello = ch4_clock_seconds();
    if (known) return;
    Ch4__Tap welcome = CH4__TAP__INIT;
    ch4_msg *msg;
    if (encode(&msg, t, &welcome, NULL)) return;
    offer(t, l, msg);
    ch4_msg_destroy(&msg);
}

ch4_status ch4_tap_out_serve(ch4_tap_out *t, ch4_err *err)
{
    for (;;) {
        ch4_msg *msg;
        ch4_err why = {0};
        ch4_status status = ch4_bus_try_recv(t->sock, &msg, &why);
        if (status == CH4_EAGAIN) break;
        if (status) return ch4_err_set(err, status, "%s", why.msg);
        const Ch4__Envelope *env = ch4_msg_get_envelope(msg);
        if (env->body_case == CH4__ENVELOPE__BODY_HELLO) on_hello(t, env);
        else status = ch4_err_set(err, CH4_EPROTO, "message of kind %d from %s at a tap", (int)env->body_case, env->from);
        ch4_msg_destroy(&msg);
        if (status) return status;
    }
    if (!t->counts.listeners) return CH4_OK;
    double now = ch4_clock_seconds();
    for (int i = 0; i < CH4_TAP_LISTENERS; i++)
        if (t->listeners[i].incarnation && now - t->listeners[i].last_hello > CH4_TAP_TTL) forget(t, &t->listeners[i]);
    return CH4_OK;
}

void ch4_tap_out_publish(ch4_tap_out *t, const ch4_msg *msg, bool sent)
{
    const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
    Ch4__Tap tap = CH4__TAP__INIT;
    switch (e->body_case) {
    case CH4__ENVELOPE__BODY_WINDOW: tap.window = e->window; break;
    case CH4__ENVELOPE__BODY_CLIP_END: tap.clip_end = e->clip_end; break;
    case CH4__ENVELOPE__BODY_JOB: tap.job = e->job; break;
    default: return;
    }
    t->counts.passed++;
    if (!t->counts.listeners) return;
    tap.sent = sent;
    ch4_msg *copy;
    if (encode(&copy, t, &tap, NULL)) { /* just too large with the tap's own fields around it, or out of memory */
        t->counts.dropped += t->counts.listeners;
        return;
    }
    for (int i = 0; i < CH4_TAP_LISTENERS; i++)
        if (t->listeners[i].incarnation) offer(t, &t->listeners[i], copy);
    ch4_msg_destroy(&copy);
}

ch4_tap_counts ch4_tap_out_counts(const ch4_tap_out *t)
{
    return t->counts;
}

/* --- the listener's end --------------------------------------------------------------------------------------------------- */

ch4_status ch4_tap_in_open(ch4_tap_in **out, ch4_bus *bus, const char *stage, ch4_err *err)
{
    *out = NULL;
    ch4_tap_in *t;
    char endpoint[40];
    endpoint_of(endpoint, stage);
    ch4_status status = ch4_calloc(&t, 1, sizeof *t, "a tap", err);
    if (status) return status;
    t->bus = bus;
    status = ch4_sock_connect(&t->sock, bus, endpoint, err);
    if (!status) *out = t, t = NULL;
    ch4_tap_in_close(&t);
    return status;
}

static ch4_status say_hello(ch4_tap_in *t, int64_t credit, ch4_err *err)
{
    Ch4__Hello hello = CH4__HELLO__INIT;
    hello.credit_bytes = credit;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    return ch4_bus_post(t->sock, NULL, &e, err);
}

void ch4_tap_in_close(ch4_tap_in **tap)
{
    if (!tap || !*tap) return;
    if ((*tap)->incarnation) say_hello(*tap, 0, NULL);
    ch4_sock_close(&(*tap)->sock);
    free(*tap);
    *tap = NULL;
}

ch4_sock *ch4_tap_in_sock(ch4_tap_in *tap)
{
    return tap->sock;
}

ch4_status ch4_tap_in_tick(ch4_tap_in *t, double now, ch4_err *err)
{
    if (now < t->next_hello) return CH4_OK;
    ch4_status status = say_hello(t, 1, err);
    t->next_hello = now + (status == CH4_EAGAIN ? 0.02 : HELLO_S);
    return status == CH4_EAGAIN ? CH4_OK : status; /* nobody there yet: soon again */
}

ch4_status ch4_tap_in_try_recv(ch4_tap_in *t, ch4_msg **out, ch4_err *err)
{
    for (;;) {
        ch4_status status = ch4_bus_try_recv(t->sock, out, err);
        if (status) return status;
        const Ch4__Envelope *e = ch4_msg_get_envelope(*out);
        if (e->body_case != CH4__ENVELOPE__BODY_TAP) {
            status = ch4_err_set(err, CH4_EPROTO, "message of kind %d from a tap", (int)e->body_case);
            ch4_msg_destroy(out);
            return status;
        }
        const Ch4__Tap *tap = e->tap;
        const bool empty = !tap->window && !tap->clip_end && !tap->job;
        if (t->incarnation != e->incarnation) { /* the first welcome, or the stage was started again */
            t->incarnation = e->incarnation;
            t->sequence = empty ? tap->sequence : tap->sequence - 1;
        }
        if (tap->sequence > t->sequence) {
            t->missed += tap->sequence - t->sequence - !empty;
            t->sequence = tap->sequence;
        }
        if (!empty) return CH4_OK;
        ch4_msg_destroy(out);
    }
}

bool ch4_tap_in_welcome(const ch4_tap_in *tap)
{
    return tap->incarnation != 0;
}

int64_t ch4_tap_in_missed(const ch4_tap_in *tap)
{
    return tap->missed;
}
