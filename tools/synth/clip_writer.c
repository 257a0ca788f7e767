#include "tools/synth/clip_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tools/synth/clip_folder.h"
#include "tools/synth/scene_writer.h"

typedef struct clip_job {
    const char *folder;
    const ch4_synth_options *options;
    ch4_status *status; /* [n_clips] */
    ch4_err *errors;    /* [n_clips] */
    int64_t done;
} clip_job;

/* Camera and surface points of a creature's scene. */
typedef struct clip_views {
    ch4_synth_camera *camera; /* [F], all alike */
    int32_t *face;
    float *bary;
} clip_views;

static ch4_status look(clip_views *out, const ch4_synth_clip *clip, const ch4_synth_options *o, ch4_err *err)
{
    const ch4_synth_mesh *m = &clip->mesh;
    ch4_status st = ch4_calloc(&out->camera, (size_t)m->n_frames, sizeof(*out->camera), "cameras", err);
    for (int64_t f = 0; !st && f < m->n_frames; f++) ch4_synth_camera_init(&out->camera[f], o->size);
    if (!st) st = ch4_calloc(&out->face, (size_t)o->n_points, sizeof(int32_t), "surface points", err);
    if (!st) st = ch4_calloc(&out->bary, (size_t)o->n_points * 3, sizeof(float), "surface points", err);
    if (!st) st = ch4_synth_sample_faces(out->face, out->bary, m, o->n_points, ch4_rng_at(clip->seed, CH4_SYNTH_STREAM_SURFACE), err);
    return st;
}

static void save_clip(void *ctx, int64_t index, int worker)
{
    (void)worker;
    clip_job *job = ctx;
    ch4_synth_options o = *job->options;
    ch4_err *err = &job->errors[index];
    ch4_synth_clip clip;
    clip_views views = {0};
    json_t *about = NULL;
    char folder[CH4_SYNTH_PATH];
    uint64_t seed = o.seed + (uint64_t)index;
    int64_t n_frames = o.n_frames;
    if (o.pingpong) o.n_frames = ch4_min_i64(n_frames, CH4_SYNTH_PASS);
    snprintf(folder, sizeof(folder), "%s/creature_s%06llu", job->folder, (unsigned long long)seed);
    ch4_status st = ch4_synth_clip_init(&clip, seed, &o, err);
    if (!st) st = look(&views, &clip, &o, err);
    if (!st) {
        about = json_pack("{s:s, s:I, s:s}", "kind", "creature", "seed", (json_int_t)seed, "plan", ch4_synth_plan_name(clip.creature.plan));
        ch4_synth_scene scene = {.mesh = &clip.mesh, .camera = views.camera, .n_frames = n_frames, .face = views.face, .bary = views.bary,
                                 .n_points = o.n_points, .fps = o.fps, .about = about};
        st = ch4_synth_scene_save(folder, &scene, err);
    }
    json_decref(about);
    free(views.camera);
    free(views.face);
    free(views.bary);
    ch4_synth_clip_fini(&clip);
    job->status[index] = st;
    int64_t done = __atomic_add_fetch(&job->done, 1, __ATOMIC_RELAXED);
    if (o.progress) fprintf(stderr, "%lld/%lld %s\n", (long long)done, (long long)o.n_clips, strrchr(folder, '/') + 1);
}

ch4_status ch4_synth_creatures_save(const char *folder, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err)
{
    clip_job job = {.folder = folder, .options = options};
    if (strlen(folder) > CH4_SYNTH_PATH - 100) return ch4_err_set(err, CH4_EINVAL, "%.40s...: path too long", folder);
    if (options->size % 2) return ch4_err_set(err, CH4_EINVAL, "pictures of %d pixels: the size must be even for the video's 4:2:0 colour", options->size);
    ch4_status st = ch4_synth_make_folder(folder, err);
    if (!st) st = ch4_calloc(&job.status, (size_t)options->n_clips, sizeof(*job.status), "clip states", err);
    if (!st) st = ch4_calloc(&job.errors, (size_t)options->n_clips, sizeof(*job.errors), "clip errors", err);
    if (!st) ch4_pool_run(pool, options->n_clips, save_clip, &job);
    for (int64_t i = 0; !st && i < options->n_clips; i++)
        if (job.status[i]) st = ch4_err_set(err, job.status[i], "%s", job.errors[i].msg);
    free(job.status);
    free(job.errors);
    return st;
}
