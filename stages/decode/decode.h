/* The decode stage: a clip's video becomes one file of frames per window. */
#ifndef CH4_DECODE_H
#define CH4_DECODE_H

#include "stage/stage.h"
#include "stages/decode/clip.h"

/* ch4_stage_def: the state is the model's background remover (remover.h), or NULL where it is not there or never asked for. CH4_ECONFIG:
 * `decode.foreground: rmbg` and the model has none. */
ch4_status ch4_decode_open(ch4_stage *stage, void **state, ch4_err *err);
void       ch4_decode_close(ch4_stage *stage, void *state);

/* ch4_stage_def.run_clip: scans the clip, cuts it into windows (lib/model windows), commits each window's file and sends the windows on in
 * their order. The video is read forward once more, whatever the order of the windows; files that are already there are kept. */
ch4_status ch4_decode_run_clip(ch4_stage *stage, void *state, const ch4_stage_clip *clip, ch4_err *err);

/* How a clip is read, as the pipeline file wants it; strings are borrowed from config. */
struct ch4_config;
ch4_clip_options ch4_decode_resolve(const struct ch4_config *config);

#endif
