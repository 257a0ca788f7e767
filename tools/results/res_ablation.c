/* Ablations: number of steps, and parts left out. */
#include <math.h>
#include <string.h>

#include "tools/plot/plot.h"
#include "tools/results/res_page.h"

const int ch4_res_steps[CH4_RES_STEPS] = {1, 2, 3, 4, 5, 10, 30};

/* --- steps ------------------------------------------------------------------------------------------------------------------------------------- */

enum { CHAIN_M, CHAIN_4D, FRAMES_4D, LINES };

static ch4_res_mean step_value(ch4_res_page *p, int steps, int line)
{
    char name[64];
    snprintf(name, sizeof(name), "steps.%d", steps);
    return ch4_res_mean_of(p, name, "bench", line == FRAMES_4D ? "own_surfaces" : "ours", line == CHAIN_M ? "cd_motion" : "cd_4d");
}

static void steps_plot(ch4_res_page *p)
{
    static const char *const NAME[LINES] = {"chain: CD-M", "chain: CD-4D", "frames' own surfaces: CD-4D"};
    char path[4096];
    double x[CH4_RES_STEPS], y[LINES][CH4_RES_STEPS], low[LINES][CH4_RES_STEPS], high[LINES][CH4_RES_STEPS];
    ch4_plot_series series[LINES];
    for (int l = 0; l < LINES; l++) {
        for (int i = 0; i < CH4_RES_STEPS; i++) {
            ch4_res_mean m = step_value(p, ch4_res_steps[i], l);
            double se = isnan(m.se) ? 0 : m.se;
            x[i] = ch4_res_steps[i], y[l][i] = m.mean, low[l][i] = m.mean - se, high[l][i] = m.mean + se;
        }
        series[l] = (ch4_plot_series){.name = NAME[l], .n = CH4_RES_STEPS, .x = x, .y = y[l], .low = low[l], .high = high[l], .marks = true};
    }
    const ch4_plot plot = {.title = "Denoising steps (true mesh given; bars: standard error)", .x_label = "steps", .y_label = "distance", .series = series, .n_series = LINES, .log_x = true};
    snprintf(path, sizeof(path), "%s/steps.png", p->request->plots);
    if (!p->status) p->status = ch4_plot_save(path, &plot, p->err);
    fputs("![CD against the number of steps](results/steps.png)\n\n", p->out);
}

/* Difference of two cases clip by clip. */
static ch4_res_mean paired(ch4_res_page *p, const char *a, const char *b)
{
    ch4_res_values x = ch4_res_values_of(p, a, "bench", "ours", "cd_motion"), y = ch4_res_values_of(p, b, "bench", "ours", "cd_motion");
    ch4_res_mean m = {0, (double)NAN, (double)NAN};
    if (!p->status && x.n == y.n) {
        for (int64_t i = 0; i < x.n; i++) x.x[i] -= y.x[i];
        m = ch4_res_average(x.x, x.n);
    }
    ch4_res_values_fini(&x);
    ch4_res_values_fini(&y);
    return m;
}

void ch4_res_write_steps(ch4_res_page *p)
{
    fputs("### Denoising steps\n\nTrue mesh given; ", p->out);
    ch4_res_clips(p, "steps.4");
    fputs(". Per-frame surfaces have no CD-M.\n\n| steps | chain: CD-M | chain: CD-4D | frames' own surfaces: CD-4D | *Fast4D on ActionBench: CD-M* | *ActionMesh: CD-M* |\n|---|---|---|---|---|---|\n", p->out);
    for (int i = 0; i < CH4_RES_STEPS; i++) {
        int n = ch4_res_steps[i];
        fprintf(p->out, "| %d |", n);
        for (int l = 0; l < LINES; l++) {
            fputc(' ', p->out);
            ch4_res_put(p, step_value(p, n, l), 4);
            fputs(" |", p->out);
        }
        fprintf(p->out, " %s | %s |\n", n == 4 ? "*0.163*" : n == 30 ? "*0.152*" : "", n == 4 ? "*0.161*" : n == 30 ? "*0.148*" : "");
    }
    double four = step_value(p, 4, CHAIN_M).mean, thirty = step_value(p, 30, CHAIN_M).mean, change = 100 * (four / thirty - 1);
    ch4_res_mean d = paired(p, "steps.4", "steps.30");
    if (!isnan(change)) fprintf(p->out, "\nFour steps are %.1f %% %s than thirty on CD-M (difference clip by clip ", fabs(change), change > 0 ? "worse" : "better");
    if (isnan(change)) return steps_plot(p);
    ch4_res_put(p, d, 4);
    fprintf(p->out, "), %s the 10 %% of the paper's plateau. *Published: 7.2 %% worse (0.163 against 0.152).*\n*Published "
                    "at four steps: Fast4D CD-3D 0.048, CD-4D 0.077; ActionMesh 0.095, 0.125.*\n\n", change <= 10 ? "within" : "**outside**");
    steps_plot(p);
}

/* --- parts ---------------------------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *label, *bar, *case_name;
} PART[] = {{"everything on", "all on", "steps.4"},
            {"no smoothing in time", "no smoothing", "no_smoothing"},
            {"no skinning: every vertex goes its own way", "no skinning", "no_skinning"},
            {"no rejection of outliers", "no rejection", "no_rejection"},
            {"the chain alone: none of the three", "chain alone", "chain_alone"},
            {"guidance 2 instead of none", "guidance 2", "guidance"},
            {"attention of all heads of all layers", "all heads", "all_layers"}};
enum { PARTS = sizeof(PART) / sizeof(*PART) };

static void parts_plot(ch4_res_page *p)
{
    char path[4096];
    const char *group[PARTS];
    double y[2][PARTS], low[2][PARTS], high[2][PARTS];
    for (int i = 0; i < PARTS; i++)
        for (int k = 0; k < 2; k++) {
            ch4_res_mean m = ch4_res_mean_of(p, PART[i].case_name, "bench", "ours", k ? "cd_4d" : "cd_motion");
            double se = isnan(m.se) ? 0 : m.se;
            group[i] = PART[i].bar, y[k][i] = m.mean, low[k][i] = m.mean - se, high[k][i] = m.mean + se;
        }
    const ch4_plot_series series[] = {{.name = "CD-M", .n = PARTS, .y = y[0], .low = low[0], .high = high[0]}, {.name = "CD-4D", .n = PARTS, .y = y[1], .low = low[1], .high = high[1]}};
    const ch4_plot plot = {.title = "Parts switched off (true mesh given; bars: standard error)", .y_label = "distance", .series = series, .n_series = 2, .group = group};
    snprintf(path, sizeof(path), "%s/parts.png", p->request->plots);
    if (!p->status) p->status = ch4_plot_save(path, &plot, p->err);
    fputs("![CD with parts switched off](results/parts.png)\n\n", p->out);
}

void ch4_res_write_parts(ch4_res_page *p)
{
    static const char *const COLUMN[] = {"cd_motion", "cd_4d"};
    fputs("### Parts of the chain\n\nThe same clips, four steps, true mesh given. The last column compares clip by clip. The paper shows these parts in pictures only and prints no figures.\n\n"
          "| | CD-M | CD-4D | CD-M minus that of everything on |\n|---|---|---|---|\n", p->out);
    for (int i = 0; i < PARTS; i++) {
        fprintf(p->out, "| %s |", PART[i].label);
        for (int k = 0; k < 2; k++) {
            fputc(' ', p->out);
            ch4_res_put(p, ch4_res_mean_of(p, PART[i].case_name, "bench", "ours", COLUMN[k]), 4);
            fputs(" |", p->out);
        }
        fputc(' ', p->out);
        if (i) ch4_res_put(p, paired(p, PART[i].case_name, "steps.4"), 4);
        fputs(" |\n", p->out);
    }
    fputc('\n', p->out);
    parts_plot(p);
}
