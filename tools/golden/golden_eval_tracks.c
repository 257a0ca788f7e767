/* Sections tapvid, badja, worldtrack, tapvid3d and pose: tracks in the picture and in space, camera trajectories. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden_eval.h"
#include "tools/eval/badja.h"
#include "tools/eval/camera_scores.h"
#include "tools/eval/tapvid.h"
#include "tools/eval/world_tracks.h"

/* prefix: "" or "<entry>." of expected */
static void expect_tapvid(ch4_golden_case *c, const ch4_tapvid_score *s, const char *prefix)
{
    char key[128];
    double tol = ch4_golden_eval_tol(c, "", 1e-9);
    const struct { const char *key; double value; } table[] = {
        {"occlusion_accuracy", s->occlusion_accuracy}, {"average_jaccard", s->average_jaccard}, {"average_pts_within_thresh", s->average_within}};
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, table[i].key);
        ch4_golden_expect(c, table[i].value, tol, key);
    }
    for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++) {
        snprintf(key, sizeof key, "%spts_within_%d", prefix, 1 << k);
        ch4_golden_expect(c, s->within[k], tol, key);
        snprintf(key, sizeof key, "%sjaccard_%d", prefix, 1 << k);
        ch4_golden_expect(c, s->jaccard[k], tol, key);
    }
}

typedef struct pixel_tracks {
    float *query, *gt, *pred;
    uint8_t *gt_occluded, *pred_occluded;
    int64_t n, n_frames;
} pixel_tracks;

static ch4_status load_pixel_tracks(ch4_golden_case *c, pixel_tracks *t, ch4_err *err)
{
    const char *name = ch4_golden_eval_name(c);
    int64_t q[3] = {0}, g[4] = {0}, p[4] = {0}, go[3] = {0}, po[3] = {0};
    ch4_status st = ch4_golden_eval_f32(c, &t->query, q, 3, 3, err, "%s.query_points", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &t->gt, g, 4, 2, err, "%s.gt_tracks", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &t->pred, p, 4, 2, err, "%s.pred_tracks", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &t->gt_occluded, go, 3, -1, err, "%s.gt_occluded", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &t->pred_occluded, po, 3, -1, err, "%s.pred_occluded", name);
    if (st != CH4_OK)
        return st;
    t->n = g[1];
    t->n_frames = g[2];
    bool fits = g[0] == 1 && q[0] == 1 && q[1] == t->n && memcmp(g, p, sizeof g) == 0 && memcmp(go, g, sizeof go) == 0 && memcmp(po, g, sizeof po) == 0;
    return fits ? CH4_OK : ch4_err_set(err, CH4_EFORMAT, "%s: sizes of the tracks differ", name);
}

/* The chosen queries, their tracks and occlusion against the record: raw tracks are named after the video, the case "<video>_<mode>". */
static ch4_status check_queries(ch4_golden_case *c, const pixel_tracks *t, ch4_tapvid_mode mode, ch4_err *err)
{
    const char *name = ch4_golden_eval_name(c), *end = strrchr(name, '_');
    float *raw = NULL;
    uint8_t *occluded = NULL;
    int32_t *track = NULL, *frame = NULL;
    int64_t r[3] = {0}, o[2] = {0};
    if (!end)
        return ch4_err_set(err, CH4_EFORMAT, "%s is not <video>_<mode>", name);
    ch4_status st = ch4_golden_eval_f32(c, &raw, r, 3, 2, err, "%.*s.raw_points", (int)(end - name), name);
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &occluded, o, 2, -1, err, "%.*s.raw_occluded", (int)(end - name), name);
    if (st == CH4_OK && (r[0] != o[0] || r[1] != o[1] || r[1] != t->n_frames))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: sizes of the raw tracks differ", name);
    size_t bound = st == CH4_OK ? (size_t)ch4_tapvid_queries_bound(r[0], r[1], mode) : 0;
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &track, bound, sizeof *track, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &frame, bound, sizeof *frame, err);
    if (st != CH4_OK)
        return st;
    int64_t n = ch4_tapvid_queries(track, frame, occluded, r[0], r[1], mode);
    double off = n == t->n ? 0 : INFINITY;
    int64_t moved = 0; /* the record rounds one query's track, after the queries were chosen, to land exactly on a threshold */
    for (int64_t i = 0; i < n && n == t->n; i++) {
        const float *at = raw + 2 * (track[i] * r[1] + frame[i]);
        off = fmax(off, fmax(fabs((double)t->query[3 * i] - frame[i]), fmax(fabs(t->query[3 * i + 1] - at[1] * 256.0), fabs(t->query[3 * i + 2] - at[0] * 256.0))));
        for (int64_t f = 0; f < r[1]; f++) {
            const float *p = raw + 2 * (track[i] * r[1] + f), *q = t->gt + 2 * (i * r[1] + f);
            moved += fmax(fabs(q[0] - p[0] * 256.0), fabs(q[1] - p[1] * 256.0)) > 1e-4;
            if (occluded[track[i] * r[1] + f] != t->gt_occluded[i * r[1] + f])
                off = INFINITY;
        }
    }
    ch4_golden_check_at_most(c, off, 1e-4, "queries and occlusion from the raw tracks");
    ch4_golden_check_at_most(c, (double)moved, (double)t->n_frames, "track entries unlike the raw tracks");
    return CH4_OK;
}

static ch4_status check_each_track(ch4_golden_case *c, const pixel_tracks *t, ch4_tapvid_mode mode, ch4_err *err)
{
    double *within, *jaccard;
    ch4_status st = ch4_golden_alloc(c, &within, (size_t)t->n, sizeof *within, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &jaccard, (size_t)t->n, sizeof *jaccard, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < t->n; i++) {
        ch4_track_counts k;
        int64_t at = i * t->n_frames;
        ch4_tapvid_count_track(&k, t->query + 3 * i, t->gt + 2 * at, t->gt_occluded + at, t->pred + 2 * at, t->pred_occluded + at, t->n_frames, mode);
        ch4_tapvid_score s = ch4_track_counts_score(&k);
        within[i] = s.average_within;
        jaccard[i] = s.average_jaccard;
    }
    double tol = ch4_golden_eval_tol(c, "", 1e-9);
    ch4_golden_check_close(c, within, t->n, tol, 0, "%s.trackwise_pts_within", ch4_golden_eval_name(c));
    ch4_golden_check_close(c, jaccard, t->n, tol, 0, "%s.trackwise_average_jaccard", ch4_golden_eval_name(c));
    return CH4_OK;
}

/* A query on the last frame leaves nothing to evaluate. */
static void check_last_frame_query(ch4_golden_case *c)
{
    enum { T = 8 };
    float query[3] = {T - 1, 10, 10}, track[2 * T] = {0};
    uint8_t occluded[T] = {0};
    ch4_tapvid_score s = ch4_compute_tapvid(query, track, occluded, track, occluded, 1, T, CH4_TAPVID_FIRST);
    expect_tapvid(c, &s, "");
}

ch4_status ch4_golden_eval_tapvid(ch4_golden_case *c, ch4_err *err)
{
    if (!c->io) {
        check_last_frame_query(c);
        return CH4_OK;
    }
    pixel_tracks t = {0};
    const char *word = json_string_value(ch4_golden_json(c, "args.query_mode"));
    ch4_tapvid_mode mode = word && strcmp(word, "strided") == 0 ? CH4_TAPVID_STRIDED : CH4_TAPVID_FIRST;
    ch4_status st = load_pixel_tracks(c, &t, err);
    if (st != CH4_OK)
        return st;
    ch4_tapvid_score s = ch4_compute_tapvid(t.query, t.gt, t.gt_occluded, t.pred, t.pred_occluded, t.n, t.n_frames, mode);
    expect_tapvid(c, &s, "");
    st = check_each_track(c, &t, mode, err);
    return st == CH4_OK ? check_queries(c, &t, mode, err) : st;
}

/* --- badja --------------------------------------------------------------------------------------------------------------------- */

static ch4_status check_badja_video(ch4_golden_case *c, const char *video, int height, int width, ch4_badja_score *score, ch4_err *err)
{
    char root[4096], key[256];
    float *pred = NULL;
    int64_t shape[3] = {0};
    double *joint = NULL, *visible = NULL;
    ch4_badja_video v;
    snprintf(root, sizeof root, "%s/badja", c->dir);
    ch4_status st = ch4_badja_load(&v, root, video, width, height, err);
    int64_t n = v.n_frames * CH4_BADJA_JOINTS;
    if (st == CH4_OK)
        st = ch4_golden_eval_f32(c, &pred, shape, 3, 2, err, "%s.pred", video);
    if (st == CH4_OK && (shape[0] != v.n_frames || shape[1] != CH4_BADJA_JOINTS))
        st = ch4_err_set(err, CH4_EFORMAT, "%s.pred does not have the frames of the video", video);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &joint, (size_t)n * 2, sizeof *joint, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &visible, (size_t)n, sizeof *visible, err);
    if (st == CH4_OK) {
        double tol = ch4_golden_eval_tol(c, "", 1e-4);
        for (int64_t i = 0; i < 2 * n; i++)
            joint[i] = v.joint[i];
        for (int64_t i = 0; i < n; i++)
            visible[i] = v.visible[i];
        ch4_golden_check_close(c, joint, 2 * n, tol, 0, "%s.gt", video);
        ch4_golden_check_close(c, visible, n, 0, 0, "%s.visible", video);
        ch4_golden_check_close(c, v.area, v.n_frames, 0, 0, "%s.mask_area", video);
        *score = ch4_compute_badja(pred, v.joint, v.visible, v.area, v.n_frames, CH4_BADJA_JOINTS);
        snprintf(key, sizeof key, "per_video.%s.segA", video);
        ch4_golden_expect(c, score->seg_a, tol, key);
        snprintf(key, sizeof key, "per_video.%s.delta_3px", video);
        ch4_golden_expect(c, score->delta_3px, tol, key);
    }
    ch4_badja_fini(&v);
    return st;
}

ch4_status ch4_golden_eval_badja(ch4_golden_case *c, ch4_err *err)
{
    const char *video;
    json_t *value, *all = ch4_golden_json(c, "expected.per_video");
    double seg_a = 0, delta = 0, n = (double)json_object_size(all), tol = ch4_golden_eval_tol(c, "", 1e-4);
    int height = (int)ch4_golden_int_or(c, "args.eval_resolution_hw.0", CH4_BADJA_HEIGHT), width = (int)ch4_golden_int_or(c, "args.eval_resolution_hw.1", CH4_BADJA_WIDTH);
    json_object_foreach(all, video, value) {
        ch4_badja_score s = {0};
        ch4_status st = check_badja_video(c, video, height, width, &s, err);
        if (st != CH4_OK)
            return st;
        seg_a += s.seg_a / n;
        delta += s.delta_3px / n;
    }
    ch4_golden_expect(c, seg_a, tol, "segA");
    ch4_golden_expect(c, delta, tol, "delta_3px");
    return CH4_OK;
}

/* --- tracks in space -------------------------------------------------------------------------------------------------------------- */

static ch4_status check_world(ch4_golden_case *c, const double *pred, const double *gt, const uint8_t *chosen, const int64_t shape[3], const char *set,
                              ch4_world_align align, const char *align_name, ch4_err *err)
{
    ch4_world_score s, other = {0};
    char key[128];
    double tol = ch4_golden_eval_tol(c, "", 1e-7);
    ch4_status st = ch4_compute_world_score(&s, pred, gt, chosen, shape[0], shape[1], ch4_apd_threshold, align, true, err);
    if (st == CH4_OK)
        st = ch4_compute_world_score(&other, pred, gt, chosen, shape[0], shape[1], ch4_apd_threshold, align, false, err);
    if (st != CH4_OK)
        return st;
    double det = s.R[0] * (s.R[4] * s.R[8] - s.R[5] * s.R[7]) - s.R[1] * (s.R[3] * s.R[8] - s.R[5] * s.R[6]) + s.R[2] * (s.R[3] * s.R[7] - s.R[4] * s.R[6]);
    const struct { const char *key; double value; } table[] = {{"apd", s.apd}, {"epe", s.epe}, {"scale", s.scale}, {"det_R", det}, {"fractions.1", s.within[0]},
                                                               {"fractions.2", s.within[1]}, {"fractions.4", s.within[2]}, {"fractions.8", s.within[3]}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        snprintf(key, sizeof key, "%s.%s", set, align_name); /* one key with a dot in it */
        json_t *at = json_object_get(json_object_get(c->config, "expected"), key), *fractions = json_object_get(at, "fractions");
        const char *dot = strchr(table[i].key, '.');
        json_t *number = dot ? json_object_get(fractions, dot + 1) : json_object_get(at, table[i].key);
        double x = json_is_number(number) ? json_number_value(number) : (double)INFINITY;
        ch4_golden_check_values(c, &table[i].value, &x, 1, tol, 0, "%s.%s", key, table[i].key);
    }
    if (align != CH4_WORLD_SIM3)
        return CH4_OK;
    ch4_golden_check_close(c, s.R, 9, tol, 0, "%s.%s.sim3_R", ch4_golden_eval_name(c), set);
    ch4_golden_check_close(c, s.t, 3, tol, 0, "%s.%s.sim3_t", ch4_golden_eval_name(c), set);
    ch4_golden_check_true(c, s.reflected == json_is_true(ch4_golden_json(c, "expected.reflection_branch_taken")), "%s: reflected", set);
    ch4_golden_check_true(c, s.reflected ? other.epe < s.epe : other.epe == s.epe, "%s: the correct scale fits no worse", set);
    return CH4_OK;
}

ch4_status ch4_golden_eval_worldtrack(ch4_golden_case *c, ch4_err *err)
{
    static const struct { ch4_world_align align; const char *name; } ALIGN[] = {
        {CH4_WORLD_GLOBAL, "global"}, {CH4_WORLD_PER_TRACK, "per_traj"}, {CH4_WORLD_SIM3, "sim3_closed"}};
    const char *name = ch4_golden_eval_name(c);
    double *pred = NULL, *gt = NULL;
    uint8_t *dynamic = NULL, *ours = NULL;
    int64_t p[3] = {0}, g[3] = {0}, d[1] = {0};
    ch4_status st = ch4_golden_eval_f64(c, &pred, p, 3, 3, err, "%s.pred", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &gt, g, 3, 3, err, "%s.gt", name);
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &dynamic, d, 1, -1, err, "%s.dynamic", name);
    if (st == CH4_OK && (memcmp(p, g, sizeof p) != 0 || d[0] != g[1]))
        st = ch4_err_set(err, CH4_EFORMAT, "%s: sizes of the tracks differ", name);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &ours, (size_t)g[1], 1, err);
    if (st == CH4_OK) {
        ch4_world_dynamic(ours, gt, g[0], g[1]);
        ch4_golden_check_true(c, memcmp(ours, dynamic, (size_t)g[1]) == 0, "%s.dynamic", name);
    }
    for (int i = 0; st == CH4_OK && i < 3; i++) {
        st = check_world(c, pred, gt, NULL, g, "all", ALIGN[i].align, ALIGN[i].name, err);
        if (st == CH4_OK)
            st = check_world(c, pred, gt, dynamic, g, "dyn", ALIGN[i].align, ALIGN[i].name, err);
    }
    return st;
}

ch4_status ch4_golden_eval_tapvid3d(ch4_golden_case *c, ch4_err *err)
{
    static const struct { const char *name; ch4_tapvid3d_scaling scaling; bool fixed; } TABLE[] = {
        {"median", CH4_TAPVID3D_MEDIAN, false},  {"median_fixed", CH4_TAPVID3D_MEDIAN, true}, {"mean", CH4_TAPVID3D_MEAN, false},
        {"per_trajectory", CH4_TAPVID3D_PER_TRACK, false}, {"none", CH4_TAPVID3D_NONE, false}, {"reproduce_2d", CH4_TAPVID3D_REPRODUCE_2D, false}};
    double *gt = NULL, *pred = NULL, *query = NULL, *camera = NULL;
    uint8_t *gt_occluded = NULL, *pred_occluded = NULL;
    int64_t g[3] = {0}, p[3] = {0}, q[2] = {0}, k[1] = {0}, go[2] = {0}, po[2] = {0};
    ch4_status st = ch4_golden_eval_f64(c, &gt, g, 3, 3, err, "gt_tracks");
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &pred, p, 3, 3, err, "pred_tracks");
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &query, q, 2, 3, err, "query_points_tyx");
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &camera, k, 1, 4, err, "fx_fy_cx_cy");
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &gt_occluded, go, 2, -1, err, "gt_occluded");
    if (st == CH4_OK)
        st = ch4_golden_eval_u8(c, &pred_occluded, po, 2, -1, err, "pred_occluded");
    if (st == CH4_OK && (memcmp(p, g, sizeof p) != 0 || q[0] != g[0] || memcmp(go, g, sizeof go) != 0 || memcmp(po, g, sizeof po) != 0))
        st = ch4_err_set(err, CH4_EFORMAT, "sizes of the tracks differ");
    for (size_t i = 0; st == CH4_OK && i < sizeof TABLE / sizeof *TABLE; i++) {
        ch4_tapvid_score s;
        char prefix[64];
        st = ch4_compute_tapvid3d(&s, query, gt, gt_occluded, pred, pred_occluded, g[0], g[1], camera, TABLE[i].fixed, TABLE[i].scaling, err);
        snprintf(prefix, sizeof prefix, "%s.", TABLE[i].name);
        if (st == CH4_OK)
            expect_tapvid(c, &s, prefix);
    }
    return st;
}

/* --- pose ------------------------------------------------------------------------------------------------------------------------- */

static void expect_statistics(ch4_golden_case *c, const ch4_statistics *s, const char *align, const char *name)
{
    const struct { const char *key; double value; } table[] = {{"rmse", s->rmse}, {"mean", s->mean}, {"median", s->median}, {"std", s->std},
                                                               {"min", s->min}, {"max", s->max}, {"sse", s->sse}};
    for (int i = 0; i < 7; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%s.%s", align, name, table[i].key);
        ch4_golden_expect(c, table[i].value, ch4_golden_eval_tol(c, "", 1e-8), key);
    }
}

static void expect_alignment(ch4_golden_case *c, const ch4_trajectory_score *s, const char *align)
{
    char key[128];
    double tol = ch4_golden_eval_tol(c, "", 1e-8);
    snprintf(key, sizeof key, "%s_alignment.scale", align);
    ch4_golden_expect(c, s->scale, tol, key);
    for (int i = 0; i < 12; i++) {
        if (i < 9)
            snprintf(key, sizeof key, "%s_alignment.R.%d.%d", align, i / 3, i % 3);
        else
            snprintf(key, sizeof key, "%s_alignment.t.%d", align, i - 9);
        ch4_golden_expect(c, i < 9 ? s->R[i] : s->t[i - 9], tol, key);
    }
}

ch4_status ch4_golden_eval_pose(ch4_golden_case *c, ch4_err *err)
{
    static const char *const ALIGN[] = {"none", "se3", "sim3"};
    double *gt = NULL, *pred = NULL;
    int64_t g[3] = {0}, p[3] = {0};
    ch4_status st = ch4_golden_eval_f64(c, &gt, g, 3, 4, err, "gt_c2w");
    if (st == CH4_OK)
        st = ch4_golden_eval_f64(c, &pred, p, 3, 4, err, "pred_c2w");
    if (st == CH4_OK && (memcmp(g, p, sizeof g) != 0 || g[1] != 4))
        st = ch4_err_set(err, CH4_EFORMAT, "sizes of the trajectories differ");
    for (int a = 0; st == CH4_OK && a < 3; a++) {
        ch4_trajectory_score s;
        st = ch4_compute_trajectory(&s, pred, gt, g[0], (ch4_trajectory_align)a, err);
        if (st != CH4_OK)
            break;
        expect_statistics(c, &s.ate_translation, ALIGN[a], "ate_trans");
        expect_statistics(c, &s.ate_rotation, ALIGN[a], "ate_rot_deg");
        expect_statistics(c, &s.rpe_translation, ALIGN[a], "rpe_trans");
        expect_statistics(c, &s.rpe_rotation, ALIGN[a], "rpe_rot_deg");
        if (a > 0)
            expect_alignment(c, &s, ALIGN[a]);
    }
    return st;
}
