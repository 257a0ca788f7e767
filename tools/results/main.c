/* chain4d-results: docs/results.md from the scores that tools/bench-truth has made. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "tools/results/res_page.h"

static const char HELP[] =
    "usage: chain4d-results SCORES --page FILE --plots FOLDER --commit TEXT --machine TEXT --model DIR [--figures FILE]\n"
    "\n"
    "Writes docs/results.md and its plots from the scores of tools/bench-truth, which calls this. Same scores, same page.\n"
    "\n"
    "  SCORES          folder with the scores of each case\n"
    "  --page FILE     the page; --plots is meant to be the folder `results` beside it\n"
    "  --plots FOLDER  where the plots go\n"
    "  --figures FILE  the figures that tests/e2e/test_bench_truth.sh compares with\n"
    "  --commit TEXT, --machine TEXT  what the page says of how it was made\n"
    "  --model DIR     the model, for its name and checksum\n"
    "  --help          this text\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 usage, 3 a case is missing or damaged.\n";

static ch4_status parse(ch4_res_request *r, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"page", 1, NULL, 'p'},  {"plots", 1, NULL, 'P'}, {"figures", 1, NULL, 'f'}, {"commit", 1, NULL, 'c'}, {"machine", 1, NULL, 'm'},
                                          {"model", 1, NULL, 'M'}, {NULL, 0, NULL, 0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'p': r->page = optarg; break;
        case 'P': r->plots = optarg; break;
        case 'f': r->figures = optarg; break;
        case 'c': r->commit = optarg; break;
        case 'm': r->machine = optarg; break;
        case 'M': r->model = optarg; break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (optind + 1 != argc || !r->page || !r->plots || !r->commit || !r->machine || !r->model)
        return ch4_err_set(err, CH4_EINVAL, "needs SCORES, --page, --plots, --commit, --machine and --model; see --help");
    r->scores = argv[optind];
    return CH4_OK;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return fputs(HELP, stdout), 0;
    ch4_err err = {0};
    ch4_res_request request = {0};
    ch4_status st = parse(&request, argc, argv, &err);
    if (!st) st = ch4_res_write(&request, &err);
    if (st) fprintf(stderr, "chain4d-results: %s\n", err.msg);
    return ch4_status_exit_code(st);
}
