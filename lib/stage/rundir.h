/* The run directory OUT as processes see it: who runs it now (epoch), which run it is (run id), where logs go. */
#ifndef CH4_STAGE_RUNDIR_H
#define CH4_STAGE_RUNDIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

enum { CH4_RUN_ID = 33 };

/* Who runs the directory: one line in OUT/epoch. */
typedef struct ch4_epoch {
    int64_t number;        /* 1, 2, ...: higher with every start */
    char run_id[CH4_RUN_ID];
    int64_t pid;           /* of the orchestrator */
} ch4_epoch;

/* CH4_ENOENT: nobody has run here yet. CH4_EFORMAT: damaged. */
ch4_status ch4_epoch_read(ch4_epoch *out, const char *run_dir, ch4_err *err);

/* Takes the directory over: OUT/epoch then holds a number higher than any before, claimed with O_EXCL so that two starts never
 * share one. Processes of older epochs commit nothing from then on. CH4_EIO, CH4_ENOSPC. */
ch4_status ch4_epoch_take(ch4_epoch *out, const char *run_dir, const char *run_id, ch4_err *err);

/* Holds OUT/lock until the descriptor is closed or the process dies. CH4_EEXIST: a live process has it (its id is in the text). */
ch4_status ch4_rundir_lock(int *out_fd, const char *run_dir, ch4_err *err);

/* Whether a live process holds OUT/lock: a run is at work there. Without the file: no. CH4_EIO. */
ch4_status ch4_rundir_held(bool *held, const char *run_dir, ch4_err *err);

/* What a stage has in work, in the file <stage>.work of the bus folder: written before the work begins, so that it outlives a process that dies of
 * it before any message is out. Best effort: a file that cannot be written or read says that nothing is in work. clip has room for 128
 * bytes; "" = nothing, index -1 = the clip as a whole. */
void ch4_work_write(const char *folder, const char *stage, const char *clip, int64_t index);
void ch4_work_read(const char *folder, const char *stage, char clip[128], int64_t *index);

/* Opens OUT/run.log for appending whole lines. */
ch4_status ch4_rundir_open_log(int *out_fd, const char *run_dir, ch4_err *err);

#endif
