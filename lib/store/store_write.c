#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "store/store_impl.h"

struct ch4_store_writer {
    hid_t file;
    char path[CH4_STORE_PATH];
};

enum { GROW = 4 << 20 }; /* bytes by which HDF5's memory file grows */

/* A property list of class `cls` that keeps no times: the same data must give the same bytes. */
static hid_t timeless(hid_t cls)
{
    hid_t p = H5Pcreate(cls);
    if (p >= 0 && H5Pset_obj_track_times(p, 0) < 0) {
        H5Pclose(p);
        return -1;
    }
    return p;
}

const char *ch4_store_writer_path(const ch4_store_writer *writer)
{
    return writer->path;
}

ch4_status ch4_store_create(ch4_store_writer **out, const char *path, ch4_err *err)
{
    ch4_store_writer *w = NULL;
    hid_t fapl = -1, fcpl = -1;
    ch4_status status;
    *out = NULL;
    store_h5_quiet();
    if (strlen(path) >= CH4_STORE_PATH || !*path)
        return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long or empty", path);
    status = ch4_calloc(&w, 1, sizeof *w, "run file", err);
    if (status)
        return status;
    w->file = -1;
    snprintf(w->path, sizeof w->path, "%s", path);
    fapl = H5Pcreate(H5P_FILE_ACCESS);
    fcpl = timeless(H5P_FILE_CREATE);
    /* The oldest superblock has no checksum of its own: H5Fget_file_image (1.10) clears a flag in the newer ones without updating
     * theirs, and such an image cannot be opened. */
    if (fapl >= 0 && fcpl >= 0 && H5Pset_fapl_core(fapl, GROW, 0) >= 0 &&
        H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18) >= 0 && H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG) >= 0)
        w->file = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    if (w->file < 0)
        status = store_h5_error(err, CH4_EINTERNAL, "%s", path);
    if (fapl >= 0)
        H5Pclose(fapl);
    if (fcpl >= 0)
        H5Pclose(fcpl);
    if (status)
        ch4_store_discard(&w);
    *out = w;
    return status;
}

void ch4_store_discard(ch4_store_writer **writer)
{
    if (!writer || !*writer)
        return;
    if ((*writer)->file >= 0)
        H5Fclose((*writer)->file);
    free(*writer);
    *writer = NULL;
}

/* Makes the groups that lead to `name`. */
static ch4_status make_groups(ch4_store_writer *w, const char *name, ch4_err *err)
{
    char group[CH4_STORE_NAME];
    for (const char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(group, sizeof group, "%.*s", (int)(slash - name), name);
        htri_t there = H5Lexists(w->file, group, H5P_DEFAULT);
        if (there > 0)
            continue;
        hid_t gcpl = timeless(H5P_GROUP_CREATE);
        hid_t g = there == 0 && gcpl >= 0 ? H5Gcreate2(w->file, group, H5P_DEFAULT, gcpl, H5P_DEFAULT) : -1;
        if (gcpl >= 0)
            H5Pclose(gcpl);
        if (g < 0)
            return store_h5_error(err, CH4_EINTERNAL, "%s: group %s", w->path, group);
        H5Gclose(g);
    }
    return CH4_OK;
}

/* Creation properties of a dataset; negative on failure. */
static hid_t dataset_properties(const ch4_tensor *t, ch4_store_flags flags)
{
    hid_t p = timeless(H5P_DATASET_CREATE);
    if (p < 0)
        return p;
    bool ok = H5Pset_fill_time(p, H5D_FILL_TIME_NEVER) >= 0;
    if (ok && flags & CH4_STORE_PACK && t->rank > 0 && ch4_tensor_count(t) > 0) {
        hsize_t chunk[CH4_MAX_RANK];
        for (int i = 0; i < t->rank; i++)
            chunk[i] = (hsize_t)t->shape[i];
        chunk[0] = t->rank > 1 ? 1 : (hsize_t)ch4_min_i64(t->shape[0], 65536);
        ok = H5Pset_chunk(p, t->rank, chunk) >= 0 && H5Pset_shuffle(p) >= 0 && H5Pset_deflate(p, 1) >= 0 && H5Pset_fletcher32(p) >= 0;
    }
    if (ok)
        return p;
    H5Pclose(p);
    return -1;
}

static ch4_status write_dataset(ch4_store_writer *w, const char *name, const ch4_tensor *t, ch4_store_flags flags, ch4_err *err)
{
    hid_t type = store_h5_type(t->dtype), props = dataset_properties(t, flags), space = -1, set = -1;
    hsize_t dims[CH4_MAX_RANK];
    bool ok = false;
    for (int i = 0; i < t->rank; i++)
        dims[i] = (hsize_t)t->shape[i];
    space = t->rank ? H5Screate_simple(t->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    if (type >= 0 && props >= 0 && space >= 0)
        set = H5Dcreate2(w->file, name, type, space, H5P_DEFAULT, props, H5P_DEFAULT);
    if (set >= 0)
        ok = ch4_tensor_count(t) == 0 || H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, t->data) >= 0;
    ch4_status status = ok ? CH4_OK : store_h5_error(err, CH4_ENOMEM, "%s: dataset %s", w->path, name);
    if (set >= 0)
        H5Dclose(set);
    if (space >= 0)
        H5Sclose(space);
    if (props >= 0)
        H5Pclose(props);
    if (type >= 0)
        H5Tclose(type);
    return status;
}

ch4_status ch4_store_write(ch4_store_writer *writer, const char *name, const ch4_tensor *t, ch4_store_flags flags, ch4_err *err)
{
    size_t bytes;
    char what[96];
    ch4_tensor_describe(t, what, sizeof what);
    hid_t type = store_h5_type(t->dtype);
    if (type >= 0)
        H5Tclose(type);
    if (!store_name_ok(name, true))
        return ch4_err_set(err, CH4_EINVAL, "%s: '%s' is no dataset name", writer->path, name);
    if (type < 0 || t->device != CH4_DEVICE_HOST || !ch4_tensor_contiguous(t) ||
        ch4_size_bytes(&bytes, t->shape, t->rank, ch4_dtype_size(t->dtype), NULL) || bytes > (size_t)CH4_STORE_MAX_BYTES)
        return ch4_err_set(err, CH4_EINVAL, "%s: dataset %s: cannot store %s", writer->path, name, what);
    ch4_status status = make_groups(writer, name, err);
    if (status)
        return status;
    htri_t there = H5Lexists(writer->file, name, H5P_DEFAULT);
    if (there != 0)
        return ch4_err_set(err, CH4_EEXIST, "%s: dataset %s written twice", writer->path, name);
    return write_dataset(writer, name, t, flags, err);
}

/* --- attributes ------------------------------------------------------------------------------------------------------------ */

/* n < 0: a scalar. */
static ch4_status set_attr(ch4_store_writer *w, const char *name, hid_t type, int64_t n, const void *value, ch4_err *err)
{
    hsize_t dim = (hsize_t)(n < 0 ? 0 : n);
    hid_t space = -1, props = -1, attr = -1;
    bool ok = false;
    if (!store_name_ok(name, false) || n == 0 || n > CH4_STORE_ATTR_ITEMS)
        return ch4_err_set(err, CH4_EINVAL, "%s: attribute '%s' with %lld values", w->path, name, (long long)n);
    if (H5Aexists(w->file, name) > 0)
        return ch4_err_set(err, CH4_EEXIST, "%s: attribute %s written twice", w->path, name);
    space = n < 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &dim, NULL);
    props = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    if (type >= 0 && space >= 0 && props >= 0)
        attr = H5Acreate2(w->file, name, type, space, props, H5P_DEFAULT);
    ok = attr >= 0 && H5Awrite(attr, type, value) >= 0;
    ch4_status status = ok ? CH4_OK : store_h5_error(err, CH4_EINTERNAL, "%s: attribute %s", w->path, name);
    if (attr >= 0)
        H5Aclose(attr);
    if (props >= 0)
        H5Pclose(props);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

ch4_status ch4_store_set_int(ch4_store_writer *writer, const char *name, int64_t value, ch4_err *err)
{
    return set_attr(writer, name, H5T_STD_I64LE, -1, &value, err);
}

ch4_status ch4_store_set_real(ch4_store_writer *writer, const char *name, double value, ch4_err *err)
{
    return set_attr(writer, name, H5T_IEEE_F64LE, -1, &value, err);
}

ch4_status ch4_store_set_reals(ch4_store_writer *writer, const char *name, const double *values, int64_t n, ch4_err *err)
{
    return set_attr(writer, name, H5T_IEEE_F64LE, n == 1 ? -1 : n, values, err);
}

ch4_status ch4_store_set_text(ch4_store_writer *writer, const char *name, const char *value, ch4_err *err)
{
    size_t n = strlen(value) + 1;
    if (n > CH4_STORE_TEXT)
        return ch4_err_set(err, CH4_EINVAL, "%s: attribute %s: text of %zu bytes", writer->path, name, n);
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0 || H5Tset_size(type, n) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        if (type >= 0)
            H5Tclose(type);
        return store_h5_error(err, CH4_EINTERNAL, "%s: attribute %s", writer->path, name);
    }
    ch4_status status = set_attr(writer, name, type, -1, value, err);
    H5Tclose(type);
    return status;
}

/* --- commit ---------------------------------------------------------------------------------------------------------------- */

ch4_status ch4_store_commit(ch4_store_writer **writer, ch4_store_commit_info *info, ch4_err *err)
{
    ch4_store_writer *w = *writer;
    ch4_buf image = {0};
    store_header header = {0};
    bool first = false;
    ch4_status status = CH4_OK;
    if (H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0) {
        status = store_h5_error(err, CH4_ENOMEM, "%s", w->path);
        goto out;
    }
    ssize_t size = H5Fget_file_image(w->file, NULL, 0);
    if (size <= 0) {
        status = store_h5_error(err, CH4_EINTERNAL, "%s", w->path);
        goto out;
    }
    status = ch4_buf_alloc(&image, (size_t)size, err);
    if (status)
        goto out;
    if (H5Fget_file_image(w->file, image.data, image.size) != size) {
        status = store_h5_error(err, CH4_EINTERNAL, "%s", w->path);
        goto out;
    }
    H5Fclose(w->file); /* a memory file without backing: frees its copy before the write */
    w->file = -1;
    status = store_file_commit(w->path, image.data, image.size, &header, &first, err);
    if (status == CH4_OK && info) {
        memcpy(info->checksum, header.checksum, sizeof info->checksum);
        info->bytes = header.bytes + STORE_HEADER;
        info->first = first;
    }
out:
    ch4_buf_free(&image);
    ch4_store_discard(writer);
    return status;
}
