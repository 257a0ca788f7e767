/* A run seen through its cameras, and the truth that it is compared with: tracks, cameras and points of a clip with gt.safetensors. */
#ifndef CH4_EVAL_RUN_VIEW_H
#define CH4_EVAL_RUN_VIEW_H

#include "tensor/safetensors.h"
#include "tools/eval/view_tracks.h"

/* n tracks over F frames. Views of the mapped file; K in pixels of a picture of width x height. */
typedef struct ch4_truth_view {
    ch4_safetensors *file;
    const float *point;      /* [n,F,2] in [0,1] */
    const uint8_t *occluded; /* [n,F] */
    const float *xyz;        /* [n,F,3] in the camera of each frame; NULL where the file has none */
    const double *K, *R, *t; /* [F,9], [F,9], [F,3] */
    int64_t n, n_frames;
} ch4_truth_view;

/* folder/gt.safetensors. CH4_ENOENT, CH4_EFORMAT. Close also after an error. */
ch4_status ch4_truth_view_open(ch4_truth_view *out, const char *folder, ch4_err *err);
void       ch4_truth_view_close(ch4_truth_view *view);

/* The points of a track in object coordinates: x = R^T (xyz - t). */
void ch4_truth_view_point(double x[3], const ch4_truth_view *view, int64_t track, int64_t frame);

typedef struct ch4_run_view {
    ch4_buf vert_buf, face_buf;
    double *camera;       /* owns K, R, t of the scene */
    ch4_view_scene scene; /* finite vertices, faces inside their range */
} ch4_run_view;

/* folder/{vertices.npy,faces.npy,cameras.json} with n_frames frames. CH4_ENOENT, CH4_EFORMAT. Free with fini, also after an error. */
ch4_status ch4_run_view_load(ch4_run_view *out, const char *folder, int64_t n_frames, ch4_err *err);
void       ch4_run_view_fini(ch4_run_view *run);

#endif
