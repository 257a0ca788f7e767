#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/store_impl.h"

void store_h5_quiet(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0); /* a file must not name code to be loaded */
}

typedef struct h5_words {
    char outer[160], inner[160];
} h5_words;

static herr_t collect_words(unsigned n, const H5E_error2_t *e, void *ctx)
{
    h5_words *w = ctx;
    if (n == 0)
        snprintf(w->outer, sizeof w->outer, "%s", e->desc ? e->desc : "");
    snprintf(w->inner, sizeof w->inner, "%s", e->desc ? e->desc : "");
    return 0;
}

ch4_status store_h5_error(ch4_err *err, ch4_status status, const char *fmt, ...)
{
    h5_words w = {0};
    char text[CH4_ERR_MSG];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, collect_words, &w);
    H5Eclear2(H5E_DEFAULT);
    if (strcmp(w.outer, w.inner) == 0)
        w.inner[0] = 0;
    return ch4_err_set(err, status, "%s: HDF5: %s%s%s", text, w.outer[0] ? w.outer : "no reason given", w.inner[0] ? ", " : "", w.inner);
}

static hid_t float16_type(void)
{
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    if (t < 0)
        return t;
    if (H5Tset_fields(t, 15, 10, 5, 0, 10) < 0 || H5Tset_size(t, 2) < 0 || H5Tset_ebias(t, 15) < 0) {
        H5Tclose(t);
        return -1;
    }
    return t;
}

hid_t store_h5_type(ch4_dtype dtype)
{
    switch (dtype) {
    case CH4_DTYPE_F64: return H5Tcopy(H5T_IEEE_F64LE);
    case CH4_DTYPE_F32: return H5Tcopy(H5T_IEEE_F32LE);
    case CH4_DTYPE_F16: return float16_type();
    case CH4_DTYPE_I64: return H5Tcopy(H5T_STD_I64LE);
    case CH4_DTYPE_I32: return H5Tcopy(H5T_STD_I32LE);
    case CH4_DTYPE_U16: return H5Tcopy(H5T_STD_U16LE);
    case CH4_DTYPE_U8: return H5Tcopy(H5T_STD_U8LE);
    default: return -1;
    }
}

bool store_name_ok(const char *name, bool dataset)
{
    size_t n = strlen(name);
    if (n == 0 || n >= CH4_STORE_NAME || (dataset && name[0] != '/') || name[n - 1] == '/')
        return false;
    for (size_t i = 0; i < n; i++) {
        bool slash = dataset && name[i] == '/' && name[i + 1] != '/';
        if (!slash && !isalnum((unsigned char)name[i]) && name[i] != '_')
            return false;
    }
    return true;
}
