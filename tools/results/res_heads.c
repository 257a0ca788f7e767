/* Single layers and heads against the set that model.yaml names, from chain4d-calibrate's JSON. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/plot/plot.h"
#include "tools/results/res_page.h"

enum { LAYERS = 32, HEADS = 32, SHOWN = 8 };

static double number(const json_t *o, const char *key)
{
    const json_t *x = json_object_get(o, key);
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

static void put_row(ch4_res_page *p, const char *label, const json_t *o, bool top1)
{
    fprintf(p->out, "| %s | %.4f ± %.4f | ", label, number(o, "error"), number(o, "se"));
    if (top1 && !isnan(number(o, "top1"))) fprintf(p->out, "%.2f |\n", number(o, "top1"));
    else fputs("– |\n", p->out);
}

static ch4_res_mean mean_of_array(const json_t *a)
{
    double x[4096];
    int64_t n = 0;
    for (size_t i = 0; i < json_array_size(a) && n < 4096; i++) x[n++] = json_number_value(json_array_get(a, i));
    return ch4_res_average(x, n);
}

static void baseline(ch4_res_page *p, const char *label, const json_t *root, const char *key)
{
    fprintf(p->out, "| %s | ", label);
    ch4_res_put(p, mean_of_array(json_object_get(json_object_get(root, "baselines"), key)), 4);
    fputs(" | – |\n", p->out);
}

/* The best entry of a layer (head "all" or a number) in any direction at any step: the list is sorted. */
static const json_t *best_of(const json_t *heads, int layer, int head)
{
    for (size_t i = 0; i < json_array_size(heads); i++) {
        const json_t *o = json_array_get(heads, i), *h = json_object_get(o, "head");
        if (json_integer_value(json_object_get(o, "layer")) != layer) continue;
        if (head < 0 ? json_is_string(h) : json_is_integer(h) && json_integer_value(h) == head) return o;
    }
    return NULL;
}

static int highest(const json_t *heads, const char *key)
{
    int top = -1;
    for (size_t i = 0; i < json_array_size(heads); i++) {
        const json_t *x = json_object_get(json_array_get(heads, i), key);
        if (json_is_integer(x) && json_integer_value(x) > top) top = (int)json_integer_value(x);
    }
    return top;
}

static void describe(char out[128], const json_t *o)
{
    const json_t *head = json_object_get(o, "head");
    char name[32] = "all heads";
    if (json_is_integer(head)) snprintf(name, sizeof(name), "head %d", (int)json_integer_value(head));
    snprintf(out, 128, "layer %d, %s, step %d, %s", (int)json_integer_value(json_object_get(o, "layer")), name, (int)json_integer_value(json_object_get(o, "step")) + 1,
             json_string_value(json_object_get(o, "direction")));
}

static void heads_plot(ch4_res_page *p, const json_t *root, int layers, int n_heads)
{
    char path[4096], label[LAYERS + 1][16], name[HEADS + 1][16];
    const char *group[LAYERS + 1];
    static double y[HEADS + 1][LAYERS + 1];
    ch4_plot_series series[HEADS + 1];
    const json_t *heads = json_object_get(root, "heads");
    for (int l = 0; l <= layers; l++) {
        snprintf(label[l], sizeof(label[l]), l < layers ? "layer %d" : "set", l);
        group[l] = label[l];
    }
    for (int h = 0; h <= n_heads; h++) {
        snprintf(name[h], sizeof(name[h]), h < n_heads ? "head %d" : "all heads", h);
        for (int l = 0; l < layers; l++) y[h][l] = number(best_of(heads, l, h < n_heads ? h : -1), "error");
        y[h][layers] = h == 0 ? number(json_object_get(root, "now"), "error") : (double)NAN;
        series[h] = (ch4_plot_series){.name = name[h], .n = layers + 1, .y = y[h]};
    }
    const ch4_plot plot = {.title = "Attention read alone, best step and direction; set: what model.yaml names", .y_label = "error of moving points, chain alone", .series = series,
                           .n_series = n_heads + 1, .group = group};
    snprintf(path, sizeof(path), "%s/heads.png", p->request->plots);
    if (!p->status) p->status = ch4_plot_save(path, &plot, p->err);
    fputs("\n![Error of every head and layer alone](results/heads.png)\n\n", p->out);
}

void ch4_res_write_heads(ch4_res_page *p)
{
    char path[4096], label[128];
    json_error_t why;
    if (p->status) return;
    snprintf(path, sizeof(path), "%s/heads.json", p->request->scores);
    if (access(path, R_OK)) return ch4_res_note_missing(p, "heads.json");
    json_t *root = json_load_file(path, 0, &why);
    if (!root) {
        p->status = ch4_err_set(p->err, CH4_EFORMAT, "%s: %s", path, why.text);
        return;
    }
    const json_t *heads = json_object_get(root, "heads"), *now = json_object_get(root, "now");
    int layers = highest(heads, "layer") + 1, n_heads = highest(heads, "head") + 1;
    if (layers < 1 || layers > LAYERS || n_heads < 1 || n_heads > HEADS) p->status = ch4_err_set(p->err, CH4_EFORMAT, "%s: %d layers, %d heads", path, layers, n_heads);
    fprintf(p->out, "### Single layers and heads against the calibrated set\n\nThe chain alone, before landmarks, smoothing and skinning: mean error of moving points on our own surfaces, %zu clips,\n"
                    "true mesh given ([calibration.md](calibration.md)). Layers count from 0, steps from 1. top-1: tokens that find themselves again. The paper names no layers and prints no figures.\n"
                    "Heads that saw an alignment loss in training: %s; the others did not.\n\n| | error | top-1 |\n|---|---|---|\n",
            json_array_size(json_object_get(root, "clips")), p->supervised[0] ? p->supervised : "none");
    put_row(p, "**the set of model.yaml**", now, false);
    for (size_t i = 0; i < json_array_size(heads) && i < SHOWN; i++) {
        describe(label, json_array_get(heads, i));
        put_row(p, label, json_array_get(heads, i), true);
    }
    for (int l = 0; l < layers && !p->status; l++) {
        const json_t *o = best_of(heads, l, -1);
        if (!o) continue;
        describe(label, o);
        put_row(p, label, o, true);
    }
    baseline(p, "nearest point of our own surface", root, "nearest");
    baseline(p, "no motion", root, "still");
    if (!p->status) heads_plot(p, root, layers, n_heads);
    json_decref(root);
}
