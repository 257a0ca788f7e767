/* What a window takes over from the windows before it, besides latents: the animated mesh, encoded anew, and reliable pairs. */
#ifndef CH4_DENOISE_HANDOVER_H
#define CH4_DENOISE_HANDOVER_H

#include "model/reinforce.h"
#include "stages/denoise/denoise_files.h"

/* Latent z [N,d] of a mesh in the canonical cube: surface points with face normals, encoded, posterior mean. The points are chosen on `rest` and taken
 * where `vert` has them (both [n_vert,3], may be the same): with one rest mesh and seed every token stands for the same spot of the object in
 * whatever pose it is encoded. CH4_EFORMAT: no area. */
ch4_status ch4_denoise_encode(float *z, ch4_bundle *bundle, const ch4_denoise_plan *plan, int64_t N, const float *rest, const float *vert, const int32_t *face,
                              int64_t n_face, uint64_t seed, ch4_err *err);

/* The clip's anchor mesh from window 0's chain file, and its vertices in one slot of another window's animate file. Free with fini. */
typedef struct ch4_denoise_moved {
    ch4_mesh rest;
    float *vert; /* [n_vert,3] */
} ch4_denoise_moved;

/* CH4_ENOENT; CH4_EFORMAT: the two files do not belong together. */
ch4_status ch4_denoise_read_moved(ch4_denoise_moved *out, const char *first_chain, const char *animate, int64_t slot, ch4_err *err);
void       ch4_denoise_moved_fini(ch4_denoise_moved *m);

/* The reliable pairs that a window's chain file holds; *pairs [n] is the caller's to free(). CH4_EFORMAT: it has none written, or tokens beyond N. */
ch4_status ch4_denoise_read_pairs(ch4_token_pair **pairs, int64_t *n, const char *chain, int64_t N, ch4_err *err);

#endif
