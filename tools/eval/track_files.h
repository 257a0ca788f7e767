/* TAP-Vid scores from files: true and predicted tracks of a video as tracks.safetensors. */
#ifndef CH4_EVAL_TRACK_FILES_H
#define CH4_EVAL_TRACK_FILES_H

#include <stdio.h>

#include "tools/eval/eval_find.h"
#include "tools/eval/tapvid.h"

typedef struct ch4_track_file_score {
    const char *name; /* borrowed from the pair */
    ch4_status status;
    char reason[CH4_ERR_MSG];
    bool empty;       /* nothing to evaluate: not in the mean */
    int64_t n_queries;
    ch4_tapvid_score ours, still, visible; /* still: the query's place, always visible; visible: our tracks, never occluded */
} ch4_track_file_score;

/* Truth: points f32[n,T,2] in [0,1], occluded u8[n,T]. Prediction: points f32[q,T,2] in [0,1], occluded u8[q,T], query_points f32[q,3] as (t, y, x),
 * one for each query that TAP-Vid's rule chooses, in its order, y and x in [0,1]. */
void ch4_track_file_score_pair(ch4_track_file_score *out, const ch4_eval_pair *pair, ch4_tapvid_mode mode);

void       ch4_track_files_print(FILE *out, const ch4_track_file_score *score, int64_t n);
ch4_status ch4_track_files_save_csv(const char *path, const ch4_track_file_score *score, int64_t n, ch4_err *err);

#endif
