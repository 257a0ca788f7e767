#include "stages/pose/pose_window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stages/pose/rays.h"
#include "stages/pose/silhouette.h"

/* Of the matches against the outline. 16 unseen creatures, mini model, 0.3: rotation off by 5.7 degrees in the mean with the true mesh, 14.6 with
 * generated ones (1: 6.2 and 17.7; 2: 6.8 and 15.6; PnP alone 24.6 and 22.1). */
#define MATCH_WEIGHT 0.3

enum { PATCH_PX = 16, TRUSTED_INLIERS = 30, TRUSTED_PERCENT = 60 }; /* side of a patch in the image that thresholds are given for: 256 pixels, 16 patches */

const char *ch4_camera_status_name(int status)
{
    static const char *const name[] = {
#define X(id, text) [id] = (text),
        CH4_CAMERA_STATUS_LIST(X)
#undef X
    };
    return status >= 0 && status < CH4_CAMERA_STATUS_COUNT ? name[status] : "unknown";
}

void ch4_queries_fini(ch4_queries *q)
{
    free(q->pixel);
    free(q->face);
    free(q->bary);
    *q = (ch4_queries){0};
}

void ch4_pose_result_fini(ch4_pose_result *r)
{
    free(r->camera);
    free(r->uv);
    free(r->xyz);
    *r = (ch4_pose_result){0};
}

static ch4_intrinsics intrinsics_of(const ch4_pose_input *in, const ch4_pose_options *opt)
{
    return ch4_intrinsics_make(opt->focal, (double)in->side, (double)in->side);
}

/* A patch is an image of a patch's width: pixel lengths follow it. */
static ch4_pnp_options scaled(const ch4_pose_input *in, const ch4_pose_options *opt, int64_t frame)
{
    ch4_pnp_options o = opt->pnp;
    double scale = (double)in->side / (double)in->grid / PATCH_PX;
    o.threshold_px *= scale;
    o.cauchy_px *= scale;
    o.stream = (uint64_t)in->frame_index[frame];
    return o;
}

/* Anchor patches of which at least half is foreground. */
static bool patch_is_object(const ch4_pose_input *in, int64_t p)
{
    int64_t y0 = p / in->grid * in->side / in->grid, y1 = (p / in->grid + 1) * in->side / in->grid, count = 0;
    int64_t x0 = p % in->grid * in->side / in->grid, x1 = (p % in->grid + 1) * in->side / in->grid;
    for (int64_t y = y0; y < y1; y++)
        for (int64_t x = x0; x < x1; x++)
            count += in->alpha[y * in->side + x] >= 128;
    return 2 * count >= (y1 - y0) * (x1 - x0) && count > 0;
}

/* 2D-3D pairs of one frame: the vertex that Eq. 7 gives an anchor patch, where it is in this frame, and where Eq. 6 finds the patch. */
static int64_t collect_pairs(double *object, double *image, const uint8_t *is_object, const ch4_pose_input *in, int64_t frame)
{
    int64_t n = 0;
    for (int64_t p = 0; p < in->P; p++) {
        int64_t at = frame * in->P + p;
        if (!is_object[p] || !(in->vertex_score[p] > 0) || !(in->score[at] > 0))
            continue;
        const float *x = in->vertices + 3 * (frame * in->V + in->vertex[p]);
        for (int k = 0; k < 3; k++)
            object[3 * n + k] = x[k];
        for (int k = 0; k < 2; k++)
            image[2 * n + k] = in->match_xy[2 * at + k];
        n++;
    }
    return n;
}

typedef struct frame_pairs {
    double *object, *image; /* [n,3], [n,2] */
    int64_t n;
} frame_pairs;

static void pairs_fini(frame_pairs *p)
{
    free(p->object);
    free(p->image);
}

static ch4_status pairs_init(frame_pairs *p, const ch4_pose_input *in, int64_t frame, ch4_err *err)
{
    uint8_t *is_object = NULL;
    ch4_status st;
    *p = (frame_pairs){0};
    if ((st = ch4_calloc(&p->object, (size_t)in->P * 3, sizeof *p->object, "pairs", err)) ||
        (st = ch4_calloc(&p->image, (size_t)in->P * 2, sizeof *p->image, "pairs", err)) || (st = ch4_calloc(&is_object, (size_t)in->P, 1, "pairs", err)))
        return st;
    for (int64_t i = 0; i < in->P; i++)
        is_object[i] = patch_is_object(in, i);
    p->n = collect_pairs(p->object, p->image, is_object, in, frame);
    free(is_object);
    return CH4_OK;
}

/* The frame's own camera; status none where it cannot be solved (the pose is then zero). */
static ch4_status solve_frame(ch4_camera *out, int64_t *pairs, const ch4_pose_input *in, int64_t frame, const ch4_pose_options *opt, ch4_err *err)
{
    frame_pairs p;
    ch4_pnp_options pnp = scaled(in, opt, frame);
    ch4_pnp_result r = {0};
    ch4_status st = pairs_init(&p, in, frame, err);
    if (st == CH4_OK)
        st = ch4_pnp_solve(&r, NULL, p.object, p.image, p.n, intrinsics_of(in, opt), &pnp, err);
    *pairs = p.n;
    *out = (ch4_camera){.pose = r.pose, .pnp = (uint8_t)r.status, .inliers = (int32_t)r.inliers, .status = CH4_CAMERA_NONE};
    if (st == CH4_OK && r.status == CH4_PNP_OK)
        out->status = CH4_CAMERA_SOLVED;
    else if (st == CH4_OK && r.status == CH4_PNP_OK_FALLBACK)
        out->status = CH4_CAMERA_SOLVED_SQPNP;
    pairs_fini(&p);
    return st;
}

/* Outline and matches of the anchor frame together, from PnP's pose if there is one; *camera is left alone where that finds nothing. */
static ch4_status help_with_outline(ch4_camera *camera, const ch4_pose_input *in, const ch4_pose_options *opt, ch4_err *err)
{
    frame_pairs p;
    ch4_pnp_options pnp = scaled(in, opt, in->anchor);
    ch4_rigid pose;
    double score;
    bool found = false;
    ch4_status st = pairs_init(&p, in, in->anchor, err);
    ch4_outline_input o = {.vertices = in->vertices + 3 * in->anchor * in->V, .faces = in->faces, .V = in->V, .F = in->F, .alpha = in->alpha,
                           .side = in->side, .pairs = {.object = p.object, .image = p.image, .n = p.n},
                           .match_weight = MATCH_WEIGHT, .view = opt->has_view ? opt->view : NULL, .view_weight = opt->has_view ? opt->view_weight : 0, .patch_px = (double)in->side / (double)in->grid, .k = intrinsics_of(in, opt), .seed = opt->pnp.seed};
    if (st == CH4_OK)
        st = ch4_pose_from_outline(&pose, &score, &found, &o, camera->status == CH4_CAMERA_NONE ? NULL : &camera->pose, err);
    if (st == CH4_OK && found) {
        *camera = (ch4_camera){.pose = pose, .status = CH4_CAMERA_OUTLINE, .pnp = camera->pnp};
        for (int64_t i = 0; i < p.n; i++) {
            double y[3], uv[2];
            ch4_rigid_apply(y, &pose, p.object + 3 * i);
            camera->inliers += ch4_project(uv, o.k, y) && hypot(uv[0] - p.image[2 * i], uv[1] - p.image[2 * i + 1]) <= pnp.threshold_px;
        }
    }
    pairs_fini(&p);
    return st;
}

/* Looks at the front of the canonical cube from where it just fills the picture. */
static ch4_rigid frontal(const ch4_pose_options *opt)
{
    return (ch4_rigid){.R = {1, 0, 0, 0, -1, 0, 0, 0, -1}, .t = {0, 0, 1 + opt->focal}};
}

ch4_status ch4_pose_anchor(ch4_camera *out, const ch4_pose_input *in, const ch4_pose_options *opt, ch4_err *err)
{
    ch4_camera own = {0};
    int64_t pairs = 0;
    ch4_status st = solve_frame(&own, &pairs, in, in->anchor, opt, err);
    *out = own;
    bool trusted = own.inliers >= TRUSTED_INLIERS && 100 * own.inliers >= TRUSTED_PERCENT * pairs;
    if (st == CH4_OK && opt->outline && !trusted)
        st = help_with_outline(out, in, opt, err);
    for (int64_t d = 1; st == CH4_OK && out->status == CH4_CAMERA_NONE && d < in->T; d++)
        for (int64_t sign = -1; st == CH4_OK && sign <= 1 && out->status == CH4_CAMERA_NONE; sign += 2) {
            int64_t f = in->anchor + sign * d;
            if (f < 0 || f >= in->T)
                continue;
            ch4_camera other;
            st = solve_frame(&other, &pairs, in, f, opt, err);
            if (st == CH4_OK && other.status != CH4_CAMERA_NONE)
                *out = (ch4_camera){.pose = other.pose, .status = CH4_CAMERA_KEPT, .pnp = own.pnp};
        }
    if (st == CH4_OK && out->status == CH4_CAMERA_NONE)
        out->pose = frontal(opt);
    return st;
}

ch4_status ch4_pose_queries(ch4_queries *out, int64_t *missed, const ch4_pose_input *in, const ch4_camera *anchor, const ch4_pose_options *opt,
                            ch4_pool *pool, ch4_err *err)
{
    int64_t stride = opt->track_stride, per_side = (in->side + stride - 1) / stride, n = 0;
    double *points = NULL;
    ch4_hit *hits = NULL;
    ch4_raymesh *mesh = NULL;
    ch4_status st;
    *out = (ch4_queries){0};
    *missed = 0;
    if (anchor->status == CH4_CAMERA_NONE)
        return CH4_OK;
    size_t most = (size_t)(per_side * per_side);
    if ((st = ch4_calloc(&points, most * 2, sizeof *points, "tracks", err)) || (st = ch4_calloc(&hits, most, sizeof *hits, "tracks", err)) ||
        (st = ch4_calloc(&out->pixel, most * 2, sizeof *out->pixel, "tracks", err)) || (st = ch4_calloc(&out->face, most, sizeof *out->face, "tracks", err)) ||
        (st = ch4_calloc(&out->bary, most * 3, sizeof *out->bary, "tracks", err)) ||
        (st = ch4_raymesh_create(&mesh, in->vertices + 3 * in->anchor * in->V, in->V, in->faces, in->F, err)))
        goto out;
    for (int64_t y = stride / 2; y < in->side; y += stride)
        for (int64_t x = stride / 2; x < in->side; x += stride)
            if (in->alpha[y * in->side + x] >= 128) {
                points[2 * n] = (double)x + 0.5;
                points[2 * n++ + 1] = (double)y + 0.5;
            }
    ch4_raymesh_cast_pixels(mesh, hits, points, n, intrinsics_of(in, opt), &anchor->pose, pool);
    for (int64_t i = 0; i < n; i++) {
        if (hits[i].face < 0) {
            ++*missed;
            continue;
        }
        for (int k = 0; k < 2; k++)
            out->pixel[2 * out->Q + k] = (float)points[2 * i + k];
        for (int k = 0; k < 3; k++)
            out->bary[3 * out->Q + k] = (float)hits[i].bary[k];
        out->face[out->Q++] = hits[i].face;
    }
out:
    free(points);
    free(hits);
    ch4_raymesh_destroy(&mesh);
    if (st != CH4_OK)
        ch4_queries_fini(out);
    return st;
}

/* --- all frames of a window, one item each ------------------------------------------------------------------------------------- */

typedef struct window_job {
    ch4_pose_result *out;
    const ch4_pose_input *in;
    const ch4_camera *anchor;
    const ch4_queries *queries;
    const ch4_pose_options *opt;
    double *bary;
    ch4_status *status; /* [T] */
    ch4_err *errs;
    int64_t *pairs;
} window_job;

static ch4_status track_one(const window_job *j, int64_t frame, ch4_err *err)
{
    int64_t q = j->queries->Q;
    double *xyz = NULL, *uv = NULL;
    ch4_status st = ch4_calloc(&xyz, (size_t)q * 3, sizeof *xyz, "tracks", err);
    if (st == CH4_OK)
        st = ch4_calloc(&uv, (size_t)q * 2, sizeof *uv, "tracks", err);
    if (st == CH4_OK) {
        ch4_track_frame(xyz, uv, j->queries->face, j->bary, q, j->in->vertices + 3 * frame * j->in->V, j->in->V, j->in->faces, j->in->F, j->out->k,
                        &j->anchor->pose);
        for (int64_t i = 0; i < 3 * q; i++)
            j->out->xyz[3 * frame * q + i] = (float)xyz[i];
        for (int64_t i = 0; i < 2 * q; i++)
            j->out->uv[2 * frame * q + i] = (float)uv[i];
    }
    free(xyz);
    free(uv);
    return st;
}

static void frame_item(void *ctx, int64_t frame, int worker)
{
    const window_job *j = ctx;
    ch4_camera *c = &j->out->camera[frame];
    (void)worker;
    ch4_status st = CH4_OK;
    if (j->opt->anchor_only)
        *c = (ch4_camera){.pose = j->anchor->pose, .pnp = j->anchor->pnp, .inliers = j->anchor->inliers,
                          .status = j->anchor->status == CH4_CAMERA_NONE ? CH4_CAMERA_NONE : CH4_CAMERA_ANCHOR};
    else
        st = solve_frame(c, &j->pairs[frame], j->in, frame, j->opt, &j->errs[frame]);
    if (st == CH4_OK)
        st = track_one(j, frame, &j->errs[frame]);
    j->status[frame] = st;
}

/* From the anchor slot outwards: a frame that has no camera of its own takes the one of its neighbour, the anchor frame the clip's anchor. */
static void fill_gaps(ch4_camera *camera, int64_t T, int64_t a, const ch4_camera *anchor)
{
    for (int64_t i = 0; i < T; i++) {
        int64_t f = i <= T - 1 - a ? a + i : T - 1 - i; /* a .. T-1, then a-1 .. 0 */
        ch4_camera *c = &camera[f];
        const ch4_camera *from = f == a ? anchor : f > a ? &camera[f - 1] : &camera[f + 1];
        if (c->status != CH4_CAMERA_NONE)
            continue;
        c->pose = from->pose;
        c->inliers = 0;
        c->status = from->status == CH4_CAMERA_NONE ? CH4_CAMERA_NONE : CH4_CAMERA_KEPT;
    }
}

ch4_status ch4_pose_window(ch4_pose_result *out, const ch4_pose_input *in, const ch4_camera *anchor, const ch4_queries *queries,
                           const ch4_pose_options *opt, ch4_pool *pool, ch4_err *err)
{
    window_job j = {.out = out, .in = in, .anchor = anchor, .queries = queries, .opt = opt};
    size_t T = (size_t)in->T, q = (size_t)queries->Q;
    ch4_status st;
    *out = (ch4_pose_result){.k = intrinsics_of(in, opt), .threshold_px = scaled(in, opt, in->anchor).threshold_px};
    if ((st = ch4_calloc(&out->camera, T, sizeof *out->camera, "cameras", err)) || (st = ch4_calloc(&out->uv, T * q * 2, sizeof *out->uv, "tracks", err)) ||
        (st = ch4_calloc(&out->xyz, T * q * 3, sizeof *out->xyz, "tracks", err)) || (st = ch4_calloc(&j.bary, q * 3, sizeof *j.bary, "tracks", err)) ||
        (st = ch4_calloc(&j.status, T, sizeof *j.status, "frames", err)) || (st = ch4_calloc(&j.errs, T, sizeof *j.errs, "frames", err)) ||
        (st = ch4_calloc(&j.pairs, T, sizeof *j.pairs, "frames", err)))
        goto out;
    for (size_t i = 0; i < 3 * q; i++)
        j.bary[i] = queries->bary[i];
    ch4_pool_run(pool, in->T, frame_item, &j);
    for (int64_t f = 0; f < in->T; f++) {
        out->pairs = ch4_max_i64(out->pairs, j.pairs[f]);
        if (st == CH4_OK && j.status[f] != CH4_OK) {
            if (err)
                *err = j.errs[f];
            st = j.status[f];
        }
    }
    fill_gaps(out->camera, in->T, in->anchor, anchor);
out:
    free(j.bary);
    free(j.status);
    free(j.errs);
    free(j.pairs);
    if (st != CH4_OK)
        ch4_pose_result_fini(out);
    return st;
}
