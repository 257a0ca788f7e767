/* What the animate stage reads from and writes to a run directory. Datasets and attributes: docs/run-files.md. */
#ifndef CH4_ANIMATE_FILES_H
#define CH4_ANIMATE_FILES_H

#include "stages/animate/animate_window.h"
#include "store/store.h"

/* A chain file's arrays and the memory that they lie in. */
typedef struct ch4_animate_chain_file {
    ch4_animate_input in;
    ch4_mesh_graph graph;
    int64_t *order; /* [F] slots in the order of the video */
    ch4_buf buf[6];
} ch4_animate_chain_file;

/* *c zeroed; close it also after an error. CH4_EFORMAT names the file and the vertex, face or landmark. */
ch4_status ch4_animate_open_chain(ch4_animate_chain_file *c, const char *path, ch4_err *err);
void       ch4_animate_close_chain(ch4_animate_chain_file *c);

/* Paths are smoothed along the video, but a window's slots need not follow it: one that is a whole clip begins with the anchor. Sort brings what was
 * read into the order of the video, unsort a result of it back into that of the slots. CH4_ENOMEM. */
ch4_status ch4_animate_sort_slots(ch4_animate_chain_file *c, ch4_err *err);
ch4_status ch4_animate_unsort_slots(ch4_animate_chain_file *c, ch4_animate_result *r, ch4_err *err);

/* A denoise file's latents and which frames of the clip they are. */
typedef struct ch4_animate_latents {
    int64_t T, N, d;
    const float *z;       /* [T,N,d], finite */
    const int64_t *frame; /* [T] */
    ch4_buf buf[2];
} ch4_animate_latents;

ch4_status ch4_animate_open_latents(ch4_animate_latents *l, const char *path, ch4_err *err);
void       ch4_animate_close_latents(ch4_animate_latents *l);

/* Datasets and attributes of wNNNN.animate.h5. */
ch4_status ch4_animate_write(ch4_store_writer *writer, const ch4_animate_result *r, const ch4_animate_input *in, ch4_err *err);

#endif
