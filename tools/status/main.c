/* chain4d-status: how a run stands, from OUT/status.json and OUT/lock alone: at work, done or dead makes no difference to the reading. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/nearest.h"
#include "stage/rundir.h"

static const char HELP[] =
    "usage: chain4d status OUT [--once] [--json]\n"
    "\n"
    "Shows how the run in the folder OUT stands: stages (state, windows done, in flight, rate, memory, device, time left), clips, and what failed and why. On a\n"
    "terminal the table is drawn again every second until the run ends. A run that is over or has died is shown as it was last seen.\n"
    "\n"
    "  --once   once, also on a terminal\n"
    "  --json   as OUT/status.json has it, with the key \"run\": working, done, failed or died\n"
    "  --help   this text\n"
    "\n"
    "Exit: 0 at work or done; 1 ended with a failure, stopped, or died; 2 usage; 3 no run in that folder.\n";

typedef struct options {
    const char *run;
    bool once, json;
} options;

static ch4_status parse(options *o, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"once", 0, NULL, 'o'}, {"json", 0, NULL, 'j'}, {0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", table, NULL)) != -1;) switch (c) {
        case 'o': o->once = true; break;
        case 'j': o->json = true; break;
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (optind + 1 != argc) return ch4_err_set(err, CH4_EINVAL, "one folder: chain4d status OUT; see --help");
    o->run = argv[optind];
    return CH4_OK;
}

/* The status file with its key "run" added; a run that has only just started may have none of its own yet. */
static ch4_status look(json_t **out, const char *run, ch4_err *err)
{
    char path[4200];
    ch4_epoch epoch;
    bool held;
    json_error_t bad;
    *out = NULL;
    ch4_status status = ch4_epoch_read(&epoch, run, err);
    if (status == CH4_ENOENT) return ch4_err_set(err, status, "%s: no run here: give the folder that chain4d run writes to", run);
    if (!status) status = ch4_rundir_held(&held, run, err);
    if (status) return status;
    if (snprintf(path, sizeof path, "%s/status.json", run) >= (int)sizeof path) return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", run);
    json_t *o = access(path, F_OK) ? json_object() : json_load_file(path, 0, &bad);
    if (!json_is_object(o)) {
        json_decref(o);
        return ch4_err_set(err, CH4_EFORMAT, "%s: damaged: %s", path, bad.text);
    }
    const json_t *code = json_object_get(o, "exit"), *number = json_object_get(o, "epoch");
    const bool own = json_integer_value(number) == epoch.number; /* else it is that of the start before */
    if (!own) json_object_clear(o);
    const char *state = held ? "working" : !own || !code ? "died" : json_integer_value(code) ? "failed" : "done";
    if (!own) json_object_set_new(o, "epoch", json_integer(epoch.number)), json_object_set_new(o, "run_id", json_string(epoch.run_id));
    json_object_set_new(o, "run", json_string(state));
    *out = o;
    return CH4_OK;
}

/* --- the table -------------------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static int64_t int_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void describe_left(char out[32], const json_t *stage)
{
    const double left = json_number_value(json_object_get(stage, "left_s"));
    out[0] = 0;
    if (left <= 0 || left > 1e9) return;
    if (left < 60) snprintf(out, 32, "%.0f s", left);
    else if (left < 3600) snprintf(out, 32, "%d:%02d min", (int)left / 60, (int)left % 60);
    else snprintf(out, 32, "%d:%02d h", (int)(left / 3600), (int)(left / 60) % 60);
}

static void describe_work(char out[200], const json_t *stage)
{
    const char *clip = text_of(stage, "clip");
    int n = snprintf(out, 200, "%.100s", clip);
    if (json_object_get(stage, "window")) n += snprintf(out + n, 200 - (size_t)n, " w%04" PRId64, int_of(stage, "window"));
    if (*clip && int_of(stage, "steps") > 0) snprintf(out + n, 200 - (size_t)n, ", step %" PRId64 " of %" PRId64, int_of(stage, "step"), int_of(stage, "steps"));
}

static int print_stages(const json_t *o, bool over)
{
    size_t i;
    json_t *s;
    const json_t *stages = json_object_get(o, "stages");
    if (!json_array_size(stages)) return 0;
    printf("stage    state       done  in flight  frames/s    memory  device  left        at\n");
    json_array_foreach(stages, i, s) {
        char left[32], work[200], rate[32] = "";
        const double fps = json_number_value(json_object_get(s, "frames_per_s"));
        describe_left(left, s);
        describe_work(work, s);
        if (fps > 0) snprintf(rate, sizeof rate, "%.1f", fps);
        printf("%-8.31s %-11.31s %4" PRId64 " %10" PRId64 " %9s %6.0f MB  %-6.16s  %-10s  %s\n", text_of(s, "stage"), over ? "gone" : text_of(s, "state"), int_of(s, "done"),
               int_of(s, "in_flight"), rate, (double)int_of(s, "memory") / 1e6, text_of(s, "device"), over ? "" : left, over ? "" : work);
    }
    return 1 + (int)json_array_size(stages);
}

static int print_clips(const json_t *o)
{
    size_t i;
    json_t *c;
    int n = 0;
    json_array_foreach(json_object_get(o, "clips"), i, c) {
        char windows[32] = "?";
        if (int_of(c, "windows") > 0) snprintf(windows, sizeof windows, "%" PRId64, int_of(c, "windows"));
        printf("%s: %s, %" PRId64 " of %s windows", text_of(c, "clip"), text_of(c, "state"), int_of(c, "done"), windows);
        if (int_of(c, "failed_window") >= 0 && *text_of(c, "reason")) printf(", window %" PRId64, int_of(c, "failed_window"));
        printf("%s%s\n", *text_of(c, "reason") ? ": " : "", text_of(c, "reason"));
        n++;
    }
    return n;
}

/* How many lines. */
static int print_table(const json_t *o, const char *run)
{
    const char *state = text_of(o, "run");
    const bool over = strcmp(state, "working") != 0;
    printf("%s: %s", run, state);
    if (json_object_get(o, "exit")) printf(", exit %" PRId64, int_of(o, "exit"));
    if (!strcmp(state, "died")) printf(": nothing works there, and it did not say why it ended; the same command goes on with it");
    if (*text_of(o, "time")) printf("; as of %s, %.0f s after its start", text_of(o, "time"), json_number_value(json_object_get(o, "seconds")));
    printf("\n");
    int n = 1 + print_stages(o, over);
    n += print_clips(o);
    fflush(stdout);
    return n;
}

static ch4_status show(const options *o, int *code, ch4_err *err)
{
    for (int lines = 0;;) {
        json_t *now;
        ch4_status status = look(&now, o->run, err);
        if (status) return status;
        const char *state = text_of(now, "run");
        const bool working = !strcmp(state, "working"), live = working && !o->once && !o->json && isatty(STDOUT_FILENO);
        *code = !working && strcmp(state, "done");
        if (lines) printf("\033[%dA\033[J", lines);
        if (o->json) json_dumpf(now, stdout, JSON_INDENT(2)), printf("\n");
        else lines = print_table(now, o->run);
        json_decref(now);
        if (!live) return CH4_OK;
        sleep(1);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    options o = {0};
    ch4_err err = {0};
    int code = 0;
    ch4_status status = parse(&o, argc, argv, &err);
    if (!status) status = show(&o, &code, &err);
    if (!status) return code;
    fprintf(stderr, "chain4d-status: %s\n", err.msg);
    return ch4_status_exit_code(status);
}
