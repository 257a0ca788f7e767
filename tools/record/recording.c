#include "tools/record/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char MAGIC[8] = "CH4REC1\n";

typedef struct head {
    char kind, zero[7];
    uint64_t name, size; /* this machine is little-endian: x86-64 and arm64 */
    char checksum[32];
} head;

_Static_assert(sizeof(head) == 56, "no padding");

static ch4_status checksum_of(char out[CH4_HASH_HEX], const void *name, size_t n, const void *data, size_t size, ch4_err *err)
{
    ch4_hash *h;
    ch4_status status = ch4_hash_create(&h, err);
    if (status) return status;
    ch4_hash_update(h, name, n);
    ch4_hash_update(h, data, size);
    ch4_hash_hex(h, out);
    ch4_hash_destroy(&h);
    return CH4_OK;
}

ch4_status ch4_recording_begin(FILE **out, const char *path, ch4_err *err)
{
    *out = fopen(path, "we");
    if (!*out) return ch4_err_set_errno(err, errno, "%s", path);
    if (fwrite(MAGIC, sizeof MAGIC, 1, *out) == 1) return CH4_OK;
    return ch4_err_set_errno(err, errno, "%s", path);
}

ch4_status ch4_recording_add(FILE *f, char kind, const char *name, const void *data, size_t size, ch4_err *err)
{
    head h = {.kind = kind, .name = strlen(name), .size = size};
    char checksum[CH4_HASH_HEX];
    ch4_status status = checksum_of(checksum, name, strlen(name), data, size, err);
    if (status) return status;
    memcpy(h.checksum, checksum, sizeof h.checksum);
    bool good = fwrite(&h, sizeof h, 1, f) == 1 && fwrite(name, 1, strlen(name), f) == strlen(name) && fwrite(data, 1, size, f) == size && !fflush(f);
    return good ? CH4_OK : ch4_err_set_errno(err, errno, "the recording");
}

ch4_status ch4_recording_open(ch4_recording *out, const char *path, ch4_err *err)
{
    struct stat st;
    *out = (ch4_recording){0};
    snprintf(out->path, sizeof out->path, "%s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status status = CH4_OK;
    if (fstat(fd, &st)) status = ch4_err_set_errno(err, errno, "%s", path);
    else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof MAGIC) status = ch4_err_set(err, CH4_EFORMAT, "%s: not a recording", path);
    void *p = status ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (!status && p == MAP_FAILED) status = ch4_err_set_errno(err, errno, "%s", path);
    close(fd);
    if (status) return status;
    out->data = p;
    out->mapped = out->size = (size_t)st.st_size;
    ch4_recording_rewind(out);
    return memcmp(p, MAGIC, sizeof MAGIC) ? ch4_err_set(err, CH4_EFORMAT, "%s: not a recording", path) : CH4_OK;
}

void ch4_recording_close(ch4_recording *r)
{
    if (r->data) munmap((void *)(uintptr_t)r->data, r->mapped);
    r->data = NULL;
}

void ch4_recording_rewind(ch4_recording *r)
{
    r->at = sizeof MAGIC;
}

ch4_status ch4_recording_next(ch4_recording *r, ch4_record *out, ch4_err *err)
{
    head h;
    char checksum[CH4_HASH_HEX];
    const size_t left = r->size - r->at;
    if (!left) return CH4_EAGAIN;
    if (left < sizeof h) return ch4_err_set(err, CH4_EFORMAT, "%s: cut off", r->path);
    memcpy(&h, r->data + r->at, sizeof h);
    if (h.name >= sizeof out->name || h.name > left - sizeof h || h.size > left - sizeof h - h.name)
        return ch4_err_set(err, CH4_EFORMAT, "%s: cut off or damaged at byte %zu", r->path, r->at);
    const uint8_t *name = r->data + r->at + sizeof h;
    ch4_status status = checksum_of(checksum, name, h.name, name + h.name, h.size, err);
    if (status) return status;
    if (memcmp(checksum, h.checksum, sizeof h.checksum)) return ch4_err_set(err, CH4_EFORMAT, "%s: damaged at byte %zu", r->path, r->at);
    *out = (ch4_record){.kind = h.kind, .data = name + h.name, .size = h.size};
    memcpy(out->name, name, h.name);
    r->at += sizeof h + h.name + h.size;
    return CH4_OK;
}
