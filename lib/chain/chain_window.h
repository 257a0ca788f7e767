/* The attention chain of one window (paper Sec. 4.1, 4.4): latents and attention in, landmark paths and patch matches out. Arrays only:
 * no files, no sockets. T frames, N tokens, D channels, P = grid*grid patches, V anchor vertices, K landmarks. */
#ifndef CH4_CHAIN_WINDOW_H
#define CH4_CHAIN_WINDOW_H

#include "mesh/mesh.h"
#include "mesh/octree_surface.h"
#include "model/reinforce.h"
#include "model/vae.h"
#include "chain/match.h"
#include "chain/surface.h"
#include "chain/token_map.h"

typedef struct ch4_chain_options {
    int64_t cells, anchor_cells; /* of the surfaces, per axis: candidates (0 = by the number of tokens), and an anchor mesh that is made */
    double band;                 /* see ch4_surface_in */
    int inside;                  /* sign of the field inside, 0 = find out */
    bool octree;                 /* a made anchor mesh comes from the reference's extraction ... */
    ch4_octree_options deep;     /* ... with these options */
    int64_t most, least;         /* candidate points of a frame */
    double floaters;             /* of a made anchor mesh */
    int64_t max_faces;
    int64_t landmarks;           /* 0 = every vertex */
    double curvature_boost;
    ch4_map_reading reading;     /* frame_to_anchor is set by the window's attention */
    ch4_match_rows rows;         /* unit length applies to the vertex rows of Eq. 7 too */
    int64_t k;
    ch4_blend blend;
    bool score_mass;             /* multiply a score by the attention mass of the landmark's tokens on the frame */
    bool patch_normalize;
    double patch_temperature;
    int64_t patch_radius;
    double pair_share;           /* reliable matches of each frame that give token pairs; 0 = none are looked for */
    bool keep_surfaces;          /* give back the frames' surfaces as meshes too */
    uint64_t seed;               /* of thinning and sampling */
} ch4_chain_options;

typedef struct ch4_chain_in {
    ch4_nn *nn;
    ch4_vae *vae;     /* decoder */
    ch4_pool *pool;
    int64_t T, N, grid;
    int64_t anchor;   /* slot */
    const int64_t *frame; /* [T] number of the frame in each slot: written beside the results, else unused */
    double side;      /* of the square frames, pixels */
    const float *latents;         /* [T,N,D] */
    const uint16_t *patch;        /* float16 [T,N,P]: tokens to image patches; NULL: Eq. 6 and 7 are left out (grid unused) */
    bool frame_to_anchor;
    /* Writes the raw map of frame f, [N,N], in its stored orientation. */
    void (*map)(const void *ctx, int64_t frame, float *out);
    const void *map_ctx;
    const ch4_mesh *mesh;         /* the anchor mesh */
    const int32_t *landmark;      /* [K] vertices */
    int64_t K;
    const float *rows;            /* [K,N] A(Va->Za) of the landmarks; NULL: of their places on the mesh, against the anchor's latent */
    /* Called after each frame, and before each batch of field values; false cancels. May be NULL. */
    bool (*progress)(void *ctx, int64_t done, int64_t total);
    void *progress_ctx;
} ch4_chain_in;

typedef struct ch4_chain_out {
    float *path;          /* [T,K,3]; the anchor frame's own positions exactly; NaN where nothing matched */
    float *score;         /* [T,K]: confidence, >= 0; 1 in the anchor frame */
    int32_t *patch_match; /* [T,P]: patch of frame f for each anchor patch (Eq. 6) */
    float *patch_xy;      /* [T,P,2]: the same below patch resolution, pixels of the square frame */
    float *patch_score;   /* [T,P] */
    int32_t *vertex;      /* [P]: anchor vertex of each anchor patch (Eq. 7) */
    float *vertex_score;  /* [P] */
    int32_t *count;       /* [T]: candidate points of each frame */
    float *surface;       /* [sum count,3], in frame order */
    int64_t n_surface;
    int inside;           /* sign of the field inside, as used for all frames of the window */
    int probed;           /* the same as the anchor's field itself shows it (ch4_surface_probe) ... */
    double probe_share;   /* ... and how clearly: 0.5 to 1 */
    ch4_token_pair *pair; /* [n_pair] reliable pairs, merged */
    int64_t n_pair;
    ch4_mesh *mesh;       /* [n_mesh] surface of each frame; NULL unless kept */
    int64_t n_mesh;
} ch4_chain_out;

/* Cells per axis of the surfaces that give candidates, options->cells resolved for N tokens. */
int64_t ch4_chain_cells(const ch4_chain_options *options, int64_t N);

/* Runs the chain. *out is allocated here; free with ch4_chain_out_fini, also after an error. Same bytes for any number of threads.
 * CH4_ECANCELED: progress answered false; CH4_ENOMEM; CH4_EFORMAT: a field that is not finite; errors of the op table. */
ch4_status ch4_chain_run(ch4_chain_out *out, const ch4_chain_in *in, const ch4_chain_options *options, ch4_err *err);
void       ch4_chain_out_fini(ch4_chain_out *out);

/* Anchor mesh of latent z [N,D], for clips without a given mesh; pulse may be NULL. Free with ch4_mesh_fini, also after an error. */
ch4_status ch4_chain_make_anchor(ch4_mesh *out, ch4_vae *vae, const float *z, int64_t N, const ch4_chain_options *options, const ch4_surface_pulse *pulse,
                                 ch4_err *err);

/* Landmarks by curvature-boosted farthest point sampling; index [*K] is the caller's to free(). CH4_EFORMAT: the mesh has no edge. */
ch4_status ch4_chain_landmarks(int32_t **index, int64_t *K, const ch4_mesh *mesh, const ch4_chain_options *options, ch4_err *err);

#endif
