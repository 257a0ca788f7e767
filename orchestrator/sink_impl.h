/* The parts of the sink. A clip's frames are taken in the order of the video, one at a time: memory does not grow with their number, but for
 * a few numbers per frame. */
#ifndef CH4_SINK_IMPL_H
#define CH4_SINK_IMPL_H

#include <stdbool.h>

#include "mesh/placement.h"
#include "mesh/mesh_io.h"
#include "orchestrator/sink.h"
#include "store/store.h"

/* Where a frame of the clip lies: the first window that has it. */
typedef struct sink_place {
    int64_t window, slot;
    double time; /* seconds in the source's clock */
} sink_place;

typedef struct sink_joint {
    const ch4_sink_clip *clip;
    const ch4_config *config;
    ch4_sink_report *report;
    int64_t n_frames;
    sink_place *place; /* [n_frames] */

    /* the square frames inside the source's */
    double crop_x, crop_y, scale, side, source_width, source_height;

    /* canonical mesh of the clip as its anchor frame shows it */
    ch4_mesh anchor;
    int64_t field_inside;        /* sign of the shape's field inside, as the chain used it; 0: the file does not say */
    int64_t field_probed;        /* as its values on the faces of the cube show it, */
    double field_probe_share;    /* by this share of them */

    /* the given mesh; without one, the same as the canonical */
    bool given;
    ch4_asset asset;
    int32_t *map;                /* [n_vert of the result] canonical vertex that a vertex moves with; NULL: itself */
    ch4_placement placed;        /* of it in the canonical cube */
} sink_joint;

/* Reads the plan of the frames, the sizes and the mesh. */
ch4_status sink_joint_open(sink_joint *j, const ch4_sink_clip *clip, const ch4_config *config, ch4_sink_report *report, ch4_err *err);
void       sink_joint_close(sink_joint *j);

int64_t        sink_n_vert(const sink_joint *j); /* of the result */
const ch4_mesh *sink_mesh(const sink_joint *j);  /* of the result: its faces, and its vertices at rest */

ch4_status sink_open_window(ch4_store_reader **out, const sink_joint *j, int64_t window, const char *stage, ch4_err *err);

/* vertices.npy, faces.npy, mesh.glb; cameras.json; tracks.h5. Each adds its files and notes to the report. */
ch4_status sink_write_motion(sink_joint *j, ch4_err *err);
ch4_status sink_write_cameras(sink_joint *j, ch4_err *err);
ch4_status sink_write_tracks(sink_joint *j, ch4_err *err);

/* surfaces/mesh_NN.glb of every frame that has a surface, in the coordinates of the result (chain.surfaces). */
ch4_status sink_write_surfaces(sink_joint *j, ch4_err *err);

ch4_status sink_path(char out[CH4_STORE_PATH], const sink_joint *j, const char *name, ch4_err *err);
ch4_status sink_add_file(sink_joint *j, const char *name, ch4_err *err);
void       sink_note(sink_joint *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
