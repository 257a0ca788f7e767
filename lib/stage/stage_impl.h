/* Inside of lib/stage: the frame of a stage process, shared by its main thread (stage_loop.c) and its worker (stage_work.c). */
#ifndef CH4_STAGE_IMPL_H
#define CH4_STAGE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "bus/edge.h"
#include "bus/tap.h"
#include "config/config.h"
#include "stage/flow.h"
#include "stage/stage.h"
#include "store/store.h"

typedef enum ch4_task_kind {
    CH4_TASK_NONE,
    CH4_TASK_OPEN,
    CH4_TASK_WINDOW,
    CH4_TASK_CLIP,     /* source: run_clip */
    CH4_TASK_END_CLIP,
    CH4_TASK_QUIT,     /* close */
} ch4_task_kind;

enum { CH4_STAGE_ARRAYS = 24, CH4_STAGE_FILE_NOTES = CH4_STORE_TEXT };

/* When a window was where in this stage: as Times in proto/window.proto, microseconds of ch4_clock_us. */
typedef struct ch4_stage_times {
    int64_t arrived, offered, started, done;
    bool found;
} ch4_stage_times;

/* The file that a stage made of a window. */
typedef struct ch4_stage_part {
    ch4_store_entry arrays[CH4_STAGE_ARRAYS]; /* what is in it; only of files that this stage made */
    int n_arrays;
    char file[CH4_MSG_NAME + 64]; /* relative to the run directory */
    char checksum[33];
    int64_t bytes;
    char notes[CH4_STAGE_FILE_NOTES]; /* lines for the user that the file carries; only of files that this stage made */
    ch4_stage_times times;
} ch4_stage_part;

/* One call of a function of the stage: what it is given, and what came of it. */
typedef struct ch4_task {
    ch4_task_kind kind;
    char clip[CH4_MSG_NAME];
    char input[CH4_STAGE_PATH]; /* of the clip */
    int64_t index, n_windows, n_frames;
    ch4_stage_part from;        /* what the stage before made */
    ch4_stage_part part;        /* result: what this stage made */
    bool found;                 /* result: it was there already */
    double seconds;             /* result: time spent */
    ch4_status status;          /* result */
    ch4_err err;
} ch4_task;

/* A source's request to send a window on. */
typedef struct ch4_emission {
    int64_t index, n_windows, n_frames;
    ch4_stage_part part;
    bool found;
    ch4_status answer;
} ch4_emission;

enum { CH4_STAGE_NOTES = 16 };

typedef struct ch4_stage_note_line {
    char clip[CH4_MSG_NAME];
    char text[CH4_ERR_MSG];
} ch4_stage_note_line;

typedef struct ch4_frame {
    ch4_stage stage; /* first: a ch4_stage * is a ch4_frame * */
    const ch4_stage_def *def;
    void *state;
    bool state_open;

    /* Between the threads, under lock. */
    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t wake_worker;
    int wake_fd;                 /* eventfd: the worker has something for the main thread */
    ch4_task task;               /* kind NONE: the worker is idle and has no result */
    bool task_given, task_over;
    ch4_emission emission;
    bool emission_asked, emission_answered;
    ch4_stage_note_line notes[CH4_STAGE_NOTES];
    int n_notes;

    /* Worker only. */
    char file_notes[CH4_STAGE_FILE_NOTES]; /* said since the work in hand began: go into the file that it commits */

    /* Written by one thread, read by the other. */
    atomic_bool canceled;        /* the work in hand is not wanted */
    atomic_bool superseded;      /* a newer start runs the directory */
    atomic_llong moves, step, steps;

    /* Main thread only. */
    ch4_log log;
    ch4_config config;
    ch4_identity me;
    char run_dir[CH4_STAGE_PATH];
    ch4_bus *bus;
    ch4_sock *control;
    ch4_edge_in *in;
    ch4_edge_out *out;           /* always there: the sink listens to the last stage */
    ch4_tap_out *tap;
    ch4_flow flow;
    int signal_fd, ready_fd;
    int stop_signal;             /* first SIGTERM or SIGINT; 0: none */
    bool ready, beat_now;
    double next_beat;
    int64_t n_emitted;           /* windows of the clip in hand, by the source */
    int64_t turn_us, asked_us;   /* of a source: when it turned to the window in hand, and when it had it; 0: not yet */
    int64_t windows_done, windows_found, frames_done;
    double work_s;
    double clip_since, waiting_since, waited; /* of a source's clip: when it began, when it began to wait for its turn (0: it does not), waits so far */
    int64_t stream_end;          /* number of clips of the stream; -1 before it is known */
} ch4_frame;

/* stage_work.c: the worker thread. */
ch4_status ch4_frame_start_worker(ch4_frame *f, ch4_err *err);
void       ch4_frame_stop_worker(ch4_frame *f); /* calls the stage's close; waits for it */
bool       ch4_frame_worker_idle(ch4_frame *f);
void       ch4_frame_give(ch4_frame *f, const ch4_task *task);     /* the worker must be idle */
bool       ch4_frame_take_result(ch4_frame *f, ch4_task *out);     /* true: *out is a finished task, the worker is idle again */
bool       ch4_frame_take_emission(ch4_frame *f, ch4_emission *out);
void       ch4_frame_answer_emission(ch4_frame *f, ch4_status answer);
int        ch4_frame_take_notes(ch4_frame *f, ch4_stage_note_line out[CH4_STAGE_NOTES]);

/* stage_loop.c: serves sockets and hands out work until the process is to end; returns its exit code. */
int ch4_frame_run(ch4_frame *f);

double     ch4_frame_source_work(const ch4_frame *f); /* seconds that the source has worked at the clip in hand, without its waits */

/* stage_send.c: messages that the frame makes. */
ch4_status ch4_frame_send_window(ch4_frame *f, const Ch4__Window *before, const ch4_flow_clip *clip, int64_t index, int64_t n_windows,
                                 int64_t n_frames, const ch4_stage_part *part, ch4_err *err); /* into custody downstream */
ch4_status ch4_frame_send_clip_end(ch4_frame *f, const ch4_flow_clip *clip, ch4_err *err);
ch4_status ch4_frame_send_beat(ch4_frame *f, ch4_err *err);     /* and the failures that are not yet heard */
ch4_status ch4_frame_send_plan(ch4_frame *f, const char *clip, int64_t n_windows, ch4_err *err);
ch4_status ch4_frame_send_note(ch4_frame *f, const ch4_stage_note_line *note, ch4_err *err);

#endif
