/* Edges: how windows go from one stage to the next without loss and within a bound.
 *
 *   producer (ROUTER, binds)                         consumer (DEALER, connects)
 *     put(item) -> custody                     <---   Hello {credit_bytes}, once per heartbeat
 *     item, while the unacknowledged bytes     --->   try_recv(item) ... commit its own file
 *     stay within the consumer's credit        <---   ack(clip, index)
 *     retire / forget: custody ends
 *
 * Credit is in bytes of what an item stands for (ch4_msg_get_cost); one item always passes when nothing is on its way, so that a window larger
 * than the credit cannot stop the flow. An acknowledgement frees credit. Custody is longer: the producer keeps the (small)
 * message until the window has reached the sink (retire) or its clip is over (forget), because a consumer that dies after its
 * acknowledgement takes the only trace of a window with it. A consumer that comes back as a new incarnation is sent
 * everything in custody again, in order, and sorts out what its files say is done; so a window is done at least once, and its
 * file exactly once. */
#ifndef CH4_BUS_EDGE_H
#define CH4_BUS_EDGE_H

#include "bus/bus.h"

/* --- producer --------------------------------------------------------------------------------------------------------- */

typedef struct ch4_edge_out ch4_edge_out;

/* Binds the edge `name` (the producing stage). peer_ttl: a consumer that has not said Hello for so many seconds is taken for gone; what it
 * had not acknowledged goes to the next one that comes. */
ch4_status ch4_edge_out_open(ch4_edge_out **out, ch4_bus *bus, const char *name, double peer_ttl, ch4_err *err);
void       ch4_edge_out_close(ch4_edge_out **edge);
ch4_sock  *ch4_edge_out_sock(ch4_edge_out *edge); /* to wait for */

/* Takes *msg (window, clip end or job) into custody and nulls the pointer, also on failure. An item with the same clip and index replaces the
 * one in custody. Sent as soon as there is credit. CH4_ENOMEM, CH4_EIO. */
ch4_status ch4_edge_out_put(ch4_edge_out *edge, ch4_msg **msg, ch4_err *err);

/* Takes in what consumers said, sends what their credit allows. CH4_EPROTO: something was refused, the rest is done; call again.
 * Never waits; call it when the socket is readable and once per heartbeat. */
ch4_status ch4_edge_out_serve(ch4_edge_out *edge, ch4_err *err);

void ch4_edge_out_retire(ch4_edge_out *edge, const char *clip, int64_t index); /* unknown ones are fine */
void ch4_edge_out_forget(ch4_edge_out *edge, const char *clip);

int64_t ch4_edge_out_custody(const ch4_edge_out *edge);     /* windows in custody (clip ends and jobs not counted) */
int64_t ch4_edge_out_flight_bytes(const ch4_edge_out *edge); /* sent and not acknowledged */
int64_t ch4_edge_out_unacked(const ch4_edge_out *edge);     /* items not acknowledged, sent or not */

/* --- consumer --------------------------------------------------------------------------------------------------------- */

typedef struct ch4_edge_in ch4_edge_in;

ch4_status ch4_edge_in_open(ch4_edge_in **out, ch4_bus *bus, const char *name, int64_t credit_bytes, double heartbeat, ch4_err *err);
void       ch4_edge_in_close(ch4_edge_in **edge);
ch4_sock  *ch4_edge_in_sock(ch4_edge_in *edge);

/* Says Hello if it is time: `now` from ch4_clock_seconds. Call at least once per heartbeat. */
ch4_status ch4_edge_in_tick(ch4_edge_in *edge, double now, ch4_err *err);

/* Next item without waiting. CH4_EAGAIN: none. CH4_EPROTO: something was refused. */
ch4_status ch4_edge_in_try_recv(ch4_edge_in *edge, ch4_msg **out, ch4_err *err);

/* The item's file is committed (or the item is not wanted). If the producer is away, it asks again after its return. */
ch4_status ch4_edge_in_ack(ch4_edge_in *edge, const char *clip, int64_t index, ch4_err *err);

#endif
