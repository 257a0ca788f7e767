/* The evaluation set: index.json lists cases of many sections, each with arguments, expected values and tolerances; the values come from
 * the public functions that our scores have to agree with. */
#include "golden_eval.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ch4_golden_kind sections[] = {
#define X(section) {#section, ch4_golden_eval_##section},
    CH4_GOLDEN_EVAL_SECTIONS(X)
#undef X
};

static const ch4_golden_kind *find_section(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "section"));
    for (size_t i = 0; name && i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i].name, name) == 0)
            return &sections[i];
    return NULL;
}

void ch4_golden_run_eval(const char *label, const char *dir, json_t *cases, const ch4_golden_options *options, ch4_golden_tally *tally)
{
    size_t i;
    json_t *entry;
    json_array_foreach(cases, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name")), *file = json_string_value(json_object_get(entry, "file"));
        const char *end = file ? strrchr(file, '.') : NULL;
        const ch4_golden_kind *kind = find_section(entry);
        char full[512], io[4096];
        snprintf(full, sizeof full, "%s/%s", label, name ? name : "(no name)");
        if (!kind || !name) {
            tally->uncovered++;
            printf("%-36s %-40s not covered: no section for it\n", full, "-");
            continue;
        }
        snprintf(io, sizeof io, "%s/%s", dir, file ? file : "");
        ch4_golden_run_entry(kind, full, dir, entry, end && strcmp(end, ".safetensors") == 0 ? io : NULL, options, tally);
    }
}

const char *ch4_golden_eval_name(const ch4_golden_case *c)
{
    const char *name = json_string_value(json_object_get(c->config, "name")), *slash = strchr(name, '/');
    return slash ? slash + 1 : name;
}

double ch4_golden_eval_tol(const ch4_golden_case *c, const char *key, double otherwise)
{
    json_t *tol = json_object_get(c->config, "tol"), *at = json_is_object(tol) ? json_object_get(tol, key) : tol;
    return json_is_number(at) ? json_number_value(at) : otherwise;
}

void ch4_golden_expect(ch4_golden_case *c, double value, double tolerance, const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "expected.%s", path);
    json_t *want = ch4_golden_json(c, full);
    double x = json_is_null(want) ? (double)NAN : json_number_value(want);
    if (!json_is_null(want) && !json_is_number(want))
        ch4_golden_check_true(c, false, "%s: not in the index", path);
    else
        ch4_golden_check_values(c, &value, &x, 1, tolerance, 0, "%s", path);
}

ch4_status ch4_golden_eval_json(json_t **out, const ch4_golden_case *c, ch4_err *err)
{
    char path[4096];
    json_error_t why;
    const char *file = json_string_value(json_object_get(c->config, "file"));
    snprintf(path, sizeof path, "%s/%s", c->dir, file ? file : "");
    *out = json_load_file(path, 0, &why);
    return *out ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "%s: line %d: %s", path, why.line, why.text);
}

static ch4_status read_tensor(ch4_golden_case *c, ch4_tensor *t, ch4_dtype dtype, int64_t *shape, int rank, int64_t last, const char *name, ch4_err *err)
{
    ch4_status st = ch4_golden_tensor(c, t, dtype, err, "%s", name);
    if (st != CH4_OK)
        return st;
    if (t->rank != rank || (last >= 0 && t->shape[rank - 1] != last)) {
        char is[96];
        ch4_tensor_describe(t, is, sizeof is);
        return ch4_err_set(err, CH4_EFORMAT, "%s is %s", name, is);
    }
    if (shape)
        memcpy(shape, t->shape, (size_t)rank * sizeof *shape);
    return CH4_OK;
}

#define FORMAT_NAME(name, fmt)                                                                                         \
    char name[256];                                                                                                    \
    do {                                                                                                               \
        va_list ap_;                                                                                                   \
        va_start(ap_, fmt);                                                                                            \
        vsnprintf(name, sizeof name, fmt, ap_);                                                                        \
        va_end(ap_);                                                                                                   \
    } while (0)

ch4_status ch4_golden_eval_f32(ch4_golden_case *c, float **out, int64_t *shape, int rank, int64_t last, ch4_err *err, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    ch4_tensor t;
    ch4_status st = read_tensor(c, &t, CH4_DTYPE_F32, shape, rank, last, name, err);
    *out = st == CH4_OK ? t.data : NULL;
    return st;
}

ch4_status ch4_golden_eval_f64(ch4_golden_case *c, double **out, int64_t *shape, int rank, int64_t last, ch4_err *err, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    ch4_tensor t;
    ch4_status st = read_tensor(c, &t, CH4_DTYPE_F64, shape, rank, last, name, err);
    *out = st == CH4_OK ? t.data : NULL;
    return st;
}

ch4_status ch4_golden_eval_u8(ch4_golden_case *c, uint8_t **out, int64_t *shape, int rank, int64_t last, ch4_err *err, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    ch4_tensor t;
    *out = NULL;
    ch4_status st = read_tensor(c, &t, CH4_DTYPE_I32, shape, rank, last, name, err);
    int64_t n = st == CH4_OK ? ch4_tensor_count(&t) : 0;
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, out, (size_t)n, 1, err);
    for (int64_t i = 0; st == CH4_OK && i < n; i++)
        (*out)[i] = ((const int32_t *)t.data)[i] != 0;
    return st;
}
