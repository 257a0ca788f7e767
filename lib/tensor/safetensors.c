#include "tensor/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/size.h"

/* 100 MB is the limit of the format's own reference reader. */
static const uint64_t MAX_HEADER = 100u << 20;

enum { MAX_SHARDS = 1024 };

typedef struct entry {
    char *name;
    ch4_tensor view;
    uint64_t begin, end; /* in the data section */
    void *copy;          /* of a tensor that the file does not align, once it was asked for; else NULL */
    const ch4_safetensors *home; /* the file that holds it: a part, where `this` is an index */
} entry;

struct ch4_safetensors {
    char *path;
    unsigned char *map;
    size_t map_size;
    entry *entries;
    int64_t n_entries;
    ch4_safetensors **shards; /* of an index, which has no mapping of its own */
    int64_t n_shards;
    pthread_mutex_t *lock; /* of the copies */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static int by_begin(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static ch4_status parse_entry(entry *e, const char *path, const char *name, json_t *spec, uint64_t data_size, ch4_err *err)
{
    json_t *dtype = json_object_get(spec, "dtype"), *shape = json_object_get(spec, "shape");
    json_t *range = json_object_get(spec, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(range) || json_array_size(range) != 2)
        return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s': needs dtype, shape and data_offsets", path, name);
    ch4_dtype dt;
    if (!ch4_dtype_parse(&dt, json_string_value(dtype)))
        return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s': dtype '%s' is not supported", path, name, json_string_value(dtype));
    size_t rank = json_array_size(shape);
    if (rank > CH4_MAX_RANK)
        return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s': rank %zu is more than %d", path, name, rank, CH4_MAX_RANK);
    int64_t sizes[CH4_MAX_RANK] = {0};
    for (size_t i = 0; i < rank; i++) {
        json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s': dimension %zu is not a size", path, name, i);
        sizes[i] = json_integer_value(d);
    }
    json_t *b = json_array_get(range, 0), *n = json_array_get(range, 1);
    if (!json_is_integer(b) || !json_is_integer(n) || json_integer_value(b) < 0 || json_integer_value(n) < json_integer_value(b) ||
        (uint64_t)json_integer_value(n) > data_size)
        return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s': data_offsets lie outside the file", path, name);
    e->begin = (uint64_t)json_integer_value(b);
    e->end = (uint64_t)json_integer_value(n);
    size_t bytes;
    if (ch4_size_bytes(&bytes, sizes, (int)rank, ch4_dtype_size(dt), NULL) != CH4_OK || bytes != e->end - e->begin)
        return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s': shape and data_offsets disagree", path, name);
    e->view = ch4_tensor_view(NULL, dt, (int)rank, sizes);
    e->name = strdup(name);
    return e->name ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "%s: tensor name", path);
}

static ch4_status check_ranges(const ch4_safetensors *f, uint64_t data_size, ch4_err *err)
{
    uint64_t at = 0;
    for (int64_t i = 0; i < f->n_entries; i++) {
        const entry *e = &f->entries[i];
        if (e->begin != at)
            return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s' %s", f->path, e->name,
                               e->begin < at ? "overlaps another" : "leaves a hole before it");
        at = e->end;
    }
    if (at != data_size)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %" PRIu64 " bytes belong to no tensor", f->path, data_size - at);
    return CH4_OK;
}

static ch4_status parse_header(ch4_safetensors *f, const char *text, size_t size, uint64_t data_size, ch4_err *err)
{
    json_error_t je;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return ch4_err_set(err, CH4_EFORMAT, "%s: header is not JSON: %s", f->path, je.text);
    ch4_status st = CH4_OK;
    if (!json_is_object(root))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: header is not a JSON object", f->path);
    if (st == CH4_OK)
        st = ch4_calloc(&f->entries, json_object_size(root), sizeof *f->entries, "safetensors index", err);
    const char *name;
    json_t *spec;
    if (st == CH4_OK) {
        json_object_foreach(root, name, spec) {
            if (strcmp(name, "__metadata__") == 0)
                continue;
            st = parse_entry(&f->entries[f->n_entries], f->path, name, spec, data_size, err);
            if (st != CH4_OK)
                break;
            f->n_entries++;
        }
    }
    json_decref(root);
    if (st != CH4_OK)
        return st;
    qsort(f->entries, (size_t)f->n_entries, sizeof *f->entries, by_begin);
    st = check_ranges(f, data_size, err);
    qsort(f->entries, (size_t)f->n_entries, sizeof *f->entries, by_name);
    return st;
}

/* Points every view at its bytes. */
static void bind_views(ch4_safetensors *f, size_t data_at)
{
    for (int64_t i = 0; i < f->n_entries; i++) {
        f->entries[i].view.data = f->map + data_at + f->entries[i].begin;
        f->entries[i].home = f;
    }
}

static ch4_status map_file(ch4_safetensors *f, ch4_err *err)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ch4_err_set_errno(err, errno, "%s", f->path);
    struct stat sb;
    ch4_status st = CH4_OK;
    if (fstat(fd, &sb) != 0)
        st = ch4_err_set_errno(err, errno, "%s", f->path);
    else if (!S_ISREG(sb.st_mode) || sb.st_size < 8)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: too short for a safetensors file", f->path);
    if (st == CH4_OK) {
        f->map_size = (size_t)sb.st_size;
        f->map = mmap(NULL, f->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED) {
            f->map = NULL;
            st = ch4_err_set_errno(err, errno, "%s: cannot map", f->path);
        }
    }
    close(fd);
    return st;
}

static ch4_status open_single(ch4_safetensors *f, ch4_err *err)
{
    const char *path = f->path;
    ch4_status st = map_file(f, err);
    if (st == CH4_OK) {
        uint64_t header = 0;
        for (int i = 7; i >= 0; i--)
            header = header << 8 | f->map[i];
        if (header > MAX_HEADER || header > f->map_size - 8)
            st = ch4_err_set(err, CH4_EFORMAT, "%s: header of %" PRIu64 " bytes does not fit a file of %zu bytes", path, header, f->map_size);
        else
            st = parse_header(f, (const char *)f->map + 8, (size_t)header, f->map_size - 8 - header, err);
        if (st == CH4_OK)
            bind_views(f, 8 + (size_t)header);
    }
    return st;
}

static bool is_index(const char *path)
{
    static const char end[] = ".index.json";
    size_t len = strlen(path), n = sizeof end - 1;
    return len > n && strcmp(path + len - n, end) == 0;
}

/* The part called `name` in the folder of the index, opened when it is first named. */
static ch4_status get_shard(ch4_safetensors *f, ch4_safetensors **out, const char *name, ch4_err *err)
{
    const char *slash = strrchr(f->path, '/');
    int folder = slash ? (int)(slash - f->path) + 1 : 0;
    for (int64_t i = 0; i < f->n_shards; i++)
        if (strcmp(f->shards[i]->path + folder, name) == 0) {
            *out = f->shards[i];
            return CH4_OK;
        }
    /* An index is no part: following one that names itself would have no end. */
    if (!*name || strchr(name, '/') || is_index(name) || f->n_shards == MAX_SHARDS)
        return ch4_err_set(err, CH4_EFORMAT, "%s: '%s': up to %d safetensors files of the same folder wanted, no index", f->path, name, MAX_SHARDS);
    char *path = NULL;
    if (asprintf(&path, "%.*s%s", folder, f->path, name) < 0)
        return ch4_err_set(err, CH4_ENOMEM, "%s", f->path);
    ch4_status st = ch4_safetensors_open(out, path, err);
    free(path);
    if (st == CH4_OK)
        f->shards[f->n_shards++] = *out;
    return st;
}

/* Every tensor of every part must be the one that the index means. */
static ch4_status check_shards(const ch4_safetensors *f, ch4_err *err)
{
    for (int64_t i = 0; i < f->n_shards; i++)
        for (int64_t k = 0; k < f->shards[i]->n_entries; k++) {
            const entry *have = &f->shards[i]->entries[k], *listed = bsearch(have, f->entries, (size_t)f->n_entries, sizeof *listed, by_name);
            if (!listed || listed->home != have->home)
                return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s' is not listed for this file in %s", have->home->path, have->name, f->path);
        }
    return CH4_OK;
}

static ch4_status open_listed(ch4_safetensors *f, const json_t *map, ch4_err *err)
{
    const char *name;
    json_t *file;
    ch4_status st = ch4_calloc(&f->entries, json_object_size(map), sizeof *f->entries, "safetensors index", err);
    if (st == CH4_OK)
        st = ch4_calloc(&f->shards, MAX_SHARDS, sizeof *f->shards, "safetensors index", err);
    json_object_foreach((json_t *)(uintptr_t)map, name, file) {
        ch4_safetensors *shard = NULL;
        if (st != CH4_OK)
            break;
        if (!json_is_string(file))
            return ch4_err_set(err, CH4_EFORMAT, "%s: weight_map: tensor '%s': a file name wanted", f->path, name);
        st = get_shard(f, &shard, json_string_value(file), err);
        if (st != CH4_OK)
            break;
        const entry key = {.name = (char *)(uintptr_t)name}, *e = bsearch(&key, shard->entries, (size_t)shard->n_entries, sizeof key, by_name);
        if (!e)
            return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s' is missing, which %s lists here", shard->path, name, f->path);
        f->entries[f->n_entries] = (entry){.name = strdup(name), .view = e->view, .begin = e->begin, .end = e->end, .home = e->home};
        if (!f->entries[f->n_entries].name)
            return ch4_err_set(err, CH4_ENOMEM, "%s: tensor name", f->path);
        f->n_entries++;
    }
    if (st != CH4_OK)
        return st;
    qsort(f->entries, (size_t)f->n_entries, sizeof *f->entries, by_name);
    return check_shards(f, err);
}

static ch4_status open_index(ch4_safetensors *f, ch4_err *err)
{
    json_error_t where;
    FILE *file = fopen(f->path, "re");
    if (!file)
        return ch4_err_set_errno(err, errno, "%s", f->path);
    json_t *root = json_loadf(file, JSON_REJECT_DUPLICATES, &where);
    fclose(file);
    if (!root)
        return ch4_err_set(err, CH4_EFORMAT, "%s:%d:%d: %s", f->path, where.line, where.column, where.text);
    const json_t *map = json_object_get(root, "weight_map");
    ch4_status st = json_is_object(map) ? open_listed(f, map, err) : ch4_err_set(err, CH4_EFORMAT, "%s: weight_map: an object wanted", f->path);
    json_decref(root);
    return st;
}

ch4_status ch4_safetensors_open(ch4_safetensors **out, const char *path, ch4_err *err)
{
    *out = NULL;
    ch4_safetensors *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path)) || !(f->lock = calloc(1, sizeof *f->lock))) {
        ch4_safetensors_close(&f);
        return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    }
    pthread_mutex_init(f->lock, NULL);
    ch4_status st = is_index(path) ? open_index(f, err) : open_single(f, err);
    if (st != CH4_OK)
        ch4_safetensors_close(&f);
    *out = f;
    return st;
}

void ch4_safetensors_close(ch4_safetensors **file)
{
    if (!file || !*file)
        return;
    ch4_safetensors *f = *file;
    for (int64_t i = 0; i < f->n_entries; i++) {
        free(f->entries[i].name);
        free(f->entries[i].copy);
    }
    free(f->entries);
    for (int64_t i = 0; i < f->n_shards; i++)
        ch4_safetensors_close(&f->shards[i]);
    free(f->shards);
    if (f->map)
        munmap(f->map, f->map_size);
    if (f->lock)
        pthread_mutex_destroy(f->lock);
    free(f->lock);
    free(f->path);
    free(f);
    *file = NULL;
}

int64_t ch4_safetensors_count(const ch4_safetensors *file)
{
    return file->n_entries;
}

const char *ch4_safetensors_name(const ch4_safetensors *file, int64_t index)
{
    return file->entries[index].name;
}

const char *ch4_safetensors_path(const ch4_safetensors *file)
{
    return file->path;
}

static entry *find(const ch4_safetensors *file, const char *name)
{
    if (file->n_entries == 0)
        return NULL;
    entry key = {.name = (char *)(uintptr_t)name};
    return bsearch(&key, file->entries, (size_t)file->n_entries, sizeof key, by_name);
}

bool ch4_safetensors_has(const ch4_safetensors *file, const char *name)
{
    return find(file, name) != NULL;
}

const char *ch4_safetensors_path_of(const ch4_safetensors *file, const char *name)
{
    const entry *e = find(file, name);
    return e ? e->home->path : file->path;
}

ch4_status ch4_safetensors_peek(const ch4_safetensors *file, const char *name, ch4_tensor *out, ch4_err *err)
{
    const entry *e = find(file, name);
    if (!e)
        return ch4_err_set(err, CH4_ENOENT, "%s: no tensor '%s'", file->path, name);
    *out = e->view;
    return CH4_OK;
}

ch4_status ch4_safetensors_get(const ch4_safetensors *file, const char *name, ch4_tensor *out, ch4_err *err)
{
    entry *e = find(file, name);
    ch4_status st = ch4_safetensors_peek(file, name, out, err);
    if (st != CH4_OK || (uintptr_t)out->data % ch4_dtype_size(out->dtype) == 0)
        return st;
    size_t size = (size_t)(e->end - e->begin);
    pthread_mutex_lock(file->lock);
    if (!e->copy && (e->copy = malloc(size ? size : 1)))
        memcpy(e->copy, out->data, size);
    pthread_mutex_unlock(file->lock);
    out->data = e->copy;
    return e->copy ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "%s: tensor '%s': %zu bytes for an aligned copy", file->path, name, size);
}

/* All pages that a tensor touches, or only those that it fills. */
static void advise(const ch4_safetensors *file, const char *name, int advice, bool touched)
{
    const entry *e = find(file, name);
    if (!e)
        return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)e->view.data, end = begin + (uintptr_t)(e->end - e->begin);
    begin = (touched ? begin : begin + page - 1) / page * page;
    end = (touched ? end + page - 1 : end) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, advice); /* advice: where it cannot be taken, nothing is lost */
}

void ch4_safetensors_prefetch(const ch4_safetensors *file, const char *name)
{
    advise(file, name, MADV_WILLNEED, true);
}

void ch4_safetensors_release(const ch4_safetensors *file, const char *name)
{
    advise(file, name, MADV_DONTNEED, false);
}

static json_t *header_json(const ch4_named_tensor *tensors, int64_t count)
{
    json_t *root = json_object();
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        const ch4_tensor *t = &tensors[i].tensor;
        json_t *shape = json_array();
        for (int d = 0; d < t->rank; d++)
            json_array_append_new(shape, json_integer(t->shape[d]));
        int64_t bytes = ch4_tensor_count(t) * (int64_t)ch4_dtype_size(t->dtype);
        json_object_set_new(root, tensors[i].name, json_pack("{s:s, s:o, s:[I,I]}", "dtype", ch4_dtype_name(t->dtype), "shape", shape,
                                                            "data_offsets", (json_int_t)at, (json_int_t)(at + bytes)));
        at += bytes;
    }
    return root;
}

static ch4_status write_all(FILE *f, const ch4_named_tensor *tensors, int64_t count, const char *path, ch4_err *err)
{
    json_t *root = header_json(tensors, count);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return ch4_err_set(err, CH4_ENOMEM, "%s: header", path);
    size_t used = strlen(text), padded = (used + 7) / 8 * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    bool ok = fwrite(length, 1, 8, f) == 8 && fwrite(text, 1, used, f) == used;
    for (size_t i = used; i < padded; i++)
        ok = ok && fputc(' ', f) != EOF;
    free(text);
    for (int64_t i = 0; ok && i < count; i++) {
        const ch4_tensor *t = &tensors[i].tensor;
        size_t bytes = (size_t)ch4_tensor_count(t) * ch4_dtype_size(t->dtype);
        ok = fwrite(t->data, 1, bytes, f) == bytes;
    }
    if (!ok || fflush(f) != 0 || fsync(fileno(f)) != 0)
        return ch4_err_set_errno(err, errno, "%s", path);
    return CH4_OK;
}

ch4_status ch4_safetensors_save(const char *path, const ch4_named_tensor *tensors, int64_t count, ch4_err *err)
{
    char *tmp = NULL;
    for (int64_t i = 0; i < count; i++)
        if (!ch4_tensor_contiguous(&tensors[i].tensor))
            return ch4_err_set(err, CH4_EINVAL, "%s: tensor '%s' is not contiguous", path, tensors[i].name);
    if (asprintf(&tmp, "%s.tmp.%ld", path, (long)getpid()) < 0)
        return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    FILE *f = fopen(tmp, "wbe");
    ch4_status st = f ? write_all(f, tensors, count, path, err) : ch4_err_set_errno(err, errno, "%s", path);
    if (f && fclose(f) != 0 && st == CH4_OK)
        st = ch4_err_set_errno(err, errno, "%s", path);
    if (st == CH4_OK && rename(tmp, path) != 0)
        st = ch4_err_set_errno(err, errno, "%s", path);
    if (st != CH4_OK && f)
        unlink(tmp);
    free(tmp);
    return st;
}
