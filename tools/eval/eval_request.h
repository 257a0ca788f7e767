/* What one call of chain4d-eval was asked for, and the loop over clips that all families of metrics share. */
#ifndef CH4_EVAL_REQUEST_H
#define CH4_EVAL_REQUEST_H

#include "tools/eval/bench_score.h"
#include "tools/eval/eval_find.h"
#include "tools/eval/score_table.h"
#include "tools/eval/world_tracks.h"

typedef struct ch4_eval_request {
    const char *gt, *out;    /* out NULL: no files */
    char *const *pred;
    int n_pred;
    ch4_pool *pool;
    bool quiet;              /* no progress */
    bool compat;             /* reproduce what is known to be wrong in public code */
    ch4_bench_options bench; /* n_point 0: as many as the truth has, at most 100,000 */
    bool auto_align;         /* none where the truth has its meshes (same coordinates), else public */
    bool align_baselines;    /* trivial predictions get the alignment of the result too */
    bool no_baselines;       /* of surfaces */
    bool allow_topology;     /* clips whose faces change have no CD-M instead of failing as in the public script */
    bool shape;              /* also IoU, F-score and Chamfer distances */
    int64_t grid;            /* side of the voxel grid of IoU */
    ch4_tapvid_mode queries;
    ch4_world_align world_align;
    ch4_tapvid3d_scaling tapvid3d_scaling;
} ch4_eval_request;

/* What a family did. */
typedef struct ch4_eval_outcome {
    bool applied;            /* there was something that it scores */
    int64_t n_clip, n_failed;
} ch4_eval_outcome;

/* Calls score(ctx, i, pool) for each clip, from several threads where there are enough clips, else one after the other with the pool. Failures stay in the
 * table; each clip makes one step of progress. */
void ch4_eval_each_clip(const ch4_eval_request *r, const char *what, const ch4_score_table *table, void (*score)(void *ctx, int64_t i, ch4_pool *pool), void *ctx);

/* Prints the table, saves it if the request has a folder, and fills the outcome. */
ch4_status ch4_eval_report(ch4_eval_outcome *out, const ch4_eval_request *r, const ch4_score_table *table, ch4_err *err);

/* Pairs of truth and result; *applied is false, with CH4_OK, if there is no such truth or no result for any. */
ch4_status ch4_eval_pairs_for(ch4_eval_pairs *out, bool *applied, const ch4_eval_request *r, const char *truth_file, const char *const *result_files, ch4_err *err);

/* A table with the pairs' names; clips without a result have failed already. */
ch4_status ch4_eval_table_for(ch4_score_table *out, const ch4_score_family *family, const ch4_eval_pairs *pairs, ch4_err *err);

#endif
