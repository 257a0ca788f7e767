#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/glb_impl.h"
#include "mesh/mesh_io.h"

enum { MAX_NODE_DEPTH = 256, MAX_INSTANCES = 1 << 16, MAX_VERTICES = 20 * 1000 * 1000, TRIANGLES = 4, STRIP = 5, FAN = 6 };

/* A primitive as a node places it. */
typedef struct instance {
    json_t *primitive;
    double world[16]; /* column-major */
    int64_t n_vert, n_face;
} instance;

typedef struct scene {
    glb_file file;
    instance *list;
    int64_t count, capacity;
    uint8_t *seen; /* per node: a node has one parent, so a second visit is a loop or a damaged file */
    int64_t n_nodes;
} scene;

/* --- the node tree --------------------------------------------------------------------------------------------------------- */

static void multiply(double out[16], const double a[16], const double b[16])
{
    for (int c = 0; c < 4; c++)
        for (int r = 0; r < 4; r++) {
            out[4 * c + r] = 0;
            for (int k = 0; k < 4; k++)
                out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
        }
}

static bool read_reals(double *out, json_t *array, size_t n)
{
    if (!array)
        return true;
    if (!json_is_array(array) || json_array_size(array) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_array_get(array, i);
        if (!json_is_number(v) || !isfinite(json_number_value(v)))
            return false;
        out[i] = json_number_value(v);
    }
    return true;
}

static bool node_matrix(double m[16], json_t *node)
{
    double t[3] = {0}, q[4] = {0, 0, 0, 1}, s[3] = {1, 1, 1};
    static const double identity[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    memcpy(m, identity, sizeof identity);
    if (json_object_get(node, "matrix"))
        return read_reals(m, json_object_get(node, "matrix"), 16);
    if (!read_reals(t, json_object_get(node, "translation"), 3) || !read_reals(q, json_object_get(node, "rotation"), 4) ||
        !read_reals(s, json_object_get(node, "scale"), 3))
        return false;
    double x = q[0], y = q[1], z = q[2], w = q[3];
    double r[9] = {1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w), 2 * (x * y - z * w), 1 - 2 * (x * x + z * z),
                   2 * (y * z + x * w), 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)}; /* columns */
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 3; k++)
            m[4 * c + k] = r[3 * c + k] * s[c];
    memcpy(m + 12, t, sizeof t);
    return true;
}

static ch4_status add_mesh(scene *s, json_t *mesh, const double world[16], ch4_err *err)
{
    json_t *primitives = json_object_get(mesh, "primitives");
    for (size_t i = 0; i < json_array_size(primitives); i++) {
        if (s->count == s->capacity) {
            int64_t capacity = s->capacity ? 2 * s->capacity : 16;
            instance *list = capacity <= MAX_INSTANCES ? realloc(s->list, (size_t)capacity * sizeof *list) : NULL;
            if (!list)
                return ch4_err_set(err, CH4_EFORMAT, "%s: more than %d primitives", s->file.name, MAX_INSTANCES);
            s->list = list;
            s->capacity = capacity;
        }
        instance *in = &s->list[s->count++];
        *in = (instance){.primitive = json_array_get(primitives, i)};
        memcpy(in->world, world, sizeof in->world);
    }
    return CH4_OK;
}

static ch4_status visit(scene *s, json_t *index, const double parent[16], int depth, ch4_err *err)
{
    json_t *node = glb_item(&s->file, "nodes", index), *children = json_object_get(node, "children"), *mesh;
    double local[16], world[16];
    if (!node || depth > MAX_NODE_DEPTH || s->seen[json_integer_value(index)]++)
        return ch4_err_set(err, CH4_EFORMAT, "%s: its nodes do not form a tree", s->file.name);
    if (!node_matrix(local, node))
        return ch4_err_set(err, CH4_EFORMAT, "%s: transform of node %lld is not finite", s->file.name, (long long)json_integer_value(index));
    multiply(world, parent, local);
    ch4_status st = CH4_OK;
    if (json_object_get(node, "mesh")) {
        if (!(mesh = glb_item(&s->file, "meshes", json_object_get(node, "mesh"))))
            return ch4_err_set(err, CH4_EFORMAT, "%s: a node names a mesh that does not exist", s->file.name);
        st = add_mesh(s, mesh, world, err);
    }
    for (size_t i = 0; st == CH4_OK && i < json_array_size(children); i++)
        st = visit(s, json_array_get(children, i), world, depth + 1, err);
    return st;
}

/* The default scene, else the first; without scenes every node that is nobody's child. */
static ch4_status collect(scene *s, ch4_err *err)
{
    static const double identity[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    json_t *nodes = json_object_get(s->file.root, "nodes"), *which = json_object_get(s->file.root, "scene");
    json_t *sc = which ? glb_item(&s->file, "scenes", which) : json_array_get(json_object_get(s->file.root, "scenes"), 0);
    s->n_nodes = (int64_t)json_array_size(nodes);
    ch4_status st = ch4_calloc(&s->seen, (size_t)s->n_nodes, 1, "nodes", err);
    if (st != CH4_OK)
        return st;
    if (sc) {
        json_t *roots = json_object_get(sc, "nodes");
        for (size_t i = 0; st == CH4_OK && i < json_array_size(roots); i++)
            st = visit(s, json_array_get(roots, i), identity, 0, err);
        return st;
    }
    uint8_t *child = NULL;
    st = ch4_calloc(&child, (size_t)s->n_nodes, 1, "nodes", err);
    for (int64_t i = 0; st == CH4_OK && i < s->n_nodes; i++) {
        json_t *c = json_object_get(json_array_get(nodes, (size_t)i), "children");
        for (size_t k = 0; k < json_array_size(c); k++) {
            json_int_t x = json_integer_value(json_array_get(c, k));
            if (x >= 0 && x < s->n_nodes)
                child[x] = 1;
        }
    }
    for (int64_t i = 0; st == CH4_OK && i < s->n_nodes; i++) {
        json_t *index = child[i] ? NULL : json_integer(i);
        if (index)
            st = visit(s, index, identity, 0, err);
        json_decref(index);
    }
    free(child);
    return st;
}

/* --- primitives ------------------------------------------------------------------------------------------------------------ */

static json_t *attribute(const instance *in, const char *name)
{
    return json_object_get(json_object_get(in->primitive, "attributes"), name);
}

static ch4_status position_view(glb_view *v, const scene *s, const instance *in, ch4_err *err)
{
    return glb_accessor(v, &s->file, attribute(in, "POSITION"), "VEC3", 3, "POSITION", err);
}

/* Vertices and triangles of one primitive; none for points and lines. */
static ch4_status measure(scene *s, instance *in, bool *has_uv, bool *has_color, ch4_err *err)
{
    int64_t mode, corners;
    glb_view v;
    if (json_object_get(json_object_get(in->primitive, "extensions"), "KHR_draco_mesh_compression"))
        return ch4_err_set(err, CH4_EUNSUP, "%s: Draco-compressed GLB is not read; export it without compression", s->file.name);
    if (!glb_size(in->primitive, "mode", TRIANGLES, &mode) || mode > FAN)
        return ch4_err_set(err, CH4_EFORMAT, "%s: a primitive has an unknown mode", s->file.name);
    if (mode < TRIANGLES)
        return CH4_OK;
    ch4_status st = position_view(&v, s, in, err);
    if (st != CH4_OK)
        return st;
    in->n_vert = corners = v.count;
    if (json_object_get(in->primitive, "indices")) {
        if ((st = glb_accessor(&v, &s->file, json_object_get(in->primitive, "indices"), "SCALAR", 1, "indices", err)) != CH4_OK)
            return st;
        if (v.type != 5121 && v.type != 5123 && v.type != 5125)
            return ch4_err_set(err, CH4_EFORMAT, "%s: indices are not unsigned integers", s->file.name);
        corners = v.count;
    }
    in->n_face = mode == TRIANGLES ? corners / 3 : ch4_max_i64(corners - 2, 0);
    *has_uv |= attribute(in, "TEXCOORD_0") != NULL;
    *has_color |= attribute(in, "COLOR_0") != NULL;
    return CH4_OK;
}

static ch4_status fill_vertices(ch4_asset *out, const scene *s, const instance *in, int64_t first, ch4_err *err)
{
    glb_view pos, uv, color;
    json_t *uv_index = attribute(in, "TEXCOORD_0"), *color_index = attribute(in, "COLOR_0");
    ch4_status st = position_view(&pos, s, in, err);
    if (st == CH4_OK && uv_index)
        st = glb_accessor(&uv, &s->file, uv_index, "VEC2", 2, "TEXCOORD_0", err);
    const char *type = json_string_value(json_object_get(glb_item(&s->file, "accessors", color_index), "type"));
    int width = type && strcmp(type, "VEC3") == 0 ? 3 : 4;
    if (st == CH4_OK && color_index)
        st = glb_accessor(&color, &s->file, color_index, width == 3 ? "VEC3" : "VEC4", width, "COLOR_0", err);
    if (st != CH4_OK)
        return st;
    if ((uv_index && uv.count != pos.count) || (color_index && color.count != pos.count))
        return ch4_err_set(err, CH4_EFORMAT, "%s: attributes of a primitive differ in number", s->file.name);
    for (int64_t i = 0; i < pos.count; i++) {
        double x[3] = {glb_real(&pos, i, 0), glb_real(&pos, i, 1), glb_real(&pos, i, 2)};
        for (int k = 0; k < 3; k++)
            out->mesh.vert[3 * (first + i) + k] =
                (float)(in->world[k] * x[0] + in->world[4 + k] * x[1] + in->world[8 + k] * x[2] + in->world[12 + k]);
        for (int k = 0; uv_index && k < 2; k++)
            out->uv[2 * (first + i) + k] = (float)glb_real(&uv, i, k);
        for (int k = 0; color_index && k < width; k++)
            out->color[4 * (first + i) + k] = (float)glb_real(&color, i, k);
    }
    return CH4_OK;
}

static ch4_status fill_faces(ch4_asset *out, const scene *s, const instance *in, int64_t first_vert, int64_t first_face, ch4_err *err)
{
    int64_t mode;
    glb_view index = {0};
    bool indexed = json_object_get(in->primitive, "indices") != NULL;
    glb_size(in->primitive, "mode", TRIANGLES, &mode);
    if (indexed) {
        ch4_status st = glb_accessor(&index, &s->file, json_object_get(in->primitive, "indices"), "SCALAR", 1, "indices", err);
        if (st != CH4_OK)
            return st;
    }
    const double *w = in->world;
    double det = w[0] * (w[5] * w[10] - w[6] * w[9]) - w[4] * (w[1] * w[10] - w[2] * w[9]) + w[8] * (w[1] * w[6] - w[2] * w[5]);
    for (int64_t f = 0; f < in->n_face; f++) {
        int64_t corner[3] = {3 * f, 3 * f + 1, 3 * f + 2};
        if (mode == STRIP) { /* every second triangle is turned round */
            corner[0] = f;
            corner[1] = f + 1 + (f & 1);
            corner[2] = f + 2 - (f & 1);
        } else if (mode == FAN) {
            corner[0] = f + 1;
            corner[1] = f + 2;
            corner[2] = 0;
        }
        for (int k = 0; k < 3; k++) {
            uint32_t v = indexed ? glb_index(&index, corner[k]) : (uint32_t)corner[k];
            if (v >= in->n_vert)
                return ch4_err_set(err, CH4_EFORMAT, "%s: face %lld names vertex %u of %lld", s->file.name, (long long)f, v, (long long)in->n_vert);
            int at = det < 0 && k > 0 ? 3 - k : k;
            out->mesh.face[3 * (first_face + f) + at] = (int32_t)(first_vert + v);
        }
    }
    return CH4_OK;
}

static ch4_status add_part(ch4_asset *out, const scene *s, const instance *in, int64_t first_face, ch4_err *err)
{
    json_t *material = json_object_get(in->primitive, "material");
    int32_t index = material ? (int32_t)json_integer_value(material) : -1;
    if (material && !glb_item(&s->file, "materials", material))
        return ch4_err_set(err, CH4_EFORMAT, "%s: a primitive names a material that does not exist", s->file.name);
    if (out->n_part > 0 && out->part[out->n_part - 1].material == index)
        out->part[out->n_part - 1].n_face += in->n_face;
    else
        out->part[out->n_part++] = (ch4_mesh_part){.first_face = first_face, .n_face = in->n_face, .material = index};
    return CH4_OK;
}

static ch4_status fill(ch4_asset *out, scene *s, ch4_err *err)
{
    int64_t n_vert = 0, n_face = 0;
    bool has_uv = false, has_color = false;
    ch4_status st = CH4_OK;
    for (int64_t i = 0; st == CH4_OK && i < s->count; i++) {
        st = measure(s, &s->list[i], &has_uv, &has_color, err);
        n_vert += s->list[i].n_vert;
        n_face += s->list[i].n_face;
        if (st == CH4_OK && (n_vert > MAX_VERTICES || n_face > 2 * MAX_VERTICES))
            return ch4_err_set(err, CH4_EUNSUP, "%s: more than %d vertices", s->file.name, MAX_VERTICES);
    }
    if (st == CH4_OK && n_face == 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: no triangles in it", s->file.name);
    if (st == CH4_OK)
        st = ch4_mesh_init(&out->mesh, n_vert, n_face, err);
    if (st == CH4_OK && has_uv)
        st = ch4_calloc(&out->uv, (size_t)n_vert * 2, sizeof(float), "texture coordinates", err);
    if (st == CH4_OK && has_color)
        st = ch4_calloc(&out->color, (size_t)n_vert * 4, sizeof(float), "colours", err);
    if (st == CH4_OK)
        st = ch4_calloc(&out->part, (size_t)s->count, sizeof *out->part, "parts", err);
    for (int64_t i = 0; st == CH4_OK && has_color && i < 4 * n_vert; i++)
        out->color[i] = 1;
    out->n_draw = n_vert;
    n_vert = n_face = 0;
    for (int64_t i = 0; st == CH4_OK && i < s->count; i++) {
        const instance *in = &s->list[i];
        if (in->n_face == 0 && in->n_vert == 0)
            continue;
        if ((st = fill_vertices(out, s, in, n_vert, err)) || (st = fill_faces(out, s, in, n_vert, n_face, err)) ||
            (st = add_part(out, s, in, n_face, err)))
            return st;
        n_vert += in->n_vert;
        n_face += in->n_face;
    }
    return st;
}

/* --- materials and images, kept as they are ----------------------------------------------------------------------------------- */

/* Removes every texture of a material that needs coordinates which are not kept. */
static void drop_textures(json_t *value, bool all)
{
    const char *key;
    void *tmp;
    json_t *member;
    json_object_foreach_safe(value, tmp, key, member) {
        json_t *transform = json_object_get(json_object_get(member, "extensions"), "KHR_texture_transform");
        bool texture = json_is_integer(json_object_get(member, "index"));
        bool other_set = json_integer_value(json_object_get(member, "texCoord")) != 0 || json_integer_value(json_object_get(transform, "texCoord")) != 0;
        if (texture && (all || other_set))
            json_object_del(value, key);
        else
            drop_textures(member, all);
    }
}

static ch4_status keep_images(ch4_asset *out, const scene *s, json_t *images, ch4_err *err)
{
    out->n_image = (int64_t)json_array_size(images);
    ch4_status st = ch4_calloc(&out->image, (size_t)out->n_image, sizeof *out->image, "images", err);
    if (st != CH4_OK)
        out->n_image = 0;
    for (int64_t i = 0; st == CH4_OK && i < out->n_image; i++) {
        json_t *image = json_array_get(images, (size_t)i), *view = json_object_get(image, "bufferView");
        const uint8_t *data;
        size_t size, stride;
        if (!view)
            continue;
        if ((st = glb_bytes(&data, &size, &stride, &s->file, view, "an image", err)) || (st = ch4_calloc(&out->image[i].data, size, 1, "image", err)))
            return st;
        memcpy(out->image[i].data, data, size);
        out->image[i].size = size;
        json_object_del(image, "bufferView");
    }
    return st;
}

static bool look_extension(const char *name)
{
    return (strncmp(name, "KHR_materials_", 14) == 0 && strcmp(name, "KHR_materials_variants") != 0) || strncmp(name, "KHR_texture_", 12) == 0 ||
           strncmp(name, "EXT_texture_", 12) == 0;
}

static ch4_status keep_look(ch4_asset *out, const scene *s, ch4_err *err)
{
    static const char *const key[] = {"materials", "textures", "samplers", "images"};
    json_t *look = json_object(), *used = json_array(), *item;
    size_t index;
    ch4_status st = look && used ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "materials");
    for (int k = 0; st == CH4_OK && k < 4; k++) {
        json_t *array = json_object_get(s->file.root, key[k]);
        if (array && (!json_is_array(array) || json_object_set_new(look, key[k], json_deep_copy(array)) != 0))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: %s is not a list", s->file.name, key[k]);
    }
    if (st == CH4_OK && json_object_get(look, "materials")) {
        json_array_foreach(json_object_get(look, "materials"), index, item)
            drop_textures(item, out->uv == NULL);
        st = keep_images(out, s, json_object_get(look, "images"), err);
        json_array_foreach(json_object_get(s->file.root, "extensionsUsed"), index, item) {
            if (json_is_string(item) && look_extension(json_string_value(item)))
                json_array_append(used, item);
        }
        if (json_array_size(used) > 0)
            json_object_set(look, "extensionsUsed", used);
        if (st == CH4_OK && !(out->look = json_dumps(look, JSON_COMPACT)))
            st = ch4_err_set(err, CH4_ENOMEM, "materials");
    }
    json_decref(used);
    json_decref(look);
    return st;
}

ch4_status ch4_glb_parse(ch4_asset *out, const uint8_t *data, size_t size, const char *name, ch4_err *err)
{
    scene s = {0};
    *out = (ch4_asset){0};
    ch4_status st = glb_open(&s.file, data, size, name, err);
    if (st == CH4_OK)
        st = collect(&s, err);
    if (st == CH4_OK)
        st = fill(out, &s, err);
    if (st == CH4_OK) {
        st = ch4_mesh_check(out->mesh.vert, out->mesh.n_vert, out->mesh.face, out->mesh.n_face, err);
        if (st != CH4_OK)
            ch4_err_wrap(err, st, "%s", name);
    }
    if (st == CH4_OK)
        st = keep_look(out, &s, err);
    json_decref(s.file.root);
    free(s.list);
    free(s.seen);
    if (st != CH4_OK)
        ch4_asset_fini(out);
    return st;
}
