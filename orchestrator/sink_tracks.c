/* tracks.h5: the pixels of the anchor frame, followed through the clip in two and three dimensions. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/sink_impl.h"

#define TRACK_BYTES ((int64_t)256 << 20) /* of 2D and 3D positions: the file is built in memory */

typedef struct tracks {
    int64_t all, step, Q;  /* queries in the windows' files; every step-th is kept; how many these are */
    float *pixel, *bary;   /* [Q,2] source pixels; [Q,3] */
    int32_t *corner;       /* [Q,3] vertices of the result */
    float *uv, *xyz;       /* [n_frames,Q,2] source pixels, [n_frames,Q,3] space of the anchor camera, unit of vertices.npy */
    float *row;            /* [all,3] */
} tracks;

static void tracks_free(tracks *t)
{
    free(t->pixel);
    free(t->bary);
    free(t->corner);
    free(t->uv);
    free(t->xyz);
    free(t->row);
}

static void to_source(float *uv, const sink_joint *j)
{
    uv[0] = (float)(uv[0] / j->scale + j->crop_x);
    uv[1] = (float)(uv[1] / j->scale + j->crop_y);
}

/* A vertex of the result that moves with the canonical one: the first. */
static ch4_status invert_map(int32_t **out, const sink_joint *j, ch4_err *err)
{
    ch4_status st = ch4_calloc(out, (size_t)j->anchor.n_vert, sizeof **out, "vertices", err);
    for (int64_t v = 0; v < j->anchor.n_vert && !st; v++) (*out)[v] = j->given ? -1 : (int32_t)v;
    for (int64_t v = j->given ? j->asset.mesh.n_vert - 1 : -1; v >= 0 && !st; v--) (*out)[j->map[v]] = (int32_t)v;
    return st;
}

static ch4_status read_queries(tracks *t, sink_joint *j, const ch4_store_reader *r, ch4_err *err)
{
    ch4_buf buf[3] = {{0}};
    ch4_tensor pixel, face, bary;
    int32_t *vertex = NULL;
    ch4_status st = ch4_store_read(r, "/tracks/face", CH4_DTYPE_I32, 1, NULL, &buf[0], &face, err);
    if (!st) st = ch4_store_read(r, "/tracks/pixel", CH4_DTYPE_F32, 2, (const int64_t[]){face.shape[0], 2}, &buf[1], &pixel, err);
    if (!st) st = ch4_store_read(r, "/tracks/bary", CH4_DTYPE_F32, 2, (const int64_t[]){face.shape[0], 3}, &buf[2], &bary, err);
    if (!st) st = invert_map(&vertex, j, err);
    if (st) goto out;
    t->all = face.shape[0];
    int64_t most = ch4_max_i64(TRACK_BYTES / (20 * j->n_frames), 1);
    t->step = ch4_max_i64((t->all + most - 1) / most, 1);
    t->Q = (t->all + t->step - 1) / t->step;
    if (t->step > 1) sink_note(j, "tracks.h5 holds every %" PRId64 "th of %" PRId64 " tracks: the clip is long", t->step, t->all);
    size_t q = (size_t)t->Q, F = (size_t)j->n_frames;
    if ((st = ch4_calloc(&t->pixel, 2 * q, sizeof(float), "tracks", err)) || (st = ch4_calloc(&t->bary, 3 * q, sizeof(float), "tracks", err)) ||
        (st = ch4_calloc(&t->corner, 3 * q, sizeof(int32_t), "tracks", err)) || (st = ch4_calloc(&t->uv, 2 * q * F, sizeof(float), "tracks", err)) ||
        (st = ch4_calloc(&t->xyz, 3 * q * F, sizeof(float), "tracks", err)) || (st = ch4_calloc(&t->row, 3 * (size_t)t->all, sizeof(float), "tracks", err)))
        goto out;
    for (int64_t i = 0; i < t->Q; i++) {
        int64_t from = i * t->step;
        int32_t f = ((const int32_t *)face.data)[from];
        if (f < 0 || f >= j->anchor.n_face) {
            st = ch4_err_set(err, CH4_EFORMAT, "%s: track %" PRId64 " names no face", ch4_store_path(r), from);
            break;
        }
        memcpy(t->pixel + 2 * i, (const float *)pixel.data + 2 * from, 2 * sizeof(float));
        to_source(t->pixel + 2 * i, j);
        memcpy(t->bary + 3 * i, (const float *)bary.data + 3 * from, 3 * sizeof(float));
        for (int k = 0; k < 3; k++) t->corner[3 * i + k] = vertex[j->anchor.face[3 * f + k]];
    }
out:
    for (int i = 0; i < 3; i++) ch4_buf_free(&buf[i]);
    free(vertex);
    return st;
}

static ch4_status read_frame(tracks *t, const sink_joint *j, const ch4_store_reader *r, int64_t f, ch4_err *err)
{
    int64_t slot = j->place[f].slot;
    ch4_status st = ch4_store_read_part(r, "/tracks/uv", CH4_DTYPE_F32, slot, 1, t->row, (size_t)t->all * 2 * sizeof(float), err);
    for (int64_t i = 0; i < t->Q && !st; i++) {
        float *uv = t->uv + 2 * (f * t->Q + i);
        memcpy(uv, t->row + 2 * i * t->step, 2 * sizeof(float));
        to_source(uv, j);
    }
    if (!st) st = ch4_store_read_part(r, "/tracks/xyz", CH4_DTYPE_F32, slot, 1, t->row, (size_t)t->all * 3 * sizeof(float), err);
    for (int64_t i = 0; i < t->Q && !st; i++)
        for (int k = 0; k < 3; k++)
            t->xyz[3 * (f * t->Q + i) + k] = (float)(t->row[3 * i * t->step + k] / (j->given ? j->placed.scale : 1));
    return st;
}

static ch4_status read_window(tracks *t, sink_joint *j, int64_t w, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor shape;
    ch4_status st = sink_open_window(&r, j, w, "pose", err);
    if (!st && w == 0) st = read_queries(t, j, r, err);
    if (!st) st = ch4_store_stat(r, "/tracks/xyz", &shape, err);
    if (!st && (shape.rank != 3 || shape.shape[1] != t->all || shape.shape[2] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: has not the %" PRId64 " tracks of window 0", ch4_store_path(r), t->all);
    for (int64_t f = 0; f < j->n_frames && !st && t->all > 0; f++)
        if (j->place[f].window == w) st = read_frame(t, j, r, f, err);
    ch4_store_close(&r);
    return st;
}

static ch4_status save(const tracks *t, const sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_store_writer *w = NULL;
    double *time = NULL;
    ch4_status st = ch4_calloc(&time, (size_t)j->n_frames, sizeof *time, "frames", err);
    for (int64_t f = 0; f < j->n_frames && !st; f++) time[f] = j->place[f].time;
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/query/pixel", CH4_F32(t->pixel, t->Q, 2)},
        {"/query/corner", CH4_VIEW(t->corner, CH4_DTYPE_I32, t->Q, 3)},
        {"/query/bary", CH4_F32(t->bary, t->Q, 3)},
        {"/time", CH4_VIEW(time, CH4_DTYPE_F64, j->n_frames)},
        {"/tracks_2d", CH4_F32(t->uv, j->n_frames, t->Q, 2)},
        {"/tracks_3d", CH4_F32(t->xyz, j->n_frames, t->Q, 3)},
    };
    if (!st) st = sink_path(path, j, "tracks.h5", err);
    if (!st) st = ch4_store_create(&w, path, err);
    for (size_t i = 0; i < sizeof sets / sizeof *sets && !st; i++) st = ch4_store_write(w, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, err);
    if (!st) st = ch4_store_set_text(w, "convention",
                                     "tracks_2d [frame,track,xy]: pixels of the source video, origin at the outer corner of the top-left pixel. tracks_3d "
                                     "[frame,track,xyz]: space of the anchor camera (cameras.json: x right, y down, z forward), unit of vertices.npy. A "
                                     "track is the surface point sum_k query/bary[k] * vertex query/corner[k] that query/pixel shows in the anchor frame. "
                                     "NaN: behind the camera.", err);
    free(time);
    if (!st) {
        unlink(path); /* of an earlier try that did not come to its end: a clip with a summary is not joined again */
        return ch4_store_commit(&w, NULL, err);
    }
    ch4_store_discard(&w);
    return st;
}

ch4_status sink_write_tracks(sink_joint *j, ch4_err *err)
{
    tracks t = {0};
    ch4_status st = CH4_OK;
    for (int64_t w = 0; w < j->clip->n_windows && !st; w++) st = read_window(&t, j, w, err);
    if (!st) st = save(&t, j, err);
    if (!st) st = sink_add_file(j, "tracks.h5", err);
    tracks_free(&t);
    return st;
}
