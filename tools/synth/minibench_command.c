#include "tools/synth/minibench_command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/size.h"
#include "tools/synth/minibench_writer.h"

const char CH4_MINIBENCH_HELP[] =
    "minibench writes OUT/data/NAME (imgs/NN.png, video.mp4, video_alpha.mov, anchor.obj, surfaces.npy, gt.safetensors, meta.json) and\n"
    "OUT/oracle/NAME/mesh_NN.glb, the true meshes, for each object, seed, camera and number of frames. NAME is OBJECT_CAMERA_sSEED, with\n"
    "_pingpong241 or the like behind it where there are not 16 frames. Seeds from 1000 on are held out: choose nothing on them.\n"
    "\n"
    "  --set NAME      mini: all objects, static camera, seed 1; mini-full: static and orbit, seeds 1-4; mini-long: as mini with 241 frames,\n"
    "                  ping-pong; mini-held: as mini-full with seeds 1001-1004. Options behind it change it\n"
    "  --seed LIST     seeds, as 1,2 or 1-4 (1)\n"
    "  --objects LIST  of squash,worm,walker,flapper,twister,spinner,slider,folder (all)\n"
    "  --camera LIST   of static,orbit (static)\n"
    "  --frames LIST   frames of a clip, each 1 to 4096 (16)\n"
    "  --motion KIND   of clips with more than 16 frames: pingpong (the 16 forward and backward; 241 are 16 windows), or continuous (the motion\n"
    "                  goes on, normalised over the whole clip) (pingpong)\n"
    "  --size PX       picture size, even, 64 to 2048 (512)\n"
    "  --turn DEGREES  turns the world, -360 to 360 about +y; same pictures, other coordinates. -125 puts the camera where the creatures' stands,\n"
    "                  give or take 20 degrees: the mini model knows objects from that side only (0)\n"
    "  --points N      surface points in surfaces.npy, 1 to 1000000 (10000)\n"
    "  --full          the same as --points 100000\n"
    "  --fps N         frame rate of the videos, 1 to 240 (15)\n"
    "  --threads N     worker threads, 1 to 64 (2)\n"
    "  --quiet         no progress\n";

enum { MAX_LIST = 1024, MAX_CLIPS = 1000000 };

typedef struct number_list {
    int64_t at[MAX_LIST];
    int n;
} number_list;

typedef struct arguments {
    number_list seeds, frames;
    unsigned objects, cameras; /* bit sets; camera 0 static, 1 orbit */
    bool continuous;
    int threads;
    ch4_minibench_options options;
} arguments;

/* --- values ------------------------------------------------------------------------------------------------------------------ */

static bool read_number(int64_t *out, const char **text, int64_t lo, int64_t hi)
{
    char *end;
    errno = 0;
    *out = **text >= '0' && **text <= '9' ? strtoll(*text, &end, 10) : (end = (char *)*text, -1);
    bool ok = end != *text && !errno && *out >= lo && *out <= hi;
    *text = end;
    return ok;
}

/* Numbers and ranges ("1-4") with commas between; none twice. */
static ch4_status parse_list(number_list *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    out->n = 0;
    for (const char *p = text;; p++) {
        int64_t first = 0, last = 0;
        bool ok = read_number(&first, &p, lo, hi);
        last = first;
        if (ok && *p == '-') p++, ok = read_number(&last, &p, first, hi);
        if (!ok || (*p && *p != ','))
            return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a list of whole numbers from %" PRId64 " to %" PRId64 " such as 1,3 or 1-4", name, text, lo, hi);
        if (last - first >= MAX_LIST - out->n) return ch4_err_set(err, CH4_EINVAL, "--%s %s: more than %d numbers", name, text, MAX_LIST);
        for (int64_t x = first; x <= last; x++) {
            for (int i = 0; i < out->n; i++)
                if (out->at[i] == x) return ch4_err_set(err, CH4_EINVAL, "--%s %s: %" PRId64 " is there twice", name, text, x);
            out->at[out->n++] = x;
        }
        if (!*p) return CH4_OK;
    }
}

static ch4_status parse_number(int64_t *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    const char *p = text;
    if (!read_number(out, &p, lo, hi) || *p)
        return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a whole number from %" PRId64 " to %" PRId64, name, text, lo, hi);
    return CH4_OK;
}

/* Names with commas between as a bit set of their places in `names`. */
static ch4_status parse_names(unsigned *out, const char *option, const char *text, const char *const *names, int n_names, ch4_err *err)
{
    *out = 0;
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        int found = -1;
        for (int i = 0; i < n_names; i++)
            if (strlen(names[i]) == n && !strncmp(names[i], p, n)) found = i;
        if (found < 0) {
            char all[160] = "";
            for (int i = 0; i < n_names; i++) snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "", names[i]);
            return ch4_err_set(err, CH4_EINVAL, "--%s: '%.*s' is not one of %s", option, (int)(n < 60 ? n : 60), p, all);
        }
        *out |= 1u << found;
        p += n;
        if (!*p) return CH4_OK;
    }
}

static const char *const OBJECTS[] = {
#define X(name, text) #text,
    CH4_MINIBENCH_OBJECTS(X)
#undef X
};
static const char *const CAMERAS[] = {"static", "orbit"};
enum { ALL_OBJECTS = (1 << CH4_MINIBENCH_COUNT) - 1, STATIC = 1, STATIC_AND_ORBIT = 3 };

static ch4_status choose_set(arguments *a, const char *name, ch4_err *err)
{
    static const struct {
        const char *name;
        unsigned cameras;
        int64_t seed, n_seeds, frames;
    } sets[] = {{"mini", STATIC, 1, 1, 16}, {"mini-full", STATIC_AND_ORBIT, 1, 4, 16}, {"mini-long", STATIC, 1, 1, 241}, {"mini-held", STATIC_AND_ORBIT, 1001, 4, 16}};
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        if (strcmp(sets[i].name, name)) continue;
        a->objects = ALL_OBJECTS, a->cameras = sets[i].cameras, a->continuous = false;
        a->frames = (number_list){{sets[i].frames}, 1};
        a->seeds.n = (int)sets[i].n_seeds;
        for (int k = 0; k < a->seeds.n; k++) a->seeds.at[k] = sets[i].seed + k;
        return CH4_OK;
    }
    return ch4_err_set(err, CH4_EINVAL, "--set %s: not one of mini, mini-full, mini-long, mini-held", name);
}

/* --- the command --------------------------------------------------------------------------------------------------------------- */

static ch4_status parse_size(int *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    int64_t v = 0;
    ch4_status st = parse_number(&v, name, text, lo, hi, err);
    *out = (int)v;
    return st;
}

static ch4_status parse_angle(double *out, const char *name, const char *text, ch4_err *err)
{
    char *end;
    *out = strtod(text, &end);
    if (!*text || *end || !(*out >= -360 && *out <= 360)) return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a number from -360 to 360", name, text);
    return CH4_OK;
}

static ch4_status parse_arguments(arguments *a, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {
        {"set", 1, NULL, 'S'}, {"seed", 1, NULL, 's'}, {"objects", 1, NULL, 'o'}, {"camera", 1, NULL, 'c'}, {"frames", 1, NULL, 'f'}, {"motion", 1, NULL, 'm'},
        {"size", 1, NULL, 'p'}, {"points", 1, NULL, 'q'}, {"full", 0, NULL, 'F'}, {"fps", 1, NULL, 'r'}, {"threads", 1, NULL, 't'}, {"quiet", 0, NULL, 'Q'},
        {"turn", 1, NULL, 'y'}, {NULL, 0, NULL, 0}};
    unsigned kinds;
    ch4_status st = choose_set(a, "mini", err);
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'S': st = choose_set(a, optarg, err); break;
        /* The generator's state is seed * 256 + object in 64 bits. */
        case 's': st = parse_list(&a->seeds, "seed", optarg, 0, (INT64_C(1) << 53) - 1, err); break;
        case 'o': st = parse_names(&a->objects, "objects", optarg, OBJECTS, CH4_MINIBENCH_COUNT, err); break;
        case 'c': st = parse_names(&a->cameras, "camera", optarg, CAMERAS, 2, err); break;
        case 'f': st = parse_list(&a->frames, "frames", optarg, 1, 4096, err); break;
        case 'm':
            st = parse_names(&kinds, "motion", optarg, (const char *const[]){"pingpong", "continuous"}, 2, err);
            if (!st && kinds == 3) st = ch4_err_set(err, CH4_EINVAL, "--motion %s: only one of the two", optarg);
            a->continuous = kinds == 2;
            break;
        case 'p': st = parse_size(&a->options.size, "size", optarg, 64, 2048, err); break;
        case 'q': st = parse_number(&a->options.n_points, "points", optarg, 1, 1000000, err); break;
        case 'F': a->options.n_points = 100000; break;
        case 'r': st = parse_size(&a->options.fps, "fps", optarg, 1, 240, err); break;
        case 't': st = parse_size(&a->threads, "threads", optarg, 1, 64, err); break;
        case 'Q': a->options.progress = false; break;
        case 'y': st = parse_angle(&a->options.turn, "turn", optarg, err); break;
        case ':': st = ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]); break;
        default: st = ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (!st && optind + 1 != argc) st = ch4_err_set(err, CH4_EINVAL, "minibench takes one folder; see --help");
    return st;
}

/* *out: malloc. */
static ch4_status list_clips(ch4_minibench_clip **out, int64_t *n, const arguments *a, ch4_err *err)
{
    int64_t most = (int64_t)a->seeds.n * a->frames.n * 2 * CH4_MINIBENCH_COUNT;
    if (most > MAX_CLIPS) return ch4_err_set(err, CH4_EINVAL, "more than %d clips in one call", MAX_CLIPS);
    ch4_status st = ch4_calloc(out, (size_t)most, sizeof(**out), "clips", err);
    for (int f = 0; !st && f < a->frames.n; f++)
        for (int s = 0; s < a->seeds.n; s++)
            for (int c = 0; c < 2; c++)
                for (int o = 0; o < CH4_MINIBENCH_COUNT; o++)
                    if (a->cameras >> c & a->objects >> o & 1)
                        (*out)[(*n)++] = (ch4_minibench_clip){(ch4_minibench_object)o, (uint64_t)a->seeds.at[s], c == 1, a->continuous, a->frames.at[f]};
    return st;
}

ch4_status ch4_minibench_command(int argc, char **argv, ch4_err *err)
{
    arguments a = {.threads = 2, .options = {.n_points = 10000, .size = 512, .fps = 15, .progress = isatty(STDERR_FILENO) != 0}};
    ch4_minibench_clip *clips = NULL;
    ch4_pool *pool = NULL;
    int64_t n = 0;
    ch4_status st = parse_arguments(&a, argc, argv, err);
    if (!st) st = list_clips(&clips, &n, &a, err);
    if (!st) st = ch4_pool_create(&pool, a.threads, err);
    if (!st) st = ch4_minibench_save(argv[optind], clips, n, &a.options, pool, err);
    ch4_pool_destroy(&pool);
    free(clips);
    return st;
}
