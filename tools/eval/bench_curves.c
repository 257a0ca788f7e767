#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/bench_run.h"
#include "tools/eval/drift.h"
#include "tools/plot/plot.h"

static const struct {
    const char *key, *title;
    bool plot;
} CURVE[CH4_BENCH_CURVES] = {
    {"cd_3d", "CD-3D", false}, {"cd_4d", "CD-4D", true}, {"cd_motion", "CD-M", true}, {"nc_gt", "NC-GT", false}, {"edge_stretch", "mean edge stretch", false},
    {"volume", "volume / first", false}, {"diagonal", "diagonal / first", false}, {"opposed", "share of opposed faces", false},
};

/* --- over frames --------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status save_frames(const char *folder, const ch4_score_table *t, const ch4_bench_curves *c, ch4_err *err)
{
    char path[4096];
    FILE *f = NULL;
    ch4_status st = ch4_report_open(&f, path, folder, "frames.csv", err);
    if (st) return st;
    fprintf(f, "clip,method,frame");
    for (int k = 0; k < CH4_BENCH_CURVES; k++) fprintf(f, ",%s", CURVE[k].key);
    fputc('\n', f);
    for (int64_t i = 0; i < t->n_clip; i++)
        for (int m = 0; m < CH4_BENCH_METHODS; m++)
            for (int64_t at = 0; c[i].of[m] && at < c[i].n_frames; at++) {
                fprintf(f, "%s,%s,%lld", t->clip[i].name, ch4_bench_method_name[m], (long long)at);
                for (int k = 0; k < CH4_BENCH_CURVES; k++) ch4_csv_number(f, c[i].of[m][k * c[i].n_frames + at]);
                fputc('\n', f);
            }
    return ch4_report_close(&f, path, st, err);
}

/* A curve of one clip and method, over frames or over windows. */
typedef double (*value_at)(const ch4_bench_curves *c, int method, int curve, int64_t at);

static double frame_value(const ch4_bench_curves *c, int m, int k, int64_t at)
{
    return c->of[m] && at < c->n_frames ? c->of[m][k * c->n_frames + at] : (double)NAN;
}

static double window_value(const ch4_bench_curves *c, int m, int k, int64_t window)
{
    if (!c->of[m] || window >= ch4_drift_windows(c->n_frames, CH4_BENCH_WINDOW)) return NAN;
    int64_t begin, end;
    double sum = 0;
    ch4_drift_window(&begin, &end, window, c->n_frames, CH4_BENCH_WINDOW);
    begin += window > 0;
    for (int64_t f = begin; f < end; f++) sum += frame_value(c, m, k, f);
    return sum / (double)(end - begin);
}

/* One line for each method: the mean over the clips that have the value there. */
static ch4_status plot_means(const char *path, const char *title, const char *x_label, int k, int64_t n, value_at value, const ch4_bench_curves *c, int64_t n_clip,
                             ch4_err *err)
{
    double *y = NULL;
    ch4_plot_series series[CH4_BENCH_METHODS];
    int lines = 0;
    ch4_status st = ch4_calloc(&y, (size_t)n, CH4_BENCH_METHODS * sizeof(*y), "plot", err);
    for (int m = 0; !st && m < CH4_BENCH_METHODS; m++) {
        bool any = false;
        if (m == CH4_BENCH_PER_FRAME) continue; /* lies on the oracle */
        for (int64_t at = 0; at < n; at++) {
            double sum = 0;
            int64_t count = 0;
            for (int64_t i = 0; i < n_clip; i++) {
                double x = value(&c[i], m, k, at);
                if (!isnan(x)) sum += x, count++;
            }
            y[m * n + at] = count ? sum / (double)count : NAN;
            any = any || count;
        }
        if (!any) continue;
        series[lines++] = (ch4_plot_series){.name = ch4_bench_method_name[m], .n = n, .y = y + m * n, .marks = m == CH4_BENCH_OURS,
                                            .dashed = m >= CH4_BENCH_OWN_STATIC};
    }
    const ch4_plot plot = {.title = title, .x_label = x_label, .y_label = CURVE[k].title, .series = series, .n_series = lines};
    if (!st && lines) st = ch4_plot_save(path, &plot, err);
    free(y);
    return st;
}

/* --- over windows --------------------------------------------------------------------------------------------------------------------------------- */

static void write_windows(FILE *curves, FILE *drift, const char *clip, const char *method, const char *key, const double *curve, int64_t n)
{
    for (int64_t w = 0; w < n; w++) {
        fprintf(curves, "%s,%s,%s,%lld", clip, method, key, (long long)w);
        ch4_csv_number(curves, curve[w]);
        fputc('\n', curves);
    }
    ch4_drift_summary s = ch4_drift_summarise(curve, n);
    fprintf(drift, "%s,%s,%s", clip, method, key);
    ch4_csv_number(drift, s.first);
    ch4_csv_number(drift, s.last);
    ch4_csv_number(drift, s.ratio);
    ch4_csv_number(drift, s.slope);
    fprintf(drift, ",%lld\n", (long long)s.doubled);
}

static ch4_status write_clip(FILE *curves, FILE *drift, const char *name, const ch4_bench_curves *c, ch4_err *err)
{
    int64_t n = ch4_drift_windows(c->n_frames, CH4_BENCH_WINDOW);
    double *curve = NULL;
    ch4_status st = ch4_calloc(&curve, (size_t)n, sizeof(*curve), "curve", err);
    for (int m = 0; !st && m < CH4_BENCH_METHODS; m++)
        for (int k = 0; c->of[m] && k < CH4_BENCH_CURVES; k++) {
            ch4_drift_curve(curve, c->of[m] + k * c->n_frames, c->n_frames, CH4_BENCH_WINDOW);
            if (!isnan(curve[0])) write_windows(curves, drift, name, ch4_bench_method_name[m], CURVE[k].key, curve, n);
        }
    if (!st && c->n_closure) write_windows(curves, drift, name, ch4_bench_method_name[CH4_BENCH_OURS], "closure", c->closure, c->n_closure);
    free(curve);
    return st;
}

static ch4_status save_windows(const char *folder, const ch4_score_table *t, const ch4_bench_curves *c, ch4_err *err)
{
    char path[2][4096];
    FILE *curves = NULL, *drift = NULL;
    ch4_status st = ch4_report_open(&curves, path[0], folder, "curves.csv", err);
    if (!st) st = ch4_report_open(&drift, path[1], folder, "drift.csv", err);
    if (!st) fprintf(curves, "clip,method,metric,window,value\n");
    if (!st) fprintf(drift, "clip,method,metric,first,last,ratio,slope,doubled_at\n");
    for (int64_t i = 0; !st && i < t->n_clip; i++)
        if (c[i].n_frames > CH4_BENCH_WINDOW) st = write_clip(curves, drift, t->clip[i].name, &c[i], err);
    st = ch4_report_close(&curves, path[0], st, err);
    return ch4_report_close(&drift, path[1], st, err);
}

ch4_status ch4_bench_save_curves(const char *folder, const ch4_score_table *t, const ch4_bench_curves *c, ch4_err *err)
{
    int64_t longest = 0;
    char path[4096], title[160];
    for (int64_t i = 0; i < t->n_clip; i++) longest = ch4_max_i64(longest, c[i].n_frames);
    bool windows = longest > CH4_BENCH_WINDOW;
    ch4_status st = save_frames(folder, t, c, err);
    if (!st && windows) st = save_windows(folder, t, c, err);
    for (int k = 0; !st && k < CH4_BENCH_CURVES; k++) {
        if (!CURVE[k].plot || longest == 0) continue;
        snprintf(path, sizeof(path), "%s/frames_%s.png", folder, CURVE[k].key);
        snprintf(title, sizeof(title), "%s by frame, mean of %lld clips", CURVE[k].title, (long long)t->n_clip);
        st = plot_means(path, title, "frame", k, longest, frame_value, c, t->n_clip, err);
        snprintf(path, sizeof(path), "%s/windows_%s.png", folder, CURVE[k].key);
        snprintf(title, sizeof(title), "%s by window of %d frames, mean of %lld clips", CURVE[k].title, CH4_BENCH_WINDOW, (long long)t->n_clip);
        if (!st && windows) st = plot_means(path, title, "window", k, ch4_drift_windows(longest, CH4_BENCH_WINDOW), window_value, c, t->n_clip, err);
    }
    return st;
}
