#include "stages/pose/pose.h"

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "pose",
        .summary = "Finds the camera of every frame from matches of image patches and vertices, and follows pixels through space.",
        .from = "animate",
        .open = ch4_pose_open,
        .process = ch4_pose_process,
        .close = ch4_pose_close,
    };
    return ch4_stage_main(&def, argc, argv);
}
