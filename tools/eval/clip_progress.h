/* Progress over clips on stderr: a bar on a terminal, else a line for each clip. Calls may come from several threads. */
#ifndef CH4_EVAL_CLIP_PROGRESS_H
#define CH4_EVAL_CLIP_PROGRESS_H

#include <pthread.h>

#include "base/base.h"

typedef struct ch4_progress {
    pthread_mutex_t lock;
    const char *what; /* borrowed */
    int64_t done, total, failed;
    double since;
    bool quiet, bar;
} ch4_progress;

void ch4_progress_begin(ch4_progress *out, const char *what, int64_t total, bool quiet);
void ch4_progress_step(ch4_progress *progress, const char *clip, const char *failure); /* failure NULL or empty: the clip is good */
void ch4_progress_end(ch4_progress *progress);                                           /* takes the bar away */

#endif
