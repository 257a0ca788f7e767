#include "bus/msg.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

struct ch4_msg {
    uint8_t *bytes;
    size_t size;
    Ch4__Envelope *env; /* in arena */
    uint8_t *arena;
};

/* --- the budgeted allocator --------------------------------------------------------------------------------------- */

typedef struct arena {
    uint8_t *base;
    size_t used, room;
} arena;

static void *arena_alloc(void *data, size_t size)
{
    arena *a = data;
    size_t need;
    if (!ch4_size_add(size, 15, &need)) return NULL;
    need &= ~(size_t)15;
    if (need > a->room - a->used) return NULL;
    void *p = a->base + a->used;
    a->used += need;
    return p;
}

static void arena_free(void *data, void *p)
{
    (void)data, (void)p; /* the arena goes as a whole */
}

/* --- checks --------------------------------------------------------------------------------------------------------- */

static bool hex_ok(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

bool ch4_clip_name_ok(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);
    return n >= 1 && n < CH4_MSG_NAME && name[0] != '.' && strspn(name, allowed) == n;
}

/* A path inside the run directory: relative, and without a way out. */
static bool file_ok(const char *path)
{
    size_t n = strlen(path);
    if (n == 0 || n > 1024 || path[0] == '/') return false;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (!strncmp(p, "../", 3) || !strcmp(p, "..")) return false;
        if (!*p || *p == '/') return false;
    }
    return true;
}

static const char *check_dataset(const Ch4__Dataset *d)
{
    if (d->name[0] != '/' || strlen(d->name) > 63) return "dataset name";
    if (d->n_shape > 5) return "dataset rank";
    if (!*d->dtype || strlen(d->dtype) > 7) return "dataset type";
    int64_t count = 1;
    for (size_t i = 0; i < d->n_shape; i++) {
        if (d->shape[i] < 0 || __builtin_mul_overflow(count, d->shape[i], &count)) return "dataset shape";
    }
    return NULL;
}

static const char *check_part(const Ch4__Part *p)
{
    if (!*p->stage || strlen(p->stage) > 31) return "stage of a part";
    if (!file_ok(p->file)) return "file of a part";
    if (p->bytes < 0 || p->bytes > (int64_t)1 << 40) return "size of a part";
    if (!hex_ok(p->checksum, 32)) return "checksum of a part";
    if (strlen(p->notes) > CH4_MSG_NOTES) return "notes of a part";
    if (p->times && (p->times->arrived < 0 || p->times->offered < 0 || p->times->started < 0 || p->times->done < 0 || p->times->sent < 0))
        return "times of a part";
    for (size_t i = 0; i < p->n_datasets; i++) {
        const char *bad = check_dataset(p->datasets[i]);
        if (bad) return bad;
    }
    return NULL;
}

static const char *check_window(const Ch4__Window *w)
{
    if (!ch4_clip_name_ok(w->clip)) return "clip name";
    if (w->input[0] != '/') return "input path";
    if (w->n_windows < 1 || w->n_windows > 1000000) return "number of windows";
    if (w->index < 0 || w->index >= w->n_windows) return "window index";
    if (w->n_frames < 1 || w->n_frames > 65536) return "number of frames";
    if (w->n_parts > CH4_MSG_PARTS) return "number of parts";
    for (size_t i = 0; i < w->n_parts; i++) {
        const char *bad = check_part(w->parts[i]);
        if (bad) return bad;
        for (size_t j = 0; j < i; j++)
            if (!strcmp(w->parts[i]->stage, w->parts[j]->stage)) return "two parts of one stage";
    }
    return NULL;
}

static const char *check_clip_end(const Ch4__ClipEnd *e)
{
    if (!ch4_clip_name_ok(e->clip)) return "clip name";
    if (e->input[0] != '/') return "input path";
    return e->n_windows < 1 || e->n_windows > 1000000 ? "number of windows" : NULL;
}

static const char *check_job(const Ch4__Job *j)
{
    if (!ch4_clip_name_ok(j->clip)) return "clip name";
    return j->input[0] != '/' ? "input path" : NULL;
}

static const char *check_tap(const Ch4__Tap *t)
{
    if (t->sequence < 0 || t->time_us < 0) return "sequence";
    if (!!t->window + !!t->clip_end + !!t->job > 1) return "tap: more than one message in it";
    return t->window ? check_window(t->window) : t->clip_end ? check_clip_end(t->clip_end) : t->job ? check_job(t->job) : NULL;
}

/* NULL if the body is sound, else the field that is not. */
static const char *check_body(const Ch4__Envelope *e)
{
    switch (e->body_case) {
    case CH4__ENVELOPE__BODY_WINDOW: return check_window(e->window);
    case CH4__ENVELOPE__BODY_CLIP_END: return check_clip_end(e->clip_end);
    case CH4__ENVELOPE__BODY_JOB: return check_job(e->job);
    case CH4__ENVELOPE__BODY_HELLO: return e->hello->credit_bytes < 0 ? "credit" : NULL;
    case CH4__ENVELOPE__BODY_ACK:
        if (!ch4_clip_name_ok(e->ack->clip)) return "clip name";
        return e->ack->index < -1 ? "window index" : NULL;
    case CH4__ENVELOPE__BODY_RETIRE:
        if (!ch4_clip_name_ok(e->retire->clip)) return "clip name";
        return e->retire->index < 0 ? "window index" : NULL;
    case CH4__ENVELOPE__BODY_FORGET: return ch4_clip_name_ok(e->forget->clip) ? NULL : "clip name";
    case CH4__ENVELOPE__BODY_STREAM_END: return e->stream_end->n_clips < 0 ? "number of clips" : NULL;
    case CH4__ENVELOPE__BODY_BEAT:
        if (*e->beat->clip && !ch4_clip_name_ok(e->beat->clip)) return "clip name";
        return e->beat->windows_done < 0 || e->beat->windows_found < 0 || e->beat->index < -1 ? "counts" : NULL;
    case CH4__ENVELOPE__BODY_CLIP_PLAN:
        if (!ch4_clip_name_ok(e->clip_plan->clip)) return "clip name";
        return e->clip_plan->n_windows < 1 ? "number of windows" : NULL;
    case CH4__ENVELOPE__BODY_FAILURE:
        if (!ch4_clip_name_ok(e->failure->clip)) return "clip name";
        return e->failure->index < -1 || e->failure->status >= 0 ? "status" : NULL;
    case CH4__ENVELOPE__BODY_NOTE: return ch4_clip_name_ok(e->note->clip) ? NULL : "clip name";
    case CH4__ENVELOPE__BODY_TAP: return check_tap(e->tap);
    default: return "kind of message";
    }
}

static ch4_status check_envelope(const Ch4__Envelope *e, const ch4_identity *me, ch4_err *err)
{
    if (e->schema != CH4_WIRE_SCHEMA)
        return ch4_err_set(err, CH4_EPROTO, "message of schema version %u, this is version %d", e->schema, CH4_WIRE_SCHEMA);
    if (!hex_ok(e->run_id, 32)) return ch4_err_set(err, CH4_EPROTO, "message with a bad run id");
    if (me && strcmp(e->run_id, me->run_id))
        return ch4_err_set(err, CH4_EPROTO, "message of run %s, this is run %s", e->run_id, me->run_id);
    if (me && e->epoch != me->epoch)
        return ch4_err_set(err, CH4_EPROTO, "message of epoch %lld, this is epoch %lld", (long long)e->epoch, (long long)me->epoch);
    if (!*e->from || strlen(e->from) > 31 || e->incarnation == 0)
        return ch4_err_set(err, CH4_EPROTO, "message without a sender");
    const char *bad = check_body(e);
    if (bad) return ch4_err_set(err, CH4_EPROTO, "message from %s with a bad %s", e->from, bad);
    return CH4_OK;
}

/* --- making and reading ------------------------------------------------------------------------------------------------ */

/* Unpacks msg->bytes into a fresh arena. NULL envelope: damaged, or over the budget. */
static ch4_status unpack(ch4_msg *msg, ch4_err *err)
{
    size_t room = 16 * 1024 + 16 * msg->size;
    if (room > CH4_MSG_ARENA) room = CH4_MSG_ARENA;
    msg->arena = malloc(room);
    if (!msg->arena) return ch4_err_set(err, CH4_ENOMEM, "out of memory for a message of %zu bytes", msg->size);
    arena a = {.base = msg->arena, .room = room};
    ProtobufCAllocator alloc = {.alloc = arena_alloc, .free = arena_free, .allocator_data = &a};
    msg->env = ch4__envelope__unpack(&alloc, msg->size, msg->bytes);
    if (!msg->env) return ch4_err_set(err, CH4_EPROTO, "not a message: %zu bytes that cannot be unpacked within %zu", msg->size, room);
    return CH4_OK;
}

ch4_status ch4_msg_decode(ch4_msg **out, const ch4_identity *me, const void *bytes, size_t size, ch4_err *err)
{
    *out = NULL;
    if (size > CH4_MSG_BYTES) return ch4_err_set(err, CH4_EPROTO, "message of %zu bytes, limit %d", size, CH4_MSG_BYTES);
    ch4_msg *msg;
    ch4_status status = ch4_calloc(&msg, 1, sizeof *msg, "a message", err);
    if (status) return status;
    status = ch4_calloc(&msg->bytes, 1, size, "a message", err);
    if (status) goto out;
    if (size) memcpy(msg->bytes, bytes, size);
    msg->size = size;
    status = unpack(msg, err);
    if (!status) status = check_envelope(msg->env, me, err);
    if (status) goto out;
    *out = msg, msg = NULL;
out:
    ch4_msg_destroy(&msg);
    return status;
}

ch4_status ch4_msg_encode(ch4_msg **out, const ch4_identity *me, const Ch4__Envelope *e, ch4_err *err)
{
    Ch4__Envelope env = *e;
    env.schema = CH4_WIRE_SCHEMA;
    env.run_id = (char *)me->run_id; /* protobuf-c has no const; pack does not write */
    env.from = (char *)me->name;
    env.epoch = me->epoch;
    env.incarnation = me->incarnation;
    *out = NULL;
    size_t size = ch4__envelope__get_packed_size(&env);
    if (size > CH4_MSG_BYTES) return ch4_err_set(err, CH4_EINVAL, "message of %zu bytes, limit %d", size, CH4_MSG_BYTES);
    uint8_t *bytes;
    ch4_status status = ch4_calloc(&bytes, 1, size, "a message", err);
    if (status) return status;
    ch4__envelope__pack(&env, bytes);
    status = ch4_msg_decode(out, me, bytes, size, err);
    free(bytes);
    if (status != CH4_EPROTO) return status;
    if (err) err->status = CH4_EINVAL;
    return ch4_err_wrap(err, CH4_EINVAL, "not sent");
}

void ch4_msg_destroy(ch4_msg **msg)
{
    if (!msg || !*msg) return;
    free((*msg)->bytes);
    free((*msg)->arena);
    free(*msg);
    *msg = NULL;
}

const Ch4__Envelope *ch4_msg_get_envelope(const ch4_msg *msg)
{
    return msg->env;
}

const uint8_t *ch4_msg_get_bytes(const ch4_msg *msg, size_t *size)
{
    *size = msg->size;
    return msg->bytes;
}

const char *ch4_msg_get_clip(const ch4_msg *msg)
{
    const Ch4__Envelope *e = msg->env;
    switch (e->body_case) {
    case CH4__ENVELOPE__BODY_WINDOW: return e->window->clip;
    case CH4__ENVELOPE__BODY_CLIP_END: return e->clip_end->clip;
    case CH4__ENVELOPE__BODY_JOB: return e->job->clip;
    case CH4__ENVELOPE__BODY_ACK: return e->ack->clip;
    case CH4__ENVELOPE__BODY_RETIRE: return e->retire->clip;
    case CH4__ENVELOPE__BODY_FORGET: return e->forget->clip;
    case CH4__ENVELOPE__BODY_BEAT: return e->beat->clip;
    case CH4__ENVELOPE__BODY_CLIP_PLAN: return e->clip_plan->clip;
    case CH4__ENVELOPE__BODY_FAILURE: return e->failure->clip;
    case CH4__ENVELOPE__BODY_NOTE: return e->note->clip;
    default: return "";
    }
}

int64_t ch4_msg_get_index(const ch4_msg *msg)
{
    const Ch4__Envelope *e = msg->env;
    switch (e->body_case) {
    case CH4__ENVELOPE__BODY_WINDOW: return e->window->index;
    case CH4__ENVELOPE__BODY_ACK: return e->ack->index;
    case CH4__ENVELOPE__BODY_RETIRE: return e->retire->index;
    case CH4__ENVELOPE__BODY_BEAT: return e->beat->index;
    case CH4__ENVELOPE__BODY_FAILURE: return e->failure->index;
    default: return -1;
    }
}

int64_t ch4_msg_get_cost(const ch4_msg *msg)
{
    const Ch4__Envelope *e = msg->env;
    int64_t cost = (int64_t)msg->size;
    if (e->body_case == CH4__ENVELOPE__BODY_WINDOW && e->window->n_parts > 0) cost += e->window->parts[e->window->n_parts - 1]->bytes;
    return cost;
}
