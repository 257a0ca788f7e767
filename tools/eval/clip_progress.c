#include "tools/eval/clip_progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void ch4_progress_begin(ch4_progress *p, const char *what, int64_t total, bool quiet)
{
    *p = (ch4_progress){.what = what, .total = total, .since = ch4_clock_seconds(), .quiet = quiet, .bar = isatty(STDERR_FILENO) != 0};
    pthread_mutex_init(&p->lock, NULL);
}

static void draw_bar(const ch4_progress *p, const char *clip)
{
    enum { CELLS = 30 };
    char cells[CELLS + 1];
    int full = (int)(CELLS * p->done / (p->total ? p->total : 1));
    double spent = ch4_clock_seconds() - p->since, left = spent / (double)p->done * (double)(p->total - p->done);
    memset(cells, '.', CELLS);
    memset(cells, '#', (size_t)full);
    cells[CELLS] = 0;
    fprintf(stderr, "\r\033[K%s [%s] %lld/%lld", p->what, cells, (long long)p->done, (long long)p->total);
    if (p->failed) fprintf(stderr, ", %lld failed", (long long)p->failed);
    fprintf(stderr, ", %.0f s left  %.40s", left, clip);
}

void ch4_progress_step(ch4_progress *p, const char *clip, const char *failure)
{
    bool bad = failure && *failure;
    pthread_mutex_lock(&p->lock);
    p->done++;
    p->failed += bad;
    if (!p->quiet && p->bar) {
        if (bad) fprintf(stderr, "\r\033[K%s: %s: %s\n", p->what, clip, failure);
        draw_bar(p, clip);
    } else if (!p->quiet) {
        fprintf(stderr, "%s %lld/%lld %s%s%s\n", p->what, (long long)p->done, (long long)p->total, clip, bad ? " failed: " : "", bad ? failure : "");
    }
    pthread_mutex_unlock(&p->lock);
}

void ch4_progress_end(ch4_progress *p)
{
    if (!p->quiet && p->bar) fprintf(stderr, "\r\033[K");
    pthread_mutex_destroy(&p->lock);
}
