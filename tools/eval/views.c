/* Tracks of a run: points of its moving mesh seen through its cameras, in 2D (TAP-Vid) and in 3D (WorldTrack). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/eval/bench_baselines.h"
#include "tools/eval/eval_clip.h"
#include "tools/eval/eval_tracks.h"
#include "tools/eval/families.h"
#include "tools/eval/run_view.h"
#include "tools/eval/world_tracks.h"

enum { OURS, ORACLE, STILL, VISIBLE, CHAINED, OWN_CHAINED, METHODS };
enum { AJ, DELTA, OA, APD, TIGHT, EPE, COVERAGE, COLUMNS };

static const char *const METHOD[METHODS] = {"ours", "oracle", "static_point", "always_visible", "nearest_chained", "own_nearest_chained"};
static const ch4_score_column COLUMN[COLUMNS] = {{"aj", "AJ", 2, "AJ"},           {"delta_avg", "delta", 2, NULL},       {"oa", "OA", 2, NULL},
                                                {"apd3d", "APD3D", 2, NULL}, {"apd3d_tight", "tight", 2, NULL}, {"epe", "EPE", 4, NULL}, {"coverage", "cover", 3, NULL}};
static const ch4_score_family FAMILY = {
    .key = "views",
    .about = "Tracks of mesh points through the run's cameras. 2D: TAP-Vid, query at the first visible frame, 256 x 256, percent. 3D: WorldTrack on moving points that\n"
             "are visible in frame 0, one scale for all, world = first camera; tight: thresholds for single objects; EPE in units of the truth; cover: share of queries\n"
             "that meet the mesh, the others count as misses. static_point: the query's place kept; always_visible: ours, never occluded; nearest_chained: carried to\n"
             "the nearest point of the true surface from frame to frame, own_: of the run's own surface, seen by its own cameras; these three never occluded.\n",
    .note = "queries",
    .column = COLUMN,
    .n_column = COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = STILL,
};

/* One clip. Queries of the 2D scores are the first n; those of the 3D scores, visible in frame 0, are marked. */
typedef struct clip {
    ch4_truth_view truth;
    ch4_run_view run;
    int64_t n, n_frames;
    int32_t *which, *when;    /* [n] */
    float *query;             /* [n,3] raster */
    float *gt, *track;        /* [n,F,2] raster */
    uint8_t *occluded, *flag; /* [n,F] of the truth; of a prediction */
    ch4_view_anchor *anchor;  /* [n] */
    double *gt_world, *world; /* [F,n,3] */
    uint8_t *chosen;          /* [n] moving, visible in frame 0 */
    double *object;           /* [F,n,3] a prediction in object space */
} clip;

static void free_clip(clip *c)
{
    ch4_truth_view_close(&c->truth);
    ch4_run_view_fini(&c->run);
    free(c->which);
    free(c->when);
    free(c->query);
    free(c->gt);
    free(c->track);
    free(c->occluded);
    free(c->flag);
    free(c->anchor);
    free(c->gt_world);
    free(c->world);
    free(c->chosen);
    free(c->object);
}

static ch4_status alloc_clip(clip *c, ch4_err *err)
{
    size_t n = (size_t)c->truth.n, all = n * (size_t)c->n_frames;
    ch4_status st = ch4_calloc(&c->which, n, sizeof(*c->which), "queries", err);
    if (!st) st = ch4_calloc(&c->when, n, sizeof(*c->when), "queries", err);
    if (!st) st = ch4_calloc(&c->query, n, 3 * sizeof(*c->query), "queries", err);
    if (!st) st = ch4_calloc(&c->gt, all, 2 * sizeof(*c->gt), "tracks", err);
    if (!st) st = ch4_calloc(&c->track, all, 2 * sizeof(*c->track), "tracks", err);
    if (!st) st = ch4_calloc(&c->occluded, all, 1, "tracks", err);
    if (!st) st = ch4_calloc(&c->flag, all, 1, "tracks", err);
    if (!st) st = ch4_calloc(&c->anchor, n, sizeof(*c->anchor), "queries", err);
    if (!st) st = ch4_calloc(&c->gt_world, all, 3 * sizeof(double), "tracks", err);
    if (!st) st = ch4_calloc(&c->world, all, 3 * sizeof(double), "tracks", err);
    if (!st) st = ch4_calloc(&c->object, all, 3 * sizeof(double), "tracks", err);
    return st ? st : ch4_calloc(&c->chosen, n, 1, "queries", err);
}

static double *at(double *paths, const clip *c, int64_t frame, int64_t i) { return paths + 3 * (frame * c->n + i); }

static void to_camera(double out[3], const double *R, const double *t, const double x[3])
{
    for (int k = 0; k < 3; k++) out[k] = R[3 * k] * x[0] + R[3 * k + 1] * x[1] + R[3 * k + 2] * x[2] + t[k];
}

/* The truth's queries and paths. */
static void choose(clip *c)
{
    const ch4_truth_view *t = &c->truth;
    int64_t F = c->n_frames;
    c->n = ch4_tapvid_queries(c->which, c->when, t->occluded, t->n, F, CH4_TAPVID_FIRST);
    for (int64_t i = 0; i < c->n; i++) {
        const float *track = t->point + 2 * c->which[i] * F, *q = track + 2 * c->when[i];
        for (int64_t k = 0; k < 2 * F; k++) c->gt[2 * i * F + k] = track[k] * CH4_TAPVID_RASTER;
        memcpy(c->occluded + i * F, t->occluded + c->which[i] * F, (size_t)F);
        c->query[3 * i] = (float)c->when[i], c->query[3 * i + 1] = q[1] * CH4_TAPVID_RASTER, c->query[3 * i + 2] = q[0] * CH4_TAPVID_RASTER;
        for (int64_t f = 0; t->xyz && f < F; f++) {
            double x[3];
            ch4_truth_view_point(x, t, c->which[i], f);
            to_camera(at(c->gt_world, c, f, i), t->R, t->t, x);
        }
    }
    if (t->xyz) ch4_world_dynamic(c->chosen, c->gt_world, F, c->n);
    for (int64_t i = 0; i < c->n; i++) c->chosen[i] = c->chosen[i] && c->when[i] == 0;
}

/* --- scores of one prediction ------------------------------------------------------------------------------------------------------------------- */

static void score_2d(double *x, const clip *c, const float *track, const uint8_t *occluded)
{
    ch4_tapvid_score s = ch4_compute_tapvid(c->query, c->gt, c->occluded, track, occluded, c->n, c->n_frames, CH4_TAPVID_FIRST);
    if (isnan(s.occlusion_accuracy) || isnan(s.average_within)) return;
    x[AJ] = 100 * s.average_jaccard, x[DELTA] = 100 * s.average_within, x[OA] = 100 * s.occlusion_accuracy;
}

static ch4_status score_3d(double *x, const clip *c, const double *world, const ch4_view_anchor *anchor, bool compat, ch4_err *err)
{
    ch4_world_score s, tight;
    uint8_t *seen = NULL;
    int64_t wanted = 0, found = 0;
    ch4_status st = ch4_calloc(&seen, (size_t)c->n, 1, "queries", err);
    for (int64_t i = 0; !st && i < c->n; i++) {
        seen[i] = c->chosen[i] && (!anchor || anchor[i].hit);
        wanted += c->chosen[i] != 0, found += seen[i] != 0;
    }
    double share = wanted ? (double)found / (double)wanted : NAN;
    if (!st && found) st = ch4_compute_world_score(&s, world, c->gt_world, seen, c->n_frames, c->n, ch4_apd_threshold, CH4_WORLD_GLOBAL, compat, err);
    if (!st && found) st = ch4_compute_world_score(&tight, world, c->gt_world, seen, c->n_frames, c->n, ch4_apd_threshold_tight, CH4_WORLD_GLOBAL, compat, err);
    if (!st && found) x[APD] = 100 * share * s.apd, x[TIGHT] = 100 * share * tight.apd, x[EPE] = s.epe;
    if (!st && wanted) x[COVERAGE] = share;
    if (!st && wanted && !found) x[APD] = x[TIGHT] = 0;
    free(seen);
    return st;
}

/* Where paths in object space are seen by the scene's cameras (pixels of a picture of its size), and in its first camera. */
static void see(clip *c, const double *K, const double *R, const double *t, double width, double height)
{
    const ch4_view_scene s = {.K = K, .R = R, .t = t, .n_frames = c->n_frames, .width = width, .height = height};
    for (int64_t f = 0; f < c->n_frames; f++)
        for (int64_t i = 0; i < c->n; i++) {
            double p[3], *x = at(c->object, c, f, i);
            ch4_view_project(p, &s, f, x);
            c->track[2 * (i * c->n_frames + f)] = (float)(p[0] * CH4_TAPVID_RASTER / width);
            c->track[2 * (i * c->n_frames + f) + 1] = (float)(p[1] * CH4_TAPVID_RASTER / height);
            to_camera(at(c->world, c, f, i), R, t, x);
        }
}

/* --- predictions ------------------------------------------------------------------------------------------------------------------------------------ */

static ch4_status score_trivial(ch4_score_table *table, int64_t clip_index, clip *c, bool compat, ch4_err *err)
{
    int64_t F = c->n_frames;
    ch4_status st = CH4_OK;
    score_2d(ch4_score_at(table, clip_index, ORACLE), c, c->gt, c->occluded);
    memset(c->flag, 0, (size_t)(c->n * F));
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t f = 0; f < F; f++) {
            memcpy(c->track + 2 * (i * F + f), c->gt + 2 * (i * F + c->when[i]), 2 * sizeof(float));
            memcpy(at(c->world, c, f, i), at(c->gt_world, c, c->when[i], i), 3 * sizeof(double));
        }
    score_2d(ch4_score_at(table, clip_index, STILL), c, c->track, c->flag);
    if (c->truth.xyz) st = score_3d(ch4_score_at(table, clip_index, ORACLE), c, c->gt_world, NULL, compat, err);
    if (!st && c->truth.xyz) st = score_3d(ch4_score_at(table, clip_index, STILL), c, c->world, NULL, compat, err);
    return st;
}

/* Fills c->object from the paths of the queries' points: known at the query's frame, then each frame the nearest point of a surface to the place in the frame
 * before; before the query's frame it stays (those frames do not count). */
static void carry(clip *c, int64_t f, const float *near)
{
    for (int64_t i = 0; i < c->n; i++) {
        if (f <= c->when[i]) continue;
        for (int k = 0; k < 3; k++) at(c->object, c, f, i)[k] = near[3 * i + k];
    }
}

static void start(float *before, const clip *c, int64_t f)
{
    for (int64_t i = 0; i < c->n; i++)
        for (int k = 0; k < 3; k++) before[3 * i + k] = (float)at(c->object, c, f, i)[k];
}

static ch4_status score_chained(ch4_score_table *table, int64_t clip_index, clip *c, const char *folder, bool compat, ch4_pool *pool, ch4_err *err)
{
    ch4_eval_truth mesh = {0};
    float *place = NULL;
    double *x = ch4_score_at(table, clip_index, CHAINED);
    if (!c->truth.xyz) return CH4_OK;
    ch4_status st = ch4_eval_truth_open(&mesh, folder, err);
    if (!st) st = ch4_calloc(&place, (size_t)c->n, 6 * sizeof(*place), "tracks", err);
    for (int64_t i = 0; !st && i < c->n; i++)
        for (int64_t f = 0; f < c->n_frames; f++) ch4_truth_view_point(at(c->object, c, f, i), &c->truth, c->which[i], c->when[i]);
    for (int64_t f = 1; !st && f < c->n_frames; f++) {
        start(place, c, f - 1);
        st = ch4_eval_nearest_on_mesh(place + 3 * c->n, NULL, NULL, place, c->n, mesh.vert + 3 * f * mesh.n_vert, mesh.face, mesh.n_face, pool, err);
        if (!st) carry(c, f, place + 3 * c->n);
    }
    if (!st) {
        const double *K = c->truth.K; /* the principal point is the middle of the picture */
        see(c, K, c->truth.R, c->truth.t, 2 * K[2], 2 * K[5]);
        memset(c->flag, 0, (size_t)(c->n * c->n_frames));
        score_2d(x, c, c->track, c->flag);
        st = score_3d(x, c, c->world, NULL, compat, err);
    }
    free(place);
    ch4_eval_truth_close(&mesh);
    return st;
}

static ch4_status score_own_chained(double *x, clip *c, const char *folder, bool compat, ch4_pool *pool, ch4_err *err)
{
    ch4_eval_result run = {0};
    const ch4_view_scene *s = &c->run.scene;
    float *place = NULL;
    ch4_status st = ch4_eval_result_load(&run, folder, err);
    if (!st) st = ch4_calloc(&place, (size_t)c->n, 6 * sizeof(*place), "tracks", err);
    if (!st && run.surface) {
        for (int64_t i = 0; i < c->n; i++)
            for (int64_t f = 0; f < c->n_frames; f++) ch4_view_place(at(c->object, c, f, i), s, c->when[i], &c->anchor[i]);
        for (int64_t f = 1; !st && f < c->n_frames; f++) {
            start(place, c, f - 1);
            st = ch4_eval_nearest_in_cloud(place + 3 * c->n, place, c->n, run.surface + 3 * run.surface_begin[f],
                                           run.surface_begin[f + 1] - run.surface_begin[f], pool, err);
            if (!st) carry(c, f, place + 3 * c->n);
        }
        see(c, s->K, s->R, s->t, s->width, s->height);
        memset(c->flag, 0, (size_t)(c->n * c->n_frames));
        score_2d(x, c, c->track, c->flag);
        if (!st && c->truth.xyz) st = score_3d(x, c, c->world, c->anchor, compat, err);
    }
    free(place);
    ch4_eval_result_fini(&run);
    return st;
}

static ch4_status score_run(ch4_score_table *table, int64_t clip_index, clip *c, bool compat, ch4_err *err)
{
    const ch4_view_scene *s = &c->run.scene;
    double *x = ch4_score_at(table, clip_index, OURS), *visible = ch4_score_at(table, clip_index, VISIBLE);
    ch4_status st = ch4_view_anchors(c->anchor, s, c->query, c->n, err);
    for (int64_t i = 0; !st && i < c->n; i++)
        for (int64_t f = 0; f < c->n_frames; f++) ch4_view_place(at(c->object, c, f, i), s, f, &c->anchor[i]);
    if (!st) {
        see(c, s->K, s->R, s->t, s->width, s->height);
        if (c->truth.xyz) st = score_3d(x, c, c->world, c->anchor, compat, err);
    }
    if (!st) st = ch4_view_tracks(c->track, c->flag, s, c->anchor, c->n, err);
    if (st) return st;
    score_2d(x, c, c->track, c->flag);
    memset(c->flag, 0, (size_t)(c->n * c->n_frames));
    score_2d(visible, c, c->track, c->flag);
    return CH4_OK;
}

/* --- family ----------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct job {
    const ch4_eval_request *r;
    const ch4_eval_pairs *pairs;
    ch4_score_table table;
} job;

static void score_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    ch4_err err = {0};
    clip c = {0};
    bool compat = j->r->compat;
    ch4_status st = ch4_truth_view_open(&c.truth, pair->truth, &err);
    c.n_frames = c.truth.n_frames;
    if (!st) st = alloc_clip(&c, &err);
    if (!st) {
        choose(&c);
        snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%lld", (long long)c.n);
        st = score_trivial(&j->table, i, &c, compat, &err);
    }
    if (!st) st = score_chained(&j->table, i, &c, pair->truth, compat, pool, &err);
    if (!st && pair->result) {
        st = ch4_run_view_load(&c.run, pair->result, c.n_frames, &err);
        if (!st) st = score_run(&j->table, i, &c, compat, &err);
        if (!st) st = score_own_chained(ch4_score_at(&j->table, i, OWN_CHAINED), &c, pair->result, compat, pool, &err);
    }
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    free_clip(&c);
}

ch4_status ch4_eval_views(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    static const char *const CAMERAS[] = {"cameras.json", NULL};
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_eval_pairs_for(&pairs, &applied, r, "gt.safetensors", CAMERAS, err);
    job j = {.r = r, .pairs = &pairs};
    if (!st && applied) {
        st = ch4_eval_table_for(&j.table, &FAMILY, &pairs, err);
        if (!st) ch4_eval_each_clip(r, "views", &j.table, score_clip, &j);
        if (!st) st = ch4_eval_report(out, r, &j.table, err);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}
