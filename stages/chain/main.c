#include "stages/chain/chain.h"

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "chain",
        .summary = "Follows landmarks of the anchor mesh through the attention of a window to the surface of every frame.",
        .from = "denoise",
        .open = ch4_chain_open,
        .process = ch4_chain_process,
        .end_clip = ch4_chain_end_clip,
        .close = ch4_chain_close,
    };
    return ch4_stage_main(&def, argc, argv);
}
