/* The run directory made ready. */
#include "orchestrator/plan.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/bus.h"
#include "orchestrator/place.h"
#include "store/store.h"

enum { LONGEST_OUT = 3500 };

static ch4_status fingerprint_path(ch4_hash *h, const char *path, ch4_err *err)
{
    ch4_hash_update(h, "|", 1);
    return path && *path ? ch4_place_fingerprint(h, path, err) : CH4_OK;
}

/* What decides the results: the configuration, without what only steers the processes, and the contents of everything it names. */
static ch4_status compute_run_id(ch4_plan *p, ch4_err *err)
{
    ch4_config plain, c = p->config; /* c borrows */
    ch4_hash *h = NULL;
    char *text = NULL, nothing[1] = "";
    size_t size = 0;
    ch4_status status = ch4_config_defaults(&plain, err);
    if (status) return status;
    c.pipeline = plain.pipeline;
    c.log = plain.log;
    c.run.threads = plain.run.threads;
    c.sink.keep = plain.sink.keep;
    c.run.model = c.mesh.path = c.decode.mask = nothing;
    FILE *f = open_memstream(&text, &size);
    if (!f) status = ch4_err_set_errno(err, errno, "memory");
    if (!status) status = ch4_schema_print(&ch4_config_schema, &c, f, err);
    if (f) fclose(f);
    if (!status) status = ch4_hash_create(&h, err);
    if (status) goto out;
    ch4_hash_update(h, CH4_VERSION, sizeof CH4_VERSION);
    ch4_hash_update(h, text, size);
    status = fingerprint_path(h, p->config.run.model, err);
    if (!status) status = fingerprint_path(h, p->config.mesh.path, err);
    if (!status) status = fingerprint_path(h, p->config.decode.mask, err);
    for (int64_t i = 0; i < p->n_clips && !status; i++) {
        ch4_plan_clip *clip = &p->clips[i];
        ch4_hash_update(h, clip->name, strlen(clip->name) + 1);
        if (clip->status) continue;
        ch4_err why;
        if (!ch4_place_fingerprint(h, clip->input, &why)) continue;
        clip->status = CH4_ENOENT;
        snprintf(clip->reason, sizeof clip->reason, "%.450s: check the path and its permissions", why.msg);
    }
    if (!status) ch4_hash_hex(h, p->run_id);
out:
    ch4_hash_destroy(&h);
    free(text);
    ch4_config_fini(&plain);
    return status;
}

/* mkdir -p */
static ch4_status make_folders(const char *path, ch4_err *err)
{
    char part[CH4_PLACE_PATH];
    if (strlen(path) > LONGEST_OUT) return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", path);
    strcpy(part, path);
    for (char *c = part + 1; *c; c++) {
        if (*c != '/') continue;
        *c = 0;
        if (mkdir(part, 0777) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", path);
        *c = '/';
    }
    struct stat st;
    if (mkdir(part, 0777) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", path);
    if (stat(part, &st)) return ch4_err_set_errno(err, errno, "%s", path);
    return S_ISDIR(st.st_mode) ? CH4_OK : ch4_err_set_errno(err, ENOTDIR, "%s", path);
}

static ch4_status write_text(const char *path, const char *text, ch4_err *err)
{
    char temporary[CH4_PLACE_PATH];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) return ch4_err_set(err, CH4_EINVAL, "%.200s: path too long", path);
    FILE *f = fopen(temporary, "we");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    bool bad = fputs(text, f) < 0 || fflush(f) || fsync(fileno(f));
    int code = errno;
    bad |= fclose(f) != 0;
    if (!bad && rename(temporary, path)) bad = true, code = errno;
    if (!bad) return CH4_OK;
    unlink(temporary);
    return ch4_err_set_errno(err, code, "%s", path);
}

/* clips.json: what `run` was given, so that the directory can be gone on with without the command line. */
static ch4_status write_clips(const ch4_plan *p, ch4_err *err)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < p->n_clips; i++) {
        const ch4_plan_clip *c = &p->clips[i];
        json_t *input = c->input ? json_stringn_nocheck(c->input, strlen(c->input)) : json_null();
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", c->name, "input", input));
    }
    json_t *root = json_pack("{s:s, s:o}", "run_id", p->run_id, "clips", list);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return ch4_err_set(err, CH4_EIO, "clips.json: a path that is not UTF-8");
    char path[CH4_PLACE_PATH];
    snprintf(path, sizeof path, "%.*s/clips.json", LONGEST_OUT, p->out);
    ch4_status status = write_text(path, text, err);
    free(text);
    return status;
}

/* The clip's folder, without what killed writers and earlier failures left in it. */
static ch4_status make_clip(ch4_plan *p, ch4_plan_clip *c, ch4_err *err)
{
    char dir[CH4_PLACE_PATH], path[CH4_PLACE_PATH + 300];
    snprintf(dir, sizeof dir, "%.*s/%s", LONGEST_OUT, p->out, c->name);
    if (mkdir(dir, 0777) && errno != EEXIST) return ch4_err_set_errno(err, errno, "%s", dir);
    snprintf(path, sizeof path, "%s/summary.json", dir);
    c->finished = !access(path, F_OK);
    int64_t n_swept;
    ch4_status status = ch4_store_sweep(dir, &n_swept, err);
    if (status || c->finished) return status;
    DIR *d = opendir(dir);
    if (!d) return ch4_err_set_errno(err, errno, "%s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        size_t n = strlen(e->d_name), tail = strlen("failed.json");
        if (n >= tail && !strcmp(e->d_name + n - tail, "failed.json")) unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
    return CH4_OK;
}

static ch4_status make_run(ch4_plan *p, ch4_err *err)
{
    char path[CH4_PLACE_PATH];
    ch4_epoch before;
    ch4_status status = ch4_rundir_lock(&p->lock_fd, p->out, err);
    if (status == CH4_EEXIST) { /* not an accident of the disk: the user's choice of folder */
        if (err) err->status = CH4_ECONFIG;
        return CH4_ECONFIG;
    }
    if (status) return status;
    status = ch4_epoch_read(&before, p->out, err);
    if (!status && strcmp(before.run_id, p->run_id))
        return ch4_err_set(err, CH4_ECONFIG, "%s: holds a run of other inputs or options: choose another folder with -o, or remove it", p->out);
    if (status && status != CH4_ENOENT) return status;
    ch4_epoch now;
    status = ch4_epoch_take(&now, p->out, p->run_id, err);
    if (!status) p->epoch = now.number;
    if (!status) status = ch4_rundir_open_log(&p->log_fd, p->out, err);
    snprintf(path, sizeof path, "%.*s/run.yaml", LONGEST_OUT, p->out);
    if (!status) status = ch4_config_save(&p->config, path, err);
    if (!status) status = write_clips(p, err);
    for (int64_t i = 0; i < p->n_clips && !status; i++)
        if (!p->clips[i].status) status = make_clip(p, &p->clips[i], err);
    if (!status) status = ch4_bus_make_folder(p->out, err);
    return status;
}

ch4_status ch4_plan_make(ch4_plan *p, ch4_err *err)
{
    ch4_status status = compute_run_id(p, err);
    if (status) return status;
    status = make_folders(p->out, err);
    if (!status) {
        char *real = realpath(p->out, NULL);
        if (!real) return ch4_err_set_errno(err, errno, "%s", p->out);
        free(p->out);
        p->out = real;
        if (strlen(real) > LONGEST_OUT) return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", real);
        status = make_run(p, err);
    }
    if (!status || status == CH4_ECONFIG || status == CH4_ENOMEM || status == CH4_EINVAL) return status;
    /* Nothing but the place can be wrong: what was given for it cannot be used. */
    char text[CH4_ERR_MSG];
    snprintf(text, sizeof text, "%s", err ? err->msg : "");
    return ch4_err_set(err, CH4_EFORMAT, "output folder: %s: choose another one with -o", text);
}
