/* Training shards: many 16-frame clips in one safetensors file, in the form in which the networks meet them. */
#ifndef CH4_SYNTH_SHARD_H
#define CH4_SYNTH_SHARD_H

#include "base/parallel.h"
#include "tools/synth/creature_clip.h"

enum { CH4_SHARD_FRAMES = 16, CH4_SHARD_IMAGE = 64, CH4_SHARD_POINTS = 1536, CH4_SHARD_PATCHES = 8, CH4_SHARD_QUERIES = 384 };

/* Writes options->n_clips clips to path. With C clips:
 *   image        u8  [C,16,64,64,3]   white composite, cropped to the union box of the clip, padded to a square, 64 px
 *   points       f16 [C,16,1536,3]    the same surface points in all frames, uniform by area in frame 0
 *   normals      f16 [C,16,1536,3]    their face normals
 *   segments     f32 [C,16,18,8]      capsules: a, b, r0, r1; unused slots have radius -9
 *   patch_xyz    f16 [C,16,8,8,3]     mean visible surface position (object space) of each 8x8-pixel patch of the image, 0 if none
 *   patch_cover  f16 [C,16,8,8]       covered share of the patch
 *   plan         u8  [C]              ch4_synth_plan
 *   seed         i64 [C]
 * The bytes depend on the options but not on the number of threads. options->size is the picture's size before the crop.
 * Errors of the clips and of writing; on any error nothing is left under path. */
ch4_status ch4_synth_shard_save(const char *path, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err);

/* The same for forms (tools/synth/form.h): seed, n_clips and size of the options count; plan is the ch4_form_kind; in the place of segments
 *   query        f16 [C,16,384,3]     points near the surface and anywhere
 *   distance     f16 [C,16,384]       their approximate signed distances (ch4_form_distance) */
ch4_status ch4_form_shard_save(const char *path, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err);

#endif
