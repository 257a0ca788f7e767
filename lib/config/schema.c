#include "config/schema.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/size.h"
#include "config/schema_impl.h"

void ch4_problems_free(ch4_problems *p)
{
    if (!p)
        return;
    free(p->text);
    *p = (ch4_problems){0};
}

static void problems_append(ch4_problems *p, const char *line)
{
    size_t n = strlen(line) + 1;
    p->count++;
    if (p->size + n + 1 > p->room) {
        size_t room = 2 * (p->size + n + 1);
        char *text = realloc(p->text, room);
        if (!text)
            return;
        p->text = text;
        p->room = room;
    }
    memcpy(p->text + p->size, line, n - 1);
    p->text[p->size + n - 1] = '\n';
    p->text[p->size + n] = 0;
    p->size += n;
}

/* A problem is one line of printable text whatever the file held. */
static void make_printable(char *line)
{
    for (unsigned char *c = (unsigned char *)line; *c; c++)
        if (*c < 32 || *c == 127)
            *c = ' ';
}

void ch4_problems_add(ch4_problems *p, const char *fmt, ...)
{
    char line[768];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    make_printable(line);
    problems_append(p, line);
}

void schema_problem(schema_reading *r, long line, long col, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (line > 0)
        ch4_problems_add(r->problems, "%s:%ld:%ld: %s", r->name, line, col, text);
    else
        ch4_problems_add(r->problems, "%s: %s", r->name, text);
}

ch4_status schema_verdict(const schema_reading *r, ch4_err *err)
{
    const ch4_problems *p = r->problems;
    if (r->out_of_memory)
        return ch4_err_set(err, CH4_ENOMEM, "%s: out of memory", r->name);
    if (p->count == 0)
        return CH4_OK;
    int first = p->text ? (int)strcspn(p->text, "\n") : 0;
    if (p->count == 1)
        return ch4_err_set(err, CH4_ECONFIG, "%.*s", first, p->text ? p->text : "");
    return ch4_err_set(err, CH4_ECONFIG, "%.*s (and %lld more)", first, p->text ? p->text : "", (long long)p->count - 1);
}

/* --- looking up ------------------------------------------------------------------------------------------------------------ */

const ch4_opt *ch4_schema_find(const ch4_schema *schema, const char *path)
{
    for (size_t i = 0; i < schema->n_opts; i++)
        if (strcmp(schema->opts[i].path, path) == 0)
            return &schema->opts[i];
    return NULL;
}

bool schema_is_section(const ch4_schema *schema, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < schema->n_opts; i++)
        if (strncmp(schema->opts[i].path, path, n) == 0 && schema->opts[i].path[n] == '.')
            return true;
    return false;
}

static const char *leaf_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const ch4_opt *schema_nearest(const ch4_schema *schema, const char *path, size_t *len)
{
    const ch4_opt *found = NULL;
    size_t n = strlen(path);
    if (n > CH4_NEAREST_LENGTH)
        return NULL;
    int best = (int)n / 3 + 2;
    for (size_t i = 0; i < schema->n_opts; i++) {
        const char *p = schema->opts[i].path;
        size_t full = strlen(p);
        for (size_t l = 1; l <= full && l <= CH4_NEAREST_LENGTH; l++) {
            if (p[l] != '.' && p[l] != 0)
                continue;
            int d = ch4_nearest_distance(path, n, p, l);
            if (l == full && strcmp(leaf_of(path), leaf_of(p)) == 0)
                d = 1; /* the right name in the wrong section */
            if (d < best) {
                best = d;
                found = &schema->opts[i];
                *len = l;
            }
        }
    }
    return found;
}

const char *ch4_schema_nearest(const ch4_schema *schema, const char *path)
{
    size_t len;
    const ch4_opt *o = schema_nearest(schema, path, &len);
    return o ? o->path : NULL;
}

/* --- whole structs --------------------------------------------------------------------------------------------------------- */

static void fini_field(const ch4_opt *opt, void *field)
{
    if (opt->type == CH4_OPT_STR) {
        free(*(char **)field);
    } else if (opt->type == CH4_OPT_INTS) {
        free(((ch4_ints *)field)->v);
    } else if (opt->type == CH4_OPT_REALS) {
        free(((ch4_reals *)field)->v);
    } else if (opt->type == CH4_OPT_STRS) {
        ch4_strs *s = field;
        for (int64_t i = 0; i < s->n; i++)
            free(s->v[i]);
        free(s->v);
    }
}

void ch4_schema_fini(const ch4_schema *schema, void *obj)
{
    if (!obj)
        return;
    for (size_t i = 0; i < schema->n_opts; i++)
        fini_field(&schema->opts[i], (char *)obj + schema->opts[i].offset);
    memset(obj, 0, schema->size);
}

ch4_status ch4_schema_defaults(const ch4_schema *schema, void *obj, ch4_err *err)
{
    ch4_problems problems = {0};
    schema_reading r = {.schema = schema, .obj = obj, .name = schema->title, .problems = &problems};
    memset(obj, 0, schema->size);
    for (size_t i = 0; i < schema->n_opts; i++) {
        const ch4_opt *opt = &schema->opts[i];
        if (opt->def || opt->type == CH4_OPT_STR)
            schema_assign_text(&r, opt, opt->def ? opt->def : "");
    }
    assert(problems.count == 0);
    ch4_status status = schema_verdict(&r, err);
    ch4_problems_free(&problems);
    if (status)
        ch4_schema_fini(schema, obj);
    return status;
}

ch4_status ch4_schema_set(const ch4_schema *schema, void *obj, const char *assignment, ch4_problems *problems, ch4_err *err)
{
    ch4_problems own = {0};
    schema_reading r = {.schema = schema, .obj = obj, .name = "--set", .problems = problems ? problems : &own};
    const char *equals = strchr(assignment, '=');
    char path[256];
    size_t n = equals ? (size_t)(equals - assignment) : strlen(assignment);
    snprintf(path, sizeof path, "%.*s", (int)(n < sizeof path ? n : sizeof path - 1), assignment);
    int64_t before = r.problems->count;
    const ch4_opt *opt = ch4_schema_find(schema, path);
    size_t len = 0;
    const ch4_opt *near = opt ? NULL : schema_nearest(schema, path, &len);
    if (!equals)
        schema_problem(&r, 0, 0, "%s: no '=', write path=value", path);
    else if (opt)
        schema_assign_text(&r, opt, equals + 1);
    else if (near)
        schema_problem(&r, 0, 0, "%s: unknown option, nearest is %.*s", path, (int)len, near->path);
    else
        schema_problem(&r, 0, 0, "%s: unknown option", path);
    ch4_status status = r.out_of_memory || r.problems->count > before ? schema_verdict(&r, err) : CH4_OK;
    ch4_problems_free(&own);
    return status;
}
