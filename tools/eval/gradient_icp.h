/* Alignment of a predicted to a true point cloud as ActionBench's public code does it (actionbench/icp.py): gradient descent from 24 rotations, not
 * classical ICP. Arithmetic in double, nearest neighbours in float32; agrees with the float32 reference to 1e-5 in the scores.
 *
 * Row vectors: x' = (s * x) R0 Q(r) + T with an anisotropic scale s in the prediction's own axes, a fixed start rotation R0, a free rotation Q from
 * six numbers (Gram-Schmidt of its first two rows) and a translation T. */
#ifndef CH4_EVAL_GRADIENT_ICP_H
#define CH4_EVAL_GRADIENT_ICP_H

#include "base/base.h"

enum { CH4_ICP_STARTS = 24, CH4_ICP_POINTS = 10000 };

/* x' = x A + t (row vector); NC and CD are computed on what this gives. */
typedef struct ch4_affine {
    double A[9], t[3];
} ch4_affine;

#define CH4_AFFINE_IDENTITY ((ch4_affine){{1, 0, 0, 0, 1, 0, 0, 0, 1}, {0, 0, 0}})

double ch4_affine_determinant(const ch4_affine *m);
/* out f32[n,3] may be x. */
void ch4_affine_points(float *out, const ch4_affine *m, const float *x, int64_t n);
/* Unit normals by the inverse transpose of A; normals of length 0 stay. out may be x. */
void ch4_affine_normals(float *out, const ch4_affine *m, const float *x, int64_t n);

/* The starts R0, row-major. Of the public 24 two are there twice and two quarter turns are missing (all_different false); all_different puts the missing
 * ones in place of the second copies. */
void ch4_icp_starts(double R0[CH4_ICP_STARTS][9], bool all_different);

typedef struct ch4_icp_options {
    int n_iter;         /* 200 */
    double rate;        /* of Adam, 0.01 */
    bool uniform;       /* one scale for all axes (ours) */
    bool all_different; /* starts */
} ch4_icp_options;

ch4_icp_options ch4_icp_defaults(void);

typedef struct ch4_icp_result {
    ch4_affine transform;
    double loss;   /* of the best step: mean squared nearest distance, both ways summed */
    int iter, start;
} ch4_icp_result;

/* Best over all starts and steps of the objective before the step; with the rotation before and translation and scale after that step, as the public script
 * stores them. pred f32[n_pred,3], gt f32[n_gt,3]: all points are used. history f64[n_iter,24] (may be NULL): the objectives.
 * The starts run in parallel on pool. CH4_EFORMAT (empty, not finite), CH4_ENOMEM. */
ch4_status ch4_gradient_icp(ch4_icp_result *out, double *history, const float *pred, int64_t n_pred, const float *gt, int64_t n_gt,
                            const ch4_icp_options *options, ch4_pool *pool, ch4_err *err);

/* The public choice of points: the first n of RandomState(seed).permutation of the cloud; all of it if it has no more. out f32[min(n,n_point),3]. */
ch4_status ch4_icp_subset(float *out, const float *point, int64_t n_point, int64_t n, uint32_t seed, ch4_err *err);

#endif
