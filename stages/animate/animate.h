/* The animate stage: wNNNN.chain.h5 to wNNNN.animate.h5 (docs/run-files.md). A window's landmarks are those of its own chain file, on
 * its own anchor mesh: nothing is kept between windows. With `animate.method: learned` the latents of wNNNN.denoise.h5 and the model's
 * temporal autoencoder move the mesh instead. */
#ifndef CH4_ANIMATE_H
#define CH4_ANIMATE_H

#include "stage/stage.h"

/* For ch4_stage_def: what the model says of the animation, and its temporal autoencoder where that is to move the mesh. CH4_ECONFIG: the
 * model has none. */
ch4_status ch4_animate_open(ch4_stage *stage, void **state, ch4_err *err);
void       ch4_animate_close(ch4_stage *stage, void *state);

/* For ch4_stage_def.process. Bad content of the chain file (a vertex that is not finite, an index outside) is CH4_EFORMAT with the file and
 * the vertex, face or landmark. */
ch4_status ch4_animate_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err);

/* The chain's way for files: reads the chain file at input, writes the datasets of the animate file. */
struct ch4_animate_options;
struct ch4_config;
struct ch4_model_info;
ch4_status ch4_animate_file(struct ch4_store_writer *writer, const char *input, const struct ch4_animate_options *options, ch4_pool *pool,
                            const ch4_log *log, ch4_err *err);

/* Options of a window: the pipeline file over what the model says. */
void ch4_animate_resolve(struct ch4_animate_options *out, const struct ch4_config *config, const struct ch4_model_info *model);

#endif
