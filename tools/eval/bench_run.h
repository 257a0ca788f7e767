/* Scores of whole clips beside the trivial predictions that say what they are worth, and their reports. */
#ifndef CH4_EVAL_BENCH_RUN_H
#define CH4_EVAL_BENCH_RUN_H

#include <stdio.h>

#include "tools/eval/bench_score.h"
#include "tools/eval/eval_find.h"

/* What is scored. With the true meshes (gt.safetensors) all of them: the truth itself; its frame 0 throughout; its frame 0 under the best rigid motion to each
 * frame; each vertex at the nearest point of the true surface, from the frame before or from frame 0. Without them, static and chained on the
 * points of the truth, which stand in for a surface: no normals, and frame 0 scores 0. Baselines are never aligned. */
typedef enum ch4_bench_method {
    CH4_BENCH_OURS, CH4_BENCH_ORACLE, CH4_BENCH_STATIC, CH4_BENCH_RIGID, CH4_BENCH_CHAINED, CH4_BENCH_FROM_ANCHOR, CH4_BENCH_METHODS
} ch4_bench_method;

extern const char *const ch4_bench_method_name[CH4_BENCH_METHODS];

typedef struct ch4_bench_row {
    const char *name;                      /* borrowed from the pair */
    ch4_status status;                     /* of our result; baselines may be there all the same */
    char reason[CH4_ERR_MSG];
    bool missing;                          /* no result at all: not counted by the public script */
    bool has[CH4_BENCH_METHODS];
    ch4_bench_score score[CH4_BENCH_METHODS];
    int64_t n_frames, n_point;             /* samples of a surface */
    ch4_bench_align align;                 /* of our result */
    double *frame_cd;                      /* [3,n_frames] CD-3D, CD-4D, CD-M of our frames (NAN: not defined); NULL without a result */
} ch4_bench_row;

void ch4_bench_rows_fini(ch4_bench_row *row, int64_t n); /* what the rows own, not the array */

typedef struct ch4_bench_run_options {
    ch4_bench_options score; /* n_point 0: as many as the truth has, at most 100,000 */
    bool automatic;          /* align: none where the truth has its meshes (same coordinates), else public */
    bool allow_topology;     /* clips without shared topology have CD-M "-" instead of failing as in the public script */
    bool progress;           /* one line for each finished clip on stderr */
} ch4_bench_run_options;

/* row[pairs->n]: every clip is scored, a failure stays in its row. Clips run in parallel where there are enough of them. */
void ch4_bench_run(ch4_bench_row *row, const ch4_eval_pairs *pairs, const ch4_bench_run_options *options, ch4_pool *pool);

/* Mean of a score over the clips that have it; NAN if none. failed_as_static: clips whose result failed count as the static baseline. */
double ch4_bench_mean(const ch4_bench_row *row, int64_t n, ch4_bench_method method, size_t offset, bool failed_as_static);

/* --- bench_report.c ---------------------------------------------------------------------------------------------------------------------- */

void ch4_bench_print(FILE *out, const ch4_bench_row *row, int64_t n);

/* Into folder: bench.csv (a row per clip and method), bench.json, and the public script's own actionbench.csv and actionbench.summary.json.
 * Where a clip has more than one window of 16 frames, curves.csv (clip, metric, window, value) and drift.csv (their first and last value, ratio, slope per
 * window, first window above twice the first) too. */
ch4_status ch4_bench_save(const char *folder, const ch4_bench_row *row, int64_t n, ch4_err *err);

#endif
