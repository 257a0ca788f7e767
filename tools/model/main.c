#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/model/model_check.h"
#include "tools/model/model_tables.h"

static const char usage_text[] =
    "usage: chain4d-model check DIR [--memory GIB]\n"
    "       chain4d-model tables\n"
    "\n"
    "check prints what a model directory contains: its networks, their parameters and how they are stored, the memory that the stages\n"
    "need, and whether this machine has it, or one with so many GiB. Everything that is wrong, a missing, extra or misshapen tensor for instance, is one line\n"
    "on standard error that names it and its file. Nothing is loaded.\n"
    "\n"
    "tables prints every tensor of the published networks, with its shape, as the loaders want it (docs/tensors.md).\n"
    "\n"
    "Exit: 0 the model is whole and can run here, 1 it is not or cannot, 2 usage.\n";

static void print_problem(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "chain4d-model: %s\n", text);
}

int main(int argc, char **argv)
{
    ch4_model_check check;
    ch4_err err = {0};
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
        return fputs(usage_text, stdout), 0;
    if (argc == 2 && !strcmp(argv[1], "tables")) {
        if (ch4_model_tables_print(stdout, &err) == CH4_OK)
            return 0;
        print_problem(NULL, err.msg);
        return 1;
    }
    double gib = argc == 5 && strcmp(argv[3], "--memory") == 0 ? atof(argv[4]) : 0;
    if (argc < 3 || strcmp(argv[1], "check") != 0 || (argc != 3 && !(gib > 0 && gib < 1e6)))
        return fputs(usage_text, stderr), 2;
    if (ch4_model_check_dir(&check, argv[2], (size_t)(gib * (1 << 30)), print_problem, NULL, &err)) {
        print_problem(NULL, err.msg);
        return 1;
    }
    ch4_model_check_print(&check, argv[2], stdout);
    return !check.runs;
}
