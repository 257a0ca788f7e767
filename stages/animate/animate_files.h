/* What the animate stage reads from and writes to a run directory. Datasets and attributes: docs/run-files.md. */
#ifndef CH4_ANIMATE_FILES_H
#define CH4_ANIMATE_FILES_H

#include "stages/animate/animate_window.h"
#include "store/store.h"

/* A chain file's arrays and the memory that they lie in. */
typedef struct ch4_animate_chain_file {
    ch4_animate_input in;
    ch4_mesh_graph graph;
    ch4_buf buf[5];
} ch4_animate_chain_file;

/* *c zeroed; close it also after an error. CH4_EFORMAT names the file and the vertex, face or landmark. */
ch4_status ch4_animate_open_chain(ch4_animate_chain_file *c, const char *path, ch4_err *err);
void       ch4_animate_close_chain(ch4_animate_chain_file *c);

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
