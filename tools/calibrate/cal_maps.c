#include "tools/calibrate/cal_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

static int64_t clip_floats(const ch4_cal_clip *c, int n_slots) { return 2 * n_slots * c->E * c->N * c->N; }

static ch4_status map_file(ch4_cal_store *s, const char *folder, ch4_err *err)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/calibrate.XXXXXX", folder) >= (int)sizeof(path)) return ch4_err_set(err, CH4_EINVAL, "%.60s...: path too long", folder);
    int fd = mkstemp(path);
    if (fd < 0) return ch4_err_set_errno(err, errno, "%s", path);
    unlink(path);
    int bad = posix_fallocate(fd, 0, (off_t)s->bytes);
    void *base = bad ? MAP_FAILED : mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ch4_status st = base != MAP_FAILED ? CH4_OK : ch4_err_set_errno(err, bad ? bad : errno, "%s: %zu MiB for maps", folder, s->bytes >> 20);
    if (!st) s->base = base;
    close(fd);
    return st;
}

ch4_status ch4_cal_store_create(ch4_cal_store *out, const ch4_cal_clip *clip, int64_t n_clip, int n_slots, const char *folder, ch4_err *err)
{
    *out = (ch4_cal_store){.n_slots = n_slots, .clip = clip, .n_clip = n_clip};
    ch4_status st = ch4_calloc(&out->begin, (size_t)n_clip + 1, sizeof(int64_t), "maps", err);
    for (int64_t i = 0; !st && i < n_clip; i++) out->begin[i + 1] = out->begin[i] + clip_floats(&clip[i], n_slots);
    if (!st) out->bytes = (size_t)out->begin[n_clip] * sizeof(float);
    return st ? st : map_file(out, folder, err);
}

void ch4_cal_store_destroy(ch4_cal_store *s)
{
    if (s->base) munmap(s->base, s->bytes);
    free(s->begin);
    *s = (ch4_cal_store){0};
}

/* Where a slot's forward maps of a clip begin; the backward ones follow them. */
static float *slot_maps(const ch4_cal_store *s, int64_t clip, int slot)
{
    const ch4_cal_clip *c = &s->clip[clip];
    return s->base + s->begin[clip] + 2 * slot * c->E * c->N * c->N;
}

typedef struct filling {
    ch4_cal_store *store;
    int64_t clip;
} filling;

static ch4_status take(void *ctx, int slot, const float *forward, const float *backward, ch4_err *err)
{
    (void)err;
    const filling *f = ctx;
    const ch4_cal_clip *c = &f->store->clip[f->clip];
    int64_t n = c->E * c->N * c->N;
    float *to = slot_maps(f->store, f->clip, slot);
    for (int64_t i = 0; i < n; i++) to[i] += forward[i], to[n + i] += backward[i];
    return CH4_OK;
}

ch4_status ch4_cal_store_fill(ch4_cal_store *s, int64_t clip, ch4_cal_model *model, const ch4_cal_slot *slot, ch4_err *err)
{
    filling f = {s, clip};
    return ch4_cal_read(&s->clip[clip], model, slot, s->n_slots, &(ch4_cal_taker){take, &f}, err);
}

void ch4_cal_get_mean(const void *ctx, int64_t e, const float **forward, const float **backward)
{
    const ch4_cal_mean_maps *m = ctx;
    int64_t n = m->N * m->N;
    for (int way = 0; way < 2; way++) {
        float *to = way ? m->backward : m->forward;
        memset(to, 0, (size_t)n * sizeof(*to));
        for (int i = 0; i < m->n; i++) {
            const float *from = slot_maps(m->store, m->clip, m->slot[i]) + (way * m->E + e) * n;
            for (int64_t j = 0; j < n; j++) to[j] += from[j] / (float)m->n;
        }
    }
    *forward = m->forward, *backward = m->backward;
}
