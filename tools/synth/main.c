/* chain4d-synth: procedural animated objects with full ground truth: the benchmark, and creatures for training, tests and the demo. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/nearest.h"
#include "tools/synth/clip_writer.h"
#include "tools/synth/minibench_command.h"
#include "tools/synth/shard.h"

static const char HELP[] =
    "usage: chain4d-synth minibench OUT [options]           the benchmark in ActionBench's layout: OUT/data, OUT/oracle\n"
    "       chain4d-synth creatures OUT [options]           one folder per clip: OUT/creature_sNNNNNN\n"
    "       chain4d-synth shard OUT.safetensors [options]   training clips of 16 frames in one file\n"
    "       chain4d-synth forms OUT.safetensors [options]   the same of forms: compounds of blobs, limbs, panels and movers\n"
    "\n"
    "The result does not depend on --threads. A clip folder that exists is written anew; meta.json comes last and says that it is whole.\n"
    "\n";

static const char CREATURES_HELP[] =
    "\n"
    "creatures writes the same files for each clip, without the oracle's meshes; shard and forms write training data.\n"
    "Clip i of a call uses seed S + i, and a seed always gives the same creature. Training uses seeds 1 to 999999, evaluation\n"
    "seeds from 1000000 on, so the two never meet.\n"
    "\n"
    "  --seed S        first seed (creatures: 1000000, shard and forms: 1)\n"
    "  --clips N       number of clips (1)\n"
    "  --frames F      frames, 1 to 20000, creatures only (16)\n"
    "  --motion KIND   of clips with more than 16 frames, creatures only: continuous (the motion goes on), or pingpong (16 frames forward and\n"
    "                  backward) (continuous)\n"
    "  --size PX       picture size, even, 64 to 2048; shard and forms: before the crop (creatures: 256, others: 144)\n"
    "  --points N      surface points in surfaces.npy, 1 to 1000000, creatures only (10000)\n"
    "  --fps N         frame rate of video.mp4, 1 to 240, creatures only (12)\n"
    "  --plans LIST    body plans, of quad,biped,bird,lizard,hexa,worm (quad,biped,bird)\n"
    "  --colour KIND   position: place on the body at rest; parts: one colour for each part (position)\n"
    "  --threads N     worker threads, 1 to 64 (2)\n"
    "  --quiet         no progress\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 usage.\n";

typedef struct command {
    const char *name;
    ch4_status (*run)(const char *path, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err);
    ch4_synth_options defaults;
} command;

static const command COMMANDS[] = {
    {"creatures", ch4_synth_creatures_save, {.seed = 1000000, .n_clips = 1, .n_frames = 16, .n_points = 10000, .size = 256, .threads = 2, .fps = 12}},
    {"shard", ch4_synth_shard_save, {.seed = 1, .n_clips = 1, .n_frames = CH4_SHARD_FRAMES, .size = 144, .threads = 2}},
    {"forms", ch4_form_shard_save, {.seed = 1, .n_clips = 1, .n_frames = CH4_SHARD_FRAMES, .size = 144, .threads = 2}},
};

static ch4_status parse_int(int64_t *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end || v < lo || v > hi)
        return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a whole number from %" PRId64 " to %" PRId64, name, text, lo, hi);
    *out = v;
    return CH4_OK;
}

static ch4_status parse_motion(bool *pingpong, const char *text, ch4_err *err)
{
    *pingpong = !strcmp(text, "pingpong");
    return *pingpong || !strcmp(text, "continuous") ? CH4_OK : ch4_err_set(err, CH4_EINVAL, "--motion %s: not one of continuous, pingpong", text);
}

static ch4_status parse_options(ch4_synth_options *o, const command *cmd, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {
        {"seed", 1, NULL, 's'}, {"clips", 1, NULL, 'n'}, {"frames", 1, NULL, 'f'}, {"size", 1, NULL, 'p'}, {"points", 1, NULL, 'q'},
        {"fps", 1, NULL, 'r'}, {"motion", 1, NULL, 'm'}, {"quiet", 0, NULL, 'Q'}, {"plans", 1, NULL, 'b'}, {"colour", 1, NULL, 'c'}, {"threads", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    int64_t v;
    ch4_status st = CH4_OK;
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 's': if (!(st = parse_int(&v, "seed", optarg, 0, INT64_MAX / 2, err))) o->seed = (uint64_t)v; break;
        case 'n': st = parse_int(&o->n_clips, "clips", optarg, 1, 1000000, err); break;
        case 'f':
        case 'q':
        case 'r':
        case 'm':
            if (cmd->run != ch4_synth_creatures_save) return ch4_err_set(err, CH4_EINVAL, "--frames, --points, --fps and --motion do not belong to %s", cmd->name);
            if (c == 'f') st = parse_int(&o->n_frames, "frames", optarg, 1, 20000, err);
            else if (c == 'q') st = parse_int(&o->n_points, "points", optarg, 1, 1000000, err);
            else if (c == 'm') st = parse_motion(&o->pingpong, optarg, err);
            else if (!(st = parse_int(&v, "fps", optarg, 1, 240, err))) o->fps = (int)v;
            break;
        case 'p': if (!(st = parse_int(&v, "size", optarg, 64, 2048, err))) o->size = (int)v; break;
        case 'b': st = ch4_synth_plan_parse(&o->plans, optarg, err); break;
        case 'c':
            if (!strcmp(optarg, "position")) o->colour = CH4_SYNTH_COLOUR_POSITION;
            else if (!strcmp(optarg, "parts")) o->colour = CH4_SYNTH_COLOUR_PARTS;
            else st = ch4_err_set(err, CH4_EINVAL, "--colour %s: not one of position, parts", optarg);
            break;
        case 't': if (!(st = parse_int(&v, "threads", optarg, 1, 64, err))) o->threads = (int)v; break;
        case 'Q': o->progress = false; break;
        case ':': st = ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]); break;
        default: st = ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    return st;
}

static ch4_status run(int argc, char **argv, ch4_err *err)
{
    const command *cmd = NULL;
    if (argc > 1 && !strcmp(argv[1], "minibench")) return ch4_minibench_command(argc - 1, argv + 1, err);
    for (size_t i = 0; argc > 1 && i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
        if (!strcmp(argv[1], COMMANDS[i].name)) cmd = &COMMANDS[i];
    if (!cmd) return ch4_err_set(err, CH4_EINVAL, "the first argument must be minibench, creatures, shard or forms; see --help");
    ch4_synth_options o = cmd->defaults;
    o.progress = isatty(STDERR_FILENO) != 0;
    ch4_pool *pool = NULL;
    ch4_status st = ch4_synth_plan_parse(&o.plans, "quad,biped,bird", err);
    if (!st) st = parse_options(&o, cmd, argc - 1, argv + 1, err);
    if (!st && optind + 2 != argc) st = ch4_err_set(err, CH4_EINVAL, "%s takes one path; see --help", cmd->name);
    if (!st) st = ch4_pool_create(&pool, o.threads, err);
    if (!st) st = cmd->run(argv[optind + 1], &o, pool, err);
    ch4_pool_destroy(&pool);
    return st;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            fputs(CH4_MINIBENCH_HELP, stdout);
            fputs(CREATURES_HELP, stdout);
            return 0;
        }
    ch4_err err = {0};
    ch4_status st = run(argc, argv, &err);
    if (st) fprintf(stderr, "chain4d-synth: %s\n", err.msg);
    /* There is no input: a path that cannot be found is one that cannot be written. */
    return st == CH4_ENOENT ? 1 : ch4_status_exit_code(st);
}
