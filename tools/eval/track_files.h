/* TAP-Vid scores from files: true and predicted tracks of a video as .npz or tracks.safetensors. */
#ifndef CH4_EVAL_TRACK_FILES_H
#define CH4_EVAL_TRACK_FILES_H

#include "tools/eval/families.h"

/* Truth: points f32[n,T,2] in [0,1], occluded u8[n,T]. Prediction: points f32[q,T,2] in [0,1], occluded u8[q,T], query_points f32[q,3] as (t, y, x),
 * one for each query that TAP-Vid's rule chooses, in its order, y and x in [0,1]. Beside it: each query's place kept, always visible; and the prediction
 * never occluded. A video without anything to evaluate has no values. ch4_eval_track_files (families.h) saves tracks.csv, tracks.json and bars. */
extern const ch4_score_family ch4_track_family;

#endif
