#include "golden.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden_state.h"

enum { NAME_MAX_LEN = 256 };

static const ch4_golden_kind kinds[] = {
#define X(name) {#name, ch4_golden_##name},
    CH4_GOLDEN_KINDS(X)
#undef X
    {NULL, NULL},
};

const ch4_golden_kind *ch4_golden_kinds(void)
{
    return kinds;
}

const ch4_golden_kind *ch4_golden_find_kind(const char *text)
{
    const ch4_golden_kind *best = NULL;
    size_t best_len = 0;
    for (const ch4_golden_kind *k = kinds; k->name; k++) {
        size_t n = strlen(k->name);
        if (n > best_len && strncmp(text, k->name, n) == 0 && !isalnum((unsigned char)text[n])) {
            best = k;
            best_len = n;
        }
    }
    return best;
}

/* --- memory and files of a case -------------------------------------------------------------------------------------------- */

static bool grow(void **array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t want = *cap ? *cap * 2 : 16;
    void *p = realloc(*array, want * size);
    if (!p)
        return false;
    *array = p;
    *cap = want;
    return true;
}

ch4_status ch4_golden_alloc(ch4_golden_case *c, void *out, size_t count, size_t size, ch4_err *err)
{
    struct ch4_golden_state *s = c->state;
    *(void **)out = NULL;
    if (!grow((void **)&s->blocks, s->n_blocks, &s->cap_blocks, sizeof *s->blocks))
        return ch4_err_set(err, CH4_ENOMEM, "case memory");
    ch4_status st = ch4_calloc(&s->blocks[s->n_blocks], count, size, "case memory", err);
    if (st != CH4_OK)
        return st;
    *(void **)out = s->blocks[s->n_blocks++];
    return CH4_OK;
}

ch4_status ch4_golden_open_near(ch4_golden_case *c, ch4_safetensors **out, ch4_err *err, const char *fmt, ...)
{
    struct ch4_golden_state *s = c->state;
    char name[NAME_MAX_LEN], path[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    *out = NULL;
    if (snprintf(path, sizeof path, "%s/%s", c->dir, name) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "%s: path is too long", name);
    if (!grow((void **)&s->files, s->n_files, &s->cap_files, sizeof *s->files))
        return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    ch4_status st = ch4_safetensors_open(&s->files[s->n_files], path, err);
    if (st == CH4_OK)
        *out = s->files[s->n_files++];
    return st;
}

/* --- inputs ---------------------------------------------------------------------------------------------------------------- */

bool ch4_golden_has(const ch4_golden_case *c, const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return c->io && ch4_safetensors_has(c->io, name);
}

static ch4_status get_raw(ch4_golden_case *c, const char *name, ch4_tensor *out, ch4_err *err)
{
    if (!c->io)
        return ch4_err_set(err, CH4_EFORMAT, "%s: the case has no tensor file", c->dir);
    return ch4_safetensors_get(c->io, name, out, err);
}

ch4_status ch4_golden_raw(ch4_golden_case *c, ch4_tensor *out, ch4_err *err, const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return get_raw(c, name, out, err);
}

static ch4_status to_integers(const ch4_golden_case *c, ch4_tensor *out, const double *values, const char *name, ch4_err *err)
{
    int64_t n = ch4_tensor_count(out);
    for (int64_t i = 0; i < n; i++) {
        double limit = out->dtype == CH4_DTYPE_I32 ? 2147483647.0 : 9007199254740992.0;
        if (!(fabs(values[i]) <= limit) || values[i] != floor(values[i]))
            return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s' holds %g where a whole number is expected", ch4_safetensors_path(c->io), name, values[i]);
        if (out->dtype == CH4_DTYPE_I32)
            ((int32_t *)out->data)[i] = (int32_t)values[i];
        else
            ((int64_t *)out->data)[i] = (int64_t)values[i];
    }
    return CH4_OK;
}

ch4_status ch4_golden_tensor(ch4_golden_case *c, ch4_tensor *out, ch4_dtype dtype, ch4_err *err, const char *fmt, ...)
{
    char name[NAME_MAX_LEN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    ch4_tensor raw;
    ch4_status st = get_raw(c, name, &raw, err);
    if (st != CH4_OK)
        return st;
    size_t n = (size_t)ch4_tensor_count(&raw);
    void *data;
    st = ch4_golden_alloc(c, &data, n, ch4_dtype_size(dtype), err);
    if (st != CH4_OK)
        return st;
    *out = ch4_tensor_view(data, dtype, raw.rank, raw.shape);
    switch (dtype) {
    case CH4_DTYPE_F32: return ch4_tensor_to_f32(data, &raw, err);
    case CH4_DTYPE_F64: return ch4_tensor_to_f64(data, &raw, err);
    case CH4_DTYPE_I32: case CH4_DTYPE_I64: break;
    default: return ch4_err_set(err, CH4_EINVAL, "ch4_golden_tensor: dtype %s", ch4_dtype_name(dtype));
    }
    double *values;
    st = ch4_golden_alloc(c, &values, n, sizeof *values, err);
    if (st == CH4_OK)
        st = ch4_tensor_to_f64(values, &raw, err);
    return st == CH4_OK ? to_integers(c, out, values, name, err) : st;
}

json_t *ch4_golden_json(const ch4_golden_case *c, const char *path)
{
    json_t *at = c->config;
    while (at && *path) {
        size_t n = strcspn(path, ".");
        char key[NAME_MAX_LEN];
        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
        path += n + (path[n] == '.');
    }
    return at;
}

ch4_status ch4_golden_int(const ch4_golden_case *c, int64_t *out, const char *path, ch4_err *err)
{
    json_t *v = ch4_golden_json(c, path);
    if (!json_is_integer(v))
        return ch4_err_set(err, CH4_EFORMAT, "config: %s is not a whole number", path);
    *out = json_integer_value(v);
    return CH4_OK;
}

ch4_status ch4_golden_real(const ch4_golden_case *c, double *out, const char *path, ch4_err *err)
{
    json_t *v = ch4_golden_json(c, path);
    if (!json_is_number(v))
        return ch4_err_set(err, CH4_EFORMAT, "config: %s is not a number", path);
    *out = json_number_value(v);
    return CH4_OK;
}

int64_t ch4_golden_int_or(const ch4_golden_case *c, const char *path, int64_t otherwise)
{
    json_t *v = ch4_golden_json(c, path);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

double ch4_golden_real_or(const ch4_golden_case *c, const char *path, double otherwise)
{
    json_t *v = ch4_golden_json(c, path);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

/* --- running one case ------------------------------------------------------------------------------------------------------- */

static ch4_status open_case(ch4_golden_case *c, const char *json_path, const char *io_path, const char *weights_path, ch4_err *err)
{
    if (c->config) {
        json_incref(c->config);
    } else if (json_path) {
        json_error_t je;
        c->config = json_load_file(json_path, JSON_REJECT_DUPLICATES, &je);
        if (!c->config)
            return ch4_err_set(err, CH4_EFORMAT, "%s: line %d: %s", json_path, je.line, je.text);
    } else {
        c->config = json_object();
    }
    ch4_status st = CH4_OK;
    if (io_path)
        st = ch4_safetensors_open(&c->io, io_path, err);
    if (st == CH4_OK && weights_path)
        st = ch4_safetensors_open(&c->weights, weights_path, err);
    if (st == CH4_OK)
        st = ch4_calloc(&c->state->compared, c->io ? (size_t)ch4_safetensors_count(c->io) : 0, sizeof *c->state->compared, "case", err);
    return st;
}

static void close_case(ch4_golden_case *c)
{
    struct ch4_golden_state *s = c->state;
    for (size_t i = 0; i < s->n_blocks; i++)
        free(s->blocks[i]);
    for (size_t i = 0; i < s->n_files; i++)
        ch4_safetensors_close(&s->files[i]);
    free(s->blocks);
    free(s->files);
    free(s->compared);
    ch4_safetensors_close(&c->io);
    ch4_safetensors_close(&c->weights);
    json_decref(c->config);
}

/* A recorded result that nobody looked at must not look like a pass. */
static void report_unchecked(ch4_golden_case *c)
{
    for (int64_t i = 0; c->io && i < ch4_safetensors_count(c->io); i++) {
        const char *name = ch4_safetensors_name(c->io, i);
        if (strncmp(name, "out.", 4) == 0 && !c->state->compared[i]) {
            c->tally->unchecked++;
            printf("%-36s %-40s not compared\n", c->label, name + 4);
        }
    }
}

/* config: borrowed, or NULL to read json_path */
static void run_one(const ch4_golden_kind *kind, const char *label, const char *dir, json_t *config, const char *json_path, const char *io_path,
                    const char *weights_path, const ch4_golden_options *options, ch4_golden_tally *tally)
{
    struct ch4_golden_state state = {0};
    ch4_golden_case c = {.label = label, .dir = dir, .config = config, .backend = options->backend, .pool = options->pool, .quiet = options->quiet,
                         .state = &state, .tally = tally};
    ch4_err err = {0};
    int64_t tensors_before = tally->tensors;
    ch4_status st = open_case(&c, json_path, io_path, weights_path, &err);
    if (st == CH4_OK)
        st = kind->run(&c, &err);
    tally->cases++;
    if (st != CH4_OK) {
        tally->failed++;
        printf("%-36s %-40s FAIL: %s\n", label, "-", err.msg[0] ? err.msg : ch4_status_text(st));
    } else {
        report_unchecked(&c);
        if (tally->tensors == tensors_before) {
            tally->failed++;
            printf("%-36s %-40s FAIL: the case has nothing to compare\n", label, "-");
        }
    }
    fflush(stdout);
    close_case(&c);
}

void ch4_golden_run_case(const ch4_golden_kind *kind, const char *label, const char *dir, const char *json_path, const char *io_path,
                         const char *weights_path, const ch4_golden_options *options, ch4_golden_tally *tally)
{
    run_one(kind, label, dir, NULL, json_path, io_path, weights_path, options, tally);
}

void ch4_golden_run_entry(const ch4_golden_kind *kind, const char *label, const char *dir, json_t *config, const char *io_path,
                          const ch4_golden_options *options, ch4_golden_tally *tally)
{
    run_one(kind, label, dir, config, NULL, io_path, NULL, options, tally);
}
