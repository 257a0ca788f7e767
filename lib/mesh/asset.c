#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/size.h"
#include "mesh/mesh_io.h"

enum { MAX_FILE = 1 << 30 }; /* larger than any mesh that can be animated here */

void ch4_asset_fini(ch4_asset *a)
{
    if (!a)
        return;
    ch4_mesh_fini(&a->mesh);
    for (int64_t i = 0; i < a->n_image; i++)
        free(a->image[i].data);
    free(a->draw_vert);
    free(a->draw_face);
    free(a->uv);
    free(a->color);
    free(a->part);
    free(a->look);
    free(a->image);
    *a = (ch4_asset){0};
}

static ch4_status read_whole(uint8_t **data, size_t *size, const char *path, ch4_err *err)
{
    struct stat sb;
    FILE *f = fopen(path, "rb");
    *data = NULL;
    if (!f)
        return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status st = CH4_OK;
    if (fstat(fileno(f), &sb) != 0)
        st = ch4_err_set_errno(err, errno, "%s", path);
    else if (!S_ISREG(sb.st_mode) || sb.st_size == 0)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: %s", path, S_ISREG(sb.st_mode) ? "the file is empty" : "not a file");
    else if (sb.st_size > MAX_FILE)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: mesh file is larger than 1 GiB", path);
    if (st == CH4_OK)
        st = ch4_calloc(data, (size_t)sb.st_size + 1, 1, path, err); /* one byte more: text ends with a NUL */
    if (st == CH4_OK) {
        *size = fread(*data, 1, (size_t)sb.st_size, f);
        if (*size != (size_t)sb.st_size)
            st = ferror(f) ? ch4_err_set_errno(err, errno, "%s", path) : ch4_err_set(err, CH4_EIO, "%s: file shrank while it was read", path);
    }
    fclose(f);
    return st;
}

ch4_status ch4_asset_load(ch4_asset *out, const char *path, ch4_err *err)
{
    uint8_t *data = NULL;
    size_t size = 0;
    *out = (ch4_asset){0};
    ch4_status st = read_whole(&data, &size, path, err);
    if (st == CH4_OK) {
        if (size >= 4 && memcmp(data, "glTF", 4) == 0)
            st = ch4_glb_parse(out, data, size, path, err);
        else if (memchr(data, 0, size))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: neither a GLB nor an OBJ file", path);
        else
            st = ch4_obj_parse(out, (const char *)data, size, path, err);
    }
    free(data);
    return st;
}
