/* ch4_msg: one message of the wire, owned. The protobuf envelope behind it is hostile until ch4_msg_decode has checked it.
 *
 * Memory: a decoded envelope lives in one arena whose size is bounded by the message's (at most CH4_MSG_ARENA), so that a
 * message of many empty parts or unknown fields cannot grow without limit; it is released as a whole. */
#ifndef CH4_BUS_MSG_H
#define CH4_BUS_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "control.pb-c.h"

enum {
    CH4_WIRE_SCHEMA = 1,
    CH4_MSG_BYTES = 64 * 1024,    /* largest packed envelope */
    CH4_MSG_ARENA = 1024 * 1024,  /* largest decoded envelope */
    CH4_MSG_NAME = 128,           /* longest clip name with its NUL */
    CH4_MSG_PARTS = 16,           /* most parts of a window */
    CH4_MSG_NOTES = 1023,         /* longest notes of a part */
};

/* Who speaks: written into every message, checked in every message. */
typedef struct ch4_identity {
    char run_id[33];      /* 32 hex digits */
    char name[32];        /* stage name, or "orchestrator" */
    int64_t epoch;
    uint64_t incarnation; /* differs between two lives of the same stage; not 0 */
} ch4_identity;

typedef struct ch4_msg ch4_msg;

/* Packs a copy of the body of e (the sender's fields are filled in from me). CH4_EINVAL if it does not pass the checks of decode (programming
 * errors and names that are too long), CH4_ENOMEM. */
ch4_status ch4_msg_encode(ch4_msg **out, const ch4_identity *me, const Ch4__Envelope *e, ch4_err *err);

/* Takes size bytes from a peer. CH4_EPROTO with the reason: too long, not an envelope, other schema version, run id or epoch (the text
 * has both), missing or out-of-range fields. me NULL: any run id and epoch will do. */
ch4_status ch4_msg_decode(ch4_msg **out, const ch4_identity *me, const void *bytes, size_t size, ch4_err *err);
void       ch4_msg_destroy(ch4_msg **msg);

const Ch4__Envelope *ch4_msg_get_envelope(const ch4_msg *msg);
const uint8_t       *ch4_msg_get_bytes(const ch4_msg *msg, size_t *size);

/* What the item is about: clip "" for messages without one; index -1 for those about a whole clip. */
const char *ch4_msg_get_clip(const ch4_msg *msg);
int64_t     ch4_msg_get_index(const ch4_msg *msg);

/* Bytes of credit that a message takes on an edge: its own size, and the size of the file of a window's last part. */
int64_t ch4_msg_get_cost(const ch4_msg *msg);

/* Clip names are folder names: 1 to CH4_MSG_NAME - 1 bytes of [A-Za-z0-9._-], not starting with a dot. */
bool ch4_clip_name_ok(const char *name);

#endif
