/* Between the files of lib/config; not for others. */
#ifndef CH4_CONFIG_SCHEMA_IMPL_H
#define CH4_CONFIG_SCHEMA_IMPL_H

#include "config/schema.h"

/* One scalar of the input. */
typedef struct schema_token {
    const char *text; /* NUL-terminated */
    bool quoted;
    long line, col;   /* from 1; 0: the input has no lines */
} schema_token;

/* One reading: what is filled, what the input is called, where problems go. */
typedef struct schema_reading {
    const ch4_schema *schema;
    void *obj;
    const char *name;
    ch4_problems *problems;
    bool out_of_memory;
} schema_reading;

/* Adds "name:line:col: text". */
void schema_problem(schema_reading *r, long line, long col, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Parses tokens into the option's field; on a problem the field keeps its value. is_list: the input wrote a list. */
void schema_assign(schema_reading *r, const ch4_opt *opt, const schema_token *tokens, int64_t n, bool is_list, schema_token at);

/* Parses one text ("16", "[1, 2]", "1,2") into the option's field. */
void schema_assign_text(schema_reading *r, const ch4_opt *opt, const char *text);

/* Turns the problems of a reading into a status and one line of text. */
ch4_status schema_verdict(const schema_reading *r, ch4_err *err);

/* Option whose path, or a leading part of whose path (a section), is nearest to `path`; *len tells how much of it. NULL if none is near. */
const ch4_opt *schema_nearest(const ch4_schema *schema, const char *path, size_t *len);

/* True if some option lies below `path`. */
bool schema_is_section(const ch4_schema *schema, const char *path);

/* Writes "1..4096", "auto|never" or "" into out: what the option allows. */
void schema_describe_range(const ch4_opt *opt, char *out, size_t size);

#endif
