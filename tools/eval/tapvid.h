/* Scores of 2D point tracks as TAP-Vid's public code has them (tapnet, compute_tapvid_metrics), and its choice of queries.
 *
 * n tracks of T frames: points f32[n,T,2] as (x, y) on a raster of 256 x 256, occluded u8[n,T] (nonzero: occluded), query f32[n,3] as (t, y, x).
 * Distances are compared in float32, strictly, as the reference does. */
#ifndef CH4_EVAL_TAPVID_H
#define CH4_EVAL_TAPVID_H

#include "base/base.h"

enum { CH4_TAPVID_THRESHOLDS = 5, CH4_TAPVID_RASTER = 256, CH4_TAPVID_STRIDE = 5 };
extern const float ch4_tapvid_threshold[CH4_TAPVID_THRESHOLDS]; /* 1 2 4 8 16 px */

typedef enum ch4_tapvid_mode { CH4_TAPVID_FIRST, CH4_TAPVID_STRIDED } ch4_tapvid_mode;

/* All in [0,1]; NAN where nothing is evaluated (occlusion) or nothing is visible (the others). */
typedef struct ch4_tapvid_score {
    double occlusion_accuracy, average_within, average_jaccard;
    double within[CH4_TAPVID_THRESHOLDS], jaccard[CH4_TAPVID_THRESHOLDS];
} ch4_tapvid_score;

/* Evaluated entries of one video, before division: sums over tracks and videos are formed by ch4_track_counts_add. */
typedef struct ch4_track_counts {
    int64_t entries, same_occlusion, visible;
    int64_t within[CH4_TAPVID_THRESHOLDS], hit[CH4_TAPVID_THRESHOLDS], false_positive[CH4_TAPVID_THRESHOLDS];
} ch4_track_counts;

/* within[k]: the entry's distance is below threshold k. */
void             ch4_track_counts_entry(ch4_track_counts *c, bool gt_visible, bool pred_visible, const bool within[CH4_TAPVID_THRESHOLDS]);
void             ch4_track_counts_add(ch4_track_counts *sum, const ch4_track_counts *c);
ch4_tapvid_score ch4_track_counts_score(const ch4_track_counts *c);

/* Entries of one track that count: frames after its query frame (first) or all others (strided). */
void ch4_tapvid_count_track(ch4_track_counts *out, const float query[3], const float *gt, const uint8_t *gt_occluded, const float *pred,
                            const uint8_t *pred_occluded, int64_t n_frames, ch4_tapvid_mode mode);

/* All tracks of a video pooled. */
ch4_tapvid_score ch4_compute_tapvid(const float *query, const float *gt, const uint8_t *gt_occluded, const float *pred, const uint8_t *pred_occluded,
                                    int64_t n, int64_t n_frames, ch4_tapvid_mode mode);

/* Queries of ground truth tracks [n,T]: track[i] i32 and frame[i] i32 of each; the query's place is the track's point there. First: each track's first visible
 * frame, tracks that are never visible left out. Strided: for each 5th frame every track visible in it. Both arrays hold ch4_tapvid_queries_bound. */
int64_t ch4_tapvid_queries(int32_t *track, int32_t *frame, const uint8_t *occluded, int64_t n, int64_t n_frames, ch4_tapvid_mode mode);
int64_t ch4_tapvid_queries_bound(int64_t n, int64_t n_frames, ch4_tapvid_mode mode);

#endif
