/* What became of each clip; the sink's thread. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "orchestrator/run.h"
#include "store/store.h"

ch4_status ch4_clips_open(ch4_run *r, ch4_err *err)
{
    ch4_status status = ch4_calloc(&r->clips, (size_t)r->plan->n_clips, sizeof r->clips[0], "the clips", err);
    if (status) return status;
    r->n_clips = r->plan->n_clips;
    r->sink_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->sink_fd < 0) return ch4_err_set_errno(err, errno, "eventfd");
    for (int64_t i = 0; i < r->n_clips; i++) {
        ch4_run_clip *c = &r->clips[i];
        c->plan = &r->plan->clips[i];
        if (c->plan->status) ch4_clip_fail(r, c, -1, "chain4d", c->plan->status, c->plan->reason);
        else if (c->plan->finished) c->phase = CH4_PHASE_DONE, c->before = true;
    }
    return CH4_OK;
}

void ch4_clips_close(ch4_run *r)
{
    if (r->sink_busy) pthread_join(r->sink_thread, NULL);
    for (int64_t i = 0; i < r->n_clips; i++) {
        for (int k = 0; k < r->clips[i].n_notes; k++) free(r->clips[i].notes[k]);
        free(r->clips[i].notes);
        free(r->clips[i].reason);
        for (int k = 0; k < r->clips[i].n_file_notes; k++) free(r->clips[i].file_notes[k].text);
        free(r->clips[i].file_notes);
        free(r->clips[i].here);
    }
    free(r->clips);
    if (r->sink_fd >= 0) close(r->sink_fd);
}

ch4_run_clip *ch4_clips_find(ch4_run *r, const char *name)
{
    for (int64_t i = 0; i < r->n_clips; i++)
        if (!strcmp(r->clips[i].plan->name, name)) return &r->clips[i];
    return NULL;
}

ch4_status ch4_clip_set_windows(ch4_run_clip *c, int64_t n, ch4_err *err)
{
    if (c->n_windows == n) return CH4_OK;
    if (c->n_windows)
        return ch4_err_set(err, CH4_EPROTO, "%s: %" PRId64 " windows, but %" PRId64 " before", c->plan->given, n, c->n_windows);
    ch4_status status = ch4_calloc(&c->here, (size_t)n, 1, "the windows of a clip", err);
    if (!status) c->n_windows = n;
    return status;
}

void ch4_clip_forget(ch4_run *r, const char *name)
{
    if (r->jobs) ch4_edge_out_forget(r->jobs, name);
    if (!r->control) return;
    Ch4__Forget forget = CH4__FORGET__INIT;
    forget.clip = (char *)name;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_FORGET;
    e.forget = &forget;
    for (int i = 0; i < CH4_N_STAGES; i++) ch4_bus_post(r->control, ch4_run_stages[i], &e, NULL); /* one that is away has nothing to forget */
}

/* CLIP/w0007.failed.json, or CLIP/failed.json where no single window is to blame. Best effort: the disk may be what failed. */
static void write_failure(const ch4_run *r, const ch4_run_clip *c, int64_t window, const char *stage, ch4_status status, const char *text)
{
    char path[8192];
    if (!r->plan->out) return;
    if (window >= 0) snprintf(path, sizeof path, "%s/%s/w%04" PRId64 ".failed.json", r->plan->out, c->plan->name, window);
    else snprintf(path, sizeof path, "%s/%s/failed.json", r->plan->out, c->plan->name);
    json_t *o = json_pack("{s:s, s:I, s:s, s:s, s:s%}", "clip", c->plan->name, "window", (json_int_t)window, "stage", stage, "status",
                          ch4_status_name(status), "reason", text, strlen(text));
    if (o) json_dump_file(o, path, JSON_INDENT(2));
    json_decref(o);
}

/* A line about a clip names its input; most texts do so already. */
static void say_of_clip(ch4_run *r, const ch4_run_clip *c, const char *text, const char *more)
{
    const char *slash = strrchr(c->plan->given, '/'), *base = slash && slash[1] ? slash + 1 : c->plan->given;
    size_t n = strlen(c->plan->name);
    bool says_clip = strncmp(text, c->plan->name, n) == 0 && text[n] == ':';
    if (says_clip || strstr(text, base)) ch4_say(r, "%s%s", text, more);
    else ch4_say(r, "%s: %s%s", c->plan->given, text, more);
}

void ch4_clip_fail(ch4_run *r, ch4_run_clip *c, int64_t window, const char *stage, ch4_status status, const char *text)
{
    if (c->phase == CH4_PHASE_DONE || c->phase == CH4_PHASE_FAILED) return;
    c->phase = CH4_PHASE_FAILED;
    c->status = status;
    c->failed_window = window;
    c->reason = strdup(text);
    ch4_latency_fail(&r->latency, c->plan->name, stage, window, text);
    say_of_clip(r, c, text, status == CH4_ENOSPC ? ": make room, or choose another folder with -o" : "");
    ch4_log_error(&r->log, "clip failed", CH4_STR("clip", c->plan->name), CH4_INT("window", window), CH4_STR("stage", stage),
                  CH4_STR("status", ch4_status_name(status)), CH4_STR("reason", text));
    write_failure(r, c, window, stage, status, text);
    ch4_clip_forget(r, c->plan->name);
}

void ch4_clip_note(ch4_run *r, ch4_run_clip *c, const char *text)
{
    for (int i = 0; i < c->n_notes; i++)
        if (!strcmp(c->notes[i], text)) return;
    char **more = realloc(c->notes, (size_t)(c->n_notes + 1) * sizeof *more);
    if (more) c->notes = more;
    char *copy = more ? strdup(text) : NULL;
    if (copy) c->notes[c->n_notes++] = copy;
    say_of_clip(r, c, text, "");
}

static bool comes_before(const ch4_file_note *a, int64_t window, int stage)
{
    return a->window != window ? a->window < window : a->stage <= stage;
}

/* Puts one line at its place. A line that is there already keeps the earlier of both places: the order does not depend on who was faster. */
static void add_file_note(ch4_run_clip *c, int64_t window, int stage, char *text)
{
    for (int i = 0; i < c->n_file_notes; i++) {
        ch4_file_note *n = &c->file_notes[i];
        if (strcmp(n->text, text)) continue;
        if (comes_before(n, window, stage)) {
            free(text);
            return;
        }
        free(n->text);
        memmove(n, n + 1, (size_t)(--c->n_file_notes - i) * sizeof *n);
        break;
    }
    ch4_file_note *more = realloc(c->file_notes, (size_t)(c->n_file_notes + 1) * sizeof *more);
    if (!more) {
        free(text);
        return;
    }
    c->file_notes = more;
    int at = c->n_file_notes++;
    for (; at > 0 && !comes_before(&more[at - 1], window, stage); at--) more[at] = more[at - 1];
    more[at] = (ch4_file_note){.window = window, .stage = stage, .text = text};
}

void ch4_clip_take_notes(ch4_run *r, ch4_run_clip *c, const Ch4__Window *w)
{
    for (size_t i = 0; i < w->n_parts; i++) {
        int stage = 0;
        while (stage < CH4_N_STAGES && strcmp(ch4_run_stages[stage], w->parts[i]->stage)) stage++;
        for (const char *line = w->parts[i]->notes; *line;) {
            const size_t n = strcspn(line, "\n");
            char *text = n ? strndup(line, n) : NULL;
            if (text) {
                ch4_clip_note(r, c, text);
                add_file_note(c, w->index, stage, text);
            }
            line += n + (line[n] == '\n');
        }
    }
}

bool ch4_clips_over(const ch4_run *r)
{
    for (int64_t i = 0; i < r->n_clips; i++)
        if (r->clips[i].phase == CH4_PHASE_WORK || r->clips[i].phase == CH4_PHASE_JOIN) return false;
    return true;
}

/* A full disk counts as bad input: trying again does not help, another output folder does. */
static int clip_exit_code(const ch4_run_clip *c)
{
    if (c->phase == CH4_PHASE_DONE) return 0;
    if (c->phase != CH4_PHASE_FAILED) return 1;
    return c->status == CH4_ENOSPC ? 3 : ch4_status_exit_code(c->status);
}

int ch4_clips_exit_code(const ch4_run *r)
{
    bool has[4] = {0};
    for (int64_t i = 0; i < r->n_clips; i++) has[clip_exit_code(&r->clips[i])] = true;
    return has[1] ? 1 : has[2] ? 2 : has[3] ? 3 : 0;
}

/* --- the sink ------------------------------------------------------------------------------------------------------------- */

static void *join_clip(void *arg)
{
    ch4_run *r = arg;
    ch4_run_clip *c = r->sink_clip;
    char dir[8192];
    snprintf(dir, sizeof dir, "%s/%s", r->plan->out, c->plan->name);
    const char **notes;
    r->sink_status = ch4_calloc(&notes, (size_t)c->n_file_notes, sizeof *notes, "notes", &r->sink_err);
    if (!r->sink_status) {
        for (int i = 0; i < c->n_file_notes; i++) notes[i] = c->file_notes[i].text;
        const ch4_sink_clip clip = {.name = c->plan->name, .dir = dir, .input = c->plan->input, .n_windows = c->n_windows, .notes = notes,
                                    .n_notes = c->n_file_notes};
        r->sink_status = ch4_sink_finish_clip(&clip, &r->plan->config, &c->report, &r->sink_err);
        free(notes);
    }
    const uint64_t one = 1;
    if (write(r->sink_fd, &one, sizeof one) < 0) abort(); /* an eventfd of ours cannot refuse 1 */
    return NULL;
}

/* What a finished clip does not need: temporary files of killed writers, and attention, which is large. */
static void clean_clip(const ch4_run *r, const ch4_run_clip *c)
{
    char dir[8192], path[8192];
    int64_t n_swept;
    snprintf(dir, sizeof dir, "%s/%s", r->plan->out, c->plan->name);
    ch4_store_sweep(dir, &n_swept, NULL); /* nobody writes here any more */
    if (r->plan->config.sink.keep) return;
    for (int64_t w = 0; w < c->n_windows; w++)
        if (!ch4_store_window_path(path, sizeof path, dir, w, "denoise", NULL)) unlink(path);
}

static void take_sink_result(ch4_run *r)
{
    uint64_t count;
    if (!r->sink_busy || read(r->sink_fd, &count, sizeof count) < 0) return;
    pthread_join(r->sink_thread, NULL);
    r->sink_busy = false;
    ch4_run_clip *c = r->sink_clip;
    if (r->sink_status) {
        ch4_clip_fail(r, c, -1, "sink", r->sink_status, r->sink_err.msg);
        return;
    }
    c->phase = CH4_PHASE_DONE;
    for (int i = 0; i < c->report.n_notes; i++) ch4_clip_note(r, c, c->report.notes[i]);
    ch4_log_info(&r->log, "clip done", CH4_STR("clip", c->plan->name), CH4_INT("windows", c->n_windows), CH4_INT("frames", c->report.n_frames));
    clean_clip(r, c);
    ch4_clip_forget(r, c->plan->name);
}

void ch4_clips_serve_sink(ch4_run *r)
{
    take_sink_result(r);
    for (int64_t i = 0; i < r->n_clips && !r->sink_busy && !r->stop_signal; i++) {
        if (r->clips[i].phase != CH4_PHASE_JOIN) continue;
        r->sink_clip = &r->clips[i];
        r->sink_err = (ch4_err){0};
        int bad = pthread_create(&r->sink_thread, NULL, join_clip, r);
        if (!bad) r->sink_busy = true;
        else ch4_clip_fail(r, &r->clips[i], -1, "sink", CH4_ENOMEM, "cannot start a thread");
    }
}
