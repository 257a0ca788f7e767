#include "mask_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"

struct ch4_mask_file {
    int fd;
    int64_t n_pixels;
    size_t bytes;   /* of a frame */
    uint8_t bits[]; /* [bytes] of the frame in hand */
};

ch4_status ch4_mask_file_create(ch4_mask_file **out, const char *dir, int64_t n_pixels, ch4_err *err)
{
    char path[4096];
    ch4_mask_file *f = NULL;
    size_t bytes = (size_t)(n_pixels + 7) / 8;
    *out = NULL;
    if (!dir)
        dir = P_tmpdir;
    if (snprintf(path, sizeof path, "%s/.masks.XXXXXX", dir) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "%.60s...: path too long", dir);
    ch4_status st = ch4_calloc(&f, 1, sizeof *f + bytes, "masks", err);
    if (st != CH4_OK)
        return st;
    f->n_pixels = n_pixels;
    f->bytes = bytes;
    f->fd = mkostemp(path, O_CLOEXEC);
    if (f->fd < 0 || unlink(path) != 0) {
        st = ch4_err_set_errno(err, errno, "%s: masks of the background remover", dir);
        ch4_mask_file_destroy(&f);
    }
    *out = f;
    return st;
}

void ch4_mask_file_destroy(ch4_mask_file **file)
{
    if (*file && (*file)->fd >= 0)
        close((*file)->fd);
    free(*file);
    *file = NULL;
}

ch4_status ch4_mask_file_put(ch4_mask_file *f, int64_t index, const uint8_t *rgba, ch4_err *err)
{
    memset(f->bits, 0, f->bytes);
    for (int64_t i = 0; i < f->n_pixels; i++)
        f->bits[i / 8] |= (uint8_t)((rgba[4 * i + 3] > 127) << i % 8);
    for (size_t done = 0; done < f->bytes;) {
        ssize_t n = pwrite(f->fd, f->bits + done, f->bytes - done, (off_t)((size_t)index * f->bytes + done));
        if (n <= 0)
            return ch4_err_set_errno(err, n < 0 ? errno : ENOSPC, "mask of frame %" PRId64, index);
        done += (size_t)n;
    }
    return CH4_OK;
}

ch4_status ch4_mask_file_get(ch4_mask_file *f, int64_t index, uint8_t *rgba, ch4_err *err)
{
    for (size_t done = 0; done < f->bytes;) {
        ssize_t n = pread(f->fd, f->bits + done, f->bytes - done, (off_t)((size_t)index * f->bytes + done));
        if (n <= 0)
            return ch4_err_set_errno(err, n < 0 ? errno : EIO, "mask of frame %" PRId64, index);
        done += (size_t)n;
    }
    for (int64_t i = 0; i < f->n_pixels; i++)
        rgba[4 * i + 3] = f->bits[i / 8] >> i % 8 & 1 ? 255 : 0;
    return CH4_OK;
}
