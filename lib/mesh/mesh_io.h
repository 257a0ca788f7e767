/* Meshes from and to files: GLB (glTF 2.0 binary) and Wavefront OBJ in, animated GLB out.
 *
 * What is read keeps the vertex order of the file, so that results can be given back in it, and whatever the result needs to look like
 * the original: texture coordinates, colours, materials and images, the last two as opaque bytes. */
#ifndef CH4_MESH_IO_H
#define CH4_MESH_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mesh/mesh.h"

/* A run of faces with one material. */
typedef struct ch4_mesh_part {
    int64_t first_face, n_face;
    int32_t material; /* index into the materials, -1: none */
} ch4_mesh_part;

typedef struct ch4_blob {
    uint8_t *data;
    size_t size;
} ch4_blob;

/* A mesh as a file gives it. mesh: positions in world space and triangles, in the order of the file. What is drawn may need more vertices
 * than there are positions (an OBJ names positions and texture coordinates apart): draw vertex i shows position draw_vert[i]. */
typedef struct ch4_asset {
    ch4_mesh mesh;
    int32_t *draw_vert; /* [n_draw]; NULL: draw vertex i is vertex i */
    int32_t *draw_face; /* [n_face,3] indices of draw vertices; NULL: mesh.face */
    int64_t n_draw;
    float *uv;          /* [n_draw,2], origin at the top left as in glTF; NULL: none */
    float *color;       /* [n_draw,4] linear RGBA; NULL: none */
    ch4_mesh_part *part;
    int64_t n_part;
    char *look;         /* JSON object with glTF's materials, textures, samplers, images and their extensionsUsed; NULL: none */
    ch4_blob *image;    /* bytes of images[i] of `look`; size 0 where the image names a file or data URI */
    int64_t n_image;
} ch4_asset;

/* Reads a mesh by the file's first bytes: GLB if it begins with "glTF", else OBJ. The file is hostile until checked.
 * CH4_ENOENT, CH4_EIO; CH4_EFORMAT names the file and what is wrong (damaged, no triangles, vertex that is not finite, index out of range);
 * CH4_EUNSUP what is right but not read: sparse or compressed (Draco, meshopt) geometry, buffers outside of the file. CH4_ENOMEM. */
ch4_status ch4_asset_load(ch4_asset *out, const char *path, ch4_err *err);
void       ch4_asset_fini(ch4_asset *asset); /* NULL and zeroed are fine */

/* The two formats from memory; name stands in messages.
 * GLB: all triangle primitives (lists, strips, fans; with or without u8, u16, u32 indices) of all nodes of the default scene, in order of
 * the node tree, transforms applied; a mirroring transform turns the faces round. Positions may be quantised. Points and lines are left
 * out, skins and morph targets are not applied. Texture coordinates: set 0; textures of a material that use another are dropped.
 * OBJ: v (with optional colour), vt, f with polygons (fans) and negative indices; vn, groups and materials are passed over. */
ch4_status ch4_glb_parse(ch4_asset *out, const uint8_t *data, size_t size, const char *name, ch4_err *err);
ch4_status ch4_obj_parse(ch4_asset *out, const char *text, size_t size, const char *name, ch4_err *err);

/* --- animated GLB --------------------------------------------------------------------------------------------------------- */

typedef struct ch4_glb_writer ch4_glb_writer;

enum { CH4_GLB_MAX_FRAMES = 4096 }; /* keys of the weights animation grow with the square: 64 MiB here */

typedef struct ch4_glb_options {
    const ch4_asset *asset; /* look, texture coordinates, draw vertices; its mesh must have the same sizes. NULL: plain material */
    const float *color;     /* [n_vert,4] linear RGBA for a mesh without asset colours; NULL: none */
    bool normals;           /* also store the change of the normals per frame: twice the size */
    bool step;              /* show frames without blending; else linear between neighbouring frames */
    bool no_sync;           /* the file reaches the disk when the system likes: for many small files that are easily made again */
} ch4_glb_options;

/* One mesh of constant topology whose frames are morph targets (differences to frame 0), played by one weights animation at the
 * given times (seconds, not negative, strictly increasing as float). Frames are appended in order and written at once; memory does not grow
 * with their number. vertices [n_vert,3] and faces [n_face,3] are borrowed only during the calls, options->asset until close.
 * CH4_EINVAL: sizes or times; CH4_EUNSUP: more than CH4_GLB_MAX_FRAMES, or more than the 4 GiB a GLB can hold; CH4_EIO, CH4_ENOSPC. */
ch4_status ch4_glb_create(ch4_glb_writer **out, const char *path, const int32_t *faces, int64_t n_face, int64_t n_vert, const double *times,
                          int64_t n_frames, const ch4_glb_options *options, ch4_err *err);
ch4_status ch4_glb_append(ch4_glb_writer *w, const float *vertices, ch4_err *err);

/* Completes, syncs (but for no_sync) and renames the file; CH4_EINVAL if frames are missing. *w is freed in every case. */
ch4_status ch4_glb_close(ch4_glb_writer **w, ch4_err *err);
void       ch4_glb_abort(ch4_glb_writer **w); /* removes the unfinished file; NULL and *w == NULL are fine */

#endif
