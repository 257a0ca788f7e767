#include "tools/eval/track_pairs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* Length of a file's name without .npz or .safetensors; 0 if it has neither. */
static size_t stem(const char *name)
{
    static const char *const END[] = {".npz", ".safetensors"};
    size_t n = strlen(name);
    for (int i = 0; i < 2; i++) {
        size_t m = strlen(END[i]);
        if (n > m && !strcmp(name + n - m, END[i])) return n - m;
    }
    return 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool tracks_in(char out[4096], const char *folder, const char *name)
{
    static const char *const FILE_NAME[] = {"tracks.safetensors", "tracks.npz"};
    for (int i = 0; i < 2; i++) {
        snprintf(out, 4096, "%s%s%s/%s", folder, name ? "/" : "", name ? name : "", FILE_NAME[i]);
        if (is_file(out)) return true;
    }
    out[0] = 0;
    return false;
}

void ch4_track_result(char out[4096], const ch4_eval_request *r, const char *name, bool only)
{
    for (int i = 0; i < r->n_pred; i++) {
        const char *base = last_part(r->pred[i]);
        bool same = only || !strcmp(base, name);
        if (is_file(r->pred[i]) && stem(base) && (only || (stem(base) == strlen(name) && !strncmp(base, name, stem(base))))) {
            snprintf(out, 4096, "%s", r->pred[i]);
            return;
        }
        snprintf(out, 4096, "%s/%s.npz", r->pred[i], name);
        if (is_file(out) || tracks_in(out, r->pred[i], name) || (same && tracks_in(out, r->pred[i], NULL))) return;
    }
    out[0] = 0;
}

static ch4_status add_truth(ch4_eval_pairs *out, const char *path, const char *name, size_t length, ch4_track_wants wants, bool take_broken, ch4_err *err)
{
    ch4_array_file file;
    ch4_status st = ch4_array_file_open(&file, path, NULL);
    bool wanted = st ? take_broken : wants(&file);
    ch4_array_file_close(&file);
    if (!wanted) return CH4_OK;
    ch4_eval_pair *more = realloc(out->pair, (size_t)(out->n + 1) * sizeof(*more));
    if (!more) return ch4_err_set(err, CH4_ENOMEM, "%s", path);
    out->pair = more;
    out->pair[out->n] = (ch4_eval_pair){.name = strndup(name, length), .truth = strdup(path)};
    ch4_eval_pair *p = &out->pair[out->n++];
    return p->name && p->truth ? CH4_OK : ch4_err_set(err, CH4_ENOMEM, "%s", path);
}

static ch4_status list_truths(ch4_eval_pairs *out, const char *gt, ch4_track_wants wants, bool take_broken, ch4_err *err)
{
    struct dirent **entry;
    char path[4096];
    ch4_status st = CH4_OK;
    if (is_file(gt)) return stem(last_part(gt)) ? add_truth(out, gt, last_part(gt), stem(last_part(gt)), wants, take_broken, err) : CH4_OK;
    if (tracks_in(path, gt, NULL)) {
        char *whole = realpath(gt, NULL);
        st = whole ? add_truth(out, path, last_part(whole), strlen(last_part(whole)), wants, take_broken, err) : ch4_err_set(err, CH4_ENOMEM, "%s", gt);
        free(whole);
        return st;
    }
    int n = scandir(gt, &entry, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = entry[i]->d_name;
        size_t length = stem(name);
        snprintf(path, sizeof(path), "%s/%s", gt, name);
        if (!st && name[0] != '.' && length && !strcmp(name + length, ".npz") && is_file(path)) st = add_truth(out, path, name, length, wants, take_broken, err);
        else if (!st && name[0] != '.' && tracks_in(path, gt, name)) st = add_truth(out, path, name, strlen(name), wants, take_broken, err);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    return st;
}

ch4_status ch4_track_pairs(ch4_eval_pairs *out, bool *applied, const ch4_eval_request *r, ch4_track_wants wants, bool take_broken, ch4_err *err)
{
    char path[4096];
    *out = (ch4_eval_pairs){0};
    *applied = false;
    ch4_status st = list_truths(out, r->gt, wants, take_broken, err);
    for (int64_t i = 0; !st && i < out->n; i++) {
        ch4_track_result(path, r, out->pair[i].name, out->n == 1);
        if (!path[0]) continue;
        out->pair[i].result = strdup(path);
        if (!out->pair[i].result) st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
        *applied = true;
    }
    return st;
}
