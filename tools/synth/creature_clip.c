#include "tools/synth/creature_clip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double BORDER = 0.01; /* of the picture, kept free */

ch4_status ch4_synth_check_picture(const ch4_synth_mesh *mesh, const ch4_synth_camera *camera, ch4_err *err)
{
    double low = BORDER * camera->size, high = camera->size - low;
    for (int64_t i = 0; i < mesh->n_frames * mesh->n_vert; i++) {
        double uv[2], z;
        ch4_synth_project(uv, &z, camera, mesh->vert + 3 * i);
        if (!(uv[0] > low && uv[1] > low && uv[0] < high && uv[1] < high))
            return ch4_err_set(err, CH4_EUNSUP, "frame %lld leaves the picture", (long long)(i / mesh->n_vert));
    }
    return CH4_OK;
}

ch4_status ch4_synth_clip_init(ch4_synth_clip *out, uint64_t seed, const ch4_synth_options *options, ch4_err *err)
{
    memset(out, 0, sizeof(*out));
    out->seed = seed;
    ch4_status st = CH4_EUNSUP;
    ch4_synth_camera camera;
    ch4_synth_camera_init(&camera, 1);
    for (; out->attempt < 64; out->attempt++) {
        ch4_rng rng = ch4_rng_at(seed, CH4_SYNTH_STREAM_COLOUR);
        st = ch4_synth_creature_init(&out->creature, seed, (uint64_t)out->attempt, options->plans, options->n_frames, err);
        if (!st) st = ch4_synth_mesh_init(&out->mesh, &out->creature, options->colour, rng, err);
        if (!st) st = ch4_synth_check_picture(&out->mesh, &camera, err);
        if (st != CH4_EUNSUP) break;
        ch4_synth_mesh_fini(&out->mesh);
        ch4_synth_creature_fini(&out->creature);
    }
    return st ? ch4_err_wrap(err, st, "seed %llu, after %d creatures", (unsigned long long)seed, out->attempt) : CH4_OK;
}

void ch4_synth_clip_fini(ch4_synth_clip *clip)
{
    if (!clip) return;
    ch4_synth_mesh_fini(&clip->mesh);
    ch4_synth_creature_fini(&clip->creature);
}

void ch4_synth_motion(double *mean, double *share, const ch4_synth_mesh *mesh)
{
    double sum = 0, moving = 0, total = 0;
    const float *v0 = mesh->vert;
    for (int64_t i = 0; i < mesh->n_face; i++) {
        const int32_t *t = mesh->face + 3 * i;
        double u[3], w[3], area = 0;
        for (int k = 0; k < 3; k++) u[k] = v0[3 * t[1] + k] - v0[3 * t[0] + k], w[k] = v0[3 * t[2] + k] - v0[3 * t[0] + k];
        for (int k = 0; k < 3; k++) {
            double c = u[(k + 1) % 3] * w[(k + 2) % 3] - u[(k + 2) % 3] * w[(k + 1) % 3];
            area += c * c;
        }
        area = sqrt(area);
        for (int64_t f = 1; f < mesh->n_frames; f++) {
            const float *v = mesh->vert + f * mesh->n_vert * 3;
            double d2 = 0;
            for (int k = 0; k < 3; k++) {
                double d = 0;
                for (int c = 0; c < 3; c++) d += ((double)v[3 * t[c] + k] - v0[3 * t[c] + k]) / 3;
                d2 += d * d;
            }
            sum += area * sqrt(d2);
            moving += d2 > 0.15 * 0.15 ? area : 0;
            total += area;
        }
    }
    *mean = total > 0 ? sum / total : 0;
    *share = total > 0 ? moving / total : 0;
}
