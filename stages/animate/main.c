#include "stages/animate/animate.h"

static ch4_status open_nothing(ch4_stage *stage, void **state, ch4_err *err)
{
    (void)stage;
    (void)state;
    (void)err;
    return CH4_OK;
}

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "animate",
        .summary = "Smooths the paths of the landmarks and moves every vertex of the anchor mesh with them.",
        .from = "chain",
        .open = open_nothing,
        .process = ch4_animate_process,
    };
    return ch4_stage_main(&def, argc, argv);
}
