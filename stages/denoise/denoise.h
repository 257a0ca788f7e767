/* The denoise stage: messages and files to arrays. The maths is in denoise_window.h. */
#ifndef CH4_DENOISE_H
#define CH4_DENOISE_H

#include "stage/stage.h"

ch4_status ch4_denoise_open(ch4_stage *stage, void **state, ch4_err *err);
ch4_status ch4_denoise_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err);
void       ch4_denoise_end_clip(ch4_stage *stage, void *state, const char *clip_name);
void       ch4_denoise_close(ch4_stage *stage, void *state);

#endif
