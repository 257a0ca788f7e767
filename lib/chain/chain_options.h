/* Options of the chain: the pipeline file over what the model says. */
#ifndef CH4_CHAIN_OPTIONS_H
#define CH4_CHAIN_OPTIONS_H

#include "bundle/model_info.h"
#include "chain/chain_window.h"
#include "config/config.h"

/* All but the seed of a window. */
ch4_chain_options ch4_chain_resolve(const ch4_config *config, const ch4_model_info *model);

#endif
