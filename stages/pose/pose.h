/* The pose stage: wNNNN.animate.h5 (with the window's chain and decode files) to wNNNN.pose.h5 (docs/run-files.md). The anchor camera
 * and the tracks' queries belong to the clip: made in window 0, read from its file by the other windows, which wait for it. */
#ifndef CH4_POSE_H
#define CH4_POSE_H

#include "stage/stage.h"

/* For ch4_stage_def. The state holds the options of the pipeline file and the view that model.yaml names. */
ch4_status ch4_pose_open(ch4_stage *stage, void **state, ch4_err *err);
void       ch4_pose_close(ch4_stage *stage, void *state);

/* For ch4_stage_def.process. CH4_EAGAIN: window 0 is not done yet. CH4_EFORMAT: files that do not fit together (which, and why). */
ch4_status ch4_pose_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err);

/* The same for files. first: pose file of window 0, NULL in window 0 itself. log as in ch4_stage. */
struct ch4_pose_options;
struct ch4_store_writer;

typedef struct ch4_pose_files {
    const char *decode, *chain, *animate, *first;
} ch4_pose_files;

typedef struct ch4_pose_report {
    int64_t frames, solved, pairs, queries, missed;
    int anchor_status; /* ch4_camera_status */
} ch4_pose_report;

ch4_status ch4_pose_file(struct ch4_store_writer *writer, ch4_pose_report *report, const ch4_pose_files *files,
                         const struct ch4_pose_options *options, ch4_pool *pool, ch4_err *err);

#endif
