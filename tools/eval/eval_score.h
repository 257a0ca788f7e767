/* Scores of one clip, and all of them as text, CSV and JSON. */
#ifndef CH4_EVAL_SCORE_H
#define CH4_EVAL_SCORE_H

#include <stdio.h>

#include "tools/eval/eval_clip.h"
#include "tools/eval/eval_tracks.h"

/* What is compared with the truth: our vertices; every vertex where it was in the anchor frame; for every anchor vertex the nearest point of
 * the surface that we decoded for that frame; the same on the true surface (nobody has that one: shown for reference only). */
typedef enum ch4_eval_method { CH4_EVAL_OURS, CH4_EVAL_STILL, CH4_EVAL_NEAREST, CH4_EVAL_NEAREST_TRUE, CH4_EVAL_METHODS } ch4_eval_method;

typedef struct ch4_eval_score {
    char name[256];         /* of the truth folder */
    ch4_status status;      /* not CH4_OK: the clip has no scores */
    char reason[CH4_ERR_MSG];
    bool given;             /* the run was given the true anchor mesh: same faces, vertex i is vertex i */
    int64_t n_frames, n_vert;
    double anchor;          /* mean distance of our vertices to the truth in frame 0 */
    ch4_eval_sum sum[CH4_EVAL_METHODS];
    double rotation, relative_rotation; /* degrees, mean over frames; NAN without cameras */
} ch4_eval_score;

/* Scores a run's clip folder against a truth folder. With the true anchor mesh, vertex i is compared with true vertex i. Otherwise each
 * vertex of our own anchor stands for the nearest point of the true surface in frame 0, and that point is followed.
 * Everything is compared in the canonical cube, without alignment. Failure is written into *out, with its reason. */
void ch4_eval_score_clip(ch4_eval_score *out, const char *name, const char *truth_folder, const char *result_folder, ch4_pool *pool);

/* The mean over the clips that have scores of the per-clip mean; NAN if no clip has one. n: how many had one (may be NULL). */
double ch4_eval_overall(int64_t *n, const ch4_eval_score *score, int64_t n_scores, ch4_eval_method method, bool moving);

/* ours / the better of 'no motion' and 'nearest surface point', of the overall means; NAN if there is nothing to compare. */
double ch4_eval_ratio(const ch4_eval_score *score, int64_t n_scores, bool moving);

/* Mean of rotation (or relative_rotation) over the clips that have cameras. */
double ch4_eval_overall_rotation(int64_t *n, const ch4_eval_score *score, int64_t n_scores, bool relative);

void       ch4_eval_print(FILE *out, const ch4_eval_score *score, int64_t n_scores);
ch4_status ch4_eval_save_csv(const char *path, const ch4_eval_score *score, int64_t n_scores, ch4_err *err);
ch4_status ch4_eval_save_json(const char *path, const ch4_eval_score *score, int64_t n_scores, ch4_err *err);

#endif
