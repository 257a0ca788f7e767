/* Cameras and tracks of one window: plain functions on arrays.
 *
 * The camera stands still and the object moves: the clip has one anchor camera (paper Eq. 8), solved in the anchor frame of its first window,
 * through which all 4D tracks are seen (Eq. 9). Besides, each frame is solved for itself with its own vertices; where the motion is
 * right these cameras agree with the anchor's. T frames, P = grid * grid patches, V vertices, F faces, Q tracks. */
#ifndef CH4_POSE_WINDOW_H
#define CH4_POSE_WINDOW_H

#include "base/base.h"
#include "stages/pose/camera.h"
#include "stages/pose/pnp.h"

/* Where the camera of a frame comes from. Nothing is made up in silence: whatever is not solved says so. */
#define CH4_CAMERA_STATUS_LIST(X)                                                                                      \
    X(CH4_CAMERA_SOLVED, "solved")                                                                                     \
    X(CH4_CAMERA_SOLVED_SQPNP, "solved_sqpnp") /* EPnP's pose was degenerate, SQPnP's is used */                       \
    X(CH4_CAMERA_OUTLINE, "outline") /* too few matches for PnP alone: outline and matches together (silhouette.h) */   \
    X(CH4_CAMERA_KEPT, "kept")     /* this frame could not be solved: the camera of its neighbour towards the anchor */ \
    X(CH4_CAMERA_ANCHOR, "anchor") /* as asked (mode anchor): the clip's anchor camera */                              \
    X(CH4_CAMERA_NONE, "none")     /* no camera was found, in this clip or frame: a frontal one stands in its place */

typedef enum ch4_camera_status {
#define X(name, text) name,
    CH4_CAMERA_STATUS_LIST(X)
#undef X
    CH4_CAMERA_STATUS_COUNT
} ch4_camera_status;

const char *ch4_camera_status_name(int status); /* "solved"; "unknown" outside of the list */

typedef struct ch4_camera {
    ch4_rigid pose;
    uint8_t status; /* ch4_camera_status */
    uint8_t pnp;    /* ch4_pnp_status of this frame's own attempt */
    int32_t inliers;
} ch4_camera;

typedef struct ch4_pose_options {
    double focal;        /* in units of half the side of the frame */
    ch4_pnp_options pnp; /* lengths in pixels of a frame whose patches have 16 pixels: scaled to the frame at hand */
    int64_t track_stride;
    bool has_view;       /* the model makes its objects as seen from one direction: */
    double view[9];      /* that rotation, ... */
    double view_weight;  /* ... and what evidence is needed against it (silhouette.h) */
    bool outline;        /* help the anchor camera with the outline of the object where matches are few */
    bool anchor_only;    /* the anchor's camera for all frames */
} ch4_pose_options;

/* Borrowed. Indices were checked by whoever read them. */
typedef struct ch4_pose_input {
    int64_t T, P, grid, V, F, side, anchor; /* side of the square frames in pixels; anchor: slot of the anchor frame */
    const float *vertices;                  /* [T,V,3] */
    const int32_t *faces;                   /* [F,3] */
    const uint8_t *alpha;                   /* [side,side] of the anchor frame */
    const float *match_xy, *score;          /* Eq. 6: [T,P,2] pixels in frame f of each anchor patch; [T,P] */
    const int32_t *vertex;                  /* Eq. 7: [P] */
    const float *vertex_score;              /* [P] */
    const int64_t *frame_index;             /* [T] frame of the clip: names the random stream */
} ch4_pose_input;

/* The queries of a clip's tracks: where they are in the anchor frame, and the surface point seen there. */
typedef struct ch4_queries {
    int64_t Q;
    float *pixel;  /* [Q,2] */
    int32_t *face; /* [Q] */
    float *bary;   /* [Q,3] */
} ch4_queries;

void ch4_queries_fini(ch4_queries *q);

typedef struct ch4_pose_result {
    ch4_intrinsics k;
    ch4_camera *camera; /* [T] */
    float *uv, *xyz;    /* [T,Q,2] pixels, [T,Q,3] in the space of the anchor camera */
    int64_t pairs;      /* 2D-3D pairs of a frame at most */
    double threshold_px; /* in pixels of this frame */
} ch4_pose_result;

void ch4_pose_result_fini(ch4_pose_result *r);

/* The anchor camera of a clip, from its first window: solved in the anchor frame. With fewer than 30 inliers, or less than 60 % of the
 * matches, PnP is not trusted alone: outline, matches and the model's view together (status outline, if asked). Without that: the camera of the
 * nearest frame where PnP succeeds (status kept); if none does, a frontal one (status none). */
ch4_status ch4_pose_anchor(ch4_camera *out, const ch4_pose_input *in, const ch4_pose_options *opt, ch4_err *err);

/* Queries on a grid of every track_stride pixels over the foreground (alpha >= 128) of the anchor frame, where the ray meets the mesh.
 * None if there is no anchor camera. *missed counts foreground pixels whose ray misses. CH4_ENOMEM. */
ch4_status ch4_pose_queries(ch4_queries *out, int64_t *missed, const ch4_pose_input *in, const ch4_camera *anchor, const ch4_pose_options *opt,
                            ch4_pool *pool, ch4_err *err);

/* Cameras of all frames and tracks of the queries. CH4_ENOMEM; the same input gives the same bytes. */
ch4_status ch4_pose_window(ch4_pose_result *out, const ch4_pose_input *in, const ch4_camera *anchor, const ch4_queries *queries,
                           const ch4_pose_options *opt, ch4_pool *pool, ch4_err *err);

#endif
