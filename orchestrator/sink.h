/* The sink: joins the window files of a finished clip into its results. Plain files in, plain files out; no sockets, no processes.
 * Called by the orchestrator on a thread of its own, one clip at a time; the only place of that process that uses lib/store. */
#ifndef CH4_SINK_H
#define CH4_SINK_H

#include "base/base.h"
#include "config/config.h"

typedef struct ch4_sink_clip {
    const char *name;   /* of the clip: last component of dir */
    const char *dir;    /* OUT/CLIP, absolute: holds wNNNN.<stage>.h5 of all five stages for windows 0 .. n_windows - 1 */
    const char *input;  /* the video or folder, absolute */
    int64_t n_windows;
    const char *const *notes; /* what the stages had to say about the clip: summary.json has it, before the sink's own notes */
    int n_notes;
} ch4_sink_clip;

enum { CH4_SINK_FILES = 16, CH4_SINK_NOTES = 8 };

typedef struct ch4_sink_file {
    char name[64];      /* in dir: "mesh.glb" */
    int64_t bytes;
} ch4_sink_file;

/* What was made: shown to the user. */
typedef struct ch4_sink_report {
    ch4_sink_file files[CH4_SINK_FILES];
    int n_files;
    char notes[CH4_SINK_NOTES][256]; /* lines for the user: "cameras of 3 of 16 frames are unsure" */
    int n_notes;
    int64_t n_frames, n_vertices;
    double movement;    /* mean distance that a vertex moves from its place in the anchor frame, canonical units */
} ch4_sink_report;

/* Writes vertices.npy, faces.npy, mesh.glb (sink.glb), cameras.json, tracks.h5 and, last, summary.json into clip->dir, each under a
 * temporary name, synced and renamed, with chain.surfaces the frames' surfaces too: a clip with a summary.json is finished, and finishing it again gives the same bytes.
 * config->mesh.path: the mesh whose vertex order, coordinates and materials the results take over ("" = none).
 * CH4_EFORMAT (a window file does not fit the others; says which), CH4_ENOENT, CH4_ENOSPC, CH4_EIO, CH4_ENOMEM. */
ch4_status ch4_sink_finish_clip(const ch4_sink_clip *clip, const ch4_config *config, ch4_sink_report *report, ch4_err *err);

#endif
