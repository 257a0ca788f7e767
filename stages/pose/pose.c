#include "stages/pose/pose.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/model_info.h"
#include "config/config.h"
#include "stages/pose/pose_window.h"
#include "store/store.h"

/* Arrays of a window and the memory that they lie in. */
typedef struct window_files {
    ch4_pose_input in;
    ch4_buf buf[8];
    uint8_t *alpha;
} window_files;

static void close_files(window_files *w)
{
    for (size_t i = 0; i < sizeof w->buf / sizeof *w->buf; i++)
        ch4_buf_free(&w->buf[i]);
    free(w->alpha);
}

static ch4_status read_array(const ch4_store_reader *r, ch4_buf *buf, ch4_tensor *t, const char *name, ch4_dtype dtype, int rank,
                             const int64_t *shape, ch4_err *err)
{
    ch4_status st = ch4_store_read(r, name, dtype, rank, shape, buf, t, err);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", name);
}

static ch4_status read_motion(window_files *w, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_tensor v;
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[0], &v, "/vertices", CH4_DTYPE_F32, 3, (int64_t[]){-1, -1, 3}, err);
    if (st == CH4_OK) {
        w->in.vertices = v.data;
        w->in.T = v.shape[0];
        w->in.V = v.shape[1];
    }
    ch4_store_close(&r);
    return st;
}

static ch4_status read_matches(window_files *w, const char *path, ch4_err *err)
{
    ch4_pose_input *in = &w->in;
    ch4_store_reader *r = NULL;
    ch4_tensor f, xy, score, vertex, vertex_score;
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[1], &f, "/anchor/faces", CH4_DTYPE_I32, 2, (int64_t[]){-1, 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[2], &vertex, "/patch/vertex", CH4_DTYPE_I32, 1, (int64_t[]){-1}, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[3], &vertex_score, "/patch/vertex_score", CH4_DTYPE_F32, 1, vertex.shape, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[4], &xy, "/patch/match_xy", CH4_DTYPE_F32, 3, (int64_t[]){in->T, vertex.shape[0], 2}, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[5], &score, "/patch/score", CH4_DTYPE_F32, 2, (int64_t[]){in->T, vertex.shape[0]}, err);
    if (st == CH4_OK)
        st = ch4_store_get_int(r, "anchor_slot", &in->anchor, err);
    if (st == CH4_OK) {
        in->faces = f.data;
        in->F = f.shape[0];
        in->vertex = vertex.data;
        in->P = vertex.shape[0];
        in->vertex_score = vertex_score.data;
        in->match_xy = xy.data;
        in->score = score.data;
        while (in->grid * in->grid < in->P)
            in->grid++;
        if (in->grid * in->grid != in->P || in->P < 1 || in->T < 1 || in->anchor < 0 || in->anchor >= in->T)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: %" PRId64 " patches, anchor slot %" PRId64 " of %" PRId64 " frames", path, in->P, in->anchor, in->T);
        for (int64_t i = 0; st == CH4_OK && i < in->P; i++)
            if (in->vertex[i] < 0 || in->vertex[i] >= in->V)
                st = ch4_err_set(err, CH4_EFORMAT, "%s: patch %" PRId64 " names vertex %" PRId32 " of %" PRId64, path, i, in->vertex[i], in->V);
        for (int64_t i = 0; st == CH4_OK && i < 3 * in->F; i++)
            if (in->faces[i] < 0 || in->faces[i] >= in->V)
                st = ch4_err_set(err, CH4_EFORMAT, "%s: face %" PRId64 " names vertex %" PRId32 " of %" PRId64, path, i / 3, in->faces[i], in->V);
    }
    ch4_store_close(&r);
    return st;
}

/* Frame numbers and times, and the foreground of the anchor frame. */
static ch4_status read_frames(window_files *w, const char *path, ch4_err *err)
{
    ch4_pose_input *in = &w->in;
    ch4_store_reader *r = NULL;
    ch4_tensor alpha, index, time;
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = ch4_store_stat(r, "/alpha", &alpha, err);
    if (st == CH4_OK && (alpha.dtype != CH4_DTYPE_U8 || alpha.rank != 3 || alpha.shape[0] != in->T || alpha.shape[1] != alpha.shape[2] || alpha.shape[1] < in->grid))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: /alpha is not one square picture of bytes for each of %" PRId64 " frames", path, in->T);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[6], &index, "/frame_index", CH4_DTYPE_I64, 1, (int64_t[]){in->T}, err);
    if (st == CH4_OK)
        st = read_array(r, &w->buf[7], &time, "/time", CH4_DTYPE_F64, 1, (int64_t[]){in->T}, err);
    if (st == CH4_OK) {
        in->side = alpha.shape[1];
        in->frame_index = index.data;
        st = ch4_calloc(&w->alpha, (size_t)(in->side * in->side), 1, "foreground", err);
    }
    if (st == CH4_OK)
        st = ch4_store_read_part(r, "/alpha", CH4_DTYPE_U8, in->anchor, 1, w->alpha, (size_t)(in->side * in->side), err);
    in->alpha = w->alpha;
    ch4_store_close(&r);
    return st;
}

/* The clip's anchor camera and queries from the file of window 0. */
static ch4_status read_first(ch4_camera *anchor, ch4_queries *q, const char *path, const ch4_pose_input *in, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    ch4_buf buf[5] = {{0}};
    ch4_tensor R, t, pixel, face, bary;
    int64_t status = 0;
    ch4_status st = ch4_store_open(&r, path, err);
    if (st == CH4_OK)
        st = read_array(r, &buf[0], &R, "/anchor_camera/R", CH4_DTYPE_F64, 2, (int64_t[]){3, 3}, err);
    if (st == CH4_OK)
        st = read_array(r, &buf[1], &t, "/anchor_camera/t", CH4_DTYPE_F64, 1, (int64_t[]){3}, err);
    if (st == CH4_OK)
        st = read_array(r, &buf[2], &face, "/tracks/face", CH4_DTYPE_I32, 1, (int64_t[]){-1}, err);
    if (st == CH4_OK)
        st = read_array(r, &buf[3], &pixel, "/tracks/pixel", CH4_DTYPE_F32, 2, (int64_t[]){face.shape[0], 2}, err);
    if (st == CH4_OK)
        st = read_array(r, &buf[4], &bary, "/tracks/bary", CH4_DTYPE_F32, 2, (int64_t[]){face.shape[0], 3}, err);
    if (st == CH4_OK)
        st = ch4_store_get_int(r, "anchor_camera_status", &status, err);
    if (st == CH4_OK) {
        memcpy(anchor->pose.R, R.data, sizeof anchor->pose.R);
        memcpy(anchor->pose.t, t.data, sizeof anchor->pose.t);
        anchor->status = (uint8_t)status;
        for (int64_t i = 0; i < face.shape[0]; i++)
            if (((const int32_t *)face.data)[i] < 0 || ((const int32_t *)face.data)[i] >= in->F)
                st = ch4_err_set(err, CH4_EFORMAT, "%s: track %" PRId64 " names no face of this window", path, i);
        if (status < 0 || status >= CH4_CAMERA_STATUS_COUNT || !ch4_rigid_valid(&anchor->pose))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: anchor camera is damaged", path);
    }
    if (st == CH4_OK) { /* the buffers become the queries' */
        *q = (ch4_queries){.Q = face.shape[0], .pixel = pixel.data, .face = face.data, .bary = bary.data};
        buf[2] = buf[3] = buf[4] = (ch4_buf){0};
    }
    for (int i = 0; i < 5; i++)
        ch4_buf_free(&buf[i]);
    ch4_store_close(&r);
    return st;
}

/* --- writing --------------------------------------------------------------------------------------------------------------------- */

static ch4_status write_cameras(ch4_store_writer *writer, const ch4_pose_result *r, int64_t T, ch4_err *err)
{
    double *K = NULL, *R = NULL, *t = NULL;
    uint8_t *status = NULL, *pnp = NULL;
    int32_t *inliers = NULL;
    size_t n = (size_t)T;
    ch4_status st;
    if ((st = ch4_calloc(&K, 9 * n, sizeof *K, "cameras", err)) || (st = ch4_calloc(&R, 9 * n, sizeof *R, "cameras", err)) ||
        (st = ch4_calloc(&t, 3 * n, sizeof *t, "cameras", err)) || (st = ch4_calloc(&status, n, 1, "cameras", err)) ||
        (st = ch4_calloc(&pnp, n, 1, "cameras", err)) || (st = ch4_calloc(&inliers, n, sizeof *inliers, "cameras", err)))
        goto out;
    for (int64_t f = 0; f < T; f++) {
        const ch4_camera *c = &r->camera[f];
        ch4_intrinsics_matrix(K + 9 * f, r->k);
        memcpy(R + 9 * f, c->pose.R, sizeof c->pose.R);
        memcpy(t + 3 * f, c->pose.t, sizeof c->pose.t);
        status[f] = c->status;
        pnp[f] = c->pnp;
        inliers[f] = c->inliers;
    }
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/camera/K", CH4_VIEW(K, CH4_DTYPE_F64, T, 3, 3)},      {"/camera/R", CH4_VIEW(R, CH4_DTYPE_F64, T, 3, 3)},
        {"/camera/t", CH4_VIEW(t, CH4_DTYPE_F64, T, 3)},         {"/camera/status", CH4_VIEW(status, CH4_DTYPE_U8, T)},
        {"/camera/pnp", CH4_VIEW(pnp, CH4_DTYPE_U8, T)},         {"/camera/inliers", CH4_VIEW(inliers, CH4_DTYPE_I32, T)},
    };
    for (size_t i = 0; st == CH4_OK && i < sizeof sets / sizeof *sets; i++)
        st = ch4_store_write(writer, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, err);
out:
    free(K);
    free(R);
    free(t);
    free(status);
    free(pnp);
    free(inliers);
    return st;
}

/* Which frames these are: whoever joins windows then need not open the large decode files. */
static ch4_status write_frames(ch4_store_writer *writer, const window_files *w, ch4_err *err)
{
    ch4_tensor index = CH4_VIEW(w->buf[6].data, CH4_DTYPE_I64, w->in.T), time = CH4_VIEW(w->buf[7].data, CH4_DTYPE_F64, w->in.T);
    ch4_status st = ch4_store_write(writer, "/frame_index", &index, CH4_STORE_PLAIN, err);
    return st == CH4_OK ? ch4_store_write(writer, "/time", &time, CH4_STORE_PLAIN, err) : st;
}

/* What the numbers of /camera/status and /camera/pnp mean, for whoever reads the file: names separated by commas. */
static ch4_status write_names(ch4_store_writer *writer, ch4_err *err)
{
    char status[256] = "", pnp[256] = "";
    for (int i = 0; i < CH4_CAMERA_STATUS_COUNT; i++)
        snprintf(status + strlen(status), sizeof status - strlen(status), "%s%s", i ? "," : "", ch4_camera_status_name(i));
    for (int i = 0; i < CH4_PNP_STATUS_COUNT; i++)
        snprintf(pnp + strlen(pnp), sizeof pnp - strlen(pnp), "%s%s", i ? "," : "", ch4_pnp_status_name((ch4_pnp_status)i));
    ch4_status st = ch4_store_set_text(writer, "camera_status_names", status, err);
    return st == CH4_OK ? ch4_store_set_text(writer, "pnp_status_names", pnp, err) : st;
}

static ch4_status write_tracks(ch4_store_writer *writer, const ch4_pose_result *r, const ch4_queries *q, const ch4_camera *anchor, int64_t T, ch4_err *err)
{
    double R[9], t[3];
    memcpy(R, anchor->pose.R, sizeof R);
    memcpy(t, anchor->pose.t, sizeof t);
    const struct {
        const char *name;
        ch4_tensor t;
    } sets[] = {
        {"/tracks/pixel", CH4_F32(q->pixel, q->Q, 2)}, {"/tracks/face", CH4_VIEW(q->face, CH4_DTYPE_I32, q->Q)},
        {"/tracks/bary", CH4_F32(q->bary, q->Q, 3)},   {"/tracks/uv", CH4_F32(r->uv, T, q->Q, 2)},
        {"/tracks/xyz", CH4_F32(r->xyz, T, q->Q, 3)},  {"/anchor_camera/R", CH4_VIEW(R, CH4_DTYPE_F64, 3, 3)},
        {"/anchor_camera/t", CH4_VIEW(t, CH4_DTYPE_F64, 3)},
    };
    ch4_status st = CH4_OK;
    for (size_t i = 0; st == CH4_OK && i < sizeof sets / sizeof *sets; i++)
        st = ch4_store_write(writer, sets[i].name, &sets[i].t, CH4_STORE_PLAIN, err);
    if (st == CH4_OK)
        st = ch4_store_set_int(writer, "anchor_camera_status", anchor->status, err);
    if (st == CH4_OK)
        st = ch4_store_set_real(writer, "threshold_px", r->threshold_px, err);
    return st;
}

ch4_status ch4_pose_file(ch4_store_writer *writer, ch4_pose_report *report, const ch4_pose_files *files, const ch4_pose_options *options,
                         ch4_pool *pool, ch4_err *err)
{
    window_files w = {0};
    ch4_camera anchor = {0};
    ch4_queries queries = {0};
    ch4_pose_result result = {0};
    *report = (ch4_pose_report){0};
    ch4_status st = read_motion(&w, files->animate, err);
    if (st == CH4_OK)
        st = read_matches(&w, files->chain, err);
    if (st == CH4_OK)
        st = read_frames(&w, files->decode, err);
    if (st == CH4_OK && files->first)
        st = read_first(&anchor, &queries, files->first, &w.in, err);
    if (st == CH4_OK && !files->first)
        st = ch4_pose_anchor(&anchor, &w.in, options, err);
    if (st == CH4_OK && !files->first)
        st = ch4_pose_queries(&queries, &report->missed, &w.in, &anchor, options, pool, err);
    if (st == CH4_OK)
        st = ch4_pose_window(&result, &w.in, &anchor, &queries, options, pool, err);
    if (st == CH4_OK)
        st = write_cameras(writer, &result, w.in.T, err);
    if (st == CH4_OK)
        st = write_tracks(writer, &result, &queries, &anchor, w.in.T, err);
    if (st == CH4_OK)
        st = write_frames(writer, &w, err);
    if (st == CH4_OK)
        st = write_names(writer, err);
    for (int64_t f = 0; st == CH4_OK && f < w.in.T; f++)
        report->solved += result.camera[f].status == CH4_CAMERA_SOLVED || result.camera[f].status == CH4_CAMERA_SOLVED_SQPNP;
    report->frames = w.in.T;
    report->pairs = result.pairs;
    report->queries = queries.Q;
    report->anchor_status = anchor.status;
    ch4_pose_result_fini(&result);
    ch4_queries_fini(&queries);
    close_files(&w);
    return st;
}

/* --- the stage ------------------------------------------------------------------------------------------------------------------- */

static ch4_pose_options options_of(const ch4_config *config, const ch4_model_info *model)
{
    ch4_pose_options o = {.focal = config->pose.focal, .pnp = ch4_pnp_defaults(), .track_stride = config->pose.track_stride,
                          .outline = config->pose.outline, .anchor_only = config->pose.mode == CH4_POSE_ANCHOR};
    o.pnp.threshold_px = config->pose.threshold_px;
    o.pnp.iterations = (int)config->pose.iterations;
    o.pnp.confidence = config->pose.confidence;
    o.pnp.cauchy_px = config->pose.cauchy_px;
    o.pnp.seed = (uint64_t)config->run.seed;
    o.has_view = model->view.known;
    o.view_weight = config->pose.view_weight;
    ch4_view_rotation(o.view, model->view.azimuth, model->view.elevation);
    return o;
}

ch4_status ch4_pose_open(ch4_stage *stage, void **state, ch4_err *err)
{
    char path[CH4_STAGE_PATH];
    ch4_model_info model;
    ch4_pose_options *o = NULL;
    if (snprintf(path, sizeof path, "%s/model.yaml", stage->config->run.model) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "%s: path too long", stage->config->run.model);
    ch4_status st = ch4_model_info_load(&model, path, NULL, err);
    if (st != CH4_OK)
        return st;
    st = ch4_calloc(&o, 1, sizeof *o, "pose", err);
    if (st == CH4_OK)
        *o = options_of(stage->config, &model);
    ch4_model_info_fini(&model);
    *state = o;
    return st;
}

void ch4_pose_close(ch4_stage *stage, void *state)
{
    (void)stage;
    free(state);
}

static void tell(ch4_stage *stage, const ch4_stage_window *window, const ch4_pose_report *r)
{
    if (window->index == 0 && r->anchor_status == CH4_CAMERA_NONE)
        ch4_stage_note(stage, &window->clip, "%s: no camera could be found from %" PRId64 " patches: cameras are a frontal stand-in, no tracks",
                       window->clip.name, r->pairs);
    else if (window->index == 0 && r->anchor_status == CH4_CAMERA_KEPT)
        ch4_stage_note(stage, &window->clip, "%s: no camera could be found in the anchor frame: that of the nearest frame is used", window->clip.name);
    ch4_log_write(stage->log, CH4_LOG_INFO, "cameras",
                  (const ch4_kv[]){CH4_STR("clip", window->clip.name), CH4_INT("window", window->index), CH4_INT("frames", r->frames),
                                   CH4_STR("anchor", ch4_camera_status_name(r->anchor_status)), CH4_INT("solved", r->solved),
                                   CH4_INT("pairs", r->pairs), CH4_INT("tracks", r->queries), CH4_INT("missed", r->missed), {.type = CH4_KV_END}});
}

ch4_status ch4_pose_process(ch4_stage *stage, void *state, const ch4_stage_window *window, ch4_err *err)
{
    char decode[CH4_STAGE_PATH], chain[CH4_STAGE_PATH], first[CH4_STAGE_PATH];
    ch4_store_writer *writer = NULL;
    const ch4_pose_files files = {.decode = decode, .chain = chain, .animate = window->input, .first = window->index > 0 ? first : NULL};
    ch4_pose_report report;
    if (window->index > 0 && !ch4_stage_has(stage, &window->clip, 0, "pose"))
        return ch4_err_set(err, CH4_EAGAIN, "waits for the anchor camera of window 0");
    ch4_status st = ch4_stage_path(decode, &window->clip, window->index, "decode", err);
    if (st == CH4_OK)
        st = ch4_stage_path(chain, &window->clip, window->index, "chain", err);
    if (st == CH4_OK)
        st = ch4_stage_path(first, &window->clip, 0, "pose", err);
    if (st == CH4_OK)
        st = ch4_store_create(&writer, window->output, err);
    if (st == CH4_OK)
        st = ch4_pose_file(writer, &report, &files, state, stage->pool, err);
    if (st != CH4_OK) {
        ch4_store_discard(&writer);
        return st;
    }
    tell(stage, window, &report);
    return ch4_stage_commit(stage, &writer, err);
}
