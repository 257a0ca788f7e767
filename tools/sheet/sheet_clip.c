#include "tools/sheet/sheet_clip.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/mesh.h"
#include "store/store.h"
#include "tensor/npy.h"

enum { MAX_WINDOWS = 1000000, MAX_SIDE = 8192 };

/* --- the mesh ----------------------------------------------------------------------------------------------------------- */

static ch4_status load_array(ch4_tensor *view, ch4_buf *buf, const char *folder, const char *name, ch4_dtype dtype, int rank, ch4_err *err)
{
    char path[CH4_STORE_PATH], is[96];
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) return ch4_err_set(err, CH4_EINVAL, "%.60s...: path too long", folder);
    ch4_status st = ch4_npy_load(buf, view, path, err);
    if (st) return st;
    bool fits = view->dtype == dtype && view->rank == rank && view->shape[rank - 1] == 3;
    for (int i = 0; fits && i < rank; i++) fits = view->shape[i] >= 1 && view->shape[i] <= INT32_MAX;
    ch4_tensor_describe(view, is, sizeof(is));
    return fits ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "%s: is %s, expected %s of %d dimensions, the last one 3", path, is, ch4_dtype_name(dtype), rank);
}

ch4_status ch4_sheet_clip_load(ch4_sheet_clip *out, const char *folder, ch4_err *err)
{
    *out = (ch4_sheet_clip){0};
    ch4_tensor vert, face;
    ch4_status st = load_array(&vert, &out->vert_buf, folder, "vertices.npy", CH4_DTYPE_F32, 3, err);
    if (!st) st = load_array(&face, &out->face_buf, folder, "faces.npy", CH4_DTYPE_I32, 2, err);
    if (st) return st;
    out->vert = vert.data, out->n_frames = vert.shape[0], out->n_vert = vert.shape[1];
    out->face = face.data, out->n_face = face.shape[0];
    for (int64_t f = 0; !st && f < out->n_frames; f++) {
        st = ch4_mesh_check(out->vert + f * out->n_vert * 3, out->n_vert, out->face, f ? 0 : out->n_face, err);
        if (st) return ch4_err_wrap(err, st, "%s: frame %" PRId64, folder, f);
    }
    return CH4_OK;
}

void ch4_sheet_clip_fini(ch4_sheet_clip *clip)
{
    if (!clip) return;
    ch4_buf_free(&clip->vert_buf);
    ch4_buf_free(&clip->face_buf);
    *clip = (ch4_sheet_clip){0};
}

/* --- cameras -------------------------------------------------------------------------------------------------------------- */

/* rows x 3 numbers; rows == 1 is a plain list. */
static bool read_matrix(double *out, const json_t *m, size_t rows)
{
    for (size_t i = 0; i < rows * 3; i++) {
        const json_t *x = json_array_get(rows > 1 ? json_array_get(m, i / 3) : m, i % 3);
        if (!json_is_number(x) || !isfinite(out[i] = json_number_value(x))) return false;
    }
    return true;
}

static bool read_number(double *out, const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    *out = json_number_value(x);
    return json_is_number(x) && isfinite(*out);
}

/* From the pixels of the source video to those of the square. */
static bool read_camera(ch4_synth_camera *c, const json_t *root, int64_t f, int size)
{
    const json_t *square = json_object_get(root, "square_frame");
    double x, y, scale, side;
    if (!read_number(&x, square, "x") || !read_number(&y, square, "y") || !read_number(&scale, square, "scale") || !read_number(&side, square, "side"))
        return false;
    if (!(scale > 0 && side >= 1) || !read_matrix(c->K, json_array_get(json_object_get(root, "K"), (size_t)f), 3)) return false;
    if (!read_matrix(c->R, json_array_get(json_object_get(root, "R"), (size_t)f), 3)) return false;
    if (!read_matrix(c->t, json_array_get(json_object_get(root, "t"), (size_t)f), 1)) return false;
    double zoom = scale * size / side;
    c->K[2] -= x;
    c->K[5] -= y;
    for (int k = 0; k < 6; k++) c->K[k] *= zoom;
    c->size = size;
    c->samples = CH4_SYNTH_SUPERSAMPLE;
    return true;
}

ch4_status ch4_sheet_cameras_load(ch4_synth_camera *out, const char *folder, const int64_t *frame, int64_t n, int64_t n_frames, int size, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    json_error_t why;
    snprintf(path, sizeof(path), "%s/cameras.json", folder);
    json_t *root = json_load_file(path, 0, &why);
    if (!root) return ch4_err_set(err, CH4_EFORMAT, "%s:%d: %s", path, why.line, why.text);
    ch4_status st = CH4_OK;
    if (json_array_size(json_object_get(root, "K")) != (size_t)n_frames)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: K has %zu matrices for %" PRId64 " frames", path, json_array_size(json_object_get(root, "K")), n_frames);
    for (int64_t i = 0; !st && i < n; i++)
        if (!read_camera(&out[i], root, frame[i], size)) st = ch4_err_set(err, CH4_EFORMAT, "%s: no usable camera of frame %" PRId64, path, frame[i]);
    json_decref(root);
    return st;
}

/* --- pictures --------------------------------------------------------------------------------------------------------------- */

/* to [size,size,3] from [side,side,3]: each pixel is the mean of what it covers. */
static void resize_area(uint8_t *to, int size, const uint8_t *from, int64_t side)
{
    double step = (double)side / size;
    for (int64_t i = 0; i < (int64_t)size * size; i++) {
        double lo[2] = {(double)(i % size) * step, (double)(i / size) * step}, sum[3] = {0}, total = 0;
        for (int64_t y = (int64_t)lo[1]; y < side && (double)y < lo[1] + step; y++)
            for (int64_t x = (int64_t)lo[0]; x < side && (double)x < lo[0] + step; x++) {
                double w = (fmin((double)x + 1, lo[0] + step) - fmax((double)x, lo[0])) * (fmin((double)y + 1, lo[1] + step) - fmax((double)y, lo[1]));
                for (int k = 0; k < 3; k++) sum[k] += w * from[3 * (y * side + x) + k];
                total += w;
            }
        for (int k = 0; k < 3; k++) to[3 * i + k] = (uint8_t)(sum[k] / total + 0.5);
    }
}

/* Takes the wanted frames that this window holds and were not found before. */
static ch4_status take_window(uint8_t *out, bool *found, const ch4_store_reader *r, const int64_t *frame, int64_t n, int size, ch4_err *err)
{
    ch4_buf index_buf = {0}, picture = {0};
    ch4_tensor index, shape = {0};
    ch4_status st = ch4_store_read(r, "/frame_index", CH4_DTYPE_I64, 1, NULL, &index_buf, &index, err);
    if (!st) st = ch4_store_stat(r, "/frames", &shape, err);
    if (!st && (shape.dtype != CH4_DTYPE_U8 || shape.rank != 4 || shape.shape[0] != index.shape[0] || shape.shape[1] != shape.shape[2] || shape.shape[1] < 1 ||
                shape.shape[1] > MAX_SIDE || shape.shape[3] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: /frames is not U8 [T,S,S,3]", ch4_store_path(r));
    int64_t side = st ? 0 : shape.shape[1];
    size_t bytes = (size_t)(side * side) * 3;
    if (!st) st = ch4_buf_alloc(&picture, bytes, err);
    for (int64_t i = 0; !st && i < n; i++) {
        const int64_t *known = index.data;
        int64_t slot = 0;
        while (slot < index.shape[0] && known[slot] != frame[i]) slot++;
        if (found[i] || slot == index.shape[0]) continue;
        st = ch4_store_read_part(r, "/frames", CH4_DTYPE_U8, slot, 1, picture.data, bytes, err);
        if (!st) resize_area(out + (size_t)i * (size_t)(size * size) * 3, size, picture.data, side);
        found[i] = true;
    }
    ch4_buf_free(&index_buf);
    ch4_buf_free(&picture);
    return st;
}

ch4_status ch4_sheet_pictures_load(uint8_t *out, bool *kept, const char *folder, const int64_t *frame, int64_t n, int size, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    int64_t n_windows = 1;
    bool *found = NULL;
    *kept = true;
    ch4_status st = ch4_calloc(&found, (size_t)n, sizeof(*found), "frames", err);
    for (int64_t w = 0; !st && w < n_windows && !found[n - 1]; w++) {
        ch4_store_reader *r = NULL;
        st = ch4_store_window_path(path, sizeof(path), folder, w, "decode", err);
        if (!st) st = ch4_store_open(&r, path, err);
        if (st == CH4_ENOENT && w == 0) *kept = false;
        if (!st && w == 0) st = ch4_store_get_int(r, "n_windows", &n_windows, err);
        if (!st && (n_windows < 1 || n_windows > MAX_WINDOWS)) st = ch4_err_set(err, CH4_EFORMAT, "%s: n_windows %" PRId64, path, n_windows);
        if (!st) st = take_window(out, found, r, frame, n, size, err);
        ch4_store_close(&r);
    }
    for (int64_t i = 0; !st && i < n; i++)
        if (!found[i]) st = ch4_err_set(err, CH4_EFORMAT, "%s: frame %" PRId64 " is in none of the decode files", folder, frame[i]);
    free(found);
    return *kept ? st : CH4_OK;
}
