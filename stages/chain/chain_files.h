/* What the chain stage reads from and writes to a run directory. Datasets and attributes: docs/run-files.md. */
#ifndef CH4_CHAIN_FILES_H
#define CH4_CHAIN_FILES_H

#include "mesh/mesh.h"
#include "chain/chain_window.h"
#include "store/attention.h"

/* One window's wNNNN.denoise.h5. Free with ch4_chain_denoised_fini. */
typedef struct ch4_chain_denoised {
    int64_t T, N, D, grid;
    const float *latents;    /* [T,N,D], finite */
    const uint16_t *patch;   /* float16 [T,N,grid*grid], finite and >= 0 */
    ch4_attention attention;
    bool encoded;            /* its tokens descend from an encoded mesh */
    ch4_mesh given;          /* the mesh given for the clip; no vertices if none was */
    ch4_buf owned[2];
} ch4_chain_denoised;

/* CH4_EFORMAT names the file and what does not agree. */
ch4_status ch4_chain_read_denoised(ch4_chain_denoised *out, const char *path, ch4_err *err);
void       ch4_chain_denoised_fini(ch4_chain_denoised *in);

/* What the chain wants of a wNNNN.decode.h5. Free with ch4_chain_decoded_fini. */
typedef struct ch4_chain_decoded {
    int64_t T, side;      /* of the square frames, pixels */
    const int64_t *frame; /* [T] the clip's frame in each slot */
    const int64_t *first; /* [T] the first window that holds it */
    ch4_buf owned[2];
} ch4_chain_decoded;

ch4_status ch4_chain_read_decoded(ch4_chain_decoded *out, const char *path, ch4_err *err);
void       ch4_chain_decoded_fini(ch4_chain_decoded *in);

/* A window's anchor mesh and landmarks [*K] from its wNNNN.chain.h5; the caller frees both. */
ch4_status ch4_chain_read_anchor(ch4_mesh *mesh, int32_t **landmark, int64_t *K, const char *path, ch4_err *err);

/* The anchor that an earlier window hands over: its faces and landmarks (wNNNN.chain.h5) with the vertices of `slot` (wNNNN.animate.h5). */
ch4_status ch4_chain_read_handover(ch4_mesh *mesh, int32_t **landmark, int64_t *K, const char *chain_path, const char *animate_path,
                                   int64_t slot, ch4_err *err);

/* Datasets of wNNNN.chain.h5. */
ch4_status ch4_chain_write(ch4_store_writer *writer, const ch4_chain_in *in, const ch4_chain_out *out, ch4_err *err);

#endif
