/* chain4d-drift: curves over the windows of long clips, for several settings of chain4d run beside each other. */
#include <dirent.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "tools/drift/rollout_clip.h"
#include "tools/eval/drift.h"
#include "tools/plot/plot.h"

static const char HELP[] =
    "usage: chain4d-drift --gt FOLDER --out FOLDER NAME=RUNS... [--samples N] [--threads N]\n"
    "\n"
    "How results drift over long ping-pong clips (chain4d-synth creatures --motion pingpong) in several settings. RUNS/CLIP/video is a result of chain4d run with\n"
    "sink.keep=true and the clip's anchor.obj given; NAME is what the setting is called. Settings are compared on the clips that all of them have.\n"
    "Prints a table (Markdown): each error in the first and the last window and its growth beside that of the first setting, the correlation of latents with\n"
    "those of the same source frames in the first window, and the surface area of the last frame over that of the first. Writes FOLDER/drift.csv and FOLDER/drift_*.png.\n"
    "\n"
    "  --gt FOLDER     the clips\n"
    "  --out FOLDER    where the files go; it must exist\n"
    "  --samples N     points on a surface (2000)\n"
    "  --threads N     worker threads (2)\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 usage, 3 nothing to compare.\n";

enum { SOURCE_FRAMES = 16, MAX_SETTINGS = 32, MAX_CLIPS = 256, MAX_NAME = 128 };

static const struct {
    const char *key, *title;
} CURVE[CH4_ROLLOUT_CURVES] = {{"vertex", "mean vertex error"}, {"cd_4d", "CD-4D"}, {"cd_m", "CD-M"}, {"correlation", "correlation of latents"}};

typedef struct setting {
    const char *name;
    char *runs;
    ch4_rollout_score score[MAX_CLIPS];
    double *mean[CH4_ROLLOUT_CURVES]; /* [n_windows] over clips */
} setting;

typedef struct study {
    const char *gt, *out;
    int64_t samples, threads;
    setting *of;
    int n_settings;
    char clip[MAX_CLIPS][MAX_NAME];
    int n_clips;
    int64_t n_windows;
} study;

static ch4_status parse(study *s, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"gt", 1, NULL, 'g'}, {"out", 1, NULL, 'o'}, {"samples", 1, NULL, 's'}, {"threads", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;)
        switch (c) {
        case 'g': s->gt = optarg; break;
        case 'o': s->out = optarg; break;
        case 's': s->samples = atoll(optarg); break;
        case 't': s->threads = atoll(optarg); break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (!s->gt || !s->out || optind == argc || s->samples < 1 || s->threads < 1)
        return ch4_err_set(err, CH4_EINVAL, "needs --gt, --out and settings; see --help");
    for (; optind < argc; optind++) {
        char *equals = strchr(argv[optind], '=');
        if (!equals || equals == argv[optind] || s->n_settings == MAX_SETTINGS)
            return ch4_err_set(err, CH4_EINVAL, "%s: NAME=RUNS wanted", argv[optind]);
        *equals = 0;
        s->of[s->n_settings++] = (setting){.name = argv[optind], .runs = equals + 1};
    }
    return CH4_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static ch4_status find_clips(study *s, ch4_err *err)
{
    DIR *d = opendir(s->gt);
    if (!d)
        return ch4_err_set(err, CH4_ENOENT, "%s: no such folder", s->gt);
    for (struct dirent *e; (e = readdir(d)) && s->n_clips < MAX_CLIPS;) {
        bool all = e->d_name[0] != '.' && strlen(e->d_name) < MAX_NAME;
        for (int i = 0; all && i < s->n_settings; i++) {
            char path[4096];
            snprintf(path, sizeof path, "%.2000s/%.200s/video/summary.json", s->of[i].runs, e->d_name);
            all = access(path, R_OK) == 0;
        }
        if (all)
            snprintf(s->clip[s->n_clips++], MAX_NAME, "%.*s", MAX_NAME - 1, e->d_name);
    }
    closedir(d);
    qsort(s->clip, (size_t)s->n_clips, sizeof s->clip[0], by_name);
    return s->n_clips ? CH4_OK : ch4_err_set(err, CH4_ENOENT, "%s: no clip that all settings have a result for", s->gt);
}

static ch4_status score_setting(study *s, setting *t, ch4_pool *pool, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (int i = 0; !st && i < s->n_clips; i++) {
        char truth[4096], result[4096];
        snprintf(truth, sizeof truth, "%.2000s/%s", s->gt, s->clip[i]);
        snprintf(result, sizeof result, "%.2000s/%s/video", t->runs, s->clip[i]);
        st = ch4_rollout_score_clip(&t->score[i], truth, result, SOURCE_FRAMES, s->samples, pool, err);
        if (!st && s->n_windows && t->score[i].n_windows != s->n_windows)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: %lld windows, others have %lld", result, (long long)t->score[i].n_windows, (long long)s->n_windows);
        s->n_windows = t->score[i].n_windows;
    }
    for (int k = 0; !st && k < CH4_ROLLOUT_CURVES; k++) {
        st = ch4_calloc(&t->mean[k], (size_t)s->n_windows, sizeof *t->mean[k], "curves", err);
        for (int64_t w = 0; !st && w < s->n_windows; w++)
            for (int i = 0; i < s->n_clips; i++)
                t->mean[k][w] += t->score[i].curve[k][w] / s->n_clips;
    }
    return st;
}

static ch4_status save_csv(const study *s, ch4_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%.4000s/drift.csv", s->out);
    FILE *f = fopen(path, "we");
    if (!f)
        return ch4_err_set(err, CH4_EIO, "%s: cannot be written", path);
    fprintf(f, "setting,clip,metric,window,value\n");
    for (int a = 0; a < s->n_settings; a++)
        for (int i = 0; i < s->n_clips; i++)
            for (int k = 0; k < CH4_ROLLOUT_CURVES; k++)
                for (int64_t w = 0; w < s->n_windows; w++)
                    fprintf(f, "%s,%s,%s,%lld,%.6g\n", s->of[a].name, s->clip[i], CURVE[k].key, (long long)w, s->of[a].score[i].curve[k][w]);
    return fclose(f) ? ch4_err_set(err, CH4_EIO, "%s: cannot be written", path) : CH4_OK;
}

static ch4_status save_plots(const study *s, ch4_err *err)
{
    ch4_plot_series series[MAX_SETTINGS];
    ch4_status st = CH4_OK;
    for (int k = 0; !st && k < CH4_ROLLOUT_CURVES; k++) {
        char path[4096], title[160];
        for (int a = 0; a < s->n_settings; a++)
            series[a] = (ch4_plot_series){.name = s->of[a].name, .n = s->n_windows, .y = s->of[a].mean[k], .marks = a == 0, .dashed = a > 0};
        snprintf(path, sizeof path, "%.4000s/drift_%s.png", s->out, CURVE[k].key);
        snprintf(title, sizeof title, "%s by window, mean of %d clips", CURVE[k].title, s->n_clips);
        st = ch4_plot_save(path, &(ch4_plot){.title = title, .x_label = "window", .y_label = CURVE[k].title, .series = series, .n_series = s->n_settings}, err);
    }
    return st;
}

/* Least-squares slope times the number of steps: the growth that the whole curve speaks for, not its last window alone. */
static double growth(const double *curve, int64_t n)
{
    return ch4_drift_summarise(curve, n).slope * (double)(n - 1);
}

static void print_table(const study *s)
{
    printf("%d clips of %lld windows.\n\n", s->n_clips, (long long)s->n_windows);
    printf("| setting | vertex error, first / last | growth | CD-4D, first / last | growth | CD-M, first / last | growth | correlation, last | area, last / first | worst area | flipped |\n");
    printf("|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int a = 0; a < s->n_settings; a++) {
        const setting *t = &s->of[a];
        double area = 0, worst = 1;
        int64_t flipped = 0;
        bool finite = true;
        for (int i = 0; i < s->n_clips; i++) {
            double x = t->score[i].area;
            area += x / s->n_clips;
            worst = fabs(log(x)) > fabs(log(worst)) ? x : worst;
            flipped += t->score[i].flipped;
            finite = finite && t->score[i].finite;
        }
        printf("| %s |", t->name);
        for (int k = 0; k < CH4_ROLLOUT_CORRELATION; k++) {
            double own = growth(t->mean[k], s->n_windows), naive = growth(s->of[0].mean[k], s->n_windows);
            printf(" %.3f / %.3f | %+.3f (%.2f) |", t->mean[k][0], t->mean[k][s->n_windows - 1], own, own / naive);
        }
        printf(" %.3f | %.3f | %.3f | %lld%s |\n", t->mean[CH4_ROLLOUT_CORRELATION][s->n_windows - 1], area, worst, (long long)flipped, finite ? "" : ", not finite");
    }
}

static void free_study(study *s)
{
    for (int a = 0; a < s->n_settings; a++) {
        for (int i = 0; i < s->n_clips; i++)
            ch4_rollout_score_fini(&s->of[a].score[i]);
        for (int k = 0; k < CH4_ROLLOUT_CURVES; k++)
            free(s->of[a].mean[k]);
    }
    free(s->of);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    ch4_err err = {0};
    ch4_pool *pool = NULL;
    static study s = {.samples = 2000, .threads = 2};
    ch4_status st = ch4_calloc(&s.of, MAX_SETTINGS, sizeof *s.of, "settings", &err);
    if (!st)
        st = parse(&s, argc, argv, &err);
    if (!st)
        st = find_clips(&s, &err);
    if (!st)
        st = ch4_pool_create(&pool, (int)s.threads, &err);
    for (int a = 0; !st && a < s.n_settings; a++)
        st = score_setting(&s, &s.of[a], pool, &err);
    if (!st)
        st = save_csv(&s, &err);
    if (!st)
        st = save_plots(&s, &err);
    if (!st)
        print_table(&s);
    if (st)
        fprintf(stderr, "chain4d-drift: %s\n", err.msg);
    ch4_pool_destroy(&pool);
    free_study(&s);
    return ch4_status_exit_code(st);
}
