#include "tools/eval/bench_clip.h"

#include <errno.h>
#include <fnmatch.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/mesh_io.h"
#include "tensor/npy.h"

ch4_status ch4_bench_truth_load(ch4_bench_truth *out, const char *folder, ch4_err *err)
{
    char path[4096];
    ch4_buf buf = {0};
    ch4_tensor t;
    float *all = NULL;
    *out = (ch4_bench_truth){0};
    snprintf(path, sizeof(path), "%s/surfaces.npy", folder);
    ch4_status st = ch4_npy_load(&buf, &t, path, err);
    if (!st && (t.rank != 3 || t.shape[0] < 1 || t.shape[1] < 1 || t.shape[2] != 6))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: not (frames, points, 6)", path);
    if (!st) {
        out->n_frames = t.shape[0], out->n_point = t.shape[1];
        size_t n = (size_t)(t.shape[0] * t.shape[1]);
        st = ch4_calloc(&all, n, 6 * sizeof(float), path, err);
        if (!st) st = ch4_calloc(&out->point, n, 3 * sizeof(float), path, err);
        if (!st) st = ch4_calloc(&out->normal, n, 3 * sizeof(float), path, err);
        if (!st) st = ch4_tensor_to_f32(all, &t, err);
        for (size_t i = 0; !st && i < n; i++) {
            memcpy(out->point + 3 * i, all + 6 * i, 3 * sizeof(float));
            memcpy(out->normal + 3 * i, all + 6 * i + 3, 3 * sizeof(float));
        }
    }
    free(all);
    ch4_buf_free(&buf);
    return st;
}

void ch4_bench_truth_fini(ch4_bench_truth *t)
{
    if (!t) return;
    free(t->point);
    free(t->normal);
    *t = (ch4_bench_truth){0};
}

void ch4_bench_meshes_fini(ch4_bench_meshes *m)
{
    if (!m) return;
    for (int64_t f = 0; m->frame && f < m->n_frames; f++) {
        free(m->frame[f].vert);
        free(m->frame[f].face);
    }
    free(m->frame);
    *m = (ch4_bench_meshes){0};
}

static int mesh_file(const struct dirent *d) { return fnmatch("mesh_*.glb", d->d_name, 0) == 0; }

static int natural_order(const struct dirent **a, const struct dirent **b) { return strverscmp((*a)->d_name, (*b)->d_name); }

static ch4_status load_file(ch4_bench_mesh *out, const char *folder, const char *name, ch4_err *err)
{
    char path[4096];
    ch4_asset asset = {0};
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    ch4_status st = ch4_asset_load(&asset, path, err);
    if (st) return st;
    *out = (ch4_bench_mesh){asset.mesh.vert, asset.mesh.face, asset.mesh.n_vert, asset.mesh.n_face};
    asset.mesh = (ch4_mesh){0};
    ch4_asset_fini(&asset);
    return CH4_OK;
}

static ch4_status check_count(int64_t found, int64_t need, ch4_err *err)
{
    return found < need ? ch4_err_set(err, CH4_EFORMAT, "Not enough meshes: found %lld, need %lld", (long long)found, (long long)need) : CH4_OK;
}

ch4_status ch4_bench_meshes_of(ch4_bench_meshes *out, const float *vert, int64_t n_frames, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    *out = (ch4_bench_meshes){.n_frames = n_frames};
    ch4_status st = ch4_calloc(&out->frame, (size_t)n_frames, sizeof(*out->frame), "meshes", err);
    for (int64_t f = 0; !st && f < n_frames; f++) {
        ch4_bench_mesh *m = &out->frame[f];
        m->n_vert = n_vert, m->n_face = n_face;
        st = ch4_calloc(&m->vert, (size_t)n_vert, 3 * sizeof(float), "mesh", err);
        if (!st) st = ch4_calloc(&m->face, (size_t)n_face, 3 * sizeof(int32_t), "mesh", err);
        if (st) break;
        memcpy(m->vert, vert + 3 * f * n_vert, (size_t)n_vert * 3 * sizeof(float));
        memcpy(m->face, face, (size_t)n_face * 3 * sizeof(int32_t));
    }
    return st;
}

static ch4_status load_run(ch4_bench_meshes *out, const char *folder, int64_t n_frames, ch4_err *err)
{
    char path[4096];
    ch4_buf vert_buf = {0}, face_buf = {0};
    ch4_tensor v, f;
    snprintf(path, sizeof(path), "%s/vertices.npy", folder);
    ch4_status st = ch4_npy_load(&vert_buf, &v, path, err);
    snprintf(path, sizeof(path), "%s/faces.npy", folder);
    if (!st) st = ch4_npy_load(&face_buf, &f, path, err);
    if (!st && (v.dtype != CH4_DTYPE_F32 || v.rank != 3 || v.shape[2] != 3 || f.dtype != CH4_DTYPE_I32 || f.rank != 2 || f.shape[1] != 3))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: vertices.npy is not f32 (frames, vertices, 3) or faces.npy not i32 (faces, 3)", folder);
    if (!st) st = check_count(v.shape[0], n_frames, err);
    if (!st) st = ch4_mesh_check(v.data, v.shape[1] * n_frames, NULL, 0, err);
    if (!st) st = ch4_mesh_check(v.data, v.shape[1], f.data, f.shape[0], err);
    if (!st) st = ch4_bench_meshes_of(out, v.data, n_frames, v.shape[1], f.data, f.shape[0], err);
    ch4_buf_free(&vert_buf);
    ch4_buf_free(&face_buf);
    return st;
}

ch4_status ch4_bench_meshes_load(ch4_bench_meshes *out, const char *folder, int64_t n_frames, ch4_err *err)
{
    struct dirent **list = NULL;
    char path[4096];
    *out = (ch4_bench_meshes){0};
    int n = scandir(folder, &list, mesh_file, natural_order);
    if (n < 0) return ch4_err_set_errno(err, errno, "%s", folder);
    snprintf(path, sizeof(path), "%s/vertices.npy", folder);
    if (n == 0) {
        free(list);
        return access(path, R_OK) == 0 ? load_run(out, folder, n_frames, err) : ch4_err_set(err, CH4_ENOENT, "%s: neither mesh_*.glb nor vertices.npy", folder);
    }
    ch4_status st = check_count(n, n_frames, err);
    if (!st) st = ch4_calloc(&out->frame, (size_t)n_frames, sizeof(*out->frame), "meshes", err);
    if (!st) out->n_frames = n_frames;
    for (int i = 0; i < n; i++) {
        if (!st && i < n_frames) st = load_file(&out->frame[i], folder, list[i]->d_name, err);
        free(list[i]);
    }
    free(list);
    return st;
}

bool ch4_bench_same_topology(int64_t *where, const ch4_bench_meshes *m)
{
    for (int64_t f = 1; f < m->n_frames; f++) {
        const ch4_bench_mesh *a = &m->frame[0], *b = &m->frame[f];
        if (a->n_vert == b->n_vert && a->n_face == b->n_face && !memcmp(a->face, b->face, (size_t)a->n_face * 3 * sizeof(int32_t))) continue;
        if (where) *where = f;
        return false;
    }
    if (where) *where = -1;
    return true;
}
