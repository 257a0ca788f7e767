#include "stages/pose/pose.h"

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
        .name = "pose",
        .summary = "Finds the camera of every frame from matches of image patches and vertices, and follows pixels through space.",
        .from = "animate",
        .open = open_nothing,
        .process = ch4_pose_process,
    };
    return ch4_stage_main(&def, argc, argv);
}
