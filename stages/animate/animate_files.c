#include "stages/animate/animate_files.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/mesh.h"

static ch4_status read_array(const ch4_store_reader *r, ch4_buf *buf, ch4_tensor *t, const char *name, ch4_dtype dtype, int rank,
                             const int64_t *shape, ch4_err *err)
{
    ch4_status st = ch4_store_read(r, name, dtype, rank, shape, buf, t, err);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", name);
}

static ch4_status find_order(ch4_animate_chain_file *c, const int64_t *frame, ch4_err *err)
{
    int64_t F = c->in.F;
    ch4_status st = ch4_calloc(&c->order, (size_t)F, sizeof *c->order, "frames", err);
    for (int64_t i = 0; st == CH4_OK && i < F; i++) {
        int64_t at = 0;
        for (int64_t j = 0; j < F; j++)
            at += frame[j] < frame[i] || (j < i && frame[j] == frame[i]);
        c->order[at] = i;
    }
    return st;
}

static ch4_status read_chain(ch4_animate_chain_file *c, const ch4_store_reader *r, ch4_err *err)
{
    ch4_tensor vert, face, landmark, path, score, index;
    ch4_animate_input *in = &c->in;
    ch4_status st = read_array(r, &c->buf[0], &vert, "/anchor/vertices", CH4_DTYPE_F32, 2, (int64_t[]){-1, 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[1], &face, "/anchor/faces", CH4_DTYPE_I32, 2, (int64_t[]){-1, 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[2], &landmark, "/landmarks/index", CH4_DTYPE_I32, 1, (int64_t[]){-1}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[3], &path, "/landmarks/path", CH4_DTYPE_F32, 3, (int64_t[]){-1, landmark.shape[0], 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[4], &score, "/landmarks/score", CH4_DTYPE_F32, 2, (int64_t[]){path.shape[0], landmark.shape[0]}, err);
    if (st == CH4_OK)
        st = read_array(r, &c->buf[5], &index, "/frame_index", CH4_DTYPE_I64, 1, path.shape, err);
    if (st == CH4_OK)
        st = ch4_store_get_int(r, "anchor_slot", &in->a, err);
    if (st != CH4_OK)
        return st;
    in->vert = vert.data;
    in->V = vert.shape[0];
    in->face = face.data;
    in->n_face = face.shape[0];
    in->landmark = landmark.data;
    in->K = landmark.shape[0];
    in->path = path.data;
    in->score = score.data;
    in->F = path.shape[0];
    st = ch4_mesh_check(in->vert, in->V, in->face, in->n_face, err);
    for (int64_t l = 0; st == CH4_OK && l < in->K; l++)
        if (in->landmark[l] < 0 || in->landmark[l] >= in->V)
            st = ch4_err_set(err, CH4_EFORMAT, "landmark %" PRId64 " is vertex %" PRId32 " of %" PRId64, l, in->landmark[l], in->V);
    if (st == CH4_OK && (in->F < 1 || in->a < 0 || in->a >= in->F))
        st = ch4_err_set(err, CH4_EFORMAT, "anchor slot %" PRId64 " of %" PRId64 " frames", in->a, in->F);
    if (st == CH4_OK)
        st = find_order(c, index.data, err);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", ch4_store_path(r));
}

ch4_status ch4_animate_open_chain(ch4_animate_chain_file *c, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = read_chain(c, r, err);
    if (st == CH4_OK)
        st = ch4_mesh_graph_init(&c->graph, c->in.vert, c->in.V, c->in.face, c->in.n_face, err);
    c->in.graph = &c->graph;
    ch4_store_close(&r);
    return st;
}

void ch4_animate_close_chain(ch4_animate_chain_file *c)
{
    ch4_mesh_graph_fini(&c->graph);
    free(c->order);
    for (size_t i = 0; i < sizeof c->buf / sizeof *c->buf; i++)
        ch4_buf_free(&c->buf[i]);
}

/* --- slots and frames ------------------------------------------------------------------------------------------------------------- */

/* Rows of `size` bytes into the given order: row i comes from order[i]; or back: row i goes to order[i]. */
static ch4_status move_rows(void *rows, size_t size, const int64_t *order, int64_t F, bool back, ch4_err *err)
{
    char *copy = NULL, *row = rows;
    int64_t in_place = 0;
    while (in_place < F && order[in_place] == in_place)
        in_place++;
    if (in_place == F)
        return CH4_OK;
    ch4_status st = ch4_calloc(&copy, (size_t)F, size, "frames", err);
    if (st != CH4_OK)
        return st;
    memcpy(copy, rows, (size_t)F * size);
    for (int64_t i = 0; i < F; i++)
        memcpy(row + (size_t)(back ? order[i] : i) * size, copy + (size_t)(back ? i : order[i]) * size, size);
    free(copy);
    return CH4_OK;
}

ch4_status ch4_animate_sort_slots(ch4_animate_chain_file *c, ch4_err *err)
{
    ch4_animate_input *in = &c->in;
    int64_t a = 0;
    while (c->order[a] != in->a)
        a++;
    in->a = a;
    ch4_status st = move_rows(c->buf[3].data, (size_t)in->K * 3 * sizeof *in->path, c->order, in->F, false, err);
    return st == CH4_OK ? move_rows(c->buf[4].data, (size_t)in->K * sizeof *in->score, c->order, in->F, false, err) : st;
}

ch4_status ch4_animate_unsort_slots(ch4_animate_chain_file *c, ch4_animate_result *r, ch4_err *err)
{
    ch4_animate_input *in = &c->in;
    ch4_status st = move_rows(r->vertices, (size_t)in->V * 3 * sizeof *r->vertices, c->order, in->F, true, err);
    if (st == CH4_OK)
        st = move_rows(r->smoothed, (size_t)in->K * 3 * sizeof *r->smoothed, c->order, in->F, true, err);
    if (st == CH4_OK)
        st = move_rows(r->valid, (size_t)in->K, c->order, in->F, true, err);
    in->a = c->order[in->a];
    return st;
}

/* --- latents of the window ------------------------------------------------------------------------------------------------------ */

ch4_status ch4_animate_open_latents(ch4_animate_latents *l, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor z, index;
    *l = (ch4_animate_latents){0};
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = read_array(r, &l->buf[0], &z, "/latents", CH4_DTYPE_F32, 3, NULL, err);
    if (st == CH4_OK)
        st = read_array(r, &l->buf[1], &index, "/frame_index", CH4_DTYPE_I64, 1, (int64_t[]){z.shape[0]}, err);
    if (st == CH4_OK) {
        l->T = z.shape[0], l->N = z.shape[1], l->d = z.shape[2];
        l->z = z.data;
        l->frame = index.data;
    }
    for (int64_t i = 0; st == CH4_OK && i < l->T * l->N * l->d; i++)
        if (!isfinite(l->z[i]))
            st = ch4_err_set(err, CH4_EFORMAT, "latents: value %" PRId64 " is not finite", i);
    ch4_store_close(&r);
    if (st != CH4_OK)
        ch4_animate_close_latents(l);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", path);
}

void ch4_animate_close_latents(ch4_animate_latents *l)
{
    ch4_buf_free(&l->buf[0]);
    ch4_buf_free(&l->buf[1]);
    *l = (ch4_animate_latents){0};
}

/* --- what comes out --------------------------------------------------------------------------------------------------------------- */

static ch4_status write_smoothed(ch4_store_writer *writer, const ch4_animate_result *r, int64_t F, int64_t K, ch4_err *err)
{
    ch4_buf buf = {0};
    ch4_status st = ch4_buf_alloc(&buf, (size_t)(F * K) * 3 * sizeof(float), err);
    if (st != CH4_OK)
        return st;
    ch4_tensor t = CH4_F32(buf.data, F, K, 3);
    for (int64_t i = 0; i < F * K * 3; i++)
        ((float *)buf.data)[i] = (float)r->smoothed[i];
    st = ch4_store_write(writer, "/landmarks/smoothed", &t, CH4_STORE_PLAIN, err);
    ch4_buf_free(&buf);
    return st;
}

ch4_status ch4_animate_write(ch4_store_writer *writer, const ch4_animate_result *r, const ch4_animate_input *in, ch4_err *err)
{
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/vertices", CH4_F32(r->vertices, in->F, in->V, 3)},
        {"/landmarks/valid", CH4_VIEW(r->valid, CH4_DTYPE_U8, in->F, in->K)},
        {"/landmarks/kept", CH4_VIEW(r->kept, CH4_DTYPE_U8, in->K)},
    };
    ch4_status st = write_smoothed(writer, r, in->F, in->K, err);
    for (size_t i = 0; st == CH4_OK && i < sizeof sets / sizeof *sets; i++)
        st = ch4_store_write(writer, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, err);
    if (st == CH4_OK)
        st = ch4_store_set_int(writer, "anchor_slot", in->a, err);
    if (st == CH4_OK)
        st = ch4_store_set_int(writer, "relaxed", r->relaxed, err);
    if (st == CH4_OK)
        st = ch4_store_set_real(writer, "mean_spacing", r->mean_spacing, err);
    return st;
}
