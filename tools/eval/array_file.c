#include "tools/eval/array_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

ch4_status ch4_array_file_open(ch4_array_file *out, const char *path, ch4_err *err)
{
    *out = (ch4_array_file){0};
    snprintf(out->path, sizeof(out->path), "%s", path);
    if (ends_with(path, ".npz")) return ch4_npz_open(&out->npz, path, err);
    return ch4_safetensors_open(&out->safetensors, path, err);
}

void ch4_array_file_close(ch4_array_file *f)
{
    ch4_npz_close(&f->npz);
    ch4_safetensors_close(&f->safetensors);
}

bool ch4_array_file_has(const ch4_array_file *f, const char *name)
{
    return f->npz ? ch4_npz_has(f->npz, name) : f->safetensors && ch4_safetensors_has(f->safetensors, name);
}

/* A tensor with the expected shape; *buf holds it if it had to be unpacked. */
static ch4_status get(ch4_buf *buf, ch4_tensor *t, const ch4_array_file *f, const char *name, int rank, int64_t *shape, ch4_err *err)
{
    char is[96], want[96];
    *buf = (ch4_buf){0};
    ch4_status st = f->npz ? ch4_npz_get(buf, t, f->npz, name, err) : ch4_safetensors_get(f->safetensors, name, t, err);
    if (st) return st;
    bool fits = t->rank == rank;
    for (int i = 0; fits && i < rank; i++) fits = shape[i] < 0 || shape[i] == t->shape[i];
    if (!fits) {
        ch4_tensor wanted = ch4_tensor_view(NULL, t->dtype, rank, shape);
        ch4_tensor_describe(t, is, sizeof(is));
        ch4_tensor_describe(&wanted, want, sizeof(want));
        ch4_buf_free(buf);
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s is %s, expected %s (-1: any)", f->path, name, is, want);
    }
    memcpy(shape, t->shape, (size_t)rank * sizeof(*shape));
    return CH4_OK;
}

ch4_status ch4_array_file_f64(double **out, const ch4_array_file *f, const char *name, int rank, int64_t *shape, ch4_err *err)
{
    ch4_buf buf;
    ch4_tensor t;
    *out = NULL;
    ch4_status st = get(&buf, &t, f, name, rank, shape, err);
    if (!st) st = ch4_calloc(out, (size_t)ch4_tensor_count(&t), sizeof(**out), name, err);
    if (!st) st = ch4_tensor_to_f64(*out, &t, err);
    ch4_buf_free(&buf);
    return st;
}

ch4_status ch4_array_file_f32(float **out, const ch4_array_file *f, const char *name, int rank, int64_t *shape, ch4_err *err)
{
    ch4_buf buf;
    ch4_tensor t;
    *out = NULL;
    ch4_status st = get(&buf, &t, f, name, rank, shape, err);
    if (!st) st = ch4_calloc(out, (size_t)ch4_tensor_count(&t), sizeof(**out), name, err);
    if (!st) st = ch4_tensor_to_f32(*out, &t, err);
    ch4_buf_free(&buf);
    return st;
}

ch4_status ch4_array_file_flags(uint8_t **out, const ch4_array_file *f, const char *name, int rank, int64_t *shape, ch4_err *err)
{
    float *x = NULL;
    *out = NULL;
    ch4_status st = ch4_array_file_f32(&x, f, name, rank, shape, err);
    size_t n = 1;
    for (int i = 0; i < rank; i++) n *= st ? 0 : (size_t)shape[i];
    if (!st) st = ch4_calloc(out, n, 1, name, err);
    for (size_t i = 0; !st && i < n; i++) (*out)[i] = x[i] != 0;
    free(x);
    return st;
}
