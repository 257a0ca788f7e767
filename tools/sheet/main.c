/* chain4d-sheet: a contact sheet of one result, to see at a glance whether the mesh moves as the video does. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tools/sheet/sheet.h"
#include "tools/synth/picture_writer.h"

static const char HELP[] =
    "usage: chain4d-sheet OUT/CLIP [options]\n"
    "\n"
    "Draws a contact sheet (PNG) of a clip's result: frames from left to right, in each the picture of the video above the animated mesh. The mesh is\n"
    "coloured by the place of its vertices in frame 0, so a point keeps its colour; grey is the back of a face (a hole, or a flipped face). The\n"
    "pictures are there if the run kept its window files (chain4d run --set sink.keep=true).\n"
    "\n"
    "  -o, --output FILE  the PNG (OUT/CLIP/sheet.png)\n"
    "  --columns N        frames in a row, 1 to 64 (8)\n"
    "  --rows N           rows of frames, 1 to 64 (4); a longer clip is shown in evenly spaced frames\n"
    "  --size PX          side of one picture, 16 to 1024 (128)\n"
    "  --view VIEW        camera: with the clip's cameras.json; front: azimuth 0, elevation 0; or AZIMUTH,ELEVATION in degrees (35,20)\n"
    "  --help             this text\n"
    "\n"
    "Exit: 0 done, 1 failed, 2 usage, 3 bad or missing input.\n";

static ch4_status parse_int(int *out, const char *name, const char *text, int lo, int hi, ch4_err *err)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (!*text || *end || v < lo || v > hi) return ch4_err_set(err, CH4_EINVAL, "--%s %s: not a whole number from %d to %d", name, text, lo, hi);
    *out = (int)v;
    return CH4_OK;
}

static ch4_status parse_view(ch4_sheet_options *o, const char *text, ch4_err *err)
{
    char *comma, *end;
    o->camera = !strcmp(text, "camera");
    if (o->camera) return CH4_OK;
    if (!strcmp(text, "front")) {
        o->azimuth = o->elevation = 0;
        return CH4_OK;
    }
    o->azimuth = strtod(text, &comma);
    bool ok = comma != text && *comma == ',';
    o->elevation = ok ? strtod(comma + 1, &end) : 0;
    ok = ok && end != comma + 1 && !*end && fabs(o->azimuth) <= 360 && fabs(o->elevation) <= 90;
    if (!ok) return ch4_err_set(err, CH4_EINVAL, "--view %s: not camera, front or AZIMUTH,ELEVATION (-360 to 360, -90 to 90)", text);
    return CH4_OK;
}

static ch4_status parse(ch4_sheet_options *o, const char **output, int argc, char **argv, ch4_err *err)
{
    static const struct option table[] = {{"output", 1, NULL, 'o'}, {"columns", 1, NULL, 'c'}, {"rows", 1, NULL, 'r'}, {"size", 1, NULL, 's'},
                                          {"view", 1, NULL, 'v'},   {NULL, 0, NULL, 0}};
    ch4_status st = CH4_OK;
    opterr = 0;
    for (int c; !st && (c = getopt_long(argc, argv, "o:", table, NULL)) != -1;) switch (c) {
        case 'o': *output = optarg; break;
        case 'c': st = parse_int(&o->columns, "columns", optarg, 1, 64, err); break;
        case 'r': st = parse_int(&o->rows, "rows", optarg, 1, 64, err); break;
        case 's': st = parse_int(&o->size, "size", optarg, 16, 1024, err); break;
        case 'v': st = parse_view(o, optarg, err); break;
        default: st = ch4_err_set(err, CH4_EINVAL, "unknown option or missing value: %s", argv[optind - 1]);
        }
    if (!st && optind + 1 != argc) st = ch4_err_set(err, CH4_EINVAL, "takes one folder, OUT/CLIP of a run; see --help");
    return st;
}

/* A path that cannot be found is one that cannot be written here: the input was read before. */
static ch4_status save(const char *folder, const char *output, const ch4_sheet *sheet, ch4_err *err)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s%s", output ? output : folder, output ? "" : "/sheet.png");
    ch4_status st = ch4_synth_png_save(path, sheet->pixel, sheet->width, sheet->height, 3, err);
    if (!st) printf("%s: %d x %d pixels%s\n", path, sheet->width, sheet->height, sheet->pictures ? "" : " (the run kept no window files: mesh only)");
    return st == CH4_ENOENT ? CH4_EIO : st;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            fputs(HELP, stdout);
            return 0;
        }
    ch4_err err = {0};
    ch4_sheet_options o = {.columns = 8, .rows = 4, .size = 128, .azimuth = CH4_SYNTH_AZIMUTH, .elevation = CH4_SYNTH_ELEVATION};
    ch4_sheet sheet = {0};
    const char *output = NULL;
    ch4_status st = parse(&o, &output, argc, argv, &err);
    if (!st) st = ch4_sheet_draw(&sheet, argv[optind], &o, &err);
    if (!st) st = save(argv[optind], output, &sheet, &err);
    if (st) fprintf(stderr, "chain4d-sheet: %s\n", err.msg);
    ch4_sheet_fini(&sheet);
    return ch4_status_exit_code(st);
}
