#include "decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clip.h"
#include "config/config.h"
#include "model/windows.h"
#include "remover.h"
#include "store/store.h"

/* One clip on its way. Frames wait in a ring of one window: a window's frames are neighbours in time, so when the last of
 * them has come, all are there. */
typedef struct cut {
    ch4_stage *stage;
    const ch4_stage_clip *clip;
    char name[256];       /* of the input, for notes */
    ch4_clip_options options;
    ch4_clip_hooks hooks;
    ch4_clip_plan plan;
    ch4_window_list windows;
    int64_t *by_end;      /* [count] windows in order of their last frame */
    int64_t *first;       /* [n_frames] first window that holds the frame */
    uint8_t *done;        /* [count] the window's file is there */
    uint8_t *wanted;      /* [n_frames] a missing window needs the frame */
    int64_t n_missing;
    int64_t n_sent;       /* windows 0 .. n_sent - 1 were sent on */
    int64_t ring_frames;
    size_t frame_bytes;   /* rgb, then alpha */
    uint8_t *ring;
} cut;

/* --- options and messages ------------------------------------------------------------------------------------------------------ */

static void on_progress(void *ctx, int64_t done, int64_t total)
{
    const cut *c = ctx;
    ch4_stage_progress(c->stage, done, total);
}

static void on_note(void *ctx, const char *text)
{
    const cut *c = ctx;
    ch4_stage_note(c->stage, c->clip, "%s: %s", c->name, text);
}

static bool on_canceled(void *ctx)
{
    const cut *c = ctx;
    return ch4_stage_canceled(c->stage);
}

static ch4_matte_mode mode_of(ch4_foreground f)
{
    switch (f) {
    case CH4_FOREGROUND_ALPHA: return CH4_MATTE_ALPHA;
    case CH4_FOREGROUND_MASK: return CH4_MATTE_MASK;
    case CH4_FOREGROUND_KEY: return CH4_MATTE_KEY;
    case CH4_FOREGROUND_RMBG: return CH4_MATTE_RMBG;
    default: return CH4_MATTE_AUTO;
    }
}

ch4_clip_options ch4_decode_resolve(const ch4_config *config)
{
    int64_t anchor;
    ch4_config_anchor_frame(&anchor, config, NULL); /* cannot fail: checked when the file was read */
    return (ch4_clip_options){
        .frames = {.stride = config->decode.stride, .max_frames = config->decode.max_frames, .image_fps = config->decode.image_fps},
        .matte = {.mode = mode_of(config->decode.foreground), .key_tolerance = config->decode.key_tolerance,
                  .key_border = config->decode.key_border, .min_foreground = config->decode.min_foreground},
        .mask = config->decode.mask,
        .padding = config->decode.padding,
        .max_side = config->decode.max_side,
        .anchor = anchor,
    };
}

static void set_up(cut *c, ch4_stage *stage, ch4_remover *remover, const ch4_stage_clip *clip)
{
    const ch4_config *config = stage->config;
    *c = (cut){.stage = stage, .clip = clip};
    const char *slash = strrchr(clip->input, '/');
    snprintf(c->name, sizeof c->name, "%s", slash && slash[1] ? slash + 1 : clip->input);
    c->options = ch4_decode_resolve(config);
    c->options.scratch = clip->dir;
    if (remover) {
        c->options.matte.remove = ch4_remover_apply;
        c->options.matte.remove_ctx = remover;
    }
    c->hooks = (ch4_clip_hooks){.ctx = c, .progress = on_progress, .note = on_note, .canceled = on_canceled};
}

static void tear_down(cut *c)
{
    ch4_clip_plan_fini(&c->plan);
    ch4_window_list_fini(&c->windows);
    free(c->by_end);
    free(c->first);
    free(c->done);
    free(c->wanted);
    free(c->ring);
}

/* --- planning ------------------------------------------------------------------------------------------------------------------ */

static int64_t window_length(const cut *c, int64_t w)
{
    return c->windows.offset[w + 1] - c->windows.offset[w];
}

static const int64_t *window_frames(const cut *c, int64_t w)
{
    return c->windows.frame + c->windows.offset[w];
}

static int64_t last_frame(const cut *c, int64_t w)
{
    int64_t last = 0;
    for (int64_t i = 0; i < window_length(c, w); i++)
        last = ch4_max_i64(last, window_frames(c, w)[i]);
    return last;
}

typedef struct end_of {
    int64_t last, window;
} end_of;

static int by_last(const void *a, const void *b)
{
    const end_of *x = a, *y = b;
    if (x->last != y->last)
        return x->last < y->last ? -1 : 1;
    return x->window < y->window ? -1 : x->window > y->window;
}

static ch4_status order_windows(cut *c, ch4_err *err)
{
    int64_t n = c->windows.count;
    end_of *ends;
    ch4_status st = ch4_calloc(&ends, (size_t)n, sizeof *ends, "windows", err);
    if (st == CH4_OK)
        st = ch4_calloc(&c->by_end, (size_t)n, sizeof *c->by_end, "windows", err);
    for (int64_t w = 0; st == CH4_OK && w < n; w++)
        ends[w] = (end_of){last_frame(c, w), w};
    if (st == CH4_OK) {
        qsort(ends, (size_t)n, sizeof *ends, by_last);
        for (int64_t i = 0; i < n; i++)
            c->by_end[i] = ends[i].window;
    }
    free(ends);
    return st;
}

/* Which windows are there already (after a restart), which frames the others need. */
static ch4_status find_missing(cut *c, ch4_err *err)
{
    int64_t n = c->windows.count;
    ch4_status st = ch4_calloc(&c->done, (size_t)n, 1, "windows", err);
    if (st == CH4_OK)
        st = ch4_calloc(&c->wanted, (size_t)c->plan.n_frames, 1, "frames", err);
    if (st == CH4_OK)
        st = ch4_calloc(&c->first, (size_t)c->plan.n_frames, sizeof *c->first, "frames", err);
    for (int64_t w = n; st == CH4_OK && w-- > 0;)
        for (int64_t i = 0; i < window_length(c, w); i++)
            c->first[window_frames(c, w)[i]] = w;
    for (int64_t w = 0; st == CH4_OK && w < n; w++) {
        c->done[w] = ch4_stage_has(c->stage, c->clip, w, "decode");
        c->n_missing += !c->done[w];
        for (int64_t i = 0; !c->done[w] && i < window_length(c, w); i++)
            c->wanted[window_frames(c, w)[i]] = 1;
        c->ring_frames = ch4_max_i64(c->ring_frames, window_length(c, w));
    }
    if (st != CH4_OK)
        return st;
    st = ch4_size_bytes(&c->frame_bytes, (int64_t[]){c->plan.side, c->plan.side, 4}, 3, 1, err);
    if (st == CH4_OK && c->n_missing > 0)
        st = ch4_calloc(&c->ring, (size_t)c->ring_frames, c->frame_bytes, "frames of a window", err);
    return st;
}

static ch4_status plan_windows(cut *c, ch4_err *err)
{
    const ch4_config *config = c->stage->config;
    ch4_status st = ch4_window_list_init(&c->windows, c->plan.anchor, c->plan.n_frames, config->decode.window, config->decode.slide, err);
    if (st == CH4_OK)
        st = order_windows(c, err);
    return st == CH4_OK ? find_missing(c, err) : st;
}

/* --- a window's file ------------------------------------------------------------------------------------------------------------ */

static ch4_status write_attributes(const cut *c, ch4_store_writer *out, int64_t w, ch4_err *err)
{
    const ch4_clip_plan *p = &c->plan;
    const struct {
        const char *name;
        int64_t value;
    } ints[] = {
        {"crop_x", p->crop.x}, {"crop_y", p->crop.y}, {"crop_side", p->crop.w}, {"source_width", p->width}, {"source_height", p->height},
        {"n_frames", p->n_frames}, {"stride", c->options.frames.stride}, {"window", w}, {"n_windows", c->windows.count},
    };
    ch4_status st = CH4_OK;
    for (size_t i = 0; st == CH4_OK && i < sizeof ints / sizeof ints[0]; i++)
        st = ch4_store_set_int(out, ints[i].name, ints[i].value, err);
    if (st == CH4_OK)
        st = ch4_store_set_real(out, "scale", (double)p->side / (double)p->crop.w, err);
    return st == CH4_OK ? ch4_store_set_text(out, "foreground", ch4_matte_mode_name(p->mode), err) : st;
}

static ch4_status write_datasets(const cut *c, ch4_store_writer *out, int64_t w, uint8_t *frames, uint8_t *alpha, double *time, int64_t *first, ch4_err *err)
{
    int64_t T = window_length(c, w), S = c->plan.side;
    int64_t *index = c->windows.frame + c->windows.offset[w];
    for (int64_t i = 0; i < T; i++) {
        const uint8_t *slot = c->ring + (size_t)(index[i] % c->ring_frames) * c->frame_bytes;
        memcpy(frames + i * S * S * 3, slot, (size_t)(S * S * 3));
        memcpy(alpha + i * S * S, slot + S * S * 3, (size_t)(S * S));
        time[i] = c->plan.time[index[i]];
        first[i] = c->first[index[i]];
    }
    const struct {
        const char *name;
        ch4_tensor tensor;
        ch4_store_flags flags;
    } sets[] = {
        {"/frames", CH4_VIEW(frames, CH4_DTYPE_U8, T, S, S, 3), CH4_STORE_PACK}, {"/alpha", CH4_VIEW(alpha, CH4_DTYPE_U8, T, S, S), CH4_STORE_PACK},
        {"/frame_index", CH4_VIEW(index, CH4_DTYPE_I64, T), CH4_STORE_PLAIN},    {"/time", CH4_VIEW(time, CH4_DTYPE_F64, T), CH4_STORE_PLAIN},
        {"/first_window", CH4_VIEW(first, CH4_DTYPE_I64, T), CH4_STORE_PLAIN},
    };
    ch4_status st = CH4_OK;
    for (size_t i = 0; st == CH4_OK && i < sizeof sets / sizeof sets[0]; i++)
        st = ch4_store_write(out, sets[i].name, &sets[i].tensor, sets[i].flags, err);
    return st;
}

static ch4_status write_window(cut *c, int64_t w, ch4_err *err)
{
    int64_t T = window_length(c, w), S = c->plan.side;
    char path[CH4_STAGE_PATH];
    uint8_t *frames = NULL, *alpha = NULL;
    int64_t *first = NULL;
    double *time = NULL;
    ch4_store_writer *out = NULL;
    ch4_status st = ch4_stage_path(path, c->clip, w, "decode", err);
    if (st == CH4_OK)
        st = ch4_calloc(&frames, (size_t)(T * S * S), 3, "window", err);
    if (st == CH4_OK)
        st = ch4_calloc(&alpha, (size_t)(T * S * S), 1, "window", err);
    if (st == CH4_OK)
        st = ch4_calloc(&time, (size_t)T, sizeof *time, "window", err);
    if (st == CH4_OK)
        st = ch4_calloc(&first, (size_t)T, sizeof *first, "window", err);
    if (st == CH4_OK)
        st = ch4_store_create(&out, path, err);
    if (st == CH4_OK)
        st = write_datasets(c, out, w, frames, alpha, time, first, err);
    if (st == CH4_OK)
        st = write_attributes(c, out, w, err);
    if (st == CH4_OK)
        st = ch4_stage_commit(c->stage, &out, err);
    else
        ch4_store_discard(&out);
    free(frames);
    free(alpha);
    free(time);
    free(first);
    c->done[w] = st == CH4_OK;
    return st;
}

/* --- the second pass -------------------------------------------------------------------------------------------------------------- */

/* Sends on what is there and in turn. */
static ch4_status send_ready(cut *c, ch4_err *err)
{
    ch4_status st = CH4_OK;
    while (st == CH4_OK && c->n_sent < c->windows.count && c->done[c->n_sent]) {
        st = ch4_stage_emit(c->stage, c->n_sent, c->windows.count, window_length(c, c->n_sent), err);
        c->n_sent++;
    }
    return st;
}

static ch4_status read_frames(cut *c, ch4_err *err)
{
    ch4_clip *in;
    ch4_status st = ch4_clip_open(&in, c->clip->input, &c->options, &c->plan, &c->hooks, err);
    int64_t next = 0, S = c->plan.side; /* next: in by_end */
    for (int64_t f = 0; st == CH4_OK && f < c->plan.n_frames && c->n_missing > 0; f++) {
        uint8_t *slot = c->wanted[f] ? c->ring + (size_t)(f % c->ring_frames) * c->frame_bytes : NULL;
        st = ch4_clip_next(in, slot, slot ? slot + S * S * 3 : NULL, err);
        for (; st == CH4_OK && next < c->windows.count && last_frame(c, c->by_end[next]) == f; next++) {
            int64_t w = c->by_end[next];
            if (!c->done[w]) {
                st = write_window(c, w, err);
                c->n_missing--;
            }
            if (st == CH4_OK)
                st = send_ready(c, err);
        }
    }
    ch4_clip_close(&in);
    return st;
}

/* --- the stage --------------------------------------------------------------------------------------------------------------------- */

ch4_status ch4_decode_open(ch4_stage *stage, void **state, ch4_err *err)
{
    const ch4_config *config = stage->config;
    ch4_remover *remover = NULL;
    bool always = config->decode.foreground == CH4_FOREGROUND_RMBG;
    if (!always && config->decode.foreground != CH4_FOREGROUND_AUTO)
        return CH4_OK;
    ch4_status st = ch4_remover_create(&remover, config->run.model, config->run.device == CH4_CONFIG_REF ? "ref" : "cpu", ch4_pool_threads(stage->pool), err);
    if (st == CH4_OK && always && (st = ch4_remover_open(remover, err)))
        ch4_err_wrap(err, st, "decode.foreground: rmbg");
    if (st != CH4_OK || (!always && !ch4_remover_exists(remover)))
        ch4_remover_destroy(&remover);
    *state = remover;
    return st;
}

void ch4_decode_close(ch4_stage *stage, void *state)
{
    ch4_remover *remover = state;
    (void)stage;
    ch4_remover_destroy(&remover);
}

ch4_status ch4_decode_run_clip(ch4_stage *stage, void *state, const ch4_stage_clip *clip, ch4_err *err)
{
    cut c;
    set_up(&c, stage, state, clip);
    ch4_status st = ch4_clip_scan(&c.plan, clip->input, &c.options, &c.hooks, err);
    if (st == CH4_OK && c.plan.mode == CH4_MATTE_RMBG)
        on_note(&c, "the background was removed by RMBG-1.4, whose weights are for non-commercial use");
    if (st == CH4_OK)
        st = plan_windows(&c, err);
    if (st == CH4_OK)
        st = send_ready(&c, err);
    if (st == CH4_OK && c.n_missing > 0)
        st = read_frames(&c, err);
    if (st == CH4_OK)
        st = send_ready(&c, err);
    tear_down(&c);
    return st;
}
