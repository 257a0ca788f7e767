/* chain4d: the command. `run` is here; every other verb is a program chain4d-<verb> beside this one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/place.h"
#include "orchestrator/run.h"

static const char help_text[] =
    "usage: chain4d run VIDEO... -o FOLDER [options]   turn videos into animated meshes\n"
    "       chain4d status FOLDER                      how a run stands: at work, done or dead\n"
    "       chain4d tap STAGE --run FOLDER             listen to a stage: lines, rates, arrays and pictures\n"
    "       chain4d record STAGE --run FOLDER -o FILE  keep what a stage gets; `chain4d replay` feeds it to that stage alone\n"
    "       chain4d VERB ...                           run chain4d-VERB (golden, synth, ...)\n"
    "       chain4d help [options]                     this text; with `options` every option of the pipeline\n"
    "       chain4d --version\n"
    "\n"
    "VIDEO is whatever libavformat opens, or a folder of numbered pictures. FOLDER/NAME gets vertices.npy, faces.npy, mesh.glb,\n"
    "cameras.json, tracks.h5 and summary.json. The same command into the same folder goes on where it was stopped.\n"
    "\n"
    "  -o, --output FOLDER  where results go\n"
    "  --mesh FILE          anchor mesh (.glb, .obj): the result keeps its vertex order and materials\n"
    "  --mask PATH          foreground: a video or folder of masks\n"
    "  --model DIR          model (default: the bundled models/mini)\n"
    "  --config FILE        pipeline file (YAML); see `chain4d help options`\n"
    "  --set KEY=VALUE      one option of it, may be repeated: --set chain.topk=16\n"
    "  --threads N          threads of each process, 0 = one per processor\n"
    "  --frames N           use at most the first N frames\n"
    "  -q, --quiet          no progress\n"
    "  --trace FILE         where each window was when, for Perfetto or chrome://tracing (docs/listening.md)\n"
    "  --strict             exit 1 when listeners (chain4d tap, record) missed something\n"
    "\n"
    "exit: 0 done, 1 failed (another try may help), 2 usage or configuration, 3 bad input or output folder, 128+n signal n\n";

static bool is_verb(const char *word)
{
    return *word && strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(word) && *word != '-';
}

/* Becomes chain4d-<verb>; returns only if it cannot. */
static int become(char **argv)
{
    char program[CH4_PLACE_PATH];
    ch4_err err;
    if (!is_verb(argv[0]) || ch4_place_program(program, argv[0], &err)) {
        fprintf(stderr, "chain4d: unknown command %s; see `chain4d help`\n", argv[0]);
        return 2;
    }
    argv[0] = program;
    execv(program, argv);
    fprintf(stderr, "chain4d: %s: %s\n", program, strerror(errno));
    return 1;
}

static int run(int argc, char **argv)
{
    ch4_plan plan;
    ch4_problems problems = {0};
    ch4_err err = {0};
    int code;
    ch4_status status = ch4_plan_read(&plan, argc, argv, &problems, &err);
    if (status) {
        if (problems.count) fprintf(stderr, "%s", problems.text);
        else fprintf(stderr, "chain4d: %s\n", err.msg);
        code = ch4_status_exit_code(status);
    } else if (plan.help) {
        fputs(help_text, stdout);
        code = 0;
    } else {
        code = ch4_run_all(&plan);
    }
    ch4_problems_free(&problems);
    ch4_plan_fini(&plan);
    return code;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help_text, stderr);
        return 2;
    }
    const char *verb = argv[1];
    if (!strcmp(verb, "--version") || !strcmp(verb, "version")) {
        printf("chain4d %s\n", CH4_VERSION);
        return 0;
    }
    if (!strcmp(verb, "help") || !strcmp(verb, "--help") || !strcmp(verb, "-h")) {
        if (argc > 2 && !strcmp(argv[2], "options")) ch4_schema_help(&ch4_config_schema, argc > 3 ? argv[3] : NULL, stdout);
        else fputs(help_text, stdout);
        return 0;
    }
    return !strcmp(verb, "run") ? run(argc - 1, argv + 1) : become(argv + 1);
}
