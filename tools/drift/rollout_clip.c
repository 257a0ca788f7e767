#include "tools/drift/rollout_clip.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "tensor/npy.h"
#include "tools/eval/bench_score.h"
#include "tools/eval/drift.h"
#include "tools/eval/eval_clip.h"

/* --- small measures --------------------------------------------------------------------------------------------------------------- */

double ch4_rollout_correlation(const float *a, const float *b, int64_t n)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int64_t i = 0; i < n; i++) {
        ma += a[i] / (double)n;
        mb += b[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : (double)NAN;
}

static int32_t root_of(int32_t *parent, int32_t v)
{
    while (parent[v] != v)
        v = parent[v] = parent[parent[v]];
    return v;
}

/* Six times the signed volume under a triangle, seen from the origin. */
static double volume_of(const float *vert, const int32_t *f)
{
    const float *a = vert + 3 * (int64_t)f[0], *b = vert + 3 * (int64_t)f[1], *c = vert + 3 * (int64_t)f[2];
    return (double)a[0] * ((double)b[1] * c[2] - (double)b[2] * c[1]) + (double)a[1] * ((double)b[2] * c[0] - (double)b[0] * c[2]) +
           (double)a[2] * ((double)b[0] * c[1] - (double)b[1] * c[0]);
}

ch4_status ch4_rollout_flipped(int64_t *flipped, const float *before, const float *after, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    int32_t *parent = NULL;
    double *volume = NULL;
    *flipped = 0;
    ch4_status st = ch4_calloc(&parent, (size_t)n_vert, sizeof *parent, "parts", err);
    if (!st)
        st = ch4_calloc(&volume, (size_t)n_vert, 2 * sizeof *volume, "parts", err);
    for (int64_t v = 0; !st && v < n_vert; v++)
        parent[v] = (int32_t)v;
    for (int64_t i = 0; !st && i < n_face; i++)
        for (int k = 1; k < 3; k++)
            parent[root_of(parent, face[3 * i + k])] = root_of(parent, face[3 * i]);
    for (int64_t i = 0; !st && i < n_face; i++) {
        int64_t part = root_of(parent, face[3 * i]);
        volume[2 * part] += volume_of(before, face + 3 * i);
        volume[2 * part + 1] += volume_of(after, face + 3 * i);
    }
    for (int64_t v = 0; !st && v < n_vert; v++)
        *flipped += volume[2 * v] * volume[2 * v + 1] < 0;
    free(parent);
    free(volume);
    return st;
}

static double area_of(const float *vert, const int32_t *face, int64_t n_face)
{
    double area = 0;
    for (int64_t i = 0; i < n_face; i++) {
        const float *a = vert + 3 * (int64_t)face[3 * i], *b = vert + 3 * (int64_t)face[3 * i + 1], *c = vert + 3 * (int64_t)face[3 * i + 2];
        double u[3], v[3];
        for (int k = 0; k < 3; k++) {
            u[k] = (double)b[k] - a[k];
            v[k] = (double)c[k] - a[k];
        }
        double x = u[1] * v[2] - u[2] * v[1], y = u[2] * v[0] - u[0] * v[2], z = u[0] * v[1] - u[1] * v[0];
        area += sqrt(x * x + y * y + z * z) / 2;
    }
    return area;
}

/* --- latents --------------------------------------------------------------------------------------------------------------------------- */

typedef struct latents {
    int64_t T, n; /* n = N d */
    const int64_t *frame;
    const float *z;
    ch4_buf buf[2];
} latents;

static ch4_status read_latents(latents *l, const char *result, int64_t window, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_store_reader *r = NULL;
    ch4_tensor z, frame;
    *l = (latents){0};
    ch4_status st = ch4_store_window_path(path, sizeof path, result, window, "denoise", err);
    if (!st)
        st = ch4_store_open(&r, path, err);
    if (!st)
        st = ch4_store_read(r, "/frame_index", CH4_DTYPE_I64, 1, NULL, &l->buf[0], &frame, err);
    if (!st)
        st = ch4_store_read(r, "/latents", CH4_DTYPE_F32, 3, (int64_t[]){frame.shape[0], -1, -1}, &l->buf[1], &z, err);
    if (!st) {
        l->T = z.shape[0];
        l->n = z.shape[1] * z.shape[2];
        l->frame = frame.data;
        l->z = z.data;
    }
    ch4_store_close(&r);
    return st;
}

static void free_latents(latents *l)
{
    ch4_buf_free(&l->buf[0]);
    ch4_buf_free(&l->buf[1]);
}

static const float *latent_of(const latents *l, int64_t frame)
{
    for (int64_t i = 0; i < l->T; i++)
        if (l->frame[i] == frame)
            return l->z + i * l->n;
    return NULL;
}

/* per_frame [n_frames]: the last window that holds a frame has the word. */
static ch4_status correlate(double *per_frame, int64_t n_frames, int64_t n_windows, const char *result, int64_t n_source, ch4_err *err)
{
    latents first, now;
    ch4_status st = read_latents(&first, result, 0, err);
    for (int64_t w = 0; !st && w < n_windows; w++) {
        st = read_latents(&now, result, w, err);
        for (int64_t i = 0; !st && i < now.T; i++) {
            int64_t f = now.frame[i];
            const float *then = f < n_frames ? latent_of(&first, ch4_pingpong_frame(f, n_source)) : NULL;
            if (!then || now.n != first.n)
                st = ch4_err_set(err, CH4_EFORMAT, "%s: window %" PRId64 " does not go on from window 0", result, w);
            else
                per_frame[f] = ch4_rollout_correlation(then, now.z + i * now.n, now.n);
        }
        free_latents(&now);
    }
    free_latents(&first);
    return st;
}

/* --- one clip ---------------------------------------------------------------------------------------------------------------------------- */

/* Everything of one clip that the curves are made of. */
typedef struct clip {
    ch4_eval_truth truth;
    ch4_bench_truth surface;
    ch4_bench_meshes meshes;
    ch4_buf vert_buf, face_buf;
    ch4_tensor vert, face;
    double *frame; /* [CH4_BENCH_CURVES,F], then [F] twice: vertex errors, correlations */
} clip;

static ch4_status open_clip(clip *c, const char *truth, const char *result, ch4_err *err)
{
    char path[4096];
    ch4_status st = ch4_eval_truth_open(&c->truth, truth, err);
    if (!st)
        st = ch4_bench_truth_load(&c->surface, truth, err);
    snprintf(path, sizeof path, "%s/vertices.npy", result);
    if (!st)
        st = ch4_npy_load(&c->vert_buf, &c->vert, path, err);
    if (!st && (c->vert.dtype != CH4_DTYPE_F32 || c->vert.rank != 3 || c->vert.shape[0] > c->truth.n_frames || c->vert.shape[1] != c->truth.n_vert || c->vert.shape[2] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: not the vertices of %s in its frames", path, truth);
    snprintf(path, sizeof path, "%s/faces.npy", result);
    if (!st)
        st = ch4_npy_load(&c->face_buf, &c->face, path, err);
    if (!st && (c->face.dtype != CH4_DTYPE_I32 || c->face.rank != 2 || c->face.shape[0] != c->truth.n_face))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: not the faces of %s", path, truth);
    if (!st && c->surface.n_frames < c->vert.shape[0])
        st = ch4_err_set(err, CH4_EFORMAT, "%s: surfaces of fewer frames than the result has", truth);
    if (st)
        return st;
    c->surface.n_frames = c->vert.shape[0];
    st = ch4_calloc(&c->frame, (size_t)c->vert.shape[0], (CH4_BENCH_CURVES + 2) * sizeof *c->frame, "curves", err);
    return st ? st : ch4_bench_meshes_of(&c->meshes, c->vert.data, c->vert.shape[0], c->vert.shape[1], c->face.data, c->face.shape[0], err);
}

static void close_clip(clip *c)
{
    ch4_eval_truth_close(&c->truth);
    ch4_bench_truth_fini(&c->surface);
    ch4_bench_meshes_fini(&c->meshes);
    ch4_buf_free(&c->vert_buf);
    ch4_buf_free(&c->face_buf);
    free(c->frame);
}

/* out [F]; false if a vertex is not finite. */
static bool vertex_errors(double *out, const clip *c)
{
    int64_t F = c->vert.shape[0], V = c->vert.shape[1];
    const float *v = c->vert.data, *t = c->truth.vert;
    bool finite = true;
    for (int64_t f = 0; f < F; f++) {
        double sum = 0;
        for (int64_t i = f * V; i < (f + 1) * V; i++) {
            double x = (double)v[3 * i] - t[3 * i], y = (double)v[3 * i + 1] - t[3 * i + 1], z = (double)v[3 * i + 2] - t[3 * i + 2];
            sum += sqrt(x * x + y * y + z * z);
        }
        out[f] = sum / (double)V;
        finite = finite && isfinite(sum);
    }
    return finite;
}

static ch4_status fill_curves(ch4_rollout_score *out, const clip *c, int64_t length, ch4_err *err)
{
    int64_t F = c->vert.shape[0];
    const double *of[CH4_ROLLOUT_CURVES] = {c->frame + CH4_BENCH_CURVES * F, c->frame + CH4_BENCH_CD_4D * F, c->frame + CH4_BENCH_CD_MOTION * F,
                                            c->frame + (CH4_BENCH_CURVES + 1) * F};
    ch4_status st = CH4_OK;
    for (int k = 0; !st && k < CH4_ROLLOUT_CURVES; k++) {
        st = ch4_calloc(&out->curve[k], (size_t)out->n_windows, sizeof *out->curve[k], "curves", err);
        if (!st)
            ch4_drift_curve(out->curve[k], of[k], F, length);
    }
    return st;
}

ch4_status ch4_rollout_score_clip(ch4_rollout_score *out, const char *truth, const char *result, int64_t n_source, int64_t n_sample, ch4_pool *pool, ch4_err *err)
{
    clip c = {0};
    ch4_bench_score score;
    ch4_bench_options options = ch4_bench_defaults();
    options.align = CH4_BENCH_NONE;
    options.n_point = n_sample;
    *out = (ch4_rollout_score){0};
    ch4_status st = open_clip(&c, truth, result, err);
    if (!st) {
        int64_t F = c.vert.shape[0];
        out->n_windows = ch4_drift_windows(F, n_source);
        out->finite = vertex_errors(c.frame + CH4_BENCH_CURVES * F, &c);
        st = correlate(c.frame + (CH4_BENCH_CURVES + 1) * F, F, out->n_windows, result, n_source, err);
    }
    ch4_bench_trace trace = {.curve = c.frame};
    if (!st)
        st = ch4_compute_bench_score(&score, &c.meshes, &c.surface, &options, &trace, pool, err);
    if (!st)
        st = fill_curves(out, &c, n_source, err);
    if (!st) {
        int64_t V = c.vert.shape[1];
        const float *first = c.vert.data, *last = first + (c.vert.shape[0] - 1) * V * 3;
        out->area = area_of(last, c.face.data, c.face.shape[0]) / area_of(first, c.face.data, c.face.shape[0]);
        st = ch4_rollout_flipped(&out->flipped, first, last, V, c.face.data, c.face.shape[0], err);
    }
    close_clip(&c);
    return st ? ch4_err_wrap(err, st, "%s", result) : CH4_OK;
}

void ch4_rollout_score_fini(ch4_rollout_score *score)
{
    for (int k = 0; k < CH4_ROLLOUT_CURVES; k++)
        free(score->curve[k]);
    *score = (ch4_rollout_score){0};
}
