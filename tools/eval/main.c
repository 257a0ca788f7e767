/* chain4d-eval: how far the results of a run are from the truth, next to what trivial predictions would give. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "tools/eval/families.h"

static const char HELP[] =
    "usage: chain4d-eval RESULT... --gt TRUTH [options]\n"
    "\n"
    "RESULT is an output folder of chain4d run, a folder of mesh_XX.glb files, or a folder of such folders. TRUTH is a clip or a folder of clips, from\n"
    "chain4d-synth or in ActionBench's layout. A result belongs to the truth that has the name of its folder or of the folder above it.\n"
    "Whatever both sides hold evidence for is scored; docs/evaluation.md lists files, scores and what is printed beside them.\n"
    "\n"
    "  --gt FOLDER     the truth\n"
    "  --out FOLDER    also writes tables (CSV, JSON) and plots (PNG) there\n"
    "  --threads N     worker threads, 1 to 64 (2); clips are scored in parallel\n"
    "  --quiet         no progress on stderr\n"
    "surfaces:\n"
    "  --align NAME    public: 9 degrees of freedom per frame, 24 starts, as published; uniform: one scale instead of three; none;\n"
    "                  auto (default): none where the truth has its meshes, else public\n"
    "  --align-baselines  align trivial predictions from the truth too\n"
    "  --no-baselines  leave trivial predictions out, to time the rest\n"
    "  --samples N     points on a predicted surface (as many as the truth has, at most 100000)\n"
    "  --icp-points N  points used by the alignment (10000); fewer make it shrink the prediction\n"
    "  --seed N        of the samples (44)\n"
    "  --no-normals    leave out normal consistency\n"
    "  --per-frame     accept clips whose faces change from frame to frame: CD-M is then not defined; else they fail, as in the public script\n"
    "  --shape         also IoU, F-score and Chamfer distances as in Sculpt4D and occupancy networks\n"
    "  --grid N        side of the voxel grid of the second IoU, 8 to 256 (64)\n"
    "tracks:\n"
    "  --queries NAME  of TAP-Vid: each track's first visible frame (first), or every 5th frame (strided)\n"
    "  --world-align NAME  of WorldTrack: global (one factor for all points), per_track, sim3, none (global)\n"
    "  --scale-3d NAME of TAPVid-3D: median, mean, per_trajectory, reproduce_2d, none (median)\n"
    "  --compat        reproduce what is known to be wrong in public code (scale of reflected similarities)\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 all clips scored, 1 failed or a clip could not be scored, 2 usage, 3 no such folder or nothing to compare.\n";

typedef struct options {
    ch4_eval_request request;
    int threads;
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

/* Which of the names the text is; ended by NULL. */
static ch4_status parse_choice(int *out, const char *option, const char *text, const char *const *name, ch4_err *err)
{
    char list[160] = "";
    for (*out = 0; name[*out]; (*out)++) {
        if (!strcmp(text, name[*out])) return CH4_OK;
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", *out ? ", " : "", name[*out]);
    }
    return ch4_err_set(err, CH4_EINVAL, "--%s %s: one of %s", option, text, list);
}

static ch4_status parse_align(ch4_eval_request *r, const char *text, ch4_err *err)
{
    static const char *const NAME[] = {"public", "uniform", "none", "auto", NULL};
    int which = 0;
    ch4_status st = parse_choice(&which, "align", text, NAME, err);
    r->auto_align = !st && !strcmp(text, "auto");
    if (!st && !r->auto_align) r->bench.align = (ch4_bench_align)which;
    return st;
}

static ch4_status parse(options *o, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"gt", 1, NULL, 'g'},         {"out", 1, NULL, 'o'},        {"threads", 1, NULL, 't'},    {"align", 1, NULL, 'a'},
                                          {"samples", 1, NULL, 's'},    {"icp-points", 1, NULL, 'i'}, {"seed", 1, NULL, 'r'},       {"no-normals", 0, NULL, 'n'},
                                          {"per-frame", 0, NULL, 'f'},  {"queries", 1, NULL, 'q'},    {"quiet", 0, NULL, 'Q'},      {"compat", 0, NULL, 'c'},
                                          {"align-baselines", 0, NULL, 'b'}, {"shape", 0, NULL, 'S'}, {"grid", 1, NULL, 'G'},
                                          {"world-align", 1, NULL, 'w'}, {"scale-3d", 1, NULL, 'z'}, {"no-baselines", 0, NULL, 'B'}, {NULL, 0, NULL, 0}};
    static const char *const QUERIES[] = {"first", "strided", NULL}, *const WORLD[] = {"none", "global", "per_track", "sim3", NULL},
                             *const SCALE[] = {"none", "median", "mean", "per_trajectory", "reproduce_2d", NULL};
    ch4_eval_request *r = &o->request;
    ch4_status st = CH4_OK;
    int64_t n = 0;
    int which = 0;
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'g': r->gt = optarg; break;
        case 'o': r->out = optarg; break;
        case 't':
            st = parse_number(&n, "threads", optarg, 1, 64, err);
            o->threads = (int)n;
            break;
        case 'a': st = parse_align(r, optarg, err); break;
        case 's': st = parse_number(&r->bench.n_point, "samples", optarg, 1, 10000000, err); break;
        case 'i': st = parse_number(&r->bench.n_icp, "icp-points", optarg, 1, 10000000, err); break;
        case 'r':
            st = parse_number(&n, "seed", optarg, 0, UINT32_MAX - 1, err);
            r->bench.seed = (uint32_t)n;
            break;
        case 'G': st = parse_number(&r->grid, "grid", optarg, 8, 256, err); break;
        case 'S': r->shape = true; break;
        case 'q':
            st = parse_choice(&which, "queries", optarg, QUERIES, err);
            r->queries = (ch4_tapvid_mode)which;
            break;
        case 'w':
            st = parse_choice(&which, "world-align", optarg, WORLD, err);
            r->world_align = (ch4_world_align)which;
            break;
        case 'z':
            st = parse_choice(&which, "scale-3d", optarg, SCALE, err);
            r->tapvid3d_scaling = (ch4_tapvid3d_scaling)which;
            break;
        case 'n': r->bench.normals = false; break;
        case 'f': r->allow_topology = true; break;
        case 'b': r->align_baselines = true; break;
        case 'B': r->no_baselines = true; break;
        case 'c': r->compat = true; break;
        case 'Q': r->quiet = true; break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (!st && (!r->gt || optind == argc)) st = ch4_err_set(err, CH4_EINVAL, "needs a result folder and --gt; see --help");
    r->pred = argv + optind, r->n_pred = argc - optind;
    return st;
}

/* Nothing applied: says why, by what a run's results would have needed. */
static ch4_status nothing(const ch4_eval_request *r, ch4_err *err)
{
    ch4_eval_pairs pairs = {0};
    ch4_status st = CH4_OK;
    for (int i = 0; !st && i < r->n_pred; i++)
        if (access(r->pred[i], F_OK) != 0) st = ch4_err_set_errno(err, errno, "%s", r->pred[i]);
    if (!st) st = ch4_eval_find(&pairs, r->gt, r->pred, r->n_pred, err);
    if (!st) st = ch4_err_set(err, CH4_ENOENT, "%s: nothing that can be compared with the results", r->gt);
    ch4_eval_pairs_fini(&pairs);
    return st;
}

static ch4_status evaluate(const ch4_eval_request *r, ch4_err *err)
{
    static const ch4_eval_family_fn FAMILY[] = {ch4_eval_vertices, ch4_eval_views, ch4_eval_cameras, ch4_eval_bench, ch4_eval_shapes, ch4_eval_track_files,
                                                ch4_eval_joints,   ch4_eval_world, ch4_eval_tapvid3d};
    int64_t failed = 0;
    bool any = false;
    ch4_status st = CH4_OK;
    for (size_t i = 0; !st && i < sizeof(FAMILY) / sizeof(*FAMILY); i++) {
        ch4_eval_outcome o = {0};
        st = FAMILY[i](&o, r, err);
        if (o.applied) fputc('\n', stdout);
        any = any || o.applied;
        failed = ch4_max_i64(failed, o.n_failed);
    }
    if (!st && !any) st = nothing(r, err);
    return st || !failed ? st : ch4_err_set(err, CH4_EIO, "%lld clips could not be scored", (long long)failed);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* every frame needs the same arrays of some MB again: their pages are kept */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    ch4_err err = {0};
    options o = {.threads = 2, .request = {.bench = ch4_bench_defaults(), .auto_align = true, .grid = 64,
                                           .world_align = CH4_WORLD_GLOBAL, .tapvid3d_scaling = CH4_TAPVID3D_MEDIAN}};
    o.request.bench.n_point = 0; /* as the truth */
    o.request.bench.normals = true;
    ch4_status st = parse(&o, argc, argv, &err);
    if (!st) st = ch4_pool_create(&o.request.pool, o.threads, &err);
    if (!st) st = evaluate(&o.request, &err);
    ch4_pool_destroy(&o.request.pool);
    if (st) fprintf(stderr, "chain4d-eval: %s\n", err.msg);
    return ch4_status_exit_code(st);
}
