#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "golden.h"

static const char usage_text[] =
    "usage: chain4d-golden [--list] [--backend ref|cpu] [--threads N] [--strict] [--quiet] PATH...\n"
    "\n"
    "Runs every recorded reference case at and below each PATH and prints one line per compared tensor: case, tensor, the\n"
    "error and tolerance of its worst element, the share of the tolerance that this is, ok or FAIL.\n"
    "\n"
    "  --list          names of the kinds of case that are covered\n"
    "  --backend NAME  op table that runs the networks (default cpu)\n"
    "  --threads N     threads (default: one per processor)\n"
    "  --strict        also fail for cases of no covered kind and for recorded results that were not compared\n"
    "  --quiet         print failures and the total only\n"
    "\n"
    "Exit: 0 all hold and at least one case ran, 1 a comparison failed, 2 usage, 3 a PATH cannot be read.\n";

static int list_kinds(void)
{
    for (const ch4_golden_kind *k = ch4_golden_kinds(); k->name; k++)
        puts(k->name);
    return 0;
}

static int run(char **paths, int n_paths, ch4_golden_options *options, bool strict)
{
    ch4_golden_tally tally = {0};
    ch4_err err = {0};
    int unreadable = 0;
    for (int i = 0; i < n_paths; i++)
        if (ch4_golden_walk(paths[i], options, &tally, &err) != CH4_OK) {
            fprintf(stderr, "chain4d-golden: %s\n", err.msg);
            unreadable = 3;
        }
    printf("%" PRId64 " cases, %" PRId64 " tensors compared, %" PRId64 " failed, at most %.0f%% of a tolerance used; %" PRId64
           " cases not covered, %" PRId64 " results not compared\n",
           tally.cases, tally.tensors, tally.failed, 100 * tally.worst, tally.uncovered, tally.unchecked);
    if (unreadable)
        return unreadable;
    if (tally.cases == 0) {
        fprintf(stderr, "chain4d-golden: no case was run\n");
        return 1;
    }
    return tally.failed || (strict && (tally.uncovered || tally.unchecked));
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"list", no_argument, NULL, 'l'},    {"backend", required_argument, NULL, 'b'}, {"threads", required_argument, NULL, 't'},
        {"strict", no_argument, NULL, 's'},  {"quiet", no_argument, NULL, 'q'},         {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    ch4_golden_options options = {.backend = "cpu"};
    bool strict = false;
    int threads = 0;
    ch4_err err = {0};
    opterr = 0;
    for (int o; (o = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        char *end;
        switch (o) {
        case 'l': return list_kinds();
        case 'b': options.backend = optarg; break;
        case 't':
            threads = (int)strtol(optarg, &end, 10);
            if (*end || threads < 1 || threads > 1024)
                return fprintf(stderr, "chain4d-golden: --threads %s: a number from 1 to 1024\n", optarg), 2;
            break;
        case 's': strict = true; break;
        case 'q': options.quiet = true; break;
        case 'h': return fputs(usage_text, stdout), 0;
        case ':': return fprintf(stderr, "chain4d-golden: %s needs a value; see --help\n", argv[optind - 1]), 2;
        default:
            ch4_nearest_option(argv[optind - 1], longs, "--help", &err);
            return fprintf(stderr, "chain4d-golden: %s\n", err.msg), 2;
        }
    }
    if (optind == argc)
        return fputs(usage_text, stderr), 2;
    if (strcmp(options.backend, "ref") != 0 && strcmp(options.backend, "cpu") != 0)
        return fprintf(stderr, "chain4d-golden: --backend %s: one of ref, cpu\n", options.backend), 2;
    if (ch4_pool_create(&options.pool, threads, &err) != CH4_OK)
        return fprintf(stderr, "chain4d-golden: %s\n", err.msg), 1;
    int rc = run(argv + optind, argc - optind, &options, strict);
    ch4_pool_destroy(&options.pool);
    return rc;
}
