#include "tools/eval/eval_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/npy.h"

/* True if the result's faces are those of the truth: then it was made from the true anchor mesh. */
static ch4_status is_given(bool *given, const ch4_eval_truth *truth, const ch4_eval_result *result, const char *folder, ch4_err *err)
{
    char path[4096];
    ch4_buf buf;
    ch4_tensor t;
    snprintf(path, sizeof(path), "%s/faces.npy", folder);
    *given = false;
    ch4_status st = ch4_npy_load(&buf, &t, path, err);
    if (st) return st;
    int64_t shape[2] = {truth->n_face, 3};
    if (t.dtype == CH4_DTYPE_I32 && ch4_tensor_has_shape(&t, 2, shape) && truth->n_vert == result->n_vert)
        *given = !memcmp(t.data, truth->face, (size_t)truth->n_face * 3 * sizeof(int32_t));
    ch4_buf_free(&buf);
    return CH4_OK;
}

/* Where the tracked points truly are: path f32[F,n,3]. For our own anchor each vertex is tied to the nearest true surface point of frame 0. */
static ch4_status true_paths(float *path, const ch4_eval_truth *truth, const ch4_eval_result *result, bool given, ch4_pool *pool, ch4_err *err)
{
    int64_t n = result->n_vert;
    if (given) {
        memcpy(path, truth->vert, (size_t)(truth->n_frames * n * 3) * sizeof(float));
        return CH4_OK;
    }
    int32_t *face = NULL;
    float *bary = NULL;
    ch4_status st = ch4_calloc(&face, (size_t)n, sizeof(*face), "tracked points", err);
    if (!st) st = ch4_calloc(&bary, (size_t)n, 3 * sizeof(*bary), "tracked points", err);
    if (!st) st = ch4_eval_nearest_on_mesh(path, face, bary, result->vert, n, truth->vert, truth->face, truth->n_face, pool, err);
    for (int64_t f = 0; !st && f < truth->n_frames; f++)
        for (int64_t i = 0; i < n; i++)
            for (int k = 0; k < 3; k++) {
                float x = 0;
                for (int c = 0; c < 3; c++) x += bary[3 * i + c] * truth->vert[(f * truth->n_vert + truth->face[3 * face[i] + c]) * 3 + k];
                path[(f * n + i) * 3 + k] = x;
            }
    free(face);
    free(bary);
    return st;
}

static ch4_status score_frames(ch4_eval_score *out, const ch4_eval_truth *truth, const ch4_eval_result *r, const float *path, ch4_pool *pool,
                               ch4_err *err)
{
    int64_t n = r->n_vert;
    float *near = NULL;
    const float *anchor = out->given ? truth->vert : r->vert; /* what a prediction without motion would stay at */
    ch4_eval_sum first = {0};
    ch4_status st = ch4_calloc(&near, (size_t)n, 3 * sizeof(float), "nearest points", err);
    if (!st) st = ch4_eval_add_frame(&first, r->vert, path, path, n, err);
    out->anchor = ch4_eval_mean_all(&first);
    for (int64_t f = 1; !st && f < r->n_frames; f++) {
        const float *now = path + f * n * 3;
        st = ch4_eval_add_frame(&out->sum[CH4_EVAL_OURS], r->vert + f * n * 3, now, path, n, err);
        if (!st) st = ch4_eval_add_frame(&out->sum[CH4_EVAL_STILL], anchor, now, path, n, err);
        if (!st && r->surface) {
            st = ch4_eval_nearest_in_cloud(near, anchor, n, r->surface + 3 * r->surface_begin[f], r->surface_begin[f + 1] - r->surface_begin[f], pool, err);
            if (!st) st = ch4_eval_add_frame(&out->sum[CH4_EVAL_NEAREST], near, now, path, n, err);
        }
        if (!st) st = ch4_eval_nearest_on_mesh(near, NULL, NULL, anchor, n, truth->vert + f * truth->n_vert * 3, truth->face, truth->n_face, pool, err);
        if (!st) st = ch4_eval_add_frame(&out->sum[CH4_EVAL_NEAREST_TRUE], near, now, path, n, err);
        if (st) ch4_err_wrap(err, st, "frame %lld", (long long)f);
    }
    free(near);
    return st;
}

static void score_cameras(ch4_eval_score *out, const ch4_eval_truth *truth, const ch4_eval_result *r)
{
    out->rotation = out->relative_rotation = NAN;
    if (!r->R) return;
    double sum = 0, relative = 0;
    for (int64_t f = 0; f < r->n_frames; f++) {
        sum += ch4_eval_rotation_error(r->R + 9 * f, truth->R + 9 * f);
        relative += ch4_eval_relative_rotation_error(r->R + 9 * f, r->R, truth->R + 9 * f, truth->R);
    }
    out->rotation = sum / (double)r->n_frames;
    out->relative_rotation = relative / (double)(r->n_frames - 1); /* frame 0 is 0 by definition */
}

void ch4_eval_score_clip(ch4_eval_score *out, const char *name, const char *truth_folder, const char *result_folder, ch4_pool *pool)
{
    ch4_err err = {0};
    ch4_eval_truth truth = {0};
    ch4_eval_result result = {0};
    float *path = NULL;
    *out = (ch4_eval_score){.rotation = NAN, .relative_rotation = NAN, .anchor = NAN};
    snprintf(out->name, sizeof(out->name), "%s", name);
    ch4_status st = ch4_eval_truth_open(&truth, truth_folder, &err);
    if (!st) st = ch4_eval_result_load(&result, result_folder, &err);
    if (!st && result.n_frames != truth.n_frames)
        st = ch4_err_set(&err, CH4_EFORMAT, "%s: %lld frames, the truth has %lld", result_folder, (long long)result.n_frames, (long long)truth.n_frames);
    if (!st) st = is_given(&out->given, &truth, &result, result_folder, &err);
    out->n_frames = result.n_frames, out->n_vert = result.n_vert;
    if (!st) st = ch4_calloc(&path, (size_t)result.n_frames * (size_t)result.n_vert, 3 * sizeof(float), "true paths", &err);
    if (!st) st = true_paths(path, &truth, &result, out->given, pool, &err);
    if (!st) st = score_frames(out, &truth, &result, path, pool, &err);
    if (!st) score_cameras(out, &truth, &result);
    out->status = st;
    snprintf(out->reason, sizeof(out->reason), "%s", st ? err.msg : "");
    free(path);
    ch4_eval_result_fini(&result);
    ch4_eval_truth_close(&truth);
}
