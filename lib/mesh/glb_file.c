/* Chunks, buffer views and accessors of a GLB. Everything is hostile until checked here. */
#include <math.h>
#include <string.h>

#include "mesh/glb_impl.h"

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static ch4_status find_chunks(glb_file *f, const uint8_t **json, size_t *json_size, const uint8_t *data, size_t size, ch4_err *err)
{
    if (size < 20 || memcmp(data, "glTF", 4) != 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: not a GLB file", f->name);
    if (le32(data + 4) != 2)
        return ch4_err_set(err, CH4_EUNSUP, "%s: GLB version %u, only 2 is read", f->name, le32(data + 4));
    if (le32(data + 8) > size)
        return ch4_err_set(err, CH4_EFORMAT, "%s: GLB is cut off: %zu of %u bytes", f->name, size, le32(data + 8));
    size_t end = le32(data + 8), at = 12;
    while (at + 8 <= end) {
        size_t n = le32(data + at);
        uint32_t type = le32(data + at + 4);
        if (n > end - at - 8)
            return ch4_err_set(err, CH4_EFORMAT, "%s: GLB chunk at byte %zu runs past the end", f->name, at);
        if (type == 0x4e4f534au && !*json) {
            *json = data + at + 8;
            *json_size = n;
        } else if (type == 0x004e4942u && !f->bin) {
            f->bin = data + at + 8;
            f->bin_size = n;
        }
        at += 8 + n;
    }
    return *json ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "%s: GLB has no JSON chunk", f->name);
}

ch4_status glb_open(glb_file *f, const uint8_t *data, size_t size, const char *name, ch4_err *err)
{
    const uint8_t *json = NULL;
    size_t n = 0;
    json_error_t je;
    *f = (glb_file){.name = name};
    ch4_status st = find_chunks(f, &json, &n, data, size, err);
    if (st != CH4_OK)
        return st;
    while (n > 0 && json[n - 1] == '\0') /* some writers pad with NUL */
        n--;
    f->root = json_loadb((const char *)json, n, 0, &je);
    if (!json_is_object(f->root)) {
        json_decref(f->root);
        f->root = NULL;
        return ch4_err_set(err, CH4_EFORMAT, "%s: JSON of the GLB, line %d: %s", name, je.line, je.text);
    }
    const char *version = json_string_value(json_object_get(json_object_get(f->root, "asset"), "version"));
    if (!version || strncmp(version, "2.", 2) != 0) {
        st = ch4_err_set(err, CH4_EUNSUP, "%s: glTF version %.16s, only 2.x is read", name, version ? version : "(none)");
        json_decref(f->root);
        f->root = NULL;
        return st;
    }
    return CH4_OK;
}

json_t *glb_item(const glb_file *f, const char *key, json_t *index)
{
    json_int_t i = json_is_integer(index) ? json_integer_value(index) : -1;
    return i < 0 ? NULL : json_array_get(json_object_get(f->root, key), (size_t)i);
}

bool glb_size(json_t *object, const char *key, int64_t otherwise, int64_t *out)
{
    json_t *v = json_object_get(object, key);
    *out = otherwise;
    if (!v)
        return true;
    double x = json_is_number(v) ? json_number_value(v) : -1;
    if (!(x >= 0 && x <= 9007199254740992.0) || x != floor(x))
        return false;
    *out = (int64_t)x;
    return true;
}

ch4_status glb_bytes(const uint8_t **out, size_t *size, size_t *stride, const glb_file *f, json_t *index, const char *what, ch4_err *err)
{
    json_t *view = glb_item(f, "bufferViews", index), *buffer, *ext = json_object_get(view, "extensions");
    int64_t offset, length, step, n;
    if (!view)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s names a buffer view that does not exist", f->name, what);
    if (json_object_get(ext, "EXT_meshopt_compression") || json_object_get(ext, "KHR_meshopt_compression"))
        return ch4_err_set(err, CH4_EUNSUP, "%s: meshopt-compressed GLB is not read; export it without compression", f->name);
    buffer = glb_item(f, "buffers", json_object_get(view, "buffer"));
    if (!buffer)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s: buffer does not exist", f->name, what);
    if (json_object_get(buffer, "uri") || json_integer_value(json_object_get(view, "buffer")) != 0)
        return ch4_err_set(err, CH4_EUNSUP, "%s: geometry outside of the file is not read; export as a single .glb", f->name);
    if (!glb_size(view, "byteOffset", 0, &offset) || !glb_size(view, "byteLength", -1, &length) || !glb_size(view, "byteStride", 0, &step) ||
        !glb_size(buffer, "byteLength", -1, &n) || length < 0 || n < 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s: offset, length or stride is not a size", f->name, what);
    if ((uint64_t)n > f->bin_size || offset > n || length > n - offset)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s reaches past the %zu bytes of the file's buffer", f->name, what, f->bin_size);
    *out = f->bin + offset;
    *size = (size_t)length;
    *stride = (size_t)step;
    return CH4_OK;
}

static size_t component_size(int type)
{
    switch (type) {
    case 5120: case 5121: return 1;
    case 5122: case 5123: return 2;
    case 5125: case 5126: return 4;
    default: return 0;
    }
}

ch4_status glb_accessor(glb_view *out, const glb_file *f, json_t *index, const char *type_name, int width, const char *what, ch4_err *err)
{
    json_t *a = glb_item(f, "accessors", index);
    const char *type = json_string_value(json_object_get(a, "type"));
    int64_t offset, count, component;
    size_t size;
    if (!a)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s names an accessor that does not exist", f->name, what);
    if (json_object_get(a, "sparse") || !json_object_get(a, "bufferView"))
        return ch4_err_set(err, CH4_EUNSUP, "%s: %s is sparse, which is not read; export it with dense accessors", f->name, what);
    if (!type || strcmp(type, type_name) != 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s is not %s", f->name, what, type_name);
    if (!glb_size(a, "byteOffset", 0, &offset) || !glb_size(a, "count", -1, &count) || !glb_size(a, "componentType", 0, &component) || count < 1)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s: offset, count or type is not a size", f->name, what);
    *out = (glb_view){.count = count, .type = (int)component, .width = width, .normalized = json_is_true(json_object_get(a, "normalized"))};
    size_t elem = component_size(out->type) * (size_t)width;
    if (elem == 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s has the unknown component type %lld", f->name, what, (long long)component);
    ch4_status st = glb_bytes(&out->data, &size, &out->stride, f, json_object_get(a, "bufferView"), what, err);
    if (st != CH4_OK)
        return st;
    if (out->stride == 0)
        out->stride = elem;
    if (out->stride < elem || out->stride > 252)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s has a stride of %zu bytes", f->name, what, out->stride);
    if ((uint64_t)offset > size || elem > size - (size_t)offset || (uint64_t)(count - 1) > (size - (size_t)offset - elem) / out->stride)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s: %lld elements do not fit into the %zu bytes of their buffer view", f->name, what,
                           (long long)count, size);
    out->data += offset;
    return CH4_OK;
}

double glb_real(const glb_view *v, int64_t i, int component)
{
    const uint8_t *p = v->data + (size_t)i * v->stride + component_size(v->type) * (size_t)component;
    uint32_t bits;
    float x;
    switch (v->type) {
    case 5120: return v->normalized ? fmax((int8_t)p[0] / 127.0, -1) : (int8_t)p[0];
    case 5121: return v->normalized ? p[0] / 255.0 : p[0];
    case 5122: return v->normalized ? fmax((int16_t)(p[0] | p[1] << 8) / 32767.0, -1) : (int16_t)(p[0] | p[1] << 8);
    case 5123: return v->normalized ? (p[0] | p[1] << 8) / 65535.0 : (p[0] | p[1] << 8);
    case 5125: return le32(p);
    default:
        bits = le32(p);
        memcpy(&x, &bits, sizeof x);
        return x;
    }
}

uint32_t glb_index(const glb_view *v, int64_t i)
{
    const uint8_t *p = v->data + (size_t)i * v->stride;
    return v->type == 5121 ? p[0] : v->type == 5123 ? p[0] | (uint32_t)p[1] << 8 : le32(p);
}
