#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mesh/kdtree.h"
#include "orchestrator/sink_impl.h"

ch4_status sink_path(char out[CH4_STORE_PATH], const sink_joint *j, const char *name, ch4_err *err)
{
    if (snprintf(out, CH4_STORE_PATH, "%s/%s", j->clip->dir, name) >= CH4_STORE_PATH) return ch4_err_set(err, CH4_EINVAL, "%s: path is too long", j->clip->dir);
    return CH4_OK;
}

ch4_status sink_add_file(sink_joint *j, const char *name, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    struct stat sb;
    ch4_status st = sink_path(path, j, name, err);
    if (st) return st;
    if (stat(path, &sb)) return ch4_err_set_errno(err, errno, "%s", path);
    if (j->report->n_files == CH4_SINK_FILES) return ch4_err_set(err, CH4_EINTERNAL, "%s: more results than the report holds", path);
    ch4_sink_file *f = &j->report->files[j->report->n_files++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->bytes = sb.st_size;
    return CH4_OK;
}

void sink_note(sink_joint *j, const char *fmt, ...)
{
    va_list ap;
    if (j->report->n_notes == CH4_SINK_NOTES) return;
    va_start(ap, fmt);
    vsnprintf(j->report->notes[j->report->n_notes++], sizeof j->report->notes[0], fmt, ap);
    va_end(ap);
}

ch4_status sink_open_window(ch4_store_reader **out, const sink_joint *j, int64_t window, const char *stage, ch4_err *err)
{
    char path[CH4_STORE_PATH];
    ch4_status st = ch4_store_window_path(path, sizeof path, j->clip->dir, window, stage, err);
    return st ? st : ch4_store_open(out, path, err);
}

int64_t sink_n_vert(const sink_joint *j) { return sink_mesh(j)->n_vert; }

const ch4_mesh *sink_mesh(const sink_joint *j) { return j->given ? &j->asset.mesh : &j->anchor; }

/* --- frames ----------------------------------------------------------------------------------------------------------------- */

static ch4_status read_layout(sink_joint *j, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    const struct {
        const char *name;
        double *to;
    } whole[] = {{"crop_x", &j->crop_x}, {"crop_y", &j->crop_y}, {"source_width", &j->source_width}, {"source_height", &j->source_height}};
    ch4_tensor alpha = {0};
    ch4_status st = sink_open_window(&r, j, 0, "decode", err);
    if (!st) st = ch4_store_get_int(r, "n_frames", &j->n_frames, err);
    if (!st && (j->n_frames < 1 || j->n_frames > INT32_MAX)) st = ch4_err_set(err, CH4_EFORMAT, "%s: %" PRId64 " frames", ch4_store_path(r), j->n_frames);
    for (size_t i = 0; i < sizeof whole / sizeof *whole && !st; i++) {
        int64_t v;
        st = ch4_store_get_int(r, whole[i].name, &v, err);
        if (!st) *whole[i].to = (double)v;
    }
    if (!st) st = ch4_store_get_real(r, "scale", &j->scale, err);
    if (!st && !(j->scale > 0)) st = ch4_err_set(err, CH4_EFORMAT, "%s: scale is %g", ch4_store_path(r), j->scale);
    if (!st) st = ch4_store_stat(r, "/alpha", &alpha, err);
    if (!st) j->side = alpha.rank == 3 ? (double)alpha.shape[2] : 0;
    if (!st) st = ch4_calloc(&j->place, (size_t)j->n_frames, sizeof *j->place, "frames", err);
    for (int64_t f = 0; f < j->n_frames && !st; f++) j->place[f].window = -1;
    ch4_store_close(&r);
    return st;
}

/* A frame belongs to the first window that has it. */
static ch4_status read_places(sink_joint *j, int64_t w, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_buf index_buf = {0}, time_buf = {0};
    ch4_tensor index = {0}, time = {0};
    ch4_status st = sink_open_window(&r, j, w, "pose", err);
    if (!st) st = ch4_store_read(r, "/frame_index", CH4_DTYPE_I64, 1, NULL, &index_buf, &index, err);
    if (!st) st = ch4_store_read(r, "/time", CH4_DTYPE_F64, 1, index.shape, &time_buf, &time, err);
    for (int64_t t = 0; !st && t < index.shape[0]; t++) {
        int64_t f = ((const int64_t *)index.data)[t];
        double seconds = ((const double *)time.data)[t];
        if (f < 0 || f >= j->n_frames || !isfinite(seconds))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: frame %" PRId64 " of %" PRId64 " at %g s", ch4_store_path(r), f, j->n_frames, seconds);
        else if (j->place[f].window < 0)
            j->place[f] = (sink_place){.window = w, .slot = t, .time = seconds};
    }
    ch4_buf_free(&index_buf);
    ch4_buf_free(&time_buf);
    ch4_store_close(&r);
    return st;
}

/* --- meshes ----------------------------------------------------------------------------------------------------------------- */

static ch4_status read_anchor(sink_joint *j, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_buf vert_buf = {0}, face_buf = {0};
    ch4_tensor vert, face;
    const int64_t shape[2] = {-1, 3};
    ch4_status st = sink_open_window(&r, j, 0, "chain", err);
    if (!st) st = ch4_store_read(r, "/anchor/vertices", CH4_DTYPE_F32, 2, shape, &vert_buf, &vert, err);
    if (!st) st = ch4_store_read(r, "/anchor/faces", CH4_DTYPE_I32, 2, shape, &face_buf, &face, err);
    if (!st) st = ch4_mesh_check(vert.data, vert.shape[0], face.data, face.shape[0], err);
    if (!st) st = ch4_mesh_init(&j->anchor, vert.shape[0], face.shape[0], err);
    if (!st && (j->anchor.n_vert < 1 || j->anchor.n_face < 1)) st = ch4_err_set(err, CH4_EFORMAT, "%s: no anchor mesh", ch4_store_path(r));
    if (!st) {
        memcpy(j->anchor.vert, vert.data, (size_t)vert.shape[0] * 3 * sizeof(float));
        memcpy(j->anchor.face, face.data, (size_t)face.shape[0] * 3 * sizeof(int32_t));
    }
    if (!st && ch4_store_has_attr(r, "field_inside")) {
        st = ch4_store_get_int(r, "field_inside", &j->field_inside, err);
        if (!st) st = ch4_store_get_int(r, "field_probed", &j->field_probed, err);
        if (!st) st = ch4_store_get_real(r, "field_probe_share", &j->field_probe_share, err);
    }
    ch4_buf_free(&vert_buf);
    ch4_buf_free(&face_buf);
    ch4_store_close(&r);
    return st;
}

/* The canonical vertex that each vertex of the given mesh moves with: the nearest. That is the vertex itself, or the one it was merged with;
 * for one that was left out (a floater, a vertex without face) its neighbour. */
static ch4_status map_given(sink_joint *j, ch4_err *err)
{
    ch4_kdtree *tree = NULL;
    int64_t n = j->asset.mesh.n_vert, far_off = 0;
    ch4_status st = ch4_calloc(&j->map, (size_t)n, sizeof *j->map, "vertices", err);
    if (!st) st = ch4_kdtree_create(&tree, j->anchor.vert, j->anchor.n_vert, err);
    for (int64_t v = 0; v < n && !st; v++) {
        const float *x = j->asset.mesh.vert + 3 * v;
        double q[3], d2;
        ch4_place_point(q, &j->placed, (double[]){x[0], x[1], x[2]});
        int64_t same = v < j->anchor.n_vert ? v : 0;
        bool itself = true;
        for (int k = 0; k < 3; k++) itself = itself && fabs(q[k] - j->anchor.vert[3 * same + k]) < 1e-6;
        j->map[v] = (int32_t)(itself ? same : ch4_kdtree_nearest(tree, q, &d2));
        far_off += !itself && d2 > 1e-4 * 1e-4;
    }
    ch4_kdtree_destroy(&tree);
    if (!st && far_off == n)
        return ch4_err_set(err, CH4_EFORMAT, "%s: is not the mesh that this run was made with; run again in another folder", j->config->mesh.path);
    if (!st && far_off > 0) sink_note(j, "%" PRId64 " of %" PRId64 " vertices of the mesh are on no followed part: they move with their nearest neighbour", far_off, n);
    return st;
}

static ch4_status read_given(sink_joint *j, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    j->placed.scale = 1;
    if (!j->config->mesh.path || !j->config->mesh.path[0]) return CH4_OK;
    ch4_status st = sink_open_window(&r, j, 0, "denoise", err);
    if (!st) st = ch4_store_get_reals(r, "mesh_center", j->placed.center, 3, err);
    if (!st) st = ch4_store_get_real(r, "mesh_scale", &j->placed.scale, err);
    if (!st) st = ch4_store_get_real(r, "mesh_yaw", &j->placed.yaw, err);
    if (!st && !(j->placed.scale > 0)) st = ch4_err_set(err, CH4_EFORMAT, "%s: mesh_scale is %g", ch4_store_path(r), j->placed.scale);
    ch4_store_close(&r);
    if (!st) st = ch4_asset_load(&j->asset, j->config->mesh.path, err);
    if (!st) j->given = true;
    return st ? st : map_given(j, err);
}

ch4_status sink_joint_open(sink_joint *j, const ch4_sink_clip *clip, const ch4_config *config, ch4_sink_report *report, ch4_err *err)
{
    *j = (sink_joint){.clip = clip, .config = config, .report = report};
    if (clip->n_windows < 1) return ch4_err_set(err, CH4_EFORMAT, "%s: no windows", clip->dir);
    ch4_status st = read_layout(j, err);
    for (int64_t w = 0; w < clip->n_windows && !st; w++) st = read_places(j, w, err);
    for (int64_t f = 0; !st && f < j->n_frames; f++)
        if (j->place[f].window < 0) st = ch4_err_set(err, CH4_EFORMAT, "%s: no window has frame %" PRId64, clip->dir, f);
    if (!st) st = read_anchor(j, err);
    if (!st) st = read_given(j, err);
    if (!st) {
        report->n_frames = j->n_frames;
        report->n_vertices = sink_n_vert(j);
    }
    return st;
}

void sink_joint_close(sink_joint *j)
{
    free(j->place);
    free(j->map);
    ch4_mesh_fini(&j->anchor);
    ch4_asset_fini(&j->asset);
}
