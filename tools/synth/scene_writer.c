#include "tools/synth/scene_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "mesh/mesh_io.h"
#include "tensor/npy_writer.h"
#include "tensor/safetensors.h"
#include "tools/eval/drift.h"
#include "tools/synth/clip_folder.h"
#include "tools/synth/creature_clip.h"
#include "tools/synth/picture_writer.h"
#include "tools/synth/tracks.h"

int64_t ch4_synth_scene_frame(const ch4_synth_scene *scene, int64_t k)
{
    return k < scene->mesh->n_frames ? k : ch4_pingpong_frame(k, scene->mesh->n_frames);
}

/* Mesh frames that the clip shows. */
static int64_t frames_shown(const ch4_synth_scene *s) { return ch4_min_i64(s->n_frames, s->mesh->n_frames); }

/* --- pictures, surface points ----------------------------------------------------------------------------------------------- */

/* A picture that is shown again is kept. */
typedef struct picture {
    ch4_synth_png png;
    uint8_t *rgb; /* on white */
} picture;

typedef struct frame_writer {
    const ch4_synth_scene *scene;
    const char *folder;
    uint8_t *visible; /* [frames_shown,N]; the caller's */
    int64_t n_picture;
    picture *picture; /* [n_picture]: one, or one for each mesh frame */
    ch4_synth_sample *sample;
    float *screen, *xyz, *normal, *row; /* row [N,6]: xyz and normal */
    uint8_t *rgba;
    ch4_synth_video *video, *video_alpha;
    ch4_npy_writer *surfaces;
} frame_writer;

static void frame_writer_fini(frame_writer *w)
{
    for (int64_t i = 0; w->picture && i < w->n_picture; i++) {
        ch4_synth_png_free(&w->picture[i].png);
        free(w->picture[i].rgb);
    }
    free(w->picture);
    free(w->sample);
    free(w->screen);
    free(w->xyz);
    free(w->normal);
    free(w->row);
    free(w->rgba);
    ch4_synth_video_destroy(&w->video);
    ch4_synth_video_destroy(&w->video_alpha);
    ch4_npy_abort(&w->surfaces);
}

static ch4_status frame_writer_init(frame_writer *w, ch4_err *err)
{
    const ch4_synth_scene *s = w->scene;
    char path[CH4_SYNTH_PATH + 32];
    int size = s->camera->size;
    size_t pixels = (size_t)size * (size_t)size, samples = pixels * (size_t)(s->camera->samples * s->camera->samples), n = (size_t)s->n_points;
    w->n_picture = s->n_frames > s->mesh->n_frames ? s->mesh->n_frames : 1;
    ch4_status st = ch4_calloc(&w->picture, (size_t)w->n_picture, sizeof(*w->picture), "pictures", err);
    for (int64_t i = 0; !st && i < w->n_picture; i++) st = ch4_calloc(&w->picture[i].rgb, pixels, 3, "picture", err);
    if (!st) st = ch4_calloc(&w->sample, samples, sizeof(*w->sample), "samples", err);
    if (!st) st = ch4_calloc(&w->rgba, pixels, 4, "picture", err);
    if (!st) st = ch4_calloc(&w->screen, (size_t)s->mesh->n_vert * 3, sizeof(float), "screen positions", err);
    if (!st) st = ch4_calloc(&w->xyz, n * 3, sizeof(float), "surface points", err);
    if (!st) st = ch4_calloc(&w->normal, n * 3, sizeof(float), "surface points", err);
    if (!st) st = ch4_calloc(&w->row, n * 6, sizeof(float), "surface points", err);
    snprintf(path, sizeof(path), "%s/video.mp4", w->folder);
    if (!st) st = ch4_synth_video_create(&w->video, CH4_SYNTH_VIDEO_H264, path, size, s->fps, err);
    snprintf(path, sizeof(path), "%s/video_alpha.mov", w->folder);
    if (!st) st = ch4_synth_video_create(&w->video_alpha, CH4_SYNTH_VIDEO_ALPHA, path, size, s->fps, err);
    snprintf(path, sizeof(path), "%s/surfaces.npy", w->folder);
    if (!st) st = ch4_npy_create(&w->surfaces, path, CH4_DTYPE_F32, 3, (const int64_t[]){s->n_frames, s->n_points, 6}, err);
    return st;
}

/* Draws mesh frame m; which of its points are seen follows from the same samples. */
static ch4_status draw(frame_writer *w, picture *to, int64_t m, ch4_err *err)
{
    const ch4_synth_scene *s = w->scene;
    const ch4_synth_camera *camera = &s->camera[m];
    ch4_synth_surface surface = ch4_synth_surface_at(s->mesh, m);
    surface.light = s->light;
    ch4_synth_rasterise(w->sample, w->screen, &surface, camera);
    ch4_synth_compute_visible(w->visible + m * s->n_points, w->xyz, w->normal, s->n_points, w->sample, camera);
    ch4_synth_resolve(w->rgba, w->screen, w->sample, &surface, camera);
    ch4_synth_on_white(to->rgb, w->rgba, camera->size);
    return ch4_synth_png_encode(&to->png, w->rgba, camera->size, camera->size, 4, err);
}

static ch4_status write_frame(frame_writer *w, int64_t k, ch4_err *err)
{
    const ch4_synth_scene *s = w->scene;
    int64_t m = ch4_synth_scene_frame(s, k);
    picture *p = &w->picture[w->n_picture > 1 ? m : 0];
    char path[CH4_SYNTH_PATH + 64];
    ch4_status st = CH4_OK;
    ch4_synth_points(w->xyz, w->normal, s->mesh, m, s->face, s->bary, s->n_points);
    if (k == m) st = draw(w, p, m, err);
    ch4_synth_numbered_path(path, sizeof(path), w->folder, "imgs/", k, s->n_frames, ".png");
    if (!st) st = ch4_synth_png_write(path, &p->png, err);
    if (!st) st = ch4_synth_video_write(w->video, p->rgb, err);
    if (!st) st = ch4_synth_video_write_png(w->video_alpha, &p->png, err);
    for (int64_t i = 0; i < s->n_points; i++)
        for (int c = 0; c < 3; c++) w->row[6 * i + c] = w->xyz[3 * i + c], w->row[6 * i + 3 + c] = w->normal[3 * i + c];
    return st ? st : ch4_npy_append(w->surfaces, w->row, s->n_points * 6, err);
}

static ch4_status write_frames(uint8_t *visible, const char *folder, const ch4_synth_scene *scene, ch4_err *err)
{
    frame_writer w = {.scene = scene, .folder = folder, .visible = visible};
    ch4_status st = frame_writer_init(&w, err);
    for (int64_t k = 0; !st && k < scene->n_frames; k++) st = write_frame(&w, k, err);
    if (!st) st = ch4_synth_video_finish(w.video, err);
    if (!st) st = ch4_synth_video_finish(w.video_alpha, err);
    if (!st) st = ch4_npy_close(&w.surfaces, err);
    frame_writer_fini(&w);
    return st;
}

/* --- gt.safetensors ------------------------------------------------------------------------------------------------------------- */

typedef struct truth {
    float *vert;       /* [F,V,3] */
    double *K, *R, *t; /* [F,..] */
    int64_t *source;   /* [F] */
    int64_t n_query, query[CH4_SYNTH_QUERIES];
    float *uv, *xyz;   /* [Q,F,2], [Q,F,3] */
    uint8_t *occluded; /* [Q,F] */
} truth;

static void truth_fini(truth *x)
{
    free(x->vert);
    free(x->K);
    free(x->R);
    free(x->t);
    free(x->source);
    free(x->uv);
    free(x->xyz);
    free(x->occluded);
}

/* Frame k of the clip shows mesh frame m. */
static void fill_tracks(truth *x, const ch4_synth_scene *s, const uint8_t *visible, int64_t k, int64_t m)
{
    const ch4_synth_camera *camera = &s->camera[m];
    for (int64_t q = 0; q < x->n_query; q++) {
        int64_t point = x->query[q], at = q * s->n_frames + k;
        float p[3];
        double uv[2], z;
        ch4_synth_points(p, NULL, s->mesh, m, s->face + point, s->bary + 3 * point, 1);
        ch4_synth_project(uv, &z, camera, p);
        for (int c = 0; c < 2; c++) x->uv[2 * at + c] = (float)(uv[c] / camera->size);
        for (int c = 0; c < 3; c++)
            x->xyz[3 * at + c] = (float)(camera->R[3 * c] * p[0] + camera->R[3 * c + 1] * p[1] + camera->R[3 * c + 2] * p[2] + camera->t[c]);
        x->occluded[at] = !visible[m * s->n_points + point];
    }
}

static ch4_status truth_init(truth *x, const ch4_synth_scene *s, const uint8_t *visible, ch4_err *err)
{
    size_t F = (size_t)s->n_frames, V3 = (size_t)s->mesh->n_vert * 3, entries;
    x->n_query = ch4_synth_choose_queries(x->query, CH4_SYNTH_QUERIES, visible, s->n_points, frames_shown(s));
    entries = (size_t)x->n_query * F;
    ch4_status st = ch4_calloc(&x->vert, F * V3, sizeof(float), "vertices", err);
    if (!st) st = ch4_calloc(&x->K, F * 9, sizeof(double), "cameras", err);
    if (!st) st = ch4_calloc(&x->R, F * 9, sizeof(double), "cameras", err);
    if (!st) st = ch4_calloc(&x->t, F * 3, sizeof(double), "cameras", err);
    if (!st) st = ch4_calloc(&x->source, F, sizeof(int64_t), "frames", err);
    if (!st) st = ch4_calloc(&x->uv, entries * 2, sizeof(float), "tracks", err);
    if (!st) st = ch4_calloc(&x->xyz, entries * 3, sizeof(float), "tracks", err);
    if (!st) st = ch4_calloc(&x->occluded, entries, 1, "tracks", err);
    for (int64_t k = 0; !st && k < s->n_frames; k++) {
        int64_t m = x->source[k] = ch4_synth_scene_frame(s, k);
        memcpy(x->vert + (size_t)k * V3, s->mesh->vert + (size_t)m * V3, V3 * sizeof(float));
        memcpy(x->K + 9 * k, s->camera[m].K, sizeof(s->camera->K));
        memcpy(x->R + 9 * k, s->camera[m].R, sizeof(s->camera->R));
        memcpy(x->t + 3 * k, s->camera[m].t, sizeof(s->camera->t));
        fill_tracks(x, s, visible, k, m);
    }
    return st;
}

static ch4_status save_truth(const char *folder, const ch4_synth_scene *s, const uint8_t *visible, ch4_err *err)
{
    truth x = {0};
    char path[CH4_SYNTH_PATH + 32];
    const ch4_synth_mesh *m = s->mesh;
    int64_t F = s->n_frames, N = s->n_points;
    ch4_status st = truth_init(&x, s, visible, err);
    if (st) goto out;
    int64_t Q = x.n_query;
    const ch4_named_tensor tensors[] = {
        {"verts", CH4_F32(x.vert, F, m->n_vert, 3)},
        {"faces", CH4_VIEW(m->face, CH4_DTYPE_I32, m->n_face, 3)},
        {"color", CH4_F32(m->colour, m->n_vert, 3)},
        {"face_index", CH4_VIEW((void *)s->face, CH4_DTYPE_I32, N)},
        {"bary", CH4_F32((void *)s->bary, N, 3)},
        {"K", CH4_VIEW(x.K, CH4_DTYPE_F64, F, 3, 3)},
        {"R", CH4_VIEW(x.R, CH4_DTYPE_F64, F, 3, 3)},
        {"t", CH4_VIEW(x.t, CH4_DTYPE_F64, F, 3)},
        {"query_index", CH4_VIEW(x.query, CH4_DTYPE_I64, Q)},
        {"points", CH4_F32(x.uv, Q, F, 2)},
        {"occluded", CH4_VIEW(x.occluded, CH4_DTYPE_U8, Q, F)},
        {"tracks_xyz_cam", CH4_F32(x.xyz, Q, F, 3)},
        {"source_frame", CH4_VIEW(x.source, CH4_DTYPE_I64, F)},
    };
    snprintf(path, sizeof(path), "%s/gt.safetensors", folder);
    st = ch4_safetensors_save(path, tensors, sizeof(tensors) / sizeof(tensors[0]), err);
out:
    truth_fini(&x);
    return st;
}

/* --- meta.json --------------------------------------------------------------------------------------------------------------- */

static json_t *numbers(const double *x, int n)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(a, json_real(x[i]));
    return a;
}

static ch4_status save_meta(const char *folder, const ch4_synth_scene *s, ch4_err *err)
{
    char path[CH4_SYNTH_PATH + 32];
    double mean, share;
    const ch4_synth_camera *c = s->camera;
    ch4_synth_motion(&mean, &share, s->mesh);
    snprintf(path, sizeof(path), "%s/meta.json", folder);
    json_t *root = json_pack("{s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:{s:f, s:f}, s:{s:s, s:o, s:o, s:o}}", "frames", (json_int_t)s->n_frames, "source_frames",
                             (json_int_t)frames_shown(s), "fps", s->fps, "size", c->size, "vertices", (json_int_t)s->mesh->n_vert, "faces",
                             (json_int_t)s->mesh->n_face, "surface_points", (json_int_t)s->n_points, "motion", "mean_distance_from_frame_0", mean,
                             "share_beyond_0.15", share, "camera_of_frame_0", "convention", "OpenCV: Xc = R Xw + t, x right, y down, z forward, pixels", "K",
                             numbers(c->K, 9), "R", numbers(c->R, 9), "t", numbers(c->t, 3));
    json_t *all = json_copy((json_t *)s->about);
    if (!root || !all || json_object_update(all, root) != 0) {
        json_decref(root);
        json_decref(all);
        return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    }
    errno = 0;
    ch4_status st = json_dump_file(all, path, JSON_INDENT(2)) == 0 ? CH4_OK : ch4_err_set_errno(err, errno ? errno : EIO, "%s", path);
    json_decref(root);
    json_decref(all);
    return st;
}

/* --- a clip ----------------------------------------------------------------------------------------------------------------- */

static ch4_status prepare(const char *folder, const ch4_synth_scene *s, ch4_err *err)
{
    char path[CH4_SYNTH_PATH + 32];
    if (strlen(folder) >= CH4_SYNTH_PATH) return ch4_err_set(err, CH4_EINVAL, "%.40s...: path too long", folder);
    if (s->camera->size % 2)
        return ch4_err_set(err, CH4_EINVAL, "pictures of %d pixels: the size must be even for the video's 4:2:0 colour", s->camera->size);
    snprintf(path, sizeof(path), "%s/imgs", folder);
    ch4_status st = ch4_synth_make_folder(path, err);
    if (!st) st = ch4_synth_remove_files(path, "[0-9]*.png", err);
    return st ? st : ch4_synth_remove_files(folder, "meta.json", err);
}

ch4_status ch4_synth_scene_save(const char *folder, const ch4_synth_scene *scene, ch4_err *err)
{
    uint8_t *visible = NULL;
    char path[CH4_SYNTH_PATH + 32];
    ch4_status st = prepare(folder, scene, err);
    if (!st) st = ch4_calloc(&visible, (size_t)frames_shown(scene) * (size_t)scene->n_points, 1, "visibility", err);
    if (!st) st = write_frames(visible, folder, scene, err);
    if (!st) st = save_truth(folder, scene, visible, err);
    snprintf(path, sizeof(path), "%s/anchor.obj", folder);
    if (!st) st = ch4_synth_obj_save(path, scene->mesh->vert, scene->mesh->n_vert, scene->mesh->face, scene->mesh->n_face, err);
    if (!st) st = save_meta(folder, scene, err);
    free(visible);
    return st;
}

ch4_status ch4_synth_scene_save_meshes(const char *folder, const ch4_synth_scene *scene, ch4_err *err)
{
    const ch4_synth_mesh *m = scene->mesh;
    char path[CH4_SYNTH_PATH + 64];
    float *rgba = NULL;
    if (strlen(folder) >= CH4_SYNTH_PATH) return ch4_err_set(err, CH4_EINVAL, "%.40s...: path too long", folder);
    ch4_status st = ch4_synth_make_folder(folder, err);
    if (!st) st = ch4_synth_remove_files(folder, "mesh_[0-9]*.glb", err);
    if (!st) st = ch4_calloc(&rgba, (size_t)m->n_vert * 4, sizeof(float), "colours", err);
    for (int64_t i = 0; !st && i < 4 * m->n_vert; i++) rgba[i] = i % 4 == 3 ? 1 : m->colour[3 * (i / 4) + i % 4];
    for (int64_t k = 0; !st && k < scene->n_frames; k++) {
        const double time = 0;
        ch4_glb_options options = {.color = rgba, .no_sync = true};
        ch4_glb_writer *w = NULL;
        ch4_synth_numbered_path(path, sizeof(path), folder, "mesh_", k, scene->n_frames, ".glb");
        st = ch4_glb_create(&w, path, m->face, m->n_face, m->n_vert, &time, 1, &options, err);
        if (!st) st = ch4_glb_append(w, m->vert + 3 * m->n_vert * ch4_synth_scene_frame(scene, k), err);
        if (!st) st = ch4_glb_close(&w, err);
        ch4_glb_abort(&w);
    }
    free(rgba);
    return st;
}
