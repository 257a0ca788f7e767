#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "golden.h"
#include "golden_state.h"

enum { NAME_MAX_LEN = 256 };

#define FORMAT_NAME(name, fmt)                                                                                         \
    char name[NAME_MAX_LEN];                                                                                           \
    do {                                                                                                               \
        va_list ap_;                                                                                                   \
        va_start(ap_, fmt);                                                                                            \
        vsnprintf(name, sizeof name, fmt, ap_);                                                                        \
        va_end(ap_);                                                                                                   \
    } while (0)

static void print_line(ch4_golden_case *c, const char *name, double error, double tolerance, double share, bool ok, const char *note)
{
    c->tally->tensors++;
    if (!ok)
        c->tally->failed++;
    else if (share > c->tally->worst)
        c->tally->worst = share;
    if (ok && c->quiet)
        return;
    printf("%-36s %-40s error %-9.3g tolerance %-9.3g %5.0f%%  %s%s\n", c->label, name, error, tolerance, 100 * share, ok ? "ok" : "FAIL", note);
}

static void fail_line(ch4_golden_case *c, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void fail_line(ch4_golden_case *c, const char *name, const char *fmt, ...)
{
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    c->tally->tensors++;
    c->tally->failed++;
    printf("%-36s %-40s FAIL: %s\n", c->label, name, why);
}

static int64_t find_tensor(const ch4_safetensors *f, const char *name)
{
    int64_t lo = 0, hi = ch4_safetensors_count(f);
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        int order = strcmp(ch4_safetensors_name(f, mid), name);
        if (order == 0)
            return mid;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return -1;
}

int64_t ch4_golden_take(ch4_golden_case *c, const char *name)
{
    if (!c->io)
        return -1;
    char full[NAME_MAX_LEN + 4];
    snprintf(full, sizeof full, "out.%s", name);
    int64_t i = find_tensor(c->io, full);
    if (i < 0)
        i = find_tensor(c->io, name);
    if (i >= 0)
        c->state->compared[i] = true;
    return i;
}

void ch4_golden_mark(ch4_golden_case *c, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    (void)ch4_golden_take(c, name);
}

/* Reference values of a tensor as doubles; NULL (with a line printed) where it is missing or has another size. */
static const double *reference(ch4_golden_case *c, const char *name, int64_t count)
{
    int64_t i = ch4_golden_take(c, name);
    if (i < 0) {
        fail_line(c, name, "the case records no such tensor");
        return NULL;
    }
    ch4_err err = {0};
    ch4_tensor t;
    double *values = NULL;
    ch4_status st = ch4_safetensors_get(c->io, ch4_safetensors_name(c->io, i), &t, &err);
    if (st == CH4_OK && ch4_tensor_count(&t) != count) {
        char shape[128];
        ch4_tensor_describe(&t, shape, sizeof shape);
        fail_line(c, name, "%" PRId64 " elements, the record has %s", count, shape);
        return NULL;
    }
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &values, (size_t)count, sizeof *values, &err);
    if (st == CH4_OK)
        st = ch4_tensor_to_f64(values, &t, &err);
    if (st != CH4_OK) {
        fail_line(c, name, "%s", err.msg);
        return NULL;
    }
    return values;
}

/* The keys under "tolerance" contain dots, so the dotted path does not serve here. */
static bool config_tolerance(ch4_golden_case *c, const char *name, double *atol, double *rtol)
{
    json_t *t = json_object_get(json_object_get(c->config, "tolerance"), name);
    json_t *a = json_object_get(t, "atol"), *r = json_object_get(t, "rtol");
    if (!json_is_number(a) || !json_is_number(r)) {
        fail_line(c, name, "config.json states no tolerance for it");
        return false;
    }
    *atol = json_number_value(a);
    *rtol = json_number_value(r);
    return true;
}

/* got is float (is_f32) or double. */
static void compare(ch4_golden_case *c, const char *name, const void *got, bool is_f32, const double *want, int64_t count, double atol, double rtol)
{
    double worst_share = 0, worst_error = 0, worst_tol = atol;
    int64_t bad = 0, first_bad = -1;
    for (int64_t i = 0; i < count; i++) {
        double x = is_f32 ? (double)((const float *)got)[i] : ((const double *)got)[i];
        if ((isnan(x) && isnan(want[i])) || x == want[i])
            continue;
        double error = fabs(x - want[i]), tol = atol + rtol * fabs(want[i]);
        double share = error <= tol ? error / tol : tol > 0 ? error / tol : INFINITY;
        if (!(error <= tol)) {
            share = isnan(share) ? INFINITY : share;
            bad++;
            if (first_bad < 0)
                first_bad = i;
        }
        if (share > worst_share) {
            worst_share = share;
            worst_error = error;
            worst_tol = tol;
        }
    }
    char note[96] = "";
    if (bad)
        snprintf(note, sizeof note, " (%" PRId64 " of %" PRId64 " elements, first %" PRId64 ")", bad, count, first_bad);
    print_line(c, name, worst_error, worst_tol, worst_share, bad == 0, note);
}

void ch4_golden_check_f32(ch4_golden_case *c, const float *got, int64_t count, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    double atol, rtol;
    const double *want = reference(c, name, count);
    if (want && config_tolerance(c, name, &atol, &rtol))
        compare(c, name, got, true, want, count, atol, rtol);
}

void ch4_golden_check_f64(ch4_golden_case *c, const double *got, int64_t count, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    double atol, rtol;
    const double *want = reference(c, name, count);
    if (want && config_tolerance(c, name, &atol, &rtol))
        compare(c, name, got, false, want, count, atol, rtol);
}

void ch4_golden_check_close(ch4_golden_case *c, const double *got, int64_t count, double atol, double rtol, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    const double *want = reference(c, name, count);
    if (want)
        compare(c, name, got, false, want, count, atol, rtol);
}

void ch4_golden_check_values(ch4_golden_case *c, const double *got, const double *want, int64_t count, double atol, double rtol,
                             const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    compare(c, name, got, false, want, count, atol, rtol);
}

void ch4_golden_check_index(ch4_golden_case *c, const int64_t *got, int64_t count, const double *gap, int64_t n_rows, double min_gap,
                            const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    const double *want = reference(c, name, count);
    if (!want)
        return;
    if (gap && (n_rows <= 0 || count % n_rows != 0)) {
        fail_line(c, name, "%" PRId64 " numbers do not make %" PRId64 " rows", count, n_rows);
        return;
    }
    int64_t per_row = gap ? count / n_rows : count, left_out = 0, bad = 0, first_bad = -1;
    double worst = 0;
    for (int64_t i = 0; i < count; i++) {
        if (gap && !(gap[i / per_row] > min_gap)) {
            left_out += i % per_row == 0;
            continue;
        }
        double error = fabs((double)got[i] - want[i]);
        if (error > 0) {
            bad++;
            if (first_bad < 0)
                first_bad = i;
            worst = error > worst ? error : worst;
        }
    }
    char note[128] = "";
    if (bad)
        snprintf(note, sizeof note, " (%" PRId64 " of %" PRId64 " numbers, first %" PRId64 ")", bad, count, first_bad);
    else if (left_out)
        snprintf(note, sizeof note, " (%" PRId64 " of %" PRId64 " rows left out as undecided)", left_out, n_rows);
    print_line(c, name, worst, 0, bad ? INFINITY : 0, bad == 0, note);
}

void ch4_golden_check_at_most(ch4_golden_case *c, double value, double limit, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    double share = value <= 0 ? 0 : limit > 0 ? value / limit : INFINITY;
    print_line(c, name, value, limit, share, value <= limit, "");
}

void ch4_golden_check_true(ch4_golden_case *c, bool holds, const char *fmt, ...)
{
    FORMAT_NAME(name, fmt);
    print_line(c, name, holds ? 0 : 1, 0, holds ? 0 : INFINITY, holds, "");
}
