/* ch4_status and ch4_err: how every function of chain4d reports failure.
 *
 * A function that can fail returns ch4_status, 0 or negative, and takes a `ch4_err *err` as its last argument. The
 * ch4_err belongs to the caller, may be NULL, and holds one line of text. The place that knows the reason writes it
 * with ch4_err_set; callers only put context in front with ch4_err_wrap. Nothing is global or thread-local. */
#ifndef CH4_BASE_ERR_H
#define CH4_BASE_ERR_H

#define CH4_STATUS_LIST(X)                                                                                            \
    X(CH4_OK, 0, "ok", 0)                                                                                             \
    X(CH4_EINVAL, -1, "invalid argument", 2)                                                                          \
    X(CH4_ENOMEM, -2, "out of memory", 1)                                                                             \
    X(CH4_EIO, -3, "input/output error", 1)                                                                           \
    X(CH4_EFORMAT, -4, "bad input data", 3)                                                                           \
    X(CH4_EUNSUP, -5, "not supported", 1)                                                                             \
    X(CH4_EDEVICE, -6, "device error", 1)                                                                             \
    X(CH4_EAGAIN, -7, "not ready yet", 1)                                                                             \
    X(CH4_ENOENT, -8, "no such file", 3)                                                                              \
    X(CH4_ECONFIG, -9, "bad configuration", 2)                                                                        \
    X(CH4_ECANCELED, -10, "canceled", 1)                                                                              \
    X(CH4_ETIMEDOUT, -11, "timed out", 1)                                                                             \
    X(CH4_ENOSPC, -12, "no space left on device", 1)                                                                  \
    X(CH4_EPROTO, -13, "protocol error", 1)                                                                           \
    X(CH4_EEXIST, -14, "already exists", 1)                                                                           \
    X(CH4_EINTERNAL, -15, "internal error", 1)

typedef enum ch4_status {
#define X(name, code, text, exit_code) name = (code),
    CH4_STATUS_LIST(X)
#undef X
} ch4_status;

enum { CH4_ERR_MSG = 512 };

typedef struct ch4_err {
    ch4_status status;
    char msg[CH4_ERR_MSG]; /* one line, no newline, no status name; empty when nothing failed */
} ch4_err;

/* Name ("CH4_EIO") and short text ("input/output error") of a status; never NULL. */
const char *ch4_status_name(ch4_status status);
const char *ch4_status_text(ch4_status status);

/* Exit code of a program that ends with `status`: 0 done, 1 failed (may be retried), 2 usage or configuration, 3 bad input. */
int ch4_status_exit_code(ch4_status status);

/* Status for an errno value; ENOSPC, EDQUOT, ENOENT, ENOMEM and EEXIST keep their meaning, all others are CH4_EIO. */
ch4_status ch4_status_from_errno(int errnum);

/* Writes status and text into err (if not NULL) and returns status, so that a failing function can end with
 * `return ch4_err_set(err, CH4_EIO, "%s: short read", path);`. Overwrites what was there. */
ch4_status ch4_err_set(ch4_err *err, ch4_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As ch4_err_set with the text of errnum appended ("...: No space left on device") and the status derived from it. */
ch4_status ch4_err_set_errno(ch4_err *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the message that is already there; returns the status that is already there. */
ch4_status ch4_err_wrap(ch4_err *err, ch4_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts ": advice" behind the message that is already there: what the user can do. Returns the status. */
ch4_status ch4_err_advise(ch4_err *err, ch4_status status, const char *advice);

#endif
