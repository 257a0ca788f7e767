#include "tools/synth/minibench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/mesh.h"
#include "tools/synth/splitmix.h"

static const double PASS = CH4_MINIBENCH_FRAMES - 1; /* frames of one unit of time */
static const double POLAR = 70, ORBIT = 25, RISE = 8; /* degrees */

const ch4_synth_light CH4_MINIBENCH_LIGHT = {.ambient = .35f, .diffuse = .65f, .direction = {.3f, 1, -.6f}};

static void colour_vertices(float *colour, const ch4_minibench_rest *rest)
{
    for (int64_t v = 0; v < rest->n_vert; v++) {
        const double *x = rest->vert + 3 * v;
        double hue = fmod(.37 * rest->part[v] + .1, 1);
        double check = .5 + .5 * tanh(3 * sin(14 * x[0] + .3) * sin(14 * x[1] + 1) + 2 * sin(14 * x[2] + 2));
        for (int c = 0; c < 3; c++) {
            double base = .5 + .5 * cos(2 * M_PI * (hue + c / 3.0));
            colour[3 * v + c] = (float)fmin(fmax(.25 + .55 * base * (.4 + .6 * check) + .2 * check, 0), 1);
        }
    }
}

/* Moves the object through all frames into the mesh, shifted by nothing yet: doubles of one frame at a time in `moved`. First pass: the box. */
static void find_box(ch4_minibench *clip, double *moved)
{
    double lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY}, side = 0;
    for (int64_t f = 0; f < clip->mesh.n_frames; f++) {
        ch4_minibench_move(moved, &clip->rest, (double)f / PASS);
        for (int64_t i = 0; i < 3 * clip->rest.n_vert; i++) lo[i % 3] = fmin(lo[i % 3], moved[i]), hi[i % 3] = fmax(hi[i % 3], moved[i]);
    }
    for (int k = 0; k < 3; k++) clip->centre[k] = (lo[k] + hi[k]) / 2, side = fmax(side, hi[k] - lo[k]);
    clip->scale = 2 / side;
}

ch4_status ch4_minibench_init(ch4_minibench *out, ch4_minibench_object object, uint64_t seed, int64_t n_frames, ch4_err *err)
{
    memset(out, 0, sizeof(*out));
    ch4_synth_mesh *m = &out->mesh;
    double *moved = NULL;
    ch4_status st = ch4_minibench_rest_init(&out->rest, object, seed, err);
    size_t n = (size_t)out->rest.n_vert * 3, frames = (size_t)n_frames;
    *m = (ch4_synth_mesh){.n_vert = out->rest.n_vert, .n_face = out->rest.n_face, .n_frames = n_frames};
    if (!st) st = ch4_calloc(&moved, n, sizeof(double), "vertices", err);
    if (!st) st = ch4_calloc(&out->first, n, sizeof(double), "vertices", err);
    if (!st) st = ch4_calloc(&m->vert, frames * n, sizeof(float), "vertices", err);
    if (!st) st = ch4_calloc(&m->normal, frames * n, sizeof(float), "normals", err);
    if (!st) st = ch4_calloc(&m->colour, n, sizeof(float), "colours", err);
    if (!st) st = ch4_calloc(&m->face, (size_t)m->n_face * 3, sizeof(int32_t), "faces", err);
    if (st) goto out;
    memcpy(m->face, out->rest.face, (size_t)m->n_face * 3 * sizeof(int32_t));
    colour_vertices(m->colour, &out->rest);
    find_box(out, moved);
    for (int64_t f = 0; !st && f < n_frames; f++) {
        float *vert = m->vert + (size_t)f * n;
        ch4_minibench_move(moved, &out->rest, (double)f / PASS);
        for (size_t i = 0; i < n; i++) {
            double x = (moved[i] - out->centre[i % 3]) * out->scale;
            vert[i] = (float)x;
            if (f == 0) out->first[i] = x;
        }
        st = ch4_mesh_compute_normals(m->normal + (size_t)f * n, vert, m->n_vert, m->face, m->n_face, err);
    }
out:
    free(moved);
    return st;
}

void ch4_minibench_fini(ch4_minibench *clip)
{
    if (!clip) return;
    ch4_minibench_rest_fini(&clip->rest);
    ch4_synth_mesh_fini(&clip->mesh);
    free(clip->first);
    clip->first = NULL;
}

static double face_area(const double *vert, const int32_t *t)
{
    double u[3], w[3], sum = 0;
    for (int k = 0; k < 3; k++) u[k] = vert[3 * t[1] + k] - vert[3 * t[0] + k], w[k] = vert[3 * t[2] + k] - vert[3 * t[0] + k];
    for (int k = 0; k < 3; k++) {
        double c = u[(k + 1) % 3] * w[(k + 2) % 3] - u[(k + 2) % 3] * w[(k + 1) % 3];
        sum += c * c;
    }
    return sqrt(sum) / 2;
}

ch4_status ch4_minibench_sample(int32_t *face, float *bary, const ch4_minibench *clip, int64_t n, ch4_err *err)
{
    double *sum = NULL, total = 0;
    const ch4_minibench_rest *rest = &clip->rest;
    uint64_t stream = rest->stream;
    ch4_status st = ch4_calloc(&sum, (size_t)rest->n_face, sizeof(double), "face areas", err);
    for (int64_t i = 0; !st && i < rest->n_face; i++) sum[i] = total += face_area(clip->first, rest->face + 3 * i);
    for (int64_t i = 0; !st && i < n; i++) {
        double at = ch4_splitmix64_uniform(&stream) * total, r = sqrt(ch4_splitmix64_uniform(&stream)), q = ch4_splitmix64_uniform(&stream);
        int64_t lo = 0, hi = rest->n_face - 1; /* the first face whose sum is not below */
        while (lo < hi) {
            int64_t mid = (lo + hi) / 2;
            if (sum[mid] < at) lo = mid + 1;
            else hi = mid;
        }
        face[i] = (int32_t)lo;
        bary[3 * i] = (float)(1 - r), bary[3 * i + 1] = (float)(r * (1 - q)), bary[3 * i + 2] = (float)(r * q);
    }
    free(sum);
    return st;
}

void ch4_minibench_camera(ch4_synth_camera *out, const ch4_minibench *clip, bool orbit, int64_t frame, int size)
{
    double t = (double)frame / PASS, azimuth = clip->rest.azimuth + (orbit ? ORBIT * t : 0), polar = POLAR - (orbit ? RISE * sin(M_PI * t) : 0);
    /* The azimuth here counts from +x towards -z, the one of the renderer's orbit from +z towards +x. */
    ch4_synth_camera_orbit(out, size, azimuth + 90, 90 - polar, CH4_SYNTH_DISTANCE, (const double[]){0, 0, 0});
    out->samples = 1;
}

static void turn(float v[3], double c, double s)
{
    double x = v[0], z = v[2];
    v[0] = (float)(c * x + s * z);
    v[2] = (float)(c * z - s * x);
}

void ch4_minibench_turn(ch4_minibench *clip, ch4_synth_camera *camera, ch4_synth_light *light, double degrees)
{
    double c = cos(degrees * M_PI / 180), s = sin(degrees * M_PI / 180);
    ch4_synth_mesh *m = &clip->mesh;
    for (int64_t i = 0; i < m->n_frames * m->n_vert; i++) turn(m->vert + 3 * i, c, s), turn(m->normal + 3 * i, c, s);
    turn(light->direction, c, s);
    for (ch4_synth_camera *k = camera; k < camera + m->n_frames; k++)
        for (int row = 0; row < 3; row++) { /* R Y^-1: the rows of R are directions too */
            double x = k->R[3 * row], z = k->R[3 * row + 2];
            k->R[3 * row] = c * x + s * z;
            k->R[3 * row + 2] = c * z - s * x;
        }
}
