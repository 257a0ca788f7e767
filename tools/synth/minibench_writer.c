#include "tools/synth/minibench_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tools/synth/clip_folder.h"
#include "tools/synth/scene_writer.h"

void ch4_minibench_clip_name(char out[CH4_MINIBENCH_NAME], const ch4_minibench_clip *clip)
{
    int n = snprintf(out, CH4_MINIBENCH_NAME, "%s_%s_s%" PRIu64, ch4_minibench_name(clip->object), clip->orbit ? "orbit" : "static", clip->seed);
    const char *kind = clip->n_frames < CH4_MINIBENCH_FRAMES ? "f" : clip->continuous ? "continuous" : "pingpong";
    if (clip->n_frames != CH4_MINIBENCH_FRAMES) snprintf(out + n, (size_t)(CH4_MINIBENCH_NAME - n), "_%s%" PRId64, kind, clip->n_frames);
}

typedef struct bench_job {
    const char *folder;
    const ch4_minibench_clip *clips;
    const ch4_minibench_options *options;
    int64_t n_clips, done;
    ch4_status *status; /* [n_clips] */
    ch4_err *errors;    /* [n_clips] */
} bench_job;

static json_t *describe(const ch4_minibench_clip *clip, const ch4_minibench *bench, double turn)
{
    const ch4_minibench_rest *r = &bench->rest;
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:[f,f,f]}", "kind", "minibench", "object", ch4_minibench_name(clip->object), "seed",
                     (json_int_t)clip->seed, "camera", clip->orbit ? "orbit" : "static", "long_clip", clip->continuous ? "continuous" : "pingpong",
                     "amplitude", r->amplitude, "phase", r->phase, "azimuth_degrees", r->azimuth, "turn_degrees", turn, "scale",
                     bench->scale, "centre", bench->centre[0], bench->centre[1], bench->centre[2]);
}

static ch4_status save(const bench_job *job, const ch4_minibench_clip *clip, const char *name, ch4_err *err)
{
    const ch4_minibench_options *o = job->options;
    bool goes_on = clip->continuous && clip->n_frames > CH4_MINIBENCH_FRAMES;
    int64_t n_frames = goes_on ? clip->n_frames : CH4_MINIBENCH_FRAMES;
    ch4_minibench bench;
    ch4_synth_camera *camera = NULL;
    int32_t *face = NULL;
    float *bary = NULL;
    json_t *about = NULL;
    char data[CH4_SYNTH_PATH], oracle[CH4_SYNTH_PATH];
    snprintf(data, sizeof(data), "%s/data/%s", job->folder, name);
    snprintf(oracle, sizeof(oracle), "%s/oracle/%s", job->folder, name);
    ch4_status st = ch4_minibench_init(&bench, clip->object, clip->seed, n_frames, err);
    if (!st) st = ch4_calloc(&camera, (size_t)n_frames, sizeof(*camera), "cameras", err);
    for (int64_t f = 0; !st && f < n_frames; f++) ch4_minibench_camera(&camera[f], &bench, clip->orbit, f, o->size);
    if (!st) st = ch4_calloc(&face, (size_t)o->n_points, sizeof(*face), "surface points", err);
    if (!st) st = ch4_calloc(&bary, (size_t)o->n_points * 3, sizeof(*bary), "surface points", err);
    if (!st) st = ch4_minibench_sample(face, bary, &bench, o->n_points, err);
    if (!st) {
        ch4_synth_light light = CH4_MINIBENCH_LIGHT;
        if (o->turn != 0) ch4_minibench_turn(&bench, camera, &light, o->turn);
        about = describe(clip, &bench, o->turn);
        ch4_synth_scene scene = {.mesh = &bench.mesh, .camera = camera, .light = &light, .n_frames = clip->n_frames, .face = face, .bary = bary,
                                 .n_points = o->n_points, .fps = o->fps, .about = about};
        st = ch4_synth_scene_save_meshes(oracle, &scene, err);
        if (!st) st = ch4_synth_scene_save(data, &scene, err);
    }
    json_decref(about);
    free(camera);
    free(face);
    free(bary);
    ch4_minibench_fini(&bench);
    return st;
}

static void save_clip(void *ctx, int64_t index, int worker)
{
    (void)worker;
    bench_job *job = ctx;
    char name[CH4_MINIBENCH_NAME];
    ch4_minibench_clip_name(name, &job->clips[index]);
    job->status[index] = save(job, &job->clips[index], name, &job->errors[index]);
    int64_t done = __atomic_add_fetch(&job->done, 1, __ATOMIC_RELAXED);
    if (job->options->progress) fprintf(stderr, "%lld/%lld %s\n", (long long)done, (long long)job->n_clips, name);
}

ch4_status ch4_minibench_save(const char *folder, const ch4_minibench_clip *clips, int64_t n_clips, const ch4_minibench_options *options, ch4_pool *pool,
                              ch4_err *err)
{
    bench_job job = {.folder = folder, .clips = clips, .options = options, .n_clips = n_clips};
    if (strlen(folder) > CH4_SYNTH_PATH - 2 * CH4_MINIBENCH_NAME) return ch4_err_set(err, CH4_EINVAL, "%.40s...: path too long", folder);
    if (options->size % 2) return ch4_err_set(err, CH4_EINVAL, "pictures of %d pixels: the size must be even for the video's 4:2:0 colour", options->size);
    ch4_status st = ch4_synth_make_folder(folder, err);
    if (!st) st = ch4_calloc(&job.status, (size_t)n_clips, sizeof(*job.status), "clip states", err);
    if (!st) st = ch4_calloc(&job.errors, (size_t)n_clips, sizeof(*job.errors), "clip errors", err);
    if (!st) ch4_pool_run(pool, n_clips, save_clip, &job);
    for (int64_t i = 0; !st && i < n_clips; i++)
        if (job.status[i]) st = ch4_err_set(err, job.status[i], "%s", job.errors[i].msg);
    free(job.status);
    free(job.errors);
    return st;
}
