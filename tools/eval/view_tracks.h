/* 2D and 3D tracks of points of a moving mesh that is seen through known cameras. */
#ifndef CH4_EVAL_VIEW_TRACKS_H
#define CH4_EVAL_VIEW_TRACKS_H

#include "tools/eval/tapvid.h"

/* A moving mesh and a camera per frame; pixels with the origin at the outer corner of the first, x_camera = R x + t. */
typedef struct ch4_view_scene {
    const float *vert;     /* [F,V,3] */
    const int32_t *face;   /* [M,3] */
    const double *K, *R, *t; /* [F,9], [F,9], [F,3] */
    int64_t n_frames, n_vert, n_face;
    double width, height;
} ch4_view_scene;

/* A point of the surface: weights of three vertices. */
typedef struct ch4_view_anchor {
    int32_t vert[3];
    double weight[3];
    bool hit; /* on the query's ray; else the vertex that is seen nearest to it */
} ch4_view_anchor;

/* Pixel and depth of a point of object space. */
void ch4_view_project(double out[3], const ch4_view_scene *scene, int64_t frame, const double x[3]);

/* anchor[n]: the surface points that lie at query f32[n,3] (t, y, x; on the 256 x 256 raster): the front-most point of the mesh on the query's ray. Frames of the
 * queries must be in [0,F). CH4_ENOMEM. */
ch4_status ch4_view_anchors(ch4_view_anchor *anchor, const ch4_view_scene *scene, const float *query, int64_t n, ch4_err *err);

/* Where an anchor is in object space. */
void ch4_view_place(double x[3], const ch4_view_scene *scene, int64_t frame, const ch4_view_anchor *anchor);

/* track f32[n,F,2] on the raster and occluded u8[n,F]. A point is occluded outside the picture, where its face is turned away, and where the mesh covers
 * it by more than 0.02 (object units). CH4_ENOMEM. */
ch4_status ch4_view_tracks(float *track, uint8_t *occluded, const ch4_view_scene *scene, const ch4_view_anchor *anchor, int64_t n, ch4_err *err);

#endif
