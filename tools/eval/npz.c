#include "tools/eval/npz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tensor/npy.h"

enum { END_SIZE = 22, MAX_COMMENT = 65535, ENTRY_SIZE = 46, LOCAL_SIZE = 30, MAX_NAME = 200, STORED = 0, DEFLATED = 8 };
static const uint32_t END_MARK = 0x06054b50, ENTRY_MARK = 0x02014b50, LOCAL_MARK = 0x04034b50;
/* No block of deflate makes more than 258 bytes of two bits. */
static const uint64_t MOST_EXPANSION = 1032;

typedef struct entry {
    char name[MAX_NAME]; /* with .npy */
    int method;
    uint32_t crc, packed, size, offset; /* offset: of the local header */
} entry;

struct ch4_npz {
    FILE *file;
    char *path;
    uint64_t length;
    entry *entry;
    int64_t n;
};

static uint32_t le16(const unsigned char *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t le32(const unsigned char *p) { return le16(p) | le16(p + 2) << 16; }

static ch4_status read_at(const ch4_npz *z, void *out, uint64_t offset, size_t n, ch4_err *err)
{
    if (offset > z->length || n > z->length - offset) return ch4_err_set(err, CH4_EFORMAT, "%s: the zip archive is cut off or damaged", z->path);
    if (fseeko(z->file, (off_t)offset, SEEK_SET) != 0) return ch4_err_set_errno(err, errno, "%s", z->path);
    if (fread(out, 1, n, z->file) != n) return ch4_err_set_errno(err, errno ? errno : EIO, "%s", z->path);
    return CH4_OK;
}

/* The record at the end of the archive, which says where its directory is. */
static ch4_status find_end(unsigned char end[END_SIZE], const ch4_npz *z, ch4_err *err)
{
    size_t n = z->length < END_SIZE + MAX_COMMENT ? (size_t)z->length : END_SIZE + MAX_COMMENT;
    unsigned char *tail = NULL;
    if (n < END_SIZE) return ch4_err_set(err, CH4_EFORMAT, "%s: not a zip archive", z->path);
    ch4_status st = ch4_calloc(&tail, n, 1, z->path, err);
    if (!st) st = read_at(z, tail, z->length - n, n, err);
    size_t at = n - END_SIZE + 1;
    while (!st && at > 0)
        if (le32(tail + --at) == END_MARK && at + END_SIZE + le16(tail + at + 20) <= n) break;
    if (!st && le32(tail + at) != END_MARK) st = ch4_err_set(err, CH4_EFORMAT, "%s: not a zip archive, or cut off", z->path);
    if (!st) memcpy(end, tail + at, END_SIZE);
    free(tail);
    return st;
}

/* Takes one entry of the directory; *used: its bytes. */
static ch4_status take_entry(entry *e, size_t *used, const ch4_npz *z, const unsigned char *p, size_t left, ch4_err *err)
{
    if (left < ENTRY_SIZE || le32(p) != ENTRY_MARK) return ch4_err_set(err, CH4_EFORMAT, "%s: the zip directory is damaged", z->path);
    size_t name = le16(p + 28), whole = ENTRY_SIZE + name + le16(p + 30) + le16(p + 32);
    if (whole > left || name == 0 || name >= MAX_NAME) return ch4_err_set(err, CH4_EFORMAT, "%s: the zip directory is damaged", z->path);
    *e = (entry){.method = (int)le16(p + 10), .crc = le32(p + 16), .packed = le32(p + 20), .size = le32(p + 24), .offset = le32(p + 42)};
    memcpy(e->name, p + ENTRY_SIZE, name);
    *used = whole;
    if (le16(p + 8) & 1) return ch4_err_set(err, CH4_EUNSUP, "%s: %s is encrypted", z->path, e->name);
    if (e->packed == UINT32_MAX || e->size == UINT32_MAX || e->offset == UINT32_MAX) return ch4_err_set(err, CH4_EUNSUP, "%s: %s is larger than 4 GiB", z->path, e->name);
    return CH4_OK;
}

static const entry *find(const ch4_npz *z, const char *name)
{
    size_t n = strlen(name);
    for (int64_t i = 0; i < z->n; i++)
        if (!strncmp(z->entry[i].name, name, n) && !strcmp(z->entry[i].name + n, ".npy")) return &z->entry[i];
    return NULL;
}

static ch4_status read_directory(ch4_npz *z, ch4_err *err)
{
    unsigned char end[END_SIZE] = {0}, *directory = NULL;
    ch4_status st = find_end(end, z, err);
    if (st) return st;
    size_t count = le16(end + 10), size = le32(end + 12), at = 0, used = 0;
    uint64_t offset = le32(end + 16);
    if (le16(end + 4) != 0 || le16(end + 6) != 0 || count == UINT16_MAX || offset == UINT32_MAX)
        return ch4_err_set(err, CH4_EUNSUP, "%s: a zip archive in parts, or larger than 4 GiB", z->path);
    if (offset > z->length || size > z->length - offset || size < count * ENTRY_SIZE)
        return ch4_err_set(err, CH4_EFORMAT, "%s: the zip directory does not lie in the file", z->path);
    st = ch4_calloc(&directory, size, 1, z->path, err);
    if (!st) st = ch4_calloc(&z->entry, count, sizeof(*z->entry), z->path, err);
    if (!st) st = read_at(z, directory, offset, size, err);
    for (size_t i = 0; !st && i < count; i++) {
        entry e;
        st = take_entry(&e, &used, z, directory + at, size - at, err);
        for (int64_t k = 0; !st && k < z->n; k++)
            if (!strcmp(z->entry[k].name, e.name)) st = ch4_err_set(err, CH4_EFORMAT, "%s: %s is there twice", z->path, e.name);
        if (st) break;
        z->entry[z->n++] = e;
        at += used;
    }
    free(directory);
    return st;
}

ch4_status ch4_npz_open(ch4_npz **out, const char *path, ch4_err *err)
{
    ch4_npz *z = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&z, 1, sizeof(*z), path, err);
    if (st) return st;
    z->path = strdup(path);
    z->file = fopen(path, "rbe");
    if (!z->path) st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
    else if (!z->file || fseeko(z->file, 0, SEEK_END) != 0) st = ch4_err_set_errno(err, errno, "%s", path);
    off_t length = st ? 0 : ftello(z->file);
    z->length = length > 0 ? (uint64_t)length : 0;
    if (!st) st = read_directory(z, err);
    if (st) ch4_npz_close(&z);
    *out = z;
    return st;
}

void ch4_npz_close(ch4_npz **npz)
{
    if (!npz || !*npz) return;
    ch4_npz *z = *npz;
    if (z->file) fclose(z->file);
    free(z->entry);
    free(z->path);
    free(z);
    *npz = NULL;
}

bool ch4_npz_has(const ch4_npz *z, const char *name) { return find(z, name) != NULL; }

static ch4_status unpack(unsigned char *out, const entry *e, const unsigned char *packed, const char *path, ch4_err *err)
{
    z_stream s = {.next_in = (unsigned char *)(uintptr_t)packed, .avail_in = e->packed, .next_out = out, .avail_out = e->size};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return ch4_err_set(err, CH4_ENOMEM, "%s: %s", path, e->name);
    int rc = inflate(&s, Z_FINISH);
    bool whole = rc == Z_STREAM_END && s.avail_out == 0;
    inflateEnd(&s);
    return whole ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "%s: %s: damaged, or not of the size that the directory says", path, e->name);
}

/* The npy file of an entry, malloc'd. */
static ch4_status extract(unsigned char **out, const ch4_npz *z, const entry *e, ch4_err *err)
{
    unsigned char local[LOCAL_SIZE], *packed = NULL;
    *out = NULL;
    if (e->method != STORED && e->method != DEFLATED) return ch4_err_set(err, CH4_EUNSUP, "%s: %s: compression %d", z->path, e->name, e->method);
    if ((e->method == STORED && e->packed != e->size) || e->size > MOST_EXPANSION * ((uint64_t)e->packed + 1) || e->packed > z->length)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s: %u bytes cannot hold %u", z->path, e->name, e->packed, e->size);
    ch4_status st = read_at(z, local, e->offset, LOCAL_SIZE, err);
    if (!st && le32(local) != LOCAL_MARK) st = ch4_err_set(err, CH4_EFORMAT, "%s: %s is not where the directory says", z->path, e->name);
    uint64_t data = st ? 0 : (uint64_t)e->offset + LOCAL_SIZE + le16(local + 26) + le16(local + 28);
    if (!st) st = ch4_calloc(&packed, e->packed, 1, e->name, err);
    if (!st) st = read_at(z, packed, data, e->packed, err);
    if (!st && e->method == STORED) {
        *out = packed;
        packed = NULL;
    } else if (!st) {
        st = ch4_calloc(out, e->size, 1, e->name, err);
        if (!st) st = unpack(*out, e, packed, z->path, err);
    }
    if (!st && crc32(crc32(0, NULL, 0), *out, e->size) != e->crc) st = ch4_err_set(err, CH4_EFORMAT, "%s: %s: wrong checksum", z->path, e->name);
    free(packed);
    if (st) free(*out), *out = NULL;
    return st;
}

ch4_status ch4_npz_get(ch4_buf *buf, ch4_tensor *view, const ch4_npz *z, const char *name, ch4_err *err)
{
    const entry *e = find(z, name);
    unsigned char *file = NULL;
    char label[512];
    *buf = (ch4_buf){0};
    if (!e) return ch4_err_set(err, CH4_ENOENT, "%s: no array %s", z->path, name);
    snprintf(label, sizeof(label), "%s: %s", z->path, name);
    ch4_status st = extract(&file, z, e, err);
    if (!st) st = ch4_npy_decode(buf, view, file, e->size, label, err);
    free(file);
    return st;
}
