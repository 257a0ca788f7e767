/* Messages that the frame of a stage makes. */
#include <string.h>

#include "base/clock.h"

#include "stage/stage_impl.h"

static ch4_status put(ch4_frame *f, const Ch4__Envelope *e, ch4_err *err)
{
    ch4_msg *msg;
    ch4_status status = ch4_msg_encode(&msg, &f->me, e, err);
    if (status) return status;
    ch4_tap_out_publish(f->tap, msg, true);
    return ch4_edge_out_put(f->out, &msg, err);
}

ch4_status ch4_frame_send_window(ch4_frame *f, const Ch4__Window *before, const ch4_flow_clip *clip, int64_t index, int64_t n_windows,
                                 int64_t n_frames, const ch4_stage_part *part, ch4_err *err)
{
    Ch4__Part mine = CH4__PART__INIT;
    mine.stage = (char *)f->def->name;
    mine.file = (char *)part->file;
    mine.checksum = (char *)part->checksum;
    mine.bytes = part->bytes;
    mine.notes = (char *)part->notes;
    Ch4__Times times = CH4__TIMES__INIT;
    times.arrived = part->times.arrived, times.offered = part->times.offered, times.started = part->times.started, times.done = part->times.done;
    times.sent = ch4_clock_us();
    times.found = part->times.found;
    mine.times = &times;
    Ch4__Dataset array[CH4_STAGE_ARRAYS], *arrays[CH4_STAGE_ARRAYS];
    for (int i = 0; i < part->n_arrays; i++) {
        array[i] = (Ch4__Dataset)CH4__DATASET__INIT;
        array[i].name = (char *)part->arrays[i].name;
        array[i].dtype = (char *)ch4_dtype_name(part->arrays[i].shape.dtype);
        array[i].n_shape = (size_t)part->arrays[i].shape.rank;
        array[i].shape = (int64_t *)part->arrays[i].shape.shape;
        arrays[i] = &array[i];
    }
    mine.n_datasets = (size_t)part->n_arrays;
    mine.datasets = arrays;
    Ch4__Part *parts[CH4_MSG_PARTS + 1];
    size_t n = 0;
    if (before) for (; n < before->n_parts; n++) parts[n] = before->parts[n];
    parts[n++] = &mine;
    Ch4__Window w = CH4__WINDOW__INIT;
    w.clip = (char *)clip->name;
    w.input = clip->input;
    w.index = index, w.n_windows = n_windows, w.n_frames = n_frames;
    w.n_parts = n, w.parts = parts;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_WINDOW;
    e.window = &w;
    return put(f, &e, err);
}

ch4_status ch4_frame_send_clip_end(ch4_frame *f, const ch4_flow_clip *clip, ch4_err *err)
{
    Ch4__ClipEnd end = CH4__CLIP_END__INIT;
    end.clip = (char *)clip->name;
    end.input = clip->input;
    end.n_windows = clip->n_windows;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_CLIP_END;
    e.clip_end = &end;
    return put(f, &e, err);
}

/* To the orchestrator. While it is not reachable nothing is lost that is not said again: beats and failures repeat. */
static ch4_status tell(ch4_frame *f, const Ch4__Envelope *e, ch4_err *err)
{
    ch4_status status = ch4_bus_post(f->control, NULL, e, err);
    return status == CH4_EAGAIN ? CH4_OK : status;
}

static ch4_status send_failures(ch4_frame *f, ch4_err *err)
{
    for (ch4_flow_clip *c = f->flow.clips; c; c = c->next) {
        if (c->state != CH4_CLIP_FAILED) continue;
        Ch4__Failure failure = CH4__FAILURE__INIT;
        failure.clip = c->name;
        failure.index = c->failed_index;
        failure.status = c->failed_status;
        failure.text = c->failed_text;
        Ch4__Envelope e = CH4__ENVELOPE__INIT;
        e.body_case = CH4__ENVELOPE__BODY_FAILURE;
        e.failure = &failure;
        ch4_status status = tell(f, &e, err);
        if (status) return status;
    }
    return CH4_OK;
}

ch4_status ch4_frame_send_beat(ch4_frame *f, ch4_err *err)
{
    Ch4__Beat beat = CH4__BEAT__INIT;
    beat.windows_done = f->windows_done;
    beat.windows_found = f->windows_found;
    beat.windows_waiting = f->flow.waiting;
    beat.frames_done = f->frames_done;
    beat.work_s = f->work_s + ch4_frame_source_work(f);
    const ch4_tap_counts tap = ch4_tap_out_counts(f->tap);
    beat.listeners = tap.listeners, beat.tap_dropped = tap.dropped;
    beat.index = -1;
    pthread_mutex_lock(&f->lock);
    const ch4_task_kind kind = f->task.kind;
    if (kind == CH4_TASK_WINDOW || (kind == CH4_TASK_CLIP && !f->emission_asked)) { /* a source that waits for its turn is idle */
        beat.clip = f->task.clip;
        beat.index = kind == CH4_TASK_WINDOW ? f->task.index : -1;
    }
    beat.step = atomic_load(&f->step);
    beat.steps = atomic_load(&f->steps);
    beat.moves = atomic_load(&f->moves);
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_BEAT;
    e.beat = &beat;
    ch4_status status = tell(f, &e, err);
    pthread_mutex_unlock(&f->lock);
    return status ? status : send_failures(f, err);
}

ch4_status ch4_frame_send_plan(ch4_frame *f, const char *clip, int64_t n_windows, ch4_err *err)
{
    Ch4__ClipPlan plan = CH4__CLIP_PLAN__INIT;
    plan.clip = (char *)clip;
    plan.n_windows = n_windows;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_CLIP_PLAN;
    e.clip_plan = &plan;
    return tell(f, &e, err);
}

ch4_status ch4_frame_send_note(ch4_frame *f, const ch4_stage_note_line *note, ch4_err *err)
{
    Ch4__Note n = CH4__NOTE__INIT;
    n.clip = (char *)note->clip;
    n.text = (char *)note->text;
    Ch4__Envelope e = CH4__ENVELOPE__INIT;
    e.body_case = CH4__ENVELOPE__BODY_NOTE;
    e.note = &n;
    return tell(f, &e, err);
}
