/* Finds cases. Nothing that looks like a recorded case is passed over in silence: what no kind covers is named and counted. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "golden.h"

enum { PATH_LEN = 4096 };

typedef struct walk {
    const ch4_golden_options *options;
    ch4_golden_tally *tally;
    size_t root_len; /* labels begin at this offset of a path */
} walk;

static bool is_file(const char *dir, const char *name, char path[PATH_LEN])
{
    struct stat sb;
    return snprintf(path, PATH_LEN, "%s/%s", dir, name) < PATH_LEN && stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* String field of a JSON object file into out ("" where there is none). */
static void json_string_field(json_t *root, const char *key, char out[256])
{
    const char *s = json_string_value(json_object_get(root, key));
    snprintf(out, 256, "%s", s ? s : "");
}

/* The case says what it is ("kind", then "case"); else its folder's name does, else the names above it, down to the argument. */
static const ch4_golden_kind *kind_of(const walk *w, const char *dir, json_t *config)
{
    char text[256];
    const ch4_golden_kind *kind;
    json_string_field(config, "kind", text);
    if ((kind = ch4_golden_find_kind(text)))
        return kind;
    json_string_field(config, "case", text);
    if ((kind = ch4_golden_find_kind(text)))
        return kind;
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s", dir);
    while (strlen(path) > w->root_len) {
        if ((kind = ch4_golden_find_kind(last_part(path))))
            return kind;
        char *slash = strrchr(path, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return NULL;
}

static void run_or_name(walk *w, const char *label, const char *dir, const char *json, const char *io, const char *weights)
{
    json_t *config = json ? json_load_file(json, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const ch4_golden_kind *kind = kind_of(w, dir, config);
    json_decref(config);
    if (kind) {
        ch4_golden_run_case(kind, label, dir, json, io, weights, w->options, w->tally);
    } else {
        w->tally->uncovered++;
        printf("%-36s %-40s not covered: no kind for it\n", label, "-");
    }
}

/* A folder case: config.json that names its case or kind, or tensors or windows beside it. */
static bool try_folder(walk *w, const char *dir)
{
    char json[PATH_LEN], io[PATH_LEN], weights[PATH_LEN], windows[PATH_LEN];
    bool has_json = is_file(dir, "config.json", json), has_io = is_file(dir, "io.safetensors", io);
    bool has_weights = is_file(dir, "weights.safetensors", weights), has_windows = is_file(dir, "windows.json", windows);
    bool named = false;
    if (has_json && !has_io && !has_windows) {
        json_t *config = json_load_file(json, 0, NULL);
        named = json_string_value(json_object_get(config, "case")) || json_string_value(json_object_get(config, "kind"));
        json_decref(config);
    }
    if (!has_io && !has_windows && !named && !(has_json && has_weights))
        return false;
    run_or_name(w, dir + w->root_len, dir, has_json ? json : NULL, has_io ? io : NULL, has_weights ? weights : NULL);
    return true;
}

/* A pair <case>.json + <case>.safetensors; the second may be absent where the JSON says what it is or the folder is a kind. */
static bool try_pair(walk *w, const char *dir, const char *name)
{
    char json[PATH_LEN], tensors[PATH_LEN], stem[256], label[PATH_LEN], text[256];
    if (!ends_with(name, ".json") || strcmp(name, "manifest.json") == 0 || strlen(name) >= sizeof stem || !is_file(dir, name, json))
        return false;
    snprintf(stem, sizeof stem, "%.*s", (int)(strlen(name) - 5), name);
    char tensor_name[sizeof stem + 16];
    snprintf(tensor_name, sizeof tensor_name, "%s.safetensors", stem);
    bool has_tensors = is_file(dir, tensor_name, tensors);
    json_t *config = json_load_file(json, 0, NULL);
    json_string_field(config, "kind", text);
    json_decref(config);
    if (!has_tensors && !text[0] && !ch4_golden_find_kind(last_part(dir)))
        return false;
    if (snprintf(label, sizeof label, "%s/%s", dir + w->root_len, stem) >= (int)sizeof label)
        return false;
    run_or_name(w, label, dir, json, has_tensors ? tensors : NULL, NULL);
    return true;
}

/* The evaluation set is one case file of many sections, with data folders below that are not cases of their own. */
static bool try_index(walk *w, const char *dir)
{
    char path[PATH_LEN];
    if (!is_file(dir, "index.json", path))
        return false;
    json_t *root = json_load_file(path, 0, NULL);
    json_t *cases = json_object_get(root, "cases");
    bool is_index = json_is_array(cases);
    if (is_index)
        ch4_golden_run_eval(dir + w->root_len, dir, cases, w->options, w->tally);
    json_decref(root);
    return is_index;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static ch4_status walk_dir(walk *w, const char *dir, int depth, ch4_err *err)
{
    if (depth > 32)
        return ch4_err_set(err, CH4_EFORMAT, "%s: folders are nested too deep", dir);
    if (try_index(w, dir))
        return CH4_OK;
    bool is_case = try_folder(w, dir);
    struct dirent **list = NULL;
    int n = scandir(dir, &list, visible, alphasort);
    if (n < 0)
        return ch4_err_set_errno(err, errno, "%s", dir);
    ch4_status st = CH4_OK;
    for (int i = 0; i < n; i++) {
        char path[PATH_LEN];
        struct stat sb;
        if (st == CH4_OK && snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name) < (int)sizeof path && stat(path, &sb) == 0) {
            if (S_ISDIR(sb.st_mode))
                st = walk_dir(w, path, depth + 1, err);
            else if (!is_case)
                (void)try_pair(w, dir, list[i]->d_name);
        }
        free(list[i]);
    }
    free(list);
    return st;
}

ch4_status ch4_golden_walk(const char *path, const ch4_golden_options *options, ch4_golden_tally *tally, ch4_err *err)
{
    char *root = realpath(path, NULL); /* so that "." has a name and labels have no ".." */
    if (!root)
        return ch4_err_set_errno(err, errno, "%s", path);
    struct stat sb;
    ch4_status st = CH4_OK;
    walk w = {.options = options, .tally = tally};
    if (stat(root, &sb) != 0) {
        st = ch4_err_set_errno(err, errno, "%s", path);
    } else if (S_ISDIR(sb.st_mode)) {
        w.root_len = (size_t)(last_part(root) - root);
        st = walk_dir(&w, root, 0, err);
    } else {
        char *slash = strrchr(root, '/');
        *slash = '\0';
        w.root_len = (size_t)(last_part(root) - root);
        bool folder = strcmp(slash + 1, "config.json") == 0 || strcmp(slash + 1, "io.safetensors") == 0 || strcmp(slash + 1, "windows.json") == 0;
        if (!(folder ? try_folder(&w, root) : try_pair(&w, root, slash + 1)))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: not a case: give its folder, or the .json file of a case", path);
    }
    free(root);
    return st;
}
