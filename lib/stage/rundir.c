#include "stage/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static ch4_status join(char out[PATH_MAX], const char *run_dir, const char *name, ch4_err *err)
{
    if (snprintf(out, PATH_MAX, "%s/%s", run_dir, name) < PATH_MAX) return CH4_OK;
    return ch4_err_set(err, CH4_EINVAL, "%.200s...: path too long", run_dir);
}

ch4_status ch4_epoch_read(ch4_epoch *out, const char *run_dir, ch4_err *err)
{
    *out = (ch4_epoch){0};
    char path[PATH_MAX], line[256];
    ch4_status status = join(path, run_dir, "epoch", err);
    if (status) return status;
    FILE *f = fopen(path, "re");
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    int n = fgets(line, sizeof line, f) ? sscanf(line, "%" SCNd64 " %32s %" SCNd64, &out->number, out->run_id, &out->pid) : 0;
    fclose(f);
    if (n != 3 || out->number < 1 || strlen(out->run_id) != 32) return ch4_err_set(err, CH4_EFORMAT, "%s: damaged", path);
    return CH4_OK;
}

static ch4_status write_epoch(const char *path, const ch4_epoch *e, int flags, ch4_err *err)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%" PRId64 " %s %" PRId64 "\n", e->number, e->run_id, e->pid);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0) return ch4_err_set_errno(err, errno, "%s", path);
    ch4_status status = CH4_OK;
    if (write(fd, line, (size_t)n) != n || fsync(fd)) status = ch4_err_set_errno(err, errno, "%s", path);
    close(fd);
    if (status) unlink(path);
    return status;
}

ch4_status ch4_epoch_take(ch4_epoch *out, const char *run_dir, const char *run_id, ch4_err *err)
{
    ch4_epoch before, mine = {.pid = getpid()};
    snprintf(mine.run_id, sizeof mine.run_id, "%s", run_id);
    ch4_status status = ch4_epoch_read(&before, run_dir, err);
    if (status && status != CH4_ENOENT) return status;
    char path[PATH_MAX], claim[PATH_MAX], name[64];
    status = join(path, run_dir, "epoch", err);
    for (mine.number = before.number + 1; !status; mine.number++) {
        snprintf(name, sizeof name, "epoch.%" PRId64, mine.number);
        status = join(claim, run_dir, name, err);
        if (status) break;
        status = write_epoch(claim, &mine, O_EXCL, err);
        if (status != CH4_EEXIST) break;
        status = CH4_OK; /* claimed by a start that got no further, or is about to go on: the next number is above it */
    }
    if (!status && rename(claim, path)) {
        status = ch4_err_set_errno(err, errno, "%s", path);
        unlink(claim);
    }
    if (!status) *out = mine;
    return status;
}

ch4_status ch4_rundir_lock(int *out_fd, const char *run_dir, ch4_err *err)
{
    *out_fd = -1;
    char path[PATH_MAX];
    ch4_status status = join(path, run_dir, "lock", err);
    if (status) return status;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return ch4_err_set_errno(err, errno, "%s", path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int bad = errno;
        close(fd);
        if (bad != EWOULDBLOCK) return ch4_err_set_errno(err, bad, "%s", path);
        ch4_epoch who;
        if (ch4_epoch_read(&who, run_dir, NULL)) who.pid = 0;
        return ch4_err_set(err, CH4_EEXIST, "%s: another chain4d (process %" PRId64 ") works there", run_dir, who.pid);
    }
    *out_fd = fd;
    return CH4_OK;
}

ch4_status ch4_rundir_held(bool *held, const char *run_dir, ch4_err *err)
{
    *held = false;
    char path[PATH_MAX];
    ch4_status status = join(path, run_dir, "lock", err);
    if (status) return status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? CH4_OK : ch4_err_set_errno(err, errno, "%s", path);
    *held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
    close(fd);
    return CH4_OK;
}

ch4_status ch4_rundir_open_log(int *out_fd, const char *run_dir, ch4_err *err)
{
    char path[PATH_MAX];
    ch4_status status = join(path, run_dir, "run.log", err);
    if (status) return status;
    *out_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return *out_fd < 0 ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}

void ch4_work_write(const char *folder, const char *stage, const char *clip, int64_t index)
{
    char path[PATH_MAX], line[192];
    if (snprintf(path, sizeof path, "%s/%s.work", folder, stage) >= PATH_MAX) return;
    int n = snprintf(line, sizeof line, "%.127s %" PRId64 "\n", *clip ? clip : "-", index);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (write(fd, line, (size_t)n) != n) unlink(path);
    close(fd);
}

void ch4_work_read(const char *folder, const char *stage, char clip[128], int64_t *index)
{
    char path[PATH_MAX];
    clip[0] = 0, *index = -1;
    if (snprintf(path, sizeof path, "%s/%s.work", folder, stage) >= PATH_MAX) return;
    FILE *f = fopen(path, "re");
    if (!f) return;
    if (fscanf(f, "%127s %" SCNd64, clip, index) != 2 || !strcmp(clip, "-")) clip[0] = 0, *index = -1;
    fclose(f);
}
