#include "base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE = 4096 };

static const char *const level_name[] = {"debug", "info", "warn", "error"};

typedef struct line {
    char text[LINE];
    size_t used;
} line;

static void put(line *l, const char *s, size_t n)
{
    size_t room = LINE - 1 - l->used; /* the last byte stays free for the newline */
    if (n > room)
        n = room;
    memcpy(l->text + l->used, s, n);
    l->used += n;
}

static void put_str(line *l, const char *s)
{
    put(l, s, strlen(s));
}

static void put_quoted(line *l, const char *s)
{
    char esc[8];
    put(l, "\"", 1);
    for (; *s && l->used < LINE - 64; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            snprintf(esc, sizeof esc, "\\%c", c);
            put_str(l, esc);
        } else if (c < 0x20 || c == 0x7f) {
            snprintf(esc, sizeof esc, "\\u%04x", c);
            put_str(l, esc);
        } else {
            put(l, (const char *)&c, 1);
        }
    }
    put(l, "\"", 1);
}

static void put_value(line *l, const ch4_kv *kv, ch4_log_format format)
{
    char num[40];
    switch (kv->type) {
    case CH4_KV_INT:
        snprintf(num, sizeof num, "%" PRId64, kv->i);
        put_str(l, num);
        break;
    case CH4_KV_REAL:
        if (isfinite(kv->x))
            snprintf(num, sizeof num, "%.6g", kv->x);
        else
            snprintf(num, sizeof num, "%s", format == CH4_LOG_JSON ? "null" : "nan");
        put_str(l, num);
        break;
    default:
        if (format == CH4_LOG_JSON)
            put_quoted(l, kv->s ? kv->s : "");
        else
            put_str(l, kv->s ? kv->s : "");
    }
}

ch4_log ch4_log_make(int fd, ch4_log_level level, ch4_log_format format, const char *who)
{
    ch4_log log = {.fd = fd, .level = level, .format = format};
    snprintf(log.who, sizeof log.who, "%s", who);
    return log;
}

ch4_status ch4_log_parse_level(ch4_log_level *out, const char *text, ch4_err *err)
{
    for (int i = 0; i < 4; i++)
        if (strcmp(text, level_name[i]) == 0) {
            *out = (ch4_log_level)i;
            return CH4_OK;
        }
    return ch4_err_set(err, CH4_ECONFIG, "log level '%s' is not one of debug, info, warn, error", text);
}

void ch4_log_write(const ch4_log *log, ch4_log_level level, const char *text, const ch4_kv *kv)
{
    if (!log || log->fd < 0 || level < log->level)
        return;
    line l = {.used = 0};
    if (log->format == CH4_LOG_JSON) {
        char now[CH4_CLOCK_ISO], head[128];
        ch4_clock_iso(now);
        snprintf(head, sizeof head, "{\"ts\":\"%s\",\"level\":\"%s\",\"pid\":%ld,\"who\":", now, level_name[level], (long)getpid());
        put_str(&l, head);
        put_quoted(&l, log->who);
        put_str(&l, ",\"event\":");
        put_quoted(&l, text);
        for (; kv->type != CH4_KV_END; kv++) {
            put_str(&l, ",");
            put_quoted(&l, kv->key);
            put_str(&l, ":");
            put_value(&l, kv, log->format);
        }
        put_str(&l, "}");
    } else {
        put_str(&l, log->who);
        put_str(&l, ": ");
        if (level != CH4_LOG_INFO) {
            put_str(&l, level_name[level]);
            put_str(&l, ": ");
        }
        put_str(&l, text);
        for (; kv->type != CH4_KV_END; kv++) {
            put_str(&l, " ");
            put_str(&l, kv->key);
            put_str(&l, "=");
            put_value(&l, kv, log->format);
        }
        for (size_t i = 0; i < l.used; i++)
            if ((unsigned char)l.text[i] < 0x20)
                l.text[i] = ' ';
    }
    l.text[l.used++] = '\n';
    ssize_t n = write(log->fd, l.text, l.used);
    (void)n; /* nowhere to report that the log itself cannot be written */
}
