#include "clip.h"

#include <stdio.h>
#include <stdlib.h>

#include "focus.h"
#include "shrink.h"

struct ch4_clip {
    const ch4_clip_plan *plan;
    const ch4_clip_hooks *hooks;
    const ch4_clip_options *options;
    ch4_frames *frames, *masks; /* masks may be NULL */
    ch4_matte matte;
    int64_t width, height, index; /* index: frames given so far */
    uint8_t *rgba, *mask;         /* [height,width,4] */
    uint8_t *cut, *cut_alpha;     /* [crop,crop,3], [crop,crop]: second pass, where the crop is shrunk */
    ch4_mask_file *removed;       /* first pass: what the background remover found; becomes the plan's */
};

static void note(const ch4_clip_hooks *hooks, const char *text)
{
    if (hooks && hooks->note)
        hooks->note(hooks->ctx, text);
}

static ch4_status report(const ch4_clip_hooks *hooks, int64_t done, int64_t total, ch4_err *err)
{
    if (hooks && hooks->progress)
        hooks->progress(hooks->ctx, done, total);
    if (hooks && hooks->canceled && hooks->canceled(hooks->ctx))
        return ch4_err_set(err, CH4_ECANCELED, "reading the clip was canceled");
    return CH4_OK;
}

/* --- what both passes share ---------------------------------------------------------------------------------------------------- */

static ch4_status open_masks(ch4_clip *c, const char *path, ch4_err *err)
{
    const ch4_clip_options *o = c->options;
    if (o->mask && o->mask[0])
        return ch4_frames_open(&c->masks, o->mask, false, &o->frames, err);
    return ch4_frames_has_masks(c->frames) ? ch4_frames_open(&c->masks, path, true, &o->frames, err) : CH4_OK;
}

static ch4_status open_stream(ch4_clip **out, const char *path, const ch4_clip_options *options, const ch4_clip_hooks *hooks, ch4_err *err)
{
    *out = NULL;
    ch4_clip *c;
    ch4_status st = ch4_calloc(&c, 1, sizeof *c, "clip", err);
    if (st != CH4_OK)
        return st;
    c->options = options;
    c->hooks = hooks;
    ch4_matte_init(&c->matte, &options->matte);
    st = ch4_frames_open(&c->frames, path, false, &options->frames, err);
    if (st == CH4_OK)
        st = open_masks(c, path, err);
    if (st == CH4_OK) {
        const ch4_frames_info *info = ch4_frames_get_info(c->frames);
        c->width = info->width;
        c->height = info->height;
        st = ch4_calloc(&c->rgba, (size_t)(info->width * info->height), 4, "frame", err);
        if (st == CH4_OK && c->masks)
            st = ch4_calloc(&c->mask, (size_t)(info->width * info->height), 4, "mask", err);
    }
    if (st != CH4_OK)
        ch4_clip_close(&c);
    *out = c;
    return st;
}

void ch4_clip_close(ch4_clip **pc)
{
    ch4_clip *c = *pc;
    if (!c)
        return;
    ch4_frames_close(&c->frames);
    ch4_frames_close(&c->masks);
    ch4_matte_fini(&c->matte);
    ch4_mask_file_destroy(&c->removed);
    free(c->rgba);
    free(c->mask);
    free(c->cut);
    free(c->cut_alpha);
    free(c);
    *pc = NULL;
}

/* Goes to the next frame and its mask. A mask that ends early ends the clip. */
static ch4_status step(ch4_clip *c, double *time, bool *end, ch4_err *err)
{
    ch4_status st = ch4_frames_next(c->frames, time, end, err);
    if (st != CH4_OK || *end || !c->masks)
        return st;
    double mask_time;
    st = ch4_frames_next(c->masks, &mask_time, end, err);
    if (st == CH4_OK && *end) {
        char text[256];
        snprintf(text, sizeof text, "the mask ends after %lld frames, before the clip: the frames after it are not used", (long long)c->index);
        note(c->hooks, text);
    }
    return st;
}

/* The background remover is slow: the second pass takes what the first one found. */
static ch4_status remove_background(ch4_clip *c, int64_t *solid, ch4_err *err)
{
    if (c->plan) {
        ch4_status st = ch4_mask_file_get(c->plan->removed, c->index, c->rgba, err);
        *solid = st == CH4_OK ? ch4_alpha_count(c->rgba, c->width, c->height) : 0;
        return st;
    }
    ch4_status st = ch4_matte_apply(&c->matte, c->rgba, NULL, c->width, c->height, solid, err);
    if (st == CH4_OK && !c->removed)
        st = ch4_mask_file_create(&c->removed, c->options->scratch, c->width * c->height, err);
    return st == CH4_OK ? ch4_mask_file_put(c->removed, c->index, c->rgba, err) : st;
}

/* The current frame with its alpha into c->rgba. */
static ch4_status load(ch4_clip *c, int64_t *solid, ch4_err *err)
{
    const ch4_frames_info *info = ch4_frames_get_info(c->frames);
    ch4_status st = ch4_frames_picture(c->frames, c->rgba, c->width, c->height, err);
    if (st == CH4_OK && c->index == 0)
        st = ch4_matte_begin(&c->matte, c->rgba, c->width, c->height, info->alpha, c->masks != NULL, ch4_frames_where(c->frames), err);
    if (st == CH4_OK && c->matte.mode == CH4_MATTE_RMBG)
        return remove_background(c, solid, err);
    if (st == CH4_OK && c->matte.mode == CH4_MATTE_MASK)
        st = ch4_frames_picture(c->masks, c->mask, c->width, c->height, err);
    if (st == CH4_OK)
        st = ch4_matte_apply(&c->matte, c->rgba, c->mask, c->width, c->height, solid, err);
    return st;
}

/* --- first pass ------------------------------------------------------------------------------------------------------------------ */

static ch4_status add_time(ch4_clip_plan *plan, int64_t *cap, double time, ch4_err *err)
{
    if (plan->n_frames == *cap) {
        int64_t want = *cap ? *cap * 2 : 256;
        double *p = realloc(plan->time, (size_t)want * sizeof *p);
        if (!p)
            return ch4_err_set(err, CH4_ENOMEM, "times of %lld frames", (long long)want);
        plan->time = p;
        *cap = want;
    }
    plan->time[plan->n_frames++] = time;
    return CH4_OK;
}

static ch4_status empty_frame(ch4_clip *c, ch4_clip_plan *plan, ch4_err *err)
{
    plan->n_empty++;
    if (c->index != c->options->anchor)
        return CH4_OK;
    static const char *const why[] = {"", "its alpha is transparent everywhere", "its mask is black everywhere", "nothing differs from the background",
                                     "the background remover leaves nothing"};
    return ch4_err_set(err, CH4_EFORMAT, "%s: no foreground found: %s: the anchor frame must show the object: choose another with anchor.frame, "
                       "or give a mask with --mask", ch4_frames_where(c->frames), why[c->matte.mode]);
}

/* The best frame so far; of equal ones the earliest. */
static void choose_anchor(const ch4_clip *c, ch4_clip_plan *plan, double *best)
{
    double score = ch4_focus_score(c->rgba, c->width, c->height);
    if (score > *best) {
        *best = score;
        plan->anchor = c->index;
    }
}

static ch4_status scan_frames(ch4_clip *c, ch4_clip_plan *plan, ch4_err *err)
{
    double best = -1;
    int64_t cap = 0, expected = ch4_frames_get_info(c->frames)->expected;
    bool lossless = ch4_frames_get_info(c->frames)->lossless;
    for (;;) {
        double time;
        bool end;
        int64_t solid;
        ch4_status st = step(c, &time, &end, err);
        if (st == CH4_OK && end)
            return CH4_OK;
        if (st == CH4_OK)
            st = load(c, &solid, err);
        if (st == CH4_OK)
            st = add_time(plan, &cap, time, err);
        if (st == CH4_OK && solid == 0)
            st = empty_frame(c, plan, err);
        if (st == CH4_OK && solid > 0) {
            int threshold = ch4_matte_box_threshold(&c->matte, lossless);
            plan->object = ch4_box_union(plan->object, ch4_box_of_alpha(c->rgba + 3, c->width, c->height, 4, 4 * c->width, threshold));
            if (c->options->anchor < 0)
                choose_anchor(c, plan, &best);
        }
        c->index++;
        if (st == CH4_OK)
            st = report(c->hooks, c->index, 2 * expected, err);
        if (st != CH4_OK)
            return st;
    }
}

static void note_oddities(ch4_clip *c, const ch4_clip_plan *plan)
{
    char text[256];
    if (ch4_frames_is_cut(c->frames, text, sizeof text))
        note(c->hooks, text);
    if (plan->n_empty > 0) {
        snprintf(text, sizeof text, "%lld of %lld frames show no object: they are used as they are", (long long)plan->n_empty, (long long)plan->n_frames);
        note(c->hooks, text);
    }
    if (c->matte.mode == CH4_MATTE_ALPHA && c->masks)
        note(c->hooks, "the clip's own alpha is used, not the mask: set decode.foreground to mask to use that");
}

ch4_status ch4_clip_scan(ch4_clip_plan *out, const char *path, const ch4_clip_options *options, const ch4_clip_hooks *hooks, ch4_err *err)
{
    *out = (ch4_clip_plan){.anchor = options->anchor};
    ch4_clip *c;
    ch4_status st = open_stream(&c, path, options, hooks, err);
    if (st == CH4_OK)
        st = scan_frames(c, out, err);
    if (st == CH4_OK && out->n_frames == 0)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: no frame could be decoded", path);
    if (st == CH4_OK && out->anchor < 0)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: no foreground found in any of %lld frames: give a mask with --mask", path, (long long)out->n_frames);
    if (st == CH4_OK && options->anchor >= out->n_frames)
        st = ch4_err_set(err, CH4_ECONFIG, "%s: anchor.frame is %lld, but the clip has only %lld frames", path, (long long)options->anchor,
                         (long long)out->n_frames);
    if (st == CH4_OK) {
        out->width = c->width;
        out->height = c->height;
        out->mode = c->matte.mode;
        out->removed = c->removed;
        c->removed = NULL;
        out->crop = ch4_crop_of_box(out->object, options->padding, true);
        out->side = ch4_min_i64(out->crop.w, options->max_side);
        note_oddities(c, out);
    }
    ch4_clip_close(&c);
    if (st != CH4_OK)
        ch4_clip_plan_fini(out);
    return st;
}

void ch4_clip_plan_fini(ch4_clip_plan *plan)
{
    free(plan->time);
    ch4_mask_file_destroy(&plan->removed);
    *plan = (ch4_clip_plan){0};
}

/* --- second pass ------------------------------------------------------------------------------------------------------------------ */

ch4_status ch4_clip_open(ch4_clip **out, const char *path, const ch4_clip_options *options, const ch4_clip_plan *plan, const ch4_clip_hooks *hooks,
                         ch4_err *err)
{
    ch4_status st = open_stream(out, path, options, hooks, err);
    if (st != CH4_OK)
        return st;
    ch4_clip *c = *out;
    c->plan = plan;
    if (plan->side < plan->crop.w) {
        st = ch4_calloc(&c->cut, (size_t)(plan->crop.w * plan->crop.w), 3, "crop", err);
        if (st == CH4_OK)
            st = ch4_calloc(&c->cut_alpha, (size_t)(plan->crop.w * plan->crop.w), 1, "crop", err);
    }
    if (st == CH4_OK && (c->width != plan->width || c->height != plan->height))
        st = ch4_err_set(err, CH4_EIO, "%s: changed while it was read", path);
    if (st != CH4_OK)
        ch4_clip_close(out);
    return st;
}

static ch4_status cut_out(ch4_clip *c, uint8_t *rgb, uint8_t *alpha, ch4_err *err)
{
    const ch4_clip_plan *p = c->plan;
    if (!c->cut) {
        ch4_crop_apply(rgb, alpha, c->rgba, c->width, c->height, p->object, p->crop);
        return CH4_OK;
    }
    ch4_crop_apply(c->cut, c->cut_alpha, c->rgba, c->width, c->height, p->object, p->crop);
    ch4_status st = ch4_shrink_square(rgb, p->side, c->cut, p->crop.w, 3, err);
    return st == CH4_OK ? ch4_shrink_square(alpha, p->side, c->cut_alpha, p->crop.w, 1, err) : st;
}

ch4_status ch4_clip_next(ch4_clip *c, uint8_t *rgb, uint8_t *alpha, ch4_err *err)
{
    double time;
    bool end;
    int64_t solid;
    ch4_status st = step(c, &time, &end, err);
    if (st == CH4_OK && end)
        st = ch4_err_set(err, CH4_EIO, "frame %lld is gone: the input changed while it was read", (long long)c->index);
    if (st == CH4_OK && (rgb || c->index == 0)) /* the first frame decides how alpha is found */
        st = load(c, &solid, err);
    if (st == CH4_OK && rgb)
        st = cut_out(c, rgb, alpha, err);
    if (st != CH4_OK)
        return st;
    c->index++;
    return report(c->hooks, c->plan->n_frames + c->index, 2 * c->plan->n_frames, err);
}
