/* A small z-buffer renderer for creature meshes: one perspective camera, perspective-correct vertex colours, soft shading.
 *
 * Camera: OpenCV, Xc = R Xw + t, looks along +z; pixel (i,j) has its centre at (i+0.5, j+0.5). Focal length 2.1875 in NDC (the image
 * spans [-1,1]), so K has 2.1875 * size / 2 on the diagonal. It looks at the origin from azimuth 35, elevation 20 degrees. */
#ifndef CH4_SYNTH_CREATURE_RENDER_H
#define CH4_SYNTH_CREATURE_RENDER_H

#include "tools/synth/creature_mesh.h"

enum { CH4_SYNTH_SUPERSAMPLE = 2 };

typedef struct ch4_synth_camera {
    int size; /* pixels; the picture is square */
    double K[9], R[9], t[3];
} ch4_synth_camera;

void ch4_synth_camera_init(ch4_synth_camera *out, int size);

/* Pixel position and depth of an object-space point. */
void ch4_synth_project(double uv[2], double *depth, const ch4_synth_camera *camera, const float xyz[3]);

/* One of CH4_SYNTH_SUPERSAMPLE^2 samples of a pixel. */
typedef struct ch4_synth_sample {
    float inverse_depth; /* 0: background */
    int32_t face;
    float weight[2];     /* barycentric weights of corners 0 and 1 of the face, on the surface */
} ch4_synth_sample;

/* What the camera sees in frame f: sample [(s*size),(s*size)] with s = CH4_SYNTH_SUPERSAMPLE; screen is scratch of
 * 3 * n_vert floats. */
void ch4_synth_rasterise(ch4_synth_sample *sample, float *screen, const ch4_synth_mesh *mesh, int64_t f, const ch4_synth_camera *camera);

/* rgba [size,size,4]: colour is the mean of the covered samples, alpha the covered share. shaded is scratch of 3 * n_vert
 * floats. Shading: 0.55 + 0.45 max(0, n.l), l along (0.3, 1, 0.6) in object space. */
void ch4_synth_resolve(uint8_t *rgba, float *shaded, const ch4_synth_sample *sample, const ch4_synth_mesh *mesh, int64_t f,
                       const ch4_synth_camera *camera);

#endif
