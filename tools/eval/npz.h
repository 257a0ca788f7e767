/* numpy's .npz: npy files in a zip archive, stored or deflated. Only what numpy writes is read; everything in the archive is hostile until checked. */
#ifndef CH4_EVAL_NPZ_H
#define CH4_EVAL_NPZ_H

#include "base/base.h"
#include "tensor/tensor.h"

typedef struct ch4_npz ch4_npz;

/* Reads the archive's directory. CH4_ENOENT, CH4_EIO, CH4_EFORMAT (no zip archive, cut off, entries outside the file or one over another's name),
 * CH4_EUNSUP (encrypted, in parts, over 4 GiB). */
ch4_status ch4_npz_open(ch4_npz **out, const char *path, ch4_err *err);
void       ch4_npz_close(ch4_npz **npz);

bool ch4_npz_has(const ch4_npz *npz, const char *name); /* name without .npy */

/* One array; *view looks into *buf, which the caller frees with ch4_buf_free. CH4_ENOENT, CH4_EFORMAT (damaged, sizes that do not agree, more than
 * deflate can make of so many bytes, or a type that ch4_npy_load does not read), CH4_EUNSUP (another compression), CH4_ENOMEM. */
ch4_status ch4_npz_get(ch4_buf *buf, ch4_tensor *view, const ch4_npz *npz, const char *name, ch4_err *err);

#endif
