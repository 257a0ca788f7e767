#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tools/synth/creature_clip.h"
#include "tools/synth/form.h"

static const double CUBE = 0.95, LEAST_MOTION = 0.06, MOST_MOTION = 0.8, TIME_UNIT = 16;
static const float VERTEX_REACH = 0.05f; /* tangential distance to the nearest vertex that tells nothing about the distance to the surface */

/* Unit sphere grid with poles on y, outward faces. */
static int64_t grid_vertices(const ch4_form_part *p) { return 2 + (int64_t)p->around * (p->along - 1); }
static int64_t grid_faces(const ch4_form_part *p) { return 2 * (int64_t)p->around * (p->along - 1); }

static void grid_fill_faces(int32_t *face, const ch4_form_part *p, int32_t first)
{
    int32_t n = p->around, rings = p->along - 1, last = first + 1 + n * rings;
    for (int32_t j = 0; j < n; j++) {
        int32_t a = first + 1 + j, b = first + 1 + (j + 1) % n;
        memcpy(face, (const int32_t[]){first, a, b}, 3 * sizeof(*face));
        face += 3;
        for (int32_t i = 0; i + 1 < rings; i++, face += 6) {
            int32_t q = i * n;
            memcpy(face, (const int32_t[]){a + q, a + q + n, b + q + n, a + q, b + q + n, b + q}, 6 * sizeof(*face));
        }
        memcpy(face, (const int32_t[]){last, b + (rings - 1) * n, a + (rings - 1) * n}, 3 * sizeof(*face));
        face += 3;
    }
}

/* Rest position of a point of the unit sphere. */
static void shape_point(double out[3], const ch4_form_part *p, const double sphere[3])
{
    double norm = 0, own[3];
    for (int k = 0; k < 3; k++) norm += pow(fabs(sphere[k]), p->exponent);
    norm = pow(norm, 1 / p->exponent);
    double bulge = p->lobes ? 1 + p->lobe_depth * cos(p->lobes * atan2(sphere[2], sphere[0])) : 1;
    double wide = bulge * (1 + p->taper * sphere[1] / norm);
    for (int k = 0; k < 3; k++) own[k] = sphere[k] / norm * p->half[k] * (k == 1 ? 1 : wide);
    for (int k = 0; k < 3; k++) out[k] = p->centre[k] + p->turn[3 * k] * own[0] + p->turn[3 * k + 1] * own[1] + p->turn[3 * k + 2] * own[2];
}

static void grid_fill_vertices(double *rest, const ch4_form_part *p)
{
    int64_t n = grid_vertices(p);
    for (int64_t v = 0; v < n; v++) {
        double theta = v == 0 ? 0 : v == n - 1 ? M_PI : M_PI * (double)(1 + (v - 1) / p->around) / p->along;
        double phi = 2 * M_PI * (double)((v - 1) % p->around) / p->around;
        double sphere[3] = {sin(theta) * cos(phi), -cos(theta), sin(theta) * sin(phi)};
        shape_point(rest + 3 * v, p, sphere);
    }
}

/* One of three schemes: colour tells the place at rest; colour tells the part, with a pattern; the place, with the pattern's brightness. */
static void colour_vertices(ch4_form_clip *c, const double *rest, ch4_rng r)
{
    double scheme = ch4_rng_uniform(&r), lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY}, wave[6], hue[CH4_FORM_PARTS];
    bool by_part = scheme < 0.5, pattern = scheme < 0.75;
    for (int i = 0; i < 6; i++) wave[i] = i < 3 ? ch4_rng_range(&r, 7, 17) : 2 * M_PI * ch4_rng_uniform(&r);
    for (int p = 0; p < CH4_FORM_PARTS; p++) hue[p] = ch4_rng_uniform(&r);
    for (int64_t i = 0; i < 3 * c->mesh.n_vert; i++) lo[i % 3] = fmin(lo[i % 3], rest[i]), hi[i % 3] = fmax(hi[i % 3], rest[i]);
    for (int p = 0; p < c->form.n_parts; p++)
        for (int64_t v = c->first[p]; v < c->first[p + 1]; v++) {
            const double *x = rest + 3 * v;
            double k = 0.5 + 0.5 * tanh(3 * sin(wave[0] * x[0] + wave[3]) * sin(wave[1] * x[1] + wave[4]) + 2 * sin(wave[2] * x[2] + wave[5]));
            if (!pattern) k = 0.8;
            for (int i = 0; i < 3; i++) {
                double base = by_part ? 0.5 + 0.5 * cos(2 * M_PI * (hue[p] + i / 3.0)) : (x[i] - lo[i]) / (hi[i] - lo[i]);
                double value = by_part ? 0.25 + 0.55 * base * (0.4 + 0.6 * k) + 0.2 * k : (0.08 + 0.9 * base) * (0.65 + 0.35 * k);
                c->mesh.colour[3 * v + i] = (float)fmin(value, 1);
            }
        }
}

/* The creatures' camera, a little moved: a user's own camera never stands quite there. */
static void draw_camera(ch4_form_clip *c, int size, ch4_rng *r)
{
    double azimuth = ch4_rng_range(r, -20, 20), elevation = ch4_rng_range(r, -4, 4), distance = ch4_rng_range(r, 1, 1.15);
    ch4_synth_camera_orbit(&c->camera, size, CH4_SYNTH_AZIMUTH + azimuth, CH4_SYNTH_ELEVATION + elevation, CH4_SYNTH_DISTANCE * distance,
                           (const double[3]){0, 0, 0});
}

static ch4_status allocate(ch4_form_clip *c, int64_t n_frames, ch4_err *err)
{
    ch4_synth_mesh *m = &c->mesh;
    m->n_frames = n_frames;
    for (int p = 0; p < c->form.n_parts; p++) {
        c->first[p + 1] = c->first[p] + grid_vertices(&c->form.part[p]);
        m->n_face += grid_faces(&c->form.part[p]);
    }
    m->n_vert = c->first[c->form.n_parts];
    size_t all = (size_t)(n_frames * m->n_vert);
    ch4_status st = ch4_calloc(&m->vert, all * 3, sizeof(float), "vertices", err);
    if (!st) st = ch4_calloc(&m->normal, all * 3, sizeof(float), "normals", err);
    if (!st) st = ch4_calloc(&m->face, (size_t)m->n_face * 3, sizeof(int32_t), "faces", err);
    if (!st) st = ch4_calloc(&m->colour, (size_t)m->n_vert * 3, sizeof(float), "colours", err);
    return st;
}

/* Scales and centres all frames together into the cube; a tenth of the size is left to chance. */
static void normalise(ch4_synth_mesh *m, ch4_rng *r)
{
    float lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY}, most = 0;
    for (int64_t i = 0; i < 3 * m->n_frames * m->n_vert; i++) lo[i % 3] = fminf(lo[i % 3], m->vert[i]), hi[i % 3] = fmaxf(hi[i % 3], m->vert[i]);
    for (int k = 0; k < 3; k++) most = fmaxf(most, hi[k] - lo[k]);
    float scale = (float)(2 * CUBE * ch4_rng_range(r, 0.9, 1)) / most;
    for (int64_t i = 0; i < 3 * m->n_frames * m->n_vert; i++) m->vert[i] = scale * (m->vert[i] - 0.5f * (lo[i % 3] + hi[i % 3]));
}

static ch4_status build(ch4_form_clip *c, int64_t n_frames, int size, ch4_err *err)
{
    ch4_synth_mesh *m = &c->mesh;
    ch4_rng colours = ch4_rng_at(c->seed, CH4_SYNTH_STREAM_COLOUR), view = ch4_rng_at(c->seed, CH4_SYNTH_STREAM_VIEW);
    double *rest = NULL, *moved = NULL;
    ch4_status st = allocate(c, n_frames, err);
    if (!st) st = ch4_calloc(&rest, (size_t)m->n_vert * 3, sizeof(double), "rest vertices", err);
    if (!st) st = ch4_calloc(&moved, (size_t)m->n_vert * 3, sizeof(double), "moved vertices", err);
    if (st) goto out;
    int32_t *face = m->face;
    for (int p = 0; p < c->form.n_parts; p++) {
        const ch4_form_part *part = &c->form.part[p];
        grid_fill_vertices(rest + 3 * c->first[p], part);
        grid_fill_faces(face, part, (int32_t)c->first[p]);
        face += 3 * grid_faces(part);
    }
    for (int64_t f = 0; f < n_frames; f++) {
        memcpy(moved, rest, (size_t)m->n_vert * 3 * sizeof(*moved));
        for (int p = 0; p < c->form.n_parts; p++)
            ch4_form_move(moved + 3 * c->first[p], c->first[p + 1] - c->first[p], &c->form, p, (double)f / TIME_UNIT);
        for (int64_t i = 0; i < 3 * m->n_vert; i++) m->vert[f * 3 * m->n_vert + i] = (float)moved[i];
    }
    colour_vertices(c, rest, colours);
    normalise(m, &view);
    draw_camera(c, size, &view);
    for (int64_t f = 0; f < n_frames; f++) ch4_synth_vertex_normals(m, f);
out:
    free(rest);
    free(moved);
    return st;
}

static ch4_status check(const ch4_form_clip *c, ch4_err *err)
{
    double mean, share;
    ch4_synth_motion(&mean, &share, &c->mesh);
    if (!(mean > LEAST_MOTION && mean < MOST_MOTION)) return ch4_err_set(err, CH4_EUNSUP, "mean motion %.2f", mean);
    return ch4_synth_check_picture(&c->mesh, &c->camera, err);
}

ch4_status ch4_form_clip_init(ch4_form_clip *out, uint64_t seed, int64_t n_frames, int size, ch4_err *err)
{
    ch4_status st = CH4_EUNSUP;
    for (int attempt = 0; attempt < 64; attempt++) {
        memset(out, 0, sizeof(*out));
        out->seed = seed;
        out->attempt = attempt;
        ch4_form_draw(&out->form, seed, (uint64_t)attempt);
        st = build(out, n_frames, size, err);
        if (!st) st = check(out, err);
        if (st != CH4_EUNSUP) break;
        ch4_synth_mesh_fini(&out->mesh);
    }
    return st ? ch4_err_wrap(err, st, "seed %llu", (unsigned long long)seed) : CH4_OK;
}

void ch4_form_clip_fini(ch4_form_clip *clip)
{
    if (clip) ch4_synth_mesh_fini(&clip->mesh);
}

static float part_distance(const float *vert, const float *normal, int64_t n, const float x[3])
{
    float least = INFINITY;
    int64_t at = 0;
    for (int64_t v = 0; v < n; v++) {
        float a = vert[3 * v] - x[0], b = vert[3 * v + 1] - x[1], c = vert[3 * v + 2] - x[2], d = a * a + b * b + c * c;
        if (d < least) least = d, at = v;
    }
    float across = 0;
    for (int k = 0; k < 3; k++) across += (x[k] - vert[3 * at + k]) * normal[3 * at + k];
    return copysignf(sqrtf(fmaxf(across * across, least - VERTEX_REACH * VERTEX_REACH)), across);
}

void ch4_form_distance(float *distance, const ch4_form_clip *clip, int64_t f, const float *xyz, int64_t n)
{
    const ch4_synth_mesh *m = &clip->mesh;
    for (int64_t i = 0; i < n; i++) {
        distance[i] = INFINITY;
        for (int p = 0; p < clip->form.n_parts; p++) {
            int64_t at = (f * m->n_vert + clip->first[p]) * 3;
            distance[i] = fminf(distance[i], part_distance(m->vert + at, m->normal + at, clip->first[p + 1] - clip->first[p], xyz + 3 * i));
        }
    }
}
