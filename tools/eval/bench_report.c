#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/eval/bench_run.h"
#include "tools/eval/drift.h"

static const struct {
    const char *key, *title;
    size_t offset;
} COLUMN[] = {
    {"cd_3d", "CD-3D", offsetof(ch4_bench_score, cd_3d)},         {"cd_4d", "CD-4D", offsetof(ch4_bench_score, cd_4d)},
    {"cd_motion", "CD-M", offsetof(ch4_bench_score, cd_motion)},  {"nc_gt", "NC-GT", offsetof(ch4_bench_score, nc_gt)},
    {"nc_signed", "NC-sgn", offsetof(ch4_bench_score, nc_signed)}, {"nc_mesh", "NC-mesh", offsetof(ch4_bench_score, nc_mesh)},
    {"floor", "floor", offsetof(ch4_bench_score, floor)},
};
enum { N_COLUMN = sizeof(COLUMN) / sizeof(*COLUMN) };

static const char *const ALIGN[] = {"public", "uniform", "none"};

static double value(const ch4_bench_row *row, ch4_bench_method m, int column)
{
    return row->has[m] ? *(const double *)(const void *)((const char *)&row->score[m] + COLUMN[column].offset) : (double)NAN;
}

/* --- text ---------------------------------------------------------------------------------------------------------------------------------- */

static void print_values(FILE *out, const double *x)
{
    for (int k = 0; k < N_COLUMN; k++)
        if (isnan(x[k])) fprintf(out, " %8s", "-");
        else fprintf(out, " %8.4f", x[k]);
    fputc('\n', out);
}

static void print_means(FILE *out, const ch4_bench_row *row, int64_t n, ch4_bench_method m, bool as_static, const char *label)
{
    double x[N_COLUMN];
    for (int k = 0; k < N_COLUMN; k++) x[k] = ch4_bench_mean(row, n, m, COLUMN[k].offset, as_static);
    fprintf(out, "%-24s %-20s", "mean", label);
    print_values(out, x);
}

static bool any_has(const ch4_bench_row *row, int64_t n, ch4_bench_method m)
{
    for (int64_t i = 0; i < n; i++)
        if (row[i].has[m]) return true;
    return false;
}

void ch4_bench_print(FILE *out, const ch4_bench_row *row, int64_t n)
{
    int64_t failed = 0, missing = 0;
    fprintf(out, "CD: sum of the two mean nearest distances, not squared; CD-3D each frame aligned, CD-4D and CD-M by frame 0. CD-M compares the same points through\n"
                 "time: a method must beat static and nearest_chained there. Baselines are not aligned. floor: what two samplings of one surface score.\n\n");
    fprintf(out, "%-24s %-20s", "clip", "method (alignment)");
    for (int k = 0; k < N_COLUMN; k++) fprintf(out, " %8s", COLUMN[k].title);
    fputc('\n', out);
    for (int64_t i = 0; i < n; i++) {
        if (row[i].status) fprintf(out, "%-24.24s failed: %s\n", row[i].name, row[i].reason);
        for (int m = 0; m < CH4_BENCH_METHODS; m++) {
            double x[N_COLUMN];
            char label[64];
            if (!row[i].has[m]) continue;
            for (int k = 0; k < N_COLUMN; k++) x[k] = value(&row[i], (ch4_bench_method)m, k);
            if (m == CH4_BENCH_OURS) snprintf(label, sizeof(label), "ours (%s)", ALIGN[row[i].align]);
            else snprintf(label, sizeof(label), "%s", ch4_bench_method_name[m]);
            fprintf(out, "%-24.24s %-20s", row[i].name, label);
            print_values(out, x);
        }
        failed += row[i].status != CH4_OK;
        missing += row[i].missing;
    }
    fputc('\n', out);
    for (int m = 0; m < CH4_BENCH_METHODS; m++)
        if (any_has(row, n, (ch4_bench_method)m)) print_means(out, row, n, (ch4_bench_method)m, false, ch4_bench_method_name[m]);
    if (failed) print_means(out, row, n, CH4_BENCH_OURS, true, "ours, failed=static");
    fprintf(out, "\n%lld clips, %lld failed (%lld of them without any result), %lld samples of a surface.\n", (long long)n, (long long)failed, (long long)missing,
            (long long)(n ? row[0].n_point : 0));
}

/* --- files ---------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status close_file(FILE *f, const char *path, ch4_err *err)
{
    bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}

static void csv_number(FILE *f, double x)
{
    if (isnan(x)) fputc(',', f);
    else fprintf(f, ",%.17g", x);
}

/* Quotes where a comma or a quote would split the field. */
static void csv_text(FILE *f, const char *text)
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

static ch4_status save_csv(const char *path, const ch4_bench_row *row, int64_t n, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "clip,method,align,samples,status");
    for (int k = 0; k < N_COLUMN; k++) fprintf(f, ",%s", COLUMN[k].key);
    fputc('\n', f);
    for (int64_t i = 0; i < n; i++)
        for (int m = 0; m < CH4_BENCH_METHODS; m++) {
            if (!row[i].has[m] && m != CH4_BENCH_OURS) continue;
            fputs(row[i].name, f);
            fprintf(f, ",%s,%s,%lld,%s", ch4_bench_method_name[m], m == CH4_BENCH_OURS ? ALIGN[row[i].align] : "none", (long long)row[i].n_point,
                    m == CH4_BENCH_OURS && row[i].status ? ch4_status_name(row[i].status) : "ok");
            for (int k = 0; k < N_COLUMN; k++) csv_number(f, value(&row[i], (ch4_bench_method)m, k));
            fputc('\n', f);
        }
    return close_file(f, path, err);
}

/* The public script's table: truths without any prediction are not in it. */
static ch4_status save_public_csv(const char *path, const ch4_bench_row *row, int64_t n, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "uid,cd_3d,cd_4d,cd_motion,n_frames,status,error_message\n");
    for (int64_t i = 0; i < n; i++) {
        if (row[i].missing) continue;
        fputs(row[i].name, f);
        for (int k = 0; k < 3; k++) csv_number(f, row[i].status ? (double)NAN : value(&row[i], CH4_BENCH_OURS, k));
        fprintf(f, ",%lld,%s", (long long)row[i].n_frames, row[i].status ? "error" : "success");
        csv_text(f, row[i].reason);
        fputc('\n', f);
    }
    return close_file(f, path, err);
}

/* --- curves over windows --------------------------------------------------------------------------------------------------------------------- */

enum { WINDOW = 16 };

static bool is_long(const ch4_bench_row *row) { return row->frame_cd && !row->status && row->n_frames > WINDOW; }

static ch4_status write_curves(FILE *curves, FILE *drift, const ch4_bench_row *row, ch4_err *err)
{
    int64_t n = ch4_drift_windows(row->n_frames, WINDOW);
    double *curve = NULL;
    ch4_status st = ch4_calloc(&curve, (size_t)n, sizeof(*curve), "curve", err);
    for (int k = 0; !st && k < 3; k++) {
        ch4_drift_curve(curve, row->frame_cd + k * row->n_frames, row->n_frames, WINDOW);
        for (int64_t w = 0; w < n; w++) {
            fprintf(curves, "%s,%s,%lld", row->name, COLUMN[k].key, (long long)w);
            csv_number(curves, curve[w]);
            fputc('\n', curves);
        }
        ch4_drift_summary s = ch4_drift_summarise(curve, n);
        fprintf(drift, "%s,%s", row->name, COLUMN[k].key);
        csv_number(drift, s.first);
        csv_number(drift, s.last);
        csv_number(drift, s.ratio);
        csv_number(drift, s.slope);
        fprintf(drift, ",%lld\n", (long long)s.doubled);
    }
    free(curve);
    return st;
}

static ch4_status save_curves(const char *folder, const ch4_bench_row *row, int64_t n, ch4_err *err)
{
    char path[2][4096];
    int64_t i = 0;
    while (i < n && !is_long(&row[i])) i++;
    if (i == n) return CH4_OK;
    snprintf(path[0], sizeof(path[0]), "%s/curves.csv", folder);
    snprintf(path[1], sizeof(path[1]), "%s/drift.csv", folder);
    FILE *curves = fopen(path[0], "wbe"), *drift = fopen(path[1], "wbe");
    ch4_status st = curves && drift ? CH4_OK : ch4_err_set_errno(err, errno, "%s", folder);
    if (!st) fprintf(curves, "clip,metric,window,value\n");
    if (!st) fprintf(drift, "clip,metric,first,last,ratio,slope,doubled_at\n");
    for (; !st && i < n; i++)
        if (is_long(&row[i])) st = write_curves(curves, drift, &row[i], err);
    if (curves) {
        ch4_status closed = close_file(curves, path[0], st ? NULL : err);
        st = st ? st : closed;
    }
    if (drift) {
        ch4_status closed = close_file(drift, path[1], st ? NULL : err);
        st = st ? st : closed;
    }
    return st;
}

static json_t *number_or_null(double x) { return isnan(x) ? json_null() : json_real(x); }

static ch4_status save_json(json_t *root, const char *path, ch4_err *err)
{
    errno = 0;
    int rc = json_dump_file(root, path, JSON_INDENT(2));
    json_decref(root);
    return rc == 0 ? CH4_OK : ch4_err_set_errno(err, errno ? errno : EIO, "%s", path);
}

static json_t *public_summary(const ch4_bench_row *row, int64_t n)
{
    json_t *root = json_object();
    int64_t total = 0, good = 0;
    for (int64_t i = 0; i < n; i++) {
        total += !row[i].missing;
        good += !row[i].status;
    }
    json_object_set_new(root, "n_total", json_integer(total));
    json_object_set_new(root, "n_success", json_integer(good));
    json_object_set_new(root, "n_failed", json_integer(total - good));
    json_object_set_new(root, "success_rate", number_or_null(total ? (double)good / (double)total : (double)NAN));
    for (int k = 0; k < 3; k++) {
        char key[32];
        snprintf(key, sizeof(key), "%s_mean", COLUMN[k].key);
        json_object_set_new(root, key, number_or_null(ch4_bench_mean(row, n, CH4_BENCH_OURS, COLUMN[k].offset, false)));
    }
    return root;
}

static json_t *means_json(const ch4_bench_row *row, int64_t n, ch4_bench_method m, bool as_static)
{
    json_t *o = json_object();
    for (int k = 0; k < N_COLUMN; k++) json_object_set_new(o, COLUMN[k].key, number_or_null(ch4_bench_mean(row, n, m, COLUMN[k].offset, as_static)));
    return o;
}

static json_t *report_json(const ch4_bench_row *row, int64_t n)
{
    json_t *root = json_object(), *mean = json_object(), *clips = json_array();
    int64_t failed = 0;
    for (int64_t i = 0; i < n; i++) {
        json_t *c = json_object();
        json_object_set_new(c, "clip", json_string(row[i].name));
        json_object_set_new(c, "status", json_string(row[i].status ? ch4_status_name(row[i].status) : "ok"));
        if (row[i].status) json_object_set_new(c, "reason", json_string(row[i].reason));
        json_object_set_new(c, "align", json_string(ALIGN[row[i].align]));
        json_object_set_new(c, "samples", json_integer(row[i].n_point));
        for (int m = 0; m < CH4_BENCH_METHODS; m++)
            if (row[i].has[m]) json_object_set_new(c, ch4_bench_method_name[m], means_json(&row[i], 1, (ch4_bench_method)m, false));
        json_array_append_new(clips, c);
        failed += row[i].status != CH4_OK;
    }
    for (int m = 0; m < CH4_BENCH_METHODS; m++) json_object_set_new(mean, ch4_bench_method_name[m], means_json(row, n, (ch4_bench_method)m, false));
    json_object_set_new(root, "n_total", json_integer(n));
    json_object_set_new(root, "n_failed", json_integer(failed));
    json_object_set_new(root, "mean", mean);
    json_object_set_new(root, "mean_failed_as_static", means_json(row, n, CH4_BENCH_OURS, true));
    json_object_set_new(root, "clips", clips);
    return root;
}

ch4_status ch4_bench_save(const char *folder, const ch4_bench_row *row, int64_t n, ch4_err *err)
{
    char path[4096];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", folder);
    snprintf(path, sizeof(path), "%s/bench.csv", folder);
    ch4_status st = save_csv(path, row, n, err);
    snprintf(path, sizeof(path), "%s/actionbench.csv", folder);
    if (!st) st = save_public_csv(path, row, n, err);
    snprintf(path, sizeof(path), "%s/actionbench.summary.json", folder);
    if (!st) st = save_json(public_summary(row, n), path, err);
    snprintf(path, sizeof(path), "%s/bench.json", folder);
    if (!st) st = save_json(report_json(row, n), path, err);
    return st ? st : save_curves(folder, row, n, err);
}
