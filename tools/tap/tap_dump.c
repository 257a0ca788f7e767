#include "tools/tap/tap_dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/attention.h"
#include "tensor/npy.h"
#include "tools/synth/picture_writer.h"

enum { MAX_ARRAYS = 64 };

/* FOLDER/a.b.ENDING for the dataset /a/b. */
static ch4_status file_name(char out[CH4_STORE_PATH], const char *folder, const char *name, const char *ending, ch4_err *err)
{
    const int n = snprintf(out, CH4_STORE_PATH, "%s/%s.%s", folder, name + 1, ending);
    if (n >= CH4_STORE_PATH) return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", folder);
    for (char *c = out + strlen(folder) + 1; *c; c++)
        if (*c == '/') *c = '.';
    return CH4_OK;
}

static ch4_status save_picture(const char *folder, const char *name, ch4_canvas *canvas, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_status status = file_name(path, folder, name, "png", err);
    return status ? status : ch4_synth_png_save(path, canvas->pixel, canvas->width, canvas->height, 3, err);
}

/* Which picture suits an array, drawn; CH4_EUNSUP: none. */
static ch4_status draw(ch4_canvas *canvas, const char *name, const ch4_tensor *t, ch4_err *err)
{
    const int64_t *s = t->shape;
    if (t->dtype == CH4_DTYPE_U8 && t->rank == 4 && s[3] == 3) return ch4_tap_draw_frames(canvas, t->data, s[0], s[1], s[2], 3, err);
    if (t->dtype == CH4_DTYPE_U8 && t->rank == 3) return ch4_tap_draw_frames(canvas, t->data, s[0], s[1], s[2], 1, err);
    if (t->dtype == CH4_DTYPE_F32 && t->rank == 3 && s[2] == 3) return ch4_tap_draw_points(canvas, t->data, s[0], s[1], err);
    if (t->dtype == CH4_DTYPE_F32 && t->rank == 2 && s[1] == 3) return ch4_tap_draw_points(canvas, t->data, 1, s[0], err);
    if (t->rank == 3 && (!strcmp(name, "/attention/dense") || !strcmp(name, "/patch/dense"))) {
        float *plain;
        ch4_status status = ch4_calloc(&plain, (size_t)ch4_tensor_count(t), sizeof *plain, "a map", err);
        if (!status) status = ch4_tensor_to_f32(plain, t, err);
        if (!status) status = ch4_tap_draw_maps(canvas, plain, s[0], s[1], s[2], err);
        free(plain);
        return status;
    }
    return CH4_EUNSUP;
}

static ch4_status dump_array(int *n_files, const ch4_store_reader *reader, const ch4_store_entry *entry, const char *folder, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_buf buf = {0};
    ch4_tensor t;
    ch4_canvas canvas = {0};
    ch4_status status = ch4_store_read(reader, entry->name, entry->shape.dtype, entry->shape.rank, NULL, &buf, &t, err);
    if (!status) status = file_name(path, folder, entry->name, "npy", err);
    if (!status) status = ch4_npy_save(path, &t, err);
    if (!status) {
        ++*n_files;
        ch4_err why;
        status = ch4_tensor_count(&t) > 0 ? draw(&canvas, entry->name, &t, &why) : CH4_EUNSUP;
        if (!status) status = save_picture(folder, entry->name, &canvas, err), *n_files += !status;
        else if (status == CH4_EUNSUP) status = CH4_OK;
        else ch4_err_set(err, status, "%s", why.msg);
    }
    ch4_canvas_fini(&canvas);
    ch4_buf_free(&buf);
    return status;
}

/* The kept entries of every frame's map at their places. */
static ch4_status dump_attention(int *n_files, const ch4_store_reader *reader, const char *folder, ch4_err *err)
{
    if (!ch4_store_has(reader, "/attention/mass")) return CH4_OK;
    ch4_attention a;
    ch4_canvas canvas = {0};
    float *maps = NULL;
    ch4_status status = ch4_attention_read(&a, reader, err);
    if (status) return status;
    const int64_t shape[3] = {a.n_frames, a.n_tokens, a.n_tokens};
    size_t bytes;
    status = ch4_size_bytes(&bytes, shape, 3, sizeof *maps, err);
    if (!status) status = ch4_calloc(&maps, bytes, 1, "attention", err);
    for (int64_t f = 0; f < a.n_frames && !status; f++) ch4_attention_expand(&a, f, maps + f * a.n_tokens * a.n_tokens);
    if (!status) status = ch4_tap_draw_maps(&canvas, maps, a.n_frames, a.n_tokens, a.n_tokens, err);
    if (!status) status = save_picture(folder, "/attention", &canvas, err);
    *n_files += !status;
    ch4_canvas_fini(&canvas);
    free(maps);
    ch4_attention_fini(&a);
    return status;
}

static ch4_status make_folder(const char *path, ch4_err *err)
{
    char part[CH4_STORE_PATH];
    if (strlen(path) >= sizeof part) return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", path);
    strcpy(part, path);
    for (char *c = part + 1;; c++) {
        const char was = *c;
        if (was && was != '/') continue;
        *c = 0;
        if (mkdir(part, 0777) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", part);
        if (!was) return CH4_OK;
        *c = was;
    }
}

ch4_status ch4_tap_dump(int *n_files, const char *path, const char *folder, ch4_err *err)
{
    ch4_store_reader *reader = NULL;
    ch4_store_entry entries[MAX_ARRAYS];
    int n = 0;
    *n_files = 0;
    ch4_status status = ch4_store_open(&reader, path, err);
    if (!status) status = make_folder(folder, err);
    if (!status) status = ch4_store_list(reader, entries, MAX_ARRAYS, &n, err);
    for (int i = 0; i < n && !status; i++) status = dump_array(n_files, reader, &entries[i], folder, err);
    if (!status) status = dump_attention(n_files, reader, folder, err);
    ch4_store_close(&reader);
    return status;
}
