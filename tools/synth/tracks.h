/* Which surface points a camera sees, and the tracks of some of them. */
#ifndef CH4_SYNTH_TRACKS_H
#define CH4_SYNTH_TRACKS_H

#include "tools/synth/creature_render.h"

/* visible [n]: 1 where a point is inside the picture, its face turned to the camera, and not deeper than the surface drawn at its place + 0.02.
 * xyz, normal [n,3] of the points in this frame; sample as ch4_synth_rasterise left it for the same camera. */
void ch4_synth_compute_visible(uint8_t *visible, const float *xyz, const float *normal, int64_t n, const ch4_synth_sample *sample,
                               const ch4_synth_camera *camera);

/* At most `bound` of n_points, as tracks that a tracker is asked for: bound / 2 with the lowest index among those visible in frame 0, then bound / 2
 * among those first visible later but at least four frames before the end. visible [n_frames,n_points]. Returns how many. */
int64_t ch4_synth_choose_queries(int64_t *query, int64_t bound, const uint8_t *visible, int64_t n_points, int64_t n_frames);

#endif
