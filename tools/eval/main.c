/* chain4d-eval: how far the results of a run are from the truth, next to what doing nothing would give. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "tools/eval/bench_run.h"
#include "tools/eval/eval_find.h"
#include "tools/eval/eval_score.h"
#include "tools/eval/track_files.h"
#include "tools/eval/view_score.h"

static const char HELP[] =
    "usage: chain4d-eval RESULT... --gt FOLDER [--out FOLDER] [--threads N] [--align auto|public|uniform|none] [--samples N] [--icp-points N] [--seed N]\n"
    "                    [--no-normals] [--per-frame] [--queries first|strided]\n"
    "\n"
    "RESULT is an output folder of chain4d run, a folder of mesh_XX.glb files, or a folder of such folders. --gt is a clip or a folder of clips, from\n"
    "chain4d-synth or in ActionBench's layout. A result belongs to the truth that has the name of its folder or of the folder above it.\n"
    "\n"
    "Truths with gt.safetensors: the mean distance of the tracked vertices to the truth, of all points and of those that truly move by more than 0.15\n"
    "from frame 0, for the run and for the baselines 'no motion' and 'nearest surface point', and the rotation error of the cameras; not aligned.\n"
    "Runs with cameras.json as well: TAP-Vid scores of mesh points seen through the run's cameras, camera trajectory errors.\n"
    "Truths with surfaces.npy: CD-3D, CD-4D and CD-M as ActionBench's public code has them, normal consistency, the same for trivial predictions,\n"
    "and the sampling floor.\n"
    "Truths with tracks.safetensors (points, occluded; results with query_points too): TAP-Vid scores.\n"
    "\n"
    "  --gt FOLDER     the truth\n"
    "  --out FOLDER    also writes eval.json, eval.csv, views.csv; bench.json, bench.csv, actionbench.csv and\n"
    "                  actionbench.summary.json, for clips of more than 16 frames curves.csv and drift.csv there\n"
    "  --threads N     worker threads, 1 to 64 (2)\n"
    "  --align NAME    public: 9 degrees of freedom per frame, 24 starts, as published; uniform: one scale instead of three; none;\n"
    "                  auto (default): none where the truth has its meshes, else public\n"
    "  --samples N     points on a predicted surface (as many as the truth has, at most 100000)\n"
    "  --icp-points N  points used by the alignment (10000); fewer make it shrink the prediction\n"
    "  --seed N        of the samples (44)\n"
    "  --no-normals    leave out normal consistency\n"
    "  --per-frame     accept clips whose faces change from frame to frame: CD-M is then not defined; else they fail, as in the public script\n"
    "  --queries NAME  of tracks.safetensors: each track's first visible frame (first), or every 5th frame (strided)\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 all clips scored, 1 failed or a clip could not be scored, 2 usage, 3 no such folder or nothing to compare.\n";

typedef struct options {
    const char *gt, *out;
    int threads;
    ch4_tapvid_mode queries;
    ch4_bench_run_options bench;
} options;

/* A whole number in [lo, hi]. */
static ch4_status parse_number(int64_t *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    bool bad = errno || end == text || *end || *out < lo || *out > hi;
    return bad ? ch4_err_set(err, CH4_EINVAL, "--%s %s: not a whole number from %lld to %lld", name, text, (long long)lo, (long long)hi) : CH4_OK;
}

static ch4_status parse_align(ch4_bench_run_options *o, const char *text, ch4_err *err)
{
    static const char *const NAME[] = {"public", "uniform", "none"};
    o->automatic = !strcmp(text, "auto");
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, NAME[i])) {
            o->score.align = (ch4_bench_align)i;
            return CH4_OK;
        }
    return o->automatic ? CH4_OK : ch4_err_set(err, CH4_EINVAL, "--align %s: one of auto, public, uniform, none", text);
}

static ch4_status parse(options *o, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"gt", 1, NULL, 'g'},      {"out", 1, NULL, 'o'},        {"threads", 1, NULL, 't'}, {"align", 1, NULL, 'a'},
                                          {"samples", 1, NULL, 's'}, {"icp-points", 1, NULL, 'i'}, {"seed", 1, NULL, 'r'},    {"no-normals", 0, NULL, 'n'},
                                          {"per-frame", 0, NULL, 'f'}, {"queries", 1, NULL, 'q'}, {NULL, 0, NULL, 0}};
    ch4_status st = CH4_OK;
    int64_t n = 0;
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'g': o->gt = optarg; break;
        case 'o': o->out = optarg; break;
        case 't':
            st = parse_number(&n, "threads", optarg, 1, 64, err);
            o->threads = (int)n;
            break;
        case 'a': st = parse_align(&o->bench, optarg, err); break;
        case 's': st = parse_number(&o->bench.score.n_point, "samples", optarg, 1, 10000000, err); break;
        case 'i': st = parse_number(&o->bench.score.n_icp, "icp-points", optarg, 1, 10000000, err); break;
        case 'r':
            st = parse_number(&n, "seed", optarg, 0, UINT32_MAX - 1, err);
            o->bench.score.seed = (uint32_t)n;
            break;
        case 'q':
            if (strcmp(optarg, "first") && strcmp(optarg, "strided")) st = ch4_err_set(err, CH4_EINVAL, "--queries %s: one of first, strided", optarg);
            o->queries = !strcmp(optarg, "strided") ? CH4_TAPVID_STRIDED : CH4_TAPVID_FIRST;
            break;
        case 'n': o->bench.score.normals = false; break;
        case 'f': o->bench.allow_topology = true; break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (!st && (!o->gt || optind == argc)) st = ch4_err_set(err, CH4_EINVAL, "needs a result folder and --gt; see --help");
    return st;
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

/* Vertex tracks against gt.safetensors; *n_failed clips are without scores. */
static ch4_status evaluate_tracks(const options *o, const ch4_eval_pairs *pairs, int64_t *n_failed, ch4_pool *pool, ch4_err *err)
{
    ch4_eval_score *score = NULL;
    ch4_status st = ch4_calloc(&score, (size_t)pairs->n, sizeof(*score), "scores", err);
    for (int64_t i = 0; !st && i < pairs->n; i++) {
        const ch4_eval_pair *p = &pairs->pair[i];
        if (p->result) ch4_eval_score_clip(&score[i], p->name, p->truth, p->result, pool);
        else {
            score[i].status = CH4_ENOENT;
            snprintf(score[i].name, sizeof(score[i].name), "%s", p->name);
            snprintf(score[i].reason, sizeof(score[i].reason), "no result in the given runs");
        }
        *n_failed += score[i].status != CH4_OK;
    }
    if (!st) ch4_eval_print(stdout, score, pairs->n);
    if (!st && o->out) st = save(o->out, score, pairs->n, err);
    free(score);
    return st;
}

static ch4_status evaluate_bench(const options *o, const ch4_eval_pairs *pairs, int64_t *n_failed, ch4_pool *pool, ch4_err *err)
{
    ch4_bench_row *row = NULL;
    ch4_status st = ch4_calloc(&row, (size_t)pairs->n, sizeof(*row), "scores", err);
    if (st) return st;
    ch4_bench_run(row, pairs, &o->bench, pool);
    for (int64_t i = 0; i < pairs->n; i++) *n_failed += row[i].status != CH4_OK;
    ch4_bench_print(stdout, row, pairs->n);
    if (o->out) st = ch4_bench_save(o->out, row, pairs->n, err);
    ch4_bench_rows_fini(row, pairs->n);
    free(row);
    return st;
}

typedef struct view_job {
    ch4_view_score *score;
    const ch4_eval_pairs *pairs;
} view_job;

static void view_item(void *ctx, int64_t i, int worker)
{
    (void)worker;
    const view_job *j = ctx;
    ch4_view_score_clip(&j->score[i], &j->pairs->pair[i]);
}

/* A run without cameras has no view to score. */
static bool any_cameras(const ch4_eval_pairs *pairs)
{
    char path[4096];
    for (int64_t i = 0; i < pairs->n; i++) {
        if (!pairs->pair[i].result) continue;
        snprintf(path, sizeof(path), "%s/cameras.json", pairs->pair[i].result);
        if (access(path, R_OK) == 0) return true;
    }
    return false;
}

static ch4_status evaluate_views(const options *o, const ch4_eval_pairs *pairs, int64_t *n_failed, ch4_pool *pool, ch4_err *err)
{
    ch4_view_score *score = NULL;
    char path[4096];
    ch4_status st = ch4_calloc(&score, (size_t)pairs->n, sizeof(*score), "scores", err);
    if (st) return st;
    ch4_pool_run(pool, pairs->n, view_item, &(view_job){score, pairs});
    for (int64_t i = 0; i < pairs->n; i++) *n_failed += score[i].status != CH4_OK;
    ch4_view_print(stdout, score, pairs->n);
    if (o->out) {
        snprintf(path, sizeof(path), "%s/views.csv", o->out);
        st = ch4_view_save_csv(path, score, pairs->n, err);
    }
    free(score);
    return st;
}

static ch4_status evaluate_track_files(const options *o, const ch4_eval_pairs *pairs, int64_t *n_failed, ch4_err *err)
{
    ch4_track_file_score *score = NULL;
    char path[4096];
    ch4_status st = ch4_calloc(&score, (size_t)pairs->n, sizeof(*score), "scores", err);
    if (st) return st;
    for (int64_t i = 0; i < pairs->n; i++) {
        ch4_track_file_score_pair(&score[i], &pairs->pair[i], o->queries);
        *n_failed += score[i].status != CH4_OK;
    }
    ch4_track_files_print(stdout, score, pairs->n);
    if (o->out && mkdir(o->out, 0777) != 0 && errno != EEXIST) st = ch4_err_set_errno(err, errno, "%s", o->out);
    if (o->out && !st) {
        snprintf(path, sizeof(path), "%s/tracks.csv", o->out);
        st = ch4_track_files_save_csv(path, score, pairs->n, err);
    }
    free(score);
    return st;
}

static bool any_result(const ch4_eval_pairs *pairs)
{
    for (int64_t i = 0; i < pairs->n; i++)
        if (pairs->pair[i].result) return true;
    return false;
}

static ch4_status evaluate(const options *o, char *const *runs, int n_runs, ch4_err *err)
{
    static const char *const MESHES[] = {"mesh_*.glb", "vertices.npy", NULL}, *const TRACKS[] = {"tracks.safetensors", NULL};
    ch4_eval_pairs tracks = {0}, bench = {0}, files = {0};
    ch4_pool *pool = NULL;
    int64_t bad_tracks = 0, bad_bench = 0, bad_views = 0, bad_files = 0;
    ch4_err none = {0};
    ch4_status st = ch4_eval_find(&tracks, o->gt, runs, n_runs, err), st_bench = ch4_eval_find_files(&bench, o->gt, runs, n_runs, "surfaces.npy", MESHES, &none);
    bool has_tracks = !st, has_bench = !st_bench && any_result(&bench);
    ch4_status st_files = ch4_eval_find_files(&files, o->gt, runs, n_runs, "tracks.safetensors", TRACKS, st_bench && st_bench != CH4_ENOENT ? NULL : &none);
    bool has_files = !st_files && any_result(&files);
    if (st == CH4_ENOENT && (has_bench || has_files)) st = CH4_OK; /* the truth has one kind of data, not the other */
    if (!st && ((st_bench && st_bench != CH4_ENOENT) || (st_files && st_files != CH4_ENOENT))) st = ch4_err_set(err, none.status, "%s", none.msg);
    if (!st) st = ch4_pool_create(&pool, o->threads, err);
    if (!st && has_tracks) st = evaluate_tracks(o, &tracks, &bad_tracks, pool, err);
    if (!st && has_tracks && any_cameras(&tracks)) {
        fputc('\n', stdout);
        st = evaluate_views(o, &tracks, &bad_views, pool, err);
    }
    if (!st && has_tracks && has_bench) fputc('\n', stdout);
    if (!st && has_bench) st = evaluate_bench(o, &bench, &bad_bench, pool, err);
    if (!st && has_files && (has_tracks || has_bench)) fputc('\n', stdout);
    if (!st && has_files) st = evaluate_track_files(o, &files, &bad_files, err);
    int64_t bad = ch4_max_i64(ch4_max_i64(bad_tracks, bad_files), ch4_max_i64(bad_bench, bad_views));
    if (!st && bad) st = ch4_err_set(err, CH4_EIO, "%lld clips could not be scored", (long long)bad);
    ch4_pool_destroy(&pool);
    ch4_eval_pairs_fini(&tracks);
    ch4_eval_pairs_fini(&bench);
    ch4_eval_pairs_fini(&files);
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
    options o = {.threads = 2, .bench = {.score = ch4_bench_defaults(), .automatic = true, .progress = isatty(STDERR_FILENO) != 0}};
    o.bench.score.n_point = 0; /* as the truth */
    o.bench.score.normals = true;
    ch4_status st = parse(&o, argc, argv, &err);
    if (!st) st = evaluate(&o, argv + optind, argc - optind, &err);
    if (st) fprintf(stderr, "chain4d-eval: %s\n", err.msg);
    return ch4_status_exit_code(st);
}
