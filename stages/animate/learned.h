/* The learned way from latents to vertices (`animate.method: learned`): the temporal autoencoder is asked where every vertex of the anchor mesh
 * is in every other frame (ActionMesh stage II; docs/model.md, "temporal autoencoder"). Arrays only. */
#ifndef CH4_ANIMATE_LEARNED_H
#define CH4_ANIMATE_LEARNED_H

#include "model/temporal_decoder.h"
#include "stages/animate/animate_window.h"

typedef struct ch4_learned_options {
    bool inward; /* the normals that the network is given point into the object */
    bool (*progress)(void *ctx, int64_t done, int64_t total); /* frames done, told several times in each; false cancels; may be NULL */
    void *ctx;
} ch4_learned_options;

/* Positions of the anchor mesh in->vert in all frames, from the latents z [in->F,N,d] of the frames number frame[in->F] of the clip: *out as
 * ch4_animate_window gives it, frame in->a is the anchor mesh exactly, every landmark is kept and lies on its vertex; paths and scores are not
 * read. Normals are weighted by angle and welded. Positions other than the anchor's lie in [-1,1].
 * CH4_EINVAL: sizes; CH4_ECANCELED; CH4_ENOMEM; errors of the op table. Free *out with ch4_animate_result_fini, also after an error. */
ch4_status ch4_learned_window(ch4_animate_result *out, ch4_temporal_decoder *dec, const ch4_animate_input *in, const float *z, int64_t N, const int64_t *frame,
                              const ch4_learned_options *options, ch4_err *err);

#endif
