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
    ch4_weights_report *report; /* of a survey */
    ch4_weights_type type;
    ch4_weights_part part;
    ch4_buf slot;               /* of the parts */
    size_t slot_need, slot_used;
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

static ch4_status create(ch4_weights **out, ch4_nn *nn, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    *out = NULL;
    ch4_weights *w = NULL;
    ch4_status st = ch4_calloc(&w, 1, sizeof *w, "weights", err);
    if (st)
        return st;
    w->nn = nn;
    w->file = file;
    w->report = report;
    w->n_entries = file ? ch4_safetensors_count(file) : 0;
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

ch4_status ch4_weights_create(ch4_weights **out, ch4_nn *nn, const ch4_safetensors *file, ch4_err *err)
{
    return create(out, nn, file, NULL, err);
}

ch4_status ch4_weights_survey(ch4_weights **out, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    return create(out, NULL, file, report, err);
}

void ch4_weights_drop_scratch(ch4_weights *w)
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
    if (w->nn)
        w->nn->ops->release(w->nn, &w->slot);
    ch4_weights_drop_scratch(w);
    free(w->entries);
    free(w);
    *out = NULL;
}

bool ch4_weights_ok(const ch4_weights *w)
{
    return !w->report && w->err.status == CH4_OK && (w->part == CH4_PART_NONE || w->part == CH4_PART_LOAD);
}

void ch4_weights_set_type(ch4_weights *w, ch4_weights_type type)
{
    w->type = type;
}

void ch4_weights_begin_part(ch4_weights *w, ch4_weights_part how)
{
    w->part = how;
    w->slot_used = 0;
}

ch4_status ch4_weights_end_part(ch4_weights *w, ch4_err *err)
{
    if (w->part == CH4_PART_MEASURE && w->slot_used > w->slot_need)
        w->slot_need = w->slot_used;
    w->part = CH4_PART_NONE;
    return w->err.status ? ch4_err_set(err, w->err.status, "%s", w->err.msg) : CH4_OK;
}

/* First failure, or one problem of a survey. */
__attribute__((format(printf, 2, 3))) static void complain(ch4_weights *w, const char *fmt, ...)
{
    char text[sizeof w->err.msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!w->report) {
        ch4_err_set(&w->err, CH4_EFORMAT, "%s", text);
        return;
    }
    w->report->problems++;
    if (w->report->problem)
        w->report->problem(w->report->ctx, text);
}

static void count(ch4_weights_report *report, const ch4_tensor *t, bool loaded)
{
    int64_t n = ch4_tensor_count(t);
    report->tensors++;
    report->parameters += n;
    report->loaded += loaded ? n : 0;
    report->by_dtype[t->dtype] += n;
}

/* Finds a tensor, checks its shape and ticks it off; true if there is such a tensor. */
static bool take(ch4_weights *w, ch4_tensor *out, const char *name, int rank, const int64_t *shape, bool loaded)
{
    entry key = {.taken = false}, *e;
    snprintf(key.name, sizeof key.name, "%s", name);
    if (w->err.status)
        return false;
    if (w->report && w->report->tensor)
        w->report->tensor(w->report->ctx, name, rank, shape);
    if (!w->file) {
        *out = ch4_tensor_view(NULL, rank ? CH4_DTYPE_F32 : CH4_DTYPE_I64, rank, shape); /* the only scalars are counters */
        count(w->report, out, loaded);
        return true;
    }
    e = bsearch(&key, w->entries, (size_t)w->n_entries, sizeof key, by_name);
    if (!e) {
        complain(w, "%s: tensor %s is missing", ch4_safetensors_path(w->file), name);
        return false;
    }
    e->taken = true;
    if (ch4_safetensors_peek(w->file, e->stored, out, &w->err) != CH4_OK)
        return false;
    if (!ch4_tensor_has_shape(out, rank, shape)) {
        char have[96], want[96];
        ch4_tensor wanted = ch4_tensor_view(NULL, out->dtype, rank, shape);
        ch4_tensor_describe(out, have, sizeof have);
        ch4_tensor_describe(&wanted, want, sizeof want);
        complain(w, "%s: tensor %s is %s, the configuration wants %s", ch4_safetensors_path_of(w->file, e->stored), name, have, want);
        return false;
    }
    if (w->report)
        count(w->report, out, loaded);
    if (w->part == CH4_PART_PREFETCH && loaded)
        ch4_safetensors_prefetch(w->file, e->stored);
    return true;
}

/* The values have been copied out of the file, which is not needed in memory any longer. */
static void done_with(ch4_weights *w, const char *name)
{
    entry key = {.taken = false}, *e;
    snprintf(key.name, sizeof key.name, "%s", name);
    e = bsearch(&key, w->entries, (size_t)w->n_entries, sizeof key, by_name);
    if (e && ch4_weights_ok(w))
        ch4_safetensors_release(w->file, e->stored);
}

#define FORMAT_NAME(name, fmt)                                                                                                         \
    do {                                                                                                                               \
        va_list ap_;                                                                                                                   \
        va_start(ap_, fmt);                                                                                                            \
        vsnprintf(name, sizeof name, fmt, ap_);                                                                                        \
        va_end(ap_);                                                                                                                   \
    } while (0)

/* Backend memory that is kept; NULL after an error. */
static void *allocate_kept(ch4_weights *w, size_t size)
{
    block *b = NULL;
    if (ch4_calloc(&b, 1, sizeof *b, "weights", &w->err))
        return NULL;
    if (w->nn->ops->alloc(w->nn, &b->buf, size, &w->err)) {
        free(b);
        return NULL;
    }
    b->next = w->blocks;
    w->blocks = b;
    return b->buf.data;
}

/* New backend tensor, kept or in the slot; data NULL after an error and where nothing is loaded. */
static ch4_tensor allocate(ch4_weights *w, ch4_dtype dtype, int rank, const int64_t *shape)
{
    ch4_tensor t = ch4_tensor_view(NULL, dtype, rank, shape);
    size_t size, at = w->slot_used;
    if (w->err.status || ch4_size_bytes(&size, shape, rank, ch4_dtype_size(dtype), &w->err))
        return t;
    if (w->part == CH4_PART_NONE) {
        if (w->report)
            w->report->bytes += size;
        else
            t.data = allocate_kept(w, size);
        return t;
    }
    w->slot_used += (size + 63) / 64 * 64;
    if (w->part == CH4_PART_LOAD && w->slot_used > w->slot.size)
        ch4_err_set(&w->err, CH4_EINVAL, "weights: a part that was not measured");
    else if (w->part == CH4_PART_LOAD)
        t.data = (char *)w->slot.data + at;
    return t;
}

/* Type in memory of a matrix that consists of n stored ones. */
static ch4_dtype type_of(const ch4_weights *w, const ch4_tensor *src, int n)
{
    ch4_dtype stored = src[0].dtype;
    for (int i = 1; i < n; i++)
        if (src[i].dtype != stored)
            return CH4_DTYPE_F32;
    if (w->type == CH4_WEIGHTS_F32 || (stored != CH4_DTYPE_F32 && stored != CH4_DTYPE_F16 && stored != CH4_DTYPE_BF16))
        return CH4_DTYPE_F32;
    return w->type == CH4_WEIGHTS_BF16 && stored == CH4_DTYPE_F32 ? CH4_DTYPE_BF16 : stored;
}

static void upload(ch4_weights *w, ch4_tensor *dst, const ch4_tensor *src)
{
    if (ch4_weights_ok(w))
        w->nn->ops->upload(w->nn, dst, src, &w->err);
}

void ch4_weights_get(ch4_weights *w, ch4_tensor *out, int rank, const int64_t *shape, const char *fmt, ...)
{
    ch4_tensor src;
    char name[NAME_LEN];
    FORMAT_NAME(name, fmt);
    *out = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    if (!take(w, &src, name, rank, shape, true))
        return;
    *out = allocate(w, rank == 2 ? type_of(w, &src, 1) : CH4_DTYPE_F32, rank, shape);
    upload(w, out, &src);
    done_with(w, name);
}

void ch4_weights_stack(ch4_weights *w, ch4_tensor *out, int64_t rows, int64_t columns, int64_t heads, int n_parts, const char *const *part,
                       const char *prefix)
{
    ch4_tensor src[CH4_STACK_PARTS];
    char name[CH4_STACK_PARTS][NAME_LEN];
    const int64_t shape[2] = {n_parts * rows, columns}, high = rows / heads;
    bool all = true;
    for (int p = 0; p < n_parts; p++) {
        snprintf(name[p], sizeof name[p], "%s%s", prefix, part[p]);
        all = take(w, &src[p], name[p], 2, (int64_t[]){rows, columns}, true) && all;
    }
    *out = ch4_tensor_view(NULL, CH4_DTYPE_F32, 2, shape);
    if (!all)
        return;
    *out = allocate(w, type_of(w, src, n_parts), 2, shape);
    for (int64_t g = 0; ch4_weights_ok(w) && g < n_parts * heads; g++) {
        ch4_tensor from = ch4_tensor_slice(&src[g / heads], 0, g % heads * high, high);
        ch4_tensor to = ch4_tensor_slice(out, 0, (g % n_parts * heads + g / n_parts) * high, high);
        upload(w, &to, &from);
    }
    for (int p = 0; p < n_parts; p++)
        done_with(w, name[p]);
}

void ch4_weights_read(ch4_weights *w, float *dst, int rank, const int64_t *shape, const char *fmt, ...)
{
    ch4_tensor src;
    char name[NAME_LEN];
    FORMAT_NAME(name, fmt);
    if (take(w, &src, name, rank, shape, true) && ch4_weights_ok(w) && dst) {
        ch4_tensor_to_f32(dst, &src, &w->err);
        done_with(w, name);
    }
}

void ch4_weights_expect(ch4_weights *w, int rank, const int64_t *shape, const char *fmt, ...)
{
    ch4_tensor src;
    char name[NAME_LEN];
    FORMAT_NAME(name, fmt);
    take(w, &src, name, rank, shape, false);
}

void ch4_weights_put(ch4_weights *w, ch4_tensor *out, const float *values, int rank, const int64_t *shape)
{
    ch4_tensor src = ch4_tensor_view((void *)(uintptr_t)values, CH4_DTYPE_F32, rank, shape);
    *out = allocate(w, CH4_DTYPE_F32, rank, shape);
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
    ch4_weights_drop_scratch(w);
    if (w->report)
        w->report->bytes += w->slot_need;
    if (w->err.status)
        return ch4_err_set(err, w->err.status, "%s", w->err.msg);
    for (int64_t i = 0; i < w->n_entries && !w->err.status; i++)
        if (!w->entries[i].taken)
            complain(w, "%s: tensor %s does not belong to the network that the configuration describes",
                     ch4_safetensors_path_of(w->file, w->entries[i].stored), w->entries[i].stored);
    if (!w->slot_need)
        w->file = NULL;
    else if (!w->report && !w->err.status)
        w->nn->ops->alloc(w->nn, &w->slot, w->slot_need, &w->err);
    return w->err.status ? ch4_err_set(err, w->err.status, "%s", w->err.msg) : CH4_OK;
}
