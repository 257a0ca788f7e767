/* Chamfer distances as ActionBench's public code has them (actionbench/chamfer.py), and shape scores on distances.
 *
 * CD is the sum of the two mean nearest distances: not squared, not halved. Plain functions over arrays; point sets f32[n,3], finite, n >= 1. */
#ifndef CH4_EVAL_CHAMFER_H
#define CH4_EVAL_CHAMFER_H

#include "base/base.h"

enum { CH4_CHAMFER_QUERIES = 10000, CH4_CHAMFER_SEED = 44 }; /* of the public benchmark */

/* forward f64[n_a] (may be NULL): distance of each point of a to the nearest of b, to_b i32[n_a] (may be NULL) which one.
 * CH4_EFORMAT (empty, not finite), CH4_ENOMEM. */
ch4_status ch4_cloud_distances(double *distance, int32_t *to_b, const float *a, int64_t n_a, const float *b, int64_t n_b, ch4_pool *pool, ch4_err *err);

double ch4_mean_f64(const double *x, int64_t n); /* NAN for n == 0 */

/* CD of pred and gt. The queries are the first n_query of RandomState(seed).permutation of pred and of RandomState(seed + 1) of gt; a set of at most
 * n_query points, and any set if n_query <= 0, is used whole. What is searched is always the whole other set. */
ch4_status ch4_chamfer(double *cd, const float *pred, int64_t n_pred, const float *gt, int64_t n_gt, int64_t n_query, uint32_t seed, ch4_pool *pool,
                       ch4_err *err);

/* The same from the distances of all points of both sets: pred_distance f64[n_pred] to gt, gt_distance f64[n_gt] to pred. CH4_ENOMEM. */
ch4_status ch4_chamfer_of_distances(double *cd, const double *pred_distance, int64_t n_pred, const double *gt_distance, int64_t n_gt, int64_t n_query,
                                    uint32_t seed, ch4_err *err);

/* CD-M: pred f32[K,n_pred,3] and gt f32[K,n_gt,3], the same points in all K frames. Nearest neighbours are fixed in frame 0, over all points, both ways;
 * the sum of the two means over points and frames (frame 0 too) of the distance between partners. frame f64[K] (may be NULL): the same for each frame. */
ch4_status ch4_chamfer_motion(double *cd, double *frame, const float *pred, int64_t n_pred, const float *gt, int64_t n_gt, int64_t n_frames,
                              ch4_pool *pool, ch4_err *err);

/* Scores of two point sets with unit normals (may be NULL, then normal scores are NAN), all points queried; occupancy networks, im2mesh/eval.py.
 * accuracy: pred to gt; completeness: gt to pred. Normal scores: mean |n . n'| at nearest neighbours, and without the absolute value. */
typedef struct ch4_shape_score {
    double accuracy, completeness, accuracy2, completeness2; /* mean distance, mean squared distance */
    double normal_accuracy, normal_completeness;             /* absolute */
    double normal_accuracy_signed, normal_completeness_signed;
} ch4_shape_score;

ch4_status ch4_compute_shape_score(ch4_shape_score *out, double *pred_distance, double *gt_distance, const float *pred, const float *pred_normal, int64_t n_pred,
                                   const float *gt, const float *gt_normal, int64_t n_gt, ch4_pool *pool, ch4_err *err);

/* 2PR / (P + R), shares of distances <= threshold; 0 where both are 0. */
double ch4_fscore(const double *pred_distance, int64_t n_pred, const double *gt_distance, int64_t n_gt, double threshold);

/* Intersection over union of two occupancies (nonzero: inside); NAN if both are empty. */
double ch4_occupancy_iou(const uint8_t *a, const uint8_t *b, int64_t n);

/* Mean over pairs of faces that share an edge of the cosine between their normals; no truth involved (PyTorch3D: 1 - mesh_normal_consistency). An
 * edge of more than two faces counts each pair. NAN without such pairs. CH4_ENOMEM. */
ch4_status ch4_mesh_self_consistency(double *out, const float *vert, const int32_t *face, int64_t n_face, ch4_err *err);

#endif
