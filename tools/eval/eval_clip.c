#include "tools/eval/eval_clip.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/placement.h"
#include "store/store.h"
#include "tensor/npy.h"

/* A tensor of the truth with its dtype and shape checked; -1 in shape takes any size and is filled in. */
static ch4_status get_tensor(const void **data, const ch4_safetensors *file, const char *name, ch4_dtype dtype, int rank, int64_t *shape, ch4_err *err)
{
    ch4_tensor t;
    char is[96], want[96];
    ch4_status st = ch4_safetensors_get(file, name, &t, err);
    if (st) return st;
    bool same = t.dtype == dtype && t.rank == rank;
    for (int i = 0; same && i < rank; i++) same = shape[i] < 0 || shape[i] == t.shape[i];
    if (!same) {
        ch4_tensor wanted = ch4_tensor_view(NULL, dtype, rank, shape);
        ch4_tensor_describe(&t, is, sizeof(is));
        ch4_tensor_describe(&wanted, want, sizeof(want));
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s is %s, expected %s (-1: any)", ch4_safetensors_path(file), name, is, want);
    }
    memcpy(shape, t.shape, (size_t)rank * sizeof(*shape));
    *data = t.data;
    return CH4_OK;
}

ch4_status ch4_eval_truth_open(ch4_eval_truth *out, const char *folder, ch4_err *err)
{
    *out = (ch4_eval_truth){0};
    char path[CH4_STORE_PATH];
    snprintf(path, sizeof(path), "%s/gt.safetensors", folder);
    int64_t vert[3] = {-1, -1, 3}, face[2] = {-1, 3};
    const void *p = NULL;
    ch4_status st = ch4_safetensors_open(&out->file, path, err);
    if (!st) st = get_tensor(&p, out->file, "verts", CH4_DTYPE_F32, 3, vert, err);
    out->vert = p;
    if (!st) st = get_tensor(&p, out->file, "faces", CH4_DTYPE_I32, 2, face, err);
    out->face = p;
    int64_t rotation[3] = {vert[0], 3, 3};
    if (!st) st = get_tensor(&p, out->file, "R", CH4_DTYPE_F64, 3, rotation, err);
    out->R = p;
    out->n_frames = vert[0], out->n_vert = vert[1], out->n_face = face[0];
    for (int64_t i = 0; !st && i < 3 * out->n_face; i++)
        if (out->face[i] < 0 || out->face[i] >= out->n_vert)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: face %lld names vertex %d of %lld", path, (long long)(i / 3), out->face[i], (long long)out->n_vert);
    if (!st && (out->n_frames < 2 || out->n_face < 1)) st = ch4_err_set(err, CH4_EFORMAT, "%s: needs two frames and a face", path);
    if (st) ch4_eval_truth_close(out);
    return st;
}

void ch4_eval_truth_close(ch4_eval_truth *truth)
{
    if (!truth) return;
    ch4_safetensors_close(&truth->file);
    *truth = (ch4_eval_truth){0};
}

/* --- results of a run ------------------------------------------------------------------------------------------------- */

static ch4_status load_vertices(ch4_eval_result *out, const char *folder, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_tensor t;
    snprintf(path, sizeof(path), "%s/vertices.npy", folder);
    ch4_status st = ch4_npy_load(&out->vert_buf, &t, path, err);
    if (st) return st;
    if (t.dtype != CH4_DTYPE_F32 || t.rank != 3 || t.shape[2] != 3 || t.shape[0] < 1 || t.shape[1] < 1)
        return ch4_err_set(err, CH4_EFORMAT, "%s: not f32 (frames, vertices, 3)", path);
    out->n_frames = t.shape[0], out->n_vert = t.shape[1], out->vert = t.data;
    return CH4_OK;
}

/* Reads "R" of cameras.json: one 3x3 matrix for each frame. */
static ch4_status load_cameras(ch4_eval_result *out, const char *folder, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    json_error_t why;
    snprintf(path, sizeof(path), "%s/cameras.json", folder);
    if (access(path, F_OK) != 0) return CH4_OK;
    json_t *root = json_load_file(path, 0, &why), *all = json_object_get(root, "R");
    ch4_status st = CH4_OK;
    if (!root) st = ch4_err_set(err, CH4_EFORMAT, "%s:%d: %s", path, why.line, why.text);
    else if (json_array_size(all) != (size_t)out->n_frames)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: R has %zu matrices for %lld frames", path, json_array_size(all), (long long)out->n_frames);
    if (!st) st = ch4_calloc(&out->R, (size_t)out->n_frames, 9 * sizeof(double), path, err);
    for (int64_t f = 0; !st && f < out->n_frames; f++)
        for (size_t i = 0; !st && i < 9; i++) {
            const json_t *x = json_array_get(json_array_get(json_array_get(all, (size_t)f), i / 3), i % 3);
            out->R[9 * f + (int64_t)i] = json_number_value(x);
            if (!json_is_number(x)) st = ch4_err_set(err, CH4_EFORMAT, "%s: R of frame %lld is not a 3x3 matrix", path, (long long)f);
        }
    json_decref(root);
    return st;
}

/* Surface points of one window, to be put in the order of the clip's frames. */
typedef struct window {
    ch4_buf points_buf, count_buf, index_buf;
    const float *points;
    const int32_t *count; /* [n] */
    const int64_t *frame; /* [n] of the clip */
    int64_t n;
    ch4_placement place; /* of a given mesh */
} window;

static ch4_status open_stage(ch4_store_reader **out, const char *folder, int64_t w, const char *stage, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_status st = ch4_store_window_path(path, sizeof(path), folder, w, stage, err);
    return st ? st : ch4_store_open(out, path, err);
}

static ch4_status load_window(window *out, const char *folder, int64_t w, ch4_err *err)
{
    ch4_store_reader *chain = NULL, *decode = NULL, *denoise = NULL;
    ch4_tensor t;
    *out = (window){.place = {.scale = 1}};
    ch4_status st = open_stage(&chain, folder, w, "chain", err);
    if (!st) st = open_stage(&decode, folder, w, "decode", err);
    if (!st) st = open_stage(&denoise, folder, w, "denoise", err);
    if (!st) st = ch4_store_read(decode, "/frame_index", CH4_DTYPE_I64, 1, NULL, &out->index_buf, &t, err);
    if (st) goto out;
    out->frame = t.data, out->n = t.shape[0];
    st = ch4_store_read(chain, "/surface/count", CH4_DTYPE_I32, 1, &out->n, &out->count_buf, &t, err);
    if (st) goto out;
    out->count = t.data;
    int64_t shape[2] = {0, 3};
    for (int64_t i = 0; i < out->n; i++) shape[0] += out->count[i] > 0 ? out->count[i] : 0;
    st = ch4_store_read(chain, "/surface/points", CH4_DTYPE_F32, 2, shape, &out->points_buf, &t, err);
    if (st) goto out;
    out->points = t.data;
    if (ch4_store_has_attr(denoise, "mesh_scale")) {
        st = ch4_store_get_real(denoise, "mesh_scale", &out->place.scale, err);
        if (!st) st = ch4_store_get_real(denoise, "mesh_yaw", &out->place.yaw, err);
        if (!st) st = ch4_store_get_reals(denoise, "mesh_center", out->place.center, 3, err);
        if (!st && !(out->place.scale > 0)) st = ch4_err_set(err, CH4_EFORMAT, "%s: mesh_scale %g", ch4_store_path(denoise), out->place.scale);
    }
out:
    ch4_store_close(&chain);
    ch4_store_close(&decode);
    ch4_store_close(&denoise);
    return st;
}

static void free_windows(window *windows, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        ch4_buf_free(&windows[i].points_buf);
        ch4_buf_free(&windows[i].count_buf);
        ch4_buf_free(&windows[i].index_buf);
    }
    free(windows);
}

static int64_t count_windows(const char *folder)
{
    char path[CH4_STORE_PATH];
    int64_t n = 0;
    while (!ch4_store_window_path(path, sizeof(path), folder, n, "chain", NULL) && access(path, F_OK) == 0) n++;
    return n;
}

/* Where frame f lies: the first window that holds it. -1 if none does. */
static int64_t find_frame(int64_t *slot, int64_t *begin, const window *windows, int64_t n, int64_t f)
{
    for (int64_t w = 0; w < n; w++) {
        *begin = 0;
        for (*slot = 0; *slot < windows[w].n; (*slot)++) {
            if (windows[w].frame[*slot] == f) return w;
            *begin += windows[w].count[*slot] > 0 ? windows[w].count[*slot] : 0;
        }
    }
    return -1;
}

static ch4_status join_surfaces(ch4_eval_result *out, const window *windows, int64_t n, const char *folder, ch4_err *err)
{
    int64_t total = 0, slot, begin;
    ch4_status st = ch4_calloc(&out->surface_begin, (size_t)out->n_frames + 1, sizeof(int64_t), "surface points", err);
    for (int64_t f = 0; !st && f < out->n_frames; f++) {
        int64_t w = find_frame(&slot, &begin, windows, n, f);
        if (w < 0 || windows[w].count[slot] < 1)
            return ch4_err_set(err, CH4_EFORMAT, "%s: frame %lld has no surface points in any window", folder, (long long)f);
        out->surface_begin[f + 1] = total += windows[w].count[slot];
    }
    if (!st) st = ch4_calloc(&out->surface, (size_t)total, 3 * sizeof(float), "surface points", err);
    for (int64_t f = 0; !st && f < out->n_frames; f++) {
        int64_t w = find_frame(&slot, &begin, windows, n, f);
        float *to = out->surface + 3 * out->surface_begin[f];
        for (int64_t i = 0; i < windows[w].count[slot]; i++) {
            const float *p = windows[w].points + 3 * (begin + i);
            double x[3] = {p[0], p[1], p[2]};
            ch4_unplace_point(x, &windows[w].place, x);
            for (int k = 0; k < 3; k++) to[3 * i + k] = (float)x[k];
        }
    }
    return st;
}

static ch4_status load_surfaces(ch4_eval_result *out, const char *folder, ch4_err *err)
{
    int64_t n = count_windows(folder);
    window *windows = NULL;
    if (n == 0) return CH4_OK;
    ch4_status st = ch4_calloc(&windows, (size_t)n, sizeof(*windows), "windows", err);
    for (int64_t w = 0; !st && w < n; w++) st = load_window(&windows[w], folder, w, err);
    if (!st) st = join_surfaces(out, windows, n, folder, err);
    if (windows) free_windows(windows, n);
    return st;
}

ch4_status ch4_eval_result_load(ch4_eval_result *out, const char *folder, ch4_err *err)
{
    *out = (ch4_eval_result){0};
    ch4_status st = load_vertices(out, folder, err);
    if (!st) st = load_cameras(out, folder, err);
    if (!st) st = load_surfaces(out, folder, err);
    return st;
}

void ch4_eval_result_fini(ch4_eval_result *result)
{
    if (!result) return;
    ch4_buf_free(&result->vert_buf);
    free(result->R);
    free(result->surface);
    free(result->surface_begin);
    *result = (ch4_eval_result){0};
}
