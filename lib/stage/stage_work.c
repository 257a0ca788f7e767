/* The worker thread of a stage process: calls the stage's functions, one after the other. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "stage/rundir.h"
#include "stage/stage_impl.h"
#include "store/store.h"

static ch4_frame *frame_of(ch4_stage *stage)
{
    return (ch4_frame *)stage;
}

static void wake_main(ch4_frame *f)
{
    const uint64_t one = 1;
    ssize_t n;
    do n = write(f->wake_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR); /* the counter cannot overflow: the main thread reads it */
}

/* --- files --------------------------------------------------------------------------------------------------------- */

ch4_status ch4_stage_path(char out[CH4_STAGE_PATH], const ch4_stage_clip *clip, int64_t index, const char *stage, ch4_err *err)
{
    return ch4_store_window_path(out, CH4_STAGE_PATH, clip->dir, index, stage, err);
}

/* Checksum and size of the file of `stage` for a window. */
static ch4_status read_part(ch4_stage_part *out, const ch4_stage_clip *clip, int64_t index, const char *stage, ch4_err *err)
{
    char path[CH4_STAGE_PATH];
    ch4_status status = ch4_stage_path(path, clip, index, stage, err);
    if (!status) status = ch4_store_check_file(path, out->checksum, &out->bytes, err);
    if (!status) snprintf(out->file, sizeof out->file, "%s/%s", clip->name, strrchr(path, '/') + 1);
    return status;
}

/* The same of a file of this stage, with what is in it and the notes that it carries. */
static ch4_status read_own_part(const ch4_frame *f, ch4_stage_part *out, const ch4_stage_clip *clip, int64_t index, ch4_err *err)
{
    char path[CH4_STAGE_PATH];
    ch4_store_reader *reader = NULL;
    ch4_status status = read_part(out, clip, index, f->def->name, err);
    if (!status) status = ch4_stage_path(path, clip, index, f->def->name, err);
    if (!status) status = ch4_store_open(&reader, path, err);
    if (!status) status = ch4_store_list(reader, out->arrays, CH4_STAGE_ARRAYS, &out->n_arrays, err);
    out->notes[0] = 0;
    if (!status && ch4_store_has_attr(reader, "notes")) status = ch4_store_get_text(reader, "notes", out->notes, sizeof out->notes, err);
    ch4_store_close(&reader);
    return status;
}

bool ch4_stage_has(ch4_stage *stage, const ch4_stage_clip *clip, int64_t index, const char *which)
{
    char path[CH4_STAGE_PATH];
    ch4_stage_part part;
    if (ch4_stage_path(path, clip, index, which, NULL) || access(path, F_OK)) return false;
    ch4_err err;
    ch4_status status = read_part(&part, clip, index, which, &err);
    if (status == CH4_EFORMAT && !strcmp(which, frame_of(stage)->def->name)) {
        ch4_log_warn(stage->log, "damaged file removed", CH4_STR("reason", err.msg));
        unlink(path); /* its own: made again; those of others are theirs to judge */
    }
    return status == CH4_OK;
}

/* True while this process belongs to the newest start of the run directory. */
static ch4_status check_epoch(ch4_frame *f, ch4_err *err)
{
    ch4_epoch now;
    ch4_status status = ch4_epoch_read(&now, f->stage.run_dir, err);
    if (status) return status;
    if (now.number == f->stage.epoch) return CH4_OK;
    atomic_store(&f->superseded, true);
    return ch4_err_set(err, CH4_ECANCELED, "%s: a newer start (%" PRId64 ", this is %" PRId64 ") works there", f->stage.run_dir, now.number,
                       f->stage.epoch);
}

ch4_status ch4_stage_commit(ch4_stage *stage, struct ch4_store_writer **writer, ch4_err *err)
{
    ch4_frame *f = frame_of(stage);
    ch4_status status = ch4_store_set_text(*writer, "run_id", stage->run_id, err);
    const char *name = strrchr(ch4_store_writer_path(*writer), '/');
    const bool carries = f->def->from || (name && !strncmp(name, "/w0000.", 7)); /* of a source: what it finds out before its first window */
    if (!status && carries && f->file_notes[0]) status = ch4_store_set_text(*writer, "notes", f->file_notes, err);
    if (!status) status = check_epoch(f, err);
    if (!status) return ch4_store_commit(writer, NULL, err);
    ch4_store_discard(writer);
    return status;
}

/* --- what a stage may call -------------------------------------------------------------------------------------------- */

bool ch4_stage_canceled(ch4_stage *stage)
{
    return atomic_load(&frame_of(stage)->canceled);
}

void ch4_stage_progress(ch4_stage *stage, int64_t done, int64_t total)
{
    ch4_frame *f = frame_of(stage);
    atomic_store(&f->step, done);
    atomic_store(&f->steps, total);
    atomic_fetch_add(&f->moves, 1);
}

void ch4_stage_note(ch4_stage *stage, const ch4_stage_clip *clip, const char *fmt, ...)
{
    ch4_frame *f = frame_of(stage);
    ch4_stage_note_line line;
    va_list args;
    va_start(args, fmt);
    vsnprintf(line.text, sizeof line.text, fmt, args);
    va_end(args);
    snprintf(line.clip, sizeof line.clip, "%s", clip->name);
    const size_t have = strlen(f->file_notes);
    if (have + strlen(line.text) + 2 < sizeof f->file_notes) /* what does not fit is on the terminal and in the log alone */
        snprintf(f->file_notes + have, sizeof f->file_notes - have, "%s%s", have ? "\n" : "", line.text);
    ch4_log_warn(stage->log, line.text, CH4_STR("clip", clip->name));
    pthread_mutex_lock(&f->lock);
    if (f->n_notes < CH4_STAGE_NOTES) f->notes[f->n_notes++] = line; /* more than that at once are in the log alone */
    pthread_mutex_unlock(&f->lock);
    wake_main(f);
}

static ch4_stage_clip clip_of(const ch4_frame *f, const ch4_task *t, char dir[CH4_STAGE_PATH])
{
    snprintf(dir, CH4_STAGE_PATH, "%.3900s/%s", f->stage.run_dir, t->clip); /* run_dir was checked to be shorter */
    return (ch4_stage_clip){.name = t->clip, .input = t->input, .dir = dir};
}

ch4_status ch4_stage_emit(ch4_stage *stage, int64_t index, int64_t n_windows, int64_t n_frames, ch4_err *err)
{
    ch4_frame *f = frame_of(stage);
    if (n_windows < 1 || n_windows > 1000000 || index < 0 || index >= n_windows || n_frames < 1 || n_frames > 65536)
        return ch4_err_set(err, CH4_EINVAL, "window %" PRId64 " of %" PRId64 " with %" PRId64 " frames", index, n_windows, n_frames);
    char dir[CH4_STAGE_PATH];
    ch4_stage_clip clip = clip_of(f, &f->task, dir);
    ch4_emission e = {.index = index, .n_windows = n_windows, .n_frames = n_frames};
    ch4_status status = read_own_part(f, &e.part, &clip, index, err);
    if (status) return status;
    pthread_mutex_lock(&f->lock);
    f->emission = e;
    f->emission_asked = true, f->emission_answered = false;
    wake_main(f);
    while (!f->emission_answered) pthread_cond_wait(&f->wake_worker, &f->lock);
    status = f->emission.answer;
    pthread_mutex_unlock(&f->lock);
    atomic_fetch_add(&f->moves, 1);
    return status ? ch4_err_set(err, status, "not wanted any more") : CH4_OK;
}

/* --- tasks --------------------------------------------------------------------------------------------------------------- */

/* The file of the stage before must be the one that the message speaks of. */
static ch4_status check_input(const ch4_frame *f, const ch4_task *t, const ch4_stage_clip *clip, ch4_err *err)
{
    ch4_stage_part now;
    ch4_status status = read_part(&now, clip, t->index, f->def->from, err);
    if (status) return ch4_err_set(err, CH4_EIO, "%s: gone or damaged", t->from.file);
    if (strcmp(now.checksum, t->from.checksum) || now.bytes != t->from.bytes)
        return ch4_err_set(err, CH4_EIO, "%s: not the file that was announced", t->from.file);
    return CH4_OK;
}

static ch4_status run_window(ch4_frame *f, ch4_task *t)
{
    char dir[CH4_STAGE_PATH], in[CH4_STAGE_PATH], out[CH4_STAGE_PATH];
    ch4_stage_clip clip = clip_of(f, t, dir);
    ch4_err *err = &t->err;
    ch4_status status = ch4_stage_path(out, &clip, t->index, f->def->name, err);
    if (!status) status = ch4_stage_path(in, &clip, t->index, f->def->from, err);
    if (status) return status;
    t->found = ch4_stage_has(&f->stage, &clip, t->index, f->def->name);
    if (!t->found) {
        status = check_input(f, t, &clip, err);
        if (status) return status;
        const ch4_stage_window w = {.clip = clip, .index = t->index, .n_windows = t->n_windows, .n_frames = t->n_frames, .input = in, .output = out};
        status = f->def->process(&f->stage, f->state, &w, err);
        if (status) return status;
    }
    status = read_own_part(f, &t->part, &clip, t->index, err);
    return status == CH4_ENOENT ? ch4_err_set(err, CH4_EINTERNAL, "%s: not written, though the stage says it is done", out) : status;
}

static void run_task(ch4_frame *f, ch4_task *t)
{
    char dir[CH4_STAGE_PATH];
    f->file_notes[0] = 0;
    double start = ch4_clock_seconds();
    switch (t->kind) {
    case CH4_TASK_OPEN:
        t->status = f->def->open(&f->stage, &f->state, &t->err);
        f->state_open = !t->status;
        break;
    case CH4_TASK_WINDOW: t->status = run_window(f, t); break;
    case CH4_TASK_CLIP: {
        ch4_stage_clip clip = clip_of(f, t, dir);
        t->status = f->def->run_clip(&f->stage, f->state, &clip, &t->err);
        break;
    }
    case CH4_TASK_END_CLIP:
        if (f->def->end_clip) f->def->end_clip(&f->stage, f->state, t->clip);
        break;
    default: break;
    }
    if (t->status && !*t->err.msg) ch4_err_set(&t->err, t->status, "%s", ch4_status_text(t->status));
    t->seconds = ch4_clock_seconds() - start;
}

static void *work(void *arg)
{
    ch4_frame *f = arg;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->task_given) pthread_cond_wait(&f->wake_worker, &f->lock);
        f->task_given = false;
        if (f->task.kind == CH4_TASK_QUIT) break;
        pthread_mutex_unlock(&f->lock);
        run_task(f, &f->task); /* the main thread leaves the task alone until it is over */
        pthread_mutex_lock(&f->lock);
        f->task_over = true;
        atomic_fetch_add(&f->moves, 1);
        wake_main(f);
    }
    pthread_mutex_unlock(&f->lock);
    if (f->def->close && (f->state_open || f->state)) f->def->close(&f->stage, f->state);
    return NULL;
}

/* --- the main thread's side ------------------------------------------------------------------------------------------------- */

ch4_status ch4_frame_start_worker(ch4_frame *f, ch4_err *err)
{
    f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (f->wake_fd < 0) return ch4_err_set_errno(err, errno, "eventfd");
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake_worker, NULL);
    int bad = pthread_create(&f->worker, NULL, work, f);
    if (!bad) return CH4_OK;
    close(f->wake_fd);
    f->wake_fd = -1;
    return ch4_err_set_errno(err, bad, "cannot start a thread");
}

void ch4_frame_give(ch4_frame *f, const ch4_task *task)
{
    pthread_mutex_lock(&f->lock);
    f->task = *task;
    f->task_given = true, f->task_over = false;
    atomic_store(&f->canceled, false);
    atomic_store(&f->step, 0);
    atomic_store(&f->steps, 0);
    atomic_fetch_add(&f->moves, 1);
    pthread_cond_signal(&f->wake_worker);
    pthread_mutex_unlock(&f->lock);
}

void ch4_frame_stop_worker(ch4_frame *f)
{
    if (f->wake_fd < 0) return;
    const ch4_task quit = {.kind = CH4_TASK_QUIT};
    ch4_frame_give(f, &quit);
    pthread_join(f->worker, NULL);
    pthread_cond_destroy(&f->wake_worker);
    pthread_mutex_destroy(&f->lock);
    close(f->wake_fd);
    f->wake_fd = -1;
}

bool ch4_frame_worker_idle(ch4_frame *f)
{
    pthread_mutex_lock(&f->lock);
    bool idle = f->task.kind == CH4_TASK_NONE;
    pthread_mutex_unlock(&f->lock);
    return idle;
}

bool ch4_frame_take_result(ch4_frame *f, ch4_task *out)
{
    pthread_mutex_lock(&f->lock);
    bool over = f->task_over;
    if (over) {
        *out = f->task;
        f->task_over = false;
        f->task.kind = CH4_TASK_NONE;
    }
    pthread_mutex_unlock(&f->lock);
    return over;
}

bool ch4_frame_take_emission(ch4_frame *f, ch4_emission *out)
{
    pthread_mutex_lock(&f->lock);
    bool asked = f->emission_asked;
    if (asked) *out = f->emission;
    pthread_mutex_unlock(&f->lock);
    return asked;
}

void ch4_frame_answer_emission(ch4_frame *f, ch4_status answer)
{
    pthread_mutex_lock(&f->lock);
    f->emission.answer = answer;
    f->emission_asked = false, f->emission_answered = true;
    pthread_cond_signal(&f->wake_worker);
    pthread_mutex_unlock(&f->lock);
}

int ch4_frame_take_notes(ch4_frame *f, ch4_stage_note_line out[CH4_STAGE_NOTES])
{
    pthread_mutex_lock(&f->lock);
    int n = f->n_notes;
    memcpy(out, f->notes, (size_t)n * sizeof out[0]);
    f->n_notes = 0;
    pthread_mutex_unlock(&f->lock);
    return n;
}
