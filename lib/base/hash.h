/* Checksums of files and messages: XXH3, 128 bits, as 32 lower-case hex digits. Detects damage, not malice. */
#ifndef CH4_BASE_HASH_H
#define CH4_BASE_HASH_H

#include <stddef.h>

#include "base/err.h"

enum { CH4_HASH_HEX = 33 }; /* with the terminating NUL */

typedef struct ch4_hash ch4_hash;

ch4_status ch4_hash_create(ch4_hash **out, ch4_err *err);
void       ch4_hash_destroy(ch4_hash **h);
void       ch4_hash_update(ch4_hash *h, const void *data, size_t size);
void       ch4_hash_hex(const ch4_hash *h, char out[CH4_HASH_HEX]);

/* Checksum of size bytes, and of a whole file (CH4_ENOENT, CH4_EIO). */
void       ch4_hash_bytes(char out[CH4_HASH_HEX], const void *data, size_t size);
ch4_status ch4_hash_file(char out[CH4_HASH_HEX], const char *path, ch4_err *err);

#endif
