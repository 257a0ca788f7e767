#include "tools/synth/tracks.h"

#include <string.h>

static const double DEPTH_SLACK = 0.02;
static const int64_t LAST_FRAMES = 4; /* too few to be worth a track */

/* A point beside the silhouette has nothing in front of it. */
static bool is_visible(const float *xyz, const float *normal, const double centre[3], const ch4_synth_sample *sample, const ch4_synth_camera *camera)
{
    double uv[2], depth, facing = 0;
    ch4_synth_project(uv, &depth, camera, xyz);
    if (!(depth > 0 && uv[0] >= 0 && uv[1] >= 0 && uv[0] < camera->size && uv[1] < camera->size)) return false;
    for (int k = 0; k < 3; k++) facing += normal[k] * (centre[k] - xyz[k]);
    if (facing <= 0) return false;
    int64_t side = (int64_t)camera->size * camera->samples;
    float seen = sample[(int64_t)(uv[1] * camera->samples) * side + (int64_t)(uv[0] * camera->samples)].inverse_depth;
    return seen <= 0 || depth <= 1 / (double)seen + DEPTH_SLACK;
}

void ch4_synth_compute_visible(uint8_t *visible, const float *xyz, const float *normal, int64_t n, const ch4_synth_sample *sample,
                               const ch4_synth_camera *camera)
{
    double centre[3] = {0}; /* of the camera: -R^T t */
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 3; j++) centre[k] -= camera->R[3 * j + k] * camera->t[j];
    for (int64_t i = 0; i < n; i++) visible[i] = is_visible(xyz + 3 * i, normal + 3 * i, centre, sample, camera);
}

int64_t ch4_synth_choose_queries(int64_t *query, int64_t bound, const uint8_t *visible, int64_t n_points, int64_t n_frames)
{
    int64_t half = bound / 2, n_first = 0, n_late = 0;
    int64_t *late = query + half; /* moved down behind the first ones below */
    for (int64_t i = 0; i < n_points && (n_first < half || n_late < half); i++) {
        if (visible[i]) {
            if (n_first < half) query[n_first++] = i;
            continue;
        }
        for (int64_t f = 1; n_late < half && f < n_frames - LAST_FRAMES; f++)
            if (visible[f * n_points + i]) {
                late[n_late++] = i;
                break;
            }
    }
    memmove(query + n_first, late, (size_t)n_late * sizeof(*query));
    return n_first + n_late;
}
