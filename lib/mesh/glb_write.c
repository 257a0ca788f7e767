/* Animated GLB. The binary chunk is written as frames arrive; room for the JSON chunk in front of it is reserved at the start (sizes are
 * known, only the bounds of the targets are not) and filled at the end, padded with spaces. */
#include <errno.h>
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"
#include "mesh/mesh_io.h"
#include "mesh/weld.h"

enum { HEADER = 12 + 8, ARRAY_BUFFER = 34962, ELEMENT_BUFFER = 34963, FLOAT = 5126, UINT = 5125 };

typedef struct bounds {
    float lo[3], hi[3];
} bounds;

/* Offsets into the binary chunk. */
typedef struct layout {
    size_t index, position, normal, uv, color, image, targets, times, weights, total;
    size_t target; /* bytes of one target */
} layout;

struct ch4_glb_writer {
    FILE *f;
    char *path, *tmp;
    ch4_glb_options opt;
    int64_t n_vert, n_face, n_draw, n_frames, done; /* frames appended */
    int32_t *faces, *rep;                            /* in position indices; rep: first vertex of equal position in frame 0 */
    int32_t *welded;                                 /* faces over rep, for smooth normals across seams */
    float *base, *base_normal, *normal, *row;        /* [n_vert,3] of frame 0; [n_vert,3]; [n_draw,3] */
    float *times;
    bounds *box;                                     /* per frame: positions of frame 0, differences of the others */
    ch4_mesh_part *part;
    int64_t n_part;
    layout at;
    size_t json_room;
};

/* --- JSON ------------------------------------------------------------------------------------------------------------------- */

static json_t *vec3(const float *v)
{
    return json_pack("[f,f,f]", (double)v[0], (double)v[1], (double)v[2]);
}

static void add_view(json_t *views, size_t offset, size_t bytes, int target, int stride)
{
    json_t *v = json_pack("{s:i, s:I, s:I}", "buffer", 0, "byteOffset", (json_int_t)offset, "byteLength", (json_int_t)bytes);
    if (target)
        json_object_set_new(v, "target", json_integer(target));
    if (stride)
        json_object_set_new(v, "byteStride", json_integer(stride));
    json_array_append_new(views, v);
}

/* Index of the new accessor. */
static int add_accessor(json_t *accessors, int view, size_t offset, int component, int64_t count, const char *type, const bounds *b)
{
    json_t *a = json_pack("{s:i, s:I, s:i, s:I, s:s}", "bufferView", view, "byteOffset", (json_int_t)offset, "componentType", component, "count",
                          (json_int_t)count, "type", type);
    if (b) {
        json_object_set_new(a, "min", vec3(b->lo));
        json_object_set_new(a, "max", vec3(b->hi));
    }
    json_array_append_new(accessors, a);
    return (int)json_array_size(accessors) - 1;
}

/* Materials, textures, samplers and images of the given mesh, images as buffer views of this file; else one plain material. */
static void add_look(const ch4_glb_writer *w, json_t *root, json_t *views)
{
    const ch4_asset *a = w->opt.asset;
    json_t *look = a && a->look ? json_loads(a->look, 0, NULL) : NULL, *images = json_object_get(look, "images");
    size_t at = w->at.image;
    for (int64_t i = 0; look && i < a->n_image; i++) {
        if (a->image[i].size == 0)
            continue;
        json_object_set_new(json_array_get(images, (size_t)i), "bufferView", json_integer((json_int_t)json_array_size(views)));
        add_view(views, at, a->image[i].size, 0, 0);
        at += (a->image[i].size + 3) / 4 * 4;
    }
    if (look)
        json_object_update(root, look);
    else
        json_object_set_new(root, "materials",
                            json_pack("[{s:s, s:b, s:{s:[f,f,f,f], s:f, s:f}}]", "name", "chain4d", "doubleSided", 1, "pbrMetallicRoughness",
                                      "baseColorFactor", 0.8, 0.8, 0.8, 1.0, "metallicFactor", 0.0, "roughnessFactor", 0.8));
    json_decref(look);
}

typedef struct ids { /* accessors */
    int position, normal, uv, color, first_target, targets_per_frame;
} ids;

static json_t *primitives(const ch4_glb_writer *w, const ids *id, json_t *accessors)
{
    json_t *list = json_array();
    bool plain = !(w->opt.asset && w->opt.asset->look);
    for (int64_t p = 0; p < w->n_part; p++) {
        const ch4_mesh_part *part = &w->part[p];
        int index = add_accessor(accessors, 0, (size_t)part->first_face * 12, UINT, 3 * part->n_face, "SCALAR", NULL);
        json_t *attributes = json_pack("{s:i, s:i}", "POSITION", id->position, "NORMAL", id->normal), *targets = json_array();
        if (id->uv >= 0)
            json_object_set_new(attributes, "TEXCOORD_0", json_integer(id->uv));
        if (id->color >= 0)
            json_object_set_new(attributes, "COLOR_0", json_integer(id->color));
        for (int64_t f = 0; f + 1 < w->n_frames; f++) {
            json_t *t = json_pack("{s:I}", "POSITION", (json_int_t)(id->first_target + f * id->targets_per_frame));
            if (w->opt.normals)
                json_object_set_new(t, "NORMAL", json_integer(id->first_target + f * id->targets_per_frame + 1));
            json_array_append_new(targets, t);
        }
        json_t *prim = json_pack("{s:o, s:i, s:i}", "attributes", attributes, "indices", index, "mode", 4);
        int material = plain ? 0 : part->material;
        if (material >= 0)
            json_object_set_new(prim, "material", json_integer(material));
        if (json_array_size(targets) > 0)
            json_object_set(prim, "targets", targets);
        json_decref(targets);
        json_array_append_new(list, prim);
    }
    return list;
}

static void add_animation(const ch4_glb_writer *w, json_t *root, json_t *mesh, json_t *accessors, int times_view)
{
    json_t *weights = json_array(), *names = json_array();
    int64_t targets = w->n_frames - 1;
    for (int64_t i = 0; i < targets; i++) {
        char name[32];
        snprintf(name, sizeof name, "frame %lld", (long long)(i + 1));
        json_array_append_new(weights, json_integer(0));
        json_array_append_new(names, json_string(name));
    }
    json_object_set_new(mesh, "weights", weights);
    json_object_set_new(mesh, "extras", json_pack("{s:o}", "targetNames", names));
    int input = add_accessor(accessors, times_view, 0, FLOAT, w->n_frames, "SCALAR", NULL);
    json_t *a = json_array_get(accessors, (size_t)input);
    json_object_set_new(a, "min", json_pack("[f]", (double)w->times[0]));
    json_object_set_new(a, "max", json_pack("[f]", (double)w->times[w->n_frames - 1]));
    int output = add_accessor(accessors, times_view + 1, 0, FLOAT, w->n_frames * targets, "SCALAR", NULL);
    json_object_set_new(root, "animations",
                        json_pack("[{s:s, s:[{s:i, s:{s:i, s:s}}], s:[{s:i, s:i, s:s}]}]", "name", "motion", "channels", "sampler", 0, "target",
                                  "node", 0, "path", "weights", "samplers", "input", input, "output", output, "interpolation",
                                  w->opt.step ? "STEP" : "LINEAR"));
}

/* The whole JSON chunk as text; the caller frees. NULL: out of memory. */
static char *make_json(const ch4_glb_writer *w)
{
    json_t *views = json_array(), *accessors = json_array(), *root = json_object();
    const layout *at = &w->at;
    size_t draw3 = (size_t)w->n_draw * 12;
    ids id = {.uv = -1, .color = -1, .targets_per_frame = w->opt.normals ? 2 : 1};
    json_object_set_new(root, "asset", json_pack("{s:s, s:s}", "version", "2.0", "generator", "chain4d"));
    add_view(views, at->index, (size_t)w->n_face * 12, ELEMENT_BUFFER, 0);
    add_view(views, at->position, draw3, ARRAY_BUFFER, 0);
    add_view(views, at->normal, draw3, ARRAY_BUFFER, 0);
    id.position = add_accessor(accessors, 1, 0, FLOAT, w->n_draw, "VEC3", &w->box[0]);
    id.normal = add_accessor(accessors, 2, 0, FLOAT, w->n_draw, "VEC3", NULL);
    if (at->uv) {
        add_view(views, at->uv, (size_t)w->n_draw * 8, ARRAY_BUFFER, 0);
        id.uv = add_accessor(accessors, (int)json_array_size(views) - 1, 0, FLOAT, w->n_draw, "VEC2", NULL);
    }
    if (at->color) {
        add_view(views, at->color, (size_t)w->n_draw * 16, ARRAY_BUFFER, 0);
        id.color = add_accessor(accessors, (int)json_array_size(views) - 1, 0, FLOAT, w->n_draw, "VEC4", NULL);
    }
    add_look(w, root, views);
    id.first_target = (int)json_array_size(accessors);
    if (w->n_frames > 1) {
        int view = (int)json_array_size(views);
        add_view(views, at->targets, at->target * (size_t)(w->n_frames - 1), ARRAY_BUFFER, 12);
        for (int64_t f = 1; f < w->n_frames; f++)
            for (int k = 0; k < id.targets_per_frame; k++)
                add_accessor(accessors, view, at->target * (size_t)(f - 1) + (size_t)k * draw3, FLOAT, w->n_draw, "VEC3", k ? NULL : &w->box[f]);
    }
    json_t *mesh = json_pack("{s:s, s:o}", "name", "mesh", "primitives", primitives(w, &id, accessors));
    if (w->n_frames > 1) {
        int view = (int)json_array_size(views);
        add_view(views, at->times, (size_t)w->n_frames * 4, 0, 0);
        add_view(views, at->weights, (size_t)w->n_frames * (size_t)(w->n_frames - 1) * 4, 0, 0);
        add_animation(w, root, mesh, accessors, view);
    }
    json_object_set_new(root, "scene", json_integer(0));
    json_object_set_new(root, "scenes", json_pack("[{s:[i]}]", "nodes", 0));
    json_object_set_new(root, "nodes", json_pack("[{s:s, s:i}]", "name", "object", "mesh", 0));
    json_object_set_new(root, "meshes", json_pack("[o]", mesh));
    json_object_set_new(root, "accessors", accessors);
    json_object_set_new(root, "bufferViews", views);
    json_object_set_new(root, "buffers", json_pack("[{s:I}]", "byteLength", (json_int_t)at->total));
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(root);
    return text;
}

/* --- start ------------------------------------------------------------------------------------------------------------------ */

static ch4_status check_request(const char *path, const int32_t *faces, int64_t n_face, int64_t n_vert, const double *times, int64_t n_frames,
                                const ch4_glb_options *o, ch4_err *err)
{
    if (n_vert < 1 || n_face < 1 || n_frames < 1)
        return ch4_err_set(err, CH4_EINVAL, "%s: %lld vertices, %lld faces, %lld frames", path, (long long)n_vert, (long long)n_face, (long long)n_frames);
    if (n_frames > CH4_GLB_MAX_FRAMES)
        return ch4_err_set(err, CH4_EUNSUP, "%s: %lld frames are more than the %d morph targets a GLB is given; write fewer frames", path,
                           (long long)n_frames, CH4_GLB_MAX_FRAMES);
    for (int64_t i = 0; i < 3 * n_face; i++)
        if (faces[i] < 0 || faces[i] >= n_vert)
            return ch4_err_set(err, CH4_EINVAL, "%s: face %lld names no vertex", path, (long long)(i / 3));
    for (int64_t f = 0; f < n_frames; f++)
        if (!(times[f] >= 0) || (f > 0 && !((float)times[f] > (float)times[f - 1])))
            return ch4_err_set(err, CH4_EINVAL, "%s: time of frame %lld does not increase", path, (long long)f);
    if (o->asset && (o->asset->mesh.n_vert != n_vert || o->asset->mesh.n_face != n_face))
        return ch4_err_set(err, CH4_EINVAL, "%s: the given mesh has %lld vertices and %lld faces, the motion %lld and %lld", path,
                           (long long)o->asset->mesh.n_vert, (long long)o->asset->mesh.n_face, (long long)n_vert, (long long)n_face);
    return CH4_OK;
}

/* Next block of count * size bytes at *total, a multiple of four; false on overflow. */
static bool place(size_t *offset, size_t *total, size_t count, size_t size)
{
    size_t bytes;
    *offset = *total;
    return ch4_size_mul(count, size, &bytes) && ch4_size_add(bytes, 3, &bytes) && ch4_size_add(*total, bytes / 4 * 4, total);
}

static ch4_status lay_out(ch4_glb_writer *w, ch4_err *err)
{
    layout *l = &w->at;
    const ch4_asset *a = w->opt.asset;
    size_t draw = (size_t)w->n_draw, frames = (size_t)w->n_frames;
    l->target = draw * (w->opt.normals ? 24 : 12);
    bool ok = place(&l->index, &l->total, (size_t)w->n_face, 12) && place(&l->position, &l->total, draw, 12) && place(&l->normal, &l->total, draw, 12);
    if (ok && a && a->uv)
        ok = place(&l->uv, &l->total, draw, 8);
    if (ok && ((a && a->color) || w->opt.color))
        ok = place(&l->color, &l->total, draw, 16);
    l->image = l->total;
    for (int64_t i = 0; ok && a && i < a->n_image; i++) {
        size_t at;
        ok = place(&at, &l->total, a->image[i].size, 1);
    }
    ok = ok && place(&l->targets, &l->total, frames - 1, l->target) && place(&l->times, &l->total, frames > 1 ? frames : 0, 4) &&
         place(&l->weights, &l->total, frames * (frames - 1), 4);
    char *text = ok ? make_json(w) : NULL; /* with the widest bounds: see box_init */
    if (ok && !text)
        return ch4_err_set(err, CH4_ENOMEM, "GLB description");
    w->json_room = text ? (strlen(text) + 3) / 4 * 4 : 0;
    free(text);
    if (!ok || l->total > UINT32_MAX - w->json_room - HEADER - 8)
        return ch4_err_set(err, CH4_EUNSUP, "%s: %lld frames of %lld vertices do not fit into the 4 GiB of a GLB; write fewer frames", w->path,
                           (long long)w->n_frames, (long long)w->n_vert);
    return CH4_OK;
}

static ch4_status put(ch4_glb_writer *w, const void *data, size_t bytes, ch4_err *err)
{
    static const char zero[4];
    size_t pad = (4 - bytes % 4) % 4;
    if (fwrite(data, 1, bytes, w->f) != bytes || fwrite(zero, 1, pad, w->f) != pad)
        return ch4_err_set_errno(err, errno, "%s", w->tmp);
    return CH4_OK;
}

static ch4_status make_arrays(ch4_glb_writer *w, const int32_t *faces, const double *times, ch4_err *err)
{
    size_t v = (size_t)w->n_vert, f = (size_t)w->n_face, frames = (size_t)w->n_frames;
    ch4_status st;
    if ((st = ch4_calloc(&w->faces, 3 * f, sizeof(int32_t), "GLB", err)) || (st = ch4_calloc(&w->welded, 3 * f, sizeof(int32_t), "GLB", err)) ||
        (st = ch4_calloc(&w->rep, v, sizeof(int32_t), "GLB", err)) || (st = ch4_calloc(&w->base, 3 * v, sizeof(float), "GLB", err)) ||
        (st = ch4_calloc(&w->base_normal, 3 * v, sizeof(float), "GLB", err)) || (st = ch4_calloc(&w->normal, 3 * v, sizeof(float), "GLB", err)) ||
        (st = ch4_calloc(&w->row, 3 * (size_t)w->n_draw, sizeof(float), "GLB", err)) || (st = ch4_calloc(&w->times, frames, sizeof(float), "GLB", err)) ||
        (st = ch4_calloc(&w->box, frames, sizeof *w->box, "GLB", err)))
        return st;
    memcpy(w->faces, faces, 3 * f * sizeof(int32_t));
    for (size_t i = 0; i < frames; i++) {
        w->times[i] = (float)times[i];
        for (int k = 0; k < 3; k++) /* the longest a float can be written: the room that is reserved */
            w->box[i].lo[k] = w->box[i].hi[k] = -1.17549435e-38f;
    }
    const ch4_asset *a = w->opt.asset;
    bool given = a && a->n_part > 0;
    w->n_part = given ? a->n_part : 1;
    st = ch4_calloc(&w->part, (size_t)w->n_part, sizeof *w->part, "GLB", err);
    if (st == CH4_OK && given)
        memcpy(w->part, a->part, (size_t)w->n_part * sizeof *w->part);
    else if (st == CH4_OK)
        w->part[0] = (ch4_mesh_part){.n_face = w->n_face, .material = -1};
    return st;
}

ch4_status ch4_glb_create(ch4_glb_writer **out, const char *path, const int32_t *faces, int64_t n_face, int64_t n_vert, const double *times,
                          int64_t n_frames, const ch4_glb_options *options, ch4_err *err)
{
    ch4_glb_writer *w = NULL;
    *out = NULL;
    ch4_status st = check_request(path, faces, n_face, n_vert, times, n_frames, options, err);
    if (st == CH4_OK)
        st = ch4_calloc(&w, 1, sizeof *w, "GLB writer", err);
    if (st != CH4_OK)
        return st;
    w->opt = *options;
    w->n_vert = n_vert;
    w->n_face = n_face;
    w->n_frames = n_frames;
    w->n_draw = options->asset ? options->asset->n_draw : n_vert;
    w->path = strdup(path);
    if (!w->path || asprintf(&w->tmp, "%s.tmp", path) < 0) {
        w->tmp = NULL;
        st = ch4_err_set(err, CH4_ENOMEM, "GLB writer");
    }
    if (st == CH4_OK)
        st = make_arrays(w, faces, times, err);
    if (st == CH4_OK)
        st = lay_out(w, err);
    if (st == CH4_OK && !(w->f = fopen(w->tmp, "wb")))
        st = ch4_err_set_errno(err, errno, "%s", w->tmp);
    if (st == CH4_OK && fseek(w->f, (long)(HEADER + w->json_room + 8), SEEK_SET) != 0)
        st = ch4_err_set_errno(err, errno, "%s", w->tmp);
    if (st == CH4_OK)
        *out = w;
    else
        ch4_glb_abort(&w);
    return st;
}

/* --- frames ----------------------------------------------------------------------------------------------------------------- */

static int64_t shown(const ch4_glb_writer *w, int64_t draw)
{
    return w->opt.asset && w->opt.asset->draw_vert ? w->opt.asset->draw_vert[draw] : draw;
}

/* Writes a - b (b may be NULL) for every draw vertex; *box becomes its bounds. */
static ch4_status put_vectors(ch4_glb_writer *w, const float *a, const float *b, bounds *box, ch4_err *err)
{
    bounds r = {.lo = {FLT_MAX, FLT_MAX, FLT_MAX}, .hi = {-FLT_MAX, -FLT_MAX, -FLT_MAX}};
    for (int64_t i = 0; i < w->n_draw; i++) {
        int64_t v = shown(w, i);
        for (int k = 0; k < 3; k++) {
            float x = b ? a[3 * v + k] - b[3 * v + k] : a[3 * v + k];
            w->row[3 * i + k] = x;
            r.lo[k] = fminf(r.lo[k], x);
            r.hi[k] = fmaxf(r.hi[k], x);
        }
    }
    if (box)
        *box = r;
    return put(w, w->row, (size_t)w->n_draw * 12, err);
}

static ch4_status normals_of(ch4_glb_writer *w, float *out, const float *vertices, ch4_err *err)
{
    ch4_status st = ch4_mesh_compute_normals(out, vertices, w->n_vert, w->welded, w->n_face, err);
    for (int64_t i = 0; st == CH4_OK && i < w->n_vert; i++) {
        memcpy(out + 3 * i, out + 3 * (int64_t)w->rep[i], 3 * sizeof *out); /* rep[i] <= i */
        float *n = out + 3 * i;
        if (n[0] == 0 && n[1] == 0 && n[2] == 0) /* unused vertex: a normal must have unit length */
            n[1] = 1;
    }
    return st;
}

static ch4_status put_colors(ch4_glb_writer *w, ch4_err *err)
{
    const ch4_asset *a = w->opt.asset;
    if (a && a->color)
        return put(w, a->color, (size_t)w->n_draw * 16, err);
    ch4_status st = CH4_OK;
    for (int64_t i = 0; st == CH4_OK && i < w->n_draw; i++)
        st = put(w, w->opt.color + 4 * shown(w, i), 16, err);
    return st;
}

/* Everything before the targets. */
static ch4_status put_base(ch4_glb_writer *w, const float *vertices, ch4_err *err)
{
    const ch4_asset *a = w->opt.asset;
    ch4_status st = ch4_mesh_compute_weld(w->rep, NULL, vertices, w->n_vert, err);
    memcpy(w->base, vertices, (size_t)w->n_vert * 12);
    for (int64_t i = 0; i < 3 * w->n_face; i++)
        w->welded[i] = w->rep[w->faces[i]];
    if (st == CH4_OK)
        st = normals_of(w, w->base_normal, vertices, err);
    if (st == CH4_OK)
        st = put(w, a && a->draw_face ? a->draw_face : w->faces, (size_t)w->n_face * 12, err);
    if (st == CH4_OK)
        st = put_vectors(w, vertices, NULL, &w->box[0], err);
    if (st == CH4_OK)
        st = put_vectors(w, w->base_normal, NULL, NULL, err);
    if (st == CH4_OK && w->at.uv)
        st = put(w, a->uv, (size_t)w->n_draw * 8, err);
    if (st == CH4_OK && w->at.color)
        st = put_colors(w, err);
    for (int64_t i = 0; st == CH4_OK && a && i < a->n_image; i++)
        st = put(w, a->image[i].data, a->image[i].size, err);
    return st;
}

ch4_status ch4_glb_append(ch4_glb_writer *w, const float *vertices, ch4_err *err)
{
    if (w->done == w->n_frames)
        return ch4_err_set(err, CH4_EINVAL, "%s: more than the %lld frames announced", w->path, (long long)w->n_frames);
    for (int64_t i = 0; i < 3 * w->n_vert; i++)
        if (!isfinite(vertices[i]))
            return ch4_err_set(err, CH4_EINVAL, "%s: frame %lld: vertex %lld is not finite", w->path, (long long)w->done, (long long)(i / 3));
    ch4_status st;
    if (w->done == 0) {
        st = put_base(w, vertices, err);
    } else {
        st = put_vectors(w, vertices, w->base, &w->box[w->done], err);
        if (st == CH4_OK && w->opt.normals)
            st = normals_of(w, w->normal, vertices, err);
        if (st == CH4_OK && w->opt.normals)
            st = put_vectors(w, w->normal, w->base_normal, NULL, err);
    }
    if (st == CH4_OK)
        w->done++;
    return st;
}

/* --- end -------------------------------------------------------------------------------------------------------------------- */

/* Times, and for every frame the weights of all targets: one-hot, all zero for frame 0. */
static ch4_status put_animation(ch4_glb_writer *w, ch4_err *err)
{
    int64_t targets = w->n_frames - 1;
    float *row = NULL;
    if (targets == 0)
        return CH4_OK;
    ch4_status st = put(w, w->times, (size_t)w->n_frames * 4, err);
    if (st == CH4_OK)
        st = ch4_calloc(&row, (size_t)targets, sizeof *row, "weights", err);
    for (int64_t f = 0; st == CH4_OK && f < w->n_frames; f++) {
        if (f > 0)
            row[f - 1] = 1;
        st = put(w, row, (size_t)targets * 4, err);
        if (f > 0)
            row[f - 1] = 0;
    }
    free(row);
    return st;
}

static ch4_status put_head(ch4_glb_writer *w, ch4_err *err)
{
    char *text = make_json(w), *room = NULL;
    size_t n = text ? strlen(text) : 0;
    ch4_status st = text ? ch4_calloc(&room, w->json_room, 1, "GLB description", err) : ch4_err_set(err, CH4_ENOMEM, "GLB description");
    if (st == CH4_OK && n > w->json_room)
        st = ch4_err_set(err, CH4_EINTERNAL, "%s: the description is longer than its room", w->path);
    if (st == CH4_OK) {
        uint32_t head[5] = {0x46546c67u, 2, (uint32_t)(HEADER + w->json_room + 8 + w->at.total), (uint32_t)w->json_room, 0x4e4f534au};
        uint32_t bin[2] = {(uint32_t)w->at.total, 0x004e4942u};
        memset(room, ' ', w->json_room);
        memcpy(room, text, n);
        if (fseek(w->f, 0, SEEK_SET) != 0 || fwrite(head, 1, sizeof head, w->f) != sizeof head ||
            fwrite(room, 1, w->json_room, w->f) != w->json_room || fwrite(bin, 1, sizeof bin, w->f) != sizeof bin)
            st = ch4_err_set_errno(err, errno, "%s", w->tmp);
    }
    free(text);
    free(room);
    return st;
}

ch4_status ch4_glb_close(ch4_glb_writer **writer, ch4_err *err)
{
    ch4_glb_writer *w = *writer;
    ch4_status st = w->done == w->n_frames ? put_animation(w, err)
                                           : ch4_err_set(err, CH4_EINVAL, "%s: %lld of %lld frames were written", w->path, (long long)w->done,
                                                         (long long)w->n_frames);
    if (st == CH4_OK)
        st = put_head(w, err);
    if (st == CH4_OK && (fflush(w->f) != 0 || (!w->opt.no_sync && fsync(fileno(w->f)) != 0) || rename(w->tmp, w->path) != 0))
        st = ch4_err_set_errno(err, errno, "%s", w->path);
    if (st == CH4_OK) {
        fclose(w->f);
        w->f = NULL; /* nothing left to remove */
    }
    ch4_glb_abort(writer);
    return st;
}

void ch4_glb_abort(ch4_glb_writer **writer)
{
    ch4_glb_writer *w = writer ? *writer : NULL;
    if (!w)
        return;
    if (w->f) {
        fclose(w->f);
        unlink(w->tmp);
    }
    free(w->path);
    free(w->tmp);
    free(w->faces);
    free(w->welded);
    free(w->rep);
    free(w->base);
    free(w->base_normal);
    free(w->normal);
    free(w->row);
    free(w->times);
    free(w->box);
    free(w->part);
    free(w);
    *writer = NULL;
}
