#include "bus/edge.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"

enum { MAX_PEERS = 16, NOBODY = -1 };

typedef struct peer {
    char name[32];
    uint64_t incarnation; /* 0: the place is free */
    int64_t credit, flight;
    double last_hello;
} peer;

typedef struct item {
    struct item *next;
    ch4_msg *msg;
    int64_t cost;
    int to;      /* place of the peer it was sent to, NOBODY before */
    bool acked;
} item;

struct ch4_edge_out {
    ch4_sock *sock;
    double peer_ttl;
    peer peers[MAX_PEERS];
    item *first;
};

struct ch4_edge_in {
    ch4_sock *sock;
    int64_t credit;
    double heartbeat, next_hello;
};

/* --- producer ---------------------------------------------------------------------------------------------------------- */

ch4_status ch4_edge_out_open(ch4_edge_out **out, ch4_bus *bus, const char *name, double peer_ttl, ch4_err *err)
{
    *out = NULL;
    ch4_edge_out *e;
    ch4_status status = ch4_calloc(&e, 1, sizeof *e, "an edge", err);
    if (status) return status;
    e->peer_ttl = peer_ttl;
    status = ch4_sock_bind(&e->sock, bus, name, err);
    if (!status) *out = e, e = NULL;
    ch4_edge_out_close(&e);
    return status;
}

static void item_free(item *it)
{
    ch4_msg_destroy(&it->msg);
    free(it);
}

void ch4_edge_out_close(ch4_edge_out **edge)
{
    if (!edge || !*edge) return;
    for (item *it = (*edge)->first, *next; it; it = next) {
        next = it->next;
        item_free(it);
    }
    ch4_sock_close(&(*edge)->sock);
    free(*edge);
    *edge = NULL;
}

ch4_sock *ch4_edge_out_sock(ch4_edge_out *edge)
{
    return edge->sock;
}

static void release_credit(ch4_edge_out *e, item *it)
{
    if (it->to != NOBODY && !it->acked) e->peers[it->to].flight -= it->cost;
}

/* The peer that had these items is gone: they are to be sent again. */
static void take_back(ch4_edge_out *e, int place)
{
    for (item *it = e->first; it; it = it->next)
        if (it->to == place) it->to = NOBODY, it->acked = false;
    e->peers[place].flight = 0;
}

static item **find_item(ch4_edge_out *e, const char *clip, int64_t index)
{
    item **at = &e->first;
    while (*at && (ch4_msg_get_index((*at)->msg) != index || strcmp(ch4_msg_get_clip((*at)->msg), clip))) at = &(*at)->next;
    return at;
}

static void drop_item(ch4_edge_out *e, item **at)
{
    item *it = *at;
    if (!it) return;
    release_credit(e, it);
    *at = it->next;
    item_free(it);
}

/* First peer that may be sent `cost` bytes more. */
static int find_room(const ch4_edge_out *e, int64_t cost)
{
    for (int p = 0; p < MAX_PEERS; p++) {
        const peer *q = &e->peers[p];
        if (q->incarnation && (q->flight == 0 || q->flight + cost <= q->credit)) return p;
    }
    return NOBODY;
}

static ch4_status pump(ch4_edge_out *e, ch4_err *err)
{
    for (item *it = e->first; it; it = it->next) {
        if (it->to != NOBODY) continue;
        int p = find_room(e, it->cost);
        if (p == NOBODY) return CH4_OK; /* in order: a smaller one behind it waits too */
        ch4_status status = ch4_bus_send_copy(e->sock, e->peers[p].name, it->msg, err);
        if (status == CH4_EAGAIN) { /* disconnected: it will say Hello again */
            e->peers[p].incarnation = 0;
            take_back(e, p);
            return CH4_OK;
        }
        if (status) return status;
        it->to = p;
        e->peers[p].flight += it->cost;
    }
    return CH4_OK;
}

static void on_hello(ch4_edge_out *e, const Ch4__Envelope *env)
{
    int place = NOBODY;
    for (int p = MAX_PEERS - 1; p >= 0; p--)
        if (!strcmp(e->peers[p].name, env->from)) place = p;
    for (int p = MAX_PEERS - 1; p >= 0 && place == NOBODY; p--)
        if (!e->peers[p].incarnation) place = p;
    if (place == NOBODY) return; /* sixteen others are alive: this one gets nothing until one of them goes */
    peer *q = &e->peers[place];
    if (q->incarnation != env->incarnation) {
        take_back(e, place);
        strcpy(q->name, env->from); /* at most 31 bytes: checked by ch4_msg_decode */
        q->incarnation = env->incarnation;
    }
    q->credit = env->hello->credit_bytes;
    q->last_hello = ch4_clock_seconds();
}

static void on_ack(ch4_edge_out *e, const Ch4__Envelope *env)
{
    item *it = *find_item(e, env->ack->clip, env->ack->index);
    if (!it || it->to == NOBODY || it->acked) return;
    if (e->peers[it->to].incarnation != env->incarnation) return; /* of a former life */
    release_credit(e, it);
    it->acked = true;
}

static void expire_peers(ch4_edge_out *e)
{
    double now = ch4_clock_seconds();
    for (int p = 0; p < MAX_PEERS; p++) {
        if (!e->peers[p].incarnation || now - e->peers[p].last_hello < e->peer_ttl) continue;
        e->peers[p].incarnation = 0;
        take_back(e, p);
    }
}

ch4_status ch4_edge_out_serve(ch4_edge_out *e, ch4_err *err)
{
    ch4_err refused = {0};
    for (;;) {
        ch4_msg *msg;
        ch4_err why = {0};
        ch4_status status = ch4_bus_try_recv(e->sock, &msg, &why);
        if (status == CH4_EAGAIN) break;
        if (status == CH4_EPROTO) {
            refused = why;
            continue;
        }
        if (status) return ch4_err_set(err, status, "%s", why.msg);
        const Ch4__Envelope *env = ch4_msg_get_envelope(msg);
        if (env->body_case == CH4__ENVELOPE__BODY_HELLO) on_hello(e, env);
        else if (env->body_case == CH4__ENVELOPE__BODY_ACK) on_ack(e, env);
        else ch4_err_set(&refused, CH4_EPROTO, "message of kind %d from %s on an edge", (int)env->body_case, env->from);
        ch4_msg_destroy(&msg);
    }
    expire_peers(e);
    ch4_status status = pump(e, err);
    if (!status && refused.status) status = ch4_err_set(err, refused.status, "%s", refused.msg);
    return status;
}

ch4_status ch4_edge_out_put(ch4_edge_out *e, ch4_msg **msg, ch4_err *err)
{
    item *it;
    ch4_status status = ch4_calloc(&it, 1, sizeof *it, "an item of an edge", err);
    if (status) {
        ch4_msg_destroy(msg);
        return status;
    }
    *it = (item){.msg = *msg, .cost = ch4_msg_get_cost(*msg), .to = NOBODY};
    *msg = NULL;
    drop_item(e, find_item(e, ch4_msg_get_clip(it->msg), ch4_msg_get_index(it->msg)));
    item **end = &e->first;
    while (*end) end = &(*end)->next;
    *end = it;
    return pump(e, err);
}

void ch4_edge_out_retire(ch4_edge_out *e, const char *clip, int64_t index)
{
    drop_item(e, find_item(e, clip, index));
}

void ch4_edge_out_forget(ch4_edge_out *e, const char *clip)
{
    item **at = &e->first;
    while (*at) {
        if (strcmp(ch4_msg_get_clip((*at)->msg), clip)) at = &(*at)->next;
        else drop_item(e, at);
    }
}

int64_t ch4_edge_out_custody(const ch4_edge_out *e)
{
    int64_t n = 0;
    for (const item *it = e->first; it; it = it->next) n += ch4_msg_get_index(it->msg) >= 0;
    return n;
}

int64_t ch4_edge_out_flight_bytes(const ch4_edge_out *e)
{
    int64_t n = 0;
    for (int p = 0; p < MAX_PEERS; p++) n += e->peers[p].flight;
    return n;
}

int64_t ch4_edge_out_unacked(const ch4_edge_out *e)
{
    int64_t n = 0;
    for (const item *it = e->first; it; it = it->next) n += !it->acked;
    return n;
}

/* --- consumer ------------------------------------------------------------------------------------------------------------ */

ch4_status ch4_edge_in_open(ch4_edge_in **out, ch4_bus *bus, const char *name, int64_t credit_bytes, double heartbeat, ch4_err *err)
{
    *out = NULL;
    ch4_edge_in *e;
    ch4_status status = ch4_calloc(&e, 1, sizeof *e, "an edge", err);
    if (status) return status;
    e->credit = credit_bytes;
    e->heartbeat = heartbeat;
    status = ch4_sock_connect(&e->sock, bus, name, err);
    if (!status) *out = e, e = NULL;
    ch4_edge_in_close(&e);
    return status;
}

void ch4_edge_in_close(ch4_edge_in **edge)
{
    if (!edge || !*edge) return;
    ch4_sock_close(&(*edge)->sock);
    free(*edge);
    *edge = NULL;
}

ch4_sock *ch4_edge_in_sock(ch4_edge_in *edge)
{
    return edge->sock;
}

ch4_status ch4_edge_in_tick(ch4_edge_in *e, double now, ch4_err *err)
{
    if (now < e->next_hello) return CH4_OK;
    Ch4__Hello hello = CH4__HELLO__INIT;
    hello.credit_bytes = e->credit;
    Ch4__Envelope env = CH4__ENVELOPE__INIT;
    env.body_case = CH4__ENVELOPE__BODY_HELLO;
    env.hello = &hello;
    ch4_status status = ch4_bus_post(e->sock, NULL, &env, err);
    if (status == CH4_EAGAIN) { /* nobody there yet: soon again */
        e->next_hello = now + 0.02;
        return CH4_OK;
    }
    if (!status) e->next_hello = now + e->heartbeat;
    return status;
}

ch4_status ch4_edge_in_try_recv(ch4_edge_in *e, ch4_msg **out, ch4_err *err)
{
    ch4_status status = ch4_bus_try_recv(e->sock, out, err);
    if (status) return status;
    switch (ch4_msg_get_envelope(*out)->body_case) {
    case CH4__ENVELOPE__BODY_WINDOW:
    case CH4__ENVELOPE__BODY_CLIP_END:
    case CH4__ENVELOPE__BODY_JOB:
        return CH4_OK;
    default:
        status = ch4_err_set(err, CH4_EPROTO, "message of kind %d on an edge", (int)ch4_msg_get_envelope(*out)->body_case);
        ch4_msg_destroy(out);
        return status;
    }
}

ch4_status ch4_edge_in_ack(ch4_edge_in *e, const char *clip, int64_t index, ch4_err *err)
{
    Ch4__Ack ack = CH4__ACK__INIT;
    ack.clip = (char *)clip;
    ack.index = index;
    Ch4__Envelope env = CH4__ENVELOPE__INIT;
    env.body_case = CH4__ENVELOPE__BODY_ACK;
    env.ack = &ack;
    ch4_status status = ch4_bus_post(e->sock, NULL, &env, err);
    return status == CH4_EAGAIN ? CH4_OK : status;
}
