#include "folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const extensions[] = {"png", "jpg", "jpeg", "webp"};
enum { N_EXTENSIONS = sizeof extensions / sizeof extensions[0] };

int ch4_natural_compare(const char *a, const char *b)
{
    const char *p = a, *q = b;
    while (*p && *q) {
        if (isdigit((unsigned char)*p) && isdigit((unsigned char)*q)) {
            while (*p == '0')
                p++;
            while (*q == '0')
                q++;
            size_t m = strspn(p, "0123456789"), n = strspn(q, "0123456789");
            int order = m != n ? (m < n ? -1 : 1) : strncmp(p, q, m);
            if (order)
                return order;
            p += m;
            q += n;
        } else if (*p != *q) {
            return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
        } else {
            p++;
            q++;
        }
    }
    return *p ? 1 : *q ? -1 : strcmp(a, b);
}

static int extension_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < N_EXTENSIONS; i++)
        if (strcasecmp(dot + 1, extensions[i]) == 0)
            return i;
    return -1;
}

/* Length of the name before "_image.EXT" or "_mask.EXT"; 0 if the name is not of that form. */
static size_t pair_stem(const char *name, const char *suffix)
{
    const char *dot = strrchr(name, '.');
    size_t n = dot ? (size_t)(dot - name) : 0, m = strlen(suffix);
    return n > m && extension_of(name) >= 0 && strncmp(name + n - m, suffix, m) == 0 ? n - m : 0;
}

typedef struct names {
    char **name;
    size_t n, cap;
} names;

static int by_nature(const void *a, const void *b)
{
    return ch4_natural_compare(*(char *const *)a, *(char *const *)b);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ch4_status read_names(names *out, const char *path, ch4_err *err)
{
    DIR *dir = opendir(path);
    if (!dir)
        return ch4_err_set(err, errno == ENOENT ? CH4_ENOENT : CH4_EFORMAT, "%s: cannot be read: %s", path, strerror(errno));
    ch4_status st = CH4_OK;
    for (struct dirent *e; st == CH4_OK && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || extension_of(e->d_name) < 0)
            continue;
        if (out->n == out->cap) {
            size_t cap = out->cap ? 2 * out->cap : 64;
            char **p = realloc(out->name, cap * sizeof *p);
            if (!p) {
                st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
                break;
            }
            out->name = p;
            out->cap = cap;
        }
        if (!(out->name[out->n] = strdup(e->d_name)))
            st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
        else
            out->n++;
    }
    closedir(dir);
    return st;
}

static ch4_status add_path(char **slot, const char *dir, const char *name, ch4_err *err)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    *slot = malloc(n);
    if (!*slot)
        return ch4_err_set(err, CH4_ENOMEM, "%s/%s", dir, name);
    snprintf(*slot, n, "%s/%s", dir, name);
    return CH4_OK;
}

/* The mask of picture i, whose stem has m bytes. Names with one beginning are neighbours in byte order, "_mask" after "_image". */
static const char *find_mask(const names *all, size_t i, size_t m)
{
    for (size_t k = i + 1; k < all->n && strncmp(all->name[k], all->name[i], m) == 0; k++)
        if (pair_stem(all->name[k], "_mask") == m)
            return all->name[k];
    return NULL;
}

static ch4_status list_pairs(ch4_folder *out, const char *path, names *all, ch4_err *err)
{
    qsort(all->name, all->n, sizeof *all->name, by_bytes);
    ch4_status st = ch4_calloc(&out->masks, all->n, sizeof *out->masks, "list of masks", err);
    for (size_t i = 0; st == CH4_OK && i < all->n; i++) {
        size_t m = pair_stem(all->name[i], "_image");
        if (m == 0)
            continue;
        const char *mask = find_mask(all, i, m);
        if (!mask)
            return ch4_err_set(err, CH4_EFORMAT, "%s/%s: no mask beside it: a picture NAME_image needs a NAME_mask", path, all->name[i]);
        st = add_path(&out->pictures[out->n], path, all->name[i], err);
        if (st == CH4_OK)
            st = add_path(&out->masks[out->n++], path, mask, err);
    }
    return st;
}

static ch4_status list_all(ch4_folder *out, const char *path, names *all, ch4_err *err)
{
    int64_t count[N_EXTENSIONS] = {0};
    int best = 0;
    for (size_t i = 0; i < all->n; i++)
        count[extension_of(all->name[i])]++;
    for (int k = 1; k < N_EXTENSIONS; k++)
        best = count[k] > count[best] ? k : best;
    qsort(all->name, all->n, sizeof *all->name, by_nature);
    ch4_status st = CH4_OK;
    for (size_t i = 0; st == CH4_OK && i < all->n; i++)
        if (extension_of(all->name[i]) == best)
            st = add_path(&out->pictures[out->n++], path, all->name[i], err);
    return st;
}

ch4_status ch4_folder_list(ch4_folder *out, const char *path, ch4_err *err)
{
    *out = (ch4_folder){0};
    names all = {0};
    ch4_status st = read_names(&all, path, err);
    if (st == CH4_OK && all.n == 0)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: no picture (png, jpg, jpeg, webp) in this folder", path);
    if (st == CH4_OK)
        st = ch4_calloc(&out->pictures, all.n, sizeof *out->pictures, "list of pictures", err);
    bool pairs = false;
    for (size_t i = 0; st == CH4_OK && i < all.n; i++)
        pairs |= pair_stem(all.name[i], "_image") > 0;
    if (st == CH4_OK)
        st = pairs ? list_pairs(out, path, &all, err) : list_all(out, path, &all, err);
    for (size_t i = 0; i < all.n; i++)
        free(all.name[i]);
    free(all.name);
    if (st != CH4_OK)
        ch4_folder_fini(out);
    return st;
}

void ch4_folder_fini(ch4_folder *f)
{
    for (int64_t i = 0; i < f->n; i++) {
        free(f->pictures[i]);
        if (f->masks)
            free(f->masks[i]);
    }
    free(f->pictures);
    free(f->masks);
    *f = (ch4_folder){0};
}
