#include <string.h>

#include "decode.h"
#include "probe.h"

int main(int argc, char **argv)
{
    static const ch4_stage_def def = {
        .name = "decode",
        .summary = "Reads videos, finds the object, cuts it out of every frame, and makes windows of them.\n"
                   "With --probe PATH... it only says what is there, or why it cannot be used.",
        .open = ch4_decode_open,
        .run_clip = ch4_decode_run_clip,
        .close = ch4_decode_close,
    };
    if (argc > 2 && strcmp(argv[1], "--probe") == 0)
        return ch4_decode_probe_main(argv + 2, argc - 2);
    return ch4_stage_main(&def, argc, argv);
}
