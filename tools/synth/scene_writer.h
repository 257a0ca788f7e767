/* One clip with everything that is true about it, as a folder. */
#ifndef CH4_SYNTH_SCENE_WRITER_H
#define CH4_SYNTH_SCENE_WRITER_H

#include <jansson.h>

#include "tools/synth/creature_render.h"

enum { CH4_SYNTH_QUERIES = 256, CH4_SYNTH_PATH = 2048 };

/* What is written: views of the caller's. A clip may be longer than its mesh: it then plays the mesh's frames forward and backward in turn, without
 * repeating the ends (ping-pong); its truth is that of the frame shown. */
typedef struct ch4_synth_scene {
    const ch4_synth_mesh *mesh;      /* M frames, V vertices */
    const ch4_synth_camera *camera;  /* [M], all of one size */
    const ch4_synth_light *light;    /* as in ch4_synth_surface */
    int64_t n_frames;                /* F of the clip; more than M needs M >= 2 */
    const int32_t *face;             /* [N] surface points: their faces */
    const float *bary;               /* [N,3] and barycentric weights */
    int64_t n_points;
    int fps;
    const json_t *about;             /* object: what meta.json begins with */
} ch4_synth_scene;

/* The mesh frame that frame k of the clip shows. */
int64_t ch4_synth_scene_frame(const ch4_synth_scene *scene, int64_t k);

/* Writes into folder, which is made with its parents; numbered pictures of an earlier clip are removed, other files overwritten. Q <= CH4_SYNTH_QUERIES:
 *   imgs/%02d.png    RGBA (%03d where there are more than 100)
 *   video.mp4        the same on white, H.264
 *   video_alpha.mov  the same with alpha, lossless
 *   anchor.obj       frame 0, vertex order as below
 *   surfaces.npy     f32 [F,N,6]: surface points, the same material point in all frames, and face normals
 *   gt.safetensors   verts f32 [F,V,3], faces i32 [M,3], color f32 [V,3], face_index i32 [N], bary f32 [N,3], K f64 [F,3,3], R f64 [F,3,3],
 *                    t f64 [F,3] (OpenCV, pixels), query_index i64 [Q] (into the N points), points f32 [Q,F,2] (x,y as shares of the picture),
 *                    occluded u8 [Q,F], tracks_xyz_cam f32 [Q,F,3], source_frame i64 [F] (see ch4_synth_scene_frame)
 *   meta.json        scene->about, sizes, amount of motion, camera of frame 0; removed first and written last: with it the folder is whole
 * The same scene gives the same bytes. CH4_EINVAL (odd picture size, path too long), CH4_EIO, CH4_ENOSPC, CH4_ENOMEM; the text names the file. */
ch4_status ch4_synth_scene_save(const char *folder, const ch4_synth_scene *scene, ch4_err *err);

/* folder/mesh_%02d.glb (%03d where there are more than 100): the mesh of each frame of the clip with its colours, same vertices and faces throughout. */
ch4_status ch4_synth_scene_save_meshes(const char *folder, const ch4_synth_scene *scene, ch4_err *err);

#endif
