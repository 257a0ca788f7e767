/* The surface of each frame as a mesh of its own, for those who compare shapes frame by frame. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "orchestrator/sink_impl.h"

/* The surfaces of one window. */
typedef struct window {
    int64_t index;
    ch4_buf size_buf, vert_buf, face_buf;
    const int32_t *size; /* [T,2] vertices, faces */
    float *vert;
    int32_t *face;
    int64_t T, n_vert, n_face;
} window;

static void close_window(window *w)
{
    ch4_buf_free(&w->size_buf);
    ch4_buf_free(&w->vert_buf);
    ch4_buf_free(&w->face_buf);
    *w = (window){.index = -1};
}

static ch4_status open_window(window *w, const sink_joint *j, int64_t index, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor size = {0}, vert = {0}, face = {0};
    int64_t V = 0, M = 0;
    close_window(w);
    ch4_status st = sink_open_window(&r, j, index, "chain", err);
    if (!st) st = ch4_store_read(r, "/surface/size", CH4_DTYPE_I32, 2, (const int64_t[]){-1, 2}, &w->size_buf, &size, err);
    if (!st) st = ch4_store_read(r, "/surface/vertices", CH4_DTYPE_F32, 2, (const int64_t[]){-1, 3}, &w->vert_buf, &vert, err);
    if (!st) st = ch4_store_read(r, "/surface/faces", CH4_DTYPE_I32, 2, (const int64_t[]){-1, 3}, &w->face_buf, &face, err);
    if (!st) {
        *w = (window){.index = index, .size_buf = w->size_buf, .vert_buf = w->vert_buf, .face_buf = w->face_buf, .size = size.data, .vert = vert.data, .face = face.data,
                      .T = size.shape[0], .n_vert = vert.shape[0], .n_face = face.shape[0]};
        for (int64_t f = 0; f < w->T && V >= 0; f++) {
            bool bad = w->size[2 * f] < 0 || w->size[2 * f + 1] < 0;
            V = bad ? -1 : V + w->size[2 * f];
            M += w->size[2 * f + 1];
        }
        if (V != w->n_vert || M != w->n_face) st = ch4_err_set(err, CH4_EFORMAT, "%s: surface sizes do not add up", ch4_store_path(r));
    }
    ch4_store_close(&r);
    return st;
}

/* Where slot's vertices and faces begin. */
static void find_slot(const window *w, int64_t slot, int64_t *vert, int64_t *face)
{
    *vert = *face = 0;
    for (int64_t f = 0; f < slot; f++) *vert += w->size[2 * f], *face += w->size[2 * f + 1];
}

static ch4_status write_frame(const window *w, const sink_joint *j, int64_t frame, ch4_err *err)
{
    char name[64], path[CH4_STORE_PATH];
    ch4_glb_writer *glb = NULL;
    int64_t slot = j->place[frame].slot, first_vert, first_face;
    double time = 0;
    if (slot >= w->T) return ch4_err_set(err, CH4_EFORMAT, "window %" PRId64 " has no surface of frame %" PRId64, w->index, frame);
    find_slot(w, slot, &first_vert, &first_face);
    int64_t V = w->size[2 * slot], M = w->size[2 * slot + 1];
    float *vert = w->vert + 3 * first_vert;
    ch4_status st = ch4_mesh_check(vert, V, w->face + 3 * first_face, M, err);
    if (st || M == 0) return st;
    for (int64_t v = 0; v < V && j->given; v++) {
        double x[3] = {vert[3 * v], vert[3 * v + 1], vert[3 * v + 2]};
        ch4_unplace_point(x, &j->placed, x);
        for (int k = 0; k < 3; k++) vert[3 * v + k] = (float)x[k];
    }
    snprintf(name, sizeof name, "surfaces/mesh_%02" PRId64 ".glb", frame);
    st = sink_path(path, j, name, err);
    if (!st) st = ch4_glb_create(&glb, path, w->face + 3 * first_face, M, V, &time, 1, &(ch4_glb_options){0}, err);
    if (!st) st = ch4_glb_append(glb, vert, err);
    if (!st) st = ch4_glb_close(&glb, err);
    ch4_glb_abort(&glb);
    return st;
}

ch4_status sink_write_surfaces(sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    window w = {.index = -1};
    ch4_status st = sink_path(path, j, "surfaces", err);
    if (!st && mkdir(path, 0777) && errno != EEXIST) st = ch4_err_set_errno(err, errno, "%s", path);
    for (int64_t f = 0; f < j->n_frames && !st; f++) {
        if (w.index != j->place[f].window) st = open_window(&w, j, j->place[f].window, err);
        if (!st) st = write_frame(&w, j, f, err);
    }
    close_window(&w);
    return st;
}
