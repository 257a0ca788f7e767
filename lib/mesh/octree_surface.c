#include "mesh/octree_surface.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/marching_surface_impl.h"
#include "tensor/tensor.h"

static const double NEAR = 0.95;                            /* |field| of a sample that is near the surface, flash */
static const float BAND_LOW = -9.01f, BAND_HIGH = 8.31f;    /* hierarchical: |2 sigmoid(v) - 1| < 1 holds between these in 16 bits, which makes
                                                               a band of a test that every number passes */
enum { FLASH_LEAST = 63, FLASH_ROUND = 4 };

/* Samples of a cube, n per axis. */
typedef struct samples {
    int64_t n;
    float *at;    /* [n] coordinates of an axis */
    float *value; /* [n,n,n], x fastest */
} samples;

typedef struct extractor {
    ch4_field_fn *field;
    void *ctx;
    const ch4_octree_options *opt;
    bool half_floats;      /* coordinates and values are rounded to 16 bits */
    float *point, *result; /* one batch */
    int64_t n_point;
} extractor;

ch4_octree_options ch4_octree_defaults(void)
{
    return (ch4_octree_options){.method = CH4_OCTREE_FLASH, .depth = 9, .half = 1.005, .batch = 16384};
}

static float round_half(float x)
{
    return ch4_f16_to_f32(ch4_f32_to_f16(x));
}

static ch4_status samples_init(samples *s, int64_t n, ch4_err *err)
{
    *s = (samples){.n = n};
    ch4_status st = ch4_calloc(&s->at, (size_t)n, sizeof *s->at, "surface grid", err);
    return st ? st : ch4_calloc(&s->value, (size_t)(n * n * n), sizeof *s->value, "surface grid", err);
}

static void samples_fini(samples *s)
{
    free(s->at);
    free(s->value);
    *s = (samples){0};
}

/* Coordinates from low on, `step` apart. */
static void place(const extractor *x, samples *s, double low, double step)
{
    for (int64_t i = 0; i < s->n; i++) {
        s->at[i] = (float)(low + step * (double)i);
        if (x->half_floats)
            s->at[i] = round_half(s->at[i]);
    }
}

static ch4_status flush(extractor *x, samples *s, const int64_t *list, int64_t n, ch4_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        x->point[3 * i] = s->at[list[i] % s->n];
        x->point[3 * i + 1] = s->at[list[i] / s->n % s->n];
        x->point[3 * i + 2] = s->at[list[i] / s->n / s->n];
    }
    ch4_status st = x->field(x->ctx, x->result, x->point, n, err);
    x->n_point += n;
    for (int64_t i = 0; !st && i < n; i++) {
        if (!isfinite(x->result[i]))
            st = ch4_err_set(err, CH4_EFORMAT, "surface: the field is %g at (%g, %g, %g)", (double)x->result[i], (double)x->point[3 * i],
                             (double)x->point[3 * i + 1], (double)x->point[3 * i + 2]);
        s->value[list[i]] = x->half_floats ? round_half(x->result[i]) : x->result[i];
    }
    return st;
}

/* Evaluates the marked samples; mark NULL: all. */
static ch4_status evaluate(extractor *x, samples *s, const uint8_t *mark, ch4_err *err)
{
    int64_t *list = NULL, n = 0, count = s->n * s->n * s->n;
    ch4_status st = ch4_calloc(&list, (size_t)x->opt->batch, sizeof *list, "surface batch", err);
    for (int64_t i = 0; !st && i < count; i++) {
        if (mark && !mark[i])
            continue;
        list[n++] = i;
        if (n == x->opt->batch) {
            st = flush(x, s, list, n, err);
            n = 0;
        }
    }
    if (!st && n)
        st = flush(x, s, list, n, err);
    free(list);
    return st;
}

/* Marks everything within `radius` samples (along each axis) of a mark. */
static ch4_status dilate(uint8_t *mark, int64_t n, int64_t radius, ch4_err *err)
{
    uint8_t *line = NULL;
    const int64_t step[3] = {1, n, n * n};
    ch4_status st = ch4_calloc(&line, (size_t)n, 1, "surface marks", err);
    for (int d = 0; !st && d < 3; d++)
        for (int64_t k = 0; k < n * n; k++) {
            uint8_t *at = mark + (d == 0 ? k * n : d == 1 ? k / n * n * n + k % n : k);
            for (int64_t i = 0; i < n; i++)
                line[i] = at[i * step[d]];
            for (int64_t i = 0; i < n; i++)
                for (int64_t o = -radius; line[i] && o <= radius; o++)
                    if (i + o >= 0 && i + o < n)
                        at[(i + o) * step[d]] = 1;
        }
    free(line);
    return st;
}

/* A sample with a face neighbour of the other sign; unknown ones (NaN) count for nothing. */
static bool changes_sign(const samples *s, int64_t i)
{
    const int64_t n = s->n, step[3] = {1, n, n * n}, p[3] = {i % n, i / n % n, i / n / n};
    float v = s->value[i];
    for (int d = 0; d < 3; d++)
        for (int side = -1; side <= 1; side += 2) {
            if (p[d] + side < 0 || p[d] + side >= n)
                continue;
            float w = s->value[i + side * step[d]];
            if (w == w && (v >= 0) != (w >= 0))
                return true;
        }
    return false;
}

/* --- flash, as the reference does it ---------------------------------------------------------------------------------------------- */

/* Cells per axis of the coarsest level, and how often it is doubled. */
static void flash_levels(int64_t *cells, int *doublings, int depth)
{
    int64_t r = (int64_t)1 << depth;
    *doublings = 0;
    while (r / 2 >= FLASH_LEAST) {
        r /= 2;
        ++*doublings;
    }
    *cells = (r + FLASH_ROUND / 2) / FLASH_ROUND * FLASH_ROUND - 1;
}

/* The next level: twice the cells, known near the surface of this one, NaN elsewhere. */
static ch4_status flash_refine(extractor *x, samples *s, bool last, ch4_err *err)
{
    samples fine = {0};
    uint8_t *near = NULL, *mark = NULL;
    int64_t n = s->n, count = n * n * n;
    ch4_status st = samples_init(&fine, 2 * (n - 1) + 1, err);
    if (!st)
        st = ch4_calloc(&near, (size_t)count, 1, "surface marks", err);
    if (!st)
        st = ch4_calloc(&mark, (size_t)(fine.n * fine.n * fine.n), 1, "surface marks", err);
    for (int64_t i = 0; !st && i < count; i++)
        near[i] = s->value[i] == s->value[i] && (fabs(s->value[i]) < NEAR || changes_sign(s, i));
    if (!st && !last)
        st = dilate(near, n, 2, err);
    for (int64_t i = 0; !st && i < count; i++)
        mark[(2 * (i / n / n) * fine.n + 2 * (i / n % n)) * fine.n + 2 * (i % n)] = near[i];
    free(near);
    if (!st)
        st = dilate(mark, fine.n, last ? 2 : 1, err);
    if (!st) {
        place(x, &fine, -x->opt->half, 2 * x->opt->half / (double)(fine.n - 1));
        for (int64_t i = 0; i < fine.n * fine.n * fine.n; i++)
            fine.value[i] = NAN;
        st = evaluate(x, &fine, mark, err);
    }
    free(mark);
    if (st) {
        samples_fini(&fine);
        return st;
    }
    samples_fini(s);
    *s = fine;
    return CH4_OK;
}

/* value with a layer of `outside` around it, times sign. */
static ch4_status pad(float **out, const samples *s, float sign, float outside, ch4_err *err)
{
    int64_t n = s->n, m = n + 2;
    ch4_status st = ch4_calloc(out, (size_t)(m * m * m), sizeof **out, "surface grid", err);
    for (int64_t i = 0; !st && i < m * m * m; i++) {
        int64_t p[3] = {i % m - 1, i / m % m - 1, i / m / m - 1};
        bool in = p[0] >= 0 && p[1] >= 0 && p[2] >= 0 && p[0] < n && p[1] < n && p[2] < n;
        (*out)[i] = in ? sign * s->value[(p[2] * n + p[1]) * n + p[0]] : outside;
    }
    return st;
}

static void reverse(ch4_mesh *m)
{
    for (int64_t f = 0; f < m->n_face; f++) {
        int32_t t = m->face[3 * f];
        m->face[3 * f] = m->face[3 * f + 2];
        m->face[3 * f + 2] = t;
    }
}

static ch4_status flash_reference(ch4_mesh *out, int64_t *touching, extractor *x, ch4_err *err)
{
    samples s = {0};
    float *value = NULL;
    int64_t cells;
    int doublings;
    flash_levels(&cells, &doublings, x->opt->depth);
    ch4_status st = samples_init(&s, cells + 1, err);
    if (!st) {
        place(x, &s, -x->opt->half, 2 * x->opt->half / (double)cells);
        st = evaluate(x, &s, NULL, err);
    }
    for (int i = 1; !st && i <= doublings; i++)
        st = flash_refine(x, &s, i == doublings, err);
    if (!st)
        st = pad(&value, &s, -1, 1, err);
    double h = 2 * x->opt->half / (double)((int64_t)1 << x->opt->depth), low = -x->opt->half - h; /* not the cells that there are */
    dual_grid grid = {.value = value, .open = true, .dim = {s.n + 2, s.n + 2, s.n + 2}, .origin = {low, low, low}, .spacing = h};
    samples_fini(&s);
    if (!st)
        st = dual_surface_extract(out, touching, &grid, err);
    if (!st)
        reverse(out);
    free(value);
    return st;
}

/* --- hierarchical --------------------------------------------------------------------------------------------------------------- */

/* Coarse samples whose surroundings are refined. */
static ch4_status hierarchical_band(uint8_t *mark, const samples *s, bool reference, ch4_err *err)
{
    int64_t n = s->n;
    for (int64_t i = 0; i < n * n * n; i++) {
        int64_t p[3] = {i % n, i / n % n, i / n / n};
        bool border = p[0] == 0 || p[1] == 0 || p[2] == 0 || p[0] == n - 1 || p[1] == n - 1 || p[2] == n - 1;
        mark[i] = s->value[i] >= BAND_LOW && s->value[i] <= BAND_HIGH;
        if (reference)
            mark[i] &= !border;
        else
            mark[i] |= changes_sign(s, i);
    }
    return dilate(mark, n, n < 512 ? 2 : 1, err);
}

/* Fine samples take the coarse value below them (with reference: coarse cell j is fine 2j and 2j+1), marked ones are evaluated. */
static ch4_status hierarchical_refine(extractor *x, samples *fine, const samples *s, ch4_err *err)
{
    bool reference = x->opt->reference;
    int64_t n = s->n, m = reference ? 2 * n : 2 * n - 1;
    uint8_t *band = NULL, *mark = NULL;
    ch4_status st = samples_init(fine, m, err);
    if (!st)
        st = ch4_calloc(&band, (size_t)(n * n * n), 1, "surface marks", err);
    if (!st)
        st = ch4_calloc(&mark, (size_t)(m * m * m), 1, "surface marks", err);
    if (!st)
        st = hierarchical_band(band, s, reference, err);
    for (int64_t i = 0; !st && i < m * m * m; i++) {
        int64_t at = ((i / m / m / 2) * n + i / m % m / 2) * n + i % m / 2;
        fine->value[i] = s->value[at];
        mark[i] = band[at];
    }
    if (!st) {
        place(x, fine, -x->opt->half, 2 * x->opt->half / (double)(reference ? m : m - 1));
        st = evaluate(x, fine, mark, err);
    }
    free(band);
    free(mark);
    return st;
}

/* What most samples on the faces of the cube have is outside. */
static int probe(const samples *s)
{
    int64_t n = s->n, positive = 0, negative = 0;
    for (int64_t i = 0; i < n * n * n; i++) {
        int64_t p[3] = {i % n, i / n % n, i / n / n};
        if (p[0] == 0 || p[1] == 0 || p[2] == 0 || p[0] == n - 1 || p[1] == n - 1 || p[2] == n - 1) {
            positive += s->value[i] > 0;
            negative += s->value[i] < 0;
        }
    }
    return negative > positive ? 1 : -1;
}

static ch4_status hierarchical(ch4_mesh *out, int *inside, extractor *x, ch4_err *err)
{
    const ch4_octree_options *o = x->opt;
    samples s = {0}, fine = {0};
    float *value = NULL;
    int64_t n = ((int64_t)1 << (o->depth - 1)) + (o->reference ? 0 : 1);
    x->half_floats = o->reference;
    ch4_status st = samples_init(&s, n, err);
    if (!st) {
        place(x, &s, -o->half, 2 * o->half / (double)(n - 1));
        st = evaluate(x, &s, NULL, err);
    }
    if (!st)
        st = hierarchical_refine(x, &fine, &s, err);
    *inside = o->reference ? -1 : o->inside ? o->inside : st ? 1 : probe(&s); /* reference: normals towards the positive side */
    samples_fini(&s);
    if (!st && !o->reference)
        st = pad(&value, &fine, (float)-*inside, 1, err);
    if (!st) {
        int64_t border = o->reference ? 0 : 1, dim = fine.n + 2 * border;
        double h = 2 * o->half / (double)(o->reference ? fine.n : fine.n - 1), low = -o->half - h * (double)border;
        dual_grid grid = {.value = value ? value : fine.value, .dim = {dim, dim, dim}, .origin = {low, low, low}, .spacing = h};
        st = marching_surface_extract(out, &grid, err);
    }
    for (int64_t i = 0; !st && !o->reference && i < 3 * out->n_vert; i++)
        out->vert[i] = fminf(fmaxf(out->vert[i], (float)-o->half), (float)o->half);
    samples_fini(&fine);
    free(value);
    return st;
}

/* --- both ----------------------------------------------------------------------------------------------------------------------- */

/* Flash without its defects is the extraction of isosurface.h with its levels and its band. */
static ch4_status flash_fixed(ch4_mesh *out, ch4_isosurface_info *info, ch4_field_fn *field, void *ctx, const ch4_octree_options *o, ch4_err *err)
{
    ch4_isosurface_options iso = ch4_isosurface_defaults();
    flash_levels(&iso.cells, &iso.levels, o->depth);
    iso.levels++;
    iso.half = o->half;
    iso.band = NEAR;
    iso.band_ratio = 1;
    iso.batch = o->batch;
    iso.inside = o->inside;
    return ch4_isosurface_extract(out, info, field, ctx, &iso, err);
}

ch4_status ch4_octree_surface_extract(ch4_mesh *out, ch4_isosurface_info *info, ch4_field_fn *field, void *ctx, const ch4_octree_options *o, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    if (o->depth < 4 || o->depth > 10 || !(o->half > 0) || !isfinite(o->half) || o->batch < 1 || o->inside < -1 || o->inside > 1)
        return ch4_err_set(err, CH4_EINVAL, "surface: depth %d, half %g, batch %" PRId64 ", inside %d", o->depth, o->half, o->batch, o->inside);
    if (o->method == CH4_OCTREE_FLASH && !o->reference)
        return flash_fixed(out, info, field, ctx, o, err);
    extractor x = {.field = field, .ctx = ctx, .opt = o};
    ch4_isosurface_info found = {0};
    ch4_status st = ch4_calloc(&x.point, (size_t)o->batch, 3 * sizeof *x.point, "surface batch", err);
    if (!st)
        st = ch4_calloc(&x.result, (size_t)o->batch, sizeof *x.result, "surface batch", err);
    if (!st)
        st = o->method == CH4_OCTREE_FLASH ? flash_reference(out, &found.n_touching, &x, err) : hierarchical(out, &found.inside, &x, err);
    found.n_point = x.n_point;
    if (o->reference)
        found.inside = 0;
    if (info)
        *info = found;
    free(x.point);
    free(x.result);
    return st;
}
