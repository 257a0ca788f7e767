#include "matte.h"

#include <stdlib.h>

#include "crop.h"

/* A region counts as a part of the object from this many pixels and this share of the largest one on; less is codec noise. */
static const int64_t MIN_REGION_PIXELS = 16;
static const double MIN_REGION_SHARE = 0.01;

/* A later frame whose border is farther than this from the first one's is not trusted with the background's colour. */
static const double MAX_KEY_DRIFT = 32;

void ch4_matte_init(ch4_matte *m, const ch4_matte_options *options)
{
    *m = (ch4_matte){.options = *options, .mode = options->mode};
}

void ch4_matte_fini(ch4_matte *m)
{
    free(m->workspace);
    *m = (ch4_matte){0};
}

const char *ch4_matte_mode_name(ch4_matte_mode mode)
{
    static const char *const names[] = {"auto", "alpha", "mask", "key", "rmbg"};
    return names[mode];
}

static ch4_status check_border(ch4_matte *m, const char *where, ch4_err *err)
{
    const ch4_key *k = &m->key;
    if (k->uniform >= m->options.key_border)
        return CH4_OK;
    return ch4_err_set(err, CH4_EFORMAT,
                       "%s: no alpha and no uniform background: %.0f%% of the border is within %g of its colour (%d,%d,%d), %.0f%% are needed: "
                       "give a mask with --mask, a video with alpha, or a model with a background remover, or raise decode.key_tolerance",
                       where, 100 * k->uniform, m->options.key_tolerance, k->rgb[0], k->rgb[1], k->rgb[2], 100 * m->options.key_border);
}

ch4_status ch4_matte_begin(ch4_matte *m, const uint8_t *rgba, int64_t width, int64_t height, bool has_alpha, bool has_mask,
                           const char *where, ch4_err *err)
{
    int64_t total = width * height, clear = total - ch4_alpha_count(rgba, width, height);
    bool valid = has_alpha && clear >= ch4_max_i64(1, (int64_t)(m->options.min_foreground * (double)total));
    m->mode = m->options.mode;
    if (m->mode == CH4_MATTE_AUTO)
        m->mode = valid ? CH4_MATTE_ALPHA : has_mask ? CH4_MATTE_MASK : m->options.remove ? CH4_MATTE_RMBG : CH4_MATTE_KEY;
    if (m->mode == CH4_MATTE_ALPHA && !valid)
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s: give a mask with --mask, or let decode.foreground be auto", where,
                           has_alpha ? "its alpha is opaque everywhere" : "the pictures carry no alpha");
    if (m->mode == CH4_MATTE_MASK && !has_mask)
        return ch4_err_set(err, CH4_EFORMAT, "%s: decode.foreground is mask, but no mask was given: give one with --mask", where);
    if (m->mode == CH4_MATTE_RMBG && !m->options.remove)
        return ch4_err_set(err, CH4_ECONFIG, "%s: decode.foreground is rmbg, but there is no background remover", where);
    if (m->mode != CH4_MATTE_KEY)
        return CH4_OK;
    m->key = ch4_key_of_border(rgba, width, height, m->options.key_tolerance);
    return check_border(m, where, err);
}

static ch4_status apply_key(ch4_matte *m, uint8_t *rgba, int64_t width, int64_t height, int64_t *solid, ch4_err *err)
{
    size_t need;
    ch4_status st = ch4_key_workspace(&need, width, height, err);
    if (st != CH4_OK)
        return st;
    if (need > m->workspace_size) {
        free(m->workspace);
        m->workspace_size = 0;
        m->workspace = malloc(need);
        if (!m->workspace)
            return ch4_err_set(err, CH4_ENOMEM, "keying: %zu bytes", need);
        m->workspace_size = need;
    }
    /* Light and exposure drift; the frame's own border tells, unless the object covers it. */
    ch4_key own = ch4_key_of_border(rgba, width, height, m->options.key_tolerance);
    bool trust = own.uniform >= m->options.key_border && ch4_key_distance(&own, &m->key) <= MAX_KEY_DRIFT;
    *solid = ch4_key_apply(rgba, width, height, trust ? &own : &m->key, m->options.key_tolerance, MIN_REGION_PIXELS, MIN_REGION_SHARE, m->workspace);
    return CH4_OK;
}

/* A mask's value is its brightness (Rec. 601, as grey pictures are made from colour), seen through its own alpha if it has one. */
static void apply_mask(uint8_t *rgba, const uint8_t *mask, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *p = mask + 4 * i;
        int luma = (299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000;
        rgba[4 * i + 3] = (uint8_t)((luma * p[3] + 127) / 255);
    }
}

ch4_status ch4_matte_apply(ch4_matte *m, uint8_t *rgba, const uint8_t *mask, int64_t width, int64_t height, int64_t *solid, ch4_err *err)
{
    if (m->mode == CH4_MATTE_KEY)
        return apply_key(m, rgba, width, height, solid, err);
    if (m->mode == CH4_MATTE_MASK)
        apply_mask(rgba, mask, width * height);
    if (m->mode == CH4_MATTE_RMBG) {
        ch4_status st = m->options.remove(m->options.remove_ctx, rgba, width, height, err);
        if (st != CH4_OK)
            return st;
    }
    *solid = ch4_alpha_count(rgba, width, height);
    return CH4_OK;
}

int ch4_matte_box_threshold(const ch4_matte *m, bool lossless)
{
    return m->mode == CH4_MATTE_ALPHA && lossless ? 0 : 31;
}
