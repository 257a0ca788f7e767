/* ch4_npy: one tensor in numpy's .npy format (version 1.0 and 2.0, little-endian, C order; numpy.lib.format). */
#ifndef CH4_TENSOR_NPY_H
#define CH4_TENSOR_NPY_H

#include "tensor/tensor.h"

/* Writes t (contiguous host data; any dtype but BF16) through a temporary name, synced and renamed.
 * CH4_EINVAL (strides, dtype), CH4_EIO, CH4_ENOSPC; the text names the path. */
ch4_status ch4_npy_save(const char *path, const ch4_tensor *t, ch4_err *err);

/* Reads a whole file: *view looks into *buf, which the caller frees with ch4_buf_free. numpy's bool is read as U8. CH4_ENOENT, CH4_EIO, CH4_EFORMAT (no npy file,
 * dtype or order not among the above, rank over 5, size of the data not that of the shape), CH4_ENOMEM. */
ch4_status ch4_npy_load(ch4_buf *buf, ch4_tensor *view, const char *path, ch4_err *err);

/* The same from a file's bytes in memory, which are copied; name is for messages. */
ch4_status ch4_npy_decode(ch4_buf *buf, ch4_tensor *view, const void *file, size_t size, const char *name, ch4_err *err);

#endif
