#include "tools/synth/clip_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ch4_status ch4_synth_make_folder(const char *path, ch4_err *err)
{
    char *p = strdup(path);
    if (!p) return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    ch4_status st = CH4_OK;
    for (char *s = p + 1; !st; s++) {
        if (*s && *s != '/') continue;
        char end = *s;
        *s = 0;
        if (mkdir(p, 0777) != 0 && errno != EEXIST) st = ch4_err_set_errno(err, errno, "%s", p);
        *s = end;
        if (!end) break;
    }
    free(p);
    return st;
}

ch4_status ch4_synth_remove_files(const char *folder, const char *pattern, ch4_err *err)
{
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT ? CH4_OK : ch4_err_set_errno(err, errno, "%s", folder);
    ch4_status st = CH4_OK;
    for (struct dirent *d; !st && (d = readdir(dir));)
        if (fnmatch(pattern, d->d_name, FNM_PERIOD) == 0 && unlinkat(dirfd(dir), d->d_name, 0) != 0)
            st = ch4_err_set_errno(err, errno, "%s/%s", folder, d->d_name);
    closedir(dir);
    return st;
}

void ch4_synth_numbered_path(char *out, size_t size, const char *folder, const char *begin, int64_t i, int64_t n, const char *end)
{
    int digits = 2;
    for (int64_t limit = 100; n > limit; limit *= 10) digits++;
    snprintf(out, size, "%s/%s%0*lld%s", folder, begin, digits, (long long)i, end);
}

ch4_status ch4_synth_obj_save(const char *path, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    FILE *f = fopen(path, "wbe");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    bool ok = true;
    /* Nine digits give every float back exactly. */
    for (int64_t v = 0; v < n_vert; v++) ok = ok && fprintf(f, "v %.9g %.9g %.9g\n", (double)vert[3 * v], (double)vert[3 * v + 1], (double)vert[3 * v + 2]) > 0;
    for (int64_t i = 0; i < n_face; i++) ok = ok && fprintf(f, "f %d %d %d\n", face[3 * i] + 1, face[3 * i + 1] + 1, face[3 * i + 2] + 1) > 0;
    ok = fflush(f) == 0 && ok;
    ch4_status st = ok ? CH4_OK : ch4_err_set_errno(err, errno, "%s", path);
    fclose(f);
    return st;
}
