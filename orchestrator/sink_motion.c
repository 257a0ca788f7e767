/* vertices.npy, faces.npy and mesh.glb, in one pass over the frames. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sink_impl.h"
#include "tensor/npy.h"
#include "tensor/npy_writer.h"

enum { GLB_BYTES = 1 << 30, GLB_NORMAL_BYTES = 1 << 27 }; /* a larger mesh.glb gets fewer frames; a smaller one moving normals too */

typedef struct motion {
    ch4_store_reader *reader; /* animate file of `window` */
    int64_t window;
    float *canonical;         /* [anchor.n_vert,3] the frame as it is stored */
    float *out;               /* [n_vert,3] in the coordinates of the result */
    ch4_npy_writer *npy;
    ch4_glb_writer *glb;
    int64_t glb_stride;
} motion;

static ch4_status read_frame(motion *m, const sink_joint *j, int64_t f, ch4_err *err)
{
    const sink_place *p = &j->place[f];
    ch4_tensor t;
    ch4_status st = CH4_OK;
    if (!m->reader || m->window != p->window) {
        ch4_store_close(&m->reader);
        st = sink_open_window(&m->reader, j, p->window, "animate", err);
        m->window = p->window;
        if (!st) st = ch4_store_stat(m->reader, "/vertices", &t, err);
        if (!st && (t.rank != 3 || t.shape[1] != j->anchor.n_vert || t.shape[2] != 3))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: /vertices is not [T,%" PRId64 ",3] as in window 0", ch4_store_path(m->reader), j->anchor.n_vert);
    }
    size_t bytes = (size_t)j->anchor.n_vert * 3 * sizeof(float);
    if (!st) st = ch4_store_read_part(m->reader, "/vertices", CH4_DTYPE_F32, p->slot, 1, m->canonical, bytes, err);
    for (int64_t i = 0; i < 3 * j->anchor.n_vert && !st; i++)
        if (!isfinite(m->canonical[i]))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: vertex %" PRId64 " of frame %" PRId64 " is not finite", ch4_store_path(m->reader), i / 3, f);
    return st;
}

/* A vertex of the given mesh moves by what its canonical vertex has moved since the anchor frame, which is thus exact. */
static void place_frame(motion *m, const sink_joint *j)
{
    if (!j->given) {
        memcpy(m->out, m->canonical, (size_t)j->anchor.n_vert * 3 * sizeof(float));
        return;
    }
    for (int64_t v = 0; v < j->asset.mesh.n_vert; v++) {
        int64_t from = 3 * (int64_t)j->map[v];
        double d[3];
        for (int k = 0; k < 3; k++) d[k] = (double)m->canonical[from + k] - j->anchor.vert[from + k];
        ch4_unplace_offset(d, &j->placed, d);
        for (int k = 0; k < 3; k++) m->out[3 * v + k] = (float)(j->asset.mesh.vert[3 * v + k] + d[k]);
    }
}

/* Mean distance from the anchor frame, canonical units. */
static double movement_of(const motion *m, const ch4_mesh *anchor)
{
    double sum = 0;
    for (int64_t i = 0; i < 3 * anchor->n_vert; i += 3) {
        double d2 = 0;
        for (int k = 0; k < 3; k++) {
            double d = (double)m->canonical[i + k] - anchor->vert[i + k];
            d2 += d * d;
        }
        sum += sqrt(d2);
    }
    return sum / (double)anchor->n_vert;
}

/* Times of the animation from 0, increasing as floats even where the video's do not. */
static void animation_times(double *times, const sink_joint *j, int64_t stride, int64_t n)
{
    double fps = j->config->sink.fps;
    for (int64_t i = 0; i < n; i++) {
        int64_t f = i * stride;
        times[i] = fps > 0 ? (double)f / fps : fmax(j->place[f].time - j->place[0].time, 0);
        if (i > 0 && !((float)times[i] > (float)times[i - 1])) times[i] = nextafterf((float)times[i - 1], INFINITY);
    }
}

static ch4_status start_glb(motion *m, sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    const ch4_mesh *mesh = sink_mesh(j);
    int64_t n_draw = j->given ? j->asset.n_draw : mesh->n_vert, frame_bytes = 12 * n_draw;
    int64_t most = ch4_min_i64(CH4_GLB_MAX_FRAMES, ch4_max_i64(GLB_BYTES / frame_bytes, 2));
    m->glb_stride = (j->n_frames + most - 1) / most;
    int64_t n = (j->n_frames + m->glb_stride - 1) / m->glb_stride;
    if (m->glb_stride > 1) sink_note(j, "mesh.glb holds every %" PRId64 "th frame (%" PRId64 "); vertices.npy holds all", m->glb_stride, n);
    const ch4_glb_options options = {.asset = j->given ? &j->asset : NULL, .normals = 2 * frame_bytes * n <= GLB_NORMAL_BYTES};
    double *times = NULL;
    ch4_status st = sink_path(path, j, "mesh.glb", err);
    if (!st) st = ch4_calloc(&times, (size_t)n, sizeof *times, "frames", err);
    if (!st) animation_times(times, j, m->glb_stride, n);
    if (!st) st = ch4_glb_create(&m->glb, path, mesh->face, mesh->n_face, mesh->n_vert, times, n, &options, err);
    free(times);
    return st;
}

static ch4_status start(motion *m, sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    size_t n = (size_t)j->anchor.n_vert * 3;
    ch4_status st = ch4_calloc(&m->canonical, n, sizeof(float), "vertices", err);
    if (!st) st = ch4_calloc(&m->out, (size_t)sink_n_vert(j) * 3, sizeof(float), "vertices", err);
    if (!st) st = sink_path(path, j, "vertices.npy", err);
    if (!st) st = ch4_npy_create(&m->npy, path, CH4_DTYPE_F32, 3, (const int64_t[]){j->n_frames, sink_n_vert(j), 3}, err);
    return !st && j->config->sink.glb ? start_glb(m, j, err) : st;
}

static ch4_status write_faces(sink_joint *j, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    const ch4_mesh *mesh = sink_mesh(j);
    ch4_tensor t = CH4_VIEW(mesh->face, CH4_DTYPE_I32, mesh->n_face, 3);
    ch4_status st = sink_path(path, j, "faces.npy", err);
    if (!st) st = ch4_npy_save(path, &t, err);
    return st ? st : sink_add_file(j, "faces.npy", err);
}

ch4_status sink_write_motion(sink_joint *j, ch4_err *err)
{
    motion m = {0};
    double moved = 0;
    ch4_status st = start(&m, j, err);
    for (int64_t f = 0; f < j->n_frames && !st; f++) {
        st = read_frame(&m, j, f, err);
        if (st) break;
        moved += movement_of(&m, &j->anchor);
        place_frame(&m, j);
        st = ch4_npy_append(m.npy, m.out, 3 * sink_n_vert(j), err);
        if (!st && m.glb && f % m.glb_stride == 0) st = ch4_glb_append(m.glb, m.out, err);
    }
    if (!st) st = ch4_npy_close(&m.npy, err);
    if (!st) st = sink_add_file(j, "vertices.npy", err);
    if (!st) st = write_faces(j, err);
    if (!st && m.glb) {
        st = ch4_glb_close(&m.glb, err);
        if (!st) st = sink_add_file(j, "mesh.glb", err);
    }
    j->report->movement = moved / (double)j->n_frames;
    ch4_store_close(&m.reader);
    ch4_npy_abort(&m.npy);
    ch4_glb_abort(&m.glb);
    free(m.canonical);
    free(m.out);
    return st;
}
