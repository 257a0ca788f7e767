#include "tools/eval/view_tracks.h"

#include <math.h>
#include <stdlib.h>

static const double COVERED_BY = 0.02;

void ch4_view_project(double out[3], const ch4_view_scene *s, int64_t frame, const double x[3])
{
    const double *K = s->K + 9 * frame, *R = s->R + 9 * frame, *t = s->t + 3 * frame;
    double c[3];
    for (int k = 0; k < 3; k++) c[k] = R[3 * k] * x[0] + R[3 * k + 1] * x[1] + R[3 * k + 2] * x[2] + t[k];
    out[0] = (K[0] * c[0] + K[1] * c[1]) / c[2] + K[2];
    out[1] = K[4] * c[1] / c[2] + K[5];
    out[2] = c[2];
}

static void project_mesh(double *out, const ch4_view_scene *s, int64_t frame)
{
    for (int64_t i = 0; i < s->n_vert; i++) {
        const float *p = s->vert + 3 * (frame * s->n_vert + i);
        ch4_view_project(out + 3 * i, s, frame, (double[3]){p[0], p[1], p[2]});
    }
}

/* Depth of a triangle at a pixel with the perspective-correct weights; false if the pixel is outside or a corner is behind the camera. */
static bool depth_at(double *depth, double weight[3], const double *a, const double *b, const double *c, double u, double v)
{
    if (fmin(fmin(a[2], b[2]), c[2]) <= 0 || u < fmin(fmin(a[0], b[0]), c[0]) || u > fmax(fmax(a[0], b[0]), c[0])) return false;
    double area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    double w1 = ((u - a[0]) * (c[1] - a[1]) - (v - a[1]) * (c[0] - a[0])) / area, w2 = ((b[0] - a[0]) * (v - a[1]) - (b[1] - a[1]) * (u - a[0])) / area;
    if (!(w1 >= 0 && w2 >= 0 && w1 + w2 <= 1)) return false;
    double q[3] = {(1 - w1 - w2) / a[2], w1 / b[2], w2 / c[2]}, sum = q[0] + q[1] + q[2];
    *depth = 1 / sum;
    for (int k = 0; k < 3; k++) weight[k] = q[k] / sum;
    return true;
}

/* The front-most surface at a pixel; INFINITY if there is none. */
static double front(ch4_view_anchor *at, const ch4_view_scene *s, const double *pixel, double u, double v)
{
    double best = INFINITY, depth, weight[3];
    for (int64_t f = 0; f < s->n_face; f++) {
        const int32_t *i = s->face + 3 * f;
        if (!depth_at(&depth, weight, pixel + 3 * (int64_t)i[0], pixel + 3 * (int64_t)i[1], pixel + 3 * (int64_t)i[2], u, v) || depth >= best) continue;
        best = depth;
        *at = (ch4_view_anchor){{i[0], i[1], i[2]}, {weight[0], weight[1], weight[2]}, true};
    }
    return best;
}

static void nearest_vertex(ch4_view_anchor *at, const ch4_view_scene *s, const double *pixel, double u, double v)
{
    double best = INFINITY;
    *at = (ch4_view_anchor){{0, 0, 0}, {1, 0, 0}, false};
    for (int64_t i = 0; i < s->n_vert; i++) {
        double x = pixel[3 * i] - u, y = pixel[3 * i + 1] - v, d2 = x * x + y * y;
        if (pixel[3 * i + 2] > 0 && d2 < best) best = d2, at->vert[0] = at->vert[1] = at->vert[2] = (int32_t)i;
    }
}

void ch4_view_place(double x[3], const ch4_view_scene *s, int64_t frame, const ch4_view_anchor *at)
{
    for (int k = 0; k < 3; k++) {
        x[k] = 0;
        for (int c = 0; c < 3; c++) x[k] += at->weight[c] * s->vert[3 * (frame * s->n_vert + at->vert[c]) + k];
    }
}

/* Faces are counter-clockwise seen from outside, which is clockwise in pixels with y down. A point that stands for a vertex has no side. */
static bool turned_away(const double *pixel, const ch4_view_anchor *at)
{
    const double *a = pixel + 3 * (int64_t)at->vert[0], *b = pixel + 3 * (int64_t)at->vert[1], *c = pixel + 3 * (int64_t)at->vert[2];
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0;
}

ch4_status ch4_view_anchors(ch4_view_anchor *at, const ch4_view_scene *s, const float *query, int64_t n, ch4_err *err)
{
    double *pixel = NULL, to_x = CH4_TAPVID_RASTER / s->width, to_y = CH4_TAPVID_RASTER / s->height;
    ch4_status st = ch4_calloc(&pixel, (size_t)s->n_vert, 3 * sizeof(*pixel), "projection", err);
    for (int64_t f = 0; !st && f < s->n_frames; f++) {
        project_mesh(pixel, s, f);
        for (int64_t i = 0; i < n; i++) {
            double u = query[3 * i + 2] / to_x, v = query[3 * i + 1] / to_y;
            if ((int64_t)query[3 * i] == f && isinf(front(&at[i], s, pixel, u, v))) nearest_vertex(&at[i], s, pixel, u, v);
        }
    }
    free(pixel);
    return st;
}

ch4_status ch4_view_tracks(float *track, uint8_t *occluded, const ch4_view_scene *s, const ch4_view_anchor *at, int64_t n, ch4_err *err)
{
    double *pixel = NULL, to_x = CH4_TAPVID_RASTER / s->width, to_y = CH4_TAPVID_RASTER / s->height;
    ch4_view_anchor other;
    ch4_status st = ch4_calloc(&pixel, (size_t)s->n_vert, 3 * sizeof(*pixel), "projection", err);
    for (int64_t f = 0; !st && f < s->n_frames; f++) {
        project_mesh(pixel, s, f);
        for (int64_t i = 0; i < n; i++) {
            double x[3], p[3];
            ch4_view_place(x, s, f, &at[i]);
            ch4_view_project(p, s, f, x);
            bool inside = p[2] > 0 && p[0] >= 0 && p[0] <= s->width && p[1] >= 0 && p[1] <= s->height;
            occluded[i * s->n_frames + f] = !inside || turned_away(pixel, &at[i]) || front(&other, s, pixel, p[0], p[1]) < p[2] - COVERED_BY;
            track[2 * (i * s->n_frames + f)] = (float)(p[0] * to_x);
            track[2 * (i * s->n_frames + f) + 1] = (float)(p[1] * to_y);
        }
    }
    free(pixel);
    return st;
}
