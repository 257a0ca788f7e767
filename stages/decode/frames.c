#include "frames.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "av_source.h"
#include "folder.h"

/* Damaged files repeat times; an animation's must grow. */
static const double MIN_STEP = 1e-4;

struct ch4_frames {
    char *path;
    ch4_frames_options options;
    ch4_frames_info info;
    ch4_av *av;           /* the video, or the current picture of the folder */
    ch4_folder folder;
    char **files;         /* pictures or masks of the folder; NULL for a video */
    int64_t read;         /* frames read from the source, unused ones too */
    int64_t used;
    double last_time;
    char where[4300];
};

static int64_t used_of(int64_t n, const ch4_frames_options *o)
{
    int64_t used = (n + o->stride - 1) / o->stride;
    return o->max_frames > 0 ? ch4_min_i64(used, o->max_frames) : used;
}

static ch4_status open_first(ch4_frames *f, bool masks, ch4_err *err)
{
    struct stat sb;
    int64_t n = 0;
    ch4_status st;
    if (stat(f->path, &sb) == 0 && S_ISDIR(sb.st_mode)) {
        st = ch4_folder_list(&f->folder, f->path, err);
        if (st != CH4_OK)
            return st;
        f->files = masks ? f->folder.masks : f->folder.pictures;
        if (!f->files)
            return ch4_err_set(err, CH4_EFORMAT, "%s: no NAME_image + NAME_mask pairs in it", f->path);
        n = f->folder.n;
    }
    st = ch4_av_open(&f->av, f->files ? f->files[0] : f->path, err);
    if (st != CH4_OK)
        return st;
    const ch4_av_info *av = ch4_av_get_info(f->av);
    if (!f->files)
        n = av->stated_frames;
    f->info = (ch4_frames_info){av->width, av->height, av->alpha, av->lossless, used_of(n, &f->options)};
    return CH4_OK;
}

ch4_status ch4_frames_open(ch4_frames **out, const char *path, bool masks, const ch4_frames_options *options, ch4_err *err)
{
    *out = NULL;
    ch4_frames *f;
    ch4_status st = ch4_calloc(&f, 1, sizeof *f, path, err);
    if (st != CH4_OK)
        return st;
    f->options = *options;
    f->path = strdup(path);
    st = f->path ? open_first(f, masks, err) : ch4_err_set(err, CH4_ENOMEM, "%s", path);
    if (st != CH4_OK)
        ch4_frames_close(&f);
    *out = f;
    return st;
}

void ch4_frames_close(ch4_frames **pf)
{
    ch4_frames *f = *pf;
    if (!f)
        return;
    ch4_av_close(&f->av);
    ch4_folder_fini(&f->folder);
    free(f->path);
    free(f);
    *pf = NULL;
}

const ch4_frames_info *ch4_frames_get_info(const ch4_frames *f) { return &f->info; }
bool ch4_frames_has_masks(const ch4_frames *f) { return f->folder.masks != NULL; }

/* Picture number f->read of the folder; all must be of one size. */
static ch4_status next_file(ch4_frames *f, double *time, bool *end, ch4_err *err)
{
    *end = f->read >= f->folder.n;
    if (*end)
        return CH4_OK;
    ch4_av_close(&f->av);
    ch4_status st = ch4_av_open(&f->av, f->files[f->read], err);
    if (st == CH4_OK)
        st = ch4_av_next(f->av, time, end, err);
    if (st != CH4_OK)
        return st;
    const ch4_av_info *av = ch4_av_get_info(f->av);
    bool same = av->width == f->info.width && av->height == f->info.height;
    if (!same && f->files == f->folder.pictures)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %lld x %lld pixels, the first picture has %lld x %lld: make all one size", f->files[f->read],
                           (long long)av->width, (long long)av->height, (long long)f->info.width, (long long)f->info.height);
    *time = (double)f->read / f->options.image_fps;
    return CH4_OK;
}

static ch4_status next_any(ch4_frames *f, double *time, bool *end, ch4_err *err)
{
    ch4_status st = f->files ? next_file(f, time, end, err) : ch4_av_next(f->av, time, end, err);
    if (st == CH4_OK && !*end)
        f->read++;
    return st;
}

ch4_status ch4_frames_next(ch4_frames *f, double *time, bool *end, ch4_err *err)
{
    *end = f->options.max_frames > 0 && f->used == f->options.max_frames;
    if (*end)
        return CH4_OK;
    int64_t skip = f->used > 0 ? f->options.stride - 1 : 0;
    if (f->files) {
        f->read += skip; /* pictures that are not used need not be opened */
        skip = 0;
    }
    ch4_status st;
    do {
        st = next_any(f, time, end, err);
    } while (st == CH4_OK && !*end && skip-- > 0);
    if (st != CH4_OK || *end)
        return st;
    if (!isfinite(*time))
        *time = f->used == 0 ? 0 : f->last_time + (double)f->options.stride / f->options.image_fps;
    else if (f->used > 0 && *time < f->last_time + MIN_STEP)
        *time = f->last_time + MIN_STEP;
    f->last_time = *time;
    f->used++;
    return CH4_OK;
}

ch4_status ch4_frames_picture(ch4_frames *f, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err)
{
    return ch4_av_picture(f->av, rgba, width, height, err);
}

const char *ch4_frames_where(ch4_frames *f)
{
    int64_t at = ch4_max_i64(f->read - 1, 0);
    if (f->files)
        snprintf(f->where, sizeof f->where, "%s", f->files[ch4_min_i64(at, f->folder.n - 1)]);
    else
        snprintf(f->where, sizeof f->where, "%s: frame %lld", f->path, (long long)at);
    return f->where;
}

bool ch4_frames_is_cut(const ch4_frames *f, char *text, size_t size)
{
    text[0] = '\0';
    if (f->files || (f->options.max_frames > 0 && f->used == f->options.max_frames))
        return false;
    const ch4_av_info *info = ch4_av_get_info(f->av);
    const ch4_av_stats *s = ch4_av_get_stats(f->av);
    int64_t missing = info->stated_frames - s->frames;
    /* Lengths in seconds are round numbers, and cuts in the container's edit list take a few frames away. */
    int64_t slack = info->stated_exactly ? 2 : 2 + info->stated_frames / 20;
    if (missing > slack || (s->broken_off && missing > 0))
        snprintf(text, size, "cut off after %lld of %lld frames%s: using what is there", (long long)s->frames, (long long)info->stated_frames,
                 s->damaged ? " (some of them damaged)" : "");
    else if (s->broken_off || s->damaged)
        snprintf(text, size, "%lld damaged frames left out, %lld used%s", (long long)s->damaged, (long long)s->frames,
                 s->broken_off ? "; the file breaks off" : "");
    return text[0] != '\0';
}
