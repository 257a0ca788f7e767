#include "tools/eval/run_view.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/mesh.h"
#include "tensor/npy.h"

/* --- truth ------------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status tensor_of(const void **out, const ch4_safetensors *f, const char *name, ch4_dtype dtype, int rank, const int64_t *shape, ch4_tensor *t, ch4_err *err)
{
    ch4_status st = ch4_safetensors_get(f, name, t, err);
    if (!st && (t->dtype != dtype || t->rank != rank || (shape && !ch4_tensor_has_shape(t, rank, shape))))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: %s has another type or shape than its companions", ch4_safetensors_path(f), name);
    if (!st) *out = t->data;
    return st;
}

ch4_status ch4_truth_view_open(ch4_truth_view *v, const char *folder, ch4_err *err)
{
    char path[4096];
    ch4_tensor t;
    const void *p[6] = {NULL};
    *v = (ch4_truth_view){0};
    snprintf(path, sizeof(path), "%s/gt.safetensors", folder);
    ch4_status st = ch4_safetensors_open(&v->file, path, err);
    if (!st) st = tensor_of(&p[0], v->file, "points", CH4_DTYPE_F32, 3, NULL, &t, err);
    if (!st) v->n = t.shape[0], v->n_frames = t.shape[1];
    if (!st && (t.shape[2] != 2 || v->n_frames < 2)) st = ch4_err_set(err, CH4_EFORMAT, "%s: points are not (tracks, frames, 2)", path);
    if (!st) st = tensor_of(&p[1], v->file, "occluded", CH4_DTYPE_U8, 2, (int64_t[]){v->n, v->n_frames}, &t, err);
    if (!st) st = tensor_of(&p[2], v->file, "K", CH4_DTYPE_F64, 3, (int64_t[]){v->n_frames, 3, 3}, &t, err);
    if (!st) st = tensor_of(&p[3], v->file, "R", CH4_DTYPE_F64, 3, (int64_t[]){v->n_frames, 3, 3}, &t, err);
    if (!st) st = tensor_of(&p[4], v->file, "t", CH4_DTYPE_F64, 2, (int64_t[]){v->n_frames, 3}, &t, err);
    if (!st && ch4_safetensors_has(v->file, "tracks_xyz_cam"))
        st = tensor_of(&p[5], v->file, "tracks_xyz_cam", CH4_DTYPE_F32, 3, (int64_t[]){v->n, v->n_frames, 3}, &t, err);
    v->point = p[0], v->occluded = p[1], v->K = p[2], v->R = p[3], v->t = p[4], v->xyz = p[5];
    return st;
}

void ch4_truth_view_close(ch4_truth_view *v) { ch4_safetensors_close(&v->file); }

void ch4_truth_view_point(double x[3], const ch4_truth_view *v, int64_t track, int64_t frame)
{
    const float *p = v->xyz + 3 * (track * v->n_frames + frame);
    const double *R = v->R + 9 * frame, *t = v->t + 3 * frame;
    for (int k = 0; k < 3; k++) x[k] = R[k] * (p[0] - t[0]) + R[3 + k] * (p[1] - t[1]) + R[6 + k] * (p[2] - t[2]);
}

/* --- run ---------------------------------------------------------------------------------------------------------------------------------------- */

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

static ch4_status read_cameras(ch4_run_view *v, const char *folder, int64_t n_frames, ch4_err *err)
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

ch4_status ch4_run_view_load(ch4_run_view *v, const char *folder, int64_t n_frames, ch4_err *err)
{
    char path[4096];
    ch4_tensor vert, face;
    *v = (ch4_run_view){0};
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

void ch4_run_view_fini(ch4_run_view *v)
{
    ch4_buf_free(&v->vert_buf);
    ch4_buf_free(&v->face_buf);
    free(v->camera);
    *v = (ch4_run_view){0};
}
