/* Taps: how anybody listens to what passes by a stage, without being part of the run.
 *
 *   stage (ROUTER, binds <stage>.tap)                listener (DEALER, connects)
 *     serve                                    <---   Hello, every half second (credit_bytes 0: farewell)
 *     welcome: Tap {sequence}, nothing in it   --->
 *     publish(message) -> Tap {sequence, ...}  --->   a gap in the sequence is what it was too slow for
 *
 * Not PUB and SUB, which drop without a word: here each copy that a listener has no room for is counted, and a listener that stands still
 * costs the others nothing. The stage never waits for one: CH4_TAP_QUEUE messages of a listener wait in the stage, what comes then is dropped;
 * one that has not said Hello for CH4_TAP_TTL seconds is forgotten. Without a listener a published message is a counter that
 * goes up: nothing is packed or copied. */
#ifndef CH4_BUS_TAP_H
#define CH4_BUS_TAP_H

#include "bus/bus.h"

enum {
    CH4_TAP_LISTENERS = 32, /* at once; more get no welcome until one goes */
    CH4_TAP_QUEUE = 64,     /* messages */
    CH4_TAP_TTL = 3,        /* seconds */
};

/* --- the stage's end ---------------------------------------------------------------------------------------------------- */

typedef struct ch4_tap_out ch4_tap_out;

typedef struct ch4_tap_counts {
    int64_t passed;    /* messages that went by */
    int64_t listeners; /* now */
    int64_t copies;    /* given to listeners */
    int64_t dropped;   /* copies that listeners had no room for */
} ch4_tap_counts;

ch4_status ch4_tap_out_open(ch4_tap_out **out, ch4_bus *bus, const char *stage, ch4_err *err);
void       ch4_tap_out_close(ch4_tap_out **tap);
ch4_sock  *ch4_tap_out_sock(ch4_tap_out *tap);   /* to wait for */

/* Takes in who listens. CH4_EPROTO: something was refused; call again. Never waits. */
ch4_status ch4_tap_out_serve(ch4_tap_out *tap, ch4_err *err);

/* A window, clip end or job passed by; other messages are no business of listeners. Cannot fail: what cannot be told is dropped, and counted. */
void ch4_tap_out_publish(ch4_tap_out *tap, const ch4_msg *msg, bool sent);

ch4_tap_counts ch4_tap_out_counts(const ch4_tap_out *tap);

/* --- the listener's end --------------------------------------------------------------------------------------------------- */

typedef struct ch4_tap_in ch4_tap_in;

/* bus: of the listener, with a name of its own among all listeners. The stage need not be there yet. */
ch4_status ch4_tap_in_open(ch4_tap_in **out, ch4_bus *bus, const char *stage, ch4_err *err);
void       ch4_tap_in_close(ch4_tap_in **tap);
ch4_sock  *ch4_tap_in_sock(ch4_tap_in *tap);

/* Says Hello if it is time (`now` from ch4_clock_seconds). Call at least every half second. */
ch4_status ch4_tap_in_tick(ch4_tap_in *tap, double now, ch4_err *err);

/* Next message without waiting: *out is a Tap with one of its bodies. CH4_EAGAIN: none. CH4_EPROTO: something was refused. A stage that ends says
 * nothing (another process of it may follow): whether the run is over, OUT/lock tells. */
ch4_status ch4_tap_in_try_recv(ch4_tap_in *tap, ch4_msg **out, ch4_err *err);

bool    ch4_tap_in_welcome(const ch4_tap_in *tap); /* the stage has answered at least once */
int64_t ch4_tap_in_missed(const ch4_tap_in *tap);  /* messages that passed since the welcome and did not come */

#endif
