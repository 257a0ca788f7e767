#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/eval/score_table.h"
#include "tools/plot/plot.h"

void ch4_csv_number(FILE *f, double x)
{
    if (isnan(x)) fputc(',', f);
    else fprintf(f, ",%.17g", x);
}

void ch4_csv_text(FILE *f, const char *text)
{
    fputc(',', f);
    if (!strpbrk(text, ",\"\n")) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"') fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

ch4_status ch4_report_open(FILE **out, char path[4096], const char *folder, const char *name, ch4_err *err)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", folder);
    snprintf(path, 4096, "%s/%s", folder, name);
    *out = fopen(path, "wbe");
    return *out ? CH4_OK : ch4_err_set_errno(err, errno, "%s", path);
}

ch4_status ch4_report_close(FILE **f, const char *path, ch4_status before, ch4_err *err)
{
    if (!*f) return before;
    bool bad = ferror(*f) != 0;
    bad = fclose(*f) != 0 || bad;
    *f = NULL;
    return before || !bad ? before : ch4_err_set_errno(err, errno, "%s", path);
}

static ch4_status save_csv(const char *folder, const ch4_score_table *t, ch4_err *err)
{
    const ch4_score_family *f = t->family;
    char name[64], path[4096];
    FILE *out = NULL;
    snprintf(name, sizeof(name), "%s.csv", f->key);
    ch4_status st = ch4_report_open(&out, path, folder, name, err);
    if (st) return st;
    fprintf(out, "clip,method,%s,status", f->note);
    for (int k = 0; k < f->n_column; k++) fprintf(out, ",%s", f->column[k].key);
    fputc('\n', out);
    for (int64_t i = 0; i < t->n_clip; i++)
        for (int m = 0; m < f->n_method; m++) {
            const double *x = ch4_score_at(t, i, m);
            bool any = m == 0;
            for (int k = 0; k < f->n_column; k++) any = any || !isnan(x[k]);
            if (!any) continue;
            fprintf(out, "%s,%s", t->clip[i].name, f->method[m]);
            ch4_csv_text(out, m == 0 ? t->clip[i].note : "");
            fprintf(out, ",%s", m == 0 && t->clip[i].status ? ch4_status_name(t->clip[i].status) : "ok");
            for (int k = 0; k < f->n_column; k++) ch4_csv_number(out, x[k]);
            fputc('\n', out);
        }
    return ch4_report_close(&out, path, st, err);
}

/* --- JSON ---------------------------------------------------------------------------------------------------------------------------------------- */

static json_t *number_or_null(double x) { return isnan(x) ? json_null() : json_real(x); }

static json_t *values_json(const ch4_score_family *f, const double *x)
{
    json_t *o = json_object();
    for (int k = 0; k < f->n_column; k++) json_object_set_new(o, f->column[k].key, number_or_null(x[k]));
    return o;
}

/* what: 0 mean, 1 standard deviation, 2 mean with failed results as the fallback. */
static json_t *overall_json(const ch4_score_table *t, int method, int what)
{
    double x[64], deviation;
    for (int k = 0; k < t->family->n_column; k++) {
        x[k] = ch4_score_mean(NULL, &deviation, t, method, k, what == 2);
        if (what == 1) x[k] = deviation;
    }
    return values_json(t->family, x);
}

static json_t *clip_json(const ch4_score_table *t, int64_t i)
{
    const ch4_score_clip *c = &t->clip[i];
    json_t *o = json_object();
    json_object_set_new(o, "clip", json_string(c->name));
    json_object_set_new(o, "status", json_string(c->status ? ch4_status_name(c->status) : "ok"));
    if (c->status) json_object_set_new(o, "reason", json_string(c->reason));
    json_object_set_new(o, t->family->note, json_string(c->note));
    for (int m = 0; m < t->family->n_method; m++) {
        const double *x = ch4_score_at(t, i, m);
        bool any = false;
        for (int k = 0; k < t->family->n_column; k++) any = any || !isnan(x[k]);
        if (any) json_object_set_new(o, t->family->method[m], values_json(t->family, x));
    }
    return o;
}

static ch4_status save_json(const char *folder, const ch4_score_table *t, ch4_err *err)
{
    const ch4_score_family *f = t->family;
    char name[64], path[4096];
    FILE *out = NULL;
    snprintf(name, sizeof(name), "%s.json", f->key);
    ch4_status st = ch4_report_open(&out, path, folder, name, err);
    if (st) return st;
    json_t *root = json_object(), *mean = json_object(), *deviation = json_object(), *clips = json_array();
    json_object_set_new(root, "n_total", json_integer(t->n_clip));
    json_object_set_new(root, "n_failed", json_integer(ch4_score_failed(t)));
    for (int m = 0; m < f->n_method; m++) {
        if (!ch4_score_has(t, m)) continue;
        json_object_set_new(mean, f->method[m], overall_json(t, m, 0));
        json_object_set_new(deviation, f->method[m], overall_json(t, m, 1));
    }
    json_object_set_new(root, "mean", mean);
    json_object_set_new(root, "standard_deviation", deviation);
    if (f->fallback) {
        snprintf(name, sizeof(name), "mean_failed_as_%s", f->method[f->fallback]);
        json_object_set_new(root, name, overall_json(t, 0, 2));
    }
    for (int64_t i = 0; i < t->n_clip; i++) json_array_append_new(clips, clip_json(t, i));
    json_object_set_new(root, "clips", clips);
    errno = 0;
    if (json_dumpf(root, out, JSON_INDENT(2)) != 0) st = ch4_err_set_errno(err, errno ? errno : EIO, "%s", path);
    json_decref(root);
    return ch4_report_close(&out, path, st, err);
}

/* --- bars ------------------------------------------------------------------------------------------------------------------------------------------ */

enum { MOST_BARS = 10, WIDEST = 4000 };

static ch4_status save_bars(const char *folder, const ch4_score_table *t, int column, ch4_err *err)
{
    const ch4_score_family *f = t->family;
    double *y = NULL;
    const char **group = NULL;
    ch4_plot_series series[MOST_BARS];
    char path[4096], title[160];
    int n = 0;
    ch4_status st = ch4_calloc(&y, (size_t)(t->n_clip * MOST_BARS), sizeof(*y), "plot", err);
    if (!st) st = ch4_calloc(&group, (size_t)t->n_clip, sizeof(*group), "plot", err);
    for (int m = 0; !st && m < f->n_method && n < MOST_BARS; m++) {
        bool any = false;
        for (int64_t i = 0; i < t->n_clip; i++) {
            y[n * t->n_clip + i] = ch4_score_at(t, i, m)[column];
            any = any || !isnan(y[n * t->n_clip + i]);
        }
        if (any) series[n] = (ch4_plot_series){.name = f->method[m], .n = t->n_clip, .y = y + n * t->n_clip}, n++;
    }
    for (int64_t i = 0; !st && i < t->n_clip; i++) group[i] = t->clip[i].name;
    if (!st && n) {
        int64_t width = ch4_min_i64(ch4_max_i64(960, t->n_clip * (6 * n + 10)), WIDEST);
        snprintf(path, sizeof(path), "%s/%s_%s.png", folder, f->key, f->column[column].key);
        snprintf(title, sizeof(title), "%s of %lld clips", f->column[column].title, (long long)t->n_clip);
        const ch4_plot plot = {.title = title, .y_label = f->column[column].plot, .series = series, .n_series = n, .group = group, .width = (int)width};
        st = ch4_plot_save(path, &plot, err);
    }
    free(y);
    free(group);
    return st;
}

ch4_status ch4_score_save(const char *folder, const ch4_score_table *t, ch4_err *err)
{
    ch4_status st = save_csv(folder, t, err);
    if (!st) st = save_json(folder, t, err);
    for (int k = 0; !st && k < t->family->n_column; k++)
        if (t->family->column[k].plot && t->n_clip) st = save_bars(folder, t, k, err);
    return st;
}
