/* Forms: random compounds of super-ellipsoids with random motions, the second training family beside the creatures.
 *
 * A form is one body (blob, long body, sheet, ring of lobes) with parts fixed to it, hinged to it, sliding along it or turning on it;
 * the whole may be squashed, twisted, bent, run through by a wave, turned and shifted. The parts are closed surfaces of their own
 * that overlap where they touch. Frame, cube and time unit are the creatures' (creature.h). All randomness comes from (seed). */
#ifndef CH4_SYNTH_FORM_H
#define CH4_SYNTH_FORM_H

#include <stdbool.h>

#include "tools/synth/creature_render.h"

enum { CH4_FORM_PARTS = 8 };

#define CH4_FORM_KIND_LIST(X) X(BLOB) X(LONG) X(SHEET) X(LIMBED) X(PANELS) X(TRACK) X(ROTOR)
typedef enum ch4_form_kind {
#define X(name) CH4_FORM_##name,
    CH4_FORM_KIND_LIST(X)
#undef X
    CH4_FORM_KIND_COUNT
} ch4_form_kind;

/* value(t): amplitude * sin(2 pi (cycles * t + phase)), or for a ramp amplitude * smooth step of t from 0 to 1. */
typedef struct ch4_form_course {
    double amplitude, cycles, phase;
    bool ramp;
} ch4_form_course;

double ch4_form_value(const ch4_form_course *course, double t);

typedef struct ch4_form_part {
    int around, along;                    /* vertices of a ring, rings plus one */
    double half[3], exponent, taper;      /* half extents before `turn`; 2 is an ellipsoid, 8 a rounded box */
    int lobes;                            /* bulges around the part's own y axis, 0: none */
    double lobe_depth;
    double turn[9], centre[3];            /* into rest space */
    double pivot[3], axis[3], slide[3];   /* own motion in rest space: turning about axis through pivot, then sliding */
    ch4_form_course swing, slip;
} ch4_form_part;

typedef struct ch4_form {
    ch4_form_kind kind;
    int n_parts;
    ch4_form_part part[CH4_FORM_PARTS];
    double frame[9];                      /* rows: the body's lengthwise axis and two axes across it */
    ch4_form_course squash, twist, bend;  /* logarithm of the stretch; radians per unit of length; radians in all */
    double bend_centre, bend_width;       /* along the body */
    struct {
        double amplitude, number, speed, phase; /* number: waves per unit of length; speed: waves per unit of time */
    } wave[2];
    double turn_axis[3], shift[3];        /* of the whole */
    ch4_form_course turning, shifting;
} ch4_form;

/* Draws form number `attempt` of a seed. */
void ch4_form_draw(ch4_form *out, uint64_t seed, uint64_t attempt);

/* Moves rest points xyz [n,3] of one part to time t, in place. */
void ch4_form_move(double *xyz, int64_t n, const ch4_form *form, int part, double t);

typedef struct ch4_form_clip {
    uint64_t seed;
    int attempt;              /* forms of this seed drawn before this one */
    ch4_form form;
    int64_t first[CH4_FORM_PARTS + 1]; /* vertices of part p: first[p] .. first[p + 1] */
    ch4_synth_mesh mesh;
    ch4_synth_camera camera;  /* near the creatures' one: azimuth, elevation and distance vary a little */
} ch4_form_clip;

/* Draws forms until one moves enough, stays inside the picture and can be normalised into the cube. size: pixels of the camera.
 * Colours: by place at rest, by part with a pattern, or both mixed. CH4_EUNSUP if 64 in a row fail (text of the last one),
 * CH4_ENOMEM. The caller frees *out with ch4_form_clip_fini, also after an error. */
ch4_status ch4_form_clip_init(ch4_form_clip *out, uint64_t seed, int64_t n_frames, int size, ch4_err *err);
void       ch4_form_clip_fini(ch4_form_clip *clip);

/* Approximate signed distance [n] (negative inside) to the union of the parts in frame f at xyz [n,3]: from the nearest vertex of each
 * part and its normal. Good to about 0.01 near the surface. */
void ch4_form_distance(float *distance, const ch4_form_clip *clip, int64_t f, const float *xyz, int64_t n);

#endif
