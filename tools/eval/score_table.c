#include "tools/eval/score_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ch4_status ch4_score_table_init(ch4_score_table *out, const ch4_score_family *family, int64_t n_clip, ch4_err *err)
{
    size_t n = 0;
    *out = (ch4_score_table){.family = family, .n_clip = n_clip};
    ch4_status st = ch4_size_bytes(&n, (const int64_t[]){n_clip, family->n_method, family->n_column}, 3, 1, err);
    if (!st) st = ch4_calloc(&out->clip, (size_t)n_clip, sizeof(*out->clip), "scores", err);
    if (!st) st = ch4_calloc(&out->value, n, sizeof(*out->value), "scores", err);
    for (size_t i = 0; !st && i < n; i++) out->value[i] = NAN;
    return st;
}

void ch4_score_table_fini(ch4_score_table *t)
{
    if (!t) return;
    for (int64_t i = 0; t->clip && i < t->n_clip; i++) free(t->clip[i].name);
    free(t->clip);
    free(t->value);
    *t = (ch4_score_table){0};
}

ch4_status ch4_score_clip_name(ch4_score_table *t, int64_t clip, const char *name, ch4_err *err)
{
    t->clip[clip].name = strdup(name);
    return t->clip[clip].name ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "%s", name);
}

void ch4_score_clip_fail(ch4_score_table *t, int64_t clip, ch4_status status, const ch4_err *err)
{
    t->clip[clip].status = status;
    snprintf(t->clip[clip].reason, sizeof(t->clip[clip].reason), "%s", err->msg);
    for (int k = 0; k < t->family->n_column; k++) ch4_score_at(t, clip, 0)[k] = NAN;
}

double *ch4_score_at(const ch4_score_table *t, int64_t clip, int method)
{
    return t->value + (clip * t->family->n_method + method) * t->family->n_column;
}

static bool has_values(const ch4_score_table *t, int64_t clip, int method)
{
    const double *x = ch4_score_at(t, clip, method);
    for (int k = 0; k < t->family->n_column; k++)
        if (!isnan(x[k])) return true;
    return false;
}

bool ch4_score_has(const ch4_score_table *t, int method)
{
    for (int64_t i = 0; i < t->n_clip; i++)
        if (has_values(t, i, method)) return true;
    return false;
}

int64_t ch4_score_failed(const ch4_score_table *t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t->n_clip; i++) n += t->clip[i].status != CH4_OK;
    return n;
}

double ch4_score_mean(int64_t *n, double *deviation, const ch4_score_table *t, int method, int column, bool as_fallback)
{
    double sum = 0, mean, square = 0;
    int64_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        mean = count ? sum / (double)count : NAN;
        for (int64_t i = 0; i < t->n_clip; i++) {
            double x = ch4_score_at(t, i, as_fallback && t->clip[i].status ? t->family->fallback : method)[column];
            if (isnan(x)) continue;
            if (pass == 0) sum += x, count++;
            else square += (x - mean) * (x - mean);
        }
    }
    if (n) *n = count;
    if (deviation) *deviation = count > 1 ? sqrt(square / (double)(count - 1)) : NAN;
    return mean;
}

/* --- text -------------------------------------------------------------------------------------------------------------------------------------- */

enum { NAME_WIDTH = 26, METHOD_WIDTH = 24 };

static void print_row(FILE *out, const ch4_score_family *f, const char *name, const char *method, const double *x)
{
    fprintf(out, "%-*.*s %-*s", NAME_WIDTH, NAME_WIDTH, name, METHOD_WIDTH, method);
    for (int k = 0; k < f->n_column; k++)
        if (isnan(x[k])) fprintf(out, " %8s", "-");
        else fprintf(out, " %8.*f", f->column[k].digits, x[k]);
    fputc('\n', out);
}

static void print_mean(FILE *out, const ch4_score_table *t, int method, bool as_fallback)
{
    const ch4_score_family *f = t->family;
    double mean[64], deviation[64];
    char label[96];
    int64_t n = 0, most = 0;
    for (int k = 0; k < f->n_column; k++) {
        mean[k] = ch4_score_mean(&n, &deviation[k], t, method, k, as_fallback);
        most = ch4_max_i64(most, n);
    }
    if (as_fallback) snprintf(label, sizeof(label), "%s, failed=%s", f->method[method], f->method[f->fallback]);
    else snprintf(label, sizeof(label), "%s", f->method[method]);
    char name[48];
    snprintf(name, sizeof(name), "mean of %lld", (long long)most);
    print_row(out, f, name, label, mean);
    if (method == 0 && !as_fallback && most > 1) print_row(out, f, "standard deviation", label, deviation);
}

void ch4_score_print(FILE *out, const ch4_score_table *t)
{
    const ch4_score_family *f = t->family;
    int64_t missing = 0, failed = ch4_score_failed(t);
    fprintf(out, "%s\n%-*s %-*s", f->about, NAME_WIDTH, "clip", METHOD_WIDTH, "method");
    for (int k = 0; k < f->n_column; k++) fprintf(out, " %8s", f->column[k].title);
    fputc('\n', out);
    for (int64_t i = 0; i < t->n_clip; i++) {
        const ch4_score_clip *c = &t->clip[i];
        if (c->status) fprintf(out, "%-*.*s failed: %s\n", NAME_WIDTH, NAME_WIDTH, c->name, c->reason);
        for (int m = 0; m < f->n_method; m++) {
            char label[96];
            if (!has_values(t, i, m)) continue;
            if (m == 0 && c->note[0]) snprintf(label, sizeof(label), "%s (%s)", f->method[m], c->note);
            else snprintf(label, sizeof(label), "%s", f->method[m]);
            print_row(out, f, c->name, label, ch4_score_at(t, i, m));
        }
        missing += c->missing;
    }
    fputc('\n', out);
    for (int m = 0; m < f->n_method; m++)
        if (ch4_score_has(t, m)) print_mean(out, t, m, false);
    if (failed && f->fallback) print_mean(out, t, 0, true);
    fprintf(out, "\n%lld clips, %lld failed (%lld of them without any result).\n", (long long)t->n_clip, (long long)failed, (long long)missing);
}
