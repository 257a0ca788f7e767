#include "model/weights.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { NAME_LEN = 192 };

typedef struct entry {
    char name[NAME_LEN]; /* without "_orig_mod." */
    const char *stored;
    bool taken;
} entry;

typedef struct block {
    ch4_buf buf;
    struct block *next;
} block;

typedef struct scratch {
    struct scratch *next;
    float values[];
} scratch;

struct ch4_weights {
    ch4_nn *nn;
    const ch4_safetensors *file;
    entry *entries;
    int64_t n_entries;
    block *blocks;
    scratch *scratch;
    ch4_err err; /* first failure */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static void strip(char *name)
{
    static const char part[] = "_orig_mod.";
    for (char *p; (p = strstr(name, part));)
        memmove(p, p + sizeof part - 1, strlen(p + sizeof part - 1) + 1);
}

ch4_status ch4_weights_create(ch4_weights **out, ch4_nn *nn, const ch4_safetensors *file, ch4_err *err)
{
    *out = NULL;
    ch4_weights *w = NULL;
    ch4_status st = ch4_calloc(&w, 1, sizeof *w, "weights", err);
    if (st)
        return st;
    w->nn = nn;
    w->file = file;
    w->n_entries = ch4_safetensors_count(file);
    st = ch4_calloc(&w->entries, (size_t)w->n_entries, sizeof *w->entries, "weight names", err);
    for (int64_t i = 0; !st && i < w->n_entries; i++) {
        entry *e = &w->entries[i];
        e->stored = ch4_safetensors_name(file, i);
        if (strlen(e->stored) >= NAME_LEN)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: tensor name longer than %d bytes: %s", ch4_safetensors_path(file), NAME_LEN - 1, e->stored);
        else
            strip(strcpy(e->name, e->stored));
    }
    if (st)
        ch4_weights_destroy(&w);
    else
        qsort(w->entries, (size_t)w->n_entries, sizeof *w->entries, by_name);
    *out = w;
    return st;
}

static void drop_scratch(ch4_weights *w)
{
    for (scratch *s; (s = w->scratch);) {
        w->scratch = s->next;
        free(s);
    }
}

void ch4_weights_destroy(ch4_weights **out)
{
    ch4_weights *w = *out;
    if (!w)
        return;
    for (block *b; (b = w->blocks);) {
        w->blocks = b->next;
        w->nn->ops->release(w->nn, &b->buf);
        free(b);
    }
    drop_scratch(w);
    free(w->entries);
    free(w);
    *out = NULL;
}

bool ch4_weights_ok(const ch4_weights *w)
{
    return w->err.status == CH4_OK;
}

/* Finds a tensor, checks its shape and ticks it off; false after an error. */
static bool take(ch4_weights *w, ch4_tensor *out, const char *name, int rank, const int64_t *shape)
{
    entry key = {.taken = false}, *e;
    snprintf(key.name, sizeof key.name, "%s", name);
    e = bsearch(&key, w->entries, (size_t)w->n_entries, sizeof key, by_name);
    if (!e) {
        ch4_err_set(&w->err, CH4_EFORMAT, "%s: tensor %s is missing", ch4_safetensors_path(w->file), name);
        return false;
    }
    e->taken = true;
    if (ch4_safetensors_get(w->file, e->stored, out, &w->err) != CH4_OK)
        return false;
    if (!ch4_tensor_has_shape(out, rank, shape)) {
        char have[96], want[96];
        ch4_tensor wanted = ch4_tensor_view(NULL, out->dtype, rank, shape);
        ch4_tensor_describe(out, have, sizeof have);
        ch4_tensor_describe(&wanted, want, sizeof want);
        ch4_err_set(&w->err, CH4_EFORMAT, "%s: tensor %s is %s, the configuration wants %s", ch4_safetensors_path(w->file), name, have, want);
        return false;
    }
    return true;
}

/* Formats the name that a variadic caller was given and takes that tensor. */
#define TAKE(w, t, rank, shape, fmt, ok)                                                                                               \
    do {                                                                                                                               \
        char name_[NAME_LEN];                                                                                                          \
        va_list ap_;                                                                                                                   \
        va_start(ap_, fmt);                                                                                                            \
        vsnprintf(name_, sizeof name_, fmt, ap_);                                                                                      \
        va_end(ap_);                                                                                                                   \
        ok = ch4_weights_ok(w) && take(w, t, name_, rank, shape);                                                                      \
    } while (0)

/* New backend tensor; data NULL after an error. */
static ch4_tensor allocate(ch4_weights *w, int rank, const int64_t *shape)
{
    ch4_tensor t = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    block *b = NULL;
    size_t size;
    if (!ch4_weights_ok(w) || ch4_size_bytes(&size, shape, rank, sizeof(float), &w->err) || ch4_calloc(&b, 1, sizeof *b, "weights", &w->err))
        return t;
    if (w->nn->ops->alloc(w->nn, &b->buf, size, &w->err)) {
        free(b);
        return t;
    }
    b->next = w->blocks;
    w->blocks = b;
    t.data = b->buf.data;
    return t;
}

static void upload(ch4_weights *w, ch4_tensor *out, const ch4_tensor *src)
{
    *out = allocate(w, src->rank, src->shape);
    if (ch4_weights_ok(w))
        w->nn->ops->upload(w->nn, out, src, &w->err);
}

void ch4_weights_get(ch4_weights *w, ch4_tensor *out, int rank, const int64_t *shape, const char *fmt, ...)
{
    ch4_tensor src;
    bool ok;
    TAKE(w, &src, rank, shape, fmt, ok);
    *out = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    if (ok)
        upload(w, out, &src);
}

void ch4_weights_read(ch4_weights *w, float *dst, int rank, const int64_t *shape, const char *fmt, ...)
{
    ch4_tensor src;
    bool ok;
    TAKE(w, &src, rank, shape, fmt, ok);
    if (ok && dst)
        ch4_tensor_to_f32(dst, &src, &w->err);
}

void ch4_weights_expect(ch4_weights *w, int rank, const int64_t *shape, const char *fmt, ...)
{
    ch4_tensor src;
    bool ok;
    TAKE(w, &src, rank, shape, fmt, ok);
    (void)ok;
}

void ch4_weights_put(ch4_weights *w, ch4_tensor *out, const float *values, int rank, const int64_t *shape)
{
    *out = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    if (!ch4_weights_ok(w))
        return;
    ch4_tensor src = ch4_tensor_view((void *)(uintptr_t)values, CH4_DTYPE_F32, rank, shape);
    upload(w, out, &src);
}

float *ch4_weights_scratch(ch4_weights *w, int64_t n)
{
    scratch *s = NULL;
    if (!ch4_weights_ok(w) || ch4_calloc(&s, 1, sizeof *s + (size_t)n * sizeof(float), "weights", &w->err))
        return NULL;
    s->next = w->scratch;
    w->scratch = s;
    return s->values;
}

ch4_status ch4_weights_finish(ch4_weights *w, ch4_err *err)
{
    drop_scratch(w);
    if (!ch4_weights_ok(w))
        return ch4_err_set(err, w->err.status, "%s", w->err.msg);
    for (int64_t i = 0; i < w->n_entries; i++)
        if (!w->entries[i].taken)
            return ch4_err_set(err, CH4_EFORMAT, "%s: tensor %s does not belong to the network that the configuration describes",
                               ch4_safetensors_path(w->file), w->entries[i].stored);
    w->file = NULL;
    return CH4_OK;
}
