/* minibench as folders in ActionBench's layout. */
#ifndef CH4_SYNTH_MINIBENCH_WRITER_H
#define CH4_SYNTH_MINIBENCH_WRITER_H

#include "base/parallel.h"
#include "tools/synth/minibench.h"

/* One clip. More than CH4_MINIBENCH_FRAMES frames: the 16 forward and backward, or the motion goes on; fewer: the first ones of the 16. */
typedef struct ch4_minibench_clip {
    ch4_minibench_object object;
    uint64_t seed;
    bool orbit, continuous;
    int64_t n_frames;
} ch4_minibench_clip;

typedef struct ch4_minibench_options {
    int64_t n_points; /* of surfaces.npy */
    int size, fps;
    double turn;      /* of the world about +y, degrees (ch4_minibench_turn) */
    bool progress;    /* one line on stderr for each clip */
} ch4_minibench_options;

enum { CH4_MINIBENCH_NAME = 96 };

/* <object>_<static|orbit>_s<seed>, for other lengths than 16 followed by _f<frames>, _pingpong<frames> or _continuous<frames>. */
void ch4_minibench_clip_name(char out[CH4_MINIBENCH_NAME], const ch4_minibench_clip *clip);

/* folder/data/NAME as ch4_synth_scene_save writes it, folder/oracle/NAME/mesh_XX.glb with the true meshes. The bytes do not depend on the number of
 * threads. The error is the one of the first clip that failed; the others are complete. */
ch4_status ch4_minibench_save(const char *folder, const ch4_minibench_clip *clips, int64_t n_clips, const ch4_minibench_options *options, ch4_pool *pool,
                              ch4_err *err);

#endif
