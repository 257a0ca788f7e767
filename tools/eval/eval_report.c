#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/eval/eval_score.h"

static const char *const METHOD_KEY[CH4_EVAL_METHODS] = {"ours", "no_motion", "nearest", "nearest_true"};

static double clip_mean(const ch4_eval_score *s, ch4_eval_method method, bool moving)
{
    if (s->status) return NAN;
    return moving ? ch4_eval_mean_moving(&s->sum[method]) : ch4_eval_mean_all(&s->sum[method]);
}

double ch4_eval_overall(int64_t *n, const ch4_eval_score *score, int64_t n_scores, ch4_eval_method method, bool moving)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n_scores; i++) {
        double x = clip_mean(&score[i], method, moving);
        if (isnan(x)) continue;
        sum += x;
        count++;
    }
    if (n) *n = count;
    return count ? sum / (double)count : NAN;
}

/* fmin passes over a baseline that is not there. */
double ch4_eval_ratio(const ch4_eval_score *score, int64_t n_scores, bool moving)
{
    double ours = ch4_eval_overall(NULL, score, n_scores, CH4_EVAL_OURS, moving);
    return ours / fmin(ch4_eval_overall(NULL, score, n_scores, CH4_EVAL_STILL, moving), ch4_eval_overall(NULL, score, n_scores, CH4_EVAL_NEAREST, moving));
}

double ch4_eval_overall_rotation(int64_t *n, const ch4_eval_score *score, int64_t n_scores, bool relative)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n_scores; i++) {
        double x = relative ? score[i].relative_rotation : score[i].rotation;
        if (score[i].status || isnan(x)) continue;
        sum += x;
        count++;
    }
    if (n) *n = count;
    return count ? sum / (double)count : NAN;
}

/* --- text ---------------------------------------------------------------------------------------------------------------- */

static void print_number(FILE *out, int width, int digits, double x)
{
    if (isnan(x)) fprintf(out, " %*s", width, "-");
    else fprintf(out, " %*.*f", width, digits, x);
}

static void print_row(FILE *out, const char *name, const ch4_eval_score *score, int64_t n)
{
    fprintf(out, "%-24.24s", name);
    for (int moving = 0; moving < 2; moving++) {
        for (int m = 0; m < CH4_EVAL_METHODS; m++) print_number(out, 7, 4, ch4_eval_overall(NULL, score, n, (ch4_eval_method)m, moving));
        print_number(out, 6, 3, ch4_eval_ratio(score, n, moving));
        fprintf(out, "  |");
    }
    print_number(out, 7, 2, ch4_eval_overall_rotation(NULL, score, n, false));
    print_number(out, 7, 2, ch4_eval_overall_rotation(NULL, score, n, true));
    fputc('\n', out);
}

void ch4_eval_print(FILE *out, const ch4_eval_score *score, int64_t n_scores)
{
    int64_t scored = 0, given = 0, pairs = 0, moving = 0;
    for (int64_t i = 0; i < n_scores; i++) {
        scored += !score[i].status;
        given += !score[i].status && score[i].given;
        pairs += score[i].sum[CH4_EVAL_OURS].n_all;
        moving += score[i].sum[CH4_EVAL_OURS].n_moving;
    }
    fprintf(out, "Mean distance of tracked vertices to the truth, canonical units (the cube's side is 2); frame 0 does not count.\n"
                 "still: no motion; near: nearest point of our decoded surface; near*: of the true surface (for reference);\n"
                 "ratio: ours / the better of still and near. Cameras: rotation error in degrees, absolute and relative to frame 0.\n\n");
    fprintf(out, "%-24s%41s  |%42s  |%16s\n", "", "all points", "points that move by more than 0.15", "camera");
    fprintf(out, "%-24s", "clip");
    for (int half = 0; half < 2; half++) fprintf(out, " %7s %7s %7s %7s %6s  |", "ours", "still", "near", "near*", "ratio");
    fprintf(out, " %7s %7s\n", "abs", "rel");
    for (int64_t i = 0; i < n_scores; i++) {
        if (score[i].status) fprintf(out, "%-24.24s failed: %s\n", score[i].name, score[i].reason);
        else print_row(out, score[i].name, &score[i], 1);
    }
    char name[64];
    snprintf(name, sizeof(name), "mean of %lld clips", (long long)scored);
    print_row(out, name, score, n_scores);
    fprintf(out, "\n%lld clips, %lld failed; %lld with the true anchor mesh given, %lld with the run's own; %.1f %% of the points move.\n", (long long)n_scores,
            (long long)(n_scores - scored), (long long)given, (long long)(scored - given), pairs ? 100.0 * (double)moving / (double)pairs : 0.0);
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

ch4_status ch4_eval_save_csv(const char *path, const ch4_eval_score *score, int64_t n_scores, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "clip,status,anchor_given,frames,vertices,anchor_error");
    for (int moving = 0; moving < 2; moving++)
        for (int m = 0; m < CH4_EVAL_METHODS; m++) fprintf(f, ",%s_%s", METHOD_KEY[m], moving ? "moving" : "all");
    fprintf(f, ",n_all,n_moving,rotation_deg,relative_rotation_deg\n");
    for (int64_t i = 0; i < n_scores; i++) {
        const ch4_eval_score *s = &score[i];
        fprintf(f, "%s,%s,%d,%lld,%lld,%.9g", s->name, s->status ? ch4_status_name(s->status) : "ok", s->given, (long long)s->n_frames, (long long)s->n_vert, s->anchor);
        for (int moving = 0; moving < 2; moving++)
            for (int m = 0; m < CH4_EVAL_METHODS; m++) fprintf(f, ",%.9g", clip_mean(s, (ch4_eval_method)m, moving));
        fprintf(f, ",%lld,%lld,%.9g,%.9g\n", (long long)s->sum[CH4_EVAL_OURS].n_all, (long long)s->sum[CH4_EVAL_OURS].n_moving, s->rotation, s->relative_rotation);
    }
    bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}

static json_t *number_or_null(double x) { return isnan(x) ? json_null() : json_real(x); }

static json_t *means_json(const ch4_eval_score *score, int64_t n, bool moving)
{
    json_t *o = json_object();
    for (int m = 0; m < CH4_EVAL_METHODS; m++) json_object_set_new(o, METHOD_KEY[m], number_or_null(ch4_eval_overall(NULL, score, n, (ch4_eval_method)m, moving)));
    json_object_set_new(o, "ratio", number_or_null(ch4_eval_ratio(score, n, moving)));
    return o;
}

static json_t *scores_json(const ch4_eval_score *score, int64_t n)
{
    json_t *o = json_object();
    json_object_set_new(o, "all", means_json(score, n, false));
    json_object_set_new(o, "moving", means_json(score, n, true));
    json_object_set_new(o, "rotation_deg", number_or_null(ch4_eval_overall_rotation(NULL, score, n, false)));
    json_object_set_new(o, "relative_rotation_deg", number_or_null(ch4_eval_overall_rotation(NULL, score, n, true)));
    return o;
}

ch4_status ch4_eval_save_json(const char *path, const ch4_eval_score *score, int64_t n_scores, ch4_err *err)
{
    json_t *root = json_object(), *clips = json_array(), *overall = scores_json(score, n_scores);
    int64_t failed = 0;
    for (int64_t i = 0; i < n_scores; i++) {
        const ch4_eval_score *s = &score[i];
        json_t *c = s->status ? json_object() : scores_json(s, 1);
        json_object_set_new(c, "clip", json_string(s->name));
        json_object_set_new(c, "status", json_string(s->status ? ch4_status_name(s->status) : "ok"));
        if (s->status) json_object_set_new(c, "reason", json_string(s->reason));
        json_object_set_new(c, "anchor_given", json_boolean(s->given));
        json_object_set_new(c, "anchor_error", number_or_null(s->anchor));
        json_object_set_new(c, "n_all", json_integer(s->sum[CH4_EVAL_OURS].n_all));
        json_object_set_new(c, "n_moving", json_integer(s->sum[CH4_EVAL_OURS].n_moving));
        json_array_append_new(clips, c);
        failed += s->status != CH4_OK;
    }
    json_object_set_new(root, "n_total", json_integer(n_scores));
    json_object_set_new(root, "n_failed", json_integer(failed));
    json_object_set_new(root, "moving_threshold", json_real(CH4_EVAL_MOVING));
    json_object_set_new(root, "overall", overall);
    json_object_set_new(root, "clips", clips);
    errno = 0;
    int rc = json_dump_file(root, path, JSON_INDENT(2));
    json_decref(root);
    return rc == 0 ? CH4_OK : ch4_err_set_errno(err, errno ? errno : EIO, "%s", path);
}
