/* lib/stage: the one main loop of every stage process.
 *
 * A stage's main.c fills in a ch4_stage_def and returns ch4_stage_main(). The frame owns everything that all stages need:
 * options, configuration, the ready line, credit, retries, the notice of a file that is already there, hand-over downstream,
 * acknowledgement after commit, heartbeats, drain, end of clip with counts, signals and the log. The stage owns the arrays.
 *
 * Threads: open, process, run_clip, end_clip and close are all called on one worker thread, never two at once, so a stage
 * needs no locks and may keep handles (HDF5, models) that belong to a thread. The frame serves sockets and heartbeats on the main
 * thread meanwhile: a stage may compute for as long as it likes. Functions of this header that take a ch4_stage are called
 * on the worker thread.
 *
 * What process() does for window w of a clip, in every stage but the source:
 *   1. read its inputs from the files of the run directory, named by ch4_stage_path(): those of the stage before it are complete
 *      and verified when process() is called; all others (an earlier window of its own or of a later stage) may not be there
 *      yet: return CH4_EAGAIN, before any costly work, and the window is offered again later, after other windows;
 *   2. compute;
 *   3. write its own file with lib/store (ch4_store_create on window->output) and commit it with ch4_stage_commit;
 *   4. return CH4_OK. The frame then checks the file, sends the window downstream, and acknowledges it upstream.
 * Windows of one clip are offered in order of their index, but a window may be offered while its predecessor is still on its way
 * through later stages. A window may be offered twice (after a restart); results must not depend on it. A window whose file
 * is already there and verifies is not offered at all: the file is the truth.
 *
 * Statuses of process() and run_clip(), with the reason in *err:
 *   CH4_EAGAIN                see above
 *   CH4_EFORMAT, CH4_ENOENT   this clip's input is bad: the clip ends here with that line on the user's terminal and exit code 3;
 *                             name the file, the reason and what to do ("walker.mp4: no foreground found: give a mask with --mask")
 *   CH4_EINVAL, CH4_ECONFIG, CH4_EUNSUP   this clip cannot be done with this configuration: it ends likewise, exit code 2 or 1
 *   CH4_ENOSPC                the clip ends, exit code 1
 *   any other                 the window is tried again (pipeline.retries), then the clip ends, exit code 1
 *   CH4_ECANCELED             the frame asked for it (ch4_stage_canceled, ch4_stage_emit): not an error
 * Other clips go on. */
#ifndef CH4_STAGE_H
#define CH4_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"

struct ch4_config;
struct ch4_store_writer;

enum {
    CH4_STAGE_NAME = 32,   /* longest stage name with its NUL */
    CH4_STAGE_PATH = 4096, /* room for any path */
};

/* What a stage may read at any time, on any thread; owned by the frame, valid from open to the end of close. */
typedef struct ch4_stage {
    const struct ch4_config *config; /* resolved: every key has a value */
    const ch4_log *log;
    ch4_pool *pool;                  /* --threads workers, for ch4_pool_run from the worker thread */
    const char *run_dir;             /* OUT */
    const char *run_id;              /* 32 hex digits: same inputs and configuration, same id */
    int64_t epoch;                   /* of the start that this process belongs to; commits check it against OUT/epoch */
} ch4_stage;

/* A clip: one input of `chain4d run`. Borrowed from the frame, valid during the call. */
typedef struct ch4_stage_clip {
    const char *name;  /* folder under run_dir, unique in the run */
    const char *input; /* video file or folder of pictures, absolute path */
    const char *dir;   /* run_dir/name; exists */
} ch4_stage_clip;

/* A window on its way. Borrowed from the frame, valid during the call. */
typedef struct ch4_stage_window {
    ch4_stage_clip clip;
    int64_t index;       /* 0 .. n_windows - 1 */
    int64_t n_windows;   /* of the clip */
    int64_t n_frames;    /* T: frames in this window, in slot order (slot 0 = anchor of the window) */
    const char *input;   /* path of the file of the stage before: verified; ends in wNNNN.<from>.h5 */
    const char *output;  /* path that this stage commits its file to */
} ch4_stage_window;

typedef struct ch4_stage_def {
    const char *name;    /* "chain"; the program is chain4d-<name>, its file wNNNN.<name>.h5 */
    const char *summary; /* one sentence for --help */
    const char *from;    /* name of the stage before; NULL for the source, which is given clips */

    /* Makes *state (may stay NULL): loads models, allocates. The process reports ready after it. Any failure ends the process
     * with ch4_status_exit_code and the line on stderr. */
    ch4_status (*open)(ch4_stage *stage, void **state, ch4_err *err);

    /* One window (all stages but the source). See the top of this file. */
    ch4_status (*process)(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err);

    /* The source alone: cut a clip into windows; for each, in order, commit its file and call ch4_stage_emit. Called once per clip (again
     * after a restart). CH4_OK after the last window; a clip of no window at all is CH4_EFORMAT. */
    ch4_status (*run_clip)(ch4_stage *stage, void *state, const ch4_stage_clip *clip, ch4_err *err);

    /* The clip has no more windows for this stage (all done, failed or canceled): drop what is kept for it. May be NULL; may be
     * called for a clip that the stage has never seen. */
    void (*end_clip)(ch4_stage *stage, void *state, const char *clip_name);

    void (*close)(ch4_stage *stage, void *state); /* may be NULL; also called when open failed half way, if *state was set */
} ch4_stage_def;

/* The program: returns the exit code (0 done, 1 failed, 2 usage or configuration, 3 bad input). Options:
 *   --run DIR         the run directory (required)
 *   --config FILE     pipeline file (default DIR/run.yaml)      --set KEY=VALUE  one more option, may be repeated
 *   --threads N       workers of the pool (default: run.threads)
 *   --ready-fd N      a newline is written there once open() has succeeded and the sockets are bound
 *   --run-id, --epoch given by chain4d; without them read from DIR
 *   --log-level L     debug, info, warn, error; the log goes to DIR/run.log as JSON lines
 *   --version --help
 * SIGTERM or SIGINT: the window in hand is finished, then the process ends (exit 0); a second one ends it at once. */
int ch4_stage_main(const ch4_stage_def *def, int argc, char **argv);

/* Path of the file of `stage` for a window of the clip: OUT/CLIP/w0007.chain.h5. Any stage's name may be given, any index >= 0.
 * CH4_EINVAL if it does not fit. Says nothing about whether the file exists. */
ch4_status ch4_stage_path(char out[CH4_STAGE_PATH], const ch4_stage_clip *clip, int64_t index, const char *stage, ch4_err *err);

/* True if that file is there, complete, of this run, and its checksum holds. The source asks before it makes a window's file; others
 * ask for the files that may not be there yet. */
bool ch4_stage_has(ch4_stage *stage, const ch4_stage_clip *clip, int64_t index, const char *which);

/* Commits a file of this process: ch4_store_commit with the run id added to the attributes ("run_id"), refused with CH4_ECANCELED when a newer
 * start has taken over the run directory. Takes the writer, also on failure. */
ch4_status ch4_stage_commit(ch4_stage *stage, struct ch4_store_writer **writer, ch4_err *err);

/* Source only: window `index` of the clip that run_clip was called with is committed: send it on. Blocks until the graph admits
 * one more window (pipeline.windows: so many may be between here and the sink). n_windows is the same in all calls of a clip.
 * CH4_ECANCELED: return from run_clip now, with that status. */
ch4_status ch4_stage_emit(ch4_stage *stage, int64_t index, int64_t n_windows, int64_t n_frames, ch4_err *err);

/* True once the work in hand is no longer wanted (the clip failed elsewhere, or stop at once). Ask between long steps;
 * give CH4_ECANCELED up if true. Finishing anyway is allowed. */
bool ch4_stage_canceled(ch4_stage *stage);

/* How far the work in hand is: done of total steps. Carried by the heartbeats: a process whose progress stands still for
 * pipeline.stall_s is taken for hung and restarted, so call it at least every few seconds. total <= 0: unknown. */
void ch4_stage_progress(ch4_stage *stage, int64_t done, int64_t total);

/* One line for the user about this clip that is no error ("walker.mp4: cut off after 37 of 90 frames: using what is there").
 * Shown on the terminal once per different line, and logged. The file of the window in hand carries it (attribute `notes`), and from there it
 * reaches the clip's summary.json, also after a restart: so say it before the file is committed, and let it depend on nothing but the window. Of a
 * source, the file of window 0 carries what was said before it. */
void ch4_stage_note(ch4_stage *stage, const ch4_stage_clip *clip, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
