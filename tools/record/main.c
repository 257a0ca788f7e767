/* chain4d-record: keeps what a stage of a run at work receives and sends, with the files that it reads. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/version.h"
#include "tools/record/recording.h"
#include "tools/tap/listener.h"

static const char HELP[] =
    "usage: chain4d record STAGE --run OUT -o FILE [--wait S]\n"
    "\n"
    "Listens to a stage (decode, denoise, chain, animate, pose) of a run at work until the run ends or Ctrl-C, and keeps in FILE what it receives and sends, with\n"
    "the files that these messages speak of and those of the clip's earlier windows. `chain4d replay` feeds FILE to that stage alone. Run with --set\n"
    "sink.keep=true, else files of a clip that is done may be gone before they are kept.\n"
    "\n"
    "  --run OUT          the folder that chain4d run writes to\n"
    "  -o, --output FILE  the recording\n"
    "  --wait S           wait up to S seconds for the run to start (0)\n"
    "  --help             this text\n"
    "\n"
    "Exit: 0 recorded; 1 failed, or something is missing in it (messages missed, files gone: told at the end); 2 usage; 3 no run in that folder.\n";

enum { N_STAGES = 5 };
static const char *const STAGES[N_STAGES] = {"decode", "denoise", "chain", "animate", "pose"};

typedef struct clip {
    struct clip *next;
    char name[CH4_MSG_NAME];
    int64_t n_windows;
    uint8_t *kept; /* [n_windows * N_STAGES] */
} clip;

typedef struct recorder {
    ch4_listener l;
    FILE *f;
    clip *clips;
    int64_t received, sent, files, lost;
} recorder;

static volatile sig_atomic_t stopped;

static void on_signal(int signum)
{
    stopped = signum;
}

/* Adds OUT/name. CH4_ENOENT: it is gone. */
static ch4_status add_file(recorder *r, char kind, const char *name, ch4_err *err)
{
    char path[4096 + CH4_MSG_NAME + 64];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", r->l.run_dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status status = fstat(fd, &st) ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
    void *p = !status && st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (!status && p == MAP_FAILED) status = ch4_err_set_errno(err, errno, "%s", path);
    close(fd);
    if (status) return status;
    status = ch4_recording_add(r->f, kind, name, p, (size_t)st.st_size, err);
    munmap(p, (size_t)st.st_size);
    return status;
}

static clip *find_clip(recorder *r, const Ch4__Window *w, ch4_err *err)
{
    for (clip *c = r->clips; c; c = c->next)
        if (!strcmp(c->name, w->clip)) return c;
    clip *c = NULL;
    if (ch4_calloc(&c, 1, sizeof *c, "a clip", err)) return NULL;
    if (ch4_calloc(&c->kept, (size_t)w->n_windows, N_STAGES, "a clip", err)) {
        free(c);
        return NULL;
    }
    snprintf(c->name, sizeof c->name, "%s", w->clip);
    c->n_windows = w->n_windows;
    c->next = r->clips;
    return r->clips = c;
}

/* The file of a stage for a window, once. needed: a message speaks of it, so it must be there. */
static ch4_status keep(recorder *r, clip *c, int64_t window, int stage, bool needed, ch4_err *err)
{
    char name[CH4_MSG_NAME + 64];
    if (window >= c->n_windows || c->kept[window * N_STAGES + stage]) return CH4_OK;
    snprintf(name, sizeof name, "%s/w%04" PRId64 ".%s.h5", c->name, window, STAGES[stage]);
    ch4_status status = add_file(r, 'F', name, err);
    if (status == CH4_ENOENT) {
        if (needed) fprintf(stderr, "chain4d-record: %s is gone: with --set sink.keep=true the run keeps it\n", name);
        r->lost += needed;
        return CH4_OK;
    }
    if (status) return status;
    c->kept[window * N_STAGES + stage] = 1;
    r->files++;
    return CH4_OK;
}

static int stage_of(const char *name)
{
    for (int i = 0; i < N_STAGES; i++)
        if (!strcmp(STAGES[i], name)) return i;
    return -1;
}

/* Of a received window what it names; of a sent one everything of the clip up to it that is there by now: what the stage may have read is among that. */
static ch4_status take_window(recorder *r, const Ch4__Tap *t, ch4_err *err)
{
    clip *c = find_clip(r, t->window, err);
    if (!c) return CH4_ENOMEM;
    ch4_status status = CH4_OK;
    for (size_t i = 0; i < t->window->n_parts && !status; i++) {
        const int s = stage_of(t->window->parts[i]->stage);
        if (s >= 0) status = keep(r, c, t->window->index, s, true, err);
    }
    for (int64_t w = 0; t->sent && w < t->window->index && !status; w++)
        for (int s = 0; s < N_STAGES && !status; s++) status = keep(r, c, w, s, false, err);
    r->received += !t->sent, r->sent += t->sent;
    return status;
}

static ch4_status record(recorder *r, ch4_err *err)
{
    char head[128];
    int n = snprintf(head, sizeof head, "%s %s %s", r->l.stage, r->l.me.run_id, CH4_VERSION);
    ch4_status status = ch4_recording_add(r->f, 'H', "", head, (size_t)n, err);
    if (!status) status = add_file(r, 'C', "run.yaml", err);
    while (!status && !stopped) {
        ch4_msg *msg;
        status = ch4_listener_next(&r->l, 0.2, &msg, err);
        if (status == CH4_ETIMEDOUT) {
            status = CH4_OK;
            continue;
        }
        if (status) break;
        size_t size;
        const uint8_t *bytes = ch4_msg_get_bytes(msg, &size);
        const Ch4__Tap *t = ch4_msg_get_envelope(msg)->tap;
        if (t->window) status = take_window(r, t, err);
        if (!status) status = ch4_recording_add(r->f, 'M', "", bytes, size, err);
        ch4_msg_destroy(&msg);
    }
    if (status && status != CH4_ECANCELED) return status;
    n = snprintf(head, sizeof head, "%" PRId64 " %" PRId64, ch4_tap_in_missed(r->l.tap), r->lost);
    return ch4_recording_add(r->f, 'E', "", head, (size_t)n, err);
}

static ch4_status parse(const char **stage, const char **run, const char **output, double *wait, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"run", 1, NULL, 'r'}, {"output", 1, NULL, 'o'}, {"wait", 1, NULL, 'w'}, {0}};
    char *end = NULL;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:", table, NULL)) != -1;) switch (c) {
        case 'r': *run = optarg; break;
        case 'o': *output = optarg; break;
        case 'w':
            *wait = strtod(optarg, &end);
            if (end == optarg || *end || !(*wait >= 0 && *wait <= 1e6)) return ch4_err_set(err, CH4_EINVAL, "--wait %s: not a number from 0 to 1000000", optarg);
            break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (optind + 1 != argc) return ch4_err_set(err, CH4_EINVAL, "one stage: chain4d record STAGE --run OUT -o FILE; see --help");
    *stage = argv[optind];
    if (!*run) return ch4_err_set(err, CH4_EINVAL, "--run OUT is missing; see --help");
    return *output ? CH4_OK : ch4_err_set(err, CH4_EINVAL, "-o FILE is missing; see --help");
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    const char *stage = NULL, *run = NULL, *output = NULL;
    double wait = 0;
    static recorder r;
    ch4_err err = {0};
    const struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    ch4_status status = parse(&stage, &run, &output, &wait, argc, argv, &err);
    if (!status) status = ch4_listener_open(&r.l, run, stage, wait, &err);
    if (!status) status = ch4_recording_begin(&r.f, output, &err);
    if (!status) status = record(&r, &err);
    const int64_t missed = r.l.tap ? ch4_tap_in_missed(r.l.tap) : 0;
    ch4_listener_close(&r.l);
    if (r.f && fclose(r.f) && !status) status = ch4_err_set_errno(&err, errno, "%s", output);
    for (clip *c = r.clips, *next; c; c = next) {
        next = c->next;
        free(c->kept);
        free(c);
    }
    if (status) {
        fprintf(stderr, "chain4d-record: %s\n", err.msg);
        return ch4_status_exit_code(status);
    }
    printf("%" PRId64 " windows received, %" PRId64 " sent, %" PRId64 " files in %s; %" PRId64 " messages missed, %" PRId64 " files gone\n", r.received, r.sent, r.files, output,
           missed, r.lost);
    return missed || r.lost;
}
