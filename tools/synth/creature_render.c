#include "tools/synth/creature_render.h"

#include <math.h>
#include <string.h>

static const double FOCAL = 2.1875;
static const double NEAR = 1e-37, FAR_OUTSIDE = 1e9; /* scene units (1 / NEAR is a float), pixels */
static const float BEHIND = 0.35f;

void ch4_synth_camera_init(ch4_synth_camera *out, int size)
{
    ch4_synth_camera_orbit(out, size, CH4_SYNTH_AZIMUTH, CH4_SYNTH_ELEVATION, CH4_SYNTH_DISTANCE, (const double[3]){0, 0, 0});
}

void ch4_synth_camera_orbit(ch4_synth_camera *out, int size, double azimuth, double elevation, double distance, const double target[3])
{
    double az = azimuth * M_PI / 180, el = elevation * M_PI / 180, f = FOCAL * size / 2, c = size / 2.0;
    double z[3] = {-sin(az) * cos(el), -sin(el), -cos(az) * cos(el)}; /* viewing direction */
    double x[3] = {cos(az), 0, -sin(az)};                             /* z cross (0,1,0), normalised */
    out->size = size;
    out->samples = CH4_SYNTH_SUPERSAMPLE;
    memcpy(out->K, (const double[]){f, 0, c, 0, f, c, 0, 0, 1}, sizeof(out->K));
    for (int k = 0; k < 3; k++) {
        out->R[k] = x[k];
        out->R[3 + k] = z[(k + 1) % 3] * x[(k + 2) % 3] - z[(k + 2) % 3] * x[(k + 1) % 3];
        out->R[6 + k] = z[k];
    }
    for (int k = 0; k < 3; k++) { /* -R C with C = target - distance z */
        const double *r = out->R + 3 * k;
        out->t[k] = (k == 2 ? distance : 0) - (r[0] * target[0] + r[1] * target[1] + r[2] * target[2]);
    }
}

void ch4_synth_project(double uv[2], double *depth, const ch4_synth_camera *camera, const float xyz[3])
{
    double c[3];
    for (int k = 0; k < 3; k++)
        c[k] = camera->R[3 * k] * xyz[0] + camera->R[3 * k + 1] * xyz[1] + camera->R[3 * k + 2] * xyz[2] + camera->t[k];
    uv[0] = (camera->K[0] * c[0] + camera->K[1] * c[1]) / c[2] + camera->K[2];
    uv[1] = camera->K[4] * c[1] / c[2] + camera->K[5];
    *depth = c[2];
}

/* Sample positions with edge function >= 0 on all three sides, for a winding whose area is positive. */
static void fill_triangle(ch4_synth_sample *sample, int side, const float *screen, const int32_t *t, int32_t face, bool two_sided)
{
    const float *p[3] = {screen + 3 * t[0], screen + 3 * t[1], screen + 3 * t[2]};
    if (!(p[0][2] > 0 && p[1][2] > 0 && p[2][2] > 0)) return;
    /* image y points down, so a face seen from its front turns clockwise */
    float area = (p[2][0] - p[0][0]) * (p[1][1] - p[0][1]) - (p[1][0] - p[0][0]) * (p[2][1] - p[0][1]);
    if (!(area > 0) && !(two_sided && area < 0)) return;
    if (area < 0) face = ~face;
    float lo[2], hi[2];
    for (int k = 0; k < 2; k++) {
        lo[k] = fminf(p[0][k], fminf(p[1][k], p[2][k]));
        hi[k] = fmaxf(p[0][k], fmaxf(p[1][k], p[2][k]));
    }
    if (!(hi[0] > 0 && hi[1] > 0 && lo[0] < (float)side && lo[1] < (float)side)) return;
    int x0 = (int)fmaxf(ceilf(lo[0] - 0.5f), 0), x1 = (int)fminf(floorf(hi[0] - 0.5f), (float)(side - 1));
    int y0 = (int)fmaxf(ceilf(lo[1] - 0.5f), 0), y1 = (int)fminf(floorf(hi[1] - 0.5f), (float)(side - 1));
    float inv = 1 / area;
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++) {
            float w[3], sx = (float)x + 0.5f, sy = (float)y + 0.5f;
            for (int i = 0; i < 3; i++) {
                const float *a = p[(i + 1) % 3], *b = p[(i + 2) % 3];
                w[i] = ((sx - a[0]) * (b[1] - a[1]) - (b[0] - a[0]) * (sy - a[1])) * inv;
            }
            if (w[0] < 0 || w[1] < 0 || w[2] < 0) continue;
            float iz = w[0] * p[0][2] + w[1] * p[1][2] + w[2] * p[2][2];
            ch4_synth_sample *s = &sample[(int64_t)y * side + x];
            if (iz <= s->inverse_depth) continue;
            *s = (ch4_synth_sample){iz, face, {w[0] * p[0][2] / iz, w[1] * p[1][2] / iz}};
        }
}

ch4_synth_surface ch4_synth_surface_at(const ch4_synth_mesh *mesh, int64_t f)
{
    int64_t at = f * mesh->n_vert * 3;
    return (ch4_synth_surface){mesh->n_vert, mesh->n_face, mesh->vert + at, mesh->normal + at, mesh->colour, mesh->face, false, NULL};
}

void ch4_synth_rasterise(ch4_synth_sample *sample, float *screen, const ch4_synth_surface *surface, const ch4_synth_camera *camera)
{
    int side = camera->size * camera->samples;
    memset(sample, 0, (size_t)side * (size_t)side * sizeof(*sample));
    for (int64_t v = 0; v < surface->n_vert; v++) {
        double uv[2], z;
        ch4_synth_project(uv, &z, camera, surface->vert + 3 * v);
        /* Far outside, the products of an area would leave float's range. */
        bool drawable = z > NEAR && fabs(uv[0]) < FAR_OUTSIDE && fabs(uv[1]) < FAR_OUTSIDE;
        screen[3 * v] = drawable ? (float)(uv[0] * camera->samples) : 0;
        screen[3 * v + 1] = drawable ? (float)(uv[1] * camera->samples) : 0;
        screen[3 * v + 2] = drawable ? (float)(1 / z) : 0;
    }
    for (int64_t i = 0; i < surface->n_face; i++) fill_triangle(sample, side, screen, surface->face + 3 * i, (int32_t)i, surface->two_sided);
}

static const ch4_synth_light DAYLIGHT = {.ambient = 0.55f, .diffuse = 0.45f, .direction = {0.3f, 1, 0.6f}};

static void shade_vertices(float *shaded, const ch4_synth_surface *surface)
{
    const ch4_synth_light *light = surface->light ? surface->light : &DAYLIGHT;
    const float *l = light->direction, len = sqrtf(l[0] * l[0] + l[1] * l[1] + l[2] * l[2]);
    for (int64_t i = 0; i < surface->n_vert * 3; i += 3) {
        const float *n = surface->normal + i;
        float d = n[0] * (l[0] / len) + n[1] * (l[1] / len) + n[2] * (l[2] / len);
        float bright = light->ambient + light->diffuse * (d > 0 ? d : 0);
        for (int k = 0; k < 3; k++) shaded[i + k] = surface->colour[i + k] * bright;
    }
}

void ch4_synth_resolve(uint8_t *rgba, float *shaded, const ch4_synth_sample *sample, const ch4_synth_surface *surface, const ch4_synth_camera *camera)
{
    int size = camera->size, S = camera->samples;
    shade_vertices(shaded, surface);
    for (int64_t i = 0; i < (int64_t)size * size; i++) {
        float sum[3] = {0};
        int covered = 0;
        for (int j = 0; j < S * S; j++) {
            const ch4_synth_sample *s = &sample[(i / size * S + j / S) * size * S + i % size * S + j % S];
            if (s->inverse_depth <= 0) continue;
            covered++;
            if (s->face < 0) {
                for (int k = 0; k < 3; k++) sum[k] += BEHIND;
                continue;
            }
            const int32_t *t = surface->face + 3 * s->face;
            float w2 = 1 - s->weight[0] - s->weight[1];
            for (int k = 0; k < 3; k++)
                sum[k] += s->weight[0] * shaded[3 * t[0] + k] + s->weight[1] * shaded[3 * t[1] + k] + w2 * shaded[3 * t[2] + k];
        }
        for (int k = 0; k < 3; k++) rgba[4 * i + k] = covered ? (uint8_t)(sum[k] / (float)covered * 255 + 0.5f) : 0;
        rgba[4 * i + 3] = (uint8_t)(covered * 255 / (S * S));
    }
}
