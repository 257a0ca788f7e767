/* Cameras of a run against the truth. */
#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/eval/bench_clip.h"
#include "tools/eval/families.h"
#include "tools/eval/pose_errors.h"
#include "tools/eval/run_view.h"
#include "tools/synth/creature_render.h"

enum { OURS, ORACLE, FIRST_CAMERA, METHODS };
enum { ROT, ROT_MEDIAN, CENTRE, AUC5, AUC10, AUC30, JITTER, JITTER_C, ATE, ATE_SE3, ATE_SIM3, RPE, RPE_DEG, PIXEL, PIXEL90, SILHOUETTE, COLUMNS };

static const char *const METHOD[METHODS] = {"ours", "oracle", "first_camera"};
static const ch4_score_column COLUMN[COLUMNS] = {
    {"rotation_deg", "rot", 3, "rotation error, degrees"}, {"rotation_median_deg", "rot med", 3, NULL}, {"centre", "centre", 4, NULL}, {"auc5", "AUC5", 3, NULL},
    {"auc10", "AUC10", 3, NULL}, {"auc30", "AUC30", 3, NULL}, {"jitter_deg", "jit rot", 3, NULL}, {"jitter_centre", "jit c", 4, NULL}, {"ate", "ATE", 4, NULL},
    {"ate_se3", "ATE SE3", 4, NULL}, {"ate_sim3", "ATE Sim3", 4, NULL}, {"rpe", "RPE", 4, NULL}, {"rpe_deg", "RPE rot", 3, NULL}, {"reprojection", "px med", 2, NULL},
    {"reprojection_90", "px 90%", 2, NULL}, {"silhouette_iou", "sil IoU", 3, NULL},
};
static const ch4_score_family FAMILY = {
    .key = "cameras",
    .about = "Cameras. rot: degrees; centre: error of the camera's place over its distance; AUC: of the larger of rotation and direction error up to 5, 10, 30 degrees;\n"
             "jit: rms deviation of the error from its mean; ATE, RPE: trajectory of the centres (evo), unaligned, SE(3), Sim(3); px: reprojection of true visible\n"
             "points at 256 px; sil IoU: picture of the mesh against the alpha of the frames. first_camera: the true camera of frame 0 throughout.\n",
    .note = "gauge",
    .column = COLUMN,
    .n_column = COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = FIRST_CAMERA,
};

/* --- trajectory ---------------------------------------------------------------------------------------------------------------------------------- */

/* Camera to world of world to camera. */
static void invert_pose(double out[16], const double R[9], const double t[3])
{
    for (int r = 0; r < 3; r++) {
        for (int k = 0; k < 3; k++) out[4 * r + k] = R[3 * k + r];
        out[4 * r + 3] = -(R[r] * t[0] + R[3 + r] * t[1] + R[6 + r] * t[2]);
    }
    out[12] = out[13] = out[14] = 0;
    out[15] = 1;
}

static ch4_status score_trajectory(double *x, ch4_poses pred, ch4_poses truth, ch4_err *err)
{
    int64_t F = truth.n;
    double *pose = NULL;
    ch4_trajectory_score s[3];
    ch4_status st = ch4_calloc(&pose, (size_t)F, 32 * sizeof(*pose), "cameras", err);
    for (int64_t f = 0; !st && f < F; f++) {
        invert_pose(pose + 16 * f, pred.R + 9 * f, pred.t + 3 * f);
        invert_pose(pose + 16 * (F + f), truth.R + 9 * f, truth.t + 3 * f);
    }
    for (int a = CH4_TRAJECTORY_NONE; !st && a <= CH4_TRAJECTORY_SIM3; a++) st = ch4_compute_trajectory(&s[a], pose, pose + 16 * F, F, (ch4_trajectory_align)a, err);
    if (!st) {
        x[ATE] = s[0].ate_translation.rmse, x[ATE_SE3] = s[1].ate_translation.rmse, x[ATE_SIM3] = s[2].ate_translation.rmse;
        x[RPE] = s[0].rpe_translation.rmse, x[RPE_DEG] = s[0].rpe_rotation.mean;
    }
    free(pose);
    return st;
}

static ch4_status score_poses(double *x, ch4_poses pred, ch4_poses truth, ch4_err *err)
{
    ch4_pose_score s;
    ch4_status st = ch4_compute_poses(&s, pred, truth, err);
    if (st) return st;
    x[ROT] = s.rotation_mean, x[ROT_MEDIAN] = s.rotation_median, x[CENTRE] = s.centre_mean;
    for (int k = 0; k < CH4_POSE_AUC; k++) x[AUC5 + k] = s.auc[k];
    x[JITTER] = s.jitter_rotation, x[JITTER_C] = s.jitter_centre;
    return score_trajectory(x, pred, truth, err);
}

/* --- reprojection ---------------------------------------------------------------------------------------------------------------------------------- */

/* Pixel errors, at 256 px, of the truth's visible tracked points. K of the prediction refers to a picture of its own size. */
static ch4_status score_pixels(double *x, const ch4_truth_view *truth, ch4_poses pred, const double *K, double width, double height, ch4_err *err)
{
    const ch4_view_scene s = {.K = K, .R = pred.R, .t = pred.t, .n_frames = pred.n, .width = width, .height = height};
    double *error = NULL;
    int64_t n = 0;
    if (!truth->xyz) return CH4_OK;
    ch4_status st = ch4_calloc(&error, (size_t)(truth->n * truth->n_frames), sizeof(*error), "reprojection", err);
    for (int64_t i = 0; !st && i < truth->n; i++)
        for (int64_t f = 0; f < truth->n_frames; f++) {
            const float *at = truth->point + 2 * (i * truth->n_frames + f);
            double p[3], q[3];
            if (truth->occluded[i * truth->n_frames + f]) continue;
            ch4_truth_view_point(q, truth, i, f);
            ch4_view_project(p, &s, f, q);
            error[n++] = CH4_TAPVID_RASTER * hypot(p[0] / width - at[0], p[1] / height - at[1]);
        }
    if (!st) x[PIXEL] = ch4_median_f64(error, n), x[PIXEL90] = ch4_percentile_f64(error, n, 0.9);
    free(error);
    return st;
}

/* --- silhouette ------------------------------------------------------------------------------------------------------------------------------------- */

/* alpha u8[h,w] of imgs/NN.png, malloc'd; NULL with CH4_OK if there is no such file or it has no alpha. */
static ch4_status load_alpha(uint8_t **alpha, int *width, int *height, const char *folder, int64_t frame, ch4_err *err)
{
    char path[4096];
    uint8_t *rgba = NULL;
    png_image image = {.version = PNG_IMAGE_VERSION};
    *alpha = NULL;
    snprintf(path, sizeof(path), "%s/imgs/%02lld.png", folder, (long long)frame);
    if (access(path, R_OK) != 0) return CH4_OK;
    if (!png_image_begin_read_from_file(&image, path)) return ch4_err_set(err, CH4_EFORMAT, "%s: %s", path, image.message);
    ch4_status st = CH4_OK;
    if (image.format & PNG_FORMAT_FLAG_ALPHA) {
        image.format = PNG_FORMAT_RGBA;
        *width = (int)image.width, *height = (int)image.height;
        size_t n = (size_t)image.width * image.height;
        st = ch4_calloc(&rgba, n, 4, path, err);
        if (!st) st = ch4_calloc(alpha, n, 1, path, err);
        if (!st && !png_image_finish_read(&image, NULL, rgba, 0, NULL)) st = ch4_err_set(err, CH4_EFORMAT, "%s: %s", path, image.message);
        for (size_t i = 0; !st && i < n; i++) (*alpha)[i] = rgba[4 * i + 3];
    }
    png_image_free(&image);
    free(rgba);
    return st;
}

/* covered u8[size,size]: pixels whose middle samples show the mesh, seen by the run's own camera, from inside too. */
static ch4_status draw(uint8_t *covered, const ch4_view_scene *s, int64_t frame, int size, ch4_err *err)
{
    enum { S = CH4_SYNTH_SUPERSAMPLE };
    ch4_synth_camera camera = {.size = size, .samples = S};
    ch4_synth_sample *sample = NULL;
    float *screen = NULL;
    const double *K = s->K + 9 * frame;
    for (int k = 0; k < 6; k++) camera.K[k] = K[k] * size / (k < 3 ? s->width : s->height);
    camera.K[8] = 1;
    memcpy(camera.R, s->R + 9 * frame, sizeof(camera.R));
    memcpy(camera.t, s->t + 3 * frame, sizeof(camera.t));
    const ch4_synth_surface surface = {.n_vert = s->n_vert, .n_face = s->n_face, .vert = s->vert + 3 * frame * s->n_vert, .face = s->face, .two_sided = true};
    ch4_status st = ch4_calloc(&sample, (size_t)size * (size_t)size, S * S * sizeof(*sample), "picture", err);
    if (!st) st = ch4_calloc(&screen, (size_t)s->n_vert, 3 * sizeof(*screen), "picture", err);
    if (!st) ch4_synth_rasterise(sample, screen, &surface, &camera);
    for (int64_t y = 0; !st && y < size; y++)
        for (int64_t x = 0; x < size; x++) {
            int hits = 0;
            for (int k = 0; k < S * S; k++) hits += sample[(y * S + k / S) * size * S + x * S + k % S].inverse_depth > 0;
            covered[y * size + x] = 2 * hits >= S * S;
        }
    free(sample);
    free(screen);
    return st;
}

static ch4_status score_silhouette(double *x, const char *truth_folder, const ch4_view_scene *s, ch4_err *err)
{
    double sum = 0;
    int64_t frames = 0;
    ch4_status st = CH4_OK;
    for (int64_t f = 0; !st && f < s->n_frames; f++) {
        uint8_t *alpha = NULL, *covered = NULL;
        int w = 0, h = 0;
        int64_t both = 0, any = 0;
        st = load_alpha(&alpha, &w, &h, truth_folder, f, err);
        if (!st && (!alpha || w != h || w > 2048)) {
            free(alpha);
            break; /* not to be had for this clip */
        }
        if (!st) st = ch4_calloc(&covered, (size_t)w * (size_t)h, 1, "picture", err);
        if (!st) st = draw(covered, s, f, w, err);
        for (int64_t i = 0; !st && i < (int64_t)w * h; i++) both += alpha[i] > 127 && covered[i], any += alpha[i] > 127 || covered[i];
        if (any) sum += (double)both / (double)any, frames++;
        free(alpha);
        free(covered);
    }
    if (!st && frames == s->n_frames) x[SILHOUETTE] = sum / (double)frames;
    return st;
}

/* --- clips -------------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct job {
    const ch4_eval_request *r;
    const ch4_eval_pairs *pairs;
    ch4_score_table table;
} job;

static ch4_status score_trivial(const job *j, int64_t i, const ch4_truth_view *truth, ch4_err *err)
{
    int64_t F = truth->n_frames;
    ch4_poses gt = {truth->R, truth->t, F}, first = {NULL, NULL, F};
    double *R = NULL, *t = NULL;
    ch4_status st = ch4_calloc(&R, (size_t)F, 9 * sizeof(*R), "cameras", err);
    if (!st) st = ch4_calloc(&t, (size_t)F, 3 * sizeof(*t), "cameras", err);
    for (int64_t f = 0; !st && f < F; f++) {
        memcpy(R + 9 * f, truth->R, 9 * sizeof(*R));
        memcpy(t + 3 * f, truth->t, 3 * sizeof(*t));
    }
    first.R = R, first.t = t;
    const double width = 2 * truth->K[2], height = 2 * truth->K[5]; /* the principal point is the middle of the picture */
    if (!st) st = score_poses(ch4_score_at(&j->table, i, ORACLE), gt, gt, err);
    if (!st) st = score_pixels(ch4_score_at(&j->table, i, ORACLE), truth, gt, truth->K, width, height, err);
    if (!st) st = score_poses(ch4_score_at(&j->table, i, FIRST_CAMERA), first, gt, err);
    if (!st) st = score_pixels(ch4_score_at(&j->table, i, FIRST_CAMERA), truth, first, truth->K, width, height, err);
    free(R);
    free(t);
    return st;
}

/* Where the predicted object lies in the true object's frame: the uniform alignment of frame 0, if an alignment was asked for. */
static ch4_status fit_gauge(ch4_similarity *out, const job *j, int64_t i, const ch4_view_scene *s, ch4_pool *pool, ch4_err *err)
{
    *out = (ch4_similarity){.scale = 1, .R = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
    bool fit = !j->r->auto_align && j->r->bench.align != CH4_BENCH_NONE;
    snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%s", fit ? "uniform" : "none");
    if (!fit) return CH4_OK;
    ch4_bench_truth truth;
    ch4_bench_meshes first;
    ch4_affine a;
    ch4_bench_options o = j->r->bench;
    o.align = CH4_BENCH_UNIFORM;
    ch4_status st = ch4_bench_truth_load(&truth, j->pairs->pair[i].truth, err);
    if (!st && o.n_point == 0) o.n_point = ch4_min_i64(truth.n_point, 100000);
    if (!st) st = ch4_bench_meshes_of(&first, s->vert, 1, s->n_vert, s->face, s->n_face, err);
    if (!st) st = ch4_bench_fit_first(&a, &first, &truth, &o, pool, err);
    for (int r = 0; !st && r < 3; r++)
        for (int k = 0; k < 3; k++) out->R[3 * r + k] = a.A[3 * k + r]; /* row vectors there */
    if (!st) {
        out->scale = cbrt(fabs(ch4_affine_determinant(&a)));
        for (int k = 0; k < 9; k++) out->R[k] /= out->scale;
        memcpy(out->t, a.t, sizeof(a.t));
    }
    ch4_bench_meshes_fini(&first);
    ch4_bench_truth_fini(&truth);
    return st;
}

static ch4_status score_run(const job *j, int64_t i, const ch4_truth_view *truth, const ch4_view_scene *s, ch4_pool *pool, ch4_err *err)
{
    ch4_similarity gauge;
    int64_t F = truth->n_frames;
    double *pose = NULL, *x = ch4_score_at(&j->table, i, OURS);
    ch4_status st = fit_gauge(&gauge, j, i, s, pool, err);
    if (!st) st = ch4_calloc(&pose, (size_t)F, 12 * sizeof(*pose), "cameras", err);
    if (!st) {
        ch4_poses moved = {pose, pose + 9 * F, F};
        ch4_poses_in_gauge(pose, pose + 9 * F, (ch4_poses){s->R, s->t, F}, &gauge);
        st = score_poses(x, moved, (ch4_poses){truth->R, truth->t, F}, err);
        if (!st) st = score_pixels(x, truth, moved, s->K, s->width, s->height, err);
    }
    if (!st) st = score_silhouette(x, j->pairs->pair[i].truth, s, err);
    free(pose);
    return st;
}

static void score_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    ch4_err err = {0};
    ch4_truth_view truth;
    ch4_run_view run = {0};
    ch4_status st = ch4_truth_view_open(&truth, pair->truth, &err);
    if (!st) st = score_trivial(j, i, &truth, &err);
    if (!st && pair->result) {
        st = ch4_run_view_load(&run, pair->result, truth.n_frames, &err);
        if (!st) st = score_run(j, i, &truth, &run.scene, pool, &err);
    }
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    ch4_run_view_fini(&run);
    ch4_truth_view_close(&truth);
}

ch4_status ch4_eval_cameras(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    static const char *const CAMERAS[] = {"cameras.json", NULL};
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_eval_pairs_for(&pairs, &applied, r, "gt.safetensors", CAMERAS, err);
    job j = {.r = r, .pairs = &pairs};
    if (!st && applied) {
        st = ch4_eval_table_for(&j.table, &FAMILY, &pairs, err);
        if (!st) ch4_eval_each_clip(r, "cameras", &j.table, score_clip, &j);
        if (!st) st = ch4_eval_report(out, r, &j.table, err);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}
