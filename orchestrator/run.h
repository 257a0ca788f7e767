/* ch4_run: a run at work. One poll loop (run.c) over messages, children and signals; clips.c: what became of each clip;
 * supervise.c: the stage processes; progress.c: what the user sees. */
#ifndef CH4_RUN_H
#define CH4_RUN_H

#include <pthread.h>

#include "bus/edge.h"
#include "orchestrator/child.h"
#include "orchestrator/latency.h"
#include "orchestrator/plan.h"
#include "orchestrator/sink.h"

enum { CH4_N_STAGES = 5 };

typedef enum ch4_clip_phase {
    CH4_PHASE_WORK,   /* windows are on their way */
    CH4_PHASE_JOIN,   /* all are here: waits for the sink, or is in it */
    CH4_PHASE_DONE,
    CH4_PHASE_FAILED,
} ch4_clip_phase;

typedef struct ch4_run_clip {
    ch4_plan_clip *plan;
    ch4_clip_phase phase;
    bool before;             /* done by an earlier start */
    int64_t n_windows;       /* 0: not known yet */
    int64_t n_here;
    uint8_t *here;           /* n_windows flags: the window has come through all stages */
    ch4_status status;       /* the next three: when failed */
    int64_t failed_window;   /* -1: no single one is to blame */
    char *reason;
    int64_t poison_window[CH4_N_STAGES]; /* window at whose work the stage died last, and how many times in a row */
    int poison_deaths[CH4_N_STAGES];
    ch4_sink_report report;  /* when done in this start */
    char **notes;            /* lines shown to the user about this clip */
    int n_notes;
    struct ch4_file_note *file_notes; /* lines that its files carry, in the order of windows and stages, none twice */
    int n_file_notes;
} ch4_run_clip;

/* A note that the file of a window carries. */
typedef struct ch4_file_note {
    int64_t window;
    int stage;
    char *text;
} ch4_file_note;

/* What a stage says of itself. Counts of its earlier lives are kept in the base_ fields. */
typedef struct ch4_stage_stats {
    uint64_t incarnation;
    double last_beat, last_move;
    int64_t moves, windows, frames, base_windows, base_frames, waiting;
    int64_t tap_dropped, base_tap_dropped;  /* copies that listeners were too slow for */
    double work_s, base_work_s, first_work; /* first_work: clock time of the first sign of work; 0: none yet */
    char clip[CH4_MSG_NAME];                /* in work; "" when idle */
    int64_t index, step, steps;
} ch4_stage_stats;

/* What the user sees on stderr. */
typedef struct ch4_progress {
    bool on, terminal;
    int lines;               /* drawn and to be drawn over */
    double next, start;
    char last[256];          /* last plain line: not said twice */
} ch4_progress;

typedef struct ch4_run {
    ch4_plan *plan;
    ch4_log log;             /* to run.log */
    ch4_run_clip *clips;
    int64_t n_clips;

    ch4_child children[CH4_N_STAGES];
    ch4_child_command commands[CH4_N_STAGES];
    char programs[CH4_N_STAGES][CH4_MSG_NAME + 4096];
    ch4_child_limits limits;
    ch4_stage_stats stats[CH4_N_STAGES];

    ch4_identity me;
    ch4_bus *bus;
    ch4_sock *control;
    ch4_edge_out *jobs;      /* to the source */
    ch4_edge_in *results;    /* from the last stage */
    int signal_fd, sink_fd;
    int signals;             /* SIGINT and SIGTERM so far */
    int stop_signal;
    bool ending;             /* the stream has ended, or the run stops: children are to go */

    pthread_t sink_thread;
    bool sink_busy;
    ch4_run_clip *sink_clip;
    ch4_status sink_status;
    ch4_err sink_err;

    ch4_latency latency;
    ch4_progress progress;
    double next_status;      /* clock time to write status.json */
    bool status_failed;      /* the last write did */
    int exit_code;           /* of the run as a whole: 0, or the first failure that is not a clip's */
} ch4_run;

extern const char *const ch4_run_stages[CH4_N_STAGES]; /* source first */

/* Does it all. Returns the exit code of the program. */
int ch4_run_all(ch4_plan *plan);

/* --- clips.c --------------------------------------------------------------------------------------------------------- */
ch4_status    ch4_clips_open(ch4_run *r, ch4_err *err);
void          ch4_clips_close(ch4_run *r);
ch4_run_clip *ch4_clips_find(ch4_run *r, const char *name);
ch4_status    ch4_clip_set_windows(ch4_run_clip *c, int64_t n, ch4_err *err);
void          ch4_clip_fail(ch4_run *r, ch4_run_clip *c, int64_t window, const char *stage, ch4_status status, const char *text);
void          ch4_clip_note(ch4_run *r, ch4_run_clip *c, const char *text); /* shown once per text */
void          ch4_clip_take_notes(ch4_run *r, ch4_run_clip *c, const Ch4__Window *w); /* those of the window's files, for the summary */
void          ch4_clip_forget(ch4_run *r, const char *name);                /* tells everybody that it is over */
bool          ch4_clips_over(const ch4_run *r);
int           ch4_clips_exit_code(const ch4_run *r);
void          ch4_clips_serve_sink(ch4_run *r);                             /* takes the sink's result, gives it the next clip */

/* --- supervise.c ----------------------------------------------------------------------------------------------------------- */
ch4_status ch4_supervise_open(ch4_run *r, ch4_err *err);
void       ch4_supervise_tick(ch4_run *r);       /* starts, deadlines, silence */
void       ch4_supervise_reap(ch4_run *r);       /* after SIGCHLD */
void       ch4_supervise_read(ch4_run *r, int stage, bool ready_fd); /* one of its pipes is readable */
void       ch4_supervise_beat(ch4_run *r, const Ch4__Envelope *e);
int64_t    ch4_tap_dropped(const ch4_run *r);    /* copies that listeners at the stages' taps were too slow for */
void       ch4_supervise_end(ch4_run *r);        /* the stream has ended */
void       ch4_supervise_stop(ch4_run *r, bool at_once);
bool       ch4_supervise_gone(const ch4_run *r);
void       ch4_supervise_close(ch4_run *r);      /* kills what is left and waits for it */

/* --- progress.c -------------------------------------------------------------------------------------------------------------- */
void ch4_progress_open(ch4_run *r);
void ch4_progress_tick(ch4_run *r, bool now);
void ch4_progress_close(ch4_run *r);
void ch4_say(ch4_run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* "chain4d: ..." on stderr, above the progress lines */
void ch4_report(ch4_run *r); /* the final table, on stdout */

/* --- status_file.c ------------------------------------------------------------------------------------------------------------ */
void ch4_status_tick(ch4_run *r);                  /* writes OUT/status.json, once a second */
void ch4_status_write(ch4_run *r, int exit_code);  /* now; exit_code < 0: the run goes on */

#endif
