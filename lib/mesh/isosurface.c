#include "mesh/isosurface.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/dual_surface_impl.h"

/* A grid has one layer of padding all round, outside, at value 1: index p of an axis is sample p - 1. Values are negative
 * inside whatever the sign of the field; NaN = unknown, INFINITY = in the list of samples to evaluate. */
typedef struct level {
    int64_t cells, dim; /* dim = cells + 3 */
    float *value;       /* [dim^3] */
} level;

typedef struct sampler {
    ch4_field_fn *field;
    void *ctx;
    const ch4_isosurface_options *opt;
    float *point, *value;  /* one batch */
    int64_t *list;         /* samples to evaluate, as indices into the level's values */
    int64_t n_list, room;
    float sign;            /* multiplies the field; 0 = not known yet */
    int64_t n_point;
} sampler;

ch4_isosurface_options ch4_isosurface_defaults(void)
{
    return (ch4_isosurface_options){.half = 1.005, .cells = 16, .levels = 3, .band = 0, .band_ratio = 0.5, .batch = 16384};
}

static ch4_status check_options(const ch4_isosurface_options *o, ch4_err *err)
{
    if (!(o->half > 0) || !isfinite(o->half) || o->cells < 1 || o->levels < 1 || o->levels > 10 || o->batch < 1 || o->band < 0 ||
        o->band_ratio < 0 || o->inside < -1 || o->inside > 1)
        return ch4_err_set(err, CH4_EINVAL, "iso-surface: half %g, %" PRId64 " cells, %d levels, band %g x %g, batch %" PRId64 ", inside %d",
                           o->half, o->cells, o->levels, o->band, o->band_ratio, o->batch, o->inside);
    if (o->cells > 2048 >> (o->levels - 1))
        return ch4_err_set(err, CH4_EINVAL, "iso-surface: %" PRId64 " cells doubled %d times: at most 2048 per axis", o->cells, o->levels - 1);
    return CH4_OK;
}

static ch4_status level_init(level *l, int64_t cells, ch4_err *err)
{
    l->cells = cells;
    l->dim = cells + 3;
    int64_t n = l->dim * l->dim * l->dim;
    ch4_status st = ch4_calloc(&l->value, (size_t)n, sizeof *l->value, "iso-surface grid", err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < n; i++)
        l->value[i] = NAN;
    for (int64_t k = 0, at = 0; k < l->dim; k++)
        for (int64_t j = 0; j < l->dim; j++)
            for (int64_t i = 0; i < l->dim; i++, at++)
                if (i == 0 || j == 0 || k == 0 || i == l->dim - 1 || j == l->dim - 1 || k == l->dim - 1)
                    l->value[at] = 1;
    return CH4_OK;
}

static int64_t at_sample(const level *l, int64_t i, int64_t j, int64_t k)
{
    return ((k + 1) * l->dim + j + 1) * l->dim + i + 1;
}

static ch4_status list_add(sampler *s, level *l, int64_t at, ch4_err *err)
{
    if (!isnan(l->value[at]))
        return CH4_OK;
    if (s->n_list == s->room) {
        int64_t room = s->room ? 2 * s->room : 4096;
        int64_t *p = realloc(s->list, (size_t)room * sizeof *p);
        if (!p)
            return ch4_err_set(err, CH4_ENOMEM, "iso-surface: %" PRId64 " samples", room);
        s->list = p;
        s->room = room;
    }
    l->value[at] = INFINITY;
    s->list[s->n_list++] = at;
    return CH4_OK;
}

static ch4_status evaluate(sampler *s, level *l, int64_t begin, int64_t n, ch4_err *err)
{
    double h = 2 * s->opt->half / (double)l->cells;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = s->list[begin + i];
        s->point[3 * i] = (float)(h * (double)(at % l->dim - 1) - s->opt->half);
        s->point[3 * i + 1] = (float)(h * (double)(at / l->dim % l->dim - 1) - s->opt->half);
        s->point[3 * i + 2] = (float)(h * (double)(at / l->dim / l->dim - 1) - s->opt->half);
    }
    ch4_status st = s->field(s->ctx, s->value, s->point, n, err);
    if (st != CH4_OK)
        return st;
    s->n_point += n;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(s->value[i]))
            return ch4_err_set(err, CH4_EFORMAT, "iso-surface: the field is %g at (%g, %g, %g)", (double)s->value[i], (double)s->point[3 * i],
                               (double)s->point[3 * i + 1], (double)s->point[3 * i + 2]);
        l->value[s->list[begin + i]] = s->sign != 0 ? s->sign * s->value[i] : s->value[i];
    }
    return CH4_OK;
}

static ch4_status evaluate_list(sampler *s, level *l, int64_t begin, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (; st == CH4_OK && begin < s->n_list; begin += s->opt->batch)
        st = evaluate(s, l, begin, ch4_min_i64(s->opt->batch, s->n_list - begin), err);
    return st;
}

/* All samples; then the sign, if it is not given, from those on the faces of the cube. */
static ch4_status sample_coarsest(sampler *s, level *l, ch4_err *err)
{
    int64_t n = l->cells, positive = 0, negative = 0;
    ch4_status st = CH4_OK;
    s->n_list = 0;
    for (int64_t k = 0; k <= n; k++)
        for (int64_t j = 0; j <= n; j++)
            for (int64_t i = 0; st == CH4_OK && i <= n; i++)
                st = list_add(s, l, at_sample(l, i, j, k), err);
    if (st == CH4_OK)
        st = evaluate_list(s, l, 0, err);
    if (st != CH4_OK || s->sign != 0)
        return st;
    for (int64_t k = 0; k <= n; k++)
        for (int64_t j = 0; j <= n; j++)
            for (int64_t i = 0; i <= n; i++) {
                float v = l->value[at_sample(l, i, j, k)];
                if (i == 0 || j == 0 || k == 0 || i == n || j == n || k == n) {
                    positive += v > 0;
                    negative += v < 0;
                }
            }
    s->sign = negative > positive ? -1 : 1;
    for (int64_t i = 0; i < s->n_list; i++)
        l->value[s->list[i]] *= s->sign;
    return CH4_OK;
}

/* Takes over the samples of the coarser grid, and lists the middles of its crossing edges and the samples of its cells in the band. */
static ch4_status refine(sampler *s, level *fine, const level *coarse, double band, ch4_err *err)
{
    int64_t n = coarse->cells;
    ch4_status st = CH4_OK;
    s->n_list = 0;
    for (int64_t k = 0; k <= n; k++)
        for (int64_t j = 0; j <= n; j++)
            for (int64_t i = 0; i <= n; i++)
                fine->value[at_sample(fine, 2 * i, 2 * j, 2 * k)] = coarse->value[at_sample(coarse, i, j, k)];
    for (int64_t k = 0; k <= n; k++)
        for (int64_t j = 0; j <= n; j++)
            for (int64_t i = 0; i <= n; i++) {
                float v = coarse->value[at_sample(coarse, i, j, k)];
                int64_t p[3] = {i, j, k};
                for (int d = 0; st == CH4_OK && d < 3 && !isnan(v); d++) {
                    int64_t q[3] = {i, j, k};
                    if (++q[d] > n)
                        continue;
                    float w = coarse->value[at_sample(coarse, q[0], q[1], q[2])];
                    if (!isnan(w) && (v < 0) != (w < 0))
                        st = list_add(s, fine, at_sample(fine, p[0] + q[0], p[1] + q[1], p[2] + q[2]), err);
                }
                bool border = i == 0 || j == 0 || k == 0 || i == n || j == n || k == n; /* the surface may run along the padding */
                if (!(fabsf(v) < band) && !(border && v < 0))
                    continue;
                for (int c = 0; st == CH4_OK && c < 125; c++) {
                    int64_t f[3] = {2 * i - 2 + c % 5, 2 * j - 2 + c / 5 % 5, 2 * k - 2 + c / 25};
                    if (f[0] >= 0 && f[1] >= 0 && f[2] >= 0 && f[0] <= 2 * n && f[1] <= 2 * n && f[2] <= 2 * n)
                        st = list_add(s, fine, at_sample(fine, f[0], f[1], f[2]), err);
                }
            }
    return st;
}

/* Lists the unknown corners of the cells around a known sample that have both signs. */
static ch4_status complete_cells(sampler *s, level *l, int64_t at, ch4_err *err)
{
    int64_t p[3] = {at % l->dim, at / l->dim % l->dim, at / l->dim / l->dim};
    ch4_status st = CH4_OK;
    for (int c = 0; c < 8; c++) {
        int64_t q[3] = {p[0] - (c & 1), p[1] - (c >> 1 & 1), p[2] - (c >> 2)}; /* low corner; samples are never in the padding */
        int inside = 0, outside = 0, unknown = 0;
        int64_t corner[8];
        for (int e = 0; e < 8; e++) {
            corner[e] = ((q[2] + (e >> 2)) * l->dim + q[1] + (e >> 1 & 1)) * l->dim + q[0] + (e & 1);
            float v = l->value[corner[e]];
            if (isfinite(v)) {
                inside += v < 0;
                outside += !(v < 0);
            } else {
                unknown += isnan(v);
            }
        }
        if (inside && outside && unknown)
            for (int e = 0; st == CH4_OK && e < 8; e++)
                st = list_add(s, l, corner[e], err);
    }
    return st;
}

/* Evaluates the list and follows the surface until every cell with both signs is known. */
static ch4_status follow(sampler *s, level *l, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (int64_t begin = 0; st == CH4_OK && begin < s->n_list;) {
        int64_t end = s->n_list;
        st = evaluate_list(s, l, begin, err);
        for (int64_t i = begin; st == CH4_OK && i < end; i++)
            st = complete_cells(s, l, s->list[i], err);
        begin = end;
    }
    return st;
}

/* The padding is one cell wide; what the surface has there is put back onto the faces of the cube. */
static void clamp_to_cube(ch4_mesh *m, double half)
{
    for (int64_t i = 0; i < 3 * m->n_vert; i++)
        m->vert[i] = fminf(fmaxf(m->vert[i], (float)-half), (float)half);
}

ch4_status ch4_isosurface_extract(ch4_mesh *out, ch4_isosurface_info *info, ch4_field_fn *field, void *ctx,
                                  const ch4_isosurface_options *opt, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    level now = {0}, next = {0};
    sampler s = {.field = field, .ctx = ctx, .opt = opt, .sign = (float)-opt->inside};
    ch4_status st = check_options(opt, err);
    if (st == CH4_OK)
        st = ch4_calloc(&s.point, (size_t)opt->batch, 3 * sizeof *s.point, "iso-surface batch", err);
    if (st == CH4_OK)
        st = ch4_calloc(&s.value, (size_t)opt->batch, sizeof *s.value, "iso-surface batch", err);
    if (st == CH4_OK)
        st = level_init(&now, opt->cells, err);
    if (st == CH4_OK)
        st = sample_coarsest(&s, &now, err);
    double band = opt->band;
    for (int i = 1; st == CH4_OK && i < opt->levels; i++, band *= opt->band_ratio) {
        st = level_init(&next, 2 * now.cells, err);
        if (st == CH4_OK)
            st = refine(&s, &next, &now, band, err);
        free(now.value);
        now = next;
        next = (level){0};
        if (st == CH4_OK)
            st = follow(&s, &now, err);
    }
    if (st != CH4_OK)
        goto out;
    double h = 2 * opt->half / (double)now.cells, low = -opt->half - h;
    dual_grid grid = {.value = now.value, .dim = {now.dim, now.dim, now.dim}, .origin = {low, low, low}, .spacing = h};
    int64_t touching;
    st = dual_surface_extract(out, &touching, &grid, err);
    clamp_to_cube(out, opt->half);
    if (info)
        *info = (ch4_isosurface_info){.inside = s.sign > 0 ? -1 : 1, .n_point = s.n_point, .n_touching = touching};
out:
    free(now.value);
    free(next.value);
    free(s.point);
    free(s.value);
    free(s.list);
    return st;
}
