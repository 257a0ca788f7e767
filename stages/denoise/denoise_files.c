#include "stages/denoise/denoise_files.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "store/attention.h"

ch4_status ch4_denoise_read_frames(ch4_denoise_frames *out, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor rgb, index, first;
    *out = (ch4_denoise_frames){0};
    ch4_status st = ch4_store_open(&r, path, err);
    if (!st)
        st = ch4_store_read(r, "/frames", CH4_DTYPE_U8, 4, (int64_t[]){-1, -1, -1, 3}, &out->owned[0], &rgb, err);
    if (!st && (rgb.shape[0] < 1 || rgb.shape[1] < 1 || rgb.shape[1] != rgb.shape[2]))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: frames are not square pictures", path);
    if (!st)
        st = ch4_store_read(r, "/frame_index", CH4_DTYPE_I64, 1, rgb.shape, &out->owned[1], &index, err);
    if (!st)
        st = ch4_store_read(r, "/first_window", CH4_DTYPE_I64, 1, rgb.shape, &out->owned[2], &first, err);
    if (!st) {
        out->T = rgb.shape[0];
        out->side = rgb.shape[1];
        out->rgb = rgb.data;
        out->index = index.data;
        out->first = first.data;
    }
    ch4_store_close(&r);
    if (st)
        ch4_denoise_frames_fini(out);
    return st;
}

void ch4_denoise_frames_fini(ch4_denoise_frames *frames)
{
    for (int i = 0; i < 3; i++)
        ch4_buf_free(&frames->owned[i]);
    *frames = (ch4_denoise_frames){0};
}

ch4_status ch4_denoise_read_alpha(uint8_t **alpha, int64_t side, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    size_t n = (size_t)(side * side);
    *alpha = NULL;
    ch4_status st = ch4_store_open(&r, path, err);
    if (!st)
        st = ch4_calloc(alpha, n, 1, "foreground", err);
    if (!st)
        st = ch4_store_read_part(r, "/alpha", CH4_DTYPE_U8, 0, 1, *alpha, n, err);
    ch4_store_close(&r);
    return st;
}

ch4_status ch4_denoise_read_yaw(double *yaw, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_status st = ch4_store_open(&r, path, err);
    if (!st)
        st = ch4_store_get_real(r, "mesh_yaw", yaw, err);
    ch4_store_close(&r);
    return st;
}

ch4_status ch4_denoise_read_done(ch4_denoise_done *out, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor index, z;
    *out = (ch4_denoise_done){0};
    ch4_status st = ch4_store_open(&r, path, err);
    if (!st)
        st = ch4_store_read(r, "/frame_index", CH4_DTYPE_I64, 1, NULL, &out->owned[0], &index, err);
    int64_t encoded = 0;
    if (!st)
        st = ch4_store_get_int(r, "encoded", &encoded, err);
    if (!st)
        st = ch4_store_read(r, "/latents", CH4_DTYPE_F32, 3, (int64_t[]){index.shape[0], -1, -1}, &out->owned[1], &z, err);
    if (!st) {
        out->T = z.shape[0];
        out->N = z.shape[1];
        out->d = z.shape[2];
        out->encoded = encoded != 0;
        out->index = index.data;
        out->latents = z.data;
    }
    ch4_store_close(&r);
    if (st)
        ch4_denoise_done_fini(out);
    return st;
}

void ch4_denoise_done_fini(ch4_denoise_done *done)
{
    ch4_buf_free(&done->owned[0]);
    ch4_buf_free(&done->owned[1]);
    *done = (ch4_denoise_done){0};
}

ch4_status ch4_denoise_place_mesh(ch4_denoise_mesh *m, ch4_mesh_normalize how, ch4_err *err)
{
    double lo[3], hi[3], extent = 0;
    bool inside = true;
    ch4_mesh_box(lo, hi, m->mesh.vert, m->mesh.n_vert);
    for (int k = 0; k < 3; k++) {
        extent = fmax(extent, hi[k] - lo[k]);
        inside = inside && lo[k] >= -1 && hi[k] <= 1;
        m->place.center[k] = 0;
    }
    m->place.scale = 1;
    m->place.yaw = 0;
    if (!(extent > 0) || !isfinite(extent))
        return ch4_err_set(err, CH4_EFORMAT, "the mesh has no extent");
    if (how == CH4_MESH_NORMALIZE_NEVER || (how == CH4_MESH_NORMALIZE_AUTO && inside))
        return CH4_OK;
    m->place.scale = 2 / extent;
    for (int k = 0; k < 3; k++)
        m->place.center[k] = (lo[k] + hi[k]) / 2;
    for (int64_t i = 0; i < 3 * m->mesh.n_vert; i++)
        m->mesh.vert[i] = (float)((m->mesh.vert[i] - m->place.center[i % 3]) * m->place.scale);
    return CH4_OK;
}

/* Rows reduced or halved. The masses are those of the raw rows, also where the rows themselves were normalised per head. */
static ch4_status write_attention(ch4_store_writer *writer, const ch4_denoise_result *r, ch4_err *err)
{
    int64_t T = r->frames->T, N = r->N, k = r->plan->dense ? N : ch4_min_i64(r->plan->keep, N);
    uint16_t *index = NULL, *value = NULL;
    float *sums = NULL;
    ch4_status st = ch4_calloc(&value, (size_t)(T * N * k), sizeof *value, "attention", err);
    if (!st)
        st = ch4_calloc(&index, (size_t)(T * N * k), sizeof *index, "attention", err);
    if (!st)
        st = ch4_calloc(&sums, (size_t)(T * N), sizeof *sums, "attention", err);
    if (!st && r->plan->dense)
        st = ch4_attention_halve(value, sums, r->out->attention, T * N, N, err);
    else if (!st)
        st = ch4_attention_reduce(index, value, sums, r->out->attention, T * N, N, k, r->pool, err);
    if (!st) {
        const ch4_attention a = {
            .n_frames = T, .n_tokens = N, .k = r->plan->dense ? 0 : k, .index = r->plan->dense ? NULL : index, .value = value, .mass = r->out->mass,
            .frame_to_anchor = r->plan->capture.direction != CH4_ANCHOR_TO_FRAME, .anchor_slot = r->anchor,
        };
        st = ch4_attention_write(writer, &a, err);
    }
    free(index);
    free(value);
    free(sums);
    return st;
}

static ch4_status write_patches(ch4_store_writer *writer, const ch4_denoise_result *r, ch4_err *err)
{
    int64_t P = r->grid * r->grid, n = r->frames->T * r->N * P;
    uint16_t *half = NULL;
    ch4_status st = ch4_calloc(&half, (size_t)n, sizeof *half, "patch attention", err);
    for (int64_t i = 0; !st && i < n; i++)
        half[i] = ch4_f32_to_f16(r->out->patch[i]);
    ch4_tensor t = CH4_VIEW(half, CH4_DTYPE_F16, r->frames->T, r->N, P);
    if (!st)
        st = ch4_store_write(writer, "/patch/dense", &t, CH4_STORE_PACK, err);
    free(half);
    return st ? st : ch4_store_set_int(writer, "grid", r->grid, err);
}

static ch4_status write_mesh(ch4_store_writer *writer, const ch4_denoise_mesh *m, ch4_err *err)
{
    ch4_tensor vert = CH4_F32(m->mesh.vert, m->mesh.n_vert, 3), face = CH4_VIEW(m->mesh.face, CH4_DTYPE_I32, m->mesh.n_face, 3);
    ch4_status st = ch4_store_write(writer, "/anchor/vertices", &vert, CH4_STORE_PLAIN, err);
    if (!st)
        st = ch4_store_write(writer, "/anchor/faces", &face, CH4_STORE_PLAIN, err);
    if (!st)
        st = ch4_store_set_reals(writer, "mesh_center", m->place.center, 3, err);
    if (!st)
        st = ch4_store_set_real(writer, "mesh_scale", m->place.scale, err);
    return st ? st : ch4_store_set_real(writer, "mesh_yaw", m->place.yaw, err);
}

ch4_status ch4_denoise_write(ch4_store_writer *writer, const ch4_denoise_result *r, ch4_err *err)
{
    int64_t T = r->frames->T;
    ch4_tensor latents = CH4_F32(r->out->latents, T, r->N, r->d), index = CH4_VIEW((void *)(uintptr_t)r->frames->index, CH4_DTYPE_I64, T);
    ch4_status st = ch4_store_write(writer, "/latents", &latents, CH4_STORE_PLAIN, err);
    if (!st)
        st = ch4_store_write(writer, "/frame_index", &index, CH4_STORE_PLAIN, err);
    if (!st)
        st = write_attention(writer, r, err);
    if (!st)
        st = write_patches(writer, r, err);
    if (!st && r->mesh)
        st = write_mesh(writer, r->mesh, err);
    if (!st)
        st = ch4_store_set_int(writer, "steps", r->plan->window.steps, err);
    if (!st)
        st = ch4_store_set_int(writer, "encoded", r->encoded, err);
    return st ? st : ch4_store_set_int(writer, "reinforced_pairs", r->pairs, err);
}
