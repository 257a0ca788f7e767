/* Between the files of lib/store; not for others. */
#ifndef CH4_STORE_IMPL_H
#define CH4_STORE_IMPL_H

#include <hdf5.h>

#include "store/store.h"

enum { STORE_HEADER = 512 }; /* HDF5 user blocks are powers of two, at least this large */

/* --- HDF5 (store_h5.c) ----------------------------------------------------------------------------------------------------- */

/* Once per call chain: HDF5 prints nothing and loads no plug-ins. */
void store_h5_quiet(void);

/* status with "fmt: HDF5's own words"; the error stack is emptied. */
ch4_status store_h5_error(ch4_err *err, ch4_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* File type of a dtype, to be closed with H5Tclose; negative if there is none. */
hid_t store_h5_type(ch4_dtype dtype);

/* False for names that are not "/a/b" of [A-Za-z0-9_] parts (dataset) or one such part (attribute). */
bool store_name_ok(const char *name, bool dataset);

/* --- the file around the HDF5 image (store_file.c) --------------------------------------------------------------------------- */

typedef struct store_header {
    char checksum[33];
    int64_t bytes; /* behind the header */
} store_header;

/* Writes header and image to a temporary file beside path, syncs it, links it to path; *first is false if a file with the same
 * checksum was there already. */
ch4_status store_file_commit(const char *path, const void *image, size_t size, store_header *header, bool *first, ch4_err *err);

#endif
