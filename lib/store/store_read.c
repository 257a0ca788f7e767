#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "store/store_impl.h"

struct ch4_store_reader {
    hid_t file;
    char path[CH4_STORE_PATH];
    char checksum[CH4_HASH_HEX];
    int64_t bytes; /* of the file */
};

ch4_status ch4_store_open(ch4_store_reader **out, const char *path, ch4_err *err)
{
    ch4_store_reader *r = NULL;
    hid_t fapl = -1;
    ch4_status status;
    *out = NULL;
    if (strlen(path) >= CH4_STORE_PATH)
        return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", path);
    status = ch4_calloc(&r, 1, sizeof *r, "run file", err);
    if (status)
        return status;
    r->file = -1;
    snprintf(r->path, sizeof r->path, "%s", path);
    status = ch4_store_check_file(path, r->checksum, &r->bytes, err);
    if (status)
        goto out;
    store_h5_quiet();
    fapl = H5Pcreate(H5P_FILE_ACCESS);
    /* A committed file never changes, and some shared file systems have no locks. */
    if (fapl >= 0 && H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) >= 0 && H5Pset_file_locking(fapl, 0, 1) >= 0)
        r->file = H5Fopen(path, H5F_ACC_RDONLY, fapl);
    if (r->file < 0)
        status = store_h5_error(err, CH4_EFORMAT, "%s", path);
out:
    if (fapl >= 0)
        H5Pclose(fapl);
    if (status)
        ch4_store_close(&r);
    *out = r;
    return status;
}

void ch4_store_close(ch4_store_reader **reader)
{
    if (!reader || !*reader)
        return;
    if ((*reader)->file >= 0)
        H5Fclose((*reader)->file);
    free(*reader);
    *reader = NULL;
}

const char *ch4_store_path(const ch4_store_reader *reader)
{
    return reader->path;
}

const char *ch4_store_checksum(const ch4_store_reader *reader)
{
    return reader->checksum;
}

/* --- datasets -------------------------------------------------------------------------------------------------------------- */

/* True if every part of the path is an ordinary (hard) link: a file must not lead to other files. */
static bool path_is_plain(const ch4_store_reader *r, const char *name)
{
    char part[CH4_STORE_NAME];
    if (!store_name_ok(name, true))
        return false;
    for (const char *end = name + 1; end; ) {
        end = strchr(end, '/');
        snprintf(part, sizeof part, "%.*s", end ? (int)(end - name) : (int)strlen(name), name);
        H5L_info_t info;
        if (H5Lexists(r->file, part, H5P_DEFAULT) <= 0 || H5Lget_info(r->file, part, &info, H5P_DEFAULT) < 0 ||
            info.type != H5L_TYPE_HARD)
            return false;
        end = end ? end + 1 : NULL;
    }
    return true;
}

bool ch4_store_has(const ch4_store_reader *reader, const char *name)
{
    H5O_info_t info;
    bool is = path_is_plain(reader, name) && H5Oget_info_by_name(reader->file, name, &info, H5P_DEFAULT) >= 0 &&
              info.type == H5O_TYPE_DATASET;
    H5Eclear2(H5E_DEFAULT);
    return is;
}

static bool find_dtype(hid_t set, ch4_dtype *out)
{
    hid_t type = H5Dget_type(set);
    bool found = false;
    for (int d = 0; type >= 0 && d < CH4_DTYPE_COUNT && !found; d++) {
        hid_t t = store_h5_type((ch4_dtype)d);
        if (t < 0)
            continue;
        if (H5Tequal(t, type) > 0) {
            *out = (ch4_dtype)d;
            found = true;
        }
        H5Tclose(t);
    }
    if (type >= 0)
        H5Tclose(type);
    return found;
}

/* Storage that we write ourselves: contiguous, compact, or chunks no larger than the data with our three filters. A tiny file must not claim
 * huge data: deflate reaches at most about 1032:1. */
static bool storage_is_ours(const ch4_store_reader *r, hid_t set, const ch4_tensor *t, size_t bytes)
{
    hid_t p = H5Dget_create_plist(set);
    bool ok = false;
    if (p < 0)
        return false;
    H5D_layout_t layout = H5Pget_layout(p);
    if (layout == H5D_CHUNKED) {
        hsize_t chunk[CH4_MAX_RANK];
        int n = H5Pget_nfilters(p);
        ok = H5Pget_chunk(p, CH4_MAX_RANK, chunk) == t->rank && n >= 0 && bytes / 1100 <= (size_t)r->bytes;
        for (int i = 0; ok && i < t->rank; i++)
            ok = chunk[i] >= 1 && chunk[i] <= (hsize_t)ch4_max_i64(t->shape[i], 1);
        for (int i = 0; ok && i < n; i++) {
            unsigned flags;
            size_t values = 0;
            H5Z_filter_t f = H5Pget_filter2(p, (unsigned)i, &flags, &values, NULL, 0, NULL, NULL);
            ok = f == H5Z_FILTER_SHUFFLE || f == H5Z_FILTER_DEFLATE || f == H5Z_FILTER_FLETCHER32;
        }
    } else {
        ok = (layout == H5D_CONTIGUOUS || layout == H5D_COMPACT) && H5Pget_external_count(p) == 0 && bytes <= (size_t)r->bytes;
    }
    H5Pclose(p);
    return ok;
}

/* Opens a dataset and describes it; *set is to be closed by the caller on success. */
static ch4_status open_dataset(const ch4_store_reader *r, const char *name, hid_t *set, ch4_tensor *out, ch4_err *err)
{
    hsize_t dims[CH4_MAX_RANK];
    int64_t shape[CH4_MAX_RANK];
    ch4_dtype dtype = CH4_DTYPE_U8;
    size_t bytes = 0;
    if (!ch4_store_has(r, name))
        return ch4_err_set(err, CH4_ENOENT, "%s: no dataset %s", r->path, name);
    *set = H5Dopen2(r->file, name, H5P_DEFAULT);
    if (*set < 0)
        return store_h5_error(err, CH4_EFORMAT, "%s: %s", r->path, name);
    hid_t space = H5Dget_space(*set);
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    H5S_class_t cls = space >= 0 ? H5Sget_simple_extent_type(space) : H5S_NO_CLASS;
    bool ok = rank >= 0 && rank <= CH4_MAX_RANK && (cls == H5S_SIMPLE || cls == H5S_SCALAR) &&
              H5Sget_simple_extent_dims(space, dims, NULL) == rank && find_dtype(*set, &dtype);
    for (int i = 0; ok && i < rank; i++) {
        ok = dims[i] <= (hsize_t)CH4_STORE_MAX_BYTES;
        shape[i] = (int64_t)dims[i];
    }
    ok = ok && ch4_size_bytes(&bytes, shape, rank, ch4_dtype_size(dtype), NULL) == CH4_OK && bytes <= (size_t)CH4_STORE_MAX_BYTES;
    if (ok) {
        *out = ch4_tensor_view(NULL, dtype, rank, shape);
        ok = storage_is_ours(r, *set, out, bytes);
    }
    if (space >= 0)
        H5Sclose(space);
    if (ok)
        return CH4_OK;
    H5Dclose(*set);
    *set = -1;
    H5Eclear2(H5E_DEFAULT);
    return ch4_err_set(err, CH4_EFORMAT, "%s: dataset %s has a type, shape or storage that no run file has", r->path, name);
}

ch4_status ch4_store_stat(const ch4_store_reader *reader, const char *name, ch4_tensor *out, ch4_err *err)
{
    hid_t set = -1;
    ch4_status status = open_dataset(reader, name, &set, out, err);
    if (set >= 0)
        H5Dclose(set);
    return status;
}

typedef struct listing {
    const ch4_store_reader *reader;
    ch4_store_entry *out;
    int room, n;
    ch4_status status;
    ch4_err *err;
} listing;

/* One link of the file, in the order of names; `name` has no slash in front. Stops (1) when full or at an error. */
static herr_t list_link(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    listing *l = data;
    char path[CH4_STORE_NAME];
    (void)group, (void)info;
    if (l->n == l->room)
        return 1;
    if (snprintf(path, sizeof path, "/%s", name) >= (int)sizeof path || !ch4_store_has(l->reader, path))
        return 0; /* a group */
    ch4_store_entry *e = &l->out[l->n];
    memcpy(e->name, path, sizeof path);
    l->status = ch4_store_stat(l->reader, path, &e->shape, l->err);
    if (l->status)
        return 1;
    l->n++;
    return 0;
}

ch4_status ch4_store_list(const ch4_store_reader *reader, ch4_store_entry *out, int room, int *n, ch4_err *err)
{
    listing l = {.reader = reader, .out = out, .room = room, .err = err};
    herr_t walked = H5Lvisit(reader->file, H5_INDEX_NAME, H5_ITER_INC, list_link, &l);
    *n = l.n;
    if (l.status)
        return l.status;
    return walked < 0 ? store_h5_error(err, CH4_EFORMAT, "%s", reader->path) : CH4_OK;
}

static ch4_status expect(const ch4_store_reader *r, const char *name, const ch4_tensor *t, ch4_dtype dtype, int rank,
                         const int64_t *shape, ch4_err *err)
{
    char have[96], want[96];
    int64_t any[CH4_MAX_RANK];
    bool ok = t->dtype == dtype && t->rank == rank;
    for (int i = 0; ok && i < rank; i++)
        ok = !shape || shape[i] < 0 || shape[i] == t->shape[i];
    if (ok)
        return CH4_OK;
    for (int i = 0; i < rank; i++)
        any[i] = shape ? shape[i] : -1;
    ch4_tensor w = ch4_tensor_view(NULL, dtype, rank, any);
    ch4_tensor_describe(t, have, sizeof have);
    ch4_tensor_describe(&w, want, sizeof want);
    return ch4_err_set(err, CH4_EFORMAT, "%s: dataset %s is %s, expected %s", r->path, name, have, want);
}

ch4_status ch4_store_read(const ch4_store_reader *reader, const char *name, ch4_dtype dtype, int rank, const int64_t *shape,
                          ch4_buf *buf, ch4_tensor *view, ch4_err *err)
{
    hid_t set = -1, type = -1;
    ch4_tensor t;
    size_t bytes;
    *buf = (ch4_buf){0};
    ch4_status status = open_dataset(reader, name, &set, &t, err);
    if (status)
        return status;
    status = expect(reader, name, &t, dtype, rank, shape, err);
    if (status == CH4_OK)
        status = ch4_size_bytes(&bytes, t.shape, t.rank, ch4_dtype_size(dtype), err);
    if (status == CH4_OK)
        status = ch4_buf_alloc(buf, bytes, err);
    if (status == CH4_OK && bytes > 0) {
        type = store_h5_type(dtype);
        if (type < 0 || H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, buf->data) < 0)
            status = store_h5_error(err, CH4_EFORMAT, "%s: %s", reader->path, name);
    }
    if (type >= 0)
        H5Tclose(type);
    H5Dclose(set);
    if (status)
        ch4_buf_free(buf);
    t.data = buf->data;
    *view = t;
    return status;
}

ch4_status ch4_store_read_part(const ch4_store_reader *reader, const char *name, ch4_dtype dtype, int64_t begin, int64_t n,
                               void *dst, size_t dst_bytes, ch4_err *err)
{
    hid_t set = -1, type = -1, space = -1, mem = -1;
    hsize_t start[CH4_MAX_RANK] = {0}, count[CH4_MAX_RANK];
    ch4_tensor t;
    size_t bytes = 0;
    ch4_status status = open_dataset(reader, name, &set, &t, err);
    if (status)
        return status;
    if (t.dtype != dtype || t.rank < 1) {
        status = expect(reader, name, &t, dtype, t.rank < 1 ? 1 : t.rank, NULL, err);
        goto out;
    }
    if (begin < 0 || n < 0 || begin > t.shape[0] || n > t.shape[0] - begin) {
        status = ch4_err_set(err, CH4_EINVAL, "%s: dataset %s: %lld from %lld of %lld", reader->path, name, (long long)n,
                             (long long)begin, (long long)t.shape[0]);
        goto out;
    }
    start[0] = (hsize_t)begin;
    t.shape[0] = n;
    status = ch4_size_bytes(&bytes, t.shape, t.rank, ch4_dtype_size(dtype), err);
    if (status)
        goto out;
    if (bytes != dst_bytes) {
        status = ch4_err_set(err, CH4_EINVAL, "%s: dataset %s: room for %zu bytes, %zu needed", reader->path, name, dst_bytes, bytes);
        goto out;
    }
    for (int i = 0; i < t.rank; i++)
        count[i] = (hsize_t)t.shape[i];
    type = store_h5_type(dtype);
    space = H5Dget_space(set);
    mem = H5Screate_simple(t.rank, count, NULL);
    if (bytes > 0 && (type < 0 || space < 0 || mem < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
                      H5Dread(set, type, mem, space, H5P_DEFAULT, dst) < 0))
        status = store_h5_error(err, CH4_EFORMAT, "%s: %s", reader->path, name);
out:
    if (mem >= 0)
        H5Sclose(mem);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    H5Dclose(set);
    return status;
}

/* --- attributes ------------------------------------------------------------------------------------------------------------ */

bool ch4_store_has_attr(const ch4_store_reader *reader, const char *name)
{
    bool has = store_name_ok(name, false) && H5Aexists(reader->file, name) > 0;
    H5Eclear2(H5E_DEFAULT);
    return has;
}

/* Opens an attribute of exactly n values (1: scalar); type is borrowed, its class, size and order must agree. */
static ch4_status open_attr(const ch4_store_reader *r, const char *name, hid_t *attr, hid_t *type, int64_t n, ch4_err *err)
{
    if (!ch4_store_has_attr(r, name))
        return ch4_err_set(err, CH4_ENOENT, "%s: no attribute %s", r->path, name);
    *attr = H5Aopen(r->file, name, H5P_DEFAULT);
    *type = *attr >= 0 ? H5Aget_type(*attr) : -1;
    hid_t space = *attr >= 0 ? H5Aget_space(*attr) : -1;
    bool ok = *type >= 0 && space >= 0 && H5Sget_simple_extent_ndims(space) == (n == 1 ? 0 : 1) &&
              H5Sget_simple_extent_npoints(space) == n;
    if (space >= 0)
        H5Sclose(space);
    return ok ? CH4_OK : store_h5_error(err, CH4_EFORMAT, "%s: attribute %s is not of %lld values", r->path, name, (long long)n);
}

static ch4_status read_numbers(const ch4_store_reader *r, const char *name, hid_t wanted, void *out, int64_t n, ch4_err *err)
{
    hid_t attr = -1, type = -1;
    ch4_status status = open_attr(r, name, &attr, &type, n, err);
    if (status == CH4_OK && H5Tequal(type, wanted) <= 0)
        status = ch4_err_set(err, CH4_EFORMAT, "%s: attribute %s is of another type", r->path, name);
    if (status == CH4_OK && H5Aread(attr, wanted, out) < 0)
        status = store_h5_error(err, CH4_EFORMAT, "%s: attribute %s", r->path, name);
    if (type >= 0)
        H5Tclose(type);
    if (attr >= 0)
        H5Aclose(attr);
    return status;
}

ch4_status ch4_store_get_int(const ch4_store_reader *reader, const char *name, int64_t *out, ch4_err *err)
{
    return read_numbers(reader, name, H5T_STD_I64LE, out, 1, err);
}

ch4_status ch4_store_get_reals(const ch4_store_reader *reader, const char *name, double *out, int64_t n, ch4_err *err)
{
    ch4_status status = read_numbers(reader, name, H5T_IEEE_F64LE, out, n, err);
    for (int64_t i = 0; status == CH4_OK && i < n; i++)
        if (!isfinite(out[i]))
            status = ch4_err_set(err, CH4_EFORMAT, "%s: attribute %s is not finite", reader->path, name);
    return status;
}

ch4_status ch4_store_get_real(const ch4_store_reader *reader, const char *name, double *out, ch4_err *err)
{
    return ch4_store_get_reals(reader, name, out, 1, err);
}

ch4_status ch4_store_get_text(const ch4_store_reader *reader, const char *name, char *out, size_t size, ch4_err *err)
{
    hid_t attr = -1, type = -1;
    char text[CH4_STORE_TEXT] = {0};
    ch4_status status = open_attr(reader, name, &attr, &type, 1, err);
    size_t n = type >= 0 ? H5Tget_size(type) : 0;
    if (status == CH4_OK && (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 || n == 0 || n > sizeof text))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: attribute %s is not a text of our kind", reader->path, name);
    if (status == CH4_OK && H5Aread(attr, type, text) < 0)
        status = store_h5_error(err, CH4_EFORMAT, "%s: attribute %s", reader->path, name);
    text[sizeof text - 1] = 0;
    if (status == CH4_OK && strlen(text) >= size)
        status = ch4_err_set(err, CH4_EFORMAT, "%s: attribute %s: text of %zu bytes", reader->path, name, strlen(text));
    if (status == CH4_OK)
        strcpy(out, text);
    if (type >= 0)
        H5Tclose(type);
    if (attr >= 0)
        H5Aclose(attr);
    return status;
}
