/* ch4_store: the files of a run. One HDF5 file per window and stage, written whole and committed once.
 *
 * File: a 512-byte HDF5 user block with our header as text (magic, format version, length and checksum of all that follows), then
 * an ordinary HDF5 file that h5dump, h5py and the like open as it is. Same datasets and attributes in the same order give
 * the same bytes (no times are stored).
 *
 * Writing: everything is built in memory, so nothing can be half on disk because of HDF5; commit writes a temporary file beside
 * the final name, syncs it, links it to the final name (the first one wins, a later copy is dropped), syncs the folder. A file
 * that has its final name is complete.
 *
 * Reading: length and checksum are verified before HDF5 sees a byte; rank, shape, dtype and storage of each dataset before
 * anything is allocated. A file that fails is CH4_EFORMAT with path and reason. HDF5's own text is kept in messages.
 *
 * Names: datasets are absolute paths ("/latents", "/attention/index"; groups appear by themselves); attributes sit on the
 * root group and are named without slash ("direction"). Supported dtypes: F64 F32 F16 I64 I32 U16 U8. F16 is stored with
 * its own type (15,10,5,0,10) and never converted. All data little-endian.
 *
 * Threads: HDF5 has one global lock; all calls of this header that a process makes come from one thread. */
#ifndef CH4_STORE_H
#define CH4_STORE_H

#include "tensor/tensor.h"

enum {
    CH4_STORE_NAME = 64,             /* longest dataset or attribute name, with NUL */
    CH4_STORE_PATH = 4096,
    CH4_STORE_TEXT = 1024,           /* longest text attribute, with NUL */
    CH4_STORE_ATTR_ITEMS = 64,       /* longest list attribute */
};
#define CH4_STORE_MAX_BYTES ((int64_t)1 << 36) /* largest file and largest dataset that is read */

/* "CLIP_DIR/w0007.chain.h5". window in 0..999999. CH4_EINVAL if it does not fit. */
ch4_status ch4_store_window_path(char *out, size_t size, const char *clip_dir, int64_t window, const char *stage, ch4_err *err);

/* --- writing --------------------------------------------------------------------------------------------------------------- */

typedef struct ch4_store_writer ch4_store_writer;

typedef enum ch4_store_flags {
    CH4_STORE_PLAIN = 0,
    CH4_STORE_PACK = 1, /* chunks of one index of the first dimension, shuffle + deflate 1 + fletcher32 */
} ch4_store_flags;

/* Starts a file in memory that will be committed as `path`. CH4_ENOMEM, CH4_EINVAL (path too long). */
ch4_status ch4_store_create(ch4_store_writer **out, const char *path, ch4_err *err);
const char *ch4_store_writer_path(const ch4_store_writer *writer);
void       ch4_store_discard(ch4_store_writer **writer); /* drops it, nothing reaches the disk */

/* Writes a dataset; t contiguous host data (a size may be 0). CH4_EEXIST if the name was used, CH4_EINVAL for a bad name, dtype or stride. */
ch4_status ch4_store_write(ch4_store_writer *writer, const char *name, const ch4_tensor *t, ch4_store_flags flags, ch4_err *err);

/* Attributes of the root group; n values are stored as a list (n = 1: a scalar). */
ch4_status ch4_store_set_int(ch4_store_writer *writer, const char *name, int64_t value, ch4_err *err);
ch4_status ch4_store_set_real(ch4_store_writer *writer, const char *name, double value, ch4_err *err);
ch4_status ch4_store_set_reals(ch4_store_writer *writer, const char *name, const double *values, int64_t n, ch4_err *err);
ch4_status ch4_store_set_text(ch4_store_writer *writer, const char *name, const char *value, ch4_err *err);

typedef struct ch4_store_commit_info {
    char checksum[33]; /* of everything behind the user block; 32 hex digits. Equal for equal content. */
    int64_t bytes;     /* size of the file */
    bool first;        /* false: the final name existed already with the same checksum; ours was dropped */
} ch4_store_commit_info;

/* Writes, syncs, links. Frees the writer and nulls the pointer whatever happens; after a failure no file of ours is left. info may be NULL.
 * CH4_ENOSPC (also quota), CH4_EIO; CH4_EEXIST if the final name is taken by a file with another checksum (then the
 * same input did not give the same result, or the folder belongs to another run): that file stays as it is. */
ch4_status ch4_store_commit(ch4_store_writer **writer, ch4_store_commit_info *info, ch4_err *err);

/* Removes temporary files that a killed writer left in `dir`. Only whoever owns the run directory may call it, before any stage starts. */
ch4_status ch4_store_sweep(const char *dir, int64_t *n_removed, ch4_err *err);

/* --- reading --------------------------------------------------------------------------------------------------------------- */

typedef struct ch4_store_reader ch4_store_reader;

/* CH4_ENOENT if there is no such file (yet), CH4_EFORMAT if it is not a whole and undamaged run file, CH4_EIO. */
ch4_status  ch4_store_open(ch4_store_reader **out, const char *path, ch4_err *err);
void        ch4_store_close(ch4_store_reader **reader);
const char *ch4_store_path(const ch4_store_reader *reader);
const char *ch4_store_checksum(const ch4_store_reader *reader);

/* Checksum of a committed file without opening HDF5 (verifies it). For resume: does this file still hold what it held? */
ch4_status ch4_store_check_file(const char *path, char checksum[33], int64_t *bytes, ch4_err *err);

bool ch4_store_has(const ch4_store_reader *reader, const char *name);       /* dataset */
bool ch4_store_has_attr(const ch4_store_reader *reader, const char *name);

typedef struct ch4_store_entry {
    char name[CH4_STORE_NAME];
    ch4_tensor shape; /* as ch4_store_stat gives it */
} ch4_store_entry;

/* All datasets in the order of their names: the first `room` of them into out, *n is how many were put there. CH4_EFORMAT. */
ch4_status ch4_store_list(const ch4_store_reader *reader, ch4_store_entry *out, int room, int *n, ch4_err *err);

/* Shape and dtype of a dataset as a view without data (data == NULL, contiguous strides). CH4_ENOENT, CH4_EFORMAT. */
ch4_status ch4_store_stat(const ch4_store_reader *reader, const char *name, ch4_tensor *out, ch4_err *err);

/* Reads a whole dataset into a new buffer: *view looks into *buf, which the caller frees with ch4_buf_free. The dataset must have this dtype
 * and rank, and this shape where shape[i] >= 0 (-1: any size >= 0). shape NULL: any of that rank. CH4_ENOENT, CH4_EFORMAT, CH4_ENOMEM. */
ch4_status ch4_store_read(const ch4_store_reader *reader, const char *name, ch4_dtype dtype, int rank, const int64_t *shape,
                          ch4_buf *buf, ch4_tensor *view, ch4_err *err);

/* The same for indices [begin, begin + n) of the first dimension, into memory of the caller: dst has n * (product of the other sizes)
 * elements, as ch4_store_stat told. CH4_EINVAL if the range is outside. */
ch4_status ch4_store_read_part(const ch4_store_reader *reader, const char *name, ch4_dtype dtype, int64_t begin, int64_t n,
                               void *dst, size_t dst_bytes, ch4_err *err);

/* Attributes. CH4_ENOENT if absent, CH4_EFORMAT if of another kind, length or not finite. */
ch4_status ch4_store_get_int(const ch4_store_reader *reader, const char *name, int64_t *out, ch4_err *err);
ch4_status ch4_store_get_real(const ch4_store_reader *reader, const char *name, double *out, ch4_err *err);
ch4_status ch4_store_get_reals(const ch4_store_reader *reader, const char *name, double *out, int64_t n, ch4_err *err);
ch4_status ch4_store_get_text(const ch4_store_reader *reader, const char *name, char *out, size_t size, ch4_err *err);

#endif
