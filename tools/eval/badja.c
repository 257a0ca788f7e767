#include "tools/eval/badja.h"

#include <jansson.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int JOINT[CH4_BADJA_JOINTS] = {8, 9, 10, 12, 13, 14, 15, 18, 19, 20, 22, 23, 24, 25, 28, 31, 32, 33, 35, 36};

ch4_badja_score ch4_compute_badja(const float *pred, const float *gt, const uint8_t *visible, const double *area, int64_t n_frames, int64_t n)
{
    int64_t count = 0, in_segment = 0, in_3px = 0;
    for (int64_t f = 1; f < n_frames; f++)
        for (int64_t i = f * n; i < (f + 1) * n; i++) {
            if (!visible[i]) continue;
            double x = (double)pred[2 * i] - gt[2 * i], y = (double)pred[2 * i + 1] - gt[2 * i + 1], d = sqrt(x * x + y * y);
            count++;
            in_segment += d < 0.2 * sqrt(area[f]);
            in_3px += d < 3;
        }
    if (!count) return (ch4_badja_score){NAN, NAN, 0};
    return (ch4_badja_score){100 * (double)in_segment / (double)count, 100 * (double)in_3px / (double)count, count};
}

/* --- the dataset's files ------------------------------------------------------------------------------------------------------------------ */

/* Pixels of the mask (any channel above 0) after stretching to the raster by nearest neighbour; *w and *h of the file. */
static ch4_status mask_area(double *area, int64_t size[2], const char *path, int width, int height, ch4_err *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    uint8_t *rgb = NULL;
    if (!png_image_begin_read_from_file(&image, path)) return ch4_err_set(err, CH4_EFORMAT, "%s: %s", path, image.message);
    image.format = PNG_FORMAT_RGB;
    size[0] = image.width, size[1] = image.height;
    ch4_status st = ch4_calloc(&rgb, (size_t)image.width * image.height, 3, path, err);
    if (!st && !png_image_finish_read(&image, NULL, rgb, 0, NULL)) st = ch4_err_set(err, CH4_EFORMAT, "%s: %s", path, image.message);
    int64_t count = 0;
    for (int64_t y = 0; !st && y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            const uint8_t *p = rgb + 3 * (y * size[1] / height * size[0] + x * size[0] / width);
            count += (p[0] | p[1] | p[2]) != 0;
        }
    *area = (double)count;
    free(rgb);
    png_image_free(&image);
    return st;
}

/* Frame number of "…/00012.png"; -1 if it is none. */
static int64_t frame_number(json_t *entry)
{
    const char *path = json_string_value(json_object_get(entry, "segmentation_path")), *slash = path ? strrchr(path, '/') : NULL;
    char *end = NULL;
    long n = slash ? strtol(slash + 1, &end, 10) : -1;
    return slash && end > slash + 1 && *end == '.' && n >= 0 && n < 1000000 ? n : -1;
}

static ch4_status read_joints(ch4_badja_video *out, json_t *entry, int64_t frame, const double scale[2], const char *path, ch4_err *err)
{
    json_t *joints = json_object_get(entry, "joints"), *visibility = json_object_get(entry, "visibility");
    for (int64_t i = 0; i < CH4_BADJA_JOINTS; i++) {
        json_t *at = json_array_get(joints, (size_t)JOINT[i]), *seen = json_array_get(visibility, (size_t)JOINT[i]);
        json_t *row = json_array_get(at, 0), *column = json_array_get(at, 1);
        if (!json_is_number(row) || !json_is_number(column) || !(json_is_boolean(seen) || json_is_integer(seen)))
            return ch4_err_set(err, CH4_EFORMAT, "%s: joint %d of frame %lld", path, JOINT[i], (long long)frame);
        int64_t k = frame * CH4_BADJA_JOINTS + i;
        out->joint[2 * k] = (float)(json_number_value(column) * scale[0]);
        out->joint[2 * k + 1] = (float)(json_number_value(row) * scale[1]);
        out->visible[k] = json_is_true(seen) || json_integer_value(seen) != 0;
    }
    return CH4_OK;
}

static ch4_status frame_range(int64_t *first, int64_t *last, json_t *root, const char *path, ch4_err *err)
{
    size_t i;
    json_t *entry;
    *first = INT64_MAX, *last = -1;
    json_array_foreach(root, i, entry) {
        int64_t n = frame_number(entry);
        if (n < 0) return ch4_err_set(err, CH4_EFORMAT, "%s: entry %zu has no numbered segmentation_path", path, i);
        *first = ch4_min_i64(*first, n);
        *last = ch4_max_i64(*last, n);
    }
    return *last < 0 ? ch4_err_set(err, CH4_EFORMAT, "%s: no annotated frame", path) : CH4_OK;
}

ch4_status ch4_badja_load(ch4_badja_video *out, const char *root, const char *video, int width, int height, ch4_err *err)
{
    char path[4096], mask[4096];
    json_error_t why;
    int64_t first = 0, last = -1, size[2] = {1, 1};
    *out = (ch4_badja_video){0};
    snprintf(path, sizeof(path), "%s/joint_annotations/%s.json", root, video);
    json_t *list = json_load_file(path, 0, &why);
    ch4_status st = list ? frame_range(&first, &last, list, path, err) : ch4_err_set(err, CH4_EFORMAT, "%s:%d: %s", path, why.line, why.text);
    if (!st) {
        out->n_frames = last - first + 1;
        st = ch4_calloc(&out->joint, (size_t)out->n_frames * CH4_BADJA_JOINTS, 2 * sizeof(float), path, err);
        if (!st) st = ch4_calloc(&out->visible, (size_t)out->n_frames * CH4_BADJA_JOINTS, 1, path, err);
        if (!st) st = ch4_calloc(&out->area, (size_t)out->n_frames, sizeof(double), path, err);
    }
    for (int64_t f = 0; !st && f < out->n_frames; f++) {
        snprintf(mask, sizeof(mask), "%s/DAVIS/Annotations/Full-Resolution/%s/%05lld.png", root, video, (long long)(first + f));
        st = mask_area(&out->area[f], size, mask, width, height, err);
    }
    const double scale[2] = {(double)width / (double)size[0], (double)height / (double)size[1]};
    for (size_t i = 0; !st && i < json_array_size(list); i++) {
        json_t *entry = json_array_get(list, i);
        st = read_joints(out, entry, frame_number(entry) - first, scale, path, err);
    }
    json_decref(list);
    return st;
}

void ch4_badja_fini(ch4_badja_video *v)
{
    if (!v) return;
    free(v->joint);
    free(v->visible);
    free(v->area);
    *v = (ch4_badja_video){0};
}
