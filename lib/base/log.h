/* ch4_log: one line per event, as text for a terminal or as JSON for run.log. The logger is passed in a context; libraries
 * below lib/stage do not log, they return errors. A line is written with one write(2), so lines of several processes that
 * share a file opened with O_APPEND do not mix. */
#ifndef CH4_BASE_LOG_H
#define CH4_BASE_LOG_H

#include <stdint.h>

#include "base/err.h"

typedef enum ch4_log_level { CH4_LOG_DEBUG, CH4_LOG_INFO, CH4_LOG_WARN, CH4_LOG_ERROR } ch4_log_level;
typedef enum ch4_log_format { CH4_LOG_TEXT, CH4_LOG_JSON } ch4_log_format;

typedef enum ch4_kv_type { CH4_KV_END, CH4_KV_INT, CH4_KV_REAL, CH4_KV_STR } ch4_kv_type;

/* A key and its value; keys are literals of [a-z0-9_]. Made by the three macros below. */
typedef struct ch4_kv {
    ch4_kv_type type;
    const char *key;
    int64_t i;
    double x;
    const char *s;
} ch4_kv;

#define CH4_INT(k, v)  ((ch4_kv){.type = CH4_KV_INT, .key = (k), .i = (v)})
#define CH4_REAL(k, v) ((ch4_kv){.type = CH4_KV_REAL, .key = (k), .x = (v)})
#define CH4_STR(k, v)  ((ch4_kv){.type = CH4_KV_STR, .key = (k), .s = (v)})

typedef struct ch4_log {
    int fd;              /* borrowed; -1 drops everything */
    ch4_log_level level; /* lines below it are not written */
    ch4_log_format format;
    char who[32];        /* program or stage name */
} ch4_log;

ch4_log ch4_log_make(int fd, ch4_log_level level, ch4_log_format format, const char *who);
ch4_status ch4_log_parse_level(ch4_log_level *out, const char *text, ch4_err *err);

/* kv ends with an entry of type CH4_KV_END. Use the macros: ch4_log_info(log, "window done", CH4_INT("window", w)). */
void ch4_log_write(const ch4_log *log, ch4_log_level level, const char *text, const ch4_kv *kv);

#define CH4_LOG_AT(log, level, text, ...) ch4_log_write((log), (level), (text), (const ch4_kv[]){__VA_ARGS__ __VA_OPT__(,) {.type = CH4_KV_END}})
#define ch4_log_debug(log, text, ...) CH4_LOG_AT(log, CH4_LOG_DEBUG, text __VA_OPT__(,) __VA_ARGS__)
#define ch4_log_info(log, text, ...)  CH4_LOG_AT(log, CH4_LOG_INFO, text __VA_OPT__(,) __VA_ARGS__)
#define ch4_log_warn(log, text, ...)  CH4_LOG_AT(log, CH4_LOG_WARN, text __VA_OPT__(,) __VA_ARGS__)
#define ch4_log_error(log, text, ...) CH4_LOG_AT(log, CH4_LOG_ERROR, text __VA_OPT__(,) __VA_ARGS__)

#endif
