#include "orchestrator/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "tensor/npy.h"

/* What the windows say together. */
typedef struct joined {
    int64_t n_frames, n_vertices, n_faces;
    float *vertices;   /* [n_frames][n_vertices][3], coordinates of the given mesh, else canonical */
    int32_t *faces;    /* [n_faces][3] */
    uint8_t *have;     /* [n_frames] */
    double center[3], scale; /* canonical = (x - center) * scale */
    double movement;
} joined;

static void joined_free(joined *j)
{
    free(j->vertices);
    free(j->faces);
    free(j->have);
    *j = (joined){0};
}

static ch4_status open_window(ch4_store_reader **out, const ch4_sink_clip *clip, int64_t w, const char *stage, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_status status = ch4_store_window_path(path, sizeof path, clip->dir, w, stage, err);
    return status ? status : ch4_store_open(out, path, err);
}

/* Faces, sizes and coordinates, from the first window. */
static ch4_status read_first(joined *j, const ch4_sink_clip *clip, ch4_err *err)
{
    ch4_store_reader *decode = NULL, *denoise = NULL, *chain = NULL;
    ch4_buf buf = {0};
    ch4_tensor t = {0};
    const int64_t triangles[2] = {-1, 3};
    j->scale = 1;
    ch4_status status = open_window(&decode, clip, 0, "decode", err);
    if (!status) status = open_window(&denoise, clip, 0, "denoise", err);
    if (!status) status = open_window(&chain, clip, 0, "chain", err);
    if (!status) status = ch4_store_get_int(decode, "n_frames", &j->n_frames, err);
    if (!status && j->n_frames < 1) status = ch4_err_set(err, CH4_EFORMAT, "%s: %" PRId64 " frames", ch4_store_path(decode), j->n_frames);
    if (!status && ch4_store_has_attr(denoise, "mesh_scale")) {
        status = ch4_store_get_real(denoise, "mesh_scale", &j->scale, err);
        if (!status) status = ch4_store_get_reals(denoise, "mesh_center", j->center, 3, err);
        if (!status && !(j->scale > 0)) status = ch4_err_set(err, CH4_EFORMAT, "%s: mesh_scale %g", ch4_store_path(denoise), j->scale);
    }
    if (!status) status = ch4_store_read(chain, "/anchor/faces", CH4_DTYPE_I32, 2, triangles, &buf, &t, err);
    if (!status) status = ch4_calloc(&j->faces, (size_t)t.shape[0], 3 * sizeof(int32_t), "faces", err);
    if (!status) {
        j->n_faces = t.shape[0];
        memcpy(j->faces, t.data, (size_t)j->n_faces * 3 * sizeof(int32_t));
        status = ch4_store_stat(chain, "/anchor/vertices", &t, err);
    }
    if (!status) j->n_vertices = t.shape[0];
    if (!status) status = ch4_calloc(&j->have, (size_t)j->n_frames, 1, "frames", err);
    size_t count;
    if (!status && !ch4_size_mul((size_t)j->n_frames, (size_t)j->n_vertices * 3, &count)) status = ch4_err_set(err, CH4_ENOMEM, "too many vertices");
    if (!status) status = ch4_calloc(&j->vertices, count, sizeof(float), "vertices of all frames", err);
    ch4_buf_free(&buf);
    ch4_store_close(&decode);
    ch4_store_close(&denoise);
    ch4_store_close(&chain);
    return status;
}

/* Puts the window's frames into their places; a frame that an earlier window has made stays as it is. */
static ch4_status read_window(joined *j, const ch4_sink_clip *clip, int64_t w, ch4_err *err)
{
    ch4_store_reader *decode = NULL, *animate = NULL;
    ch4_buf index_buf = {0}, vert_buf = {0};
    ch4_tensor index = {0}, vert = {0};
    int64_t shape[3] = {-1, j->n_vertices, 3};
    ch4_status status = open_window(&decode, clip, w, "decode", err);
    if (!status) status = open_window(&animate, clip, w, "animate", err);
    if (!status) status = ch4_store_read(decode, "/frame_index", CH4_DTYPE_I64, 1, NULL, &index_buf, &index, err);
    if (!status) shape[0] = index.shape[0];
    if (!status) status = ch4_store_read(animate, "/vertices", CH4_DTYPE_F32, 3, shape, &vert_buf, &vert, err);
    for (int64_t t = 0; !status && t < shape[0]; t++) {
        const int64_t f = ((const int64_t *)index.data)[t];
        if (f < 0 || f >= j->n_frames) {
            status = ch4_err_set(err, CH4_EFORMAT, "%s: frame %" PRId64 " of %" PRId64, ch4_store_path(decode), f, j->n_frames);
        } else if (!j->have[f]) {
            const float *from = (const float *)vert.data + t * j->n_vertices * 3;
            float *to = j->vertices + f * j->n_vertices * 3;
            for (int64_t i = 0; i < 3 * j->n_vertices; i++) to[i] = (float)(from[i] / j->scale + j->center[i % 3]);
            j->have[f] = 1;
        }
    }
    ch4_buf_free(&index_buf);
    ch4_buf_free(&vert_buf);
    ch4_store_close(&decode);
    ch4_store_close(&animate);
    return status;
}

/* Mean distance of a vertex from its place in the first frame, canonical units. */
static double mean_movement(const joined *j)
{
    double sum = 0;
    const int64_t n = 3 * j->n_vertices;
    for (int64_t f = 0; f < j->n_frames; f++)
        for (int64_t i = 0; i < n; i += 3) {
            double d2 = 0;
            for (int k = 0; k < 3; k++) {
                double d = ((double)j->vertices[f * n + i + k] - j->vertices[i + k]) * j->scale;
                d2 += d * d;
            }
            sum += sqrt(d2);
        }
    return j->n_vertices ? sum / (double)(j->n_frames * j->n_vertices) : 0;
}

static ch4_status join(joined *j, const ch4_sink_clip *clip, ch4_err *err)
{
    ch4_status status = read_first(j, clip, err);
    for (int64_t w = 0; w < clip->n_windows && !status; w++) status = read_window(j, clip, w, err);
    for (int64_t f = 0; f < j->n_frames && !status; f++)
        if (!j->have[f]) status = ch4_err_set(err, CH4_EFORMAT, "%s: no window has frame %" PRId64, clip->dir, f);
    if (!status) j->movement = mean_movement(j);
    return status;
}

/* --- writing ------------------------------------------------------------------------------------------------------------- */

static ch4_status add_file(ch4_sink_report *report, const ch4_sink_clip *clip, const char *name, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", clip->dir, name);
    if (stat(path, &st)) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_sink_file *f = &report->files[report->n_files++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->bytes = st.st_size;
    return CH4_OK;
}

static ch4_status save_npy(const ch4_sink_clip *clip, const char *name, const ch4_tensor *t, ch4_sink_report *report, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    snprintf(path, sizeof path, "%s/%s", clip->dir, name);
    ch4_status status = ch4_npy_save(path, t, err);
    return status ? status : add_file(report, clip, name, err);
}

/* Written last: its being there means that the clip is finished. */
static ch4_status save_summary(const joined *j, const ch4_sink_clip *clip, ch4_sink_report *report, ch4_err *err)
{
    char path[CH4_STORE_PATH], temporary[CH4_STORE_PATH + 8];
    snprintf(path, sizeof path, "%s/summary.json", clip->dir);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    json_t *files = json_array();
    for (int i = 0; i < report->n_files; i++) json_array_append_new(files, json_string(report->files[i].name));
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "clip", clip->name, "frames", (json_int_t)j->n_frames, "windows",
                          (json_int_t)clip->n_windows, "vertices", (json_int_t)j->n_vertices, "faces", (json_int_t)j->n_faces, "movement", j->movement,
                          "files", files);
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return ch4_err_set(err, CH4_ENOMEM, "summary.json");
    FILE *f = fopen(temporary, "we");
    bool bad = !f || fprintf(f, "%s\n", text) < 0 || fflush(f) || fsync(fileno(f));
    int code = errno;
    if (f && fclose(f)) bad = true, code = errno;
    if (!bad && rename(temporary, path)) bad = true, code = errno;
    free(text);
    if (!bad) return add_file(report, clip, "summary.json", err);
    unlink(temporary);
    return ch4_err_set_errno(err, code, "%s", path);
}

ch4_status ch4_sink_finish_clip(const ch4_sink_clip *clip, const ch4_config *config, ch4_sink_report *report, ch4_err *err)
{
    (void)config;
    joined j = {0};
    *report = (ch4_sink_report){0};
    ch4_status status = join(&j, clip, err);
    if (status) goto out;
    ch4_tensor vertices = CH4_F32(j.vertices, j.n_frames, j.n_vertices, 3), faces = CH4_VIEW(j.faces, CH4_DTYPE_I32, j.n_faces, 3);
    status = save_npy(clip, "vertices.npy", &vertices, report, err);
    if (!status) status = save_npy(clip, "faces.npy", &faces, report, err);
    if (!status) status = save_summary(&j, clip, report, err);
    report->n_frames = j.n_frames;
    report->n_vertices = j.n_vertices;
    report->movement = j.movement;
out:
    joined_free(&j);
    return status;
}
