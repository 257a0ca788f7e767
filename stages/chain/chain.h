/* The chain stage: run files to arrays and back. What it computes is in lib/chain. */
#ifndef CH4_CHAIN_H
#define CH4_CHAIN_H

#include "chain/chain_options.h"
#include "stage/stage.h"

/* Functions of the stage's table, see stage/stage.h. The state is the opened model with the options of the run.
 *
 * A clip's first window takes its anchor mesh from the denoise file (a mesh given by the user), or makes one from the anchor's latent. Later
 * windows take faces and landmarks of the window that holds their anchor frame, and its animated vertices: CH4_EAGAIN until these are there. */
ch4_status ch4_chain_open(ch4_stage *stage, void **state, ch4_err *err);
ch4_status ch4_chain_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err);
void       ch4_chain_end_clip(ch4_stage *stage, void *state, const char *clip_name);
void       ch4_chain_close(ch4_stage *stage, void *state);

#endif
