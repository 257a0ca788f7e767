#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct ch4_hash {
    XXH3_state_t *state;
};

static void to_hex(char out[CH4_HASH_HEX], XXH128_hash_t h)
{
    snprintf(out, CH4_HASH_HEX, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

ch4_status ch4_hash_create(ch4_hash **out, ch4_err *err)
{
    *out = NULL;
    ch4_hash *h = calloc(1, sizeof *h);
    if (h)
        h->state = XXH3_createState();
    if (!h || !h->state) {
        free(h);
        return ch4_err_set(err, CH4_ENOMEM, "hash state");
    }
    XXH3_128bits_reset(h->state);
    *out = h;
    return CH4_OK;
}

void ch4_hash_destroy(ch4_hash **h)
{
    if (!h || !*h)
        return;
    XXH3_freeState((*h)->state);
    free(*h);
    *h = NULL;
}

void ch4_hash_update(ch4_hash *h, const void *data, size_t size)
{
    XXH3_128bits_update(h->state, data, size);
}

void ch4_hash_hex(const ch4_hash *h, char out[CH4_HASH_HEX])
{
    to_hex(out, XXH3_128bits_digest(h->state));
}

void ch4_hash_bytes(char out[CH4_HASH_HEX], const void *data, size_t size)
{
    to_hex(out, XXH3_128bits(data, size));
}

ch4_status ch4_hash_file(char out[CH4_HASH_HEX], const char *path, ch4_err *err)
{
    enum { CHUNK = 1 << 18 };
    ch4_status st = CH4_OK;
    ch4_hash *h = NULL;
    char *buf = NULL;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return ch4_err_set_errno(err, errno, "%s", path);
    st = ch4_hash_create(&h, err);
    if (st == CH4_OK && !(buf = malloc(CHUNK)))
        st = ch4_err_set(err, CH4_ENOMEM, "%s: read buffer", path);
    while (st == CH4_OK) {
        size_t n = fread(buf, 1, CHUNK, f);
        ch4_hash_update(h, buf, n);
        if (n < CHUNK) {
            if (ferror(f))
                st = ch4_err_set_errno(err, errno, "%s", path);
            break;
        }
    }
    if (st == CH4_OK)
        ch4_hash_hex(h, out);
    free(buf);
    ch4_hash_destroy(&h);
    fclose(f);
    return st;
}
