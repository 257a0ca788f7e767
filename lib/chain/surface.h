/* Surfaces of decoded latents: the anchor mesh where none is given, and candidate points S_f of a frame (paper Sec. 4.1); and on which side
 * of them the field is negative. */
#ifndef CH4_CHAIN_SURFACE_H
#define CH4_CHAIN_SURFACE_H

#include "base/rng.h"
#include "mesh/mesh.h"
#include "mesh/octree_surface.h"
#include "model/vae.h"

/* Called with these numbers before each batch of field values, which at full size can take a minute on a processor; false cancels. */
typedef struct ch4_surface_pulse {
    bool (*beat)(void *ctx, int64_t done, int64_t total);
    void *ctx;
    int64_t done, total;
} ch4_surface_pulse;

typedef struct ch4_surface_in {
    ch4_vae *vae;
    const ch4_vae_cache *cache; /* of the latent */
    int64_t cells;              /* per axis of the finest grid, >= 8 */
    double band;                /* |field| below which coarse cells are refined whole */
    int inside;                 /* sign of the field inside: -1 or +1, 0 = find out */
    const ch4_surface_pulse *pulse; /* or NULL */
} ch4_surface_in;

/* Zero surface of the field, closed, counter-clockwise from outside; empty where the field has one sign. n_point (may be NULL): field
 * evaluations. The coarsest grid is the one of 16 to 31 cells from which `cells` is reached by doubling, or `cells` itself where it is odd
 * before that. Free *out with ch4_mesh_fini. CH4_EFORMAT: the field is not finite; CH4_ENOMEM; errors of the op table. */
ch4_status ch4_surface_extract(ch4_mesh *out, int64_t *n_point, const ch4_surface_in *in, ch4_err *err);

/* The sign that the field has inside of the shape, a property of the weights: what most of 224 samples on the faces of the cube (its corners, and
 * 36 of each face) have is outside. *share: of the samples that agree. CH4_EFORMAT: a value that is not finite; errors of the op table. */
ch4_status ch4_surface_probe(int *inside, double *share, ch4_vae *vae, const ch4_vae_cache *cache, ch4_err *err);

/* The extracted surface cleaned (merged, floaters with less than that share of the largest part's faces dropped) with at most max_faces
 * faces (0 = any), which is reached by a coarser grid. octree: as the reference does it, instead of following the surface; NULL: not. Its inside
 * is taken from `in`. CH4_EFORMAT: there is no surface. */
ch4_status ch4_surface_anchor(ch4_mesh *out, const ch4_surface_in *in, const ch4_octree_options *octree, double floaters, int64_t max_faces, ch4_err *err);

/* Candidate points: the vertices; if there are more than `most`, that many of them chosen evenly at random (in their order); if fewer than
 * `least`, further points sampled on the triangles. points [n,3] is the caller's to free(). n = 0 for an empty mesh. CH4_ENOMEM. */
ch4_status ch4_surface_candidates(float **points, int64_t *n, const ch4_mesh *surface, int64_t most, int64_t least, ch4_rng *rng,
                                  ch4_err *err);

#endif
