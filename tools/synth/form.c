#include "tools/synth/form.h"

#include <math.h>
#include <string.h>

/* What a body looks like: ranges of its half extents along and across, and of the exponent. */
typedef struct shape_range {
    double along[2], across[2], third[2], exponent[2];
} shape_range;

static const shape_range SHAPES[CH4_FORM_KIND_COUNT] = {
    [CH4_FORM_BLOB] = {{0.35, 0.8}, {0.3, 0.7}, {0.3, 0.7}, {2, 5}},
    [CH4_FORM_LONG] = {{0.75, 1.1}, {0.1, 0.26}, {0.1, 0.26}, {2, 7}},
    [CH4_FORM_SHEET] = {{0.6, 1.1}, {0.2, 0.6}, {0.05, 0.11}, {3, 8}},
    [CH4_FORM_LIMBED] = {{0.4, 0.75}, {0.18, 0.35}, {0.18, 0.35}, {2, 5}},
    [CH4_FORM_PANELS] = {{0.3, 0.75}, {0.1, 0.25}, {0.1, 0.25}, {2, 4}},
    [CH4_FORM_TRACK] = {{0.75, 1.1}, {0.07, 0.3}, {0.07, 0.3}, {3, 7}},
    [CH4_FORM_ROTOR] = {{0.12, 0.35}, {0.45, 0.8}, {0.45, 0.8}, {2, 5}},
};

static bool chance(ch4_rng *r, double p) { return ch4_rng_uniform(r) < p; }
static double pick(ch4_rng *r, const double range[2]) { return ch4_rng_range(r, range[0], range[1]); }

static void unit(double v[3])
{
    double n = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int k = 0; k < 3; k++) v[k] /= n > 1e-9 ? n : 1;
}

static void random_direction(double v[3], ch4_rng *r)
{
    for (int k = 0; k < 3; k++) v[k] = ch4_rng_normal(r);
    unit(v);
}

/* Rows: direction u and two directions across it, at a random angle if `roll`. */
static void frame_along(double m[9], const double u[3], ch4_rng *r, bool roll)
{
    double side[3] = {0, 0, 0}, v[3], w[3];
    int least = fabs(u[0]) < fabs(u[2]) ? 0 : 2;
    if (roll) random_direction(side, r);
    else side[least] = 1;
    double dot = side[0] * u[0] + side[1] * u[1] + side[2] * u[2];
    for (int k = 0; k < 3; k++) v[k] = side[k] - dot * u[k];
    unit(v);
    for (int k = 0; k < 3; k++) w[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
    memcpy(m, u, sizeof(w));
    memcpy(m + 3, v, sizeof(w));
    memcpy(m + 6, w, sizeof(w));
}

/* A rotation that puts a part's own y axis along the frame's first row, x along the second, z against the third. */
static void part_turn(double turn[9], const double frame[9])
{
    for (int k = 0; k < 3; k++) turn[3 * k] = frame[3 + k], turn[3 * k + 1] = frame[k], turn[3 * k + 2] = -frame[6 + k];
}

static ch4_form_course draw_course(ch4_rng *r, double lo, double hi)
{
    ch4_form_course c = {ch4_rng_range(r, lo, hi), ch4_rng_range(r, 0.35, 1.3), ch4_rng_uniform(r), chance(r, 0.25)};
    if (c.ramp) c.amplitude *= chance(r, 0.5) ? 1.5 : -1.5;
    return c;
}

static ch4_form_part *add_part(ch4_form *f, int around, int along)
{
    ch4_form_part *p = &f->part[f->n_parts++];
    memset(p, 0, sizeof(*p));
    p->around = around;
    p->along = along;
    p->exponent = 2;
    memcpy(p->turn, (const double[]){1, 0, 0, 0, 1, 0, 0, 0, 1}, sizeof(p->turn));
    p->axis[1] = 1;
    return p;
}

static void draw_body(ch4_form *f, ch4_rng *r)
{
    const shape_range *s = &SHAPES[f->kind];
    double u[3] = {0, 0, 0};
    if (chance(r, 0.3)) random_direction(u, r);
    else u[(int)ch4_rng_below(r, 3)] = 1;
    if (f->kind == CH4_FORM_ROTOR && chance(r, 0.7)) memcpy(u, (const double[]){0, 1, 0}, sizeof(u));
    frame_along(f->frame, u, r, chance(r, 0.3));
    ch4_form_part *p = add_part(f, f->kind == CH4_FORM_ROTOR ? 48 : 28, f->kind == CH4_FORM_LONG || f->kind == CH4_FORM_SHEET ? 44 : 28);
    p->half[1] = pick(r, s->along);
    p->half[0] = pick(r, s->across);
    p->half[2] = f->kind == CH4_FORM_ROTOR && chance(r, 0.6) ? p->half[0] : pick(r, s->third);
    p->exponent = pick(r, s->exponent);
    p->taper = chance(r, 0.4) ? ch4_rng_range(r, -0.5, 0.5) : 0;
    if (f->kind == CH4_FORM_ROTOR || chance(r, 0.15)) {
        p->lobes = 2 + (int)ch4_rng_below(r, 4);
        p->lobe_depth = ch4_rng_range(r, 0.1, 0.35);
    }
    part_turn(p->turn, f->frame);
}

/* A place on the body's surface in direction d (rest space, about the centre), moved inwards by the factor `depth`. */
static void on_body(double at[3], const ch4_form *f, const double d[3], double depth)
{
    const ch4_form_part *b = &f->part[0];
    double own[3], sum = 0;
    for (int k = 0; k < 3; k++) own[k] = b->turn[k] * d[0] + b->turn[3 + k] * d[1] + b->turn[6 + k] * d[2];
    for (int k = 0; k < 3; k++) sum += pow(fabs(own[k]) / b->half[k], b->exponent);
    double scale = depth / pow(sum, 1 / b->exponent);
    for (int k = 0; k < 3; k++) at[k] = d[k] * scale;
}

static void set_small(ch4_form_part *p, ch4_rng *r, double lo, double hi)
{
    for (int k = 0; k < 3; k++) p->half[k] = ch4_rng_range(r, lo, hi);
    p->exponent = ch4_rng_range(r, 2, 5);
}

/* Knobs that stay where they are on the body: marks of its front and sides. */
static void add_knobs(ch4_form *f, ch4_rng *r, int most)
{
    for (int n = (int)ch4_rng_below(r, (uint32_t)most + 1); n > 0 && f->n_parts < CH4_FORM_PARTS; n--) {
        double d[3];
        random_direction(d, r);
        ch4_form_part *p = add_part(f, 12, 10);
        set_small(p, r, 0.08, 0.24);
        on_body(p->centre, f, d, ch4_rng_range(r, 0.85, 1.1));
        if (f->kind == CH4_FORM_ROTOR || f->kind == CH4_FORM_BLOB || chance(r, 0.6)) continue;
        memcpy(p->pivot, p->centre, sizeof(p->pivot));
        for (int k = 0; k < 3; k++) p->pivot[k] -= d[k] * 0.12;
        random_direction(p->axis, r);
        p->swing = draw_course(r, 0.2, 0.8);
    }
}

/* A part of length 2 h that leaves the body at `root` along d. */
static ch4_form_part *add_limb(ch4_form *f, const double root[3], const double d[3], const double half[3], ch4_rng *r)
{
    double frame[9];
    ch4_form_part *p = add_part(f, 14, 18);
    memcpy(p->half, half, sizeof(p->half));
    frame_along(frame, d, r, false);
    part_turn(p->turn, frame);
    for (int k = 0; k < 3; k++) p->centre[k] = root[k] + d[k] * half[1] * 0.9;
    memcpy(p->pivot, root, sizeof(p->pivot));
    return p;
}

static void add_limbs(ch4_form *f, ch4_rng *r)
{
    int n = 2 + (int)ch4_rng_below(r, 4);
    bool downward = chance(r, 0.5);
    ch4_form_course common = draw_course(r, 0.35, 0.9);
    double thick = ch4_rng_range(r, 0.06, 0.14), length = ch4_rng_range(r, 0.25, 0.5), axis[3];
    random_direction(axis, r);
    for (int i = 0; i < n && f->n_parts < CH4_FORM_PARTS; i++) {
        double d[3], root[3];
        random_direction(d, r);
        if (downward) d[1] = -fabs(d[1]);
        on_body(root, f, d, 0.9);
        if (downward) d[0] *= 0.4, d[2] *= 0.4, d[1] = fmin(d[1], -0.3);
        unit(d);
        double jitter = ch4_rng_range(r, 0.8, 1.2);
        ch4_form_part *p = add_limb(f, root, d, (const double[]){thick, length * jitter, thick * ch4_rng_range(r, 0.8, 1.2)}, r);
        p->exponent = ch4_rng_range(r, 2, 5);
        memcpy(p->axis, axis, sizeof(axis));
        if (chance(r, 0.3)) random_direction(p->axis, r);
        p->swing = common;
        p->swing.phase = chance(r, 0.5) ? common.phase + 0.5 : ch4_rng_uniform(r);
        p->swing.amplitude *= jitter;
    }
}

/* Thin panels hinged to the body along its length, one to four of them around it. */
static void add_panels(ch4_form *f, ch4_rng *r)
{
    int n = 1 + (int)ch4_rng_below(r, 4);
    ch4_form_course common = draw_course(r, 0.4, 1.0);
    double length = ch4_rng_range(r, 0.25, 0.55), width = ch4_rng_range(r, 0.15, 0.45), start = 2 * M_PI * ch4_rng_uniform(r);
    bool opposed = chance(r, 0.6);
    for (int i = 0; i < n && f->n_parts < CH4_FORM_PARTS; i++) {
        double angle = start + 2 * M_PI * i / n + ch4_rng_range(r, -0.3, 0.3), d[3], root[3];
        for (int k = 0; k < 3; k++) d[k] = cos(angle) * f->frame[3 + k] + sin(angle) * f->frame[6 + k];
        on_body(root, f, d, 0.8);
        ch4_form_part *p = add_limb(f, root, d, (const double[]){width, length, ch4_rng_range(r, 0.04, 0.07)}, r);
        p->around = 24;
        p->along = 22;
        p->exponent = ch4_rng_range(r, 3, 6);
        for (int k = 0; k < 3; k++) { /* width along the body, thickness across: the hinge is the body's axis */
            double across = f->frame[(k + 1) % 3] * d[(k + 2) % 3] - f->frame[(k + 2) % 3] * d[(k + 1) % 3];
            p->turn[3 * k] = f->frame[k], p->turn[3 * k + 1] = d[k], p->turn[3 * k + 2] = across;
            p->axis[k] = f->frame[k];
        }
        p->swing = common;
        if (opposed) p->swing.amplitude *= i % 2 ? -1 : 1;
        else p->swing.phase += ch4_rng_range(r, -0.15, 0.15);
    }
}

/* One to three movers that travel along the body on one of its sides, some of them turning. */
static void add_movers(ch4_form *f, ch4_rng *r)
{
    int n = 1 + (int)ch4_rng_below(r, 3);
    double angle = 2 * M_PI * ch4_rng_uniform(r), length = f->part[0].half[1];
    for (int i = 0; i < n && f->n_parts < CH4_FORM_PARTS; i++, angle += 2) {
        double d[3], at[3], reach = ch4_rng_range(r, 0.3, 0.75) * length;
        for (int k = 0; k < 3; k++) d[k] = cos(angle) * f->frame[3 + k] + sin(angle) * f->frame[6 + k];
        on_body(at, f, d, 1.0);
        ch4_form_part *p = add_part(f, 20, 16);
        set_small(p, r, 0.12, 0.28);
        for (int k = 0; k < 3; k++) p->centre[k] = at[k] + d[k] * 0.6 * p->half[1], p->slide[k] = f->frame[k];
        memcpy(p->pivot, p->centre, sizeof(p->pivot));
        p->slip = (ch4_form_course){reach, ch4_rng_range(r, 0.3, 0.9), ch4_rng_uniform(r), chance(r, 0.4)};
        if (p->slip.ramp) { /* from one end towards the other */
            double way = chance(r, 0.5) ? 1 : -1;
            for (int k = 0; k < 3; k++) p->centre[k] -= way * reach * f->frame[k], p->pivot[k] = p->centre[k];
            p->slip.amplitude = 2 * reach * way;
        }
        memcpy(p->axis, chance(r, 0.5) ? d : f->frame, sizeof(p->axis));
        if (chance(r, 0.5)) p->swing = draw_course(r, 0.5, 1.5);
    }
}

static void draw_deformation(ch4_form *f, ch4_rng *r)
{
    ch4_form_kind kind = f->kind;
    bool extra = chance(r, 0.3);
    if (kind == CH4_FORM_BLOB || (extra && chance(r, 0.3))) f->squash = draw_course(r, 0.15, 0.5);
    if (kind == CH4_FORM_LONG || kind == CH4_FORM_SHEET || extra) {
        double share = kind == CH4_FORM_LONG || kind == CH4_FORM_SHEET ? 1 : 0.5;
        int what = (int)ch4_rng_below(r, 4); /* the last: twist and bend together */
        if (what == 0)
            for (int i = 0; i < 2; i++) {
                f->wave[i].amplitude = share * ch4_rng_range(r, 0.04, 0.25) * (i ? chance(r, 0.6) : 1);
                f->wave[i].number = ch4_rng_range(r, 0.3, 1.0);
                f->wave[i].speed = (chance(r, 0.5) ? 1 : -1) * ch4_rng_range(r, 0.4, 1.2);
                f->wave[i].phase = ch4_rng_uniform(r);
            }
        if (what == 1 || what == 3) f->bend = draw_course(r, share * 0.5, share * 1.7);
        if (what >= 2) f->twist = draw_course(r, share * 0.4, share * 1.3);
    }
    f->bend_centre = ch4_rng_range(r, -0.4, 0.4);
    f->bend_width = ch4_rng_range(r, 0.4, 2);
}

static void draw_travel(ch4_form *f, ch4_rng *r)
{
    memcpy(f->turn_axis, (const double[]){0, 1, 0}, sizeof(f->turn_axis));
    if (f->kind == CH4_FORM_ROTOR) {
        memcpy(f->turn_axis, f->frame, sizeof(f->turn_axis));
        f->turning = (ch4_form_course){(chance(r, 0.5) ? 1 : -1) * ch4_rng_range(r, 0.5, 2), ch4_rng_range(r, 0.3, 0.7), ch4_rng_uniform(r), chance(r, 0.6)};
    } else if (chance(r, 0.4)) {
        if (chance(r, 0.4)) random_direction(f->turn_axis, r);
        f->turning = draw_course(r, 0.15, 0.6);
    }
    if (chance(r, 0.4)) {
        random_direction(f->shift, r);
        f->shifting = draw_course(r, 0.05, 0.25);
    }
}

void ch4_form_draw(ch4_form *out, uint64_t seed, uint64_t attempt)
{
    ch4_rng rng = ch4_rng_at(seed, attempt), *r = &rng;
    memset(out, 0, sizeof(*out));
    out->kind = (ch4_form_kind)ch4_rng_below(r, CH4_FORM_KIND_COUNT);
    draw_body(out, r);
    if (out->kind == CH4_FORM_LIMBED) add_limbs(out, r);
    if (out->kind == CH4_FORM_PANELS) add_panels(out, r);
    if (out->kind == CH4_FORM_TRACK) add_movers(out, r);
    add_knobs(out, r, 3);
    draw_deformation(out, r);
    draw_travel(out, r);
}
