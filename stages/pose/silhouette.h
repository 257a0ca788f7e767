/* A camera from the outline of the object together with few, coarse matches [ours].
 *
 * Where an image has only some dozen patches, a handful of matches that are right to about one patch leaves the pose of Eq. 8 open: turned and
 * mirrored poses explain them nearly as well. The outline of the anchor frame is known to the pixel and the mesh is known, so poses are
 * searched that cover the outline and agree with the matches. */
#ifndef CH4_POSE_SILHOUETTE_H
#define CH4_POSE_SILHOUETTE_H

#include "base/base.h"
#include "stages/pose/pnp_minimal.h"

#define CH4_OUTLINE_VIEW_ANGLE 30.0 /* degrees */

typedef struct ch4_outline_input {
    const float *vertices; /* [V,3] */
    const int32_t *faces;  /* [F,3] */
    int64_t V, F;
    const uint8_t *alpha;  /* [side,side] foreground >= 128 */
    int64_t side;
    ch4_pairs pairs;       /* matches: object points, pixels; n may be 0 */
    double patch_px;       /* how far a right match may be off */
    double match_weight;   /* of the matches against the outline */
    const double *view;    /* [9] rotation that is likely beforehand; NULL: all are alike */
    double view_weight;    /* what an angle of CH4_OUTLINE_VIEW_ANGLE or more from it costs */
    ch4_intrinsics k;
    uint64_t seed;
} ch4_outline_input;

/* Best pose over rotations of a fixed sequence, the likely one and *start (may be NULL), each placed so that it fits the outline's box, then
 * refined by steps that shrink. *score: overlap of the outlines (intersection over union, 0 to 1) minus match_weight times the mean error
 * of the matches (in units of two patches, at most 1 each) minus view_weight times the angle from the likely rotation (in units of
 * CH4_OUTLINE_VIEW_ANGLE, at most 1). *found: false where there is no foreground or no surface; then nothing else is set. CH4_ENOMEM.
 * Deterministic. */
ch4_status ch4_pose_from_outline(ch4_rigid *pose, double *score, bool *found, const ch4_outline_input *in, const ch4_rigid *start, ch4_err *err);

#endif
