/* Reading a file with libyaml: a first pass over the events refuses what a pipeline file must not hold (anchors, aliases, tags,
 * second documents, deep nesting) with its exact place; the document API then gives nodes with line and column. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/size.h"
#include "config/schema_impl.h"

static void at_mark(schema_reading *r, yaml_mark_t mark, const char *what)
{
    schema_problem(r, (long)mark.line + 1, (long)mark.column + 1, "%s", what);
}

static void syntax_problem(schema_reading *r, const yaml_parser_t *p)
{
    long line = (long)p->problem_mark.line + 1, col = (long)p->problem_mark.column + 1;
    if (p->error == YAML_MEMORY_ERROR)
        r->out_of_memory = true;
    else
        schema_problem(r, line, col, "not YAML: %s%s%s", p->problem ? p->problem : "unreadable", p->context ? ", " : "",
                       p->context ? p->context : "");
}

/* True if the walk goes on after this event. */
static bool screen_event(schema_reading *r, const yaml_event_t *e, int *depth, int *documents)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1)
            at_mark(r, e->start_mark, "a second document; one is allowed");
        break;
    case YAML_ALIAS_EVENT:
        at_mark(r, e->start_mark, "aliases (*name) are not allowed; write the value out");
        break;
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
        ++*depth;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
        ++*depth;
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        --*depth;
        break;
    default:
        break;
    }
    if (anchor)
        at_mark(r, e->start_mark, "anchors (&name) are not allowed");
    if (tag)
        at_mark(r, e->start_mark, "tags (!name) are not allowed");
    if (*depth > CH4_SCHEMA_DEPTH)
        at_mark(r, e->start_mark, "nested too deeply");
    return *depth <= CH4_SCHEMA_DEPTH && *documents <= 1 && r->problems->count < 100;
}

static void screen(schema_reading *r, const char *text, size_t size)
{
    yaml_parser_t parser;
    int depth = 0, documents = 0;
    if (!yaml_parser_initialize(&parser)) {
        r->out_of_memory = true;
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    for (bool more = true; more;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            syntax_problem(r, &parser);
            break;
        }
        more = e.type != YAML_STREAM_END_EVENT && screen_event(r, &e, &depth, &documents);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
}

/* --- nodes ----------------------------------------------------------------------------------------------------------------- */

typedef struct doc_walk {
    schema_reading *r;
    yaml_document_t *doc;
    bool *seen; /* by option */
} doc_walk;

/* False if the scalar holds a NUL, which a C string would cut. */
static bool token_of(doc_walk *w, const yaml_node_t *node, const char *path, schema_token *out)
{
    *out = (schema_token){.line = (long)node->start_mark.line + 1, .col = (long)node->start_mark.column + 1, .text = ""};
    if (node->type != YAML_SCALAR_NODE) {
        schema_problem(w->r, out->line, out->col, "%s: a %s where one value is expected", path,
                       node->type == YAML_MAPPING_NODE ? "section" : "list");
        return false;
    }
    out->text = (const char *)node->data.scalar.value;
    out->quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (strlen(out->text) == node->data.scalar.length)
        return true;
    schema_problem(w->r, out->line, out->col, "%s: text with a NUL character", path);
    return false;
}

static void read_list(doc_walk *w, const ch4_opt *opt, const yaml_node_t *node, schema_token at)
{
    int64_t n = node->data.sequence.items.top - node->data.sequence.items.start;
    schema_token *tokens = NULL;
    if (ch4_calloc(&tokens, (size_t)n + 1, sizeof *tokens, opt->path, NULL)) {
        w->r->out_of_memory = true;
        return;
    }
    bool good = true;
    for (int64_t i = 0; i < n; i++)
        good &= token_of(w, yaml_document_get_node(w->doc, node->data.sequence.items.start[i]), opt->path, &tokens[i]);
    if (good)
        schema_assign(w->r, opt, tokens, n, true, at);
    free(tokens);
}

static void read_option(doc_walk *w, const ch4_opt *opt, const yaml_node_t *node, schema_token key)
{
    bool *seen = &w->seen[opt - w->r->schema->opts];
    schema_token t = {.text = "", .line = (long)node->start_mark.line + 1, .col = (long)node->start_mark.column + 1};
    if (*seen) {
        schema_problem(w->r, key.line, key.col, "%s: given twice", opt->path);
        return;
    }
    *seen = true;
    if (node->type == YAML_SEQUENCE_NODE)
        read_list(w, opt, node, t);
    else if (token_of(w, node, opt->path, &t))
        schema_assign(w->r, opt, &t, 1, false, t);
}

static void unknown_key(doc_walk *w, const char *path, schema_token key)
{
    size_t len = 0;
    const ch4_opt *near = schema_nearest(w->r->schema, path, &len);
    if (near)
        schema_problem(w->r, key.line, key.col, "%s: unknown option, nearest is %.*s", path, (int)len, near->path);
    else
        schema_problem(w->r, key.line, key.col, "%s: unknown option", path);
}

static bool key_repeats(doc_walk *w, const yaml_node_t *map, const yaml_node_pair_t *pair, const char *key)
{
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *k = yaml_document_get_node(w->doc, p->key);
        if (k->type == YAML_SCALAR_NODE && strcmp((const char *)k->data.scalar.value, key) == 0)
            return true;
    }
    return false;
}

/* Recursion is bounded by CH4_SCHEMA_DEPTH, which the first pass enforced. */
static void read_mapping(doc_walk *w, const yaml_node_t *map, const char *prefix)
{
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        const yaml_node_t *value = yaml_document_get_node(w->doc, p->value);
        schema_token key;
        char path[256];
        if (!token_of(w, yaml_document_get_node(w->doc, p->key), *prefix ? prefix : "key", &key))
            continue;
        int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key.text);
        if (n >= (int)sizeof path) {
            schema_problem(w->r, key.line, key.col, "name too long");
            continue;
        }
        const ch4_opt *opt = ch4_schema_find(w->r->schema, path);
        if (key_repeats(w, map, p, key.text))
            schema_problem(w->r, key.line, key.col, "%s: given twice", path);
        else if (opt)
            read_option(w, opt, value, key);
        else if (!schema_is_section(w->r->schema, path))
            unknown_key(w, path, key);
        else if (value->type == YAML_MAPPING_NODE)
            read_mapping(w, value, path);
        else if (value->type != YAML_SCALAR_NODE || value->data.scalar.length > 0)
            schema_problem(w->r, key.line, key.col, "%s: a section of options is expected", path);
    }
}

static void read_document(schema_reading *r, const char *text, size_t size)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    doc_walk w = {.r = r, .doc = &doc};
    if (!yaml_parser_initialize(&parser)) {
        r->out_of_memory = true;
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (!yaml_parser_load(&parser, &doc)) {
        syntax_problem(r, &parser);
        yaml_parser_delete(&parser);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&doc);
    if (ch4_calloc(&w.seen, r->schema->n_opts, sizeof *w.seen, "options", NULL))
        r->out_of_memory = true;
    else if (root && root->type == YAML_MAPPING_NODE)
        read_mapping(&w, root, "");
    else if (root && (root->type != YAML_SCALAR_NODE || root->data.scalar.length > 0))
        at_mark(r, root->start_mark, "sections of options are expected");
    for (size_t i = 0; w.seen && i < r->schema->n_opts; i++)
        if (!r->schema->opts[i].def && !w.seen[i])
            schema_problem(r, 1, 1, "%s: must be given", r->schema->opts[i].path);
    free(w.seen);
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
}

ch4_status ch4_schema_parse(const ch4_schema *schema, void *obj, const char *text, size_t size, const char *name,
                            ch4_problems *problems, ch4_err *err)
{
    ch4_problems own = {0};
    schema_reading r = {.schema = schema, .obj = obj, .name = name, .problems = problems ? problems : &own};
    int64_t before = r.problems->count;
    if (size > CH4_SCHEMA_FILE_BYTES)
        schema_problem(&r, 0, 0, "%zu bytes, at most %d are allowed", size, CH4_SCHEMA_FILE_BYTES);
    else
        screen(&r, text, size);
    if (r.problems->count == before && !r.out_of_memory)
        read_document(&r, text, size);
    ch4_status status = r.out_of_memory || r.problems->count > before ? schema_verdict(&r, err) : CH4_OK;
    ch4_problems_free(&own);
    return status;
}

ch4_status ch4_schema_load(const ch4_schema *schema, void *obj, const char *path, ch4_problems *problems, ch4_err *err)
{
    char *text = NULL;
    ch4_status status = CH4_OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return ch4_err_set_errno(err, errno, "%s", path);
    if (ch4_calloc(&text, CH4_SCHEMA_FILE_BYTES + 1, 1, path, err)) {
        status = CH4_ENOMEM;
        goto out;
    }
    errno = 0;
    size_t n = fread(text, 1, CH4_SCHEMA_FILE_BYTES + 1, f);
    if (ferror(f)) {
        status = ch4_err_set_errno(err, errno, "%s", path);
        goto out;
    }
    status = ch4_schema_parse(schema, obj, text, n, path, problems, err);
out:
    free(text);
    fclose(f);
    return status;
}
