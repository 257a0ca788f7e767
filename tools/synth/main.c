/* chain4d-synth: procedural animated creatures with full ground truth, for training, tests and the demo. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tools/synth/shard.h"

static const char HELP[] =
    "usage: chain4d-synth shard OUT.safetensors [options]   training clips of 16 frames in one file\n"
    "\n"
    "Clip i of a call uses seed S + i, and a seed always gives the same creature. Training uses seeds 1 to 999999, evaluation\n"
    "seeds from 1000000 on, so the two never meet. The result does not depend on --threads.\n"
    "\n"
    "  --seed S        first seed (1)\n"
    "  --clips N       number of clips (16)\n"
    "  --size PX       picture size before the crop, 64 to 2048 (shard: 144)\n"
    "  --plans LIST    body plans, of quad,biped,bird,lizard,hexa,worm (quad,biped,bird)\n"
    "  --colour KIND   position: place on the body at rest; parts: one colour for each part (position)\n"
    "  --threads N     worker threads, 1 to 64 (2)\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 usage.\n";

static ch4_status parse_int(int64_t *out, const char *name, const char *text, int64_t lo, int64_t hi, ch4_err *err)
{
    char *end;
    long long v = strtoll(text, &end, 10);
    if (!*text || *end || v < lo || v > hi)
        return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a whole number from %" PRId64 " to %" PRId64, name, text, lo, hi);
    *out = v;
    return CH4_OK;
}

static ch4_status parse_options(ch4_synth_options *o, int argc, char **argv, bool *help, ch4_err *err)
{
    static const struct option table[] = {
        {"seed", 1, NULL, 's'}, {"clips", 1, NULL, 'n'}, {"size", 1, NULL, 'p'}, {"plans", 1, NULL, 'b'}, {"colour", 1, NULL, 'c'},
        {"threads", 1, NULL, 't'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int64_t v;
    ch4_status st = CH4_OK;
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, "h", table, NULL)) != -1;) switch (c) {
        case 's': if (!(st = parse_int(&v, "seed", optarg, 0, INT64_MAX / 2, err))) o->seed = (uint64_t)v; break;
        case 'n': st = parse_int(&o->n_clips, "clips", optarg, 1, 1000000, err); break;
        case 'p': if (!(st = parse_int(&v, "size", optarg, 64, 2048, err))) o->size = (int)v; break;
        case 'b': st = ch4_synth_plan_parse(&o->plans, optarg, err); break;
        case 'c':
            if (!strcmp(optarg, "position")) o->colour = CH4_SYNTH_COLOUR_POSITION;
            else if (!strcmp(optarg, "parts")) o->colour = CH4_SYNTH_COLOUR_PARTS;
            else st = ch4_err_set(err, CH4_EINVAL, "--colour %s: not one of position, parts", optarg);
            break;
        case 't': if (!(st = parse_int(&v, "threads", optarg, 1, 64, err))) o->threads = (int)v; break;
        case 'h': *help = true; break;
        default: st = ch4_err_set(err, CH4_EINVAL, "unknown option or missing value: %s", argv[optind - 1]);
        }
    return st;
}

int main(int argc, char **argv)
{
    ch4_err err = {0};
    ch4_pool *pool = NULL;
    bool help = false;
    ch4_synth_options o = {.seed = 1, .n_clips = 16, .n_frames = CH4_SHARD_FRAMES, .size = 144, .threads = 2, .colour = CH4_SYNTH_COLOUR_POSITION};
    ch4_status st = ch4_synth_plan_parse(&o.plans, "quad,biped,bird", &err);
    if (!st) st = parse_options(&o, argc, argv, &help, &err);
    if (help) {
        fputs(HELP, stdout);
        return 0;
    }
    if (!st && (optind + 2 != argc || strcmp(argv[optind], "shard")))
        st = ch4_err_set(&err, CH4_EINVAL, "expected: shard OUT; see --help");
    if (!st) st = ch4_pool_create(&pool, o.threads, &err);
    if (!st) st = ch4_synth_shard_save(argv[optind + 1], &o, pool, &err);
    ch4_pool_destroy(&pool);
    if (st) fprintf(stderr, "chain4d-synth: %s\n", err.msg);
    return ch4_status_exit_code(st);
}
