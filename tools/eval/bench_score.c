#include "tools/eval/bench_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/mesh.h"
#include "tools/eval/chamfer.h"
#include "tools/eval/drift.h"
#include "tools/eval/surface_points.h"

ch4_bench_options ch4_bench_defaults(void)
{
    return (ch4_bench_options){.align = CH4_BENCH_PUBLIC, .n_point = 100000, .n_icp = CH4_ICP_POINTS, .seed = CH4_CHAMFER_SEED};
}

/* One clip at work. */
typedef struct clip {
    const ch4_bench_meshes *meshes;
    const ch4_bench_truth *truth;
    const ch4_bench_options *o;
    ch4_bench_trace *trace;
    ch4_pool *pool;
    float *point, *normal, *moved, *moved_normal; /* [n_point,3] samples of a frame */
    float *sync;                                  /* [K,n_point,3] */
    int32_t *sync_face;
    float *sync_bary;
    double *distance; /* [n_point + N] */
    ch4_affine first; /* of frame 0 */
} clip;

static ch4_status alloc_clip(clip *c, ch4_err *err)
{
    size_t n = (size_t)c->o->n_point;
    ch4_status st = ch4_calloc(&c->point, n, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_calloc(&c->normal, n, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_calloc(&c->moved, n, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_calloc(&c->moved_normal, n, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_calloc(&c->sync, n, 3 * sizeof(float) * (size_t)c->truth->n_frames, "samples", err);
    if (!st) st = ch4_calloc(&c->sync_face, n, sizeof(int32_t), "samples", err);
    if (!st) st = ch4_calloc(&c->sync_bary, n, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_calloc(&c->distance, n + (size_t)c->truth->n_point, sizeof(double), "distances", err);
    return st;
}

static void free_clip(clip *c)
{
    free(c->point);
    free(c->normal);
    free(c->moved);
    free(c->moved_normal);
    free(c->sync);
    free(c->sync_face);
    free(c->sync_bary);
    free(c->distance);
}

static ch4_status fit(ch4_affine *out, clip *c, int64_t frame, ch4_err *err)
{
    *out = CH4_AFFINE_IDENTITY;
    if (c->trace && c->trace->given) *out = c->trace->given[frame];
    if (c->o->align == CH4_BENCH_NONE || (c->trace && c->trace->given)) return CH4_OK;
    int64_t n_pred = ch4_min_i64(c->o->n_icp, c->o->n_point), n_gt = ch4_min_i64(c->o->n_icp, c->truth->n_point);
    float *pred = NULL, *gt = NULL;
    ch4_icp_options options = ch4_icp_defaults();
    ch4_icp_result result = {0};
    options.uniform = c->o->align == CH4_BENCH_UNIFORM;
    ch4_status st = ch4_calloc(&pred, (size_t)n_pred, 3 * sizeof(float), "alignment", err);
    if (!st) st = ch4_calloc(&gt, (size_t)n_gt, 3 * sizeof(float), "alignment", err);
    if (!st) st = ch4_icp_subset(pred, c->point, c->o->n_point, n_pred, c->o->seed, err);
    if (!st) st = ch4_icp_subset(gt, c->truth->point + 3 * frame * c->truth->n_point, c->truth->n_point, n_gt, c->o->seed, err);
    if (!st) st = ch4_gradient_icp(&result, NULL, pred, n_pred, gt, n_gt, &options, c->pool, err);
    if (!st) *out = result.transform;
    free(pred);
    free(gt);
    return st;
}

static void set_curve(clip *c, ch4_bench_curve which, int64_t frame, double x)
{
    if (c->trace && c->trace->curve) c->trace->curve[which * c->truth->n_frames + frame] = x;
}

/* *cd: CD-3D, whose queries are among those of the normals. */
static ch4_status score_normals(ch4_bench_score *out, double *cd, clip *c, int64_t frame, const ch4_affine *align, ch4_err *err)
{
    const ch4_bench_mesh *m = &c->meshes->frame[frame];
    const float *gt = c->truth->point + 3 * frame * c->truth->n_point, *gt_normal = c->truth->normal + 3 * frame * c->truth->n_point;
    ch4_shape_score s;
    double self;
    ch4_affine_points(c->moved, align, c->point, c->o->n_point);
    ch4_affine_normals(c->moved_normal, align, c->normal, c->o->n_point);
    ch4_status st = ch4_compute_shape_score(&s, c->distance, c->distance + c->o->n_point, c->moved, c->moved_normal, c->o->n_point, gt, gt_normal,
                                            c->truth->n_point, c->pool, err);
    if (!st) st = ch4_mesh_self_consistency(&self, m->vert, m->face, m->n_face, err);
    if (st) return st;
    double k = (double)c->truth->n_frames;
    out->nc_gt += (s.normal_accuracy + s.normal_completeness) / 2 / k;
    out->nc_signed += (s.normal_accuracy_signed + s.normal_completeness_signed) / 2 / k;
    out->nc_mesh += self / k;
    set_curve(c, CH4_BENCH_NC, frame, (s.normal_accuracy + s.normal_completeness) / 2);
    return ch4_chamfer_of_distances(cd, c->distance, c->o->n_point, c->distance + c->o->n_point, c->truth->n_point, CH4_CHAMFER_QUERIES, c->o->seed, err);
}

/* CD-3D and, where asked for, normals under the frame's own alignment. */
static ch4_status score_shape(double *cd, ch4_bench_score *out, clip *c, int64_t frame, const ch4_affine *own, ch4_err *err)
{
    int64_t n = c->o->n_point, n_gt = c->truth->n_point;
    if (c->o->normals) return score_normals(out, cd, c, frame, own, err);
    ch4_affine_points(c->moved, own, c->point, n);
    return ch4_chamfer(cd, c->moved, n, c->truth->point + 3 * frame * n_gt, n_gt, CH4_CHAMFER_QUERIES, c->o->seed, c->pool, err);
}

/* The share of faces that look away from the true surface. */
static ch4_status opposed_faces(double *share, const clip *c, int64_t frame, ch4_err *err)
{
    const ch4_bench_mesh *m = &c->meshes->frame[frame];
    const float *gt = c->truth->point + 3 * frame * c->truth->n_point, *gt_normal = c->truth->normal + 3 * frame * c->truth->n_point;
    float *middle = NULL, *normal = NULL, *bary = NULL;
    int32_t *index = NULL; /* faces in order, then nearest points */
    int64_t n = m->n_face, opposed = 0;
    ch4_status st = ch4_calloc(&middle, (size_t)n, 3 * sizeof(*middle), "face normals", err);
    if (!st) st = ch4_calloc(&normal, (size_t)n, 3 * sizeof(*normal), "face normals", err);
    if (!st) st = ch4_calloc(&bary, (size_t)n, 3 * sizeof(*bary), "face normals", err);
    if (!st) st = ch4_calloc(&index, (size_t)n, 2 * sizeof(*index), "face normals", err);
    for (int64_t i = 0; !st && i < n; i++) {
        index[i] = (int32_t)i;
        for (int k = 0; k < 3; k++) bary[3 * i + k] = 1 / 3.0f;
    }
    if (!st) {
        ch4_place_samples(middle, normal, index, bary, n, m->vert, m->face);
        ch4_affine_points(middle, &c->first, middle, n);
        ch4_affine_normals(normal, &c->first, normal, n);
        st = ch4_cloud_distances(NULL, index + n, middle, n, gt, c->truth->n_point, c->pool, err);
    }
    for (int64_t i = 0; !st && i < n; i++) {
        const float *a = normal + 3 * i, *b = gt_normal + 3 * (int64_t)index[n + i];
        opposed += a[0] * b[0] + a[1] * b[1] + a[2] * b[2] < 0;
    }
    *share = (double)opposed / (double)n;
    free(middle);
    free(normal);
    free(bary);
    free(index);
    return st;
}

static ch4_status trace_health(clip *c, int64_t frame, ch4_err *err)
{
    const ch4_bench_mesh *m = &c->meshes->frame[frame], *m0 = c->meshes->frame;
    double opposed = NAN;
    if (!c->trace || !c->trace->curve) return CH4_OK;
    if (m->n_vert == m0->n_vert && m->n_face == m0->n_face) set_curve(c, CH4_BENCH_STRETCH, frame, ch4_edge_stretch(m->vert, m0->vert, m->face, m->n_face));
    set_curve(c, CH4_BENCH_VOLUME, frame, ch4_mesh_signed_volume(m->vert, m->face, m->n_face) / ch4_mesh_signed_volume(m0->vert, m0->face, m0->n_face));
    set_curve(c, CH4_BENCH_DIAGONAL, frame, ch4_mesh_diagonal(m->vert, m->n_vert) / ch4_mesh_diagonal(m0->vert, m0->n_vert));
    ch4_status st = c->o->normals && m->n_face > 0 ? opposed_faces(&opposed, c, frame, err) : CH4_OK;
    set_curve(c, CH4_BENCH_OPPOSED, frame, opposed);
    return st;
}

static ch4_status score_frame(ch4_bench_score *out, clip *c, int64_t frame, ch4_err *err)
{
    const ch4_bench_mesh *m = &c->meshes->frame[frame];
    const float *gt = c->truth->point + 3 * frame * c->truth->n_point;
    int64_t n = c->o->n_point, n_gt = c->truth->n_point;
    ch4_affine own;
    double cd_3d = 0, cd_4d = 0, k = (double)c->truth->n_frames;
    ch4_status st = ch4_sample_surface(c->point, c->o->normals ? c->normal : NULL, n, m->vert, m->face, m->n_face, c->o->seed + (uint64_t)frame, err);
    if (st) return st;
    if (c->trace && c->trace->sampled) memcpy(c->trace->sampled + 3 * frame * n, c->point, (size_t)n * 3 * sizeof(float));
    st = fit(&own, c, frame, err);
    if (st) return st;
    if (frame == 0) c->first = c->trace && c->trace->given ? c->trace->given[c->truth->n_frames] : own;
    if (c->trace && c->trace->frame) c->trace->frame[frame] = own;
    st = score_shape(&cd_3d, out, c, frame, &own, err);
    cd_4d = cd_3d;
    if (!st && memcmp(&own, &c->first, sizeof(own)) != 0) {
        ch4_affine_points(c->moved, &c->first, c->point, n);
        st = ch4_chamfer(&cd_4d, c->moved, n, gt, n_gt, CH4_CHAMFER_QUERIES, c->o->seed, c->pool, err);
    }
    set_curve(c, CH4_BENCH_CD_3D, frame, cd_3d);
    set_curve(c, CH4_BENCH_CD_4D, frame, cd_4d);
    out->cd_3d += cd_3d / k, out->cd_4d += cd_4d / k;
    double shrink = cbrt(fabs(ch4_affine_determinant(&own)));
    out->floor += ch4_sampling_floor(ch4_surface_area(m->vert, m->face, m->n_face) * shrink * shrink, n) / k;
    return st ? st : trace_health(c, frame, err);
}

static ch4_status score_motion(ch4_bench_score *out, clip *c, ch4_err *err)
{
    const ch4_bench_mesh *m = c->meshes->frame;
    int64_t n = c->o->n_point, k = c->truth->n_frames;
    out->cd_motion = NAN;
    if (!ch4_bench_same_topology(NULL, c->meshes)) return CH4_OK;
    ch4_status st = ch4_sample_faces(c->sync_face, c->sync_bary, n, m->vert, m->face, m->n_face, c->o->seed, err);
    if (st) return st;
    for (int64_t f = 0; f < k; f++) {
        float *at = c->sync + 3 * f * n;
        ch4_place_samples(at, NULL, c->sync_face, c->sync_bary, n, c->meshes->frame[f].vert, m->face);
        if (c->trace && c->trace->sampled_sync) memcpy(c->trace->sampled_sync + 3 * f * n, at, (size_t)n * 3 * sizeof(float));
        ch4_affine_points(at, &c->first, at, n);
    }
    if (c->trace && c->trace->sync_face) memcpy(c->trace->sync_face, c->sync_face, (size_t)n * sizeof(int32_t));
    if (c->trace && c->trace->sync_bary) memcpy(c->trace->sync_bary, c->sync_bary, (size_t)n * 3 * sizeof(float));
    double *curve = c->trace && c->trace->curve ? c->trace->curve + CH4_BENCH_CD_MOTION * k : NULL;
    return ch4_chamfer_motion(&out->cd_motion, curve, c->sync, n, c->truth->point, c->truth->n_point, k, c->pool, err);
}

ch4_status ch4_compute_bench_score(ch4_bench_score *out, const ch4_bench_meshes *meshes, const ch4_bench_truth *truth, const ch4_bench_options *options,
                                   ch4_bench_trace *trace, ch4_pool *pool, ch4_err *err)
{
    clip c = {.meshes = meshes, .truth = truth, .o = options, .trace = trace, .pool = pool};
    *out = (ch4_bench_score){0};
    if (meshes->n_frames < truth->n_frames)
        return ch4_err_set(err, CH4_EFORMAT, "Not enough meshes: found %lld, need %lld", (long long)meshes->n_frames, (long long)truth->n_frames);
    ch4_status st = alloc_clip(&c, err);
    for (int64_t i = 0; trace && trace->curve && i < CH4_BENCH_CURVES * truth->n_frames; i++) trace->curve[i] = NAN;
    for (int64_t f = 0; !st && f < truth->n_frames; f++) {
        st = score_frame(out, &c, f, err);
        if (st) ch4_err_wrap(err, st, "frame %lld", (long long)f);
    }
    if (!st) st = score_motion(out, &c, err);
    if (!options->normals) out->nc_gt = out->nc_signed = out->nc_mesh = NAN;
    free_clip(&c);
    return st;
}

ch4_status ch4_bench_fit_first(ch4_affine *out, const ch4_bench_meshes *meshes, const ch4_bench_truth *truth, const ch4_bench_options *options, ch4_pool *pool,
                               ch4_err *err)
{
    clip c = {.meshes = meshes, .truth = truth, .o = options, .pool = pool};
    const ch4_bench_mesh *m = &meshes->frame[0];
    ch4_status st = ch4_calloc(&c.point, (size_t)options->n_point, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_sample_surface(c.point, NULL, options->n_point, m->vert, m->face, m->n_face, options->seed, err);
    if (!st) st = fit(out, &c, 0, err);
    free(c.point);
    return st;
}
