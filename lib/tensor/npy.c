#include "tensor/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/size.h"

static const char *const DESCR[CH4_DTYPE_COUNT] = {
    [CH4_DTYPE_F64] = "<f8", [CH4_DTYPE_F32] = "<f4", [CH4_DTYPE_F16] = "<f2", [CH4_DTYPE_I64] = "<i8",
    [CH4_DTYPE_I32] = "<i4", [CH4_DTYPE_I16] = "<i2", [CH4_DTYPE_U16] = "<u2", [CH4_DTYPE_U8] = "|u1",
};
static const char MAGIC[] = "\x93NUMPY";
enum { MAGIC_SIZE = 6, MAX_HEADER = 65536 };

static ch4_status write_all(FILE *f, const ch4_tensor *t, const char *path, ch4_err *err)
{
    char shape[160] = "", text[320];
    size_t n = 0;
    for (int i = 0; i < t->rank; i++)
        n += (size_t)snprintf(shape + n, sizeof(shape) - n, "%s%lld%s", i ? " " : "", (long long)t->shape[i], i + 1 < t->rank || t->rank == 1 ? "," : "");
    int used = snprintf(text, sizeof(text), "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", DESCR[t->dtype], shape);
    /* The data starts at a multiple of 64: magic, version, two bytes of length, text, spaces, newline. */
    int total = (MAGIC_SIZE + 4 + used + 1 + 63) / 64 * 64, length = total - MAGIC_SIZE - 4;
    size_t bytes = (size_t)ch4_tensor_count(t) * ch4_dtype_size(t->dtype);
    bool ok = fwrite(MAGIC, 1, MAGIC_SIZE, f) == MAGIC_SIZE && fprintf(f, "%c%c%c%c", 1, 0, length & 255, length >> 8) == 4 &&
              fprintf(f, "%-*s\n", length - 1, text) == length && (bytes == 0 || fwrite(t->data, 1, bytes, f) == bytes);
    if (!ok || fflush(f) != 0 || fsync(fileno(f)) != 0) return ch4_err_set_errno(err, errno, "%s", path);
    return CH4_OK;
}

ch4_status ch4_npy_save(const char *path, const ch4_tensor *t, ch4_err *err)
{
    if (!DESCR[t->dtype] || !ch4_tensor_contiguous(t)) return ch4_err_set(err, CH4_EINVAL, "%s: not writable as npy", path);
    char *tmp = NULL;
    if (asprintf(&tmp, "%s.tmp.%ld", path, (long)getpid()) < 0) return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    FILE *f = fopen(tmp, "wbe");
    ch4_status st = f ? write_all(f, t, path, err) : ch4_err_set_errno(err, errno, "%s", path);
    if (f && fclose(f) != 0 && !st) st = ch4_err_set_errno(err, errno, "%s", path);
    if (!st && rename(tmp, path) != 0) st = ch4_err_set_errno(err, errno, "%s", path);
    if (st && f) unlink(tmp);
    free(tmp);
    return st;
}

/* The value after 'key': in the header's Python dictionary, NULL if there is none. */
static const char *find_value(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    if (!p) return NULL;
    p += strlen(key);
    p += strspn(p, " ");
    return *p == ':' ? p + 1 + strspn(p + 1, " ") : NULL;
}

/* View without data and its bytes. */
static bool parse_header(ch4_tensor *view, size_t *bytes, const char *text)
{
    const char *descr = find_value(text, "'descr'"), *order = find_value(text, "'fortran_order'"), *p = find_value(text, "'shape'");
    int64_t shape[CH4_MAX_RANK];
    int rank = 0, dtype = 0;
    if (!descr || !order || !p || strncmp(order, "False", 5) || *p++ != '(') return false;
    for (; dtype < CH4_DTYPE_COUNT; dtype++)
        if (DESCR[dtype] && descr[0] == '\'' && !strncmp(descr + 1, DESCR[dtype], 3) && descr[4] == '\'') break;
    if (!strncmp(descr, "'|b1'", 5)) dtype = CH4_DTYPE_U8;
    if (dtype == CH4_DTYPE_COUNT) return false;
    for (;; rank++) {
        p += strspn(p, " ,");
        if (*p == ')') break;
        char *end;
        if (rank == CH4_MAX_RANK || *p < '0' || *p > '9') return false;
        errno = 0;
        shape[rank] = strtoll(p, &end, 10);
        if (errno) return false;
        p = end;
    }
    /* A view's strides are products of sizes: they are checked before there is a view. */
    if (ch4_size_bytes(bytes, shape, rank, ch4_dtype_size((ch4_dtype)dtype), NULL)) return false;
    *view = ch4_tensor_view(NULL, (ch4_dtype)dtype, rank, shape);
    return true;
}

/* View without data, its bytes and where they begin, from the first bytes of a file. */
static ch4_status read_head(ch4_tensor *view, size_t *bytes, size_t *begin, const unsigned char *head, size_t size, const char *name, ch4_err *err)
{
    char *text = NULL;
    if (size < 12 || memcmp(head, MAGIC, MAGIC_SIZE)) return ch4_err_set(err, CH4_EFORMAT, "%s: not a npy file", name);
    bool wide = head[6] == 2;
    if (head[6] != 1 && !wide) return ch4_err_set(err, CH4_EFORMAT, "%s: npy version %d", name, head[6]);
    size_t length = head[8] | (size_t)head[9] << 8 | (wide ? (size_t)head[10] << 16 | (size_t)head[11] << 24 : 0);
    if (length > MAX_HEADER) return ch4_err_set(err, CH4_EFORMAT, "%s: npy header of %zu bytes", name, length);
    *begin = (wide ? 12 : 10) + length;
    ch4_status st = ch4_calloc(&text, length + 1, 1, name, err);
    if (st) return st;
    if (*begin <= size) memcpy(text, head + *begin - length, length);
    if (*begin > size || !parse_header(view, bytes, text))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: unusable npy header (needs little-endian numbers in C order, at most %d dimensions)", name, CH4_MAX_RANK);
    free(text);
    return st;
}

static ch4_status read_all(FILE *f, ch4_buf *buf, ch4_tensor *view, const char *path, ch4_err *err)
{
    unsigned char *head = NULL;
    size_t bytes = 0, begin = 0;
    ch4_status st = ch4_calloc(&head, MAX_HEADER + 12, 1, path, err);
    if (!st) st = read_head(view, &bytes, &begin, head, fread(head, 1, MAX_HEADER + 12, f), path, err);
    free(head);
    if (st) return st;
    if (fseek(f, 0, SEEK_END) != 0) return ch4_err_set_errno(err, errno, "%s", path);
    long end = ftell(f);
    if (end < 0 || fseek(f, (long)begin, SEEK_SET) != 0) return ch4_err_set_errno(err, errno, "%s", path);
    if ((uint64_t)bytes != (uint64_t)end - begin) return ch4_err_set(err, CH4_EFORMAT, "%s: %ld bytes of data do not fit the shape", path, end - (long)begin);
    st = ch4_buf_alloc(buf, bytes, err);
    if (st) return ch4_err_wrap(err, st, "%s", path);
    if (fread(buf->data, 1, bytes, f) != bytes) return ch4_err_set_errno(err, errno ? errno : EIO, "%s", path);
    view->data = buf->data;
    return CH4_OK;
}

ch4_status ch4_npy_decode(ch4_buf *buf, ch4_tensor *view, const void *file, size_t size, const char *name, ch4_err *err)
{
    size_t bytes = 0, begin = 0;
    *buf = (ch4_buf){0};
    ch4_status st = read_head(view, &bytes, &begin, file, size, name, err);
    if (st) return st;
    if (bytes != size - begin) return ch4_err_set(err, CH4_EFORMAT, "%s: %zu bytes of data do not fit the shape", name, size - begin);
    st = ch4_buf_alloc(buf, bytes, err);
    if (st) return ch4_err_wrap(err, st, "%s", name);
    memcpy(buf->data, (const char *)file + begin, bytes);
    view->data = buf->data;
    return CH4_OK;
}

ch4_status ch4_npy_load(ch4_buf *buf, ch4_tensor *view, const char *path, ch4_err *err)
{
    *buf = (ch4_buf){0};
    FILE *f = fopen(path, "rbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status st = read_all(f, buf, view, path, err);
    if (st) ch4_buf_free(buf);
    fclose(f);
    return st;
}
