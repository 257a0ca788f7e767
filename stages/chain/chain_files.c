#include "stages/chain/chain_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Copies /anchor/vertices and /anchor/faces into *mesh and checks them. */
static ch4_status read_mesh(ch4_mesh *mesh, const ch4_store_reader *r, ch4_err *err)
{
    ch4_buf vb = {0}, fb = {0};
    ch4_tensor v, f;
    ch4_status status = ch4_store_read(r, "/anchor/vertices", CH4_DTYPE_F32, 2, (int64_t[]){-1, 3}, &vb, &v, err);
    if (status == CH4_OK)
        status = ch4_store_read(r, "/anchor/faces", CH4_DTYPE_I32, 2, (int64_t[]){-1, 3}, &fb, &f, err);
    if (status == CH4_OK)
        status = ch4_mesh_init(mesh, v.shape[0], f.shape[0], err);
    if (status == CH4_OK) {
        memcpy(mesh->vert, v.data, vb.size);
        memcpy(mesh->face, f.data, fb.size);
        status = ch4_mesh_check(mesh->vert, mesh->n_vert, mesh->face, mesh->n_face, err);
        if (status)
            ch4_err_wrap(err, status, "%s: anchor mesh", ch4_store_path(r));
    }
    ch4_buf_free(&vb);
    ch4_buf_free(&fb);
    return status;
}

static ch4_status check_values(const ch4_chain_denoised *d, const char *path, ch4_err *err)
{
    for (int64_t i = 0; i < d->T * d->N * d->D; i++)
        if (!isfinite(d->latents[i]))
            return ch4_err_set(err, CH4_EFORMAT, "%s: latents: value %lld is not finite", path, (long long)i);
    for (int64_t i = 0; i < d->T * d->N * d->grid * d->grid; i++)
        if (d->patch[i] >= 0x7c00) /* negative, infinite or no number */
            return ch4_err_set(err, CH4_EFORMAT, "%s: patch attention: value %lld is out of range", path, (long long)i);
    return CH4_OK;
}

static ch4_status read_arrays(ch4_chain_denoised *d, const ch4_store_reader *r, ch4_err *err)
{
    ch4_tensor z, p;
    const char *path = ch4_store_path(r);
    ch4_status status = ch4_store_read(r, "/latents", CH4_DTYPE_F32, 3, NULL, &d->owned[0], &z, err);
    int64_t encoded = 0;
    if (status == CH4_OK)
        status = ch4_store_get_int(r, "grid", &d->grid, err);
    if (status == CH4_OK)
        status = ch4_store_get_int(r, "encoded", &encoded, err);
    d->encoded = encoded != 0;
    if (status)
        return status;
    d->T = z.shape[0], d->N = z.shape[1], d->D = z.shape[2];
    d->latents = z.data;
    if (d->T < 1 || d->N < 1 || d->D < 1 || d->grid < 1 || d->grid > 1024)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %lld frames of %lld tokens, grid of %lld patches", path, (long long)d->T, (long long)d->N,
                           (long long)d->grid);
    status = ch4_store_read(r, "/patch/dense", CH4_DTYPE_F16, 3, (int64_t[]){d->T, d->N, d->grid * d->grid}, &d->owned[1], &p, err);
    if (status)
        return status;
    d->patch = p.data;
    status = ch4_attention_read(&d->attention, r, err);
    if (status == CH4_OK && (d->attention.n_frames != d->T || d->attention.n_tokens != d->N))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: attention of %lld frames of %lld tokens, latents of %lld of %lld", path,
                             (long long)d->attention.n_frames, (long long)d->attention.n_tokens, (long long)d->T, (long long)d->N);
    return status ? status : check_values(d, path, err);
}

ch4_status ch4_chain_read_denoised(ch4_chain_denoised *out, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    *out = (ch4_chain_denoised){0};
    ch4_status status = ch4_store_open(&r, path, err);
    if (status == CH4_OK)
        status = read_arrays(out, r, err);
    if (status == CH4_OK && ch4_store_has(r, "/anchor/vertices"))
        status = read_mesh(&out->given, r, err);
    ch4_store_close(&r);
    if (status)
        ch4_chain_denoised_fini(out);
    return status;
}

void ch4_chain_denoised_fini(ch4_chain_denoised *in)
{
    ch4_attention_fini(&in->attention);
    ch4_mesh_fini(&in->given);
    ch4_buf_free(&in->owned[0]);
    ch4_buf_free(&in->owned[1]);
    *in = (ch4_chain_denoised){0};
}

ch4_status ch4_chain_read_decoded(ch4_chain_decoded *out, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor frames, index, first;
    *out = (ch4_chain_decoded){0};
    ch4_status status = ch4_store_open(&r, path, err);
    if (status == CH4_OK)
        status = ch4_store_stat(r, "/frames", &frames, err);
    if (status == CH4_OK && (frames.rank != 4 || frames.shape[1] < 1 || frames.shape[1] != frames.shape[2]))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: frames are not [T,S,S,3]", path);
    if (status == CH4_OK)
        status = ch4_store_read(r, "/frame_index", CH4_DTYPE_I64, 1, frames.shape, &out->owned[0], &index, err);
    if (status == CH4_OK)
        status = ch4_store_read(r, "/first_window", CH4_DTYPE_I64, 1, frames.shape, &out->owned[1], &first, err);
    if (status == CH4_OK) {
        out->T = frames.shape[0];
        out->side = frames.shape[1];
        out->frame = index.data;
        out->first = first.data;
    }
    ch4_store_close(&r);
    if (status)
        ch4_chain_decoded_fini(out);
    return status;
}

void ch4_chain_decoded_fini(ch4_chain_decoded *in)
{
    ch4_buf_free(&in->owned[0]);
    ch4_buf_free(&in->owned[1]);
    *in = (ch4_chain_decoded){0};
}

static ch4_status read_landmarks(int32_t **landmark, int64_t *K, int64_t n_vert, const ch4_store_reader *r, ch4_err *err)
{
    ch4_buf buf = {0};
    ch4_tensor t;
    ch4_status status = ch4_store_read(r, "/landmarks/index", CH4_DTYPE_I32, 1, NULL, &buf, &t, err);
    if (status == CH4_OK)
        status = ch4_calloc(landmark, (size_t)t.shape[0], sizeof **landmark, "landmarks", err);
    if (status == CH4_OK) {
        memcpy(*landmark, t.data, buf.size);
        *K = t.shape[0];
    }
    for (int64_t i = 0; status == CH4_OK && i < *K; i++)
        if ((*landmark)[i] < 0 || (*landmark)[i] >= n_vert)
            status = ch4_err_set(err, CH4_EFORMAT, "%s: landmark %lld is no vertex", ch4_store_path(r), (long long)i);
    ch4_buf_free(&buf);
    return status;
}

ch4_status ch4_chain_read_anchor(ch4_mesh *mesh, int32_t **landmark, int64_t *K, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    *mesh = (ch4_mesh){0};
    *landmark = NULL;
    ch4_status status = ch4_store_open(&r, path, err);
    if (status == CH4_OK)
        status = read_mesh(mesh, r, err);
    if (status == CH4_OK)
        status = read_landmarks(landmark, K, mesh->n_vert, r, err);
    ch4_store_close(&r);
    return status;
}

ch4_status ch4_chain_read_handover(ch4_mesh *mesh, int32_t **landmark, int64_t *K, const char *chain_path, const char *animate_path,
                                   int64_t slot, ch4_err *err)
{
    ch4_store_reader *animate = NULL;
    ch4_tensor t;
    ch4_status status = ch4_chain_read_anchor(mesh, landmark, K, chain_path, err);
    if (status == CH4_OK)
        status = ch4_store_open(&animate, animate_path, err);
    if (status == CH4_OK)
        status = ch4_store_stat(animate, "/vertices", &t, err);
    if (status == CH4_OK && (t.rank != 3 || t.shape[1] != mesh->n_vert || t.shape[2] != 3 || slot >= t.shape[0]))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: vertices do not belong to the mesh of %s", animate_path, chain_path);
    if (status == CH4_OK)
        status = ch4_store_read_part(animate, "/vertices", CH4_DTYPE_F32, slot, 1, mesh->vert, (size_t)mesh->n_vert * 3 * sizeof(float), err);
    if (status == CH4_OK) {
        status = ch4_mesh_check(mesh->vert, mesh->n_vert, mesh->face, mesh->n_face, err);
        if (status)
            ch4_err_wrap(err, status, "%s: slot %lld", animate_path, (long long)slot);
    }
    ch4_store_close(&animate);
    if (status) {
        ch4_mesh_fini(mesh);
        free(*landmark);
        *landmark = NULL;
    }
    return status;
}

/* The frames' surfaces one behind the other. */
static ch4_status write_meshes(ch4_store_writer *writer, const ch4_chain_out *out, ch4_err *err)
{
    int64_t V = 0, M = 0;
    int32_t *size = NULL, *face = NULL;
    float *vert = NULL;
    for (int64_t f = 0; f < out->n_mesh; f++) {
        V += out->mesh[f].n_vert;
        M += out->mesh[f].n_face;
    }
    ch4_status status = ch4_calloc(&size, (size_t)out->n_mesh, 2 * sizeof *size, "surfaces", err);
    if (status == CH4_OK)
        status = ch4_calloc(&vert, (size_t)V, 3 * sizeof *vert, "surfaces", err);
    if (status == CH4_OK)
        status = ch4_calloc(&face, (size_t)M, 3 * sizeof *face, "surfaces", err);
    for (int64_t f = 0, v = 0, m = 0; status == CH4_OK && f < out->n_mesh; f++) {
        const ch4_mesh *mesh = &out->mesh[f];
        size[2 * f] = (int32_t)mesh->n_vert;
        size[2 * f + 1] = (int32_t)mesh->n_face;
        if (mesh->n_vert)
            memcpy(vert + 3 * v, mesh->vert, (size_t)mesh->n_vert * 3 * sizeof *vert);
        if (mesh->n_face)
            memcpy(face + 3 * m, mesh->face, (size_t)mesh->n_face * 3 * sizeof *face);
        v += mesh->n_vert;
        m += mesh->n_face;
    }
    const ch4_tensor sizes = CH4_VIEW(size, CH4_DTYPE_I32, out->n_mesh, 2), verts = CH4_F32(vert, V, 3), faces = CH4_VIEW(face, CH4_DTYPE_I32, M, 3);
    if (status == CH4_OK)
        status = ch4_store_write(writer, "/surface/size", &sizes, CH4_STORE_PLAIN, err);
    if (status == CH4_OK)
        status = ch4_store_write(writer, "/surface/vertices", &verts, CH4_STORE_PLAIN, err);
    if (status == CH4_OK)
        status = ch4_store_write(writer, "/surface/faces", &faces, CH4_STORE_PLAIN, err);
    free(size);
    free(vert);
    free(face);
    return status;
}

/* What the next window's denoising is reinforced with. */
static ch4_status write_pairs(ch4_store_writer *writer, const ch4_chain_out *out, ch4_err *err)
{
    int32_t *pair = NULL;
    float *confidence = NULL;
    ch4_status status = ch4_calloc(&pair, (size_t)out->n_pair, 3 * sizeof *pair, "token pairs", err);
    if (status == CH4_OK)
        status = ch4_calloc(&confidence, (size_t)out->n_pair, sizeof *confidence, "token pairs", err);
    for (int64_t i = 0; status == CH4_OK && i < out->n_pair; i++) {
        memcpy(pair + 3 * i, (int32_t[]){out->pair[i].slot, out->pair[i].anchor, out->pair[i].token}, 3 * sizeof *pair);
        confidence[i] = out->pair[i].confidence;
    }
    ch4_tensor p = CH4_VIEW(pair, CH4_DTYPE_I32, out->n_pair, 3), c = CH4_F32(confidence, out->n_pair);
    if (status == CH4_OK)
        status = ch4_store_write(writer, "/reinforce/pair", &p, CH4_STORE_PLAIN, err);
    if (status == CH4_OK)
        status = ch4_store_write(writer, "/reinforce/confidence", &c, CH4_STORE_PLAIN, err);
    free(pair);
    free(confidence);
    return status;
}

ch4_status ch4_chain_write(ch4_store_writer *writer, const ch4_chain_in *in, const ch4_chain_out *out, ch4_err *err)
{
    int64_t T = in->T, K = in->K, P = in->grid * in->grid;
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/anchor/vertices", CH4_F32(in->mesh->vert, in->mesh->n_vert, 3)},
        {"/anchor/faces", CH4_VIEW(in->mesh->face, CH4_DTYPE_I32, in->mesh->n_face, 3)},
        {"/frame_index", CH4_VIEW((void *)in->frame, CH4_DTYPE_I64, T)},
        {"/landmarks/index", CH4_VIEW((void *)in->landmark, CH4_DTYPE_I32, K)},
        {"/landmarks/path", CH4_F32(out->path, T, K, 3)},
        {"/landmarks/score", CH4_F32(out->score, T, K)},
        {"/patch/match", CH4_VIEW(out->patch_match, CH4_DTYPE_I32, T, P)},
        {"/patch/match_xy", CH4_F32(out->patch_xy, T, P, 2)},
        {"/patch/score", CH4_F32(out->patch_score, T, P)},
        {"/patch/vertex", CH4_VIEW(out->vertex, CH4_DTYPE_I32, P)},
        {"/patch/vertex_score", CH4_F32(out->vertex_score, P)},
        {"/surface/count", CH4_VIEW(out->count, CH4_DTYPE_I32, T)},
        {"/surface/points", CH4_F32(out->surface, out->n_surface, 3)},
    };
    ch4_status status = CH4_OK;
    for (size_t i = 0; status == CH4_OK && i < sizeof sets / sizeof sets[0]; i++)
        status = ch4_store_write(writer, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, err);
    if (status == CH4_OK && out->mesh)
        status = write_meshes(writer, out, err);
    if (status == CH4_OK && out->pair)
        status = write_pairs(writer, out, err);
    if (status == CH4_OK)
        status = ch4_store_set_int(writer, "anchor_slot", in->anchor, err);
    if (status == CH4_OK)
        status = ch4_store_set_int(writer, "grid", in->grid, err);
    if (status == CH4_OK)
        status = ch4_store_set_int(writer, "field_inside", out->inside, err);
    if (status == CH4_OK)
        status = ch4_store_set_int(writer, "field_probed", out->probed, err);
    if (status == CH4_OK)
        status = ch4_store_set_real(writer, "field_probe_share", out->probe_share, err);
    return status;
}
