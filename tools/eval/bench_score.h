/* CD-3D, CD-4D, CD-M and normal consistency of a clip, as ActionBench's public code computes them (actionbench/benchmark.py). */
#ifndef CH4_EVAL_BENCH_SCORE_H
#define CH4_EVAL_BENCH_SCORE_H

#include "tools/eval/bench_clip.h"
#include "tools/eval/gradient_icp.h"

typedef enum ch4_bench_align { CH4_BENCH_PUBLIC, CH4_BENCH_UNIFORM, CH4_BENCH_NONE } ch4_bench_align;

typedef struct ch4_bench_options {
    ch4_bench_align align;
    int64_t n_point, n_icp; /* samples of a predicted surface (100,000); points of the alignment (10,000) */
    uint32_t seed;          /* 44 */
    bool normals;           /* also NC-GT and NC-mesh: full sets are queried, which takes longer than all the rest without alignment */
} ch4_bench_options;

ch4_bench_options ch4_bench_defaults(void);

/* NAN: not computed or not defined. */
typedef struct ch4_bench_score {
    double cd_3d, cd_4d, cd_motion;
    double nc_gt, nc_signed, nc_mesh; /* mean over frames; nc_gt and nc_signed under the alignment of CD-3D */
    double floor;                     /* mean over frames of sqrt(area / n_point) of the true scale: what two samplings of one surface score */
} ch4_bench_score;

/* What is known of each frame. The first four are what the scores are means of; the others compare the prediction with its own frame 0 (mean relative change of
 * edge lengths; ratios of volume and of the diagonal of the box), and count faces that look away from the true surface, where the clip's alignment puts
 * them (share of faces whose normal has a negative product with that of the closest true point; with normals only). */
typedef enum ch4_bench_curve {
    CH4_BENCH_CD_3D, CH4_BENCH_CD_4D, CH4_BENCH_CD_MOTION, CH4_BENCH_NC, CH4_BENCH_STRETCH, CH4_BENCH_VOLUME, CH4_BENCH_DIAGONAL, CH4_BENCH_OPPOSED,
    CH4_BENCH_CURVES
} ch4_bench_curve;

/* What was drawn and fitted, for checks and curves; any pointer may be NULL. */
typedef struct ch4_bench_trace {
    float *sampled, *sampled_sync; /* [K,n_point,3] before alignment */
    int32_t *sync_face;            /* [n_point] */
    float *sync_bary;              /* [n_point,3] */
    ch4_affine *frame;             /* [K] transforms of CD-3D */
    double *curve;                 /* [CH4_BENCH_CURVES,K] */
    const ch4_affine *given;       /* [K + 1]: used instead of fitting; the last is that of CD-4D and CD-M */
} ch4_bench_trace;

/* meshes has the truth's frames. Without shared topology CD-M is NAN. trace may be NULL. CH4_EFORMAT, CH4_ENOMEM. */
ch4_status ch4_compute_bench_score(ch4_bench_score *out, const ch4_bench_meshes *meshes, const ch4_bench_truth *truth, const ch4_bench_options *options,
                                   ch4_bench_trace *trace, ch4_pool *pool, ch4_err *err);

/* The alignment of frame 0 alone; meshes needs no other frame. */
ch4_status ch4_bench_fit_first(ch4_affine *out, const ch4_bench_meshes *meshes, const ch4_bench_truth *truth, const ch4_bench_options *options, ch4_pool *pool,
                               ch4_err *err);

#endif
