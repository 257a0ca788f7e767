/* Trivial predictions of a clip's meshes, which say what a score is worth. */
#ifndef CH4_EVAL_BENCH_BASELINES_H
#define CH4_EVAL_BENCH_BASELINES_H

#include "tools/eval/bench_score.h"
#include "tools/eval/eval_clip.h"

/* What is scored beside the result. From the true meshes: the truth itself; its frame 0 throughout; its frame 0 under the best rigid motion to each frame; each
 * vertex at the nearest point of the true surface, from the frame before or from frame 0; the truth as meshes without shared topology, and each of them
 * turned about y by a random quarter. From the result: its frame 0 throughout; the vertices of its frame 0 carried to the nearest point of its own
 * surface in each frame, chained; these surfaces themselves, frame by frame. For clips of more than one window: the truth's first window repeated; the truth drifting along x by 0.01 a window. */
typedef enum ch4_bench_method {
    CH4_BENCH_OURS, CH4_BENCH_ORACLE, CH4_BENCH_STATIC, CH4_BENCH_RIGID, CH4_BENCH_CHAINED, CH4_BENCH_FROM_ANCHOR, CH4_BENCH_PER_FRAME, CH4_BENCH_QUARTERS,
    CH4_BENCH_OWN_STATIC, CH4_BENCH_OWN_CHAINED, CH4_BENCH_OWN_SURFACES, CH4_BENCH_FROZEN, CH4_BENCH_DRIFT, CH4_BENCH_METHODS
} ch4_bench_method;

extern const char *const ch4_bench_method_name[CH4_BENCH_METHODS];

enum { CH4_BENCH_WINDOW = 16 };

/* vert f32[F,V,3] of a method that comes from the true meshes (not PER_FRAME, whose vertices are the truth's). seed: of the quarter turns. CH4_ENOMEM. */
ch4_status ch4_bench_baseline_vertices(float *vert, const ch4_eval_truth *truth, ch4_bench_method method, uint64_t seed, ch4_err *err);

/* Meshes of OWN_STATIC, OWN_CHAINED or OWN_SURFACES. The result's own surfaces are, in this order: the meshes folder/surfaces/mesh_*.glb; the points in its
 * window files (not for OWN_SURFACES); its meshes where their faces change from frame to frame. folder is the run's clip folder. *there is false, with
 * CH4_OK, if it has none of them. Free with ch4_bench_meshes_fini, also after an error. */
ch4_status ch4_bench_own_meshes(ch4_bench_meshes *out, bool *there, const ch4_bench_meshes *result, const char *folder, ch4_bench_method method, ch4_pool *pool,
                                ch4_err *err);

/* For truths without meshes: STATIC or CHAINED on the true points, which stand in for a surface; frame 0 scores 0, no normals. curve as in
 * ch4_bench_trace; may be NULL. */
ch4_status ch4_bench_cloud_baseline(ch4_bench_score *out, double *curve, const ch4_bench_truth *truth, ch4_bench_method method, const ch4_bench_options *options,
                                    ch4_pool *pool, ch4_err *err);

#endif
