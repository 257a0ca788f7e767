#include "stages/animate/animate.h"

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "animate",
        .summary = "Smooths the paths of the landmarks and moves every vertex of the anchor mesh with them.",
        .from = "chain",
        .open = ch4_animate_open,
        .process = ch4_animate_process,
        .close = ch4_animate_close,
    };
    return ch4_stage_main(&def, argc, argv);
}
