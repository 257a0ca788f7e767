/* ch4_schema: a table of options that describes one YAML file and the C struct it fills.
 *
 * The same table reads the file (libyaml), takes `path=value` from a command line, writes the resolved file with every
 * default, and prints the help text, so the four cannot drift apart. Any struct will do: the pipeline file (config.h) and a
 * model's model.yaml are two tables.
 *
 * A file is nested mappings of scalars and of lists of scalars; an option's path names its place ("chain.topk"). Input is
 * hostile until checked: size limit, no anchors, aliases, tags, second documents, duplicate or unknown keys. All problems of a
 * file are collected before anything is returned, one line each:
 *     run.yaml:12:9: chain.topk: 0 is not in 1..4096
 *     run.yaml:14:3: chain.temprature: unknown option, nearest is chain.temperature
 *
 * Not thread-safe; a filled struct is plain data that may be read from any thread. */
#ifndef CH4_CONFIG_SCHEMA_H
#define CH4_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum {
    CH4_SCHEMA_FILE_BYTES = 1 << 20, /* largest file that is read */
    CH4_SCHEMA_LIST_ITEMS = 4096,    /* longest list */
    CH4_SCHEMA_DEPTH = 8,            /* deepest nesting */
};

/* Lists own their memory: freed by ch4_schema_fini. n == 0: v is NULL. */
typedef struct ch4_ints {
    int64_t n;
    int64_t *v;
} ch4_ints;

typedef struct ch4_reals {
    int64_t n;
    double *v;
} ch4_reals;

typedef struct ch4_strs {
    int64_t n;
    char **v;
} ch4_strs;

/* Type of the struct's field: bool, int64_t, double, char * (never NULL, owned), an enum (CHOICE), ch4_ints, ch4_reals, ch4_strs. */
typedef enum ch4_opt_type {
    CH4_OPT_BOOL,
    CH4_OPT_INT,
    CH4_OPT_REAL,
    CH4_OPT_STR,
    CH4_OPT_CHOICE,
    CH4_OPT_INTS,
    CH4_OPT_REALS,
    CH4_OPT_STRS,
} ch4_opt_type;

typedef struct ch4_opt {
    const char *path;    /* "section.name", any depth up to CH4_SCHEMA_DEPTH, unique, no path a prefix of another */
    ch4_opt_type type;
    size_t offset;       /* of the field in the struct */
    const char *def;     /* default, spelled as in the file ("16", "[1, 2]", "auto", ""); NULL: the file must give it */
    double min, max;     /* closed range of numbers and of list elements; min == max: unlimited */
    const char *choices; /* CHOICE: the enum's names in the order of its values 0, 1, ..., as "auto|never|always"; STRS: the
                            allowed elements; else NULL */
    int64_t count;       /* lists: exact number of elements, 0 = any */
    const char *help;    /* one sentence, with unit */
} ch4_opt;

/* Entry of a table whose path equals the member's path in the struct: CH4_OPT(ch4_config, chain.topk, "16", 1, 4096, NULL, "..."). The type
 * follows from the member; enum members must not have negative values. */
#define CH4_OPT(type_, member_, def_, min_, max_, choices_, help_)                                                     \
    {                                                                                                                  \
        .path = #member_, .type = CH4_OPT_TYPE_OF(((type_ *)0)->member_), .offset = offsetof(type_, member_),          \
        .def = (def_), .min = (min_), .max = (max_), .choices = (choices_), .help = (help_)                            \
    }
#define CH4_OPT_TYPE_OF(x)                                                                                             \
    _Generic((x),                                                                                                      \
        bool: CH4_OPT_BOOL, int64_t: CH4_OPT_INT, double: CH4_OPT_REAL, char *: CH4_OPT_STR, unsigned: CH4_OPT_CHOICE, \
        ch4_ints: CH4_OPT_INTS, ch4_reals: CH4_OPT_REALS, ch4_strs: CH4_OPT_STRS)

typedef struct ch4_schema {
    const char *title; /* first comment line of a written file and of the help text */
    const ch4_opt *opts;
    size_t n_opts;
    size_t size;       /* sizeof the struct */
} ch4_schema;

/* All problems of one reading. Zero-initialise; free with ch4_problems_free. */
typedef struct ch4_problems {
    int64_t count;
    char *text;        /* one line each, every line ends in '\n'; NULL if there are none */
    size_t size, room;
} ch4_problems;

void ch4_problems_free(ch4_problems *p);

/* Appends one formatted line; a newline is added. For checks that a table cannot express. Allocation failure keeps the count. */
void ch4_problems_add(ch4_problems *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fills *obj (uninitialised memory of schema->size bytes) with the defaults; an option without default becomes 0, "" or an
 * empty list. Defaults that do not parse are programming errors (asserted). CH4_ENOMEM: *obj is as after fini.
 * ch4_schema_fini frees strings and lists and zeroes the struct; a zeroed struct is fine. */
ch4_status ch4_schema_defaults(const ch4_schema *schema, void *obj, ch4_err *err);
void       ch4_schema_fini(const ch4_schema *schema, void *obj);

/* Reads a file, or size bytes of text that messages call `name`, over what *obj holds (fill it with the defaults first).
 * CH4_ECONFIG if there was any problem: all of them are in *problems (may be NULL), the first one and their number in err;
 * *obj then holds whatever was right. CH4_ENOENT, CH4_EIO, CH4_ENOMEM. An empty file changes nothing. */
ch4_status ch4_schema_load(const ch4_schema *schema, void *obj, const char *path, ch4_problems *problems, ch4_err *err);
ch4_status ch4_schema_parse(const ch4_schema *schema, void *obj, const char *text, size_t size, const char *name,
                            ch4_problems *problems, ch4_err *err);

/* One assignment "path=value" of a command line; lists as "1,2,3" or "[1, 2, 3]". Errors as above, positions read "--set". */
ch4_status ch4_schema_set(const ch4_schema *schema, void *obj, const char *assignment, ch4_problems *problems, ch4_err *err);

/* Writes the struct as a file that ch4_schema_load reads back to the same values, help texts as comments; reals with 17 digits where
 * fewer would not do. _save replaces path atomically (temporary name, fsync, rename). CH4_EIO, CH4_ENOSPC. */
ch4_status ch4_schema_print(const ch4_schema *schema, const void *obj, FILE *out, ch4_err *err);
ch4_status ch4_schema_save(const ch4_schema *schema, const void *obj, const char *path, ch4_err *err);

/* Help text: every option whose path starts with `prefix` (NULL or "": all), with default, range and meaning. */
void ch4_schema_help(const ch4_schema *schema, const char *prefix, FILE *out);

/* The option at `path`, or NULL; and the known path nearest to it by edit distance, or NULL if none is near. */
const ch4_opt *ch4_schema_find(const ch4_schema *schema, const char *path);
const char    *ch4_schema_nearest(const ch4_schema *schema, const char *path);

#endif
