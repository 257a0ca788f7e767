/* minibench: eight procedural objects with exact truth, the benchmark in ActionBench's layout (docs/synth.md).
 *
 * An object is a few closed superellipsoids moved by a formula of time t = frame / 15; amplitude, phase and azimuth of the camera are drawn
 * from (seed, object) with SplitMix64. Object space: canonical cube [-1,1]^3, y up, right-handed; a clip is normalised once over all its
 * frames. Seeds from 1000 on are held out: nothing may be chosen on them. */
#ifndef CH4_SYNTH_MINIBENCH_H
#define CH4_SYNTH_MINIBENCH_H

#include <stdbool.h>

#include "tools/synth/creature_render.h"

#define CH4_MINIBENCH_OBJECTS(X) \
    X(SQUASH, squash) X(WORM, worm) X(WALKER, walker) X(FLAPPER, flapper) X(TWISTER, twister) X(SPINNER, spinner) X(SLIDER, slider) X(FOLDER, folder)
typedef enum ch4_minibench_object {
#define X(name, text) CH4_MINIBENCH_##name,
    CH4_MINIBENCH_OBJECTS(X)
#undef X
    CH4_MINIBENCH_COUNT
} ch4_minibench_object;

enum { CH4_MINIBENCH_FRAMES = 16 }; /* of a clip, and of one pass of a long one */

extern const ch4_synth_light CH4_MINIBENCH_LIGHT;

const char *ch4_minibench_name(ch4_minibench_object object);

/* An object at rest, before normalisation, and what was drawn for it. */
typedef struct ch4_minibench_rest {
    ch4_minibench_object object;
    double amplitude, phase;  /* 0.8..1.2, 0..1 */
    double azimuth;           /* of the camera, degrees */
    uint64_t stream;          /* SplitMix64 state behind these draws: the surface samples' */
    int64_t n_vert, n_face;
    double *vert;             /* [n_vert,3] */
    int32_t *part;            /* [n_vert] number of the superellipsoid */
    int32_t *face;            /* [n_face,3] counter-clockwise from outside; each part closed and manifold */
} ch4_minibench_rest;

/* CH4_ENOMEM. The caller frees *out with ch4_minibench_rest_fini, also after an error. */
ch4_status ch4_minibench_rest_init(ch4_minibench_rest *out, ch4_minibench_object object, uint64_t seed, ch4_err *err);
void       ch4_minibench_rest_fini(ch4_minibench_rest *rest);

/* vert f64[n_vert,3] at time t (units: one pass of 16 frames is 0..1), not normalised. Drifting motions (walker's way, slider's glide) turn back at
 * whole t, so that a clip may be of any length; up to t = 1 that changes nothing. */
void ch4_minibench_move(double *vert, const ch4_minibench_rest *rest, double t);

/* A clip of n_frames: mesh in object space, and how it got there: object = (moved - centre) * scale. */
typedef struct ch4_minibench {
    ch4_minibench_rest rest;
    double centre[3], scale; /* centre of the bounding box of all frames; 2 / its longest side */
    double *first;           /* [n_vert,3] frame 0 before rounding to float: areas of the surface samples */
    ch4_synth_mesh mesh;
} ch4_minibench;

/* n_frames >= 1. CH4_ENOMEM. The caller frees *out with ch4_minibench_fini, also after an error. */
ch4_status ch4_minibench_init(ch4_minibench *out, ch4_minibench_object object, uint64_t seed, int64_t n_frames, ch4_err *err);
void       ch4_minibench_fini(ch4_minibench *clip);

/* n points on the frame-0 mesh, uniform by area: face [n] and barycentric weights [n,3]. The first points are the same for any n. CH4_ENOMEM. */
ch4_status ch4_minibench_sample(int32_t *face, float *bary, const ch4_minibench *clip, int64_t n, ch4_err *err);

/* The camera of a frame: distance 3.2, polar angle 70 degrees from +y, azimuth as drawn; orbit: azimuth + 25t, polar angle 70 - 8 sin(pi t). */
void ch4_minibench_camera(ch4_synth_camera *out, const ch4_minibench *clip, bool orbit, int64_t frame, int size);

/* Turns the world about +y by degrees, in place: mesh, cameras [n_frames of the mesh], light. The pictures stay the same; what is told in object space
 * does not. A model that has seen objects from one side only wants its camera there. */
void ch4_minibench_turn(ch4_minibench *clip, ch4_synth_camera *camera, ch4_synth_light *light, double degrees);

#endif
