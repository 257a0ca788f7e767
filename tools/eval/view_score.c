#include "tools/eval/view_score.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/mesh.h"
#include "tensor/npy.h"
#include "tensor/safetensors.h"

/* --- what is read --------------------------------------------------------------------------------------------------------------------------- */

typedef struct truth_views {
    ch4_safetensors *file;
    const float *point;      /* [n,F,2] in [0,1] */
    const uint8_t *occluded; /* [n,F] */
    const double *R, *t;     /* [F,9], [F,3] */
    int64_t n, n_frames;
} truth_views;

static ch4_status tensor_of(const void **out, const ch4_safetensors *f, const char *name, ch4_dtype dtype, int rank, const int64_t *shape, ch4_tensor *t, ch4_err *err)
{
    ch4_status st = ch4_safetensors_get(f, name, t, err);
    if (!st && (t->dtype != dtype || t->rank != rank || (shape && !ch4_tensor_has_shape(t, rank, shape))))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: %s has another type or shape than its companions", ch4_safetensors_path(f), name);
    if (!st) *out = t->data;
    return st;
}

static ch4_status open_truth(truth_views *v, const char *folder, ch4_err *err)
{
    char path[4096];
    ch4_tensor t;
    const void *p[4] = {NULL};
    *v = (truth_views){0};
    snprintf(path, sizeof(path), "%s/gt.safetensors", folder);
    ch4_status st = ch4_safetensors_open(&v->file, path, err);
    if (!st) st = tensor_of(&p[0], v->file, "points", CH4_DTYPE_F32, 3, NULL, &t, err);
    if (!st) v->n = t.shape[0], v->n_frames = t.shape[1];
    if (!st && (t.shape[2] != 2 || v->n_frames < 2)) st = ch4_err_set(err, CH4_EFORMAT, "%s: points are not (tracks, frames, 2)", path);
    if (!st) st = tensor_of(&p[1], v->file, "occluded", CH4_DTYPE_U8, 2, (int64_t[]){v->n, v->n_frames}, &t, err);
    if (!st) st = tensor_of(&p[2], v->file, "R", CH4_DTYPE_F64, 3, (int64_t[]){v->n_frames, 3, 3}, &t, err);
    if (!st) st = tensor_of(&p[3], v->file, "t", CH4_DTYPE_F64, 2, (int64_t[]){v->n_frames, 3}, &t, err);
    v->point = p[0], v->occluded = p[1], v->R = p[2], v->t = p[3];
    return st;
}

typedef struct run_views {
    ch4_buf vert_buf, face_buf;
    double *camera; /* [F,21]: K, R, t by parts */
    ch4_view_scene scene;
} run_views;

static ch4_status read_matrices(double *out, json_t *all, int rows, int64_t n_frames, const char *path, const char *name, ch4_err *err)
{
    for (int64_t f = 0; f < n_frames; f++)
        for (int i = 0; i < 3 * rows; i++) {
            json_t *m = json_array_get(all, (size_t)f), *x = rows == 1 ? json_array_get(m, (size_t)i) : json_array_get(json_array_get(m, (size_t)i / 3), (size_t)i % 3);
            if (!json_is_number(x)) return ch4_err_set(err, CH4_EFORMAT, "%s: %s of frame %lld is not there or has another shape", path, name, (long long)f);
            out[f * 3 * rows + i] = json_number_value(x);
        }
    return CH4_OK;
}

static ch4_status read_cameras(run_views *v, const char *folder, int64_t n_frames, ch4_err *err)
{
    char path[4096];
    json_error_t why;
    snprintf(path, sizeof(path), "%s/cameras.json", folder);
    json_t *root = json_load_file(path, 0, &why);
    if (!root) return ch4_err_set(err, CH4_EFORMAT, "%s:%d: %s", path, why.line, why.text);
    ch4_status st = ch4_calloc(&v->camera, (size_t)n_frames, 21 * sizeof(double), path, err);
    double *K = v->camera, *R = K + 9 * n_frames, *t = R + 9 * n_frames;
    if (!st) st = read_matrices(K, json_object_get(root, "K"), 3, n_frames, path, "K", err);
    if (!st) st = read_matrices(R, json_object_get(root, "R"), 3, n_frames, path, "R", err);
    if (!st) st = read_matrices(t, json_object_get(root, "t"), 1, n_frames, path, "t", err);
    v->scene.width = json_number_value(json_object_get(root, "width")), v->scene.height = json_number_value(json_object_get(root, "height"));
    if (!st && !(v->scene.width > 0 && v->scene.height > 0)) st = ch4_err_set(err, CH4_EFORMAT, "%s: no width and height", path);
    v->scene.K = K, v->scene.R = R, v->scene.t = t;
    json_decref(root);
    return st;
}

static ch4_status load_run(run_views *v, const char *folder, int64_t n_frames, ch4_err *err)
{
    char path[4096];
    ch4_tensor vert, face;
    snprintf(path, sizeof(path), "%s/vertices.npy", folder);
    ch4_status st = ch4_npy_load(&v->vert_buf, &vert, path, err);
    snprintf(path, sizeof(path), "%s/faces.npy", folder);
    if (!st) st = ch4_npy_load(&v->face_buf, &face, path, err);
    if (st) return st;
    if (vert.dtype != CH4_DTYPE_F32 || vert.rank != 3 || vert.shape[2] != 3 || face.dtype != CH4_DTYPE_I32 || face.rank != 2 || face.shape[1] != 3)
        return ch4_err_set(err, CH4_EFORMAT, "%s: vertices.npy is not f32 (frames, vertices, 3) or faces.npy not i32 (faces, 3)", folder);
    if (vert.shape[0] != n_frames)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %lld frames, the truth has %lld", folder, (long long)vert.shape[0], (long long)n_frames);
    v->scene.vert = vert.data, v->scene.face = face.data;
    v->scene.n_frames = n_frames, v->scene.n_vert = vert.shape[1], v->scene.n_face = face.shape[0];
    st = ch4_mesh_check(vert.data, vert.shape[1], face.data, face.shape[0], err);
    if (!st) st = ch4_mesh_check(vert.data, vert.shape[1] * n_frames, NULL, 0, err);
    return st ? st : read_cameras(v, folder, n_frames, err);
}

/* --- scores ------------------------------------------------------------------------------------------------------------------------------------ */

static ch4_status score_tracks(ch4_view_score *out, const truth_views *truth, const ch4_view_scene *scene, ch4_err *err)
{
    int64_t F = truth->n_frames, bound = truth->n;
    int32_t *which = NULL, *when = NULL;
    float *query = NULL, *path = NULL; /* path: truth, ours, still */
    uint8_t *flag = NULL;              /* the same, then zeros */
    ch4_status st = ch4_calloc(&which, (size_t)bound, sizeof(*which), "queries", err);
    if (!st) st = ch4_calloc(&when, (size_t)bound, sizeof(*when), "queries", err);
    if (!st) st = ch4_calloc(&query, (size_t)bound, 3 * sizeof(*query), "queries", err);
    if (!st) st = ch4_calloc(&path, (size_t)(bound * F), 6 * sizeof(*path), "tracks", err);
    if (!st) st = ch4_calloc(&flag, (size_t)(bound * F), 3, "tracks", err);
    if (!st) {
        int64_t n = out->n_queries = ch4_tapvid_queries(which, when, truth->occluded, truth->n, F, CH4_TAPVID_FIRST), size = bound * F;
        float *ours = path + 2 * size, *still = path + 4 * size;
        uint8_t *our_flag = flag + size, *never = flag + 2 * size;
        for (int64_t i = 0; i < n; i++) {
            const float *track = truth->point + 2 * which[i] * F, *at = track + 2 * when[i];
            for (int64_t f = 0; f < F; f++)
                for (int k = 0; k < 2; k++) {
                    path[2 * (i * F + f) + k] = track[2 * f + k] * CH4_TAPVID_RASTER;
                    still[2 * (i * F + f) + k] = at[k] * CH4_TAPVID_RASTER;
                }
            memcpy(flag + i * F, truth->occluded + which[i] * F, (size_t)F);
            query[3 * i] = (float)when[i], query[3 * i + 1] = at[1] * CH4_TAPVID_RASTER, query[3 * i + 2] = at[0] * CH4_TAPVID_RASTER;
        }
        st = ch4_view_tracks(ours, our_flag, scene, query, n, err);
        out->ours = ch4_compute_tapvid(query, path, flag, ours, our_flag, n, F, CH4_TAPVID_FIRST);
        out->visible = ch4_compute_tapvid(query, path, flag, ours, never, n, F, CH4_TAPVID_FIRST);
        out->still = ch4_compute_tapvid(query, path, flag, still, never, n, F, CH4_TAPVID_FIRST);
    }
    free(which);
    free(when);
    free(query);
    free(path);
    free(flag);
    return st;
}

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

static ch4_status score_cameras(ch4_view_score *out, const truth_views *truth, const ch4_view_scene *scene, ch4_err *err)
{
    int64_t F = truth->n_frames;
    double *pose = NULL;
    ch4_status st = ch4_calloc(&pose, (size_t)F, 32 * sizeof(*pose), "cameras", err);
    for (int64_t f = 0; !st && f < F; f++) {
        invert_pose(pose + 16 * f, scene->R + 9 * f, scene->t + 3 * f);
        invert_pose(pose + 16 * (F + f), truth->R + 9 * f, truth->t + 3 * f);
    }
    if (!st) st = ch4_compute_trajectory(&out->camera, pose, pose + 16 * F, F, CH4_TRAJECTORY_NONE, err);
    if (!st) st = ch4_compute_trajectory(&out->camera_aligned, pose, pose + 16 * F, F, CH4_TRAJECTORY_SE3, err);
    free(pose);
    return st;
}

void ch4_view_score_clip(ch4_view_score *out, const ch4_eval_pair *pair)
{
    ch4_err err = {0};
    truth_views truth;
    run_views run = {0};
    *out = (ch4_view_score){.name = pair->name};
    ch4_status st = open_truth(&truth, pair->truth, &err);
    if (!st && !pair->result) st = ch4_err_set(&err, CH4_ENOENT, "no result in the given runs");
    if (!st) st = load_run(&run, pair->result, truth.n_frames, &err);
    if (!st) st = score_tracks(out, &truth, &run.scene, &err);
    if (!st) st = score_cameras(out, &truth, &run.scene, &err);
    out->status = st;
    snprintf(out->reason, sizeof(out->reason), "%s", st ? err.msg : "");
    ch4_buf_free(&run.vert_buf);
    ch4_buf_free(&run.face_buf);
    free(run.camera);
    ch4_safetensors_close(&truth.file);
}

/* --- reports ----------------------------------------------------------------------------------------------------------------------------------- */

enum { N_VALUE = 12 };
static const char *const KEY[N_VALUE] = {"aj", "delta_avg", "oa", "still_aj", "still_delta_avg", "still_oa", "visible_oa",
                                         "ate", "ate_deg", "ate_se3", "rpe", "rpe_deg"};

static void values_of(double x[N_VALUE], const ch4_view_score *s)
{
    const double v[N_VALUE] = {100 * s->ours.average_jaccard, 100 * s->ours.average_within, 100 * s->ours.occlusion_accuracy, 100 * s->still.average_jaccard,
                               100 * s->still.average_within, 100 * s->still.occlusion_accuracy, 100 * s->visible.occlusion_accuracy,
                               s->camera.ate_translation.rmse, s->camera.ate_rotation.mean, s->camera_aligned.ate_translation.rmse,
                               s->camera.rpe_translation.rmse, s->camera.rpe_rotation.mean};
    for (int k = 0; k < N_VALUE; k++) x[k] = s->status ? (double)NAN : v[k];
}

static void print_row(FILE *out, const char *name, const double x[N_VALUE])
{
    fprintf(out, "%-24.24s", name);
    for (int k = 0; k < N_VALUE; k++)
        if (isnan(x[k])) fprintf(out, " %7s", "-");
        else fprintf(out, k < 7 ? " %7.2f" : " %7.4f", x[k]);
    fputc('\n', out);
}

void ch4_view_print(FILE *out, const ch4_view_score *score, int64_t n)
{
    double x[N_VALUE], sum[N_VALUE] = {0};
    int64_t count[N_VALUE] = {0}, failed = 0;
    fprintf(out, "2D tracks (TAP-Vid, query at the first visible frame, 256 x 256) of mesh points through our cameras, in percent; s.*: the query's place kept, always\n"
                 "visible; v.OA: our tracks, never occluded. Cameras: ATE rmse of centres and mean rotation, unaligned; SE(3)-aligned; RPE per frame. Degrees.\n\n");
    fprintf(out, "%-24s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s %7s\n", "clip", "AJ", "delta", "OA", "s.AJ", "s.delta", "s.OA", "v.OA", "ATE", "ATE deg", "ATE SE3",
            "RPE", "RPE deg");
    for (int64_t i = 0; i < n; i++) {
        values_of(x, &score[i]);
        if (score[i].status) fprintf(out, "%-24.24s failed: %s\n", score[i].name, score[i].reason);
        else print_row(out, score[i].name, x);
        failed += score[i].status != CH4_OK;
        for (int k = 0; k < N_VALUE; k++)
            if (!isnan(x[k])) sum[k] += x[k], count[k]++;
    }
    for (int k = 0; k < N_VALUE; k++) sum[k] = count[k] ? sum[k] / (double)count[k] : (double)NAN;
    print_row(out, "mean", sum);
    fprintf(out, "\n%lld clips, %lld failed.\n", (long long)n, (long long)failed);
}

ch4_status ch4_view_save_csv(const char *path, const ch4_view_score *score, int64_t n, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "clip,status,queries");
    for (int k = 0; k < N_VALUE; k++) fprintf(f, ",%s", KEY[k]);
    fputc('\n', f);
    for (int64_t i = 0; i < n; i++) {
        double x[N_VALUE];
        values_of(x, &score[i]);
        fprintf(f, "%s,%s,%lld", score[i].name, score[i].status ? ch4_status_name(score[i].status) : "ok", (long long)score[i].n_queries);
        for (int k = 0; k < N_VALUE; k++)
            if (isnan(x[k])) fputc(',', f);
            else fprintf(f, ",%.17g", x[k]);
        fputc('\n', f);
    }
    bool bad = ferror(f) != 0;
    return fclose(f) != 0 || bad ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}
