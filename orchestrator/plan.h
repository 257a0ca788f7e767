/* ch4_plan: what `chain4d run` was asked to do, and the run directory made ready for it. */
#ifndef CH4_PLAN_H
#define CH4_PLAN_H

#include "base/base.h"
#include "bus/msg.h"
#include "config/config.h"
#include "stage/rundir.h"

typedef struct ch4_plan_clip {
    char name[CH4_MSG_NAME]; /* from the input's stem, unique in the run */
    char *given;             /* the input as the user wrote it: what messages call it */
    char *input;             /* absolute; NULL if it cannot be reached */
    ch4_status status;       /* CH4_OK, or why it cannot even be tried */
    char reason[CH4_ERR_MSG];
    bool finished;           /* by an earlier start */
} ch4_plan_clip;

typedef struct ch4_plan {
    ch4_config config;
    int threads;             /* --threads; -1: not given */
    bool quiet, help, strict; /* strict: messages that taps dropped make the run fail */
    const char *trace;       /* file for a trace; NULL: none. Of the command line, not owned */
    char *out;               /* absolute */
    ch4_plan_clip *clips;
    int64_t n_clips;
    char run_id[CH4_RUN_ID];
    int64_t epoch;
    int lock_fd, log_fd;     /* log_fd: OUT/run.log */
} ch4_plan;

/* Command line of `chain4d run` (argv[0] is "run"). Prints nothing. CH4_EINVAL, CH4_ECONFIG (all problems of the pipeline file in *problems),
 * CH4_ENOENT for a mesh, mask or model that is not there. Inputs that are not there fail as clips, not here. */
ch4_status ch4_plan_read(ch4_plan *out, int argc, char **argv, ch4_problems *problems, ch4_err *err);

/* Makes OUT with lock, epoch, run.yaml, clips.json and the clips' folders. In a directory that has been run before: CH4_ECONFIG unless inputs and
 * configuration are the same; then leftovers of killed processes are swept and finished clips marked. */
ch4_status ch4_plan_make(ch4_plan *plan, ch4_err *err);

void ch4_plan_fini(ch4_plan *plan);

#endif
