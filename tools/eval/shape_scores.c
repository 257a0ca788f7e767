/* Shapes frame by frame: IoU, F-score and Chamfer distances as Sculpt4D and occupancy networks print them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "tools/eval/bench_baselines.h"
#include "tools/eval/chamfer.h"
#include "tools/eval/families.h"
#include "tools/eval/occupancy.h"
#include "tools/eval/surface_points.h"

enum { OURS, ORACLE, STATIC, OWN_STATIC, OWN_SURFACES, METHODS };
enum { CD_L1, CD_L2, F02, F03, F04, F05, IOU, IOU_GRID, UNDECIDED, COLUMNS, THRESHOLDS = 4 };
static const double THRESHOLD[THRESHOLDS] = {0.02, 0.03, 0.04, 0.05};
enum { IOU_POINTS = 100000 };
static const double BOX = 1.05; /* points and grid fill [-BOX, BOX]^3 */

static const char *const METHOD[METHODS] = {"ours", "oracle", "static", "own_static", "own_surfaces"};
static const ch4_score_column COLUMN[COLUMNS] = {
    {"cd_l1", "CD-L1", 4, NULL},  {"cd_l2", "CD-L2", 5, NULL},  {"f_0.02", "F .02", 3, NULL}, {"f_0.03", "F .03", 3, NULL},        {"f_0.04", "F .04", 3, NULL},
    {"f_0.05", "F .05", 3, NULL}, {"iou", "IoU", 3, "IoU"},     {"iou_grid", "IoU grid", 3, NULL}, {"undecided", "undecid", 4, NULL},
};
static const ch4_score_family FAMILY = {
    .key = "shape",
    .about = "Shapes, Sculpt4D-like (its protocol is not published). CD-L1, CD-L2: half the sum of the mean, and mean squared, nearest distances; F at distances in the\n"
             "cube of side 2; IoU at 100,000 points and on a grid, against the true meshes; undecid: share of points whose winding number does not tell. One\n"
             "alignment, of frame 0, for all frames of the result and its own_*; static: the truth's frame 0.\n",
    .note = "align",
    .column = COLUMN,
    .n_column = COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = STATIC,
};

/* One clip at work. */
typedef struct clip {
    const ch4_eval_request *r;
    ch4_bench_truth truth;
    ch4_bench_meshes meshes;     /* of the truth; no frames where there are none */
    ch4_bench_options o;
    ch4_pool *pool;
    int64_t n_query;             /* uniform points, then the grid */
    float *query;                /* [n_query,3] */
    uint8_t *inside, *truly;     /* [n_query]; [F,n_query] of the true meshes */
    float *point;                /* [n_point,3] */
    double *distance;            /* [n_point + N] */
} clip;

static void fill_queries(clip *c)
{
    ch4_rng rng = ch4_rng_at(c->o.seed, 1);
    int64_t g = c->r->grid, at = 0;
    for (; at < 3 * IOU_POINTS; at++) c->query[at] = (float)ch4_rng_range(&rng, -BOX, BOX);
    for (int64_t i = 0; i < g * g * g; i++) {
        const int64_t cell[3] = {i / (g * g), i / g % g, i % g};
        for (int k = 0; k < 3; k++) c->query[at++] = (float)(-BOX + 2 * BOX * ((double)cell[k] + 0.5) / (double)g);
    }
}

static ch4_status occupy(uint8_t *inside, double *undecided, clip *c, const ch4_bench_mesh *m, ch4_err *err)
{
    return ch4_compute_occupancy(inside, undecided, c->query, c->n_query, m->vert, m->n_vert, m->face, m->n_face, c->pool, err);
}

static ch4_status prepare(clip *c, const char *folder, ch4_err *err)
{
    char path[4096];
    ch4_eval_truth t = {0};
    c->n_query = IOU_POINTS + c->r->grid * c->r->grid * c->r->grid;
    ch4_status st = ch4_bench_truth_load(&c->truth, folder, err);
    if (c->o.n_point == 0) c->o.n_point = ch4_min_i64(c->truth.n_point, 100000);
    if (!st) st = ch4_calloc(&c->point, (size_t)c->o.n_point, 3 * sizeof(float), "samples", err);
    if (!st) st = ch4_calloc(&c->distance, (size_t)(c->o.n_point + c->truth.n_point), sizeof(double), "distances", err);
    if (!st) st = ch4_calloc(&c->query, (size_t)c->n_query, 3 * sizeof(float), "points", err);
    if (!st) st = ch4_calloc(&c->inside, (size_t)c->n_query, 1, "points", err);
    if (!st) fill_queries(c);
    snprintf(path, sizeof(path), "%s/gt.safetensors", folder);
    if (st || access(path, R_OK) != 0) return st;
    st = ch4_eval_truth_open(&t, folder, err);
    if (!st && t.n_frames < c->truth.n_frames) st = ch4_err_set(err, CH4_EFORMAT, "%s: fewer frames than surfaces.npy", path);
    if (!st) st = ch4_bench_meshes_of(&c->meshes, t.vert, c->truth.n_frames, t.n_vert, t.face, t.n_face, err);
    if (!st) st = ch4_calloc(&c->truly, (size_t)c->truth.n_frames, (size_t)c->n_query, "points", err);
    for (int64_t f = 0; !st && f < c->truth.n_frames; f++) st = occupy(c->truly + f * c->n_query, NULL, c, &c->meshes.frame[f], err);
    ch4_eval_truth_close(&t);
    return st;
}

static void free_clip(clip *c)
{
    ch4_bench_truth_fini(&c->truth);
    ch4_bench_meshes_fini(&c->meshes);
    free(c->query);
    free(c->inside);
    free(c->truly);
    free(c->point);
    free(c->distance);
}

static ch4_status add_frame(double *x, clip *c, const ch4_bench_mesh *m, int64_t frame, ch4_err *err)
{
    const double share = 1 / (double)c->truth.n_frames;
    int64_t n = c->o.n_point, n_gt = c->truth.n_point;
    ch4_shape_score s;
    ch4_status st = ch4_sample_surface(c->point, NULL, n, m->vert, m->face, m->n_face, c->o.seed + (uint64_t)frame, err);
    if (!st)
        st = ch4_compute_shape_score(&s, c->distance, c->distance + n, c->point, NULL, n, c->truth.point + 3 * frame * n_gt, NULL, n_gt, c->pool, err);
    if (st) return st;
    x[CD_L1] += share * (s.accuracy + s.completeness) / 2;
    x[CD_L2] += share * (s.accuracy2 + s.completeness2) / 2;
    for (int k = 0; k < THRESHOLDS; k++) x[F02 + k] += share * ch4_fscore(c->distance, n, c->distance + n, n_gt, THRESHOLD[k]);
    if (!c->truly) return CH4_OK;
    double undecided;
    const uint8_t *truly = c->truly + frame * c->n_query;
    st = occupy(c->inside, &undecided, c, m, err);
    x[IOU] += share * ch4_occupancy_iou(c->inside, truly, IOU_POINTS);
    x[IOU_GRID] += share * ch4_occupancy_iou(c->inside + IOU_POINTS, truly + IOU_POINTS, c->n_query - IOU_POINTS);
    x[UNDECIDED] += share * undecided;
    return st;
}

/* frame < 0: each frame of the meshes; else that one throughout. The meshes are moved by the alignment. */
static ch4_status score_meshes(double *x, clip *c, const ch4_bench_meshes *meshes, int64_t only, const ch4_affine *align, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (int k = 0; k < COLUMNS; k++) x[k] = k >= IOU && !c->truly ? (double)NAN : 0;
    for (int64_t f = 0; !st && f < c->truth.n_frames; f++) {
        ch4_bench_mesh m = meshes->frame[only < 0 ? f : only];
        const float *from = m.vert;
        m.vert = NULL;
        st = ch4_calloc(&m.vert, (size_t)m.n_vert, 3 * sizeof(float), "mesh", err);
        if (!st) ch4_affine_points(m.vert, align, from, m.n_vert);
        if (!st) st = add_frame(x, c, &m, f, err);
        free(m.vert);
        if (st) ch4_err_wrap(err, st, "frame %lld", (long long)f);
    }
    for (int k = 0; st && k < COLUMNS; k++) x[k] = NAN;
    return st;
}

static ch4_status score_result(const ch4_score_table *t, int64_t i, clip *c, const char *folder, ch4_err *err)
{
    ch4_bench_meshes meshes, surfaces = {0};
    ch4_affine align = CH4_AFFINE_IDENTITY;
    bool there = false;
    ch4_status st = ch4_bench_meshes_load(&meshes, folder, c->truth.n_frames, err);
    if (!st) st = ch4_bench_fit_first(&align, &meshes, &c->truth, &c->o, c->pool, err);
    if (!st) st = score_meshes(ch4_score_at(t, i, OURS), c, &meshes, -1, &align, err);
    if (!st) st = score_meshes(ch4_score_at(t, i, OWN_STATIC), c, &meshes, 0, &align, err);
    if (!st) st = ch4_bench_own_meshes(&surfaces, &there, &meshes, folder, CH4_BENCH_OWN_SURFACES, c->pool, err);
    if (!st && there) st = score_meshes(ch4_score_at(t, i, OWN_SURFACES), c, &surfaces, -1, &align, err);
    ch4_bench_meshes_fini(&meshes);
    ch4_bench_meshes_fini(&surfaces);
    return st;
}

typedef struct job {
    const ch4_eval_request *r;
    const ch4_eval_pairs *pairs;
    ch4_score_table table;
} job;

static void score_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    static const char *const ALIGN[] = {"public, frame 0", "uniform, frame 0", "none"};
    static const ch4_affine SAME = CH4_AFFINE_IDENTITY;
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    clip c = {.r = j->r, .o = j->r->bench, .pool = pool};
    ch4_err err = {0};
    ch4_status st = prepare(&c, pair->truth, &err);
    if (j->r->auto_align) c.o.align = c.truly ? CH4_BENCH_NONE : CH4_BENCH_PUBLIC;
    snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%s", ALIGN[c.o.align]);
    if (!st && c.truly) st = score_meshes(ch4_score_at(&j->table, i, ORACLE), &c, &c.meshes, -1, &SAME, &err);
    if (!st && c.truly) st = score_meshes(ch4_score_at(&j->table, i, STATIC), &c, &c.meshes, 0, &SAME, &err);
    if (!st && pair->result) st = score_result(&j->table, i, &c, pair->result, &err);
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    free_clip(&c);
}

ch4_status ch4_eval_shapes(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    static const char *const MESHES[] = {"mesh_*.glb", "vertices.npy", NULL};
    ch4_eval_pairs pairs;
    bool applied;
    if (!r->shape) return CH4_OK;
    ch4_status st = ch4_eval_pairs_for(&pairs, &applied, r, "surfaces.npy", MESHES, err);
    job j = {.r = r, .pairs = &pairs};
    if (!st && applied) {
        st = ch4_eval_table_for(&j.table, &FAMILY, &pairs, err);
        if (!st) ch4_eval_each_clip(r, "shapes", &j.table, score_clip, &j);
        if (!st) st = ch4_eval_report(out, r, &j.table, err);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}
