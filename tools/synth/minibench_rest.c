/* The eight objects at rest and how their points move. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tools/synth/minibench.h"
#include "tools/synth/splitmix.h"

/* Superellipsoid: a unit sphere grid of nv rings and nu meridians with poles on y, each vertex divided by its k-norm, times half, plus centre. */
typedef struct ellipsoid {
    int nu, nv;
    double k, half[3], centre[3];
} ellipsoid;

enum { MAX_PARTS = 8 };

typedef struct shape {
    const char *name;
    int n_parts;
    ellipsoid parts[MAX_PARTS];
} shape;

static const shape SHAPES[CH4_MINIBENCH_COUNT] = {
    [CH4_MINIBENCH_SQUASH] = {"squash", 4, {{32, 24, 2, {.6, .6, .6}, {0, 0, 0}},
                                            {12, 8, 2, {.16, .22, .1}, {.3, .62, .1}},
                                            {12, 8, 2, {.1, .15, .16}, {-.35, .55, -.1}},
                                            {12, 8, 2, {.18, .1, .12}, {.62, -.05, .1}}}},
    [CH4_MINIBENCH_WORM] = {"worm", 2, {{24, 64, 2, {.16, 1, .16}, {0, 0, 0}},
                                        {12, 8, 2, {.14, .12, .08}, {.14, .8, 0}}}},
    [CH4_MINIBENCH_WALKER] = {"walker", 8, {{28, 20, 4, {.55, .22, .25}, {0, .15, 0}},
                                            {16, 12, 2, {.22, .18, .17}, {.68, .42, 0}},
                                            {10, 8, 2, {.05, .12, .04}, {.62, .62, .1}},
                                            {10, 8, 2, {.18, .05, .05}, {-.68, .3, 0}},
                                            {14, 16, 4, {.085, .33, .085}, {.4, -.28, .17}},
                                            {14, 16, 4, {.085, .33, .085}, {.4, -.28, -.17}},
                                            {14, 16, 4, {.085, .33, .085}, {-.4, -.28, .17}},
                                            {14, 16, 4, {.085, .33, .085}, {-.4, -.28, -.17}}}},
    [CH4_MINIBENCH_FLAPPER] = {"flapper", 4, {{28, 24, 2, {.62, .16, .16}, {0, 0, 0}},
                                              {24, 24, 4, {.24, .035, .42}, {.05, .03, .54}},
                                              {24, 24, 4, {.24, .035, .42}, {.05, .03, -.54}},
                                              {12, 8, 4, {.16, .16, .03}, {-.62, .12, 0}}}},
    [CH4_MINIBENCH_TWISTER] = {"twister", 2, {{40, 72, 8, {.3, 1, .22}, {0, 0, 0}},
                                              {10, 8, 2, {.1, .06, .06}, {.36, .55, .1}}}},
    /* The gear's radius is modulated below. */
    [CH4_MINIBENCH_SPINNER] = {"spinner", 2, {{72, 16, 4, {1, .18, 1}, {0, 0, 0}},
                                              {12, 10, 2, {.1, .12, .1}, {.45, .22, 0}}}},
    [CH4_MINIBENCH_SLIDER] = {"slider", 4, {{40, 16, 4, {1, .07, .26}, {0, -.2, 0}},
                                            {24, 20, 2, {.2, .2, .2}, {0, .06, 0}},
                                            {12, 10, 4, {.07, .14, .2}, {-.9, -.02, 0}},
                                            {10, 8, 2, {.06, .1, .06}, {.08, .26, .05}}}},
    [CH4_MINIBENCH_FOLDER] = {"folder", 2, {{32, 60, 6, {.07, 1, .28}, {0, 0, 0}},
                                            {10, 8, 2, {.1, .08, .08}, {-.1, .8, .1}}}},
};

const char *ch4_minibench_name(ch4_minibench_object object) { return SHAPES[object].name; }

/* --- at rest ---------------------------------------------------------------------------------------------------------------- */

static int64_t part_vertices(const ellipsoid *p) { return 2 + (int64_t)p->nu * (p->nv - 1); }
static int64_t part_faces(const ellipsoid *p) { return 2 * (int64_t)p->nu * (p->nv - 1); }

static void place(double out[3], const ellipsoid *p, const double unit[3])
{
    double sum = 0;
    for (int k = 0; k < 3; k++) sum += pow(fabs(unit[k]), p->k);
    double norm = pow(sum, 1 / p->k);
    for (int k = 0; k < 3; k++) out[k] = unit[k] / norm * p->half[k] + p->centre[k];
}

static void part_grid(double *vert, const ellipsoid *p)
{
    place(vert, p, (const double[]){0, -1, 0});
    for (int i = 1; i < p->nv; i++)
        for (int j = 0; j < p->nu; j++) {
            double theta = M_PI * i / p->nv, phi = 2 * M_PI * j / p->nu;
            place(vert + 3 * (1 + (int64_t)(i - 1) * p->nu + j), p, (const double[]){sin(theta) * cos(phi), -cos(theta), sin(theta) * sin(phi)});
        }
    place(vert + 3 * (part_vertices(p) - 1), p, (const double[]){0, 1, 0});
}

/* South fan, rings, north fan; `first` is the part's first vertex. */
static void part_triangles(int32_t *face, const ellipsoid *p, int32_t first)
{
    int32_t south = first, north = first + (int32_t)part_vertices(p) - 1;
    int nu = p->nu, nv = p->nv;
#define R(i, j) (first + 1 + ((i)-1) * nu + (j) % nu)
    for (int j = 0; j < nu; j++, face += 3) memcpy(face, (const int32_t[]){south, R(1, j), R(1, j + 1)}, 3 * sizeof(*face));
    for (int i = 1; i <= nv - 2; i++)
        for (int j = 0; j < nu; j++, face += 6) {
            int32_t a = R(i, j), b = R(i + 1, j), c = R(i + 1, j + 1), d = R(i, j + 1);
            memcpy(face, (const int32_t[]){a, b, c, a, c, d}, 6 * sizeof(*face));
        }
    for (int j = 0; j < nu; j++, face += 3) memcpy(face, (const int32_t[]){north, R(nv - 1, j + 1), R(nv - 1, j)}, 3 * sizeof(*face));
#undef R
}

/* What an object does to its grids before they are at rest. */
static void finish_rest(ch4_minibench_rest *r)
{
    for (int64_t v = 0; v < r->n_vert; v++) {
        double *x = r->vert + 3 * v, old[3] = {x[0], x[1], x[2]};
        if (r->object == CH4_MINIBENCH_WORM)
            for (int k = 0; k < 3; k++) x[k] = old[(k + 1) % 3];
        if (r->object == CH4_MINIBENCH_SPINNER && r->part[v] == 0) {
            double radius = .72 * (1 + .15 * cos(6 * atan2(old[2], old[0])));
            x[0] *= radius, x[2] *= radius;
        }
    }
}

ch4_status ch4_minibench_rest_init(ch4_minibench_rest *out, ch4_minibench_object object, uint64_t seed, ch4_err *err)
{
    const shape *s = &SHAPES[object];
    *out = (ch4_minibench_rest){.object = object, .stream = seed * 256 + (uint64_t)object};
    out->amplitude = .8 + .4 * ch4_splitmix64_uniform(&out->stream);
    out->phase = ch4_splitmix64_uniform(&out->stream);
    out->azimuth = 70 + 40 * (ch4_splitmix64_uniform(&out->stream) - .5);
    for (int p = 0; p < s->n_parts; p++) out->n_vert += part_vertices(&s->parts[p]), out->n_face += part_faces(&s->parts[p]);
    ch4_status st = ch4_calloc(&out->vert, (size_t)out->n_vert * 3, sizeof(double), s->name, err);
    if (!st) st = ch4_calloc(&out->part, (size_t)out->n_vert, sizeof(int32_t), s->name, err);
    if (!st) st = ch4_calloc(&out->face, (size_t)out->n_face * 3, sizeof(int32_t), s->name, err);
    if (st) return st;
    int64_t at_vert = 0, at_face = 0;
    for (int p = 0; p < s->n_parts; p++) {
        int64_t n = part_vertices(&s->parts[p]);
        part_grid(out->vert + 3 * at_vert, &s->parts[p]);
        part_triangles(out->face + 3 * at_face, &s->parts[p], (int32_t)at_vert);
        for (int64_t v = 0; v < n; v++) out->part[at_vert + v] = p;
        at_vert += n, at_face += part_faces(&s->parts[p]);
    }
    finish_rest(out);
    return CH4_OK;
}

void ch4_minibench_rest_fini(ch4_minibench_rest *rest)
{
    if (!rest) return;
    free(rest->vert);
    free(rest->part);
    free(rest->face);
    memset(rest, 0, sizeof(*rest));
}

/* --- in motion --------------------------------------------------------------------------------------------------------------- */

static const double W = 2 * M_PI, DEGREE = M_PI / 180;

/* Right-handed rotation of x about an axis (0 x, 1 y, 2 z) through a pivot. */
static void about(double x[3], int axis, double angle, double px, double py, double pz)
{
    const double pivot[3] = {px, py, pz};
    int a = (axis + 1) % 3, b = (axis + 2) % 3;
    double c = cos(angle), s = sin(angle), u = x[a] - pivot[a], v = x[b] - pivot[b];
    x[a] = pivot[a] + c * u - s * v;
    x[b] = pivot[b] + s * u + c * v;
}

/* 0..1..0 with period 2. */
static double turning_back(double t) { return 1 - fabs(fmod(t, 2) - 1); }

typedef struct moment {
    double a, p, t; /* amplitude, phase, time */
} moment;

static void move_squash(double x[3], const moment *m)
{
    double s = 1 + .32 * m->a * sin(W * (.75 * m->t + m->p));
    x[0] /= sqrt(s);
    x[1] = s * x[1] + .25 * m->a * sin(W * .5 * m->t);
    x[2] /= sqrt(s);
}

static void move_worm(double x[3], const moment *m)
{
    x[1] += .22 * m->a * sin(W * (.8 * x[0] + m->t + m->p));
    x[2] += .14 * m->a * cos(W * (.5 * x[0] + .7 * m->t + m->p));
}

static void move_walker(double x[3], int part, const moment *m)
{
    enum { TORSO, HEAD, EAR, TAIL, LEG };
    if (part >= LEG) {
        double front = part < LEG + 2 ? .4 : -.4, left = part % 2 == 0 ? .17 : -.17, late = (front > 0) == (left > 0) ? 0 : .5;
        about(x, 2, 35 * DEGREE * m->a * sin(W * (m->t + m->p + late)), front, 0, left);
    } else if (part == HEAD || part == EAR)
        about(x, 2, 18 * DEGREE * m->a * sin(W * (.7 * m->t + m->p)), .5, .25, 0);
    else if (part == TAIL)
        about(x, 1, 30 * DEGREE * m->a * sin(W * (1.3 * m->t + m->p)), -.52, .3, 0);
    x[1] += .05 * m->a * sin(2 * W * (m->t + m->p));
    x[0] += .25 * turning_back(m->t);
}

static void move_flapper(double x[3], int part, const moment *m)
{
    double beat = m->a * sin(W * (.8 * m->t + m->p));
    if (part == 1) about(x, 0, -50 * DEGREE * beat, 0, .03, .12);
    if (part == 2) about(x, 0, 50 * DEGREE * beat, 0, .03, -.12);
    x[1] -= .12 * beat;
}

static void move_twister(double x[3], const moment *m)
{
    about(x, 1, 120 * DEGREE * m->a * sin(M_PI * m->t / 2) * x[1] + m->p / 2, 0, 0, 0);
}

static void move_slider(double x[3], int part, const moment *m)
{
    if (part != 1 && part != 3) return; /* the rail and its stop */
    double q = -.62 + 1.24 * m->a * turning_back(m->t);
    x[0] += q;
    about(x, 1, W * .5 * m->t, q, 0, 0);
}

static void move_folder(double x[3], const moment *m)
{
    double u = fmin(fmax((x[1] + .15) / .3, 0), 1), angle = 145 * DEGREE * m->a * sin(M_PI * m->t / 2) * (3 * u * u - 2 * u * u * u);
    about(x, 2, -angle, 0, 0, 0);
}

void ch4_minibench_move(double *vert, const ch4_minibench_rest *rest, double t)
{
    const moment m = {rest->amplitude, rest->phase, t};
    memcpy(vert, rest->vert, (size_t)rest->n_vert * 3 * sizeof(*vert));
    for (int64_t v = 0; v < rest->n_vert; v++) {
        double *x = vert + 3 * v;
        switch (rest->object) {
        case CH4_MINIBENCH_SQUASH: move_squash(x, &m); break;
        case CH4_MINIBENCH_WORM: move_worm(x, &m); break;
        case CH4_MINIBENCH_WALKER: move_walker(x, rest->part[v], &m); break;
        case CH4_MINIBENCH_FLAPPER: move_flapper(x, rest->part[v], &m); break;
        case CH4_MINIBENCH_TWISTER: move_twister(x, &m); break;
        case CH4_MINIBENCH_SPINNER: about(x, 1, 100 * DEGREE * m.a * m.t + m.p, 0, 0, 0); break;
        case CH4_MINIBENCH_SLIDER: move_slider(x, rest->part[v], &m); break;
        case CH4_MINIBENCH_FOLDER: move_folder(x, &m); break;
        case CH4_MINIBENCH_COUNT: break;
        }
    }
}
