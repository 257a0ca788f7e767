#include "tools/synth/shard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/image_processor.h"
#include "stages/decode/crop.h"
#include "tensor/safetensors.h"
#include "tools/synth/form.h"

enum { Q = CH4_SHARD_QUERIES, F = CH4_SHARD_FRAMES, I = CH4_SHARD_IMAGE, N = CH4_SHARD_POINTS, P = CH4_SHARD_PATCHES };
static const double PADDING = 0.1;

typedef struct shard {
    const ch4_synth_options *options;
    ch4_status (*make)(struct shard *s, int64_t clip, uint64_t seed, ch4_err *err); /* one clip of the family */
    ch4_buf image, points, normals, segments, query, distance, patch_xyz, patch_cover, plan, seed;
    ch4_status *status; /* [n_clips] */
    ch4_err *errors;    /* [n_clips] */
} shard;

/* The box that the pipeline would cut out: alpha > 0 over all frames. */
static ch4_box union_box(const uint8_t *rgba, int size)
{
    ch4_box box = {0};
    for (int f = 0; f < F; f++)
        box = ch4_box_union(box, ch4_box_of_alpha(rgba + (int64_t)f * size * size * 4 + 3, size, size, 4, 4 * (int64_t)size, 0));
    return box;
}

/* Mean surface position and covered share of each patch, from the samples of one frame. */
static void fill_patches(uint16_t *xyz, uint16_t *cover, const ch4_synth_sample *sample, const ch4_synth_mesh *mesh, int f, int size, ch4_crop c)
{
    enum { S = CH4_SYNTH_SUPERSAMPLE };
    double sum[P * P][3] = {{0}};
    int64_t n[P * P] = {0}, side = (int64_t)size * S;
    const float *vert = mesh->vert + f * mesh->n_vert * 3;
    for (int64_t i = 0; i < side * side; i++) {
        if (sample[i].inverse_depth <= 0) continue;
        int px = (int)((((double)(i % side) + 0.5) / S - (double)c.x) / (double)c.w * P), py = (int)((((double)(i / side) + 0.5) / S - (double)c.y) / (double)c.h * P);
        const int32_t *t = mesh->face + 3 * sample[i].face;
        float w0 = sample[i].weight[0], w1 = sample[i].weight[1], w2 = 1 - w0 - w1;
        for (int k = 0; k < 3; k++) sum[py * P + px][k] += w0 * vert[3 * t[0] + k] + w1 * vert[3 * t[1] + k] + w2 * vert[3 * t[2] + k];
        n[py * P + px]++;
    }
    double area = (double)c.w * S / P * ((double)c.h * S / P);
    for (int p = 0; p < P * P; p++) {
        for (int k = 0; k < 3; k++) xyz[3 * p + k] = ch4_f32_to_f16(n[p] ? (float)(sum[p][k] / (double)n[p]) : 0);
        cover[p] = ch4_f32_to_f16((float)fmin((double)n[p] / area, 1));
    }
}

static ch4_status fill_pictures(shard *s, int64_t clip, const ch4_synth_mesh *mesh, const ch4_synth_camera *camera, ch4_err *err)
{
    int size = camera->size, room = size + size / 4;
    size_t pixels = (size_t)size * (size_t)size, samples = pixels * CH4_SYNTH_SUPERSAMPLE * CH4_SYNTH_SUPERSAMPLE;
    ch4_synth_sample *sample = NULL;
    uint8_t *rgba = NULL, *rgb = NULL;
    float *screen = NULL;
    ch4_status st = ch4_calloc(&sample, samples * F, sizeof(*sample), "samples", err);
    if (!st) st = ch4_calloc(&rgba, pixels * F, 4, "pictures", err);
    if (!st) st = ch4_calloc(&rgb, (size_t)room * (size_t)room, 3, "crop", err);
    if (!st) st = ch4_calloc(&screen, (size_t)mesh->n_vert * 3, sizeof(float), "screen positions", err);
    if (st) goto out;
    for (int f = 0; f < F; f++) {
        ch4_synth_surface surface = ch4_synth_surface_at(mesh, f);
        ch4_synth_rasterise(sample + (size_t)f * samples, screen, &surface, camera);
        ch4_synth_resolve(rgba + (size_t)f * pixels * 4, screen, sample + (size_t)f * samples, &surface, camera);
    }
    ch4_box box = union_box(rgba, size);
    ch4_crop c = ch4_crop_of_box(box, PADDING, true);
    for (int f = 0; f < F; f++) {
        int64_t at = clip * F + f;
        ch4_crop_apply(rgb, NULL, rgba + (size_t)f * pixels * 4, size, size, box, c);
        st = ch4_image_resize((uint8_t *)s->image.data + at * I * I * 3, I, I, rgb, c.h, c.w, err);
        if (st) goto out;
        fill_patches((uint16_t *)s->patch_xyz.data + at * P * P * 3, (uint16_t *)s->patch_cover.data + at * P * P,
                     sample + (size_t)f * samples, mesh, f, size, c);
    }
out:
    free(sample);
    free(rgba);
    free(rgb);
    free(screen);
    return st;
}

static ch4_status fill_points(shard *s, int64_t clip, const ch4_synth_mesh *mesh, uint64_t seed, ch4_err *err)
{
    int32_t *face = NULL;
    float *bary = NULL, *xyz = NULL, *normal = NULL;
    ch4_status st = ch4_calloc(&face, N, sizeof(*face), "sample faces", err);
    if (!st) st = ch4_calloc(&bary, N * 3, sizeof(float), "sample weights", err);
    if (!st) st = ch4_calloc(&xyz, N * 3, sizeof(float), "points", err);
    if (!st) st = ch4_calloc(&normal, N * 3, sizeof(float), "normals", err);
    if (!st) st = ch4_synth_sample_faces(face, bary, mesh, N, ch4_rng_at(seed, CH4_SYNTH_STREAM_POINTS), err);
    for (int f = 0; !st && f < F; f++) {
        uint16_t *p = (uint16_t *)s->points.data + (clip * F + f) * N * 3, *q = (uint16_t *)s->normals.data + (clip * F + f) * N * 3;
        ch4_synth_points(xyz, normal, mesh, f, face, bary, N);
        for (int i = 0; i < N * 3; i++) p[i] = ch4_f32_to_f16(xyz[i]), q[i] = ch4_f32_to_f16(normal[i]);
    }
    free(face);
    free(bary);
    free(xyz);
    free(normal);
    return st;
}

/* Queries around the points of each frame, a third within 0.03, a third within 0.1, a third anywhere, and their distances. */
static void fill_queries(shard *s, int64_t clip, const ch4_form_clip *c)
{
    ch4_rng rng = ch4_rng_at(c->seed, CH4_SYNTH_STREAM_QUERIES);
    for (int f = 0; f < F; f++) {
        int64_t at = (clip * F + f) * Q;
        const uint16_t *points = (const uint16_t *)s->points.data + (clip * F + f) * N * 3;
        float xyz[Q * 3], distance[Q];
        for (int i = 0; i < Q; i++) {
            uint32_t near = ch4_rng_below(&rng, N);
            for (int k = 0; k < 3; k++) {
                float x = 3 * i < 2 * Q ? ch4_f16_to_f32(points[3 * near + (uint32_t)k]) + (3 * i < Q ? 0.03f : 0.1f) * (float)ch4_rng_normal(&rng)
                                        : (float)ch4_rng_range(&rng, -1.05, 1.05);
                uint16_t half = ch4_f32_to_f16(x);
                ((uint16_t *)s->query.data)[(at + i) * 3 + k] = half;
                xyz[3 * i + k] = ch4_f16_to_f32(half);
            }
        }
        ch4_form_distance(distance, c, f, xyz, Q);
        for (int i = 0; i < Q; i++) ((uint16_t *)s->distance.data)[at + i] = ch4_f32_to_f16(distance[i]);
    }
}

static ch4_status make_creature(shard *s, int64_t clip, uint64_t seed, ch4_err *err)
{
    ch4_synth_clip c;
    ch4_synth_camera camera;
    ch4_synth_camera_init(&camera, s->options->size);
    ch4_status st = ch4_synth_clip_init(&c, seed, s->options, err);
    if (!st) st = fill_pictures(s, clip, &c.mesh, &camera, err);
    if (!st) st = fill_points(s, clip, &c.mesh, seed, err);
    if (!st) {
        _Static_assert(sizeof(ch4_synth_capsule) == 8 * sizeof(float), "a capsule is eight floats in the file");
        memcpy((float *)s->segments.data + clip * F * CH4_SYNTH_PARTS * 8, c.creature.posed, sizeof(*c.creature.posed) * F);
        ((uint8_t *)s->plan.data)[clip] = (uint8_t)c.creature.plan;
    }
    ch4_synth_clip_fini(&c);
    return st;
}

static ch4_status make_form(shard *s, int64_t clip, uint64_t seed, ch4_err *err)
{
    ch4_form_clip c;
    ch4_status st = ch4_form_clip_init(&c, seed, F, s->options->size, err);
    if (!st) st = fill_pictures(s, clip, &c.mesh, &c.camera, err);
    if (!st) st = fill_points(s, clip, &c.mesh, seed, err);
    if (!st) {
        fill_queries(s, clip, &c);
        ((uint8_t *)s->plan.data)[clip] = (uint8_t)c.form.kind;
    }
    ch4_form_clip_fini(&c);
    return st;
}

static void make_clip(void *ctx, int64_t clip, int worker)
{
    (void)worker;
    shard *s = ctx;
    uint64_t seed = s->options->seed + (uint64_t)clip;
    ((int64_t *)s->seed.data)[clip] = (int64_t)seed;
    s->status[clip] = s->make(s, clip, seed, &s->errors[clip]);
}

static ch4_status save(const char *path, const ch4_synth_options *options, bool forms, ch4_pool *pool, ch4_err *err)
{
    shard s = {.options = options, .make = forms ? make_form : make_creature};
    int64_t c = options->n_clips;
    struct {
        const char *name;
        ch4_buf *buf;
        ch4_tensor view;
    } parts[] = {
        {"image", &s.image, CH4_VIEW(NULL, CH4_DTYPE_U8, c, F, I, I, 3)},
        {"points", &s.points, CH4_VIEW(NULL, CH4_DTYPE_F16, c, F, N, 3)},
        {"normals", &s.normals, CH4_VIEW(NULL, CH4_DTYPE_F16, c, F, N, 3)},
        {"patch_xyz", &s.patch_xyz, CH4_VIEW(NULL, CH4_DTYPE_F16, c, F, P, P, 3)},
        {"patch_cover", &s.patch_cover, CH4_VIEW(NULL, CH4_DTYPE_F16, c, F, P, P)},
        {"plan", &s.plan, CH4_VIEW(NULL, CH4_DTYPE_U8, c)},
        {"seed", &s.seed, CH4_VIEW(NULL, CH4_DTYPE_I64, c)},
        /* the field: exact for creatures, sampled for forms */
        {"segments", &s.segments, CH4_VIEW(NULL, CH4_DTYPE_F32, forms ? 0 : c, F, CH4_SYNTH_PARTS, 8)},
        {"query", &s.query, CH4_VIEW(NULL, CH4_DTYPE_F16, forms ? c : 0, F, Q, 3)},
        {"distance", &s.distance, CH4_VIEW(NULL, CH4_DTYPE_F16, forms ? c : 0, F, Q)},
    };
    enum { PARTS = sizeof(parts) / sizeof(parts[0]) };
    ch4_named_tensor named[PARTS];
    int n_named = 0;
    ch4_status st = ch4_calloc(&s.status, (size_t)c, sizeof(*s.status), "clip states", err);
    if (!st) st = ch4_calloc(&s.errors, (size_t)c, sizeof(*s.errors), "clip errors", err);
    for (int i = 0; !st && i < PARTS; i++) {
        if (!parts[i].view.shape[0]) continue;
        size_t bytes;
        st = ch4_size_bytes(&bytes, parts[i].view.shape, parts[i].view.rank, ch4_dtype_size(parts[i].view.dtype), err);
        if (!st) st = ch4_buf_alloc(parts[i].buf, bytes, err);
        if (st) break;
        parts[i].view.data = parts[i].buf->data;
        named[n_named++] = (ch4_named_tensor){parts[i].name, parts[i].view};
    }
    if (!st) ch4_pool_run(pool, c, make_clip, &s);
    for (int64_t i = 0; !st && i < c; i++)
        if (s.status[i]) st = ch4_err_set(err, s.status[i], "%s", s.errors[i].msg);
    if (!st) st = ch4_safetensors_save(path, named, n_named, err);
    for (int i = 0; i < PARTS; i++) ch4_buf_free(parts[i].buf);
    free(s.status);
    free(s.errors);
    return st;
}

ch4_status ch4_synth_shard_save(const char *path, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err)
{
    return save(path, options, false, pool, err);
}

ch4_status ch4_form_shard_save(const char *path, const ch4_synth_options *options, ch4_pool *pool, ch4_err *err)
{
    return save(path, options, true, pool, err);
}
