/* A small z-buffer renderer for meshes: one perspective camera, perspective-correct vertex colours, soft shading.
 *
 * Camera: OpenCV, Xc = R Xw + t, looks along +z; pixel (i,j) has its centre at (i+0.5, j+0.5). The camera of the synthetic data has focal
 * length 2.1875 in NDC (the image spans [-1,1]), so K has 2.1875 * size / 2 on the diagonal, and looks at the origin from azimuth 35,
 * elevation 20 degrees, distance 3.2. */
#ifndef CH4_SYNTH_CREATURE_RENDER_H
#define CH4_SYNTH_CREATURE_RENDER_H

#include <stdbool.h>

#include "tools/synth/creature_mesh.h"

enum { CH4_SYNTH_SUPERSAMPLE = 2, CH4_SYNTH_AZIMUTH = 35, CH4_SYNTH_ELEVATION = 20 };
#define CH4_SYNTH_DISTANCE 3.2

typedef struct ch4_synth_camera {
    int size;    /* pixels; the picture is square */
    int samples; /* of a pixel, a side: 1 has hard edges */
    double K[9], R[9], t[3];
} ch4_synth_camera;

void ch4_synth_camera_init(ch4_synth_camera *out, int size); /* samples: CH4_SYNTH_SUPERSAMPLE, as below */

/* The same focal length, looking at `target` from a distance; degrees. Azimuth 0 is in front (+z), 90 at the side (+x); elevation -90 to 90. */
void ch4_synth_camera_orbit(ch4_synth_camera *out, int size, double azimuth, double elevation, double distance, const double target[3]);

/* Pixel position and depth of an object-space point; the third row of K counts as (0,0,1), its lower triangle as 0. */
void ch4_synth_project(double uv[2], double *depth, const ch4_synth_camera *camera, const float xyz[3]);

/* One of camera.samples^2 samples of a pixel. */
typedef struct ch4_synth_sample {
    float inverse_depth; /* 0: background */
    int32_t face;        /* ~face where a two-sided surface is seen from behind */
    float weight[2];     /* barycentric weights of corners 0 and 1 of the face, on the surface */
} ch4_synth_sample;

/* Shading: ambient + diffuse * max(0, n.l), l along direction (need not be a unit vector) in object space. */
typedef struct ch4_synth_light {
    float ambient, diffuse, direction[3];
} ch4_synth_light;

/* One frame of a mesh: views of the caller's arrays. */
typedef struct ch4_synth_surface {
    int64_t n_vert, n_face;
    const float *vert;   /* [n_vert,3] */
    const float *normal; /* [n_vert,3] unit or zero */
    const float *colour; /* [n_vert,3] albedo in [0,1] */
    const int32_t *face; /* [n_face,3] */
    bool two_sided;      /* faces are drawn from behind too, in grey: a look through a hole, or a flipped face */
    const ch4_synth_light *light; /* NULL: 0.55 + 0.45 max(0, n.l), l along (0.3, 1, 0.6) */
} ch4_synth_surface;

ch4_synth_surface ch4_synth_surface_at(const ch4_synth_mesh *mesh, int64_t f); /* one-sided, light as NULL */

/* What the camera sees: sample [(s*size),(s*size)] with s = camera->samples; screen is scratch of 3 * n_vert floats. Faces with a corner
 * behind the camera, or so near to its plane that it lies a billion pixels outside, are left out. */
void ch4_synth_rasterise(ch4_synth_sample *sample, float *screen, const ch4_synth_surface *surface, const ch4_synth_camera *camera);

/* rgba [size,size,4]: colour is the mean of the covered samples, alpha the covered share. shaded is scratch of 3 * n_vert
 * floats. */
void ch4_synth_resolve(uint8_t *rgba, float *shaded, const ch4_synth_sample *sample, const ch4_synth_surface *surface, const ch4_synth_camera *camera);

#endif
