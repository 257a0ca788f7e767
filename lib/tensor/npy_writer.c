#include "tensor/npy_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

static const struct {
    ch4_dtype dtype;
    const char *descr;
} types[] = {{CH4_DTYPE_F64, "<f8"}, {CH4_DTYPE_F32, "<f4"}, {CH4_DTYPE_I64, "<i8"}, {CH4_DTYPE_I32, "<i4"},
             {CH4_DTYPE_I16, "<i2"}, {CH4_DTYPE_U16, "<u2"}, {CH4_DTYPE_U8, "|u1"}};
enum { N_TYPES = sizeof types / sizeof *types, PREFIX = 10 };

struct ch4_npy_writer {
    FILE *f;
    char *path, *tmp;
    size_t elem;
    int64_t left; /* elements still to come */
};

static const char *descr_of(ch4_dtype dtype)
{
    for (int i = 0; i < N_TYPES; i++)
        if (types[i].dtype == dtype)
            return types[i].descr;
    return NULL;
}

static ch4_status write_header(ch4_npy_writer *w, const char *descr, int rank, const int64_t *shape, ch4_err *err)
{
    char text[512], dims[256] = "";
    size_t used = 0;
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(dims + used, sizeof dims - used, rank == 1 ? "%lld," : i + 1 < rank ? "%lld, " : "%lld", (long long)shape[i]);
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, dims);
    int total = (PREFIX + n + 1 + 63) / 64 * 64, header = total - PREFIX;
    memset(text + n, ' ', (size_t)(header - 1 - n));
    text[header - 1] = '\n';
    unsigned char prefix[PREFIX] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(header & 255), (unsigned char)(header >> 8)};
    if (fwrite(prefix, 1, PREFIX, w->f) != PREFIX || fwrite(text, 1, (size_t)header, w->f) != (size_t)header)
        return ch4_err_set_errno(err, errno, "%s", w->tmp);
    return CH4_OK;
}

ch4_status ch4_npy_create(ch4_npy_writer **out, const char *path, ch4_dtype dtype, int rank, const int64_t *shape, ch4_err *err)
{
    const char *descr = descr_of(dtype);
    ch4_npy_writer *w = NULL;
    size_t bytes;
    *out = NULL;
    if (!descr || rank < 0 || rank > CH4_MAX_RANK)
        return ch4_err_set(err, CH4_EINVAL, "%s: type or rank cannot be written as npy", path);
    ch4_status st = ch4_size_bytes(&bytes, shape, rank, ch4_dtype_size(dtype), err);
    if (st == CH4_OK)
        st = ch4_calloc(&w, 1, sizeof *w, "npy writer", err);
    if (st != CH4_OK)
        return st;
    w->elem = ch4_dtype_size(dtype);
    w->left = (int64_t)(bytes / w->elem);
    w->path = strdup(path);
    if (!w->path || asprintf(&w->tmp, "%s.tmp", path) < 0) {
        w->tmp = NULL;
        st = ch4_err_set(err, CH4_ENOMEM, "npy writer");
    } else if (!(w->f = fopen(w->tmp, "wb"))) {
        st = ch4_err_set_errno(err, errno, "%s", w->tmp);
    } else {
        st = write_header(w, descr, rank, shape, err);
    }
    if (st == CH4_OK)
        *out = w;
    else
        ch4_npy_abort(&w);
    return st;
}

ch4_status ch4_npy_append(ch4_npy_writer *w, const void *data, int64_t count, ch4_err *err)
{
    if (count < 0 || count > w->left)
        return ch4_err_set(err, CH4_EINVAL, "%s: %lld elements more than its shape holds", w->path, (long long)(count - w->left));
    if (fwrite(data, w->elem, (size_t)count, w->f) != (size_t)count)
        return ch4_err_set_errno(err, errno, "%s", w->tmp);
    w->left -= count;
    return CH4_OK;
}

void ch4_npy_abort(ch4_npy_writer **w)
{
    if (!w || !*w)
        return;
    if ((*w)->f) {
        fclose((*w)->f);
        unlink((*w)->tmp);
    }
    free((*w)->path);
    free((*w)->tmp);
    free(*w);
    *w = NULL;
}

ch4_status ch4_npy_close(ch4_npy_writer **w, ch4_err *err)
{
    ch4_npy_writer *p = *w;
    ch4_status st = CH4_OK;
    if (p->left != 0)
        st = ch4_err_set(err, CH4_EINVAL, "%s: %lld elements were not written", p->path, (long long)p->left);
    else if (fflush(p->f) != 0 || fsync(fileno(p->f)) != 0 || rename(p->tmp, p->path) != 0)
        st = ch4_err_set_errno(err, errno, "%s", p->path);
    if (st == CH4_OK) {
        fclose(p->f);
        p->f = NULL; /* nothing left to remove */
    }
    ch4_npy_abort(w);
    return st;
}
