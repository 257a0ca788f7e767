/* The maths of one window over arrays: context of the frames, latent of the anchor, noise, sampling with attention read along.
 * T frames, N tokens, d channels, S context rows, Cc context width. No files, no sockets. */
#ifndef CH4_DENOISE_WINDOW_H
#define CH4_DENOISE_WINDOW_H

#include "bundle/bundle.h"
#include "stages/denoise/denoise_plan.h"

/* context [T,S,Cc] of square RGB frames u8 [T,side,side,3]; *context is the caller's to free. *grid: patches per side. CH4_EUNSUP for a
 * crop that is not square. */
ch4_status ch4_denoise_context(float **context, int64_t *S, int64_t *grid, ch4_bundle *bundle, const uint8_t *frames, int64_t T, int64_t side, ch4_err *err);

/* Latent z [N,d] of a mesh in the canonical cube: surface points with face normals, encoded, posterior mean. CH4_EFORMAT: no area. */
ch4_status ch4_denoise_anchor_from_mesh(float *z, ch4_bundle *bundle, const ch4_denoise_plan *plan, int64_t N, const float *vert, const int32_t *face, int64_t n_face,
                                        uint64_t seed, ch4_err *err);

/* How well the model reproduces a mesh: the share of surface points where the decoded field of z changes sign between CH4_DENOISE_FIT_DEPTH
 * inside and as far outside of the surface (each side counts one half). 0.96 or more for shapes like those of the training, measured on 6
 * creatures of the bundled model; 0.86 for a panda that it has not seen. */
#define CH4_DENOISE_FIT_DEPTH 0.06
#define CH4_DENOISE_FIT_GOOD  0.94
ch4_status ch4_denoise_mesh_fit(double *share, ch4_bundle *bundle, const ch4_denoise_plan *plan, int64_t N, const float *z, const float *vert, const int32_t *face,
                                int64_t n_face, uint64_t seed, ch4_err *err);

/* noise [T,N,d]: each frame its own, one set for all, or one set assigned to the tokens of anchor [N,d] and pulled towards them. */
ch4_status ch4_denoise_noise(float *noise, const ch4_denoise_plan *plan, int64_t T, int64_t N, int64_t d, const float *anchor, uint64_t seed, ch4_err *err);

typedef struct ch4_denoise_in {
    int64_t T, N, d, S;
    const float *context;   /* [T,S,Cc] */
    const float *framestep; /* [T] */
    const float *known;     /* [T,N,d], read where mask is 1 */
    const uint8_t *mask;    /* [T] */
    int64_t anchor;         /* slot of the anchor; its mask is 1 */
    uint64_t seed;
    void (*on_step)(void *ctx, int64_t done, int64_t total); /* may be NULL */
    bool (*canceled)(void *ctx);                             /* may be NULL */
    void *ctx;
    ch4_pool *pool;                   /* may be NULL */
    struct ch4_steering *steering;    /* of steer.h: what the steps are reinforced with; NULL: nothing */
} ch4_denoise_in;

/* Who reads along: the probe for a step and guidance branch, or NULL. */
typedef struct ch4_denoise_watch {
    const ch4_probe *(*probe)(void *ctx, int step, int branch);
    void *ctx;
} ch4_denoise_watch;

/* The steps alone: latents [T,N,d], known frames as they are. At least one frame is open; watch may be NULL. */
ch4_status ch4_denoise_steps(float *latents, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_denoise_in *in, const ch4_denoise_watch *watch, ch4_err *err);

typedef struct ch4_denoise_out {
    float *latents;   /* [T,N,d] */
    float *attention; /* [T,N,N] mean over what the plan reads */
    float *mass;      /* [T,N] */
    float *patch;     /* [T,N,S-1] */
} ch4_denoise_out;

/* Generates the frames that are not known. Where all are known one forward pass at time 0 gives the attention. CH4_ECANCELED between steps. */
ch4_status ch4_denoise_window(ch4_denoise_out *out, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_denoise_in *in, ch4_err *err);

#endif
