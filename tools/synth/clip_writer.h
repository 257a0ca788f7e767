/* Clips as folders: pictures, video and everything that is true about them. */
#ifndef CH4_SYNTH_CLIP_WRITER_H
#define CH4_SYNTH_CLIP_WRITER_H

#include "base/parallel.h"
#include "tools/synth/creature_clip.h"

enum { CH4_SYNTH_QUERIES = 256 };

/* Writes folder/creature_sNNNNNN (N: the seed) for each clip of the options; makes folders that are missing, overwrites files. With F frames,
 * V vertices, M faces, N = options->n_points surface points, Q <= CH4_SYNTH_QUERIES tracks:
 *   imgs/%02d.png    RGBA, options->size pixels
 *   video.mp4        the same on white, options->fps
 *   anchor.obj       frame 0, vertex order as below
 *   surfaces.npy     f32 [F,N,6]: surface points, uniform by area in frame 0, the same material point in all frames, and face normals
 *   gt.safetensors   verts f32 [F,V,3], faces i32 [M,3], color f32 [V,3], face_index i32 [N], bary f32 [N,3], K f64 [F,3,3], R f64 [F,3,3],
 *                    t f64 [F,3] (OpenCV, pixels), query_index i64 [Q] (into the N points), points f32 [Q,F,2] (x,y as shares of the picture),
 *                    occluded u8 [Q,F], tracks_xyz_cam f32 [Q,F,3]
 *   meta.json        seed, plan, camera, amount of motion
 * The bytes do not depend on the number of threads. The error is the one of the first clip that failed; the others are complete. */
ch4_status ch4_synth_creatures_save(const char *folder, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err);

/* Ground-truth tracks of one clip; the caller frees with ch4_synth_tracks_fini, also after an error. */
typedef struct ch4_synth_tracks {
    int64_t n_query, n_frames;
    int64_t *query;    /* [n_query] ascending by group: half the lowest point indices visible in frame 0, half the lowest first visible later, but
                          at least four frames before the end */
    float *uv;         /* [n_query,n_frames,2] share of the picture */
    float *xyz;        /* [n_query,n_frames,3] camera space */
    uint8_t *occluded; /* [n_query,n_frames] */
} ch4_synth_tracks;

/* xyz and normal [n_points,6] for each frame as in surfaces.npy; depth [n_frames,(s*size),(s*size)] is inverse depth of the samples (0 background).
 * Visible: inside the picture, facing the camera, no deeper than the surface seen there + 0.02. */
ch4_status ch4_synth_tracks_init(ch4_synth_tracks *out, const float *surfaces, int64_t n_points, const float *inverse_depth, int64_t n_frames,
                                 const ch4_synth_camera *camera, ch4_err *err);
void       ch4_synth_tracks_fini(ch4_synth_tracks *tracks);

#endif
