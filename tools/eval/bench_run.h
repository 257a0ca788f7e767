/* The family of metrics on surfaces: CD-3D, CD-4D, CD-M and normal consistency of whole clips beside the trivial predictions, and their curves. */
#ifndef CH4_EVAL_BENCH_RUN_H
#define CH4_EVAL_BENCH_RUN_H

#include "tools/eval/bench_baselines.h"
#include "tools/eval/families.h"

/* One clip's curves. */
typedef struct ch4_bench_curves {
    int64_t n_frames;
    double *of[CH4_BENCH_METHODS]; /* [CH4_BENCH_CURVES,n_frames] of each method; NULL: not there */
    double *closure;               /* [n_closure] of the result, for clips that come back to their first frame; see ch4_drift_closure */
    int64_t n_closure;
} ch4_bench_curves;

/* The columns of the table; see ch4_bench_score. */
enum { CH4_BENCH_COLUMN_CD_3D, CH4_BENCH_COLUMN_CD_4D, CH4_BENCH_COLUMN_CD_MOTION, CH4_BENCH_COLUMN_FLOOR = 6, CH4_BENCH_COLUMNS = 7 };
extern const ch4_score_family ch4_bench_family;

/* ch4_eval_bench (families.h): truths with surfaces.npy; results with mesh_*.glb or vertices.npy. Prints the table and saves bench.csv, bench.json, bars, the public script's
 * actionbench.csv and actionbench.summary.json, and curves. */

/* --- bench_curves.c ------------------------------------------------------------------------------------------------------------------------- */

/* frames.csv (clip, method, frame, a column per curve) and plots of the means over clips; where a clip has more than one window also curves.csv (clip,
 * method, metric, window, value), drift.csv (first and last window, ratio, slope per window, first window above twice the first) and plots over
 * windows. */
ch4_status ch4_bench_save_curves(const char *folder, const ch4_score_table *table, const ch4_bench_curves *curves, ch4_err *err);

#endif
