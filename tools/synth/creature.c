#include "tools/synth/creature.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"

static const double FIT = 0.95, FIT_MARGIN = 0.012, MIN_RADIUS = 0.062, TIME_UNIT = 16.0, TAU = 6.283185307179586;

const char *ch4_synth_plan_name(ch4_synth_plan plan)
{
    static const char *const names[] = {
#define X(name, text) text,
        CH4_SYNTH_PLAN_LIST(X)
#undef X
    };
    return names[plan];
}

ch4_status ch4_synth_plan_parse(uint32_t *out, const char *list, ch4_err *err)
{
    *out = 0;
    for (const char *p = list;; p++) {
        size_t n = strcspn(p, ",");
        int found = -1;
        for (int i = 0; i < CH4_SYNTH_PLAN_COUNT; i++)
            if (strlen(ch4_synth_plan_name(i)) == n && !strncmp(ch4_synth_plan_name(i), p, n)) found = i;
        if (found < 0)
            return ch4_err_set(err, CH4_EINVAL, "unknown body plan '%.*s'; known: quad, biped, bird, lizard, hexa, worm", (int)n, p);
        *out |= 1u << found;
        p += n;
        if (!*p) return CH4_OK;
    }
}

/* --- body plans ------------------------------------------------------------------------------------------------------- */

/* One swing of a joint: angle(t) = amplitude * sin(2 pi f t + phase) about axis. */
typedef struct swing {
    double axis[3], amplitude, phase;
} swing;

typedef struct part {
    int parent;      /* -1: the root */
    double at[3];    /* start, from the parent's start, in the parent's rest frame */
    double along[3]; /* start to end */
    double r0, r1;
    swing swing[2];
} part;

typedef struct body {
    part part[CH4_SYNTH_PARTS];
    int n;
    double motion; /* amplitude scale */
    double phase;  /* of the gait */
    ch4_rng rng;
} body;

typedef struct vec {
    double x, y, z;
} vec;

static const vec X_AXIS = {1, 0, 0}, Y_AXIS = {0, 1, 0}, Z_AXIS = {0, 0, 1};

static double draw(body *b, double lo, double hi) { return ch4_rng_range(&b->rng, lo, hi); }

static vec scaled(vec v, double s) { return (vec){v.x * s, v.y * s, v.z * s}; }

static vec unit(vec v)
{
    double n = sqrt(v.x * v.x + v.y * v.y + v.z * v.z);
    return scaled(v, 1 / n);
}

static swing make_swing(vec axis, double amplitude, double phase)
{
    vec u = unit(axis);
    return (swing){{u.x, u.y, u.z}, amplitude, phase};
}

static int add_part(body *b, int parent, vec at, vec along, double r0, double r1, swing first, swing second)
{
    b->part[b->n] = (part){parent, {at.x, at.y, at.z}, {along.x, along.y, along.z}, r0, r1, {first, second}};
    return b->n++;
}

/* Adds a part that starts where its parent ends. */
static int add_next(body *b, int parent, vec along, double r0, double r1, swing first, swing second)
{
    const double *e = b->part[parent].along;
    return add_part(b, parent, (vec){e[0], e[1], e[2]}, along, r0, r1, first, second);
}

static swing still(void) { return make_swing(Y_AXIS, 0, 0); }

/* Neck and head at `at` of the trunk. */
static void add_head(body *b, int trunk, vec at, vec neck, double r, double head_length)
{
    double a = b->motion;
    int n = add_part(b, trunk, at, neck, r * 0.75, r * 0.65, make_swing(Y_AXIS, 0.5 * a, draw(b, 0, TAU)),
                     make_swing(Z_AXIS, 0.4 * a, draw(b, 0, TAU)));
    add_next(b, n, (vec){head_length, draw(b, -0.06, 0.05), 0}, r * draw(b, 0.85, 1.05), r * draw(b, 0.6, 0.75),
             make_swing(Z_AXIS, 0.45 * a, draw(b, 0, TAU)), make_swing(Y_AXIS, 0.4 * a, draw(b, 0, TAU)));
}

static void add_tail(body *b, int trunk, vec at, vec direction, double length, double r)
{
    double a = b->motion, p = draw(b, 0, TAU);
    vec d = scaled(unit(direction), length);
    int t = add_part(b, trunk, at, d, r, r * 0.85, make_swing(Y_AXIS, 0.8 * a, p), make_swing(Z_AXIS, 0.3 * a, p + 1));
    add_next(b, t, scaled(d, draw(b, 0.8, 1.1)), r * 0.85, r * 0.65, make_swing(Y_AXIS, 0.8 * a, p + draw(b, 0.3, 1.2)), still());
}

/* Four legs under (quad) or beside (lizard) a horizontal trunk, diagonal pairs in step. */
static void plan_four_legs(body *b, bool sprawl)
{
    double a = b->motion, length = draw(b, 0.8, 1.15), r = draw(b, 0.2, 0.28);
    int trunk = add_part(b, -1, (vec){-length / 2, 0, 0}, (vec){length, 0, 0}, r * draw(b, 0.85, 1.1), r * draw(b, 0.9, 1.15),
                         make_swing(Z_AXIS, 0.12 * a, b->phase), still());
    double leg = draw(b, 0.34, 0.5), rl = draw(b, 0.105, 0.145), splay = sprawl ? draw(b, 0.9, 1.3) : draw(b, 0.15, 0.35);
    double hip = fmax(r * 0.75, rl * 1.45);
    for (int i = 0; i < 4; i++) {
        double side = i & 1 ? 1 : -1, x = i < 2 ? 0.06 * length : 0.94 * length;
        double p = b->phase + TAU / 2 * ((i ^ i >> 1) & 1) + draw(b, -0.3, 0.3);
        vec d = unit((vec){draw(b, -0.12, 0.12), -1, side * splay});
        vec axis = sprawl ? (vec){0, 1, 0.3 * side} : Z_AXIS;
        int thigh = add_part(b, trunk, (vec){x, -0.3 * r, side * hip}, scaled(d, leg), rl * 1.2, rl, make_swing(axis, 0.85 * a, p),
                             make_swing(X_AXIS, 0.15 * a, p + 1));
        vec shin = unit((vec){d.x - 0.1, -1, side * splay * (sprawl ? 0.2 : 0.5)});
        add_next(b, thigh, scaled(shin, leg * draw(b, 0.75, 1.05)), rl, rl * draw(b, 0.8, 1.0),
                 make_swing(Z_AXIS, 0.7 * a, p + draw(b, 0.6, 1.6)), still());
    }
    vec neck = scaled(unit((vec){draw(b, 0.6, 1), sprawl ? draw(b, 0, 0.3) : draw(b, 0.5, 1.2), 0}), draw(b, 0.22, 0.42));
    add_head(b, trunk, (vec){length, 0.3 * r, 0}, neck, r, draw(b, 0.16, 0.28));
    add_tail(b, trunk, (vec){0, 0.25 * r, 0}, (vec){-1, sprawl ? draw(b, -0.1, 0.2) : draw(b, -0.2, 0.6), 0}, draw(b, 0.22, 0.42),
             rl * 1.0);
}

static int add_upright_trunk(body *b, double length, double r, double lean)
{
    double a = b->motion;
    return add_part(b, -1, (vec){0, -length / 2, 0}, (vec){lean, length, 0}, r * draw(b, 0.85, 1.05), r * draw(b, 0.9, 1.1),
                    make_swing(Z_AXIS, 0.15 * a, b->phase), make_swing(Y_AXIS, 0.3 * a, b->phase * 1.7));
}

static void add_two_legs(body *b, int trunk, double r, double rl, double leg)
{
    double a = b->motion, hip = fmax(0.65 * r, 1.35 * rl);
    for (int i = 0; i < 2; i++) {
        double side = i ? 1 : -1, p = b->phase + TAU / 2 * i;
        vec d = unit((vec){draw(b, -0.05, 0.15), -1, side * draw(b, 0.12, 0.3)});
        int thigh = add_part(b, trunk, (vec){0, -0.05, side * hip}, scaled(d, leg), rl * 1.25, rl, make_swing(Z_AXIS, 0.9 * a, p),
                             make_swing(X_AXIS, 0.08 * a, p));
        add_next(b, thigh, scaled(unit((vec){d.x - 0.15, -1, side * 0.1}), leg * draw(b, 0.8, 1)), rl, rl * draw(b, 0.85, 1.0),
                 make_swing(Z_AXIS, 0.7 * a, p + draw(b, 0.6, 1.6)), still());
    }
}

static void plan_biped(body *b)
{
    double a = b->motion, length = draw(b, 0.5, 0.75), r = draw(b, 0.19, 0.26), rl = draw(b, 0.11, 0.15);
    int trunk = add_upright_trunk(b, length, r, draw(b, -0.05, 0.1));
    double lean = b->part[trunk].along[0];
    add_two_legs(b, trunk, r, rl, draw(b, 0.36, 0.52));
    double arm = draw(b, 0.28, 0.42), ra = rl * draw(b, 0.85, 0.95);
    for (int i = 0; i < 2; i++) {
        double side = i ? 1 : -1, p = b->phase + TAU / 2 * (1 - i);
        vec d = unit((vec){draw(b, 0, 0.2), draw(b, -0.9, -0.1), side});
        int upper = add_part(b, trunk, (vec){0.9 * lean, 0.88 * length, side * 0.85 * r}, scaled(d, arm), ra * 1.1, ra,
                             make_swing(Z_AXIS, 0.95 * a, p), make_swing(X_AXIS, -0.4 * a * side, b->phase + draw(b, 0, 1)));
        vec fore = unit((vec){d.x + draw(b, 0.1, 0.5), d.y + draw(b, -0.2, 0.4), d.z});
        add_next(b, upper, scaled(fore, arm * draw(b, 0.8, 1.1)), ra, ra * draw(b, 0.8, 1.1),
                 make_swing((vec){0, 1, 0.4}, 0.75 * a * side, p + draw(b, 0.5, 1.8)), still());
    }
    add_head(b, trunk, (vec){lean, length, 0}, (vec){draw(b, 0, 0.08), draw(b, 0.18, 0.28), 0}, r, draw(b, 0.1, 0.2));
}

static void plan_bird(body *b)
{
    double a = b->motion, length = draw(b, 0.5, 0.7), r = draw(b, 0.19, 0.26), rl = draw(b, 0.105, 0.14);
    int trunk = add_upright_trunk(b, length, r, draw(b, 0.1, 0.35));
    double lean = b->part[trunk].along[0];
    add_two_legs(b, trunk, r, rl, draw(b, 0.28, 0.42));
    double wing = draw(b, 0.36, 0.52), lag = draw(b, 0.4, 1.2), rw = draw(b, 0.1, 0.14), up = draw(b, -0.2, 0.4);
    for (int i = 0; i < 2; i++) {
        double side = i ? 1 : -1;
        vec d = unit((vec){-0.15, up, side});
        int inner = add_part(b, trunk, (vec){0.8 * lean, 0.8 * length, side * 0.6 * r}, scaled(d, wing), rw * 1.1, rw,
                             make_swing(X_AXIS, -a * side, b->phase), make_swing(Y_AXIS, 0.15 * a * side, b->phase + 1));
        add_next(b, inner, scaled(unit((vec){d.x - 0.35, d.y, d.z}), wing * draw(b, 0.8, 1.15)), rw, rw * 0.75,
                 make_swing(X_AXIS, -0.75 * a * side, b->phase + lag), still());
    }
    add_head(b, trunk, (vec){lean, length, 0}, (vec){draw(b, 0.05, 0.15), draw(b, 0.16, 0.26), 0}, r, draw(b, 0.18, 0.28));
    add_tail(b, trunk, (vec){0, 0.1 * length, 0}, (vec){-1, draw(b, -0.2, 0.3), 0}, draw(b, 0.18, 0.28), rl * 1.1);
}

static void plan_hexa(body *b)
{
    double a = b->motion, r = draw(b, 0.22, 0.32), leg = draw(b, 0.36, 0.52), rl = draw(b, 0.1, 0.13), turn = draw(b, 0, TAU);
    int trunk = add_part(b, -1, (vec){-0.15, 0, 0}, (vec){0.3, 0, 0}, r, r * draw(b, 0.85, 1.1),
                         make_swing(Y_AXIS, 0.25 * a, b->phase), still());
    int n = 5 + (int)ch4_rng_below(&b->rng, 2);
    for (int i = 0; i < n; i++) {
        double angle = turn + TAU * i / n + draw(b, -0.12, 0.12), p = b->phase + TAU / 2 * (i % 2) + draw(b, -0.5, 0.5);
        vec e = {cos(angle), 0, sin(angle)}, lift = {-e.z, 0, e.x};
        int upper = add_part(b, trunk, (vec){0.15 + 0.7 * r * e.x, 0, 0.7 * r * e.z}, scaled(unit((vec){e.x, draw(b, -0.1, 0.4), e.z}), leg),
                             rl * 1.15, rl, make_swing(Y_AXIS, 0.5 * a, p), make_swing(lift, 0.45 * a, p + 1));
        add_next(b, upper, scaled(unit((vec){0.7 * e.x, -1, 0.7 * e.z}), leg * draw(b, 0.8, 1.2)), rl, rl * 0.7,
                 make_swing(lift, 0.65 * a, draw(b, 0, TAU)), still());
    }
    add_part(b, trunk, (vec){0.3, 0.1, 0}, (vec){draw(b, 0.2, 0.32), draw(b, 0.1, 0.25), 0}, r * 0.65, r * 0.55,
             make_swing(Y_AXIS, 0.6 * a, draw(b, 0, TAU)), still());
}

static void plan_worm(body *b)
{
    double a = b->motion, link = draw(b, 0.28, 0.38), r = draw(b, 0.14, 0.19), wave = draw(b, 0.8, 1.2);
    int n = 5 + (int)ch4_rng_below(&b->rng, 3);
    vec axis = ch4_rng_uniform(&b->rng) < 0.6 ? Y_AXIS : Z_AXIS;
    vec d = scaled(unit((vec){1, draw(b, -0.2, 0.2), draw(b, -0.2, 0.2)}), link);
    for (int i = 0; i < n; i++) {
        double w0 = 1 - 0.5 * fabs((double)i / n - 0.5), w1 = 1 - 0.5 * fabs((double)(i + 1) / n - 0.5);
        swing s = make_swing(axis, 0.75 * a * (i ? 1 : 0.4), b->phase - i * wave);
        if (i) add_next(b, i - 1, d, r * w0, r * w1, s, still());
        else add_part(b, -1, (vec){0, 0, 0}, d, r * w0, r * w1, s, still());
    }
    for (int i = 0; i < 2; i++) {
        double side = i ? 1 : -1;
        int fin = add_part(b, n / 2, scaled(d, 0.3), scaled(unit((vec){-0.3, draw(b, -0.1, 0.3), side}), draw(b, 0.3, 0.42)), 0.11, 0.09,
                           make_swing(Y_AXIS, 0.7 * a * side, draw(b, 0, TAU)), make_swing(X_AXIS, 0.5 * a, draw(b, 0, TAU)));
        add_next(b, fin, scaled(d, -draw(b, 0.5, 0.8)), 0.09, 0.08, make_swing(X_AXIS, 0.5 * a * side, draw(b, 0, TAU)), still());
    }
    add_next(b, n - 1, scaled(d, draw(b, 0.3, 0.5)), r * draw(b, 0.95, 1.3), r * draw(b, 0.7, 1.0), make_swing(axis, 0.5 * a, b->phase), still());
}

static void build_body(body *b, ch4_synth_plan plan)
{
    switch (plan) {
    case CH4_SYNTH_PLAN_QUAD: plan_four_legs(b, false); break;
    case CH4_SYNTH_PLAN_LIZARD: plan_four_legs(b, true); break;
    case CH4_SYNTH_PLAN_BIPED: plan_biped(b); break;
    case CH4_SYNTH_PLAN_BIRD: plan_bird(b); break;
    case CH4_SYNTH_PLAN_HEXA: plan_hexa(b); break;
    case CH4_SYNTH_PLAN_WORM:
    case CH4_SYNTH_PLAN_COUNT: plan_worm(b); break;
    }
}

/* --- motion ------------------------------------------------------------------------------------------------------------ */

typedef double mat3[9];

static void rotate_about(mat3 out, const double axis[3], double angle)
{
    double c = cos(angle), s = sin(angle), x = axis[0], y = axis[1], z = axis[2], k = 1 - c;
    const mat3 m = {c + k * x * x, k * x * y - s * z, k * x * z + s * y, k * x * y + s * z, c + k * y * y,
                    k * y * z - s * x, k * x * z - s * y, k * y * z + s * x, c + k * z * z};
    memcpy(out, m, sizeof(m));
}

static void multiply(mat3 out, const mat3 a, const mat3 b)
{
    mat3 m;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) m[3 * i + j] = a[3 * i] * b[j] + a[3 * i + 1] * b[3 + j] + a[3 * i + 2] * b[6 + j];
    memcpy(out, m, sizeof(m));
}

static void apply(double out[3], const mat3 m, const double v[3], const double add[3])
{
    for (int i = 0; i < 3; i++) out[i] = m[3 * i] * v[0] + m[3 * i + 1] * v[1] + m[3 * i + 2] * v[2] + add[i];
}

typedef struct root_motion {
    double frequency, yaw, roll, phase[3]; /* frequency in cycles per 16 frames, amplitudes in radians */
} root_motion;

typedef struct pose {
    double start[CH4_SYNTH_PARTS][3], end[CH4_SYNTH_PARTS][3];
    mat3 rotation[CH4_SYNTH_PARTS];
} pose;

/* Forward kinematics at time t (in cycles of frequency 1); move = 0 gives the rest pose. */
static void pose_body(pose *out, const body *b, const root_motion *root, double t, double move)
{
    double w = TAU * root->frequency * t;
    mat3 base, yaw, roll;
    rotate_about(yaw, (const double[]){0, 1, 0}, move * root->yaw * sin(0.7 * w + root->phase[0]));
    rotate_about(roll, (const double[]){0, 0, 1}, move * root->roll * sin(w + root->phase[1]));
    multiply(base, yaw, roll);
    double shift[3] = {move * 0.08 * sin(w + root->phase[2]), move * 0.06 * sin(2 * w + root->phase[1]), 0};
    for (int i = 0; i < b->n; i++) {
        const part *p = &b->part[i];
        mat3 r0, r1;
        rotate_about(r0, p->swing[0].axis, move * p->swing[0].amplitude * sin(w + p->swing[0].phase));
        rotate_about(r1, p->swing[1].axis, move * p->swing[1].amplitude * sin(w + p->swing[1].phase));
        const double *up = p->parent < 0 ? base : out->rotation[p->parent];
        apply(out->start[i], up, p->at, p->parent < 0 ? shift : out->start[p->parent]);
        multiply(r0, r0, r1);
        multiply(out->rotation[i], up, r0);
        apply(out->end[i], out->rotation[i], p->along, out->start[i]);
    }
}

/* Bounding box of all capsules over all frames; radii are max(r, min_radius). */
static void bound_poses(double lo[3], double hi[3], const body *b, const pose *poses, int64_t n_frames, double min_radius)
{
    for (int k = 0; k < 3; k++) lo[k] = INFINITY, hi[k] = -INFINITY;
    for (int64_t f = 0; f < n_frames; f++)
        for (int i = 0; i < b->n; i++) {
            double r0 = fmax(b->part[i].r0, min_radius), r1 = fmax(b->part[i].r1, min_radius);
            for (int k = 0; k < 3; k++) {
                lo[k] = fmin(lo[k], fmin(poses[f].start[i][k] - r0, poses[f].end[i][k] - r1));
                hi[k] = fmax(hi[k], fmax(poses[f].start[i][k] + r0, poses[f].end[i][k] + r1));
            }
        }
}

static void fill_capsules(ch4_synth_capsule *out, const body *b, const pose *p, double scale, const double centre[3])
{
    for (int i = 0; i < CH4_SYNTH_PARTS; i++) {
        if (i >= b->n) {
            out[i] = (ch4_synth_capsule){.r0 = CH4_SYNTH_UNUSED_RADIUS, .r1 = CH4_SYNTH_UNUSED_RADIUS};
            continue;
        }
        for (int k = 0; k < 3; k++) {
            out[i].a[k] = (float)(scale * (p->start[i][k] - centre[k]));
            out[i].b[k] = (float)(scale * (p->end[i][k] - centre[k]));
        }
        out[i].r0 = (float)fmax(scale * b->part[i].r0, MIN_RADIUS);
        out[i].r1 = (float)fmax(scale * b->part[i].r1, MIN_RADIUS);
    }
}

ch4_status ch4_synth_creature_init(ch4_synth_creature *out, uint64_t seed, uint64_t attempt, uint32_t plans, int64_t n_frames,
                                   ch4_err *err)
{
    memset(out, 0, sizeof(*out));
    pose *poses = NULL, rest;
    body b = {.rng = ch4_rng_at(seed, attempt)};
    int chosen = (int)ch4_rng_below(&b.rng, (uint32_t)__builtin_popcount(plans)), plan = 0;
    for (;; plan++)
        if (plans >> plan & 1 && chosen-- == 0) break;
    b.motion = draw(&b, 0.55, 1.0);
    b.phase = draw(&b, 0, TAU);
    build_body(&b, (ch4_synth_plan)plan);
    root_motion root = {draw(&b, 0.5, 1.3), draw(&b, 0, 0.44), draw(&b, 0, 0.2), {draw(&b, 0, TAU), draw(&b, 0, TAU), draw(&b, 0, TAU)}};

    ch4_status st = ch4_calloc(&poses, (size_t)n_frames, sizeof(*poses), "poses", err);
    if (!st) st = ch4_calloc(&out->posed, (size_t)n_frames, sizeof(*out->posed), "posed capsules", err);
    if (!st) st = ch4_calloc(&out->rotation, (size_t)n_frames, sizeof(*out->rotation), "part rotations", err);
    if (st) goto out;
    for (int64_t f = 0; f < n_frames; f++) pose_body(&poses[f], &b, &root, (double)f / TIME_UNIT, 1);
    pose_body(&rest, &b, &root, 0, 0);
    /* The smallest radius is fixed in object units, so it feeds back on the box; three rounds settle it. */
    double lo[3], hi[3], centre[3], scale = 1;
    for (int round = 0; round < 4; round++) {
        bound_poses(lo, hi, &b, poses, n_frames, MIN_RADIUS / scale);
        scale = 2 * (FIT - FIT_MARGIN) / fmax(hi[0] - lo[0], fmax(hi[1] - lo[1], hi[2] - lo[2]));
    }
    for (int k = 0; k < 3; k++) centre[k] = (lo[k] + hi[k]) / 2;
    out->plan = (ch4_synth_plan)plan;
    out->n_parts = b.n;
    out->n_frames = n_frames;
    fill_capsules(out->rest, &b, &rest, scale, centre);
    for (int64_t f = 0; f < n_frames; f++) {
        fill_capsules(out->posed[f], &b, &poses[f], scale, centre);
        for (int i = 0; i < b.n; i++)
            for (int k = 0; k < 9; k++) out->rotation[f][i][k] = (float)poses[f].rotation[i][k];
    }
out:
    free(poses);
    return st;
}

void ch4_synth_creature_fini(ch4_synth_creature *creature)
{
    if (!creature) return;
    free(creature->posed);
    free(creature->rotation);
    memset(creature, 0, sizeof(*creature));
}
