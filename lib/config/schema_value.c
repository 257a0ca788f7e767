/* Text to values: one option's field from the scalars that the input gave. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "config/schema_impl.h"

void schema_describe_range(const ch4_opt *opt, char *out, size_t size)
{
    out[0] = 0;
    if (opt->choices)
        snprintf(out, size, "%s", opt->choices);
    else if (opt->min < opt->max)
        snprintf(out, size, "%.12g..%.12g", opt->min, opt->max);
}

/* Index of name among "a|b|c", or -1. */
static int choice_index(const char *choices, const char *name)
{
    size_t n = strlen(name);
    int index = 0;
    for (const char *c = choices;; index++) {
        size_t l = strcspn(c, "|");
        if (l == n && strncmp(c, name, n) == 0)
            return index;
        if (!c[l])
            return -1;
        c += l + 1;
    }
}

/* Text must be UTF-8, or the file that is written from it could not be read again. */
static bool is_utf8(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    while (*c) {
        int more = *c < 0x80 ? 0 : *c >= 0xc2 && *c < 0xe0 ? 1 : *c >= 0xe0 && *c < 0xf0 ? 2 : *c >= 0xf0 && *c < 0xf5 ? 3 : -1;
        if (more < 0)
            return false;
        for (c++; more > 0; more--, c++)
            if ((*c & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static bool in_range(const ch4_opt *opt, double x)
{
    return !(opt->min < opt->max) || (x >= opt->min && x <= opt->max);
}

/* The parsers below return NULL, or what was expected instead. */
static const char *parse_bool(bool *out, const schema_token *t)
{
    *out = strcmp(t->text, "true") == 0;
    return !t->quoted && (*out || strcmp(t->text, "false") == 0) ? NULL : "true or false";
}

static const char *parse_int(int64_t *out, const schema_token *t)
{
    const char *s = t->text;
    size_t sign = *s == '-' || *s == '+';
    size_t digits = strspn(s + sign, "0123456789");
    errno = 0;
    *out = strtoll(s, NULL, 10);
    return !t->quoted && digits > 0 && !s[sign + digits] && errno == 0 ? NULL : "a whole number";
}

static const char *parse_real(double *out, const schema_token *t)
{
    char *end = NULL;
    size_t n = strspn(t->text, "0123456789+-.eE");
    *out = n > 0 ? strtod(t->text, &end) : NAN;
    return !t->quoted && end && !*end && !t->text[n] && isfinite(*out) ? NULL : "a number";
}

static void complain(schema_reading *r, const ch4_opt *opt, const schema_token *t, const char *expected)
{
    char range[256];
    schema_describe_range(opt, range, sizeof range);
    schema_problem(r, t->line, t->col, "%s: '%.64s' is not %s%s%s", opt->path, t->text, expected, range[0] ? ", allowed " : "", range);
}

static bool check_range(schema_reading *r, const ch4_opt *opt, const schema_token *t, double x)
{
    char range[256];
    if (in_range(opt, x))
        return true;
    schema_describe_range(opt, range, sizeof range);
    schema_problem(r, t->line, t->col, "%s: %.64s is not in %s", opt->path, t->text, range);
    return false;
}

/* Element i of a list, or the only value, into dst (of the element's type). False after a problem. */
static bool parse_element(schema_reading *r, const ch4_opt *opt, const schema_token *t, void *dst)
{
    const char *expected = NULL;
    switch (opt->type) {
    case CH4_OPT_BOOL:
        expected = parse_bool(dst, t);
        break;
    case CH4_OPT_INT:
    case CH4_OPT_INTS:
        expected = parse_int(dst, t);
        if (!expected)
            return check_range(r, opt, t, (double)*(int64_t *)dst);
        break;
    case CH4_OPT_REAL:
    case CH4_OPT_REALS:
        expected = parse_real(dst, t);
        if (!expected)
            return check_range(r, opt, t, *(double *)dst);
        break;
    case CH4_OPT_CHOICE: {
        int index = choice_index(opt->choices, t->text);
        *(unsigned *)dst = (unsigned)index;
        expected = index < 0 ? "one of the names" : NULL;
        break;
    }
    case CH4_OPT_STR:
    case CH4_OPT_STRS:
        if (opt->choices && choice_index(opt->choices, t->text) < 0) {
            expected = "one of the names";
            break;
        }
        if (!is_utf8(t->text)) {
            expected = "UTF-8 text";
            break;
        }
        *(char **)dst = strdup(t->text);
        if (!*(char **)dst)
            r->out_of_memory = true;
        return !r->out_of_memory;
    }
    if (expected)
        complain(r, opt, t, expected);
    return !expected;
}

static bool is_list_type(ch4_opt_type type)
{
    return type == CH4_OPT_INTS || type == CH4_OPT_REALS || type == CH4_OPT_STRS;
}

/* All list structs are {int64_t n; T *v} with 8-byte elements, so one routine fills them. */
_Static_assert(sizeof(ch4_ints) == sizeof(ch4_strs) && sizeof(ch4_ints) == sizeof(ch4_reals), "list layouts agree");

static void assign_list(schema_reading *r, const ch4_opt *opt, const schema_token *tokens, int64_t n, schema_token at)
{
    ch4_strs *field = (ch4_strs *)((char *)r->obj + opt->offset);
    char **v = NULL;
    bool good = true;
    int64_t done = 0;
    if (n > CH4_SCHEMA_LIST_ITEMS || (opt->count > 0 && n != opt->count)) {
        schema_problem(r, at.line, at.col, "%s: list of %lld elements, allowed %lld", opt->path, (long long)n,
                       (long long)(opt->count > 0 ? opt->count : CH4_SCHEMA_LIST_ITEMS));
        return;
    }
    if (n > 0 && ch4_calloc(&v, (size_t)n, sizeof *v, opt->path, NULL)) {
        r->out_of_memory = true;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        bool ok = parse_element(r, opt, &tokens[i], &v[i]);
        done = i + 1;
        if (!ok) {
            v[i] = NULL;
            good = false;
        }
    }
    ch4_strs drop = good ? *field : (ch4_strs){done, v};
    if (good)
        *field = (ch4_strs){n, v};
    for (int64_t i = 0; opt->type == CH4_OPT_STRS && i < drop.n; i++)
        free(drop.v[i]);
    free(drop.v);
}

void schema_assign(schema_reading *r, const ch4_opt *opt, const schema_token *tokens, int64_t n, bool is_list, schema_token at)
{
    void *field = (char *)r->obj + opt->offset;
    if (is_list_type(opt->type)) {
        if (!is_list)
            schema_problem(r, at.line, at.col, "%s: '%.64s' is not a list, write [a, b]", opt->path, at.text);
        else
            assign_list(r, opt, tokens, n, at);
        return;
    }
    if (is_list) {
        schema_problem(r, at.line, at.col, "%s: a list where one value is expected", opt->path);
        return;
    }
    union {
        bool b;
        int64_t i;
        double x;
        unsigned u;
        char *s;
    } value = {0};
    if (!parse_element(r, opt, &tokens[0], &value))
        return;
    if (opt->type == CH4_OPT_BOOL)
        *(bool *)field = value.b;
    else if (opt->type == CH4_OPT_INT)
        *(int64_t *)field = value.i;
    else if (opt->type == CH4_OPT_REAL)
        *(double *)field = value.x;
    else if (opt->type == CH4_OPT_CHOICE)
        *(unsigned *)field = value.u;
    else {
        free(*(char **)field);
        *(char **)field = value.s;
    }
}

/* Splits "a, b" in place into tokens; returns their number. */
static int64_t split_list(char *text, schema_token *tokens, int64_t room)
{
    int64_t n = 0;
    for (char *p = text + strspn(text, " "); *p && n < room;) {
        char *comma = p + strcspn(p, ",");
        char *end = comma;
        while (end > p && end[-1] == ' ')
            end--;
        bool last = !*comma;
        *end = 0;
        tokens[n++] = (schema_token){.text = p};
        if (last)
            break;
        p = comma + 1;
        p += strspn(p, " ");
    }
    return n;
}

void schema_assign_text(schema_reading *r, const ch4_opt *opt, const char *text)
{
    schema_token at = {.text = text};
    if (!is_list_type(opt->type)) {
        schema_assign(r, opt, &at, 1, false, at);
        return;
    }
    size_t n = strlen(text);
    bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    char *copy = strndup(text + brackets, n - 2 * (size_t)brackets);
    schema_token *tokens = calloc(CH4_SCHEMA_LIST_ITEMS + 1, sizeof *tokens);
    if (!copy || !tokens)
        r->out_of_memory = true;
    else
        schema_assign(r, opt, tokens, split_list(copy, tokens, CH4_SCHEMA_LIST_ITEMS + 1), true, at);
    free(tokens);
    free(copy);
}
