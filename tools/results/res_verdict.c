/* The limits that this project has set itself, and whether they are met. */
#include <math.h>

#include "tools/results/res_page.h"

/* One line of the table: what was wanted, what was reached, and whether that is enough. below: reached must be at most limit, else at least. */
static void verdict(ch4_res_page *p, const char *what, double limit, double reached, bool below, int digits)
{
    bool met = below ? reached <= limit : reached >= limit;
    double missed = below ? reached - limit : limit - reached;
    if (isnan(reached) || isnan(limit)) {
        fprintf(p->out, "| %s | – | – | not known |\n", what);
        return;
    }
    fprintf(p->out, "| %s | %s %.*f | %.*f | ", what, below ? "at most" : "at least", digits, limit, digits, reached);
    if (met) fputs("met", p->out);
    else fprintf(p->out, "**missed by %.*f**", digits, missed);
    fputs(" |\n", p->out);
}

/* Clips on which our CD-M is below the truth's frame 0 held still. */
static double count_better(ch4_res_page *p, const char *case_name)
{
    ch4_res_values ours = ch4_res_values_of(p, case_name, "bench", "ours", "cd_motion"), still = ch4_res_values_of(p, case_name, "bench", "static", "cd_motion");
    double n = 0;
    for (int64_t i = 0; !p->status && i < ours.n && i < still.n; i++) n += ours.x[i] < still.x[i];
    ch4_res_values_fini(&ours);
    ch4_res_values_fini(&still);
    return n;
}

static double mean_of(ch4_res_page *p, const char *case_name, const char *file, const char *method, const char *column)
{
    return ch4_res_mean_of(p, case_name, file, method, column).mean;
}

void ch4_res_write_verdicts(ch4_res_page *p)
{
    const char *mesh = "creatures.mesh", *video = "creatures.video";
    double moving = mean_of(p, mesh, "eval", NULL, "ours_moving"), still = mean_of(p, mesh, "eval", NULL, "no_motion_moving"), near = mean_of(p, mesh, "eval", NULL, "nearest_moving");
    double cd_m = mean_of(p, video, "bench", "ours", "cd_motion");
    double four = mean_of(p, "steps.4", "bench", "ours", "cd_motion"), thirty = mean_of(p, "steps.30", "bench", "ours", "cd_motion");
    double aj = mean_of(p, mesh, "views", "ours", "aj"), still_aj = mean_of(p, mesh, "views", "static_point", "aj"), near_aj = mean_of(p, mesh, "views", "nearest_chained", "aj");
    fputs("## Limits set, limits met\n\n| | limit | reached | |\n|---|---|---|---|\n", p->out);
    verdict(p, "held-out creatures, true mesh: mean error of moving points / the better of no motion and nearest point of our own surface", 0.6, moving / fmin(still, near), true, 3);
    verdict(p, "held-out creatures, true mesh: volume IoU of the 15 generated frames, at least (see below)", 0.5, ch4_res_generated_iou(p, mesh), false, 3);
    verdict(p, "held-out creatures, true mesh: AJ, against the static point", still_aj, aj, false, 2);
    verdict(p, "held-out creatures, true mesh: AJ, against nearest chained on the true surface", near_aj, aj, false, 2);
    verdict(p, "held-out creatures, video only: CD-M / that of the true first frame held still", 0.75, cd_m / mean_of(p, video, "bench", "static", "cd_motion"), true, 3);
    verdict(p, "held-out creatures, video only: CD-M / that of our own first frame held still", 0.75, cd_m / mean_of(p, video, "bench", "own_static", "cd_motion"), true, 3);
    verdict(p, "held-out creatures, video only: CD-M, against nearest chained on our own surfaces", mean_of(p, video, "bench", "own_nearest_chained", "cd_motion"), cd_m, true, 4);
    verdict(p, "minibench, true mesh: objects of 8 with a CD-M below the first frame held still", 4, count_better(p, "minibench.mesh"), false, 0);
    verdict(p, "minibench, video only: objects of 8 with a CD-M below the true first frame held still", 4, count_better(p, "minibench.video"), false, 0);
    verdict(p, "CD-M of the chain with four steps / with thirty", 1.1, four / thirty, true, 3);
    fputs("\nWhat limits the figures that are missed, and how they moved with training: [train/README.md](../train/README.md).\n\n", p->out);
}
