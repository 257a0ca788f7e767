#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tools/synth/clip_writer.h"

static const double DEPTH_SLACK = 0.02;

/* Depth z-buffer of the sample at a pixel position; a point beside the silhouette has nothing in front of it. */
static bool is_visible(const float *point, const double uv[2], double depth, const float *inverse_depth, const ch4_synth_camera *camera)
{
    if (!(uv[0] >= 0 && uv[1] >= 0 && uv[0] < camera->size && uv[1] < camera->size)) return false;
    double facing = 0;
    for (int k = 0; k < 3; k++) {
        double centre = 0; /* of the camera: -R^T t */
        for (int j = 0; j < 3; j++) centre -= camera->R[3 * j + k] * camera->t[j];
        facing += point[3 + k] * (centre - point[k]);
    }
    if (facing <= 0) return false;
    int64_t side = (int64_t)camera->size * CH4_SYNTH_SUPERSAMPLE;
    float seen = inverse_depth[(int64_t)(uv[1] * CH4_SYNTH_SUPERSAMPLE) * side + (int64_t)(uv[0] * CH4_SYNTH_SUPERSAMPLE)];
    return seen <= 0 || depth <= 1 / (double)seen + DEPTH_SLACK;
}

static bool visible_in(const float *surfaces, int64_t n_points, int64_t i, int64_t f, const float *inverse_depth, const ch4_synth_camera *camera)
{
    int64_t side = (int64_t)camera->size * CH4_SYNTH_SUPERSAMPLE;
    const float *p = surfaces + (f * n_points + i) * 6;
    double uv[2], z;
    ch4_synth_project(uv, &z, camera, p);
    return is_visible(p, uv, z, inverse_depth + f * side * side, camera);
}

static int64_t choose_queries(int64_t *query, const float *surfaces, int64_t n_points, const float *inverse_depth, int64_t n_frames,
                              const ch4_synth_camera *camera)
{
    enum { HALF = CH4_SYNTH_QUERIES / 2 };
    int64_t late[HALF], n_first = 0, n_late = 0;
    for (int64_t i = 0; i < n_points && (n_first < HALF || n_late < HALF); i++) {
        if (visible_in(surfaces, n_points, i, 0, inverse_depth, camera)) {
            if (n_first < HALF) query[n_first++] = i;
            continue;
        }
        for (int64_t f = 1; n_late < HALF && f < n_frames - 4; f++)
            if (visible_in(surfaces, n_points, i, f, inverse_depth, camera)) {
                late[n_late++] = i;
                break;
            }
    }
    memcpy(query + n_first, late, (size_t)n_late * sizeof(*query));
    return n_first + n_late;
}

ch4_status ch4_synth_tracks_init(ch4_synth_tracks *out, const float *surfaces, int64_t n_points, const float *inverse_depth, int64_t n_frames,
                                 const ch4_synth_camera *camera, ch4_err *err)
{
    memset(out, 0, sizeof(*out));
    size_t n = (size_t)CH4_SYNTH_QUERIES * (size_t)n_frames;
    ch4_status st = ch4_calloc(&out->query, CH4_SYNTH_QUERIES, sizeof(*out->query), "queries", err);
    if (!st) st = ch4_calloc(&out->uv, n * 2, sizeof(float), "tracks", err);
    if (!st) st = ch4_calloc(&out->xyz, n * 3, sizeof(float), "tracks", err);
    if (!st) st = ch4_calloc(&out->occluded, n, 1, "tracks", err);
    if (st) return st;
    out->n_frames = n_frames;
    out->n_query = choose_queries(out->query, surfaces, n_points, inverse_depth, n_frames, camera);
    int64_t side = (int64_t)camera->size * CH4_SYNTH_SUPERSAMPLE;
    for (int64_t q = 0; q < out->n_query; q++)
        for (int64_t f = 0; f < n_frames; f++) {
            const float *p = surfaces + (f * n_points + out->query[q]) * 6;
            int64_t at = q * n_frames + f;
            double uv[2], z;
            ch4_synth_project(uv, &z, camera, p);
            for (int k = 0; k < 2; k++) out->uv[2 * at + k] = (float)(uv[k] / camera->size);
            for (int k = 0; k < 3; k++)
                out->xyz[3 * at + k] = (float)(camera->R[3 * k] * p[0] + camera->R[3 * k + 1] * p[1] + camera->R[3 * k + 2] * p[2] + camera->t[k]);
            out->occluded[at] = !is_visible(p, uv, z, inverse_depth + f * side * side, camera);
        }
    return CH4_OK;
}

void ch4_synth_tracks_fini(ch4_synth_tracks *tracks)
{
    if (!tracks) return;
    free(tracks->query);
    free(tracks->uv);
    free(tracks->xyz);
    free(tracks->occluded);
    memset(tracks, 0, sizeof(*tracks));
}
