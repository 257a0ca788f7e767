/* The tables of the held-out creatures and of minibench. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/plot/plot.h"
#include "tools/results/res_page.h"

static const char *const WAY[2] = {"mesh", "video"}, *const WAY_NAME[2] = {"true mesh", "video only"};

static void case_of(char out[64], const char *set, int way) { snprintf(out, 64, "%s.%s", set, WAY[way]); }

/* --- creatures --------------------------------------------------------------------------------------------------------------------------------- */

static void surfaces_table(ch4_res_page *p, int way)
{
    static const char *const COLUMN[] = {"cd_4d", "cd_motion", "nc_gt"};
    static const struct {
        const char *label, *method;
    } ROW[] = {{"**chain4d**", "ours"}, {"the frames' decoded surfaces, no shared topology", "own_surfaces"}, {"our first frame held still", "own_static"}, {"nearest chained on our own surfaces", "own_nearest_chained"},
               {"true first frame held still", "static"}, {"nearest chained on the true surface", "nearest_chained"}, {"the truth, sampled twice", "oracle"}};
    char name[64];
    case_of(name, "creatures", way);
    fprintf(p->out, "### %s\n\n| | CD-3D = CD-4D | CD-M | normals (NC-GT) |\n|---|---|---|---|\n", way ? "From the video alone" : "With the true mesh of the first frame");
    for (size_t i = 0; i < sizeof(ROW) / sizeof(*ROW); i++) ch4_res_row(p, ROW[i].label, name, "bench", ROW[i].method, COLUMN, 3, 4);
    if (way) fputs("| *Fast4D on ActionBench, 128 other clips, ICP* | *0.048 / 0.077* | *0.163* | *0.97 (undefined)* |\n"
                   "| *ActionMesh on ActionBench, 128 other clips, ICP* | *0.053 / 0.081* | *0.148* | *0.85 (undefined)* |\n", p->out);
    fputc('\n', p->out);
}

static void points_table(ch4_res_page *p)
{
    static const char *const KEY[4] = {"ours", "no_motion", "nearest", "nearest_true"}, *const NAME[4] = {"**chain4d**", "no motion", "nearest point of our own surface", "nearest point of the true surface"};
    char name[64], column[64];
    fputs("### Tracked vertices\n\nMean distance to the truth; points move if they are farther than 0.15 from where they were in the first frame, which does not count.\n\n"
          "| | true mesh: all | moving | video only: all | moving |\n|---|---|---|---|---|\n", p->out);
    for (int k = 0; k < 4; k++) {
        fprintf(p->out, "| %s |", NAME[k]);
        for (int i = 0; i < 4; i++) {
            case_of(name, "creatures", i / 2);
            snprintf(column, sizeof(column), "%s_%s", KEY[k], i % 2 ? "moving" : "all");
            fputc(' ', p->out);
            ch4_res_put(p, ch4_res_mean_of(p, name, "eval", NULL, column), 4);
            fputs(" |", p->out);
        }
        fputc('\n', p->out);
    }
    fputc('\n', p->out);
}

/* Shapes of the frames and cameras. */
static void shapes_table(ch4_res_page *p)
{
    static const struct {
        const char *label, *file, *method, *column;
        int digits;
    } ROW[] = {{"volume IoU, decoded surfaces of all 16 frames", "shape", "own_surfaces", "iou", 3}, {"volume IoU, the mesh that moves", "shape", "ours", "iou", 3},
               {"volume IoU, the true first frame held still", "shape", "static", "iou", 3}, {"camera: rotation, degrees", "cameras", "ours", "rotation_deg", 1},
               {"camera: place, share of its distance", "cameras", "ours", "centre", 3}, {"camera: reprojection of true points, px of 256", "cameras", "ours", "reprojection", 1},
               {"camera: IoU of silhouettes", "cameras", "ours", "silhouette_iou", 3}};
    fputs("### Shapes and cameras\n\n| | true mesh | video only |\n|---|---|---|\n", p->out);
    for (size_t i = 0; i < sizeof(ROW) / sizeof(*ROW); i++) {
        fprintf(p->out, "| %s | ", ROW[i].label);
        ch4_res_put(p, ch4_res_mean_of(p, "creatures.mesh", ROW[i].file, ROW[i].method, ROW[i].column), ROW[i].digits);
        fputs(" | ", p->out);
        ch4_res_put(p, ch4_res_mean_of(p, "creatures.video", ROW[i].file, ROW[i].method, ROW[i].column), ROW[i].digits);
        fputs(" |\n", p->out);
    }
    fprintf(p->out, "| *Sculpt4D on 50 other clips: IoU* | | *0.338* |\n\nWith the true mesh the first of the 16 frames is the given one, encoded and decoded; even if it were perfect, the 15 generated ones have "
                    "an IoU of at least %.3f.\nOne camera is found for a clip. The paper prints no camera errors.\n\n", ch4_res_generated_iou(p, "creatures.mesh"));
}

static void tracks_table(ch4_res_page *p)
{
    static const char *const COLUMN[] = {"aj", "delta_avg", "oa"};
    static const struct {
        const char *label, *method;
    } ROW[] = {{"**chain4d**", "ours"}, {"chain4d, never occluded", "always_visible"}, {"static point", "static_point"}, {"nearest chained on the true surface", "nearest_chained"},
               {"nearest chained on our own surfaces", "own_nearest_chained"}};
    char name[64];
    fputs("### 2D tracks\n\nTAP-Vid scores of mesh points seen through the run's own cameras, query at the first visible frame, in percent.\n\n"
          "| | true mesh: AJ | δ | OA | video only: AJ | δ | OA |\n|---|---|---|---|---|---|---|\n", p->out);
    for (size_t i = 0; i < sizeof(ROW) / sizeof(*ROW); i++) {
        fprintf(p->out, "| %s |", ROW[i].label);
        for (int k = 0; k < 6; k++) {
            case_of(name, "creatures", k / 3);
            fputc(' ', p->out);
            ch4_res_put(p, ch4_res_mean_of(p, name, "views", ROW[i].method, COLUMN[k % 3]), 1);
            fputs(" |", p->out);
        }
        fputc('\n', p->out);
    }
    fputs("| *Fast4D on DAVIS, foreground: photographs* | | | | *53.3* | *66.3* | *90.4* |\n"
          "| *DiffTrack, zero-shot, the same* | | | | *26.4* | *43.0* | *72.1* |\n\n", p->out);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How the error of moving points is spread over the clips: each line sorted on its own. */
static void spread_plot(ch4_res_page *p)
{
    static const struct {
        const char *name, *case_name, *column;
    } LINE[] = {{"chain4d, true mesh", "creatures.mesh", "ours_moving"}, {"chain4d, video only", "creatures.video", "ours_moving"},
                {"nearest point of our own surface (true mesh)", "creatures.mesh", "nearest_moving"}, {"no motion", "creatures.mesh", "no_motion_moving"}};
    enum { N = sizeof(LINE) / sizeof(*LINE) };
    char path[4096];
    ch4_res_values v[N] = {{0}};
    ch4_plot_series series[N];
    snprintf(path, sizeof(path), "%s/creatures.png", p->request->plots);
    for (int i = 0; i < N && !p->status; i++) {
        v[i] = ch4_res_values_of(p, LINE[i].case_name, "eval", NULL, LINE[i].column);
        if (v[i].n) qsort(v[i].x, (size_t)v[i].n, sizeof(double), by_value);
        series[i] = (ch4_plot_series){.name = LINE[i].name, .n = v[i].n, .y = v[i].x, .dashed = i >= 2};
    }
    const ch4_plot plot = {.title = "Held-out creatures: error of moving points, clips sorted", .x_label = "clip, sorted for each line", .y_label = "mean distance to the truth",
                           .series = series, .n_series = N};
    if (!p->status) p->status = ch4_plot_save(path, &plot, p->err);
    for (int i = 0; i < N; i++) ch4_res_values_fini(&v[i]);
    fputs("![Error of moving points of every clip, sorted, with and without the true mesh, beside no motion and the nearest point](results/creatures.png)\n\n", p->out);
}

void ch4_res_write_creatures(ch4_res_page *p)
{
    fputs("## Held-out creatures\n\n", p->out);
    ch4_res_clips(p, "creatures.mesh");
    fputs(" of 16 frames, H.264 video.\n\n", p->out);
    surfaces_table(p, 0);
    surfaces_table(p, 1);
    points_table(p);
    spread_plot(p);
    shapes_table(p);
    tracks_table(p);
}

/* --- minibench --------------------------------------------------------------------------------------------------------------------------------- */

enum { OBJECTS = 64, METHODS = 5 };
static const char *const METHOD[METHODS] = {"ours", "own_static", "own_nearest_chained", "static", "nearest_chained"};

/* CD-M of every object and method: value [METHODS][OBJECTS]; returns the number of objects. */
static int64_t object_values(ch4_res_page *p, const char *case_name, const char *name[OBJECTS], double value[METHODS][OBJECTS])
{
    int64_t n = 0;
    for (int m = 0; m < METHODS && !p->status; m++) {
        ch4_res_values v = ch4_res_values_of(p, case_name, "bench", METHOD[m], "cd_motion");
        n = m == 0 ? (v.n < OBJECTS ? v.n : OBJECTS) : n;
        for (int64_t i = 0; i < n; i++) value[m][i] = (double)NAN;
        for (int64_t i = 0; i < n && !p->status; i++) {
            if (m == 0) name[i] = v.name[i];
            for (int64_t j = 0; j < v.n; j++)
                if (!strcmp(v.name[j], name[i])) value[m][i] = v.x[j];
        }
        ch4_res_values_fini(&v);
    }
    return n;
}

static void put_number(ch4_res_page *p, double x)
{
    if (isnan(x)) fputs(" – |", p->out);
    else fprintf(p->out, " %.3f |", x);
}

static void objects_table(ch4_res_page *p, int way)
{
    char name[64];
    const char *object[OBJECTS];
    double value[METHODS][OBJECTS];
    int better = 0, better_own = 0;
    case_of(name, "minibench", way);
    int64_t n = object_values(p, name, object, value);
    if (p->status) return;
    fprintf(p->out, "### CD-M of every object, %s\n\n| | **chain4d** | own first frame still | own nearest chained | true first frame still | true nearest chained | |\n|---|---|---|---|---|---|---|\n",
            WAY_NAME[way]);
    for (int64_t i = 0; i < n; i++) {
        bool wins = value[0][i] < value[3][i], wins_own = value[0][i] < value[1][i] && value[0][i] < value[2][i];
        fprintf(p->out, "| %s |", object[i]);
        for (int m = 0; m < METHODS; m++) put_number(p, value[m][i]);
        fprintf(p->out, " %s |\n", isnan(value[0][i]) ? "**failed**" : wins && wins_own ? "better than static and own nearest" : wins ? "better than static" : "**worse than static**");
        better += wins, better_own += wins_own;
    }
    fprintf(p->out, "\nBetter than the true first frame held still on %d of %lld objects; better than both of our own baselines on %d.\n\n", better, (long long)n, better_own);
}

static void objects_plot(ch4_res_page *p)
{
    char path[4096], label[OBJECTS][32];
    const char *object[OBJECTS], *group[OBJECTS];
    double mesh[METHODS][OBJECTS], video[METHODS][OBJECTS];
    int64_t n = object_values(p, "minibench.mesh", object, mesh);
    object_values(p, "minibench.video", object, video);
    if (p->status || n == 0) return;
    for (int64_t i = 0; i < n; i++) {
        snprintf(label[i], sizeof(label[i]), "%.*s", (int)strcspn(object[i], "_"), object[i]);
        group[i] = label[i];
    }
    const ch4_plot_series series[] = {{.name = "chain4d, true mesh", .n = n, .y = mesh[0]}, {.name = "chain4d, video only", .n = n, .y = video[0]},
                                      {.name = "true first frame still", .n = n, .y = mesh[3]}, {.name = "nearest chained, true surface", .n = n, .y = mesh[4]}};
    const ch4_plot plot = {.title = "minibench: CD-M of every object", .y_label = "CD-M", .series = series, .n_series = 4, .group = group};
    snprintf(path, sizeof(path), "%s/minibench.png", p->request->plots);
    p->status = ch4_plot_save(path, &plot, p->err);
    fputs("![CD-M of every object](results/minibench.png)\n\n", p->out);
}

void ch4_res_write_minibench(ch4_res_page *p)
{
    static const char *const COLUMN[] = {"aj", "delta_avg", "oa"};
    fputs("## minibench\n\nEight objects whose kind of body and motion no training has seen ([synth.md](synth.md)): ", p->out);
    ch4_res_clips(p, "minibench.mesh");
    fputs(", static camera. Every object is here.\nThe coordinates are turned about y by -125 degrees, so that the camera stands where that of the training does; the pictures are the same.\n\n", p->out);
    objects_table(p, 0);
    objects_table(p, 1);
    objects_plot(p);
    fputs("| 2D tracks, mean of the objects | AJ | δ | OA |\n|---|---|---|---|\n", p->out);
    ch4_res_row(p, "**chain4d**, true mesh", "minibench.mesh", "views", "ours", COLUMN, 3, 1);
    ch4_res_row(p, "**chain4d**, video only", "minibench.video", "views", "ours", COLUMN, 3, 1);
    ch4_res_row(p, "static point", "minibench.mesh", "views", "static_point", COLUMN, 3, 1);
    ch4_res_row(p, "nearest chained on the true surface", "minibench.mesh", "views", "nearest_chained", COLUMN, 3, 1);
    fputc('\n', p->out);
}
