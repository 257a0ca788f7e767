#include "tools/synth/clip_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/size.h"
#include "tensor/npy.h"
#include "tensor/safetensors.h"
#include "tools/synth/picture_writer.h"

typedef struct clip_job {
    const char *folder;
    const ch4_synth_options *options;
    ch4_status *status; /* [n_clips] */
    ch4_err *errors;    /* [n_clips] */
} clip_job;

/* mkdir -p. */
static ch4_status make_folder(const char *path, ch4_err *err)
{
    char *p = strdup(path);
    if (!p) return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    ch4_status st = CH4_OK;
    for (char *s = p + 1; !st; s++) {
        if (*s && *s != '/') continue;
        char end = *s;
        *s = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST) st = ch4_err_set_errno(err, errno, "%s", p);
        *s = end;
        if (!end) break;
    }
    free(p);
    return st;
}

/* Renders all frames into imgs/ and video.mp4 and keeps the inverse depth of every sample for the tracks. */
static ch4_status save_pictures(float *inverse_depth, const char *folder, const ch4_synth_clip *clip, const ch4_synth_camera *camera, int fps,
                                ch4_err *err)
{
    size_t pixels = (size_t)camera->size * (size_t)camera->size, samples = pixels * CH4_SYNTH_SUPERSAMPLE * CH4_SYNTH_SUPERSAMPLE;
    ch4_synth_sample *sample = NULL;
    uint8_t *rgba = NULL, *rgb = NULL;
    float *screen = NULL;
    ch4_synth_video *video = NULL;
    char path[4096];
    snprintf(path, sizeof(path), "%s/video.mp4", folder);
    ch4_status st = ch4_calloc(&sample, samples, sizeof(*sample), "samples", err);
    if (!st) st = ch4_calloc(&rgba, pixels, 4, "picture", err);
    if (!st) st = ch4_calloc(&rgb, pixels, 3, "picture", err);
    if (!st) st = ch4_calloc(&screen, (size_t)clip->mesh.n_vert * 3, sizeof(float), "screen positions", err);
    if (!st) st = ch4_synth_video_create(&video, path, camera->size, fps, err);
    for (int64_t f = 0; !st && f < clip->mesh.n_frames; f++) {
        ch4_synth_surface surface = ch4_synth_surface_at(&clip->mesh, f);
        ch4_synth_rasterise(sample, screen, &surface, camera);
        ch4_synth_resolve(rgba, screen, sample, &surface, camera);
        for (size_t i = 0; i < samples; i++) inverse_depth[(size_t)f * samples + i] = sample[i].inverse_depth;
        snprintf(path, sizeof(path), "%s/imgs/%02lld.png", folder, (long long)f);
        st = ch4_synth_png_save(path, rgba, camera->size, camera->size, 4, err);
        ch4_synth_on_white(rgb, rgba, camera->size);
        if (!st) st = ch4_synth_video_write(video, rgb, err);
    }
    if (!st) st = ch4_synth_video_finish(video, err);
    ch4_synth_video_destroy(&video);
    free(sample);
    free(rgba);
    free(rgb);
    free(screen);
    return st;
}

static ch4_status save_anchor(const char *folder, const ch4_synth_mesh *m, ch4_err *err)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/anchor.obj", folder);
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    bool ok = true;
    /* Nine digits give every float back exactly. */
    for (int64_t v = 0; v < m->n_vert; v++)
        ok = ok && fprintf(f, "v %.9g %.9g %.9g\n", (double)m->vert[3 * v], (double)m->vert[3 * v + 1], (double)m->vert[3 * v + 2]) > 0;
    for (int64_t i = 0; i < m->n_face; i++)
        ok = ok && fprintf(f, "f %d %d %d\n", m->face[3 * i] + 1, m->face[3 * i + 1] + 1, m->face[3 * i + 2] + 1) > 0;
    ok = fflush(f) == 0 && ok;
    ch4_status st = ok ? CH4_OK : ch4_err_set_errno(err, errno, "%s", path);
    fclose(f);
    return st;
}

static ch4_status save_meta(const char *folder, const ch4_synth_clip *clip, const ch4_synth_camera *camera, int fps, ch4_err *err)
{
    char path[4096];
    double mean, share;
    ch4_synth_motion(&mean, &share, &clip->mesh);
    snprintf(path, sizeof(path), "%s/meta.json", folder);
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "{\n  \"seed\": %llu,\n  \"plan\": \"%s\",\n  \"frames\": %lld,\n  \"fps\": %d,\n  \"size\": %d,\n", (unsigned long long)clip->seed,
            ch4_synth_plan_name(clip->creature.plan), (long long)clip->mesh.n_frames, fps, camera->size);
    fprintf(f, "  \"vertices\": %lld,\n  \"faces\": %lld,\n", (long long)clip->mesh.n_vert, (long long)clip->mesh.n_face);
    fprintf(f, "  \"motion\": {\"mean_distance_from_frame_0\": %.6f, \"share_beyond_0.15\": %.6f},\n", mean, share);
    fprintf(f, "  \"camera\": {\n    \"convention\": \"OpenCV: Xc = R Xw + t, x right, y down, z forward, pixels\",\n");
    const struct {
        const char *name;
        const double *x;
        int n;
    } parts[] = {{"K", camera->K, 9}, {"R", camera->R, 9}, {"t", camera->t, 3}};
    for (int p = 0; p < 3; p++) {
        fprintf(f, "    \"%s\": [", parts[p].name);
        for (int i = 0; i < parts[p].n; i++) fprintf(f, "%s%.17g", i ? ", " : "", parts[p].x[i]);
        fprintf(f, "]%s\n", p < 2 ? "," : "");
    }
    fprintf(f, "  }\n}\n");
    ch4_status st = fflush(f) == 0 && !ferror(f) ? CH4_OK : ch4_err_set_errno(err, errno, "%s", path);
    fclose(f);
    return st;
}

/* Everything that save_truth puts into gt.safetensors besides the mesh. */
typedef struct truth {
    int32_t *face;
    float *bary, *surfaces; /* [N], [N,3], [F,N,6] */
    double *K, *R, *t;      /* repeated for every frame */
    ch4_synth_tracks tracks;
} truth;

static ch4_status fill_truth(truth *out, const ch4_synth_clip *clip, int64_t n, const float *inverse_depth, const ch4_synth_camera *camera, ch4_err *err)
{
    int64_t n_frames = clip->mesh.n_frames;
    size_t frames = (size_t)n_frames;
    float *xyz = NULL, *normal = NULL;
    ch4_status st = ch4_calloc(&out->face, (size_t)n, sizeof(int32_t), "surface points", err);
    if (!st) st = ch4_calloc(&out->bary, (size_t)n * 3, sizeof(float), "surface points", err);
    if (!st) st = ch4_calloc(&out->surfaces, frames * (size_t)n * 6, sizeof(float), "surface points", err);
    if (!st) st = ch4_calloc(&xyz, (size_t)n * 3, sizeof(float), "surface points", err);
    if (!st) st = ch4_calloc(&normal, (size_t)n * 3, sizeof(float), "surface points", err);
    if (!st) st = ch4_calloc(&out->K, frames * 9, sizeof(double), "cameras", err);
    if (!st) st = ch4_calloc(&out->R, frames * 9, sizeof(double), "cameras", err);
    if (!st) st = ch4_calloc(&out->t, frames * 3, sizeof(double), "cameras", err);
    if (!st) st = ch4_synth_sample_faces(out->face, out->bary, &clip->mesh, n, ch4_rng_at(clip->seed, CH4_SYNTH_STREAM_SURFACE), err);
    for (int64_t f = 0; !st && f < n_frames; f++) {
        memcpy(out->K + 9 * f, camera->K, sizeof(camera->K));
        memcpy(out->R + 9 * f, camera->R, sizeof(camera->R));
        memcpy(out->t + 3 * f, camera->t, sizeof(camera->t));
        ch4_synth_points(xyz, normal, &clip->mesh, f, out->face, out->bary, n);
        for (int64_t i = 0; i < n; i++) {
            memcpy(out->surfaces + (f * n + i) * 6, xyz + 3 * i, 3 * sizeof(float));
            memcpy(out->surfaces + (f * n + i) * 6 + 3, normal + 3 * i, 3 * sizeof(float));
        }
    }
    if (!st) st = ch4_synth_tracks_init(&out->tracks, out->surfaces, n, inverse_depth, n_frames, camera, err);
    free(xyz);
    free(normal);
    return st;
}

static ch4_status save_truth(const char *folder, const ch4_synth_clip *clip, int64_t n, const float *inverse_depth, const ch4_synth_camera *camera,
                             ch4_err *err)
{
    truth x = {0};
    char path[4096];
    const ch4_synth_mesh *m = &clip->mesh;
    int64_t F = m->n_frames;
    ch4_status st = fill_truth(&x, clip, n, inverse_depth, camera, err);
    if (st) goto out;
    int64_t Q = x.tracks.n_query;
    const ch4_named_tensor tensors[] = {
        {"verts", CH4_F32(m->vert, F, m->n_vert, 3)},
        {"faces", CH4_VIEW(m->face, CH4_DTYPE_I32, m->n_face, 3)},
        {"color", CH4_F32(m->colour, m->n_vert, 3)},
        {"face_index", CH4_VIEW(x.face, CH4_DTYPE_I32, n)},
        {"bary", CH4_F32(x.bary, n, 3)},
        {"K", CH4_VIEW(x.K, CH4_DTYPE_F64, F, 3, 3)},
        {"R", CH4_VIEW(x.R, CH4_DTYPE_F64, F, 3, 3)},
        {"t", CH4_VIEW(x.t, CH4_DTYPE_F64, F, 3)},
        {"query_index", CH4_VIEW(x.tracks.query, CH4_DTYPE_I64, Q)},
        {"points", CH4_F32(x.tracks.uv, Q, F, 2)},
        {"occluded", CH4_VIEW(x.tracks.occluded, CH4_DTYPE_U8, Q, F)},
        {"tracks_xyz_cam", CH4_F32(x.tracks.xyz, Q, F, 3)},
    };
    snprintf(path, sizeof(path), "%s/gt.safetensors", folder);
    st = ch4_safetensors_save(path, tensors, sizeof(tensors) / sizeof(tensors[0]), err);
    ch4_tensor surfaces = CH4_F32(x.surfaces, F, n, 6);
    snprintf(path, sizeof(path), "%s/surfaces.npy", folder);
    if (!st) st = ch4_npy_save(path, &surfaces, err);
out:
    free(x.face);
    free(x.bary);
    free(x.surfaces);
    free(x.K);
    free(x.R);
    free(x.t);
    ch4_synth_tracks_fini(&x.tracks);
    return st;
}

static void save_clip(void *ctx, int64_t index, int worker)
{
    (void)worker;
    clip_job *job = ctx;
    const ch4_synth_options *o = job->options;
    ch4_err *err = &job->errors[index];
    ch4_synth_clip clip;
    ch4_synth_camera camera;
    float *inverse_depth = NULL;
    char folder[2048], imgs[2064];
    uint64_t seed = o->seed + (uint64_t)index;
    size_t side = (size_t)o->size * CH4_SYNTH_SUPERSAMPLE;
    snprintf(folder, sizeof(folder), "%s/creature_s%06llu", job->folder, (unsigned long long)seed);
    snprintf(imgs, sizeof(imgs), "%s/imgs", folder);
    ch4_synth_camera_init(&camera, o->size);
    ch4_status st = ch4_synth_clip_init(&clip, seed, o, err);
    if (!st) st = make_folder(imgs, err);
    if (!st) st = ch4_calloc(&inverse_depth, side * side * (size_t)o->n_frames, sizeof(float), "depth", err);
    if (!st) st = save_pictures(inverse_depth, folder, &clip, &camera, o->fps, err);
    if (!st) st = save_truth(folder, &clip, o->n_points, inverse_depth, &camera, err);
    if (!st) st = save_anchor(folder, &clip.mesh, err);
    if (!st) st = save_meta(folder, &clip, &camera, o->fps, err);
    free(inverse_depth);
    ch4_synth_clip_fini(&clip);
    job->status[index] = st;
}

ch4_status ch4_synth_creatures_save(const char *folder, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err)
{
    clip_job job = {.folder = folder, .options = options};
    if (strlen(folder) > 1900) return ch4_err_set(err, CH4_EINVAL, "%.40s...: path too long", folder);
    if (options->size % 2) return ch4_err_set(err, CH4_EINVAL, "pictures of %d pixels: the size must be even for the video's 4:2:0 colour", options->size);
    ch4_status st = make_folder(folder, err);
    if (!st) st = ch4_calloc(&job.status, (size_t)options->n_clips, sizeof(*job.status), "clip states", err);
    if (!st) st = ch4_calloc(&job.errors, (size_t)options->n_clips, sizeof(*job.errors), "clip errors", err);
    if (!st) ch4_pool_run(pool, options->n_clips, save_clip, &job);
    for (int64_t i = 0; !st && i < options->n_clips; i++)
        if (job.status[i]) st = ch4_err_set(err, job.status[i], "%s", job.errors[i].msg);
    free(job.status);
    free(job.errors);
    return st;
}
