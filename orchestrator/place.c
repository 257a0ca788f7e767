#include "orchestrator/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EDGE = 64 * 1024, DEPTH = 8 };

ch4_status ch4_place_programs(char out[CH4_PLACE_PATH], ch4_err *err)
{
    ssize_t n = readlink("/proc/self/exe", out, CH4_PLACE_PATH - 1);
    if (n < 0) return ch4_err_set_errno(err, errno, "/proc/self/exe");
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (!slash) return ch4_err_set(err, CH4_EINTERNAL, "/proc/self/exe: no folder in %s", out);
    *slash = 0;
    return CH4_OK;
}

ch4_status ch4_place_program(char out[CH4_PLACE_PATH], const char *name, ch4_err *err)
{
    char folder[CH4_PLACE_PATH];
    ch4_status status = ch4_place_programs(folder, err);
    if (status) return status;
    if (snprintf(out, CH4_PLACE_PATH, "%s/chain4d-%s", folder, name) >= CH4_PLACE_PATH) return ch4_err_set(err, CH4_EINVAL, "%s: path too long", folder);
    return access(out, X_OK) ? ch4_err_set_errno(err, errno, "%s", out) : CH4_OK;
}

ch4_status ch4_place_model(char out[CH4_PLACE_PATH], ch4_err *err)
{
    /* build/<config>/bin/chain4d, and PREFIX/bin/chain4d */
    static const char *const from_programs[] = {"../../../models/mini", "../share/chain4d/models/mini"};
    char folder[CH4_PLACE_PATH], path[CH4_PLACE_PATH + 64];
    ch4_status status = ch4_place_programs(folder, err);
    for (int i = 0; i < 2 && !status; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, from_programs[i]);
        char *real = realpath(path, NULL);
        if (!real) continue;
        bool fits = snprintf(out, CH4_PLACE_PATH, "%s", real) < CH4_PLACE_PATH;
        free(real);
        if (fits) return CH4_OK;
    }
    return status ? status : ch4_err_set(err, CH4_ENOENT, "no bundled model near %s: name one with --model DIR", folder);
}

static ch4_status print_file(ch4_hash *h, int fd, int64_t size, const char *path, ch4_err *err)
{
    char *buf;
    ch4_status status = ch4_calloc(&buf, 2, EDGE, "a fingerprint", err);
    if (status) return status;
    int64_t tail = size > EDGE ? ch4_max_i64(EDGE, size - EDGE) : size;
    ssize_t a = pread(fd, buf, EDGE, 0), b = tail < size ? pread(fd, buf + EDGE, EDGE, tail) : 0;
    if (a < 0 || b < 0) {
        status = ch4_err_set_errno(err, errno, "%s", path);
    } else {
        ch4_hash_update(h, &size, sizeof size);
        ch4_hash_update(h, buf, (size_t)a);
        ch4_hash_update(h, buf + EDGE, (size_t)b);
    }
    free(buf);
    return status;
}

static ch4_status print_at(ch4_hash *h, int at, const char *name, int depth, ch4_err *err);

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static ch4_status print_folder(ch4_hash *h, int fd, const char *path, int depth, ch4_err *err)
{
    if (depth > DEPTH) return ch4_err_set(err, CH4_EFORMAT, "%s: folders nested too deep", path);
    struct dirent **entries;
    int n = scandirat(fd, ".", &entries, visible, by_name);
    if (n < 0) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status status = CH4_OK;
    for (int i = 0; i < n; i++) {
        ch4_hash_update(h, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
        if (!status) status = print_at(h, fd, entries[i]->d_name, depth + 1, err);
        free(entries[i]);
    }
    free(entries);
    return status ? ch4_err_wrap(err, status, "%s", path) : CH4_OK;
}

static ch4_status print_at(ch4_hash *h, int at, const char *name, int depth, ch4_err *err)
{
    struct stat st;
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        ch4_status status = ch4_err_set_errno(err, errno, "%s", name);
        if (fd >= 0) close(fd);
        return status;
    }
    ch4_status status = CH4_OK;
    if (S_ISDIR(st.st_mode)) status = print_folder(h, fd, name, depth, err);
    else if (S_ISREG(st.st_mode)) status = print_file(h, fd, st.st_size, name, err);
    else status = ch4_err_set(err, CH4_EFORMAT, "%s: neither a file nor a folder", name);
    close(fd);
    return status;
}

ch4_status ch4_place_fingerprint(ch4_hash *h, const char *path, ch4_err *err)
{
    return print_at(h, AT_FDCWD, path, 0, err);
}
