/* OUT/status.json: how the run stands, written once a second and at its end, for `chain4d status`. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/run.h"

static const double WRITE_S = 1;

/* Resident memory of a process, bytes; 0: it is gone. */
static int64_t memory_of(pid_t pid)
{
    char path[64];
    long long pages = 0;
    if (pid <= 0) return 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fscanf(f, "%*s %lld", &pages) != 1) pages = 0;
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

static const char *state_of(const ch4_run *r, int i)
{
    const ch4_stage_stats *s = &r->stats[i];
    switch (r->children[i].state) {
    case CH4_CHILD_DOWN: return r->children[i].deaths ? "restarting" : "not started";
    case CH4_CHILD_STARTING: return "starting";
    case CH4_CHILD_UP: return *s->clip ? "working" : s->waiting ? "waiting" : "idle";
    case CH4_CHILD_GONE: return "ended";
    default: return "ending";
    }
}

static json_t *stage_json(const ch4_run *r, int i, int64_t total, double now)
{
    static const char *const devices[] = {"cpu", "ref"};
    const ch4_stage_stats *s = &r->stats[i];
    const int64_t done = ch4_min_i64(s->base_windows + s->windows, total);
    const double work = s->base_work_s + s->work_s;
    const int64_t frames = s->base_frames + s->frames;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:s, s:I, s:I, s:I}", "stage", ch4_run_stages[i], "state", state_of(r, i), "pid",
                          (json_int_t)r->children[i].pid, "done", (json_int_t)done, "in_flight", (json_int_t)(s->waiting + (*s->clip && s->index >= 0)), "deaths",
                          (json_int_t)r->children[i].deaths, "work_s", work, "memory", (json_int_t)memory_of(r->children[i].pid), "device",
                          devices[r->plan->config.run.device], "step", (json_int_t)s->step, "steps", (json_int_t)s->steps, "tap_dropped",
                          (json_int_t)(s->base_tap_dropped + s->tap_dropped));
    if (frames > 0 && work > 0.01) json_object_set_new(o, "frames_per_s", json_real((double)frames / work));
    if (done > 0 && done < total && s->first_work) json_object_set_new(o, "left_s", json_real((now - s->first_work) / (double)done * (double)(total - done)));
    if (*s->clip) json_object_set_new(o, "clip", json_string(s->clip));
    if (*s->clip && s->index >= 0) json_object_set_new(o, "window", json_integer(s->index));
    return o;
}

static json_t *clip_json(const ch4_run_clip *c)
{
    static const char *const phases[] = {"working", "joining", "done", "failed"};
    json_t *o = json_pack("{s:s, s:s, s:I, s:I}", "clip", c->plan->name, "state", phases[c->phase], "windows", (json_int_t)c->n_windows, "done", (json_int_t)c->n_here);
    if (o && c->reason) json_object_set_new(o, "reason", json_string(c->reason));
    if (o && c->phase == CH4_PHASE_FAILED) json_object_set_new(o, "failed_window", json_integer(c->failed_window));
    return o;
}

static json_t *run_json(const ch4_run *r, int exit_code)
{
    char now_text[CH4_CLOCK_ISO];
    const double now = ch4_clock_seconds();
    int64_t total = 0, unknown = 0;
    json_t *stages = json_array(), *clips = json_array();
    for (int64_t i = 0; i < r->n_clips; i++) {
        const ch4_run_clip *c = &r->clips[i];
        if (!c->before) total += c->n_windows;
        unknown += !c->before && c->n_windows == 0 && c->phase == CH4_PHASE_WORK;
        json_array_append_new(clips, clip_json(c));
    }
    for (int i = 0; i < CH4_N_STAGES && r->bus; i++) json_array_append_new(stages, stage_json(r, i, total, now));
    ch4_clock_iso(now_text);
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:s, s:f, s:I, s:I, s:o, s:o}", "chain4d", CH4_VERSION, "run_id", r->plan->run_id, "epoch", (json_int_t)r->plan->epoch,
                          "pid", (json_int_t)getpid(), "time", now_text, "seconds", now - r->progress.start, "windows", (json_int_t)total, "clips_unknown",
                          (json_int_t)unknown, "stages", stages, "clips", clips);
    if (o && exit_code >= 0) json_object_set_new(o, "exit", json_integer(exit_code));
    return o;
}

void ch4_status_write(ch4_run *r, int exit_code)
{
    char path[8192], temporary[8200];
    if (r->plan->lock_fd < 0) return; /* the folder is not ours */
    snprintf(path, sizeof path, "%s/status.json", r->plan->out);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    json_t *o = run_json(r, exit_code);
    bool good = o && !json_dump_file(o, temporary, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) && !rename(temporary, path);
    json_decref(o);
    if (!good && !r->status_failed) ch4_log_warn(&r->log, "status.json cannot be written", CH4_STR("reason", strerror(errno)));
    r->status_failed = !good; /* a full disk: said once */
}

void ch4_status_tick(ch4_run *r)
{
    const double now = ch4_clock_seconds();
    if (now < r->next_status) return;
    r->next_status = now + WRITE_S;
    ch4_status_write(r, -1);
}
