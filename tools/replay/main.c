/* chain4d-replay: feeds a recording to one stage alone, and says whether it makes the same bytes. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/nearest.h"
#include "bus/edge.h"
#include "orchestrator/child.h"
#include "orchestrator/place.h"
#include "stage/rundir.h"
#include "tools/record/recording.h"

static const char HELP[] =
    "usage: chain4d replay FILE --stage STAGE -o DIR [--set KEY=VALUE ...]\n"
    "\n"
    "Starts the stage alone in the new folder DIR, feeds it what chain4d record kept, and compares the checksum of every file that it makes with the one\n"
    "that it sent when it was recorded. This is how a stage is debugged without the others.\n"
    "\n"
    "  --stage STAGE     the one that was recorded\n"
    "  -o, --output DIR  a folder that does not exist yet\n"
    "  --set KEY=VALUE   another option than in the recording, may be repeated\n"
    "  --help            this text\n"
    "\n"
    "Exit: 0 the same bytes; 1 other bytes, a window failed, or the stage ended early; 2 usage; 3 not a recording, or an unusable DIR.\n";

enum { MAX_SETS = 8, ROOM = 4096 };

/* A window or, for decode, a job (index -1) that is fed to the stage, and windows that it sent. */
typedef struct item {
    char clip[CH4_MSG_NAME];
    int64_t index;
    bool fed, over;
    char expected[33]; /* checksum that it sent; "": it was not recorded */
} item;

typedef struct replay {
    const char *file, *stage, *out, *sets[MAX_SETS];
    int n_sets;
    char dir[ROOM], run_id[33], config[ROOM];
    ch4_recording rec;
    item *items;
    int64_t n_items, pending, differ, failed;
    ch4_identity me;
    ch4_bus *bus;
    ch4_sock *control;
    ch4_edge_out *to;
    ch4_edge_in *from;
    ch4_child child;
    bool child_gone;
} replay;

static const char *const STAGES[] = {"plan", "decode", "denoise", "chain", "animate", "pose"};

/* Whose edge the stage listens to; NULL: no such stage. */
static const char *before(const char *stage)
{
    for (int i = 1; i < 6; i++)
        if (!strcmp(STAGES[i], stage)) return STAGES[i - 1];
    return NULL;
}

static item *find(replay *r, const char *clip, int64_t index)
{
    for (int64_t i = 0; i < r->n_items; i++)
        if (r->items[i].index == index && !strcmp(r->items[i].clip, clip)) return &r->items[i];
    return NULL;
}

static item *find_or_add(replay *r, const char *clip, int64_t index, ch4_err *err)
{
    item *it = find(r, clip, index);
    if (it) return it;
    item *more = realloc(r->items, (size_t)(r->n_items + 1) * sizeof *more);
    if (!more) return ch4_err_set(err, CH4_ENOMEM, "out of memory"), NULL;
    r->items = more;
    it = &more[r->n_items++];
    *it = (item){.index = index};
    snprintf(it->clip, sizeof it->clip, "%s", clip);
    return it;
}

/* --- reading the recording --------------------------------------------------------------------------------------------------- */

/* Next record; a cut-off end is told once and taken for the end. */
static ch4_status next(replay *r, ch4_record *record, ch4_err *err)
{
    ch4_status status = ch4_recording_next(&r->rec, record, err);
    if (status != CH4_EFORMAT) return status;
    fprintf(stderr, "chain4d-replay: %s: what is before that is used\n", err->msg);
    r->rec.size = r->rec.at;
    return CH4_EAGAIN;
}

static ch4_status take_head(replay *r, const ch4_record *record, ch4_err *err)
{
    char text[128] = "", stage[32], version[32];
    memcpy(text, record->data, record->size < sizeof text ? record->size : sizeof text - 1);
    if (sscanf(text, "%31s %32s %31s", stage, r->run_id, version) != 3 || strlen(r->run_id) != 32)
        return ch4_err_set(err, CH4_EFORMAT, "%s: damaged head", r->file);
    if (strcmp(stage, r->stage)) return ch4_err_set(err, CH4_EINVAL, "%s: is a recording of %s, not of %s", r->file, stage, r->stage);
    if (strcmp(version, CH4_VERSION)) fprintf(stderr, "chain4d-replay: recorded with chain4d %s, this is %s\n", version, CH4_VERSION);
    return CH4_OK;
}

static ch4_status take_message(replay *r, const ch4_record *record, ch4_err *err)
{
    ch4_msg *msg;
    ch4_status status = ch4_msg_decode(&msg, NULL, record->data, record->size, err);
    if (status) return status;
    const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
    const Ch4__Tap *t = e->body_case == CH4__ENVELOPE__BODY_TAP ? e->tap : NULL;
    item *it = NULL;
    if (t && t->window) it = find_or_add(r, t->window->clip, t->window->index, err);
    else if (t && t->job && !t->sent) it = find_or_add(r, t->job->clip, -1, err);
    if (t && (t->window || (t->job && !t->sent)) && !it) status = CH4_ENOMEM;
    if (it && !t->sent && !it->fed) it->fed = true, r->pending++;
    if (it && t->sent && t->window->n_parts) strcpy(it->expected, t->window->parts[t->window->n_parts - 1]->checksum); /* 32 digits: checked */
    ch4_msg_destroy(&msg);
    return status;
}

/* What is to be fed and what came of it, before any file is written: files of the stage's own that it shall make again must not be there. */
static ch4_status read_plan(replay *r, ch4_err *err)
{
    ch4_record record;
    ch4_status status = ch4_recording_open(&r->rec, r->file, err);
    if (!status) status = ch4_recording_next(&r->rec, &record, err);
    if (!status) status = record.kind == 'H' ? take_head(r, &record, err) : ch4_err_set(err, CH4_EFORMAT, "%s: no head", r->file);
    while (!status && !(status = next(r, &record, err)))
        if (record.kind == 'M') status = take_message(r, &record, err);
    if (status != CH4_EAGAIN) return status;
    return r->pending ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "%s: nothing in it that the stage received", r->file);
}

/* --- the folder ---------------------------------------------------------------------------------------------------------------- */

static ch4_status write_file(const char *path, const ch4_record *record, ch4_err *err)
{
    FILE *f = fopen(path, "we");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    bool good = fwrite(record->data, 1, record->size, f) == record->size;
    int code = errno;
    if (fclose(f)) good = false, code = errno;
    return good ? CH4_OK : ch4_err_set_errno(err, code, "%s", path);
}

/* A file of the run: CLIP/wNNNN.STAGE.h5 and nothing else. */
static ch4_status place_file(replay *r, const ch4_record *record, ch4_err *err)
{
    char clip[CH4_MSG_NAME], stage[32], path[ROOM + 1200], again[CH4_MSG_NAME + 64];
    int64_t window;
    if (sscanf(record->name, "%127[^/]/w%" SCNd64 ".%31[a-z].h5", clip, &window, stage) != 3 || window < 0 || !ch4_clip_name_ok(clip) || !before(stage))
        return ch4_err_set(err, CH4_EFORMAT, "%s: holds a file '%.100s', which is none of a run", r->file, record->name);
    snprintf(again, sizeof again, "%s/w%04" PRId64 ".%s.h5", clip, window, stage);
    if (strcmp(again, record->name)) return ch4_err_set(err, CH4_EFORMAT, "%s: holds a file '%.100s', which is none of a run", r->file, record->name);
    const item *it = find(r, clip, window), *job = find(r, clip, -1);
    if (!strcmp(stage, r->stage) && ((it && it->fed) || job)) return CH4_OK; /* to be made again */
    snprintf(path, sizeof path, "%s/%s", r->dir, clip);
    if (mkdir(path, 0777) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", path);
    snprintf(path, sizeof path, "%s/%s", r->dir, record->name);
    return write_file(path, record, err);
}

static ch4_status make_folder(replay *r, ch4_err *err)
{
    ch4_epoch epoch;
    ch4_record record;
    if (mkdir(r->out, 0777)) return ch4_err_set_errno(err, errno, "%s: choose a folder that does not exist yet with -o", r->out);
    char *real = realpath(r->out, NULL);
    bool fits = real && snprintf(r->dir, sizeof r->dir, "%s", real) < 3500;
    free(real);
    if (!fits) return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", r->out);
    snprintf(r->config, sizeof r->config, "%.3600s/run.yaml", r->dir);
    ch4_status status = CH4_OK;
    for (int64_t i = 0; i < r->n_items && !status; i++) {
        char path[ROOM + 200];
        snprintf(path, sizeof path, "%s/%s", r->dir, r->items[i].clip);
        if (mkdir(path, 0777) && errno != EEXIST) status = ch4_err_set_errno(err, errno, "%s", path);
    }
    ch4_recording_rewind(&r->rec);
    while (!status && !(status = next(r, &record, err))) {
        if (record.kind == 'F') status = place_file(r, &record, err);
        if (record.kind == 'C') status = write_file(r->config, &record, err);
    }
    if (status != CH4_EAGAIN) return status;
    status = ch4_epoch_take(&epoch, r->dir, r->run_id, err);
    if (!status) status = ch4_bus_make_folder(r->dir, err);
    r->me = (ch4_identity){.epoch = epoch.number, .incarnation = ch4_bus_incarnation(), .name = "replay"};
    strcpy(r->me.run_id, r->run_id);
    return status;
}

/* --- the stage --------------------------------------------------------------------------------------------------------------------- */

static ch4_status start_stage(replay *r, ch4_err *err)
{
    char program[CH4_PLACE_PATH], *argv[CH4_CHILD_ARGS] = {program, "--run", r->dir, "--ready-fd", ""};
    int n = 5;
    for (int i = 0; i < r->n_sets; i++) argv[n++] = "--set", argv[n++] = (char *)(uintptr_t)r->sets[i];
    ch4_status status = ch4_bus_create(&r->bus, r->dir, &r->me, err);
    if (!status) status = ch4_sock_bind(&r->control, r->bus, "control", err);
    if (!status) status = ch4_edge_out_open(&r->to, r->bus, before(r->stage), 10, err);
    if (!status) status = ch4_edge_in_open(&r->from, r->bus, r->stage, (int64_t)1 << 30, 0.25, err);
    if (!status) status = ch4_place_program(program, r->stage, err);
    r->child = (ch4_child){.name = r->stage, .ready_fd = -1, .print_fd = -1};
    return status ? status : ch4_launcher_local.start(&r->child, program, argv, err);
}

/* Everything that the stage received but ends of clips: whether a clip is whole is not asked here. */
static ch4_status feed(replay *r, ch4_err *err)
{
    ch4_record record;
    ch4_status status = CH4_OK;
    ch4_recording_rewind(&r->rec);
    while (!status && !(status = next(r, &record, err))) {
        ch4_msg *old, *msg = NULL;
        if (record.kind != 'M') continue;
        status = ch4_msg_decode(&old, NULL, record.data, record.size, err);
        if (status) break;
        const Ch4__Envelope *was = ch4_msg_get_envelope(old);
        Ch4__Envelope e = CH4__ENVELOPE__INIT;
        if (was->body_case == CH4__ENVELOPE__BODY_TAP && !was->tap->sent && was->tap->window)
            e.body_case = CH4__ENVELOPE__BODY_WINDOW, e.window = was->tap->window;
        else if (was->body_case == CH4__ENVELOPE__BODY_TAP && !was->tap->sent && was->tap->job)
            e.body_case = CH4__ENVELOPE__BODY_JOB, e.job = was->tap->job;
        if (e.body_case) status = ch4_msg_encode(&msg, &r->me, &e, err);
        if (msg) status = ch4_edge_out_put(r->to, &msg, err);
        ch4_msg_destroy(&old);
    }
    return status == CH4_EAGAIN ? CH4_OK : status;
}

static void tell_stage(replay *r, Ch4__Envelope__BodyCase kind, const char *clip, int64_t index)
{
    Ch4__Retire retire = CH4__RETIRE__INIT;
    Ch4__Forget forget = CH4__FORGET__INIT;
    Ch4__StreamEnd end = CH4__STREAM_END__INIT;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    retire.clip = forget.clip = (char *)(uintptr_t)clip, retire.index = index;
    e.body_case = kind;
    if (kind == CH4__ENVELOPE__BODY_RETIRE) e.retire = &retire;
    else if (kind == CH4__ENVELOPE__BODY_FORGET) e.forget = &forget;
    else e.stream_end = &end;
    ch4_bus_post(r->control, r->stage, &e, NULL); /* one that is gone need not hear it */
}

static void on_window(replay *r, const Ch4__Window *w)
{
    item *it = find(r, w->clip, w->index);
    const Ch4__Part *p = w->n_parts ? w->parts[w->n_parts - 1] : NULL;
    tell_stage(r, CH4__ENVELOPE__BODY_RETIRE, w->clip, w->index);
    if (!p || (it && it->over)) return;
    const bool known = it && it->expected[0], same = known && !strcmp(p->checksum, it->expected);
    printf("%s w%04" PRId64 ": %s", w->clip, w->index, same ? "the same bytes" : known ? "other bytes than recorded" : "made; the recording does not have what it was");
    if (p->times) printf("  (%.2f s)", (double)(p->times->done - p->times->started) / 1e6);
    printf("\n");
    fflush(stdout);
    r->differ += known && !same;
    if (it) it->over = true;
    if (it && it->fed) r->pending--;
}

static void take_results(replay *r)
{
    ch4_msg *msg;
    while (!ch4_edge_in_try_recv(r->from, &msg, NULL)) {
        const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
        ch4_edge_in_ack(r->from, ch4_msg_get_clip(msg), ch4_msg_get_index(msg), NULL);
        item *job = e->body_case == CH4__ENVELOPE__BODY_CLIP_END ? find(r, e->clip_end->clip, -1) : NULL;
        if (e->body_case == CH4__ENVELOPE__BODY_WINDOW) on_window(r, e->window);
        else if (job && !job->over) job->over = true, r->pending--;
        ch4_msg_destroy(&msg);
    }
}

/* A clip that fails has no more windows. */
static void on_failure(replay *r, const Ch4__Failure *f)
{
    bool first = false;
    for (int64_t i = 0; i < r->n_items; i++) {
        item *it = &r->items[i];
        if (strcmp(it->clip, f->clip) || !it->fed || it->over) continue;
        it->over = first = true;
        r->pending--;
    }
    if (first) printf("%s: failed: %s\n", f->clip, f->text), r->failed++;
    tell_stage(r, CH4__ENVELOPE__BODY_FORGET, f->clip, -1);
}

static void take_control(replay *r)
{
    ch4_msg *msg;
    while (!ch4_bus_try_recv(r->control, &msg, NULL)) {
        const Ch4__Envelope *e = ch4_msg_get_envelope(msg);
        if (e->body_case == CH4__ENVELOPE__BODY_FAILURE) on_failure(r, e->failure);
        if (e->body_case == CH4__ENVELOPE__BODY_NOTE) fprintf(stderr, "%s: %s\n", e->note->clip, e->note->text);
        ch4_msg_destroy(&msg);
    }
}

static void relay_print(replay *r)
{
    char text[4096];
    for (ssize_t n; (n = read(r->child.print_fd, text, sizeof text)) > 0;)
        if (write(STDERR_FILENO, text, (size_t)n) != n) return;
}

static ch4_status serve(replay *r, ch4_err *err)
{
    ch4_sock *socks[3] = {r->control, ch4_edge_out_sock(r->to), ch4_edge_in_sock(r->from)};
    ch4_status status = ch4_bus_poll(socks, 3, NULL, 0, NULL, 0.05, err);
    if (!status) status = ch4_edge_in_tick(r->from, ch4_clock_seconds(), err);
    if (!status && (status = ch4_edge_out_serve(r->to, err)) == CH4_EPROTO) status = CH4_OK; /* refused: not the stage that was started */
    if (status) return status;
    take_control(r);
    take_results(r);
    relay_print(r);
    int how;
    r->child_gone = r->child_gone || waitpid(r->child.pid, &how, WNOHANG) == r->child.pid;
    return CH4_OK;
}

static ch4_status run(replay *r, ch4_err *err)
{
    ch4_status status = start_stage(r, err);
    if (!status) status = feed(r, err);
    while (!status && r->pending && !r->child_gone) status = serve(r, err);
    if (!status && r->pending) return ch4_err_set(err, CH4_EIO, "the stage ended with %" PRId64 " windows to be done: see %s/run.log", r->pending, r->out);
    for (int64_t i = 0; i < r->n_items && !status; i++) tell_stage(r, CH4__ENVELOPE__BODY_FORGET, r->items[i].clip, -1);
    for (int64_t i = 0; i < r->n_items && !status; i++) ch4_edge_out_forget(r->to, r->items[i].clip);
    if (!status) tell_stage(r, CH4__ENVELOPE__BODY_STREAM_END, "", -1);
    for (const double end = ch4_clock_seconds() + 10; !status && !r->child_gone && ch4_clock_seconds() < end;) status = serve(r, err);
    return status;
}

static void close_all(replay *r)
{
    if (r->child.pid > 0 && !r->child_gone) {
        ch4_launcher_local.signal(&r->child, SIGKILL);
        waitpid(r->child.pid, NULL, 0);
    }
    ch4_edge_in_close(&r->from);
    ch4_edge_out_close(&r->to);
    ch4_sock_close(&r->control);
    ch4_bus_destroy(&r->bus);
    if (r->dir[0]) ch4_bus_remove_folder(r->dir);
    ch4_recording_close(&r->rec);
    free(r->items);
}

static ch4_status parse(replay *r, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"stage", 1, NULL, 's'}, {"output", 1, NULL, 'o'}, {"set", 1, NULL, 'k'}, {0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:", table, NULL)) != -1;) switch (c) {
        case 's': r->stage = optarg; break;
        case 'o': r->out = optarg; break;
        case 'k':
            if (r->n_sets == MAX_SETS) return ch4_err_set(err, CH4_EINVAL, "--set: at most %d", MAX_SETS);
            r->sets[r->n_sets++] = optarg;
            break;
        case ':': return ch4_err_set(err, CH4_EINVAL, "%s needs a value; see --help", argv[optind - 1]);
        default: return ch4_nearest_option(argv[optind - 1], table, "--help", err);
        }
    if (optind + 1 != argc) return ch4_err_set(err, CH4_EINVAL, "one recording: chain4d replay FILE --stage STAGE -o DIR; see --help");
    r->file = argv[optind];
    if (!r->stage) return ch4_err_set(err, CH4_EINVAL, "--stage is missing; see --help");
    if (!before(r->stage)) return ch4_err_set(err, CH4_EINVAL, "%s: no such stage: decode, denoise, chain, animate or pose", r->stage);
    return r->out ? CH4_OK : ch4_err_set(err, CH4_EINVAL, "-o DIR is missing; see --help");
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    static replay r;
    ch4_err err = {0};
    signal(SIGPIPE, SIG_IGN);
    ch4_status status = parse(&r, argc, argv, &err);
    if (!status) status = read_plan(&r, &err);
    if (!status && (status = make_folder(&r, &err)) == CH4_EEXIST) status = CH4_EFORMAT; /* the place is what is wrong */
    if (!status) status = run(&r, &err);
    close_all(&r);
    if (!status) return r.differ || r.failed;
    fprintf(stderr, "chain4d-replay: %s\n", err.msg);
    return ch4_status_exit_code(status);
}
