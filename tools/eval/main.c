/* chain4d-eval: how far the results of a run are from the truth, next to what doing nothing would give. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/nearest.h"
#include "tools/eval/eval_find.h"
#include "tools/eval/eval_score.h"

static const char HELP[] =
    "usage: chain4d-eval RUN... --gt FOLDER [--out FOLDER] [--threads N]\n"
    "\n"
    "RUN is an output folder of chain4d run, or a folder of such folders. --gt is a folder made by chain4d-synth creatures, or one of the\n"
    "clips in it. A result belongs to the truth that has the name of its folder or of the folder above it.\n"
    "\n"
    "Prints the mean distance of the tracked vertices to the truth, of all points and of those that truly move by more than 0.15 from frame 0,\n"
    "for the run and for the baselines 'no motion' and 'nearest surface point', and the rotation error of the cameras.\n"
    "Nothing is aligned: positions are compared in the canonical cube.\n"
    "\n"
    "  --gt FOLDER     the truth\n"
    "  --out FOLDER    also writes eval.json and eval.csv there\n"
    "  --threads N     worker threads, 1 to 64 (2)\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 all clips scored, 1 failed or a clip could not be scored, 2 usage, 3 no such folder or nothing to compare.\n";

typedef struct options {
    const char *gt, *out;
    int threads;
} options;

static ch4_status parse(options *o, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"gt", 1, NULL, 'g'}, {"out", 1, NULL, 'o'}, {"threads", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    char *end;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'g': o->gt = optarg; break;
        case 'o': o->out = optarg; break;
        case 't':
            o->threads = (int)strtol(optarg, &end, 10);
            if (*end || o->threads < 1 || o->threads > 64) return ch4_err_set(err, CH4_EINVAL, "--threads %s: not a whole number from 1 to 64", optarg);
            break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (!o->gt || optind == argc) return ch4_err_set(err, CH4_EINVAL, "needs a run folder and --gt; see --help");
    return CH4_OK;
}

static ch4_status save(const char *folder, const ch4_eval_score *score, int64_t n, ch4_err *err)
{
    char path[4096];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return ch4_err_set(err, CH4_EIO, "%s: %s", folder, strerror(errno));
    snprintf(path, sizeof(path), "%s/eval.csv", folder);
    ch4_status st = ch4_eval_save_csv(path, score, n, err);
    snprintf(path, sizeof(path), "%s/eval.json", folder);
    return st ? st : ch4_eval_save_json(path, score, n, err);
}

static ch4_status evaluate(const options *o, char *const *runs, int n_runs, ch4_err *err)
{
    ch4_eval_pairs pairs = {0};
    ch4_eval_score *score = NULL;
    ch4_pool *pool = NULL;
    int64_t failed = 0;
    ch4_status st = ch4_eval_find(&pairs, o->gt, runs, n_runs, err);
    if (!st) st = ch4_calloc(&score, (size_t)pairs.n, sizeof(*score), "scores", err);
    if (!st) st = ch4_pool_create(&pool, o->threads, err);
    for (int64_t i = 0; !st && i < pairs.n; i++) {
        const ch4_eval_pair *p = &pairs.pair[i];
        if (p->result) ch4_eval_score_clip(&score[i], p->name, p->truth, p->result, pool);
        else {
            score[i].status = CH4_ENOENT;
            snprintf(score[i].name, sizeof(score[i].name), "%s", p->name);
            snprintf(score[i].reason, sizeof(score[i].reason), "no result in the given runs");
        }
        failed += score[i].status != CH4_OK;
    }
    if (!st) ch4_eval_print(stdout, score, pairs.n);
    if (!st && o->out) st = save(o->out, score, pairs.n, err);
    if (!st && failed) st = ch4_err_set(err, CH4_EIO, "%lld of %lld clips could not be scored", (long long)failed, (long long)pairs.n);
    ch4_pool_destroy(&pool);
    free(score);
    ch4_eval_pairs_fini(&pairs);
    return st;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    ch4_err err = {0};
    options o = {.threads = 2};
    ch4_status st = parse(&o, argc, argv, &err);
    if (!st) st = evaluate(&o, argv + optind, argc - optind, &err);
    if (st) fprintf(stderr, "chain4d-eval: %s\n", err.msg);
    return ch4_status_exit_code(st);
}
