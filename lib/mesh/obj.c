/* Wavefront OBJ: positions, texture coordinates and polygons. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/mesh_io.h"

enum { MAX_ITEMS = 50 * 1000 * 1000 };

/* A growing array of floats or of indices. */
typedef struct list {
    void *data;
    int64_t count, capacity;
    size_t elem;
} list;

typedef struct obj_file {
    const char *name;
    int64_t line;
    list pos, color, uv; /* float: 3, 3, 2 per item */
    list corner;         /* int32: position, texture coordinate (-1: none) per triangle corner */
    bool has_color;
    ch4_err *err;
} obj_file;

static ch4_status push(list *l, const void *item, const obj_file *o)
{
    if (l->count == l->capacity) {
        int64_t capacity = l->capacity ? 2 * l->capacity : 1024;
        void *data = capacity <= 2 * (int64_t)MAX_ITEMS ? realloc(l->data, (size_t)capacity * l->elem) : NULL;
        if (!data)
            return ch4_err_set(o->err, CH4_ENOMEM, "%s: line %lld: too many vertices or faces", o->name, (long long)o->line);
        l->data = data;
        l->capacity = capacity;
    }
    memcpy((char *)l->data + (size_t)l->count++ * l->elem, item, l->elem);
    return CH4_OK;
}

/* Up to max numbers of the rest of a line; their count, or -1 for something that is no number. */
static int numbers(double *out, int max, const char *p, const char *end)
{
    int n = 0;
    while (p < end) {
        if (isspace((unsigned char)*p)) {
            p++;
            continue;
        }
        char *after;
        double x = strtod(p, &after); /* the text ends with a NUL, and a number does not span lines */
        if (after == p || after > end)
            return -1;
        if (n < max)
            out[n++] = x;
        p = after;
    }
    return n;
}

static ch4_status bad(const obj_file *o, const char *what)
{
    return ch4_err_set(o->err, CH4_EFORMAT, "%s: line %lld: %s", o->name, (long long)o->line, what);
}

static ch4_status add_vertex(obj_file *o, const char *p, const char *end)
{
    double x[8];
    int n = numbers(x, 8, p, end);
    if (n < 3)
        return bad(o, "a vertex needs three numbers");
    float pos[3] = {(float)x[0], (float)x[1], (float)x[2]}, color[3] = {1, 1, 1};
    for (int k = 0; k < 3; k++)
        if (!isfinite(pos[k]))
            return ch4_err_set(o->err, CH4_EFORMAT, "%s: line %lld: vertex %lld is not finite", o->name, (long long)o->line, (long long)o->pos.count);
    if (n >= 6) { /* x y z r g b, or x y z w r g b */
        o->has_color = true;
        for (int k = 0; k < 3; k++)
            color[k] = (float)fmin(fmax(x[(n == 6 ? 3 : 4) + k], 0), 1);
    }
    ch4_status st = push(&o->pos, pos, o);
    return st == CH4_OK ? push(&o->color, color, o) : st;
}

static ch4_status add_uv(obj_file *o, const char *p, const char *end)
{
    double x[3] = {0};
    if (numbers(x, 3, p, end) < 1 || !isfinite(x[0]) || !isfinite(x[1]))
        return bad(o, "a texture coordinate needs two numbers");
    return push(&o->uv, (float[]){(float)x[0], (float)(1 - x[1])}, o); /* OBJ counts from the bottom, glTF from the top */
}

/* 1-based or negative index; false if it names nothing. */
static bool resolve(int32_t *out, long long index, int64_t count)
{
    long long i = index > 0 ? index - 1 : index < 0 ? count + index : -1;
    if (i < 0 || i >= count)
        return false;
    *out = (int32_t)i;
    return true;
}

/* One corner "v", "v/vt", "v//vn" or "v/vt/vn". */
static ch4_status parse_corner(obj_file *o, int32_t out[2], const char **p, const char *end)
{
    char *after;
    errno = 0;
    long long v = strtoll(*p, &after, 10);
    out[1] = -1;
    if (after == *p || after > end || errno || !resolve(&out[0], v, o->pos.count))
        return ch4_err_set(o->err, CH4_EFORMAT, "%s: line %lld: face names vertex %lld of %lld", o->name, (long long)o->line, v, (long long)o->pos.count);
    *p = after;
    if (*p < end && **p == '/') {
        ++*p;
        if (*p < end && **p != '/' && !isspace((unsigned char)**p)) {
            long long t = strtoll(*p, &after, 10);
            if (after == *p || after > end || errno || !resolve(&out[1], t, o->uv.count))
                return bad(o, "face names a texture coordinate that does not exist");
            *p = after;
        }
        if (*p < end && **p == '/') {
            ++*p;
            strtoll(*p, &after, 10); /* normals are computed anew */
            *p = after <= end ? after : end;
        }
    }
    if (*p < end && !isspace((unsigned char)**p))
        return bad(o, "face is not a list of indices");
    return CH4_OK;
}

static ch4_status add_face(obj_file *o, const char *p, const char *end)
{
    int32_t first[2], last[2], now[2];
    int n = 0;
    while (p < end) {
        if (isspace((unsigned char)*p)) {
            p++;
            continue;
        }
        ch4_status st = parse_corner(o, now, &p, end);
        if (st == CH4_OK && n >= 2)
            if ((st = push(&o->corner, first, o)) == CH4_OK && (st = push(&o->corner, last, o)) == CH4_OK)
                st = push(&o->corner, now, o);
        if (st != CH4_OK)
            return st;
        if (n++ == 0)
            memcpy(first, now, sizeof first);
        memcpy(last, now, sizeof last);
    }
    return n >= 3 ? CH4_OK : bad(o, "a face needs three corners");
}

static ch4_status parse_line(obj_file *o, const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    if (end - p < 2)
        return CH4_OK;
    if (p[0] == 'v' && isspace((unsigned char)p[1]))
        return add_vertex(o, p + 2, end);
    if (p[0] == 'v' && p[1] == 't' && end - p > 2 && isspace((unsigned char)p[2]))
        return add_uv(o, p + 3, end);
    if (p[0] == 'f' && isspace((unsigned char)p[1]))
        return add_face(o, p + 2, end);
    return CH4_OK;
}

/* Draw vertices: one per pair of position and texture coordinate, first those that keep the number of their position. */
static ch4_status make_draw(ch4_asset *out, const obj_file *o)
{
    int64_t n = out->mesh.n_vert, corners = o->corner.count, total = n;
    const int32_t *corner = o->corner.data;
    int32_t *uv_of = NULL, *next = NULL; /* of a draw vertex: its texture coordinate, the next draw vertex of the same position */
    ch4_status st;
    if ((st = ch4_calloc(&uv_of, (size_t)(n + corners), sizeof *uv_of, "texture coordinates", o->err)) ||
        (st = ch4_calloc(&next, (size_t)(n + corners), sizeof *next, "texture coordinates", o->err)) ||
        (st = ch4_calloc(&out->draw_vert, (size_t)(n + corners), sizeof *out->draw_vert, "texture coordinates", o->err)) ||
        (st = ch4_calloc(&out->draw_face, (size_t)corners, sizeof *out->draw_face, "texture coordinates", o->err)))
        goto out;
    for (int64_t i = 0; i < n + corners; i++) {
        uv_of[i] = -2; /* not used yet */
        next[i] = -1;
        out->draw_vert[i] = (int32_t)ch4_min_i64(i, n - 1);
    }
    for (int64_t i = 0; i < corners; i++) {
        int32_t at = corner[2 * i], uv = corner[2 * i + 1];
        if (uv_of[at] == -2)
            uv_of[at] = uv;
        while (uv_of[at] != uv && next[at] >= 0)
            at = next[at];
        if (uv_of[at] != uv) {
            next[at] = (int32_t)total;
            at = (int32_t)total++;
            uv_of[at] = uv;
            out->draw_vert[at] = corner[2 * i];
        }
        out->draw_face[i] = at;
    }
    out->n_draw = total;
    st = ch4_calloc(&out->uv, (size_t)total * 2, sizeof *out->uv, "texture coordinates", o->err);
    for (int64_t i = 0; st == CH4_OK && i < total; i++)
        if (uv_of[i] >= 0)
            memcpy(out->uv + 2 * i, (const float *)o->uv.data + 2 * (int64_t)uv_of[i], 2 * sizeof *out->uv);
out:
    free(uv_of);
    free(next);
    return st;
}

static ch4_status finish(ch4_asset *out, const obj_file *o)
{
    if (o->corner.count == 0)
        return ch4_err_set(o->err, CH4_EFORMAT, "%s: no faces in it", o->name);
    ch4_status st = ch4_mesh_init(&out->mesh, o->pos.count, o->corner.count / 3, o->err);
    if (st != CH4_OK)
        return st;
    memcpy(out->mesh.vert, o->pos.data, (size_t)o->pos.count * 3 * sizeof(float));
    for (int64_t i = 0; i < o->corner.count; i++)
        out->mesh.face[i] = ((const int32_t *)o->corner.data)[2 * i];
    out->n_draw = out->mesh.n_vert;
    if (o->uv.count > 0)
        st = make_draw(out, o);
    if (st == CH4_OK && o->has_color) {
        st = ch4_calloc(&out->color, (size_t)out->n_draw * 4, sizeof(float), "colours", o->err);
        for (int64_t i = 0; st == CH4_OK && i < out->n_draw; i++) {
            int64_t v = out->draw_vert ? out->draw_vert[i] : i;
            memcpy(out->color + 4 * i, (const float *)o->color.data + 3 * v, 3 * sizeof(float));
            out->color[4 * i + 3] = 1;
        }
    }
    return st;
}

ch4_status ch4_obj_parse(ch4_asset *out, const char *text, size_t size, const char *name, ch4_err *err)
{
    obj_file o = {.name = name, .pos.elem = 12, .color.elem = 12, .uv.elem = 8, .corner.elem = 8, .err = err};
    char *copy = NULL;
    *out = (ch4_asset){0};
    ch4_status st = ch4_calloc(&copy, size + 1, 1, name, err); /* strtod needs an end */
    if (st == CH4_OK)
        memcpy(copy, text, size);
    for (char *p = copy, *end = copy ? copy + size : NULL; st == CH4_OK && p < end;) {
        char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            eol = end;
        o.line++;
        *eol = '\0';
        char *hash = memchr(p, '#', (size_t)(eol - p));
        if (hash)
            *hash = '\0';
        st = parse_line(&o, p, hash ? hash : eol);
        p = eol + 1;
    }
    if (st == CH4_OK)
        st = finish(out, &o);
    free(copy);
    free(o.pos.data);
    free(o.color.data);
    free(o.uv.data);
    free(o.corner.data);
    if (st != CH4_OK)
        ch4_asset_fini(out);
    return st;
}
