#include "stages/denoise/handover.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "mesh/sample.h"

enum { STREAM_SURFACE = 0x73757266 }; /* of the random numbers */

/* surface [P,6]: points given by face and barycentrics, with the normals of their faces. */
static void place_points(float *surface, const int32_t *face_of, const float *bary, int64_t P, const float *vert, const int32_t *face)
{
    for (int64_t i = 0; i < P; i++) {
        const int32_t *f = face + 3 * (int64_t)face_of[i];
        const float *a = vert + 3 * (int64_t)f[0], *b = vert + 3 * (int64_t)f[1], *c = vert + 3 * (int64_t)f[2];
        double u[3], v[3], n[3], length;
        for (int k = 0; k < 3; k++) {
            u[k] = (double)b[k] - a[k];
            v[k] = (double)c[k] - a[k];
            surface[6 * i + k] = bary[3 * i] * a[k] + bary[3 * i + 1] * b[k] + bary[3 * i + 2] * c[k];
        }
        for (int k = 0; k < 3; k++)
            n[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
        length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        for (int k = 0; k < 3; k++) /* a face that the motion has closed has no normal */
            surface[6 * i + 3 + k] = length > 0 ? (float)(n[k] / length) : 0;
    }
}

ch4_status ch4_denoise_encode(float *z, ch4_bundle *bundle, const ch4_denoise_plan *plan, int64_t N, const float *rest, const float *vert, const int32_t *face,
                              int64_t n_face, uint64_t seed, ch4_err *err)
{
    ch4_vae *vae;
    int64_t P = plan->points, *index = NULL;
    int32_t *face_of = NULL;
    float *point = NULL, *bary = NULL, *surface = NULL;
    ch4_rng rng = ch4_rng_at(seed, STREAM_SURFACE);
    ch4_status st = ch4_bundle_get_vae_encoder(bundle, &vae, err);
    if (!st)
        st = ch4_calloc(&point, (size_t)P * 3, sizeof *point, "surface points", err);
    if (!st)
        st = ch4_calloc(&bary, (size_t)P * 3, sizeof *bary, "surface points", err);
    if (!st)
        st = ch4_calloc(&face_of, (size_t)P, sizeof *face_of, "surface points", err);
    if (!st)
        st = ch4_calloc(&surface, (size_t)P * 6, sizeof *surface, "surface points", err);
    if (!st)
        st = ch4_calloc(&index, (size_t)N, sizeof *index, "surface points", err);
    if (!st)
        st = ch4_mesh_sample(point, NULL, face_of, bary, P, rest, face, n_face, &rng, err);
    if (!st) {
        place_points(surface, face_of, bary, P, rest, face);
        st = ch4_vae_pick_queries(index, surface, P, N, plan->preselect, seed, err);
    }
    if (!st) {
        place_points(surface, face_of, bary, P, vert, face);
        st = ch4_vae_encode(vae, z, NULL, surface, P, index, N, NULL, err);
    }
    free(point);
    free(bary);
    free(face_of);
    free(surface);
    free(index);
    return st;
}

/* --- files -------------------------------------------------------------------------------------------------------------------- */

static ch4_status read_rest(ch4_mesh *rest, const ch4_store_reader *r, ch4_err *err)
{
    ch4_buf vb = {0}, fb = {0};
    ch4_tensor v, f;
    ch4_status st = ch4_store_read(r, "/anchor/vertices", CH4_DTYPE_F32, 2, (int64_t[]){-1, 3}, &vb, &v, err);
    if (!st)
        st = ch4_store_read(r, "/anchor/faces", CH4_DTYPE_I32, 2, (int64_t[]){-1, 3}, &fb, &f, err);
    if (!st)
        st = ch4_mesh_init(rest, v.shape[0], f.shape[0], err);
    if (!st) {
        memcpy(rest->vert, v.data, vb.size);
        memcpy(rest->face, f.data, fb.size);
        st = ch4_mesh_check(rest->vert, rest->n_vert, rest->face, rest->n_face, err);
    }
    ch4_buf_free(&vb);
    ch4_buf_free(&fb);
    return st;
}

ch4_status ch4_denoise_read_moved(ch4_denoise_moved *out, const char *first_chain, const char *animate, int64_t slot, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor t;
    *out = (ch4_denoise_moved){0};
    ch4_status st = ch4_store_open(&r, first_chain, err);
    if (!st)
        st = read_rest(&out->rest, r, err);
    ch4_store_close(&r);
    if (!st)
        st = ch4_store_open(&r, animate, err);
    if (!st)
        st = ch4_store_stat(r, "/vertices", &t, err);
    if (!st && (t.rank != 3 || t.shape[1] != out->rest.n_vert || t.shape[2] != 3 || slot >= t.shape[0]))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: vertices do not belong to the mesh of %s", animate, first_chain);
    if (!st)
        st = ch4_calloc(&out->vert, (size_t)out->rest.n_vert, 3 * sizeof *out->vert, "animated vertices", err);
    if (!st)
        st = ch4_store_read_part(r, "/vertices", CH4_DTYPE_F32, slot, 1, out->vert, (size_t)out->rest.n_vert * 3 * sizeof *out->vert, err);
    if (!st && (st = ch4_mesh_check(out->vert, out->rest.n_vert, out->rest.face, out->rest.n_face, err)))
        ch4_err_wrap(err, st, "%s: slot %lld", animate, (long long)slot);
    ch4_store_close(&r);
    if (st)
        ch4_denoise_moved_fini(out);
    return st;
}

void ch4_denoise_moved_fini(ch4_denoise_moved *m)
{
    ch4_mesh_fini(&m->rest);
    free(m->vert);
    *m = (ch4_denoise_moved){0};
}

ch4_status ch4_denoise_read_pairs(ch4_token_pair **pairs, int64_t *n, const char *chain, int64_t N, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_buf pb = {0}, cb = {0};
    ch4_tensor p, c;
    *pairs = NULL;
    *n = 0;
    ch4_status st = ch4_store_open(&r, chain, err);
    if (!st)
        st = ch4_store_read(r, "/reinforce/pair", CH4_DTYPE_I32, 2, (int64_t[]){-1, 3}, &pb, &p, err);
    if (!st)
        st = ch4_store_read(r, "/reinforce/confidence", CH4_DTYPE_F32, 1, p.shape, &cb, &c, err);
    if (!st)
        st = ch4_calloc(pairs, (size_t)p.shape[0], sizeof **pairs, "token pairs", err);
    for (int64_t i = 0; !st && i < p.shape[0]; i++) {
        const int32_t *row = (const int32_t *)p.data + 3 * i;
        float confidence = ((const float *)c.data)[i];
        if (row[1] < 0 || row[1] >= N || row[2] < 0 || row[2] >= N || !(confidence > 0) || !isfinite(confidence))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: token pair %lld is out of range", chain, (long long)i);
        (*pairs)[i] = (ch4_token_pair){row[0], row[1], row[2], confidence};
    }
    *n = st ? 0 : p.shape[0];
    ch4_store_close(&r);
    ch4_buf_free(&pb);
    ch4_buf_free(&cb);
    return st;
}
