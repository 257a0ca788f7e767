/* What stands around the HDF5 image: names, header, checksum, the commit by link(2). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "store/store_impl.h"

#define TEMP_PREFIX ".tmp-"
#define MAGIC "chain4d run file"
enum { FORMAT_VERSION = 1, BLOCK = 1 << 20 };

ch4_status ch4_store_window_path(char *out, size_t size, const char *clip_dir, int64_t window, const char *stage, ch4_err *err)
{
    int n = snprintf(out, size, "%s/w%04lld.%s.h5", clip_dir, (long long)window, stage);
    if (window < 0 || window > 999999 || n < 0 || (size_t)n >= size)
        return ch4_err_set(err, CH4_EINVAL, "%s: no file name for window %lld of stage %s", clip_dir, (long long)window, stage);
    return CH4_OK;
}

/* --- header ---------------------------------------------------------------------------------------------------------------- */

static void header_encode(unsigned char out[STORE_HEADER], const store_header *h)
{
    memset(out, 0, STORE_HEADER);
    snprintf((char *)out, STORE_HEADER, "%s %d\nbytes %" PRId64 "\nxxh3 %s\n", MAGIC, FORMAT_VERSION, h->bytes, h->checksum);
}

/* Accepts exactly what header_encode writes, which also refuses stray bytes behind the text. */
static ch4_status header_decode(store_header *h, const unsigned char in[STORE_HEADER], const char *path, ch4_err *err)
{
    unsigned char again[STORE_HEADER];
    char text[STORE_HEADER];
    int version = 0, end = 0;
    memcpy(text, in, sizeof text);
    text[sizeof text - 1] = 0;
    if (strncmp(text, MAGIC " ", sizeof MAGIC) != 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: not a run file of chain4d", path);
    if (sscanf(text + sizeof MAGIC, "%d%n", &version, &end) == 1 && version != FORMAT_VERSION)
        return ch4_err_set(err, CH4_EFORMAT, "%s: format version %d, this program reads %d", path, version, FORMAT_VERSION);
    if (sscanf(text + sizeof MAGIC + end, " bytes %" SCNd64 " xxh3 %32[0-9a-f]", &h->bytes, h->checksum) != 2)
        return ch4_err_set(err, CH4_EFORMAT, "%s: damaged header", path);
    header_encode(again, h);
    if (memcmp(again, in, STORE_HEADER) != 0)
        return ch4_err_set(err, CH4_EFORMAT, "%s: damaged header", path);
    return CH4_OK;
}

/* --- reading back ---------------------------------------------------------------------------------------------------------- */

/* Reads exactly size bytes. */
static ch4_status read_all(int fd, void *dst, size_t size, const char *path, ch4_err *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, (char *)dst + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ch4_err_set_errno(err, errno, "%s", path);
        if (n == 0)
            return ch4_err_set(err, CH4_EFORMAT, "%s: truncated", path);
        done += (size_t)n;
    }
    return CH4_OK;
}

static ch4_status hash_rest(int fd, const store_header *h, const char *path, ch4_err *err)
{
    ch4_hash *hash = NULL;
    ch4_buf block = {0};
    char hex[CH4_HASH_HEX];
    ch4_status status = ch4_hash_create(&hash, err);
    if (status == CH4_OK)
        status = ch4_buf_alloc(&block, BLOCK, err);
    for (int64_t left = h->bytes; status == CH4_OK && left > 0;) {
        size_t n = (size_t)ch4_min_i64(left, BLOCK);
        status = read_all(fd, block.data, n, path, err);
        ch4_hash_update(hash, block.data, n);
        left -= (int64_t)n;
    }
    if (status == CH4_OK) {
        ch4_hash_hex(hash, hex);
        if (strcmp(hex, h->checksum) != 0)
            status = ch4_err_set(err, CH4_EFORMAT, "%s: checksum is %s, the header says %s: damaged", path, hex, h->checksum);
    }
    ch4_hash_destroy(&hash);
    ch4_buf_free(&block);
    return status;
}

ch4_status ch4_store_check_file(const char *path, char checksum[33], int64_t *bytes, ch4_err *err)
{
    unsigned char raw[STORE_HEADER];
    store_header h = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ch4_status status = CH4_OK;
    if (fd < 0)
        return ch4_err_set_errno(err, errno, "%s", path);
    if (fstat(fd, &st))
        status = ch4_err_set_errno(err, errno, "%s", path);
    else if (!S_ISREG(st.st_mode))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: not a regular file", path);
    if (status == CH4_OK)
        status = read_all(fd, raw, sizeof raw, path, err);
    if (status == CH4_OK)
        status = header_decode(&h, raw, path, err);
    if (status == CH4_OK && (h.bytes < 0 || h.bytes > CH4_STORE_MAX_BYTES || h.bytes + STORE_HEADER != st.st_size))
        status = ch4_err_set(err, CH4_EFORMAT, "%s: %lld bytes, the header says %lld: truncated or extended", path,
                             (long long)st.st_size, (long long)h.bytes + STORE_HEADER);
    if (status == CH4_OK)
        status = hash_rest(fd, &h, path, err);
    if (status == CH4_OK) {
        memcpy(checksum, h.checksum, 33);
        if (bytes)
            *bytes = st.st_size;
    }
    close(fd);
    return status;
}

/* --- commit ---------------------------------------------------------------------------------------------------------------- */

static ch4_status write_all(int fd, const void *src, size_t size, const char *path, ch4_err *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)src + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ch4_err_set_errno(err, errno, "%s: after %zu of %zu bytes", path, done, size);
        done += (size_t)n;
    }
    return CH4_OK;
}

/* Length of the folder part with its slash; 0 for a bare name. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

static ch4_status sync_folder(const char *path, ch4_err *err)
{
    char dir[CH4_STORE_PATH];
    size_t n = folder_length(path);
    ch4_status status = CH4_OK;
    snprintf(dir, sizeof dir, "%.*s", n ? (int)n : 1, n ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ch4_err_set_errno(err, errno, "%s", dir);
    if (fsync(fd))
        status = ch4_err_set_errno(err, errno, "%s", dir);
    close(fd);
    return status;
}

/* The final name is taken: fine if by the same bytes. */
static ch4_status compare_with_winner(const char *path, const store_header *ours, ch4_err *err)
{
    char theirs[CH4_HASH_HEX];
    ch4_err why = {0};
    if (ch4_store_check_file(path, theirs, NULL, &why))
        return ch4_err_set(err, CH4_EEXIST, "%s: exists and is not whole (%s); remove it", path, why.msg);
    if (strcmp(theirs, ours->checksum) != 0)
        return ch4_err_set(err, CH4_EEXIST, "%s: exists with other content (checksum %s, ours %s)", path, theirs, ours->checksum);
    return CH4_OK;
}

static ch4_status write_temp(int fd, const char *temp, const void *image, size_t size, const store_header *header, ch4_err *err)
{
    unsigned char raw[STORE_HEADER];
    header_encode(raw, header);
    ch4_status status = write_all(fd, raw, sizeof raw, temp, err);
    if (status == CH4_OK)
        status = write_all(fd, image, size, temp, err);
    if (status == CH4_OK && fsync(fd))
        status = ch4_err_set_errno(err, errno, "%s", temp);
    return status;
}

ch4_status store_file_commit(const char *path, const void *image, size_t size, store_header *header, bool *first, ch4_err *err)
{
    static atomic_uint serial;
    char temp[CH4_STORE_PATH + 64];
    size_t dir = folder_length(path);
    snprintf(temp, sizeof temp, "%.*s" TEMP_PREFIX "%s.%ld.%u", (int)dir, path, path + dir, (long)getpid(),
             atomic_fetch_add(&serial, 1));
    ch4_hash_bytes(header->checksum, image, size);
    header->bytes = (int64_t)size;
    *first = false;

    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return ch4_err_set_errno(err, errno, "%s", temp);
    ch4_status status = write_temp(fd, temp, image, size, header, err);
    if (close(fd) && status == CH4_OK)
        status = ch4_err_set_errno(err, errno, "%s", temp);
    if (status == CH4_OK && link(temp, path) == 0)
        *first = true;
    else if (status == CH4_OK && errno == EEXIST)
        status = compare_with_winner(path, header, err);
    else if (status == CH4_OK)
        status = ch4_err_set_errno(err, errno, "%s", path);
    unlink(temp);
    if (status == CH4_OK)
        status = sync_folder(path, err);
    return status;
}

ch4_status ch4_store_sweep(const char *dir, int64_t *n_removed, ch4_err *err)
{
    ch4_status status = CH4_OK;
    DIR *d = opendir(dir);
    *n_removed = 0;
    if (!d)
        return ch4_err_set_errno(err, errno, "%s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0)
            continue;
        if (unlinkat(dirfd(d), e->d_name, 0)) {
            status = ch4_err_set_errno(err, errno, "%s/%s", dir, e->d_name);
            break;
        }
        ++*n_removed;
    }
    closedir(d);
    return status;
}
