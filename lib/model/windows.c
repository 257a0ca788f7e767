#include "model/windows.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/size.h"

typedef struct plan {
    ch4_window_list *list; /* NULL counts only */
    int64_t windows, frames, size, slide;
} plan;

static void begin_window(plan *p)
{
    if (p->list)
        p->list->offset[p->windows] = p->frames;
    p->windows++;
}

static void push(plan *p, int64_t frame)
{
    if (p->list)
        p->list->frame[p->frames] = frame;
    p->frames++;
}

/* Ascending passes over [start,end): right edges advance by slide, the last window is moved back to end there. */
static int64_t right_edge(const plan *p, int64_t start, int64_t end, int64_t index)
{
    return ch4_min_i64(start + p->size + index * p->slide, end);
}

static int64_t right_count(const plan *p, int64_t start, int64_t end)
{
    int64_t rest = end - start - p->size;
    return rest <= 0 ? 1 : 1 + (rest + p->slide - 1) / p->slide;
}

static void right_pass(plan *p, int64_t start, int64_t end)
{
    for (int64_t i = 0, n = right_count(p, start, end); i < n; i++) {
        int64_t edge = right_edge(p, start, end, i);
        begin_window(p);
        for (int64_t f = ch4_max_i64(start, edge - p->size); f < edge; f++)
            push(p, f);
    }
}

/* The same windows from last to first, each descending. */
static void left_pass(plan *p, int64_t start, int64_t end)
{
    for (int64_t i = right_count(p, start, end) - 1; i >= 0; i--) {
        int64_t edge = right_edge(p, start, end, i);
        begin_window(p);
        for (int64_t f = edge - 1; f >= ch4_max_i64(start, edge - p->size); f--)
            push(p, f);
    }
}

static void make(plan *p, int64_t anchor, int64_t total)
{
    int64_t overlap = p->size - p->slide;
    if (total == p->size || (total < p->size && anchor > 0 && anchor < total - 1)) {
        begin_window(p);
        push(p, anchor);
        for (int64_t f = 0; f < total; f++)
            if (f != anchor)
                push(p, f);
    } else if (anchor == 0) {
        right_pass(p, 0, total);
    } else if (anchor == total - 1) {
        left_pass(p, 0, total);
    } else if (anchor > total - anchor) {
        left_pass(p, 0, anchor + 1);
        right_pass(p, ch4_min_i64(ch4_max_i64(0, anchor - overlap + 1), total - p->size), total);
    } else {
        right_pass(p, anchor, total);
        left_pass(p, 0, ch4_max_i64(ch4_min_i64(anchor + overlap, total), p->size));
    }
}

ch4_status ch4_window_list_init(ch4_window_list *out, int64_t anchor, int64_t total, int64_t size, int64_t slide, ch4_err *err)
{
    *out = (ch4_window_list){0};
    if (slide < 1 || slide > size)
        return ch4_err_set(err, CH4_EINVAL, "windows: slide %" PRId64 " must be between 1 and the size %" PRId64, slide, size);
    if (anchor < 0 || anchor >= total)
        return ch4_err_set(err, CH4_EINVAL, "windows: anchor frame %" PRId64 " is not one of the clip's %" PRId64 " frames", anchor, total);
    plan p = {.size = size, .slide = slide};
    make(&p, anchor, total);
    ch4_status st = ch4_calloc(&out->offset, (size_t)p.windows + 1, sizeof *out->offset, "windows", err);
    if (!st)
        st = ch4_calloc(&out->frame, (size_t)p.frames, sizeof *out->frame, "windows", err);
    if (st) {
        ch4_window_list_fini(out);
        return st;
    }
    p = (plan){.list = out, .size = size, .slide = slide};
    make(&p, anchor, total);
    out->count = p.windows;
    out->offset[p.windows] = p.frames;
    return CH4_OK;
}

void ch4_window_list_fini(ch4_window_list *list)
{
    free(list->offset);
    free(list->frame);
    *list = (ch4_window_list){0};
}

int64_t ch4_window_anchor_slot(const uint8_t *known, int64_t T)
{
    int64_t n = 0;
    while (n < T && known[n])
        n++;
    return n ? n - 1 : 0;
}
