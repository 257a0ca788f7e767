#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    ch4_status status;
    int exit_code;
    const char *name, *text;
} status_table[] = {
#define X(name, code, text, exit_code) {(name), (exit_code), #name, (text)},
    CH4_STATUS_LIST(X)
#undef X
};

enum { N_STATUS = sizeof status_table / sizeof status_table[0] };

/* The codes are 0, -1, -2, ... in table order, so a status is its own index. */
static int status_index(ch4_status status)
{
    int i = -(int)status;
    return i >= 0 && i < N_STATUS ? i : -(int)CH4_EINTERNAL;
}

const char *ch4_status_name(ch4_status status)
{
    return status_table[status_index(status)].name;
}

const char *ch4_status_text(ch4_status status)
{
    return status_table[status_index(status)].text;
}

int ch4_status_exit_code(ch4_status status)
{
    return status_table[status_index(status)].exit_code;
}

ch4_status ch4_status_from_errno(int errnum)
{
    switch (errnum) {
    case 0: return CH4_OK;
    case ENOENT: case ENOTDIR: return CH4_ENOENT;
    case ENOMEM: return CH4_ENOMEM;
    case ENOSPC: case EDQUOT: return CH4_ENOSPC;
    case EEXIST: return CH4_EEXIST;
    default: return CH4_EIO;
    }
}

/* A message is one line: whatever a file name or a peer put into it must not break a log. */
static void to_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

ch4_status ch4_err_set(ch4_err *err, ch4_status status, const char *fmt, ...)
{
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        to_one_line(err->msg);
        err->status = status;
    }
    return status;
}

ch4_status ch4_err_set_errno(ch4_err *err, int errnum, const char *fmt, ...)
{
    ch4_status status = ch4_status_from_errno(errnum);
    if (err) {
        char context[CH4_ERR_MSG];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(context, sizeof context, fmt, ap);
        va_end(ap);
        ch4_err_set(err, status, "%s: %s", context, strerror(errnum));
    }
    return status;
}

ch4_status ch4_err_wrap(ch4_err *err, ch4_status status, const char *fmt, ...)
{
    if (err) {
        char inner[CH4_ERR_MSG], context[CH4_ERR_MSG];
        memcpy(inner, err->msg, sizeof inner);
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(context, sizeof context, fmt, ap);
        va_end(ap);
        ch4_err_set(err, status, "%s: %s", context, inner[0] ? inner : ch4_status_text(status));
    }
    return status;
}

ch4_status ch4_err_advise(ch4_err *err, ch4_status status, const char *advice)
{
    if (err) {
        char inner[CH4_ERR_MSG];
        memcpy(inner, err->msg, sizeof inner);
        ch4_err_set(err, status, "%.*s: %s", CH4_ERR_MSG - 3 - (int)strlen(advice), inner, advice);
    }
    return status;
}
