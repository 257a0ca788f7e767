#include "probe.h"

#include <stdio.h>

#include "frames.h"

ch4_status ch4_decode_probe(char text[CH4_PROBE_TEXT], const char *path, ch4_err *err)
{
    static const ch4_frames_options all = {.stride = 1, .image_fps = 24};
    ch4_frames *frames;
    ch4_status st = ch4_frames_open(&frames, path, false, &all, err);
    if (st != CH4_OK)
        return st;
    const ch4_frames_info *i = ch4_frames_get_info(frames);
    char count[48] = "unknown number of frames";
    if (i->expected > 0)
        snprintf(count, sizeof count, "%lld frames", (long long)i->expected);
    snprintf(text, CH4_PROBE_TEXT, "%lld x %lld%s%s, %s", (long long)i->width, (long long)i->height, i->alpha ? ", alpha" : "",
             ch4_frames_has_masks(frames) ? ", masks" : "", count);
    ch4_frames_close(&frames);
    return CH4_OK;
}

int ch4_decode_probe_main(char **paths, int n_paths)
{
    int rc = 0;
    for (int i = 0; i < n_paths; i++) {
        char text[CH4_PROBE_TEXT];
        ch4_err err = {0};
        ch4_status st = ch4_decode_probe(text, paths[i], &err);
        if (st == CH4_OK) {
            printf("%s: %s\n", paths[i], text);
        } else {
            fprintf(stderr, "%s\n", err.msg);
            rc = ch4_status_exit_code(st);
        }
    }
    return rc;
}
