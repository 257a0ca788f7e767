/* The surface of a creature as one mesh of constant topology over all frames, with colours, and points on it. */
#ifndef CH4_SYNTH_CREATURE_MESH_H
#define CH4_SYNTH_CREATURE_MESH_H

#include "base/rng.h"
#include "tools/synth/creature.h"

typedef enum ch4_synth_colour { CH4_SYNTH_COLOUR_POSITION, CH4_SYNTH_COLOUR_PARTS } ch4_synth_colour;

typedef struct ch4_synth_mesh {
    int64_t n_vert, n_face, n_frames;
    float *vert;   /* [n_frames,n_vert,3] object space */
    float *normal; /* [n_frames,n_vert,3] unit, area-weighted mean of the faces around a vertex, outward */
    int32_t *face; /* [n_face,3] counter-clockwise from outside, closed and manifold */
    float *colour; /* [n_vert,3] albedo in [0,1] */
} ch4_synth_mesh;

/* Iso-surface of the rest pose, skinned to every frame with weights softmax(-part distance / 0.02), then moved onto the
 * posed field. CH4_SYNTH_COLOUR_POSITION: rest position mapped to 0.08..0.98 of the rest bounding box, times a brightness of
 * 0.85..1 for each part; CH4_SYNTH_COLOUR_PARTS: one random colour for each part. rng is used for colours only.
 * CH4_EUNSUP: this creature gives no usable surface (parts that touch at rest, torn triangles, outside the cube; the text says
 * which): draw another one. CH4_ENOMEM. The caller frees *out with ch4_synth_mesh_fini, also after an error. */
ch4_status ch4_synth_mesh_init(ch4_synth_mesh *out, const ch4_synth_creature *creature, ch4_synth_colour colour, ch4_rng rng,
                               ch4_err *err);
void       ch4_synth_mesh_fini(ch4_synth_mesh *mesh);

/* Fills the normals of frame f from its vertices. */
void ch4_synth_vertex_normals(ch4_synth_mesh *mesh, int64_t f);

/* n points on the frame-0 mesh, uniform by area: face [n] and barycentric weights [n,3] (weight i belongs to corner i). */
ch4_status ch4_synth_sample_faces(int32_t *face, float *bary, const ch4_synth_mesh *mesh, int64_t n, ch4_rng rng, ch4_err *err);

/* The same points in frame f: xyz [n,3] and the unit face normal there, normal [n,3] (may be NULL). */
void ch4_synth_points(float *xyz, float *normal, const ch4_synth_mesh *mesh, int64_t f, const int32_t *face, const float *bary, int64_t n);

#endif
