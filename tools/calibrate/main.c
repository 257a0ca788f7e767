/* chain4d-calibrate: which attention carries the correspondences, found on clips with truth and written into model.yaml. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "tools/calibrate/cal_report.h"
#include "tools/calibrate/yaml_edit.h"
#include "tools/eval/eval_find.h"

static const char HELP[] =
    "usage: chain4d calibrate CLIPS... --model DIR [--write] [options]\n"
    "\n"
    "Runs the model on clips with truth (folders of chain4d-synth, or folders of such folders), reads every head of every layer at every step in both\n"
    "directions, follows points of the true anchor mesh through the chain over the model's own surfaces, and ranks what was read by the error of\n"
    "the points that move. Then it grows a set of heads and tunes how their mean is normalised, each step only where the gain is more than the\n"
    "noise of the clips. Prints a table and the change of model.yaml; changes nothing without --write.\n"
    "\n"
    "  --model DIR      model to be calibrated\n"
    "  --write          write the choice into DIR/model.yaml; comments and all other values stay\n"
    "  --holdout N      the last N clips choose nothing; unless they agree nothing is changed (0)\n"
    "  --accept X       a change must gain more than X standard errors of the difference, clip by clip (2)\n"
    "  --points N       vertices of the anchor mesh that are followed (256)\n"
    "  --frames N       frames of a clip that are scored, spread evenly (5)\n"
    "  --shortlist N    heads per step that may enter a set (8)\n"
    "  --best-steps N   best steps for which sets are grown (2)\n"
    "  --most N         heads of a set (6, at most 16)\n"
    "  --rows N         rows of the printed table (20)\n"
    "  --csv FILE       all rows with the error of each clip\n"
    "  --json FILE      the same and the choice\n"
    "  --jobs N         clips worked on at the same time, each with its own copy of the model (2)\n"
    "  --scratch DIR    where the short list's attention maps go (/tmp)\n"
    "  --set KEY=VALUE  option of the pipeline file (denoise.*, chain.resolution, run.seed, ...) but for attention.*, which is what is looked for\n"
    "  --quiet          no progress\n"
    "  --help           this text\n"
    "\n"
    "A clip is denoised three times: for its surfaces, for the ranking, for the short list. What that takes in memory and on disk: docs/calibration.md.\n"
    "\n"
    "Exit: 0 done, 1 failed or a clip could not be used, 2 usage, 3 no such folder.\n";

typedef struct options {
    const char *model, *csv, *json;
    bool write;
    int jobs;
    int64_t rows;
    const char *set[64];
    int n_sets;
    ch4_cal_options search;
} options;

static ch4_status number(int64_t *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    bool bad = errno || end == text || *end || *out < lo || *out > hi;
    return bad ? ch4_err_set(err, CH4_EINVAL, "--%s %s: not a whole number from %lld to %lld", name, text, (long long)lo, (long long)hi) : CH4_OK;
}

static ch4_status add_set(options *o, const char *text, ch4_err *err)
{
    if (strncmp(text, "attention.", 10) == 0) return ch4_err_set(err, CH4_EINVAL, "--set %s: how attention is read is what is looked for", text);
    if (o->n_sets == (int)(sizeof(o->set) / sizeof(*o->set))) return ch4_err_set(err, CH4_EINVAL, "--set: too many");
    o->set[o->n_sets++] = text;
    return CH4_OK;
}

static ch4_status parse(options *o, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"model", 1, NULL, 'm'},   {"write", 0, NULL, 'w'},      {"holdout", 1, NULL, 'h'}, {"accept", 1, NULL, 'a'}, {"points", 1, NULL, 'p'},
                                          {"frames", 1, NULL, 'f'},  {"shortlist", 1, NULL, 'l'},  {"best-steps", 1, NULL, 'b'}, {"most", 1, NULL, 'M'}, {"rows", 1, NULL, 'r'},
                                          {"csv", 1, NULL, 'c'},     {"json", 1, NULL, 'j'},       {"jobs", 1, NULL, 'J'},    {"scratch", 1, NULL, 's'}, {"set", 1, NULL, 'S'},
                                          {"quiet", 0, NULL, 'q'},   {NULL, 0, NULL, 0}};
    ch4_status st = CH4_OK;
    ch4_cal_options *s = &o->search;
    int64_t n;
    char *end;
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'm': o->model = optarg; break;
        case 'w': o->write = true; break;
        case 'h': st = number(&s->holdout, "holdout", optarg, 0, 100000, err); break;
        case 'a':
            s->accept = strtod(optarg, &end);
            if (end == optarg || *end || !(s->accept >= 0)) st = ch4_err_set(err, CH4_EINVAL, "--accept %s: not a number from 0 on", optarg);
            break;
        case 'p': st = number(&s->clip.points, "points", optarg, 1, 1000000, err); break;
        case 'f': st = number(&s->clip.frames, "frames", optarg, 1, 1000, err); break;
        case 'l': st = number(&s->shortlist, "shortlist", optarg, 1, 1000, err); break;
        case 'b': st = number(&s->steps, "best-steps", optarg, 1, 1000, err); break;
        case 'M': st = number(&s->most, "most", optarg, 1, CH4_CAL_MOST, err); break;
        case 'r': st = number(&o->rows, "rows", optarg, 0, 1000000, err); break;
        case 'c': o->csv = optarg; break;
        case 'j': o->json = optarg; break;
        case 'J':
            st = number(&n, "jobs", optarg, 1, 64, err);
            o->jobs = (int)n;
            break;
        case 's': s->scratch = optarg; break;
        case 'S': st = add_set(o, optarg, err); break;
        case 'q': s->quiet = true; break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (!st && (!o->model || optind == argc)) st = ch4_err_set(err, CH4_EINVAL, "needs clips and --model; see --help");
    return st;
}

/* --- clips ----------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct clips {
    ch4_eval_pairs *found; /* [n_found] per argument */
    int n_found;
    const char **name, **folder; /* [n] borrowed from found */
    int64_t n;
} clips;

static ch4_status find_clips(clips *c, char *const *path, int n, ch4_err *err)
{
    static const char *const NO_RESULT[] = {NULL};
    int64_t total = 0;
    ch4_status st = ch4_calloc(&c->found, (size_t)n, sizeof(*c->found), "clips", err);
    for (int i = 0; !st && i < n; i++, c->n_found++) {
        st = ch4_eval_find_files(&c->found[i], path[i], NULL, 0, "gt.safetensors", NO_RESULT, err);
        total += c->found[i].n;
    }
    if (!st) st = ch4_calloc(&c->name, (size_t)total, sizeof(*c->name), "clips", err);
    if (!st) st = ch4_calloc(&c->folder, (size_t)total, sizeof(*c->folder), "clips", err);
    for (int i = 0; !st && i < c->n_found; i++)
        for (int64_t j = 0; j < c->found[i].n; j++, c->n++) c->name[c->n] = c->found[i].pair[j].name, c->folder[c->n] = c->found[i].pair[j].truth;
    return st;
}

static void clips_fini(clips *c)
{
    for (int i = 0; i < c->n_found; i++) ch4_eval_pairs_fini(&c->found[i]);
    free(c->found);
    free(c->name);
    free(c->folder);
}

/* --- result ---------------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status change_model(const options *o, const ch4_cal_result *r, ch4_err *err)
{
    char path[4096], *before = NULL, *after = NULL;
    snprintf(path, sizeof(path), "%s/model.yaml", o->model);
    ch4_status st = ch4_yaml_load(&before, path, err);
    if (!st && !(after = strdup(before))) st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
    if (!st) st = ch4_cal_edit_model(&after, &r->best, r->steps, err);
    if (!st) {
        printf("\n%s:\n", path);
        ch4_yaml_print_changes(stdout, before, after);
        if (!o->write) printf("Nothing was written; --write does.\n");
    }
    if (!st && o->write) st = ch4_yaml_save(path, after, err);
    free(before);
    free(after);
    return st;
}

static ch4_status calibrate(const options *o, char *const *path, int n_path, ch4_err *err)
{
    clips c = {0};
    ch4_config config = {0};
    ch4_cal_result r = {0};
    char model[4096];
    const char *set[65];
    snprintf(model, sizeof(model), "run.model=%s", o->model);
    for (int i = 0; i < o->n_sets; i++) set[i] = o->set[i];
    set[o->n_sets] = model;
    ch4_status st = ch4_config_load(&config, NULL, set, o->n_sets + 1, NULL, err);
    if (!st) st = find_clips(&c, path, n_path, err);
    if (!st) st = ch4_cal_search(&r, c.name, c.folder, c.n, &config, o->jobs, &o->search, err);
    if (!st) ch4_cal_print(stdout, &r, o->rows);
    if (!st && o->csv) st = ch4_cal_save_csv(o->csv, &r, err);
    if (!st && o->json) st = ch4_cal_save_json(o->json, &r, err);
    if (!st && r.better) st = change_model(o, &r, err);
    if (!st && r.n_failed) st = ch4_err_set(err, CH4_EIO, "%lld clips could not be used", (long long)r.n_failed);
    ch4_cal_result_fini(&r);
    ch4_config_fini(&config);
    clips_fini(&c);
    return st;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return fputs(HELP, stdout), 0;
    ch4_err err = {0};
    options o = {.jobs = 2, .rows = 20,
                 .search = {.clip = {.points = 256, .frames = 5}, .shortlist = 8, .steps = 2, .most = 6, .accept = 2, .scratch = "/tmp"}};
    ch4_status st = parse(&o, argc, argv, &err);
    if (!st) st = calibrate(&o, argv + optind, argc - optind, &err);
    if (st) fprintf(stderr, "chain4d-calibrate: %s\n", err.msg);
    return ch4_status_exit_code(st);
}
