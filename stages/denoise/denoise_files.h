/* What the denoise stage reads from and writes to a run directory. */
#ifndef CH4_DENOISE_FILES_H
#define CH4_DENOISE_FILES_H

#include "mesh/mesh.h"
#include "mesh/placement.h"
#include "stages/denoise/denoise_window.h"
#include "store/store.h"

/* A window as decode leaves it. Free with ch4_denoise_frames_fini. */
typedef struct ch4_denoise_frames {
    int64_t T, side;
    const uint8_t *rgb;   /* [T,side,side,3] */
    const int64_t *index; /* [T] number of each frame in the clip */
    const int64_t *first; /* [T] the first window that holds the frame: this one, or an earlier one that knows its latent */
    ch4_buf owned[3];
} ch4_denoise_frames;

/* From a decode file. CH4_ENOENT, CH4_EFORMAT name it. */
ch4_status ch4_denoise_read_frames(ch4_denoise_frames *out, const char *path, ch4_err *err);
void       ch4_denoise_frames_fini(ch4_denoise_frames *frames);

/* Latents of a window that is done: which frames, and z [T,N,d]. Free with ch4_denoise_done_fini. */
typedef struct ch4_denoise_done {
    int64_t T, N, d;
    const int64_t *index; /* [T] */
    const float *latents; /* [T,N,d] */
    bool encoded;         /* its tokens stand for spots of the clip's anchor mesh (they descend from an encoded mesh) */
    ch4_buf owned[2];
} ch4_denoise_done;

/* From a denoise file. CH4_ENOENT, CH4_EFORMAT name it. */
ch4_status ch4_denoise_read_done(ch4_denoise_done *out, const char *path, ch4_err *err);
void       ch4_denoise_done_fini(ch4_denoise_done *done);

/* Foreground of slot 0 of a window as decode leaves it: *alpha u8 [side,side], the caller's to free. */
ch4_status ch4_denoise_read_alpha(uint8_t **alpha, int64_t side, const char *path, ch4_err *err);

/* The mesh given by the user, in the canonical cube. */
typedef struct ch4_denoise_mesh {
    ch4_mesh mesh;
    ch4_placement place;
} ch4_denoise_mesh;

/* Yaw of the given mesh in the clip's first window, from its denoise file. */
ch4_status ch4_denoise_read_yaw(double *yaw, const char *path, ch4_err *err);

/* Brings the mesh into the cube: the box's centre goes to 0 and its longest side to 2, always, never, or only where it does not lie inside yet.
 * CH4_EFORMAT: no extent. */
ch4_status ch4_denoise_place_mesh(ch4_denoise_mesh *m, ch4_mesh_normalize how, ch4_err *err);

typedef struct ch4_denoise_result {
    const ch4_denoise_frames *frames;
    const ch4_denoise_out *out;
    const ch4_denoise_plan *plan;
    const ch4_denoise_mesh *mesh; /* NULL: none was given */
    int64_t N, d, grid, anchor; /* anchor: slot */
    bool encoded;               /* see ch4_denoise_done */
    int64_t pairs;              /* that the last step was reinforced with */
    ch4_pool *pool;
} ch4_denoise_result;

/* Datasets and attributes of wNNNN.denoise.h5. */
ch4_status ch4_denoise_write(ch4_store_writer *writer, const ch4_denoise_result *r, ch4_err *err);

#endif
