/* What the evaluator reads: the truth of a clip (a folder of `chain4d synth creatures`) and the results of a run for it. */
#ifndef CH4_EVAL_CLIP_H
#define CH4_EVAL_CLIP_H

#include "base/base.h"
#include "tensor/safetensors.h"

/* F frames, V vertices, M faces. Views of the mapped file; freed by close. */
typedef struct ch4_eval_truth {
    ch4_safetensors *file;
    int64_t n_frames, n_vert, n_face;
    const float *vert;   /* [F,V,3] canonical cube */
    const int32_t *face; /* [M,3] */
    const double *R;     /* [F,9] OpenCV camera */
} ch4_eval_truth;

/* folder/gt.safetensors. CH4_ENOENT, CH4_EFORMAT (what does not fit). */
ch4_status ch4_eval_truth_open(ch4_eval_truth *out, const char *folder, ch4_err *err);
void       ch4_eval_truth_close(ch4_eval_truth *truth);

/* Results of one clip: OUT/CLIP of a run. */
typedef struct ch4_eval_result {
    int64_t n_frames, n_vert;
    ch4_buf vert_buf;
    const float *vert;       /* [n_frames,n_vert,3] in the coordinates of the given mesh, else canonical */
    double *R;               /* [n_frames,9], NULL without cameras.json */
    float *surface;          /* decoded surface points of all frames one after the other, same coordinates; NULL without window files */
    int64_t *surface_begin;  /* [n_frames + 1]: points of frame f are surface_begin[f] .. surface_begin[f + 1] - 1 */
} ch4_eval_result;

/* vertices.npy must be there; cameras.json and the window files need not, but what is there must be whole: each frame of the clip
 * has a camera, and surface points in exactly one window (a frame that two windows share counts for the earlier one).
 * CH4_ENOENT, CH4_EFORMAT. The caller frees *out with fini, also after an error. */
ch4_status ch4_eval_result_load(ch4_eval_result *out, const char *folder, ch4_err *err);
void       ch4_eval_result_fini(ch4_eval_result *result);

#endif
