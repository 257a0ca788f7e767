/* Kind chain: the paper's Eq. 2, 3, 4, 6 and 7 on recorded matrices. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "nn/nn.h"
#include "chain/match.h"
#include "chain/patches.h"
#include "chain/token_map.h"

static const double CLEAR = 1e-6; /* of the largest score: a smaller gap does not decide an index in float32 */

/* One of the sources of a case ("model", "random"). */
typedef struct source {
    ch4_golden_case *c;
    ch4_nn *nn;
    const char *name;
    int64_t T, N, P, V, anchor;
    const float *layers, *va, *zp; /* [L,N,T,N], [V,N], [T,N,P] */
    int64_t L;
    float *mean; /* [N,T,N] */
} source;

static ch4_status input(source *s, const float **out, int64_t *shape, int rank, ch4_err *err, const char *what)
{
    ch4_tensor t;
    ch4_status st = ch4_golden_tensor(s->c, &t, CH4_DTYPE_F32, err, "in.%s.%s", s->name, what);
    if (st)
        return st;
    if (t.rank != rank)
        return ch4_err_set(err, CH4_EFORMAT, "in.%s.%s: rank %d, expected %d", s->name, what, t.rank, rank);
    memcpy(shape, t.shape, (size_t)rank * sizeof *shape);
    *out = t.data;
    return CH4_OK;
}

static ch4_status load(source *s, ch4_err *err)
{
    int64_t a[4], v[2], p[3];
    char path[64];
    ch4_status st = input(s, &s->layers, a, 4, err, "A_za_z_layers");
    if (st == CH4_OK)
        st = input(s, &s->va, v, 2, err, "A_va_za");
    if (st == CH4_OK)
        st = input(s, &s->zp, p, 3, err, "A_z_p");
    snprintf(path, sizeof path, "%s.anchor_frame", s->name);
    if (st == CH4_OK)
        st = ch4_golden_int(s->c, &s->anchor, path, err);
    if (st)
        return st;
    s->L = a[0], s->N = a[1], s->T = a[2], s->V = v[0], s->P = p[2];
    if (a[3] != s->N || v[1] != s->N || p[0] != s->T || p[1] != s->N || s->anchor < 0 || s->anchor >= s->T)
        return ch4_err_set(err, CH4_EFORMAT, "source %s: sizes do not agree", s->name);
    return ch4_golden_alloc(s->c, &s->mean, (size_t)(s->N * s->T * s->N), sizeof(float), err);
}

/* Values against out.<name> without the rows whose gap is not clear. */
static ch4_status check_clear_rows(source *s, const float *got, int64_t rows, int64_t width, const double *gap, double min_gap,
                                   const char *name, ch4_err *err)
{
    ch4_tensor t;
    double *g, *w, atol, rtol;
    int64_t n = 0;
    json_t *tol = json_object_get(json_object_get(s->c->config, "tolerance"), name);
    atol = json_number_value(json_object_get(tol, "atol"));
    rtol = json_number_value(json_object_get(tol, "rtol"));
    ch4_status st = ch4_golden_tensor(s->c, &t, CH4_DTYPE_F64, err, "out.%s", name);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &g, (size_t)(rows * width), sizeof *g, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &w, (size_t)(rows * width), sizeof *w, err);
    if (st)
        return st;
    if (ch4_tensor_count(&t) != rows * width)
        return ch4_err_set(err, CH4_EFORMAT, "out.%s has %" PRId64 " values, expected %" PRId64, name, ch4_tensor_count(&t), rows * width);
    for (int64_t r = 0; r < rows; r++) {
        if (gap && !(gap[r] > min_gap))
            continue;
        for (int64_t i = 0; i < width; i++, n++) {
            g[n] = got[r * width + i];
            w[n] = ((const double *)t.data)[r * width + i];
        }
    }
    ch4_golden_check_values(s->c, g, w, n, atol, rtol, "%s", name);
    ch4_golden_mark(s->c, "%s", name);
    return CH4_OK;
}

typedef struct scores {
    const float *score, *points; /* [V,U], [U,3] */
    int64_t U, k_max;
    int32_t *index; /* [V,k_max] descending */
    float *best, *weights, *point;
    double *gap, largest;
} scores;

static ch4_status check_temperature(source *s, const scores *m, int64_t k, double tau, const double *gap, const char *prefix, ch4_err *err)
{
    char name[192];
    const ch4_blend blend = {.relative = false, .temperature = tau};
    for (int64_t v = 0; v < s->V; v++)
        ch4_match_blend(m->point + 3 * v, m->weights + v * k, m->index + v * m->k_max, m->best + v * m->k_max, m->points, k, &blend);
    ch4_status st = CH4_OK;
    snprintf(name, sizeof name, "%s.k%" PRId64 "_tau%.12g.eq4_point", prefix, k, tau);
    if (ch4_golden_has(s->c, "out.%s", name))
        st = check_clear_rows(s, m->point, s->V, 3, gap, CLEAR * m->largest, name, err);
    snprintf(name, sizeof name, "%s.k%" PRId64 "_tau%.12g.eq4_weights", prefix, k, tau);
    if (st == CH4_OK && ch4_golden_has(s->c, "out.%s", name))
        st = check_clear_rows(s, m->weights, s->V, k, gap, CLEAR * m->largest, name, err);
    return st;
}

/* The order inside the k best must be clear too where indices are compared one by one. */
static double order_gap(const scores *m, int64_t v, int64_t k)
{
    double least = INFINITY;
    const float *best = m->best + v * m->k_max;
    for (int64_t i = 0; i < k && i + 1 < m->k_max; i++)
        least = fmin(least, (double)best[i] - best[i + 1]);
    return least;
}

static ch4_status check_topk(source *s, scores *m, int64_t k, const char *prefix, ch4_err *err)
{
    int64_t *index;
    double *order;
    char path[64];
    ch4_status st = ch4_golden_alloc(s->c, &index, (size_t)(s->V * k), sizeof *index, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &order, (size_t)s->V, sizeof *order, err);
    if (st)
        return st;
    for (int64_t v = 0; v < s->V; v++) {
        const float *best = m->best + v * m->k_max;
        m->gap[v] = k < m->k_max ? (double)best[k - 1] - best[k] : INFINITY;
        order[v] = order_gap(m, v, k);
        for (int64_t i = 0; i < k; i++)
            index[v * k + i] = m->index[v * m->k_max + i];
    }
    if (ch4_golden_has(s->c, "out.%s.gap.k%" PRId64, prefix, k))
        ch4_golden_check_f64(s->c, m->gap, s->V, "%s.gap.k%" PRId64, prefix, k);
    if (ch4_golden_has(s->c, "out.%s.topk_index.k%" PRId64, prefix, k))
        ch4_golden_check_index(s->c, index, s->V * k, order, s->V, CLEAR * m->largest, "%s.topk_index.k%" PRId64, prefix, k);
    snprintf(path, sizeof path, "%s.tau", s->name);
    json_t *taus = ch4_golden_json(s->c, path);
    for (size_t i = 0; st == CH4_OK && i < json_array_size(taus); i++)
        st = check_temperature(s, m, k, json_number_value(json_array_get(taus, i)), m->gap, prefix, err);
    return st;
}

static double largest_of(const float *x, int64_t n)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, x[i]);
    return top;
}

/* Eq. 2 to 4 of one frame with the weights w. */
static ch4_status check_points(source *s, int64_t f, const float *w, const char *prefix, ch4_err *err)
{
    int64_t cs[2], ps[2];
    const float *candidates, *points;
    float *transport, *score, *confidence;
    int32_t *scratch;
    char what[64];
    snprintf(what, sizeof what, "A_vf_zf.%" PRId64, f);
    ch4_status st = input(s, &candidates, cs, 2, err, what);
    snprintf(what, sizeof what, "points.%" PRId64, f);
    if (st == CH4_OK)
        st = input(s, &points, ps, 2, err, what);
    if (st)
        return st;
    int64_t U = cs[0], V = s->V;
    if (cs[1] != s->N || ps[0] != U || ps[1] != 3)
        return ch4_err_set(err, CH4_EFORMAT, "source %s: candidates of frame %" PRId64 " do not agree", s->name, f);
    scores m = {.U = U, .k_max = U, .points = points};
    if ((st = ch4_golden_alloc(s->c, &transport, (size_t)(V * s->N), sizeof(float), err)) ||
        (st = ch4_golden_alloc(s->c, &score, (size_t)(V * U), sizeof(float), err)) ||
        (st = ch4_golden_alloc(s->c, &confidence, (size_t)V, sizeof(float), err)) ||
        (st = ch4_golden_alloc(s->c, &scratch, (size_t)U, sizeof *scratch, err)) ||
        (st = ch4_golden_alloc(s->c, &m.index, (size_t)(V * U), sizeof *m.index, err)) ||
        (st = ch4_golden_alloc(s->c, &m.best, (size_t)(V * U), sizeof(float), err)) ||
        (st = ch4_golden_alloc(s->c, &m.weights, (size_t)(V * U), sizeof(float), err)) ||
        (st = ch4_golden_alloc(s->c, &m.point, (size_t)(V * 3), sizeof(float), err)) ||
        (st = ch4_golden_alloc(s->c, &m.gap, (size_t)V, sizeof(double), err)))
        return st;
    st = ch4_match_transport(s->nn, transport, s->va, w, V, s->N, err);
    if (st == CH4_OK)
        st = ch4_match_score(s->nn, score, transport, candidates, V, U, s->N, err);
    if (st)
        return st;
    m.score = score;
    m.largest = largest_of(score, V * U);
    for (int64_t v = 0; v < V; v++) {
        ch4_match_top(m.index + v * U, m.best + v * U, scratch, score + v * U, U, U);
        confidence[v] = m.best[v * U];
    }
    ch4_golden_check_f32(s->c, transport, V * s->N, "%s.eq2_transport", prefix);
    ch4_golden_check_f32(s->c, score, V * U, "%s.eq3_score", prefix);
    ch4_golden_check_f32(s->c, confidence, V, "%s.confidence", prefix);
    snprintf(what, sizeof what, "%s.topk", s->name);
    json_t *ks = ch4_golden_json(s->c, what);
    for (size_t i = 0; st == CH4_OK && i < json_array_size(ks); i++) {
        int64_t k = json_integer_value(json_array_get(ks, i));
        st = k >= 1 && k <= U ? check_topk(s, &m, k, prefix, err)
                              : ch4_err_set(err, CH4_EFORMAT, "source %s: k = %" PRId64 " of %" PRId64, s->name, k, U);
    }
    return st;
}

/* Row (by_column: column) winners of score [rows, cols] with their gaps, against two recorded tensors. */
static ch4_status check_winners(source *s, const float *score, int64_t rows, int64_t cols, bool by_column, const char *index_name,
                                const char *gap_name, ch4_err *err)
{
    int64_t n = by_column ? cols : rows, *index;
    float *gap;
    double *clear;
    ch4_status st = ch4_golden_alloc(s->c, &index, (size_t)n, sizeof *index, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &gap, (size_t)n, sizeof *gap, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &clear, (size_t)n, sizeof *clear, err);
    if (st)
        return st;
    for (int64_t i = 0; i < n; i++) {
        index[i] = by_column ? ch4_patch_argmax(score + i, rows, cols, &gap[i]) : ch4_patch_argmax(score + i * cols, cols, 1, &gap[i]);
        clear[i] = gap[i];
    }
    ch4_golden_check_index(s->c, index, n, clear, n, CLEAR * largest_of(score, rows * cols), "%s", index_name);
    ch4_golden_check_f32(s->c, gap, n, "%s", gap_name);
    return CH4_OK;
}

static const char *const patch_kinds[] = {"raw", "patchnorm"};

static ch4_status check_patches(source *s, int64_t f, const float *w, const char *prefix, ch4_err *err)
{
    float *a, *b, *scratch, *score;
    char index_name[128], gap_name[128];
    size_t pn = (size_t)(s->P * s->N);
    ch4_status st;
    if ((st = ch4_golden_alloc(s->c, &a, pn, sizeof *a, err)) || (st = ch4_golden_alloc(s->c, &b, pn, sizeof *b, err)) ||
        (st = ch4_golden_alloc(s->c, &scratch, pn, sizeof *b, err)) ||
        (st = ch4_golden_alloc(s->c, &score, (size_t)(s->P * s->P), sizeof *b, err)))
        return st;
    for (int kind = 0; st == CH4_OK && kind < 2; kind++) {
        ch4_patch_rows(a, s->zp + s->anchor * (int64_t)pn, s->N, s->P, kind == 1);
        ch4_patch_rows(b, s->zp + f * (int64_t)pn, s->N, s->P, kind == 1);
        st = ch4_patch_score(s->nn, score, scratch, a, b, w, s->P, s->N, err);
        if (st)
            break;
        ch4_golden_check_f32(s->c, score, s->P * s->P, "%s.%s.eq6_score", prefix, patch_kinds[kind]);
        snprintf(index_name, sizeof index_name, "%s.%s.eq6_patch", prefix, patch_kinds[kind]);
        snprintf(gap_name, sizeof gap_name, "%s.%s.eq6_gap", prefix, patch_kinds[kind]);
        st = check_winners(s, score, s->P, s->P, false, index_name, gap_name, err);
    }
    return st;
}

static ch4_status check_vertices(source *s, ch4_err *err)
{
    float *a, *score;
    char index_name[128], gap_name[128];
    ch4_status st = ch4_golden_alloc(s->c, &a, (size_t)(s->P * s->N), sizeof *a, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &score, (size_t)(s->P * s->V), sizeof *score, err);
    for (int kind = 0; st == CH4_OK && kind < 2; kind++) {
        const char *k = patch_kinds[kind];
        ch4_patch_rows(a, s->zp + s->anchor * s->P * s->N, s->N, s->P, kind == 1);
        st = ch4_patch_vertex_score(s->nn, score, a, s->va, s->P, s->V, s->N, err);
        if (st)
            break;
        ch4_golden_check_f32(s->c, score, s->P * s->V, "%s.%s.eq7_score", s->name, k);
        snprintf(index_name, sizeof index_name, "%s.%s.eq7_vertex_of_patch", s->name, k);
        snprintf(gap_name, sizeof gap_name, "%s.%s.eq7_gap_of_patch", s->name, k);
        st = check_winners(s, score, s->P, s->V, false, index_name, gap_name, err);
        snprintf(index_name, sizeof index_name, "%s.%s.eq7_patch_of_vertex", s->name, k);
        snprintf(gap_name, sizeof gap_name, "%s.%s.eq7_gap_of_vertex", s->name, k);
        if (st == CH4_OK)
            st = check_winners(s, score, s->P, s->V, true, index_name, gap_name, err);
    }
    return st;
}

/* w of frame f; row norm as asked. scratch [N,N]. */
static void read_map(const source *s, float *w, float *scratch, int64_t f, bool normalize)
{
    const ch4_map_reading reading = {.frame_to_anchor = false, .normalize = normalize, .power = 1};
    for (int64_t t = 0; t < s->N; t++)
        memcpy(scratch + t * s->N, s->mean + (t * s->T + f) * s->N, (size_t)s->N * sizeof *w);
    ch4_map_prepare(w, NULL, scratch, s->N, &reading);
}

static ch4_status check_source(source *s, ch4_err *err)
{
    float *w, *scratch, *norm;
    char prefix[96], path[64];
    int64_t N = s->N;
    ch4_status st = ch4_golden_alloc(s->c, &w, (size_t)(N * N), sizeof *w, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &scratch, (size_t)(N * N), sizeof *w, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(s->c, &norm, (size_t)(N * s->T * N), sizeof *w, err);
    if (st)
        return st;
    ch4_map_mean(s->mean, s->layers, s->L, N * s->T * N);
    ch4_golden_check_f32(s->c, s->mean, N * s->T * N, "%s.A_za_z_mean", s->name);
    for (int64_t f = 0; f < s->T; f++) {
        read_map(s, w, scratch, f, true);
        for (int64_t t = 0; t < N; t++)
            for (int64_t i = 0; i < N; i++)
                norm[(t * s->T + f) * N + i] = w[i * N + t];
    }
    ch4_golden_check_f32(s->c, norm, N * s->T * N, "%s.A_za_z_mean_framenorm", s->name);
    snprintf(path, sizeof path, "%s.target_frames", s->name);
    json_t *frames = ch4_golden_json(s->c, path);
    for (int variant = 0; variant < 2; variant++) {
        for (size_t i = 0; st == CH4_OK && i < json_array_size(frames); i++) {
            int64_t f = json_integer_value(json_array_get(frames, i));
            if (f < 0 || f >= s->T)
                return ch4_err_set(err, CH4_EFORMAT, "source %s: frame %" PRId64 " of %" PRId64, s->name, f, s->T);
            snprintf(prefix, sizeof prefix, "%s.%s.f%" PRId64, s->name, variant ? "framenorm" : "raw", f);
            read_map(s, w, scratch, f, variant == 1);
            st = check_points(s, f, w, prefix, err);
            if (st == CH4_OK)
                st = check_patches(s, f, w, prefix, err);
        }
    }
    return st ? st : check_vertices(s, err);
}

ch4_status ch4_golden_chain(ch4_golden_case *c, ch4_err *err)
{
    ch4_nn *nn = NULL;
    ch4_status st = ch4_nn_open(&nn, c->backend, 0, err);
    json_t *sources = ch4_golden_json(c, "sources");
    for (size_t i = 0; st == CH4_OK && i < json_array_size(sources); i++) {
        const char *name = json_string_value(json_array_get(sources, i));
        source s = {.c = c, .nn = nn, .name = name};
        st = name ? load(&s, err) : ch4_err_set(err, CH4_EFORMAT, "sources: not a list of names");
        if (st == CH4_OK)
            st = check_source(&s, err);
    }
    ch4_nn_close(&nn);
    return st;
}
