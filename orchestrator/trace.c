#include "orchestrator/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/run.h"

enum { STAGES_PID = 1, FIRST_CLIP_PID = 2 };

/* Takes the event. One that cannot be made or written is missing in the trace, which is no reason to stop a run. */
static void emit(ch4_latency *l, json_t *event)
{
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    if (text) fprintf(l->trace, "%s%s", l->trace_begun ? ",\n" : "[\n", text);
    l->trace_begun = l->trace_begun || text;
    free(text);
    json_decref(event);
}

static void name_lane(ch4_latency *l, const char *kind, int64_t pid, int64_t tid, const char *name)
{
    emit(l, json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "name", kind, "ph", "M", "pid", (json_int_t)pid, "tid", (json_int_t)tid, "args", "name", name));
}

ch4_status ch4_trace_begin(ch4_latency *l, const char *path, ch4_err *err)
{
    l->trace = fopen(path, "we");
    if (!l->trace) return ch4_err_set_errno(err, errno, "%s", path);
    name_lane(l, "process_name", STAGES_PID, 0, "stages at work");
    for (int s = 0; s < CH4_N_STAGES; s++) name_lane(l, "thread_name", STAGES_PID, s + 1, ch4_run_stages[s]);
    return CH4_OK;
}

void ch4_trace_end(ch4_latency *l)
{
    if (!l->trace) return;
    fprintf(l->trace, "\n]\n");
    fclose(l->trace);
    l->trace = NULL;
}

static void slice(ch4_latency *l, int64_t pid, int64_t tid, const char *name, const char *kind, int64_t from, int64_t to, const Ch4__Part *part)
{
    json_t *event = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", name, "cat", kind, "ph", "X", "pid", (json_int_t)pid, "tid", (json_int_t)tid, "ts",
                              (json_int_t)(from - l->zero_us), "dur", (json_int_t)(to - from));
    if (event && part) json_object_set_new(event, "args", json_pack("{s:s, s:I, s:b}", "file", part->file, "bytes", (json_int_t)part->bytes, "found", part->times->found));
    emit(l, event);
}

/* An arrow from the work of one stage to that of the next. ph: "s" where it begins, "f" where it ends. */
static void arrow(ch4_latency *l, const char *ph, int64_t id, int stage, int64_t at)
{
    emit(l, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "name", "window", "cat", "way", "ph", ph, "bp", "e", "id", (json_int_t)id, "pid",
                      (json_int_t)STAGES_PID, "tid", (json_int_t)(stage + 1), "ts", (json_int_t)(at - l->zero_us)));
}

static int stage_of(const char *name)
{
    for (int i = 0; i < CH4_N_STAGES; i++)
        if (!strcmp(ch4_run_stages[i], name)) return i;
    return -1;
}

void ch4_trace_window(ch4_latency *l, const Ch4__Window *w, int64_t clip, int64_t here_us)
{
    static const char *const kinds[CH4_N_SPANS] = {"waits on the way to", "waits for its turn at", "waits for other files at", "works", "waits for room behind"};
    if (!l->trace) return;
    const int64_t pid = FIRST_CLIP_PID + clip, tid = w->index + 1;
    char name[CH4_MSG_NAME + 64];
    if (w->index == 0) name_lane(l, "process_name", pid, 0, w->clip);
    snprintf(name, sizeof name, "w%04" PRId64, w->index);
    name_lane(l, "thread_name", pid, tid, name);
    int64_t left = 0;
    for (size_t i = 0; i < w->n_parts; i++) {
        const Ch4__Part *p = w->parts[i];
        const Ch4__Times *t = p->times;
        const int s = stage_of(p->stage);
        if (!t || s < 0) continue;
        const int64_t at[CH4_N_SPANS + 1] = {left ? left : t->arrived, t->arrived, t->offered, t->started, t->done, t->sent};
        for (int k = 0; k < CH4_N_SPANS; k++) {
            if (k == CH4_SPAN_WORK) snprintf(name, sizeof name, "%s", p->stage);
            else snprintf(name, sizeof name, "%s %s", kinds[k], p->stage);
            if (at[k + 1] > at[k] || k == CH4_SPAN_WORK) slice(l, pid, tid, name, k == CH4_SPAN_WORK ? "work" : "wait", at[k], ch4_max_i64(at[k + 1], at[k]), k == CH4_SPAN_WORK ? p : NULL);
        }
        snprintf(name, sizeof name, "%s w%04" PRId64, w->clip, w->index);
        slice(l, STAGES_PID, s + 1, name, "work", t->started, ch4_max_i64(t->done, t->started), p);
        const int64_t id = (clip * 1000000 + w->index) * CH4_N_STAGES + s;
        if (left) arrow(l, "f", id, s, t->started);
        if (i + 1 < w->n_parts) arrow(l, "s", id + 1, s, ch4_max_i64(t->done - 1, t->started));
        left = t->sent;
    }
    if (left && here_us > left) slice(l, pid, tid, "waits on the way to the sink", "wait", left, here_us, NULL);
    fflush(l->trace);
}

void ch4_latency_fail(ch4_latency *l, const char *clip, const char *stage, int64_t window, const char *text)
{
    if (!l->trace) return;
    json_t *args = json_pack("{s:s, s:s, s:I, s:s%}", "clip", clip, "stage", stage, "window", (json_int_t)window, "reason", text, strlen(text));
    emit(l, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "name", "clip failed", "ph", "i", "s", "g", "pid", (json_int_t)STAGES_PID, "tid",
                      (json_int_t)(stage_of(stage) + 1), "ts", (json_int_t)(ch4_clock_us() - l->zero_us), "args", args));
}
