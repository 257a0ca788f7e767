/* One clip: a creature that passes its checks, its mesh over all frames and the camera that sees it. */
#ifndef CH4_SYNTH_CREATURE_CLIP_H
#define CH4_SYNTH_CREATURE_CLIP_H

#include "tools/synth/creature_render.h"

typedef struct ch4_synth_options {
    uint64_t seed;           /* clip i uses seed + i */
    int64_t n_clips, n_frames;
    int64_t n_points;        /* surface points of a clip folder */
    int size;                /* pixels */
    uint32_t plans;          /* bit set of ch4_synth_plan */
    ch4_synth_colour colour;
    int threads, fps;
    bool pingpong;           /* a clip folder of more than CH4_SYNTH_PASS frames plays that many forward and backward; else its motion goes on */
    bool progress;           /* one line on stderr for each clip folder */
} ch4_synth_options;

enum { CH4_SYNTH_PASS = 16 };

/* Random streams of a seed: attempts count up from 0; the others must not move when an attempt fails. */
enum { CH4_SYNTH_STREAM_COLOUR = 1 << 20, CH4_SYNTH_STREAM_POINTS, CH4_SYNTH_STREAM_SURFACE, CH4_SYNTH_STREAM_VIEW, CH4_SYNTH_STREAM_QUERIES };

typedef struct ch4_synth_clip {
    uint64_t seed;
    int attempt; /* creatures of this seed drawn before this one */
    ch4_synth_creature creature;
    ch4_synth_mesh mesh;
} ch4_synth_clip;

/* Draws creatures of `seed` until one has a usable surface that stays inside the cube and inside the picture. n_frames, plans and
 * colour of the options count. CH4_EUNSUP if 64 in a row fail (text of the last one), CH4_ENOMEM. The caller frees *out with
 * ch4_synth_clip_fini, also after an error. */
ch4_status ch4_synth_clip_init(ch4_synth_clip *out, uint64_t seed, const ch4_synth_options *options, ch4_err *err);
void       ch4_synth_clip_fini(ch4_synth_clip *clip);

/* CH4_EUNSUP if a vertex of any frame comes nearer to the picture's border than a hundredth of its size. */
ch4_status ch4_synth_check_picture(const ch4_synth_mesh *mesh, const ch4_synth_camera *camera, ch4_err *err);

/* Mean distance of the vertices of all frames from frame 0, and the share farther than 0.15, weighted by vertex area in frame 0. */
void ch4_synth_motion(double *mean, double *share, const ch4_synth_mesh *mesh);

#endif
