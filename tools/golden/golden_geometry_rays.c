/* Kind rays: faces, barycentric coordinates and depths of pixel rays, explicit rays, 4D tracks (Eq. 9), and intrinsics. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "golden.h"
#include "stages/pose/rays.h"

typedef struct scene {
    const float *vertices;
    const int32_t *faces;
    int64_t n_vert, n_face;
    ch4_intrinsics k;
    ch4_rigid pose;
} scene;

static ch4_status expect_shape(const ch4_tensor *t, const char *name, int64_t last, ch4_err *err)
{
    if (t->rank < 1 || t->shape[t->rank - 1] != last)
        return ch4_err_set(err, CH4_EFORMAT, "%s: last size is not %" PRId64, name, last);
    return CH4_OK;
}

static ch4_status tensor_of(ch4_golden_case *c, ch4_tensor *out, ch4_dtype dtype, const char *name, int64_t last, ch4_err *err)
{
    ch4_status st = ch4_golden_tensor(c, out, dtype, err, "%s", name);
    return st == CH4_OK ? expect_shape(out, name, last, err) : st;
}

static ch4_status check_indices(const scene *s, ch4_err *err)
{
    for (int64_t i = 0; i < 3 * s->n_face; i++)
        if (s->faces[i] < 0 || s->faces[i] >= s->n_vert)
            return ch4_err_set(err, CH4_EFORMAT, "face %" PRId64 " names no vertex", i / 3);
    return CH4_OK;
}

static ch4_status load_mesh(ch4_golden_case *c, scene *s, ch4_err *err)
{
    const char *mesh = json_string_value(ch4_golden_json(c, "mesh"));
    ch4_safetensors *file;
    ch4_tensor v, f;
    ch4_status st;
    if (!mesh)
        return ch4_err_set(err, CH4_EFORMAT, "config: mesh is not a name");
    if ((st = ch4_golden_open_near(c, &file, err, "../meshes/%s.safetensors", mesh)) || (st = ch4_safetensors_get(file, "vertices", &v, err)) ||
        (st = ch4_safetensors_get(file, "faces", &f, err)))
        return st;
    if (v.dtype != CH4_DTYPE_F32 || v.rank != 2 || v.shape[1] != 3 || f.dtype != CH4_DTYPE_I32 || f.rank != 2 || f.shape[1] != 3)
        return ch4_err_set(err, CH4_EFORMAT, "%s: not vertices F32[n,3] and faces I32[m,3]", mesh);
    s->vertices = v.data;
    s->faces = f.data;
    s->n_vert = v.shape[0];
    s->n_face = f.shape[0];
    return check_indices(s, err);
}

static ch4_status load_camera(ch4_golden_case *c, scene *s, ch4_err *err)
{
    ch4_tensor K, R, t;
    ch4_status st;
    if ((st = tensor_of(c, &K, CH4_DTYPE_F64, "K", 3, err)) || (st = tensor_of(c, &R, CH4_DTYPE_F64, "R", 3, err)) ||
        (st = tensor_of(c, &t, CH4_DTYPE_F64, "t", 3, err)))
        return st;
    if (ch4_tensor_count(&K) != 9 || ch4_tensor_count(&R) != 9 || ch4_tensor_count(&t) != 3)
        return ch4_err_set(err, CH4_EFORMAT, "K, R, t are not one camera");
    const double *k = K.data;
    s->k = (ch4_intrinsics){.fx = k[0], .fy = k[4], .cx = k[2], .cy = k[5]};
    memcpy(s->pose.R, R.data, sizeof s->pose.R);
    memcpy(s->pose.t, t.data, sizeof s->pose.t);
    return CH4_OK;
}

static bool share_a_vertex(const scene *s, int32_t a, int32_t b)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            if (memcmp(s->vertices + 3 * s->faces[3 * a + i], s->vertices + 3 * s->faces[3 * b + j], 3 * sizeof(float)) == 0)
                return true;
    return false;
}

/* Where the record says "unsure", a face that touches the recorded one passes, and so does a miss; the other values are then not
 * compared. */
static ch4_status check_pixels(ch4_golden_case *c, const scene *s, ch4_err *err)
{
    ch4_tensor face, bary, depth, unsure;
    ch4_status st;
    if ((st = ch4_golden_tensor(c, &face, CH4_DTYPE_I32, err, "face")) || (st = tensor_of(c, &bary, CH4_DTYPE_F64, "bary", 3, err)) ||
        (st = ch4_golden_tensor(c, &depth, CH4_DTYPE_F64, err, "depth")) || (st = ch4_golden_tensor(c, &unsure, CH4_DTYPE_I32, err, "unsure")))
        return st;
    int64_t n = ch4_tensor_count(&face), width = face.rank == 2 ? face.shape[1] : 0;
    if (face.rank != 2 || ch4_tensor_count(&bary) != 3 * n || ch4_tensor_count(&depth) != n || ch4_tensor_count(&unsure) != n)
        return ch4_err_set(err, CH4_EFORMAT, "face, bary, depth and unsure are not one image");
    double *points, worst_bary = 0, worst_depth = 0;
    ch4_hit *hits;
    ch4_raymesh *mesh = NULL;
    if ((st = ch4_golden_alloc(c, &points, (size_t)n * 2, sizeof *points, err)) || (st = ch4_golden_alloc(c, &hits, (size_t)n, sizeof *hits, err)) ||
        (st = ch4_raymesh_create(&mesh, s->vertices, s->n_vert, s->faces, s->n_face, err)))
        return st;
    for (int64_t i = 0; i < n; i++) {
        points[2 * i] = (double)(i % width) + 0.5;
        points[2 * i + 1] = (double)(i / width) + 0.5;
    }
    ch4_raymesh_cast_pixels(mesh, hits, points, n, s->k, &s->pose, c->pool);
    ch4_raymesh_destroy(&mesh);
    int64_t wrong = 0, far_off = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t want = ((const int32_t *)face.data)[i];
        if (hits[i].face != want) {
            if (!((const int32_t *)unsure.data)[i])
                wrong++;
            else if (want >= 0 && hits[i].face >= 0 && want < s->n_face && !share_a_vertex(s, want, hits[i].face))
                far_off++;
            continue;
        }
        double d = ((const double *)depth.data)[i];
        for (int k = 0; k < 3; k++)
            worst_bary = fmax(worst_bary, fabs(hits[i].bary[k] - ((const double *)bary.data)[3 * i + k]));
        worst_depth = fmax(worst_depth, fabs(hits[i].depth - d) / fmax(fabs(d), 1e-12));
    }
    ch4_golden_check_at_most(c, (double)wrong, 0, "face: wrong of %" PRId64, n);
    ch4_golden_check_at_most(c, (double)far_off, 0, "face: not near the recorded one where unsure");
    ch4_golden_check_at_most(c, worst_bary, ch4_golden_real_or(c, "tolerance.bary_abs", 1e-4), "bary");
    ch4_golden_check_at_most(c, worst_depth, ch4_golden_real_or(c, "tolerance.depth_rel", 1e-5), "depth (relative)");
    return CH4_OK;
}

/* The file stores only the moved vertices that the tracks need; the others keep their rest position. */
static ch4_status check_tracks(ch4_golden_case *c, const scene *s, ch4_err *err)
{
    ch4_tensor pixel, index, moved;
    ch4_status st;
    if ((st = tensor_of(c, &pixel, CH4_DTYPE_I32, "track_pixel", 2, err)) || (st = ch4_golden_tensor(c, &index, CH4_DTYPE_I32, err, "moved_vertex")) ||
        (st = tensor_of(c, &moved, CH4_DTYPE_F32, "moved", 3, err)))
        return st;
    int64_t q = pixel.shape[0], m = ch4_tensor_count(&index), F = moved.shape[0];
    if (pixel.rank != 2 || moved.rank != 3 || moved.shape[1] != m)
        return ch4_err_set(err, CH4_EFORMAT, "track_pixel, moved_vertex and moved do not fit together");
    double *points, *bary, *xyz, *uv;
    int32_t *face;
    float *frame;
    ch4_hit *hits;
    ch4_raymesh *mesh = NULL;
    if ((st = ch4_golden_alloc(c, &points, (size_t)q * 2, sizeof *points, err)) || (st = ch4_golden_alloc(c, &bary, (size_t)q * 3, sizeof *bary, err)) ||
        (st = ch4_golden_alloc(c, &xyz, (size_t)(F * q) * 3, sizeof *xyz, err)) || (st = ch4_golden_alloc(c, &uv, (size_t)(F * q) * 2, sizeof *uv, err)) ||
        (st = ch4_golden_alloc(c, &face, (size_t)q, sizeof *face, err)) || (st = ch4_golden_alloc(c, &hits, (size_t)q, sizeof *hits, err)) ||
        (st = ch4_golden_alloc(c, &frame, (size_t)s->n_vert * 3, sizeof *frame, err)) ||
        (st = ch4_raymesh_create(&mesh, s->vertices, s->n_vert, s->faces, s->n_face, err)))
        return st;
    for (int64_t i = 0; i < q; i++) {
        points[2 * i] = ((const int32_t *)pixel.data)[2 * i + 1] + 0.5; /* stored as row, column */
        points[2 * i + 1] = ((const int32_t *)pixel.data)[2 * i] + 0.5;
    }
    ch4_raymesh_cast_pixels(mesh, hits, points, q, s->k, &s->pose, c->pool);
    ch4_raymesh_destroy(&mesh);
    for (int64_t i = 0; i < q; i++) {
        face[i] = hits[i].face;
        memcpy(bary + 3 * i, hits[i].bary, sizeof hits[i].bary);
    }
    for (int64_t f = 0; f < F; f++) {
        memcpy(frame, s->vertices, (size_t)s->n_vert * 3 * sizeof *frame);
        for (int64_t i = 0; i < m; i++) {
            int32_t v = ((const int32_t *)index.data)[i];
            if (v < 0 || v >= s->n_vert)
                return ch4_err_set(err, CH4_EFORMAT, "moved_vertex %" PRId64 " names no vertex", i);
            memcpy(frame + 3 * v, (const float *)moved.data + 3 * (f * m + i), 3 * sizeof *frame);
        }
        ch4_track_frame(xyz + 3 * f * q, uv + 2 * f * q, face, bary, q, frame, s->n_vert, s->faces, s->n_face, s->k, &s->pose);
    }
    ch4_golden_check_close(c, xyz, F * q * 3, ch4_golden_real_or(c, "tolerance.track_abs", 1e-4), 0, "track");
    ch4_golden_check_close(c, uv, F * q * 2, 1e-2, 0, "track_uv");
    return CH4_OK;
}

static ch4_status check_explicit(ch4_golden_case *c, ch4_err *err)
{
    ch4_tensor v, f, o, d;
    ch4_status st;
    if ((st = tensor_of(c, &v, CH4_DTYPE_F32, "vertices", 3, err)) || (st = tensor_of(c, &f, CH4_DTYPE_I32, "faces", 3, err)) ||
        (st = tensor_of(c, &o, CH4_DTYPE_F64, "origin", 3, err)) || (st = tensor_of(c, &d, CH4_DTYPE_F64, "direction", 3, err)))
        return st;
    int64_t n = o.shape[0];
    if (ch4_tensor_count(&d) != 3 * n)
        return ch4_err_set(err, CH4_EFORMAT, "origin and direction differ in number");
    int64_t *face;
    double *bary, *depth;
    ch4_raymesh *mesh = NULL;
    if ((st = ch4_golden_alloc(c, &face, (size_t)n, sizeof *face, err)) || (st = ch4_golden_alloc(c, &bary, (size_t)n * 3, sizeof *bary, err)) ||
        (st = ch4_golden_alloc(c, &depth, (size_t)n, sizeof *depth, err)) ||
        (st = ch4_raymesh_create(&mesh, v.data, v.shape[0], f.data, f.shape[0], err)))
        return st;
    for (int64_t i = 0; i < n; i++) {
        ch4_hit h = ch4_raymesh_cast(mesh, (const double *)o.data + 3 * i, (const double *)d.data + 3 * i);
        face[i] = h.face;
        depth[i] = h.depth;
        memcpy(bary + 3 * i, h.bary, sizeof h.bary);
    }
    ch4_raymesh_destroy(&mesh);
    ch4_golden_check_index(c, face, n, NULL, 0, 0, "face");
    ch4_golden_check_close(c, bary, 3 * n, ch4_golden_real_or(c, "tolerance.bary_abs", 1e-6), 0, "bary");
    ch4_golden_check_close(c, depth, n, ch4_golden_real_or(c, "tolerance.depth_abs", 1e-6), 0, "depth");
    return CH4_OK;
}

static ch4_status check_intrinsics(ch4_golden_case *c, json_t *rows, ch4_err *err)
{
    double ndc, tolerance = ch4_golden_real_or(c, "tolerance", 1e-9);
    ch4_status st = ch4_golden_real(c, &ndc, "ndc_focal", err);
    for (size_t i = 0; st == CH4_OK && i < json_array_size(rows); i++) {
        static const char *const key[] = {"W", "H", "fx", "fy", "cx", "cy", "vertical_fov_deg", "horizontal_fov_deg"};
        double v[8];
        for (int k = 0; k < 8; k++) {
            json_t *x = json_object_get(json_array_get(rows, i), key[k]);
            if (!json_is_number(x))
                return ch4_err_set(err, CH4_EFORMAT, "rows[%zu].%s is not a number", i, key[k]);
            v[k] = json_number_value(x);
        }
        ch4_intrinsics k = ch4_intrinsics_make(ndc, v[0], v[1]);
        double got[] = {k.fx, k.fy, k.cx, k.cy, 2 * atan(v[1] / 2 / k.fy) * 180 / M_PI, 2 * atan(v[0] / 2 / k.fx) * 180 / M_PI};
        ch4_golden_check_values(c, got, v + 2, 6, tolerance, 0, "%gx%g", v[0], v[1]);
    }
    return st;
}

ch4_status ch4_golden_rays(ch4_golden_case *c, ch4_err *err)
{
    scene s = {0};
    ch4_status st;
    json_t *rows = ch4_golden_json(c, "rows");
    if (rows)
        return check_intrinsics(c, rows, err);
    if (ch4_golden_has(c, "direction"))
        return check_explicit(c, err);
    if ((st = load_mesh(c, &s, err)) || (st = load_camera(c, &s, err)) || (st = check_pixels(c, &s, err)))
        return st;
    return ch4_golden_has(c, "track") ? check_tracks(c, &s, err) : CH4_OK;
}
