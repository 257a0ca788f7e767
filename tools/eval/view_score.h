/* What a run says about the picture: 2D tracks of points of its moving mesh, seen through its cameras (TAP-Vid scores), and its camera trajectory. */
#ifndef CH4_EVAL_VIEW_SCORE_H
#define CH4_EVAL_VIEW_SCORE_H

#include <stdio.h>

#include "tools/eval/camera_scores.h"
#include "tools/eval/eval_find.h"
#include "tools/eval/tapvid.h"

/* A moving mesh and a camera per frame; pixels with the origin at the outer corner of the first, x_camera = R x + t. */
typedef struct ch4_view_scene {
    const float *vert;     /* [F,V,3] */
    const int32_t *face;   /* [M,3] */
    const double *K, *R, *t; /* [F,9], [F,9], [F,3] */
    int64_t n_frames, n_vert, n_face;
    double width, height;
} ch4_view_scene;

/* track f32[n,F,2] on the 256 x 256 raster and occluded u8[n,F] of the surface points that lie at query f32[n,3] (t, y, x; raster): the front-most
 * point of the mesh on the query's ray, else the vertex that is seen nearest to it. A point is occluded outside the picture, where its
 * face is turned away, and where the mesh covers it by more than 0.02 (object units). Frame indices of the queries must be in [0,F). CH4_ENOMEM. */
ch4_status ch4_view_tracks(float *track, uint8_t *occluded, const ch4_view_scene *scene, const float *query, int64_t n, ch4_err *err);

/* Queries: the first visible frame of each true track. still: the query's place is kept, always visible; visible: our tracks, never occluded. */
typedef struct ch4_view_score {
    const char *name; /* borrowed from the pair */
    ch4_status status;
    char reason[CH4_ERR_MSG];
    int64_t n_queries;
    ch4_tapvid_score ours, still, visible;
    ch4_trajectory_score camera, camera_aligned; /* no alignment; SE(3) of the centres */
} ch4_view_score;

/* pair: a truth folder with gt.safetensors (points, occluded, R, t) and a run folder with vertices.npy, faces.npy and cameras.json. */
void ch4_view_score_clip(ch4_view_score *out, const ch4_eval_pair *pair);

void       ch4_view_print(FILE *out, const ch4_view_score *score, int64_t n);
ch4_status ch4_view_save_csv(const char *path, const ch4_view_score *score, int64_t n, ch4_err *err);

#endif
