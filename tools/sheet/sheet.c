#include "tools/sheet/sheet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/mesh.h"
#include "tools/synth/picture_writer.h"

enum { GAP = 2, GROUP_GAP = 10, MAX_PIXELS = 1 << 26 };
static const double MARGIN = 0.05; /* of the picture, on each side */

int64_t ch4_sheet_pick_frames(int64_t *out, int64_t n_frames, const ch4_sheet_options *options)
{
    int64_t n = ch4_min_i64(n_frames, (int64_t)options->columns * options->rows);
    for (int64_t i = 0; i < n; i++) out[i] = n > 1 ? i * (n_frames - 1) / (n - 1) : 0;
    return n;
}

void ch4_sheet_colours(float *colour, const float *vert, int64_t n_vert)
{
    double lo[3], hi[3];
    ch4_mesh_box(lo, hi, vert, n_vert);
    for (int64_t i = 0; i < n_vert * 3; i++) {
        double side = hi[i % 3] - lo[i % 3];
        colour[i] = (float)(0.08 + 0.9 * (side > 0 ? (vert[i] - lo[i % 3]) / side : 0.5));
    }
}

/* --- cameras ---------------------------------------------------------------------------------------------------------------- */

static void box_of_frames(double lo[3], double hi[3], const ch4_sheet_clip *clip, const int64_t *frame, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double a[3], b[3];
        ch4_mesh_box(a, b, clip->vert + frame[i] * clip->n_vert * 3, clip->n_vert);
        for (int k = 0; k < 3; k++) {
            lo[k] = i ? fmin(lo[k], a[k]) : a[k];
            hi[k] = i ? fmax(hi[k], b[k]) : b[k];
        }
    }
}

ch4_status ch4_sheet_fit_camera(ch4_synth_camera *out, const ch4_sheet_clip *clip, const int64_t *frame, int64_t n, const ch4_sheet_options *options,
                                ch4_err *err)
{
    double lo[3], hi[3], target[3] = {0}, half = 0, distance = CH4_SYNTH_DISTANCE, a[2] = {INFINITY, INFINITY}, b[2] = {-INFINITY, -INFINITY};
    bool canonical = true;
    box_of_frames(lo, hi, clip, frame, n);
    for (int k = 0; k < 3; k++) {
        half = fmax(half, (hi[k] - lo[k]) / 2);
        canonical = canonical && lo[k] >= -1.1 && hi[k] <= 1.1; /* an animated limb may leave the cube a little */
    }
    if (!(half > 0)) return ch4_err_set(err, CH4_EFORMAT, "all vertices of the mesh are in one place");
    if (!canonical || half < 0.5) {
        distance *= half;
        for (int k = 0; k < 3; k++) target[k] = (lo[k] + hi[k]) / 2;
    }
    ch4_synth_camera_orbit(out, options->size, options->azimuth, options->elevation, distance, target);
    for (int64_t i = 0; i < n; i++)
        for (int64_t v = 0; v < clip->n_vert; v++) {
            double uv[2], z;
            ch4_synth_project(uv, &z, out, clip->vert + 3 * (frame[i] * clip->n_vert + v));
            for (int k = 0; k < 2; k++) a[k] = fmin(a[k], uv[k]), b[k] = fmax(b[k], uv[k]);
        }
    double zoom = options->size * (1 - 2 * MARGIN) / fmax(b[0] - a[0], b[1] - a[1]);
    for (int k = 0; k < 2; k++) {
        out->K[4 * k] *= zoom;
        out->K[3 * k + 2] = options->size / 2.0 + zoom * (out->K[3 * k + 2] - (a[k] + b[k]) / 2);
    }
    return CH4_OK;
}

/* --- drawing ------------------------------------------------------------------------------------------------------------------ */

static void paste(ch4_sheet *sheet, int x, int y, const uint8_t *rgb, int size)
{
    for (int row = 0; row < size; row++)
        memcpy(sheet->pixel + 3 * ((size_t)(y + row) * (size_t)sheet->width + (size_t)x), rgb + 3 * (size_t)row * (size_t)size, (size_t)size * 3);
}

/* Scratch of one picture. */
typedef struct scratch {
    ch4_synth_sample *sample;
    float *screen, *normal, *colour;
    uint8_t *rgba, *rgb;
} scratch;

static ch4_status scratch_init(scratch *s, const ch4_sheet_clip *clip, int size, ch4_err *err)
{
    size_t pixels = (size_t)size * (size_t)size, n = (size_t)clip->n_vert * 3;
    ch4_status st = ch4_calloc(&s->sample, pixels * CH4_SYNTH_SUPERSAMPLE * CH4_SYNTH_SUPERSAMPLE, sizeof(*s->sample), "samples", err);
    if (!st) st = ch4_calloc(&s->screen, n, sizeof(float), "screen positions", err);
    if (!st) st = ch4_calloc(&s->normal, n, sizeof(float), "normals", err);
    if (!st) st = ch4_calloc(&s->colour, n, sizeof(float), "colours", err);
    if (!st) st = ch4_calloc(&s->rgba, pixels, 4, "picture", err);
    if (!st) st = ch4_calloc(&s->rgb, pixels, 3, "picture", err);
    return st;
}

static void scratch_fini(scratch *s)
{
    free(s->sample);
    free(s->screen);
    free(s->normal);
    free(s->colour);
    free(s->rgba);
    free(s->rgb);
}

/* Leaves the picture in s->rgb. */
static ch4_status draw_mesh(scratch *s, const ch4_sheet_clip *clip, int64_t f, const ch4_synth_camera *camera, ch4_err *err)
{
    const float *vert = clip->vert + f * clip->n_vert * 3;
    ch4_synth_surface surface = {clip->n_vert, clip->n_face, vert, s->normal, s->colour, clip->face, true, NULL};
    ch4_status st = ch4_mesh_compute_normals(s->normal, vert, clip->n_vert, clip->face, clip->n_face, err);
    if (st) return st;
    ch4_synth_rasterise(s->sample, s->screen, &surface, camera);
    ch4_synth_resolve(s->rgba, s->screen, s->sample, &surface, camera);
    ch4_synth_on_white(s->rgb, s->rgba, camera->size);
    return CH4_OK;
}

/* Size of the sheet and white paper. */
static ch4_status lay_out(ch4_sheet *sheet, int64_t n, const ch4_sheet_options *o, ch4_err *err)
{
    int64_t columns = ch4_min_i64(n, o->columns), groups = (n + columns - 1) / columns, group = sheet->pictures ? 2 * o->size + GAP : o->size;
    int64_t width = columns * (o->size + GAP) - GAP, height = groups * (group + GROUP_GAP) - GROUP_GAP;
    sheet->width = (int)width, sheet->height = (int)height;
    ch4_status st = ch4_calloc(&sheet->pixel, (size_t)(width * height), 3, "sheet", err);
    if (!st) memset(sheet->pixel, 255, (size_t)(width * height) * 3);
    return st;
}

static ch4_status draw_frames(ch4_sheet *sheet, const ch4_sheet_clip *clip, const char *folder, const int64_t *frame, int64_t n, const ch4_sheet_options *o,
                              ch4_err *err)
{
    size_t bytes = (size_t)o->size * (size_t)o->size * 3;
    uint8_t *pictures = NULL;
    ch4_synth_camera *camera = NULL;
    scratch s = {0};
    if (2 * n * o->size * o->size > MAX_PIXELS)
        return ch4_err_set(err, CH4_EINVAL, "a sheet of %lld frames of %d pixels is too large; show fewer or smaller ones", (long long)n, o->size);
    ch4_status st = ch4_calloc(&pictures, (size_t)n, bytes, "pictures", err);
    if (!st) st = ch4_calloc(&camera, (size_t)n, sizeof(*camera), "cameras", err);
    if (!st) st = ch4_sheet_pictures_load(pictures, &sheet->pictures, folder, frame, n, o->size, err);
    if (!st) st = o->camera ? ch4_sheet_cameras_load(camera, folder, frame, n, clip->n_frames, o->size, err) : ch4_sheet_fit_camera(camera, clip, frame, n, o, err);
    if (!st) st = lay_out(sheet, n, o, err);
    if (!st) st = scratch_init(&s, clip, o->size, err);
    if (!st) ch4_sheet_colours(s.colour, clip->vert, clip->n_vert);
    for (int64_t i = 0; !st && i < n; i++) {
        int x = (int)(i % o->columns) * (o->size + GAP), y = (int)(i / o->columns) * ((sheet->pictures ? 2 * o->size + GAP : o->size) + GROUP_GAP);
        if (sheet->pictures) {
            paste(sheet, x, y, pictures + (size_t)i * bytes, o->size);
            y += o->size + GAP;
        }
        st = draw_mesh(&s, clip, frame[i], &camera[o->camera ? i : 0], err);
        if (!st) paste(sheet, x, y, s.rgb, o->size);
    }
    scratch_fini(&s);
    free(camera);
    free(pictures);
    return st;
}

ch4_status ch4_sheet_draw(ch4_sheet *out, const char *folder, const ch4_sheet_options *options, ch4_err *err)
{
    *out = (ch4_sheet){0};
    ch4_sheet_clip clip = {0};
    int64_t *frame = NULL;
    ch4_status st = ch4_sheet_clip_load(&clip, folder, err);
    if (!st) st = ch4_calloc(&frame, (size_t)options->columns * (size_t)options->rows, sizeof(*frame), "frames", err);
    if (!st) {
        int64_t n = ch4_sheet_pick_frames(frame, clip.n_frames, options);
        st = draw_frames(out, &clip, folder, frame, n, options, err);
    }
    free(frame);
    ch4_sheet_clip_fini(&clip);
    return st;
}

void ch4_sheet_fini(ch4_sheet *sheet)
{
    if (!sheet) return;
    free(sheet->pixel);
    *sheet = (ch4_sheet){0};
}
