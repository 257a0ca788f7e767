/* ch4_npy_writer: a .npy file written piece by piece, for arrays larger than memory. See tensor/npy.h for whole arrays. */
#ifndef CH4_TENSOR_NPY_WRITER_H
#define CH4_TENSOR_NPY_WRITER_H

#include "tensor/tensor.h"

/* A writer fills a file under a temporary name and renames it when complete. */
typedef struct ch4_npy_writer ch4_npy_writer;

/* shape is the whole array's; dtype F64 F32 I64 I32 I16 U16 U8, rank <= 5. CH4_EINVAL, CH4_EIO, CH4_ENOSPC (text names the path). */
ch4_status ch4_npy_create(ch4_npy_writer **out, const char *path, ch4_dtype dtype, int rank, const int64_t *shape, ch4_err *err);

/* Appends count elements in C order. CH4_EINVAL if more than the shape holds. */
ch4_status ch4_npy_append(ch4_npy_writer *w, const void *data, int64_t count, ch4_err *err);

/* Syncs and renames; CH4_EINVAL if elements are missing. *w is freed in every case. */
ch4_status ch4_npy_close(ch4_npy_writer **w, ch4_err *err);

/* Removes the unfinished file. NULL and *w == NULL are fine. */
void ch4_npy_abort(ch4_npy_writer **w);

#endif
