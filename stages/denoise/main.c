#include "stages/denoise/denoise.h"

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "denoise",
        .summary = "Generates the shape's latent in every frame of a window from its pictures, and keeps the attention that links the frames.",
        .from = "decode",
        .open = ch4_denoise_open,
        .process = ch4_denoise_process,
        .end_clip = ch4_denoise_end_clip,
        .close = ch4_denoise_close,
    };
    return ch4_stage_main(&def, argc, argv);
}
