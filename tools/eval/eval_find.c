#include "tools/eval/eval_find.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct folders {
    char **path;
    int64_t n;
} folders;

static void free_folders(folders *f)
{
    for (int64_t i = 0; i < f->n; i++) free(f->path[i]);
    free(f->path);
}

static ch4_status add_folder(folders *to, const char *path, ch4_err *err)
{
    char **more = realloc(to->path, (size_t)(to->n + 1) * sizeof(*more));
    if (!more) return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    to->path = more;
    to->path[to->n] = strdup(path);
    return to->path[to->n] ? (to->n++, CH4_OK) : ch4_err_set(err, CH4_ENOMEM, "%s", path);
}

/* A file in folder whose name matches one of the patterns. */
static bool holds(const char *folder, const char *const *patterns)
{
    DIR *dir = opendir(folder);
    bool found = false;
    for (struct dirent *d; dir && !found && (d = readdir(dir));)
        for (const char *const *p = patterns; *p && !found; p++) found = fnmatch(*p, d->d_name, FNM_PERIOD) == 0;
    if (dir) closedir(dir);
    return found;
}

static int visible(const struct dirent *d) { return d->d_name[0] != '.' && (d->d_type == DT_DIR || d->d_type == DT_LNK || d->d_type == DT_UNKNOWN); }

/* Adds the folders at or below `folder` that hold one of the files; does not look inside them. */
static ch4_status collect(folders *out, const char *folder, const char *const *files, int depth, ch4_err *err)
{
    if (holds(folder, files)) return add_folder(out, folder, err);
    if (depth == 0) return CH4_OK;
    struct dirent **entry;
    int n = scandir(folder, &entry, visible, alphasort);
    if (n < 0) return errno == ENOTDIR ? CH4_OK : ch4_err_set_errno(err, errno, "%s", folder);
    ch4_status st = CH4_OK;
    for (int i = 0; i < n; i++) {
        char path[4096];
        if (!st && snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name) < (int)sizeof(path)) st = collect(out, path, files, depth - 1, err);
        free(entry[i]);
    }
    free(entry);
    return st;
}

static bool same_name(const char *path, const char *end, const char *name)
{
    const char *begin = end;
    while (begin > path && begin[-1] != '/') begin--;
    return (size_t)(end - begin) == strlen(name) && !strncmp(begin, name, strlen(name));
}

/* True if the last or the second last component of path is name. */
static bool belongs(const char *path, const char *name)
{
    const char *end = path + strlen(path), *slash = strrchr(path, '/');
    return same_name(path, end, name) || (slash && same_name(path, slash, name));
}

static ch4_status match(ch4_eval_pair *pair, const folders *results, bool only_one, ch4_err *err)
{
    for (int64_t i = 0; i < results->n; i++) {
        if (!belongs(results->path[i], pair->name) && !(only_one && results->n == 1)) continue;
        if (pair->result) return ch4_err_set(err, CH4_EFORMAT, "two results for %s: %s and %s", pair->name, pair->result, results->path[i]);
        pair->result = strdup(results->path[i]);
        if (!pair->result) return ch4_err_set(err, CH4_ENOMEM, "%s", pair->name);
    }
    return CH4_OK;
}

/* Absolute, so that "." has a name. */
static ch4_status collect_in(folders *out, const char *given, const char *const *files, int depth, ch4_err *err)
{
    char *path = realpath(given, NULL);
    if (!path) return ch4_err_set_errno(err, errno, "%s", given);
    ch4_status st = collect(out, path, files, depth, err);
    free(path);
    return st;
}

ch4_status ch4_eval_find_files(ch4_eval_pairs *out, const char *gt, char *const *runs, int n_runs, const char *truth_file, const char *const *result_files,
                               ch4_err *err)
{
    *out = (ch4_eval_pairs){0};
    folders truths = {0}, results = {0};
    const char *const truth_files[] = {truth_file, NULL};
    ch4_status st = collect_in(&truths, gt, truth_files, 1, err);
    for (int i = 0; !st && i < n_runs; i++) st = collect_in(&results, runs[i], result_files, 2, err);
    if (!st && truths.n == 0) st = ch4_err_set(err, CH4_ENOENT, "%s: no %s there or in a folder below it", gt, truth_file);
    if (!st) st = ch4_calloc(&out->pair, (size_t)truths.n, sizeof(*out->pair), "clips", err);
    for (int64_t i = 0; !st && i < truths.n; i++) {
        ch4_eval_pair *p = &out->pair[out->n++];
        p->truth = strdup(truths.path[i]);
        p->name = strdup(strrchr(truths.path[i], '/') + 1);
        st = p->truth && p->name ? match(p, &results, truths.n == 1, err) : ch4_err_set(err, CH4_ENOMEM, "%s", gt);
    }
    out->n_results = results.n;
    free_folders(&truths);
    free_folders(&results);
    return st;
}

ch4_status ch4_eval_find(ch4_eval_pairs *out, const char *gt, char *const *runs, int n_runs, ch4_err *err)
{
    static const char *const RESULT[] = {"vertices.npy", NULL};
    int64_t found = 0;
    ch4_status st = ch4_eval_find_files(out, gt, runs, n_runs, "gt.safetensors", RESULT, err);
    for (int64_t i = 0; !st && i < out->n; i++) found += out->pair[i].result != NULL;
    if (!st && found == 0)
        st = ch4_err_set(err, CH4_ENOENT, "none of the %lld results belongs to one of the %lld truths in %s", (long long)out->n_results, (long long)out->n, gt);
    return st;
}

void ch4_eval_pairs_fini(ch4_eval_pairs *pairs)
{
    if (!pairs) return;
    for (int64_t i = 0; i < pairs->n; i++) {
        free(pairs->pair[i].name);
        free(pairs->pair[i].truth);
        free(pairs->pair[i].result);
    }
    free(pairs->pair);
    *pairs = (ch4_eval_pairs){0};
}
