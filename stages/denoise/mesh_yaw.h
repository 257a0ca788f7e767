/* In which direction does a given mesh have to stand so that the model knows it?
 *
 * A model that was trained from one direction knows its objects only as they stand there: a mesh in another orientation is something that it never
 * saw. Turned the right way, the mesh's own latent is what the network expects under the picture of the anchor frame (a diffusion classifier:
 * flow matching error of the latent), and its outline, seen from the model's direction, covers the object in the picture. */
#ifndef CH4_DENOISE_MESH_YAW_H
#define CH4_DENOISE_MESH_YAW_H

#include "bundle/bundle.h"
#include "stages/denoise/denoise_plan.h"

typedef struct ch4_yaw_in {
    const float *vert;   /* [n_vert,3] in the cube, not turned */
    const int32_t *face; /* [n_face,3] */
    int64_t n_vert, n_face, N, S;
    const float *context; /* [S,Cc] of the anchor frame */
    const uint8_t *alpha; /* [side,side] of it, foreground >= 128 */
    int64_t side;
    uint64_t seed;
} ch4_yaw_in;

/* Share of the outlines' union that both cover, 0 to 1, on a grid of 32 x 32: points [n,3], turned by yaw degrees about y and seen from the
 * direction (azimuth, elevation, degrees; as in model.yaml) by a camera placed so that their box fits that of the foreground. 0 where there is no
 * foreground or no such camera. CH4_ENOMEM. */
ch4_status ch4_view_overlap(double *overlap, const float *point, int64_t n, double yaw, double azimuth, double elevation, const uint8_t *alpha, int64_t side, ch4_err *err);

/* *yaw: degrees in [0,360) by which the mesh should be turned about y: the best of 24, refined to 3.75 degrees; 0 where that is not clearly
 * better than leaving it. The model must have a view (CH4_EINVAL). CH4_EFORMAT: the mesh has no area. Deterministic. */
ch4_status ch4_denoise_find_yaw(double *yaw, ch4_bundle *bundle, const ch4_denoise_plan *plan, const ch4_yaw_in *in, ch4_err *err);

#endif
