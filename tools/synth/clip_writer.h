/* Creatures as clip folders. */
#ifndef CH4_SYNTH_CLIP_WRITER_H
#define CH4_SYNTH_CLIP_WRITER_H

#include "base/parallel.h"
#include "tools/synth/creature_clip.h"

/* Writes folder/creature_sNNNNNN (N: the seed) for each clip of the options, as ch4_synth_scene_save does. The bytes do not depend on the number of
 * threads. The error is the one of the first clip that failed; the others are complete. */
ch4_status ch4_synth_creatures_save(const char *folder, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err);

#endif
