/* A clip in ActionBench's layout: surfaces.npy as truth, one mesh per frame as prediction. */
#ifndef CH4_EVAL_BENCH_CLIP_H
#define CH4_EVAL_BENCH_CLIP_H

#include "base/base.h"

/* K frames of the same N material points. */
typedef struct ch4_bench_truth {
    int64_t n_frames, n_point;
    float *point;  /* [K,N,3] */
    float *normal; /* [K,N,3] unit, outward */
} ch4_bench_truth;

/* folder/surfaces.npy: (K,N,6), float16, 32 or 64. CH4_ENOENT, CH4_EFORMAT. Free with fini, also after an error. */
ch4_status ch4_bench_truth_load(ch4_bench_truth *out, const char *folder, ch4_err *err);
void       ch4_bench_truth_fini(ch4_bench_truth *truth);

typedef struct ch4_bench_mesh {
    float *vert;   /* [n_vert,3] */
    int32_t *face; /* [n_face,3] */
    int64_t n_vert, n_face;
} ch4_bench_mesh;

typedef struct ch4_bench_meshes {
    ch4_bench_mesh *frame; /* [n_frames]; each owns its arrays */
    int64_t n_frames;
} ch4_bench_meshes;

/* The first n_frames of folder/mesh_*.glb in natural order (numbers by value); without such files the frames of vertices.npy and faces.npy of a chain4d run.
 * CH4_ENOENT: neither; CH4_EFORMAT: fewer than n_frames, or what is wrong with a file. Free with fini, also after an error. */
ch4_status ch4_bench_meshes_load(ch4_bench_meshes *out, const char *folder, int64_t n_frames, ch4_err *err);

/* n_frames copies from vert f32[n_frames,n_vert,3] and one face array, for baselines. */
ch4_status ch4_bench_meshes_of(ch4_bench_meshes *out, const float *vert, int64_t n_frames, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);
void       ch4_bench_meshes_fini(ch4_bench_meshes *meshes);

/* Identical face arrays in all frames; where differs (may be NULL): the first frame that differs from frame 0, else -1. */
bool ch4_bench_same_topology(int64_t *where, const ch4_bench_meshes *meshes);

#endif
