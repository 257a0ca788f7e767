#include "stages/animate/animate.h"

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "animate",
        .summary = "Moves every vertex of the anchor mesh: with the smoothed paths of the landmarks, or by the temporal autoencoder of the model.",
        .from = "chain",
        .open = ch4_animate_open,
        .process = ch4_animate_process,
        .close = ch4_animate_close,
    };
    return ch4_stage_main(&def, argc, argv);
}
