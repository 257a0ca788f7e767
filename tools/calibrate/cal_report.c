#include "tools/calibrate/cal_report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tools/calibrate/yaml_edit.h"

static const char *const DIRECTION[CH4_CAL_WAYS] = {"frame_to_anchor", "anchor_to_frame", "both"}; /* in the order of ch4_capture_direction */

enum { TEXT = 512 };

/* "[3, 4]" */
static void list_of(char out[TEXT], const int *x, int n)
{
    size_t used = (size_t)snprintf(out, TEXT, "[");
    for (int i = 0; i < n && used < TEXT; i++) used += (size_t)snprintf(out + used, TEXT - used, "%s%d", i ? ", " : "", x[i]);
    if (used < TEXT) snprintf(out + used, TEXT - used, "]");
}

/* --- text -------------------------------------------------------------------------------------------------------------------------------------- */

static void print_line(FILE *out, const char *name, double mean, double se, double top1)
{
    fprintf(out, "%-44s %8.4f", name, mean);
    if (isnan(se)) fprintf(out, "       -");
    else fprintf(out, " %7.4f", se);
    if (isnan(top1)) fprintf(out, "       -\n");
    else fprintf(out, " %7.2f\n", top1);
}

static void print_choice(FILE *out, const char *name, const ch4_cal_choice *c, int steps)
{
    char layers[TEXT], heads[TEXT];
    list_of(layers, c->layer, c->n);
    list_of(heads, c->head, c->n);
    if (c->n) fprintf(out, "%s: layers %s, heads %s", name, layers, heads);
    else fprintf(out, "%s: more than %d heads", name, CH4_CAL_MOST);
    fprintf(out, ", step %d of %d, %s, sinkhorn %lld, power %g, unit_norm %s, topk %lld, temperature %g\n", c->step, steps, DIRECTION[c->reading.direction],
            (long long)c->reading.sinkhorn, c->reading.power, c->reading.unit_norm ? "true" : "false", (long long)c->reading.topk, c->reading.temperature);
    fprintf(out, "    error %.4f +- %.4f", c->mean, c->se);
    if (!isnan(c->held)) fprintf(out, "; on the held-out clips %.4f +- %.4f", c->held, c->held_se);
    fputc('\n', out);
}

static void print_baseline(FILE *out, const char *name, const double *x, const ch4_cal_result *r)
{
    double mean, se;
    ch4_cal_mean(&mean, &se, x, 0, r->n_choosing);
    print_line(out, name, mean, se, (double)NAN);
}

void ch4_cal_print(FILE *out, const ch4_cal_result *r, int64_t rows)
{
    char name[128];
    fprintf(out, "Mean error of moving points, chain alone, on our own surfaces; %lld clips choose, %lld are held out, %lld could not be used. se: standard error over\n"
                 "clips. top-1: share of tokens that find themselves again%s.\n\n",
            (long long)r->n_choosing, (long long)(r->n_clip - r->n_choosing), (long long)r->n_failed, r->identity ? "" : " (not known for this noise)");
    fprintf(out, "%-44s %8s %7s %7s\n", "", "error", "se", "top-1");
    print_baseline(out, "no motion", r->still, r);
    print_baseline(out, "nearest point of our own surface", r->nearest, r);
    for (int64_t i = 0; i < r->n_single && i < rows; i++) {
        const ch4_cal_single *x = &r->single[i];
        if (x->head < 0) snprintf(name, sizeof(name), "layer %d all heads, step %d, %s", x->layer, x->step, DIRECTION[x->direction]);
        else snprintf(name, sizeof(name), "layer %d head %d, step %d, %s", x->layer, x->head, x->step, DIRECTION[x->direction]);
        print_line(out, name, x->mean, x->se, r->identity ? x->mean_top1 : (double)NAN);
    }
    if (r->n_single > rows) fprintf(out, "... and %lld more (--rows, --csv)\n", (long long)(r->n_single - rows));
    fputc('\n', out);
    print_choice(out, "model.yaml now", &r->now, r->steps);
    print_choice(out, "best found", &r->best, r->steps);
    fprintf(out, "%s\n", r->better ? "The best found is better by more than the noise of these clips."
                                   : "The best found is not better by more than the noise, or not on the held-out clips: model.yaml stays as it is.");
}

/* --- CSV, JSON --------------------------------------------------------------------------------------------------------------------------------------- */

ch4_status ch4_cal_save_csv(const char *path, const ch4_cal_result *r, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "step,layer,head,direction,error,se,top1");
    for (int64_t i = 0; i < r->n_clip; i++) fprintf(f, ",%s", r->clip[i]);
    fputc('\n', f);
    for (int64_t k = 0; k < r->n_single; k++) {
        const ch4_cal_single *x = &r->single[k];
        fprintf(f, "%d,%d,", x->step, x->layer);
        if (x->head < 0) fprintf(f, "all");
        else fprintf(f, "%d", x->head);
        fprintf(f, ",%s,%.9g,%.9g,", DIRECTION[x->direction], x->mean, x->se);
        if (r->identity) fprintf(f, "%.9g", x->mean_top1);
        for (int64_t i = 0; i < r->n_clip; i++) fprintf(f, ",%.9g", x->error[i]);
        fputc('\n', f);
    }
    bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}

static json_t *number(double x) { return isnan(x) ? json_null() : json_real(x); }

static json_t *numbers(const double *x, int64_t n)
{
    json_t *a = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(a, number(x[i]));
    return a;
}

static json_t *integers(const int *x, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(a, json_integer(x[i]));
    return a;
}

static json_t *choice_json(const ch4_cal_choice *c, int64_t n_clip)
{
    return json_pack("{s:o, s:o, s:i, s:s, s:I, s:f, s:b, s:I, s:f, s:o, s:o, s:o, s:o, s:o}", "layers", integers(c->layer, c->n), "heads", integers(c->head, c->n), "step", c->step,
                     "direction", DIRECTION[c->reading.direction], "sinkhorn", (json_int_t)c->reading.sinkhorn, "power", c->reading.power, "unit_norm",
                     c->reading.unit_norm, "topk", (json_int_t)c->reading.topk, "temperature", c->reading.temperature, "error", number(c->mean), "se", number(c->se),
                     "held_out_error", number(c->held), "held_out_se", number(c->held_se), "clips", numbers(c->error, n_clip));
}

static json_t *single_json(const ch4_cal_single *x, const ch4_cal_result *r)
{
    return json_pack("{s:i, s:i, s:o, s:s, s:o, s:o, s:o, s:o}", "step", x->step, "layer", x->layer, "head", x->head < 0 ? json_string("all") : json_integer(x->head), "direction",
                     DIRECTION[x->direction], "error", number(x->mean), "se", number(x->se), "top1", r->identity ? number(x->mean_top1) : json_null(), "clips",
                     numbers(x->error, r->n_clip));
}

ch4_status ch4_cal_save_json(const char *path, const ch4_cal_result *r, ch4_err *err)
{
    json_t *names = json_array(), *singles = json_array();
    for (int64_t i = 0; i < r->n_clip; i++) json_array_append_new(names, json_string(r->clip[i]));
    for (int64_t i = 0; i < r->n_single; i++) json_array_append_new(singles, single_json(&r->single[i], r));
    json_t *root = json_pack("{s:o, s:I, s:I, s:i, s:{s:o, s:o}, s:o, s:o, s:b, s:o}", "clips", names, "n_choosing", (json_int_t)r->n_choosing, "n_failed",
                             (json_int_t)r->n_failed, "steps", r->steps, "baselines", "still", numbers(r->still, r->n_clip), "nearest", numbers(r->nearest, r->n_clip), "now",
                             choice_json(&r->now, r->n_clip), "best", choice_json(&r->best, r->n_clip), "better", r->better, "heads", singles);
    if (!root) return ch4_err_set(err, CH4_ENOMEM, "%s: out of memory", path);
    int bad = json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    json_decref(root);
    return bad ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}

/* --- model.yaml ------------------------------------------------------------------------------------------------------------------------------------------ */

static bool same_ints(const ch4_ints *have, const int *want, int n)
{
    bool same = have->n == n;
    for (int i = 0; same && i < n; i++) same = have->v[i] == want[i];
    return same;
}

static ch4_status check_edited(const char *text, const ch4_cal_choice *c, int steps, ch4_err *err)
{
    static const ch4_model_direction WAY[CH4_CAL_WAYS] = {CH4_MODEL_FRAME_TO_ANCHOR, CH4_MODEL_ANCHOR_TO_FRAME, CH4_MODEL_BOTH_WAYS};
    ch4_model_info info;
    int64_t step = -1;
    ch4_status st = ch4_schema_defaults(&ch4_model_info_schema, &info, err);
    if (!st) st = ch4_schema_parse(&ch4_model_info_schema, &info, text, strlen(text), "the changed model.yaml", NULL, err);
    if (!st) st = ch4_model_info_step(&step, &info, steps, err);
    bool same = !st && step == c->step && same_ints(&info.attention.layers, c->layer, c->n) && same_ints(&info.attention.heads, c->head, c->n) &&
                info.attention.direction == WAY[c->reading.direction] && info.attention.sinkhorn == c->reading.sinkhorn &&
                fabs(info.attention.power - c->reading.power) < 1e-9 && info.chain.unit_norm == c->reading.unit_norm && info.chain.topk == c->reading.topk &&
                fabs(info.chain.temperature - c->reading.temperature) < 1e-9;
    ch4_model_info_fini(&info);
    return st || same ? st : ch4_err_set(err, CH4_EINTERNAL, "the changed model.yaml does not say what was chosen");
}

ch4_status ch4_cal_edit_model(char **text, const ch4_cal_choice *c, int steps, ch4_err *err)
{
    char layers[TEXT], heads[TEXT], step[32] = "last", sinkhorn[32], power[32], topk[32], temperature[32];
    list_of(layers, c->layer, c->n);
    list_of(heads, c->head, c->n);
    if (c->step != steps - 1) snprintf(step, sizeof(step), "%d", c->step);
    snprintf(sinkhorn, sizeof(sinkhorn), "%lld", (long long)c->reading.sinkhorn);
    snprintf(power, sizeof(power), c->reading.power == floor(c->reading.power) ? "%.1f" : "%g", c->reading.power);
    snprintf(topk, sizeof(topk), "%lld", (long long)c->reading.topk);
    snprintf(temperature, sizeof(temperature), "%g", c->reading.temperature);
    const struct {
        const char *section, *key, *value;
    } edit[] = {{"attention", "layers", layers}, {"attention", "heads", heads}, {"attention", "step", step}, {"attention", "direction", DIRECTION[c->reading.direction]},
                {"attention", "sinkhorn", sinkhorn}, {"attention", "power", power}, {"chain", "unit_norm", c->reading.unit_norm ? "true" : "false"},
                {"chain", "topk", topk}, {"chain", "temperature", temperature}};
    ch4_status st = CH4_OK;
    for (size_t i = 0; !st && i < sizeof(edit) / sizeof(*edit); i++) st = ch4_yaml_set(text, edit[i].section, edit[i].key, edit[i].value, err);
    return st ? st : check_edited(*text, c, steps, err);
}
