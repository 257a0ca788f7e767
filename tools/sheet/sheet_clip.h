/* What a contact sheet shows of the results of one clip, OUT/CLIP of a run: the animated mesh, its cameras, the pictures it came from. Everything
 * is checked as it is read. */
#ifndef CH4_SHEET_CLIP_H
#define CH4_SHEET_CLIP_H

#include "tensor/tensor.h"
#include "tools/synth/creature_render.h"

typedef struct ch4_sheet_clip {
    int64_t n_frames, n_vert, n_face;
    const float *vert;   /* [n_frames,n_vert,3], finite */
    const int32_t *face; /* [n_face,3], each below n_vert */
    ch4_buf vert_buf, face_buf;
} ch4_sheet_clip;

/* folder/vertices.npy and faces.npy. CH4_ENOENT, CH4_EFORMAT (path and what does not fit), CH4_ENOMEM. The caller frees *out with fini, also
 * after an error. */
ch4_status ch4_sheet_clip_load(ch4_sheet_clip *out, const char *folder, ch4_err *err);
void       ch4_sheet_clip_fini(ch4_sheet_clip *clip);

/* out[i]: camera of frame[i] from folder/cameras.json for a square picture of `size` pixels that shows what decode's square showed.
 * CH4_EFORMAT also if the file has cameras for another number of frames than n_frames. */
ch4_status ch4_sheet_cameras_load(ch4_synth_camera *out, const char *folder, const int64_t *frame, int64_t n, int64_t n_frames, int size, ch4_err *err);

/* out [n,size,size,3]: decode's pictures of the given frames, ascending, from folder/wNNNN.decode.h5, resized by area. *kept is false, and out
 * untouched, if the run did not keep these files. CH4_EFORMAT if a frame is in none of them. */
ch4_status ch4_sheet_pictures_load(uint8_t *out, bool *kept, const char *folder, const int64_t *frame, int64_t n, int size, ch4_err *err);

#endif
