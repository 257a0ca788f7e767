#include "tools/eval/bench_run.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/mesh.h"
#include "tools/eval/drift.h"

static const ch4_score_column COLUMN[CH4_BENCH_COLUMNS] = {
    {"cd_3d", "CD-3D", 4, "CD-3D"},  {"cd_4d", "CD-4D", 4, "CD-4D"},      {"cd_motion", "CD-M", 4, "CD-M"}, {"nc_gt", "NC-GT", 4, "normal consistency"},
    {"nc_signed", "NC-sgn", 4, NULL}, {"nc_mesh", "NC-mesh", 4, NULL}, {"floor", "floor", 4, NULL},
};

const ch4_score_family ch4_bench_family = {
    .key = "bench",
    .about = "Surfaces. CD: sum of the two mean nearest distances, not squared; CD-3D with each frame aligned, CD-4D and CD-M with the alignment of frame 0. CD-M\n"
             "compares the same points through time: a method must beat static and nearest_chained there. own_*: from the result's own frame 0 and surfaces,\n"
             "aligned as the result; the other baselines come from the truth. floor: what two samplings of one surface score.\n",
    .note = "align",
    .column = COLUMN,
    .n_column = CH4_BENCH_COLUMNS,
    .method = ch4_bench_method_name,
    .n_method = CH4_BENCH_METHODS,
    .fallback = CH4_BENCH_STATIC,
};

static const char *const ALIGN[] = {"public", "uniform", "none"};

typedef struct job {
    const ch4_eval_request *r;
    const ch4_eval_pairs *pairs;
    ch4_score_table table;
    ch4_bench_curves *curves;
} job;

/* One clip at work. */
typedef struct clip {
    job *j;
    int64_t i;
    ch4_pool *pool;
    ch4_bench_truth truth;
    ch4_bench_options o, plain; /* of the result; of trivial predictions that come from the truth */
} clip;

static void keep(clip *c, ch4_bench_method m, const ch4_bench_score *s)
{
    const double x[CH4_BENCH_COLUMNS] = {s->cd_3d, s->cd_4d, s->cd_motion, s->nc_gt, s->nc_signed, s->nc_mesh, s->floor};
    memcpy(ch4_score_at(&c->j->table, c->i, m), x, sizeof(x));
}

static ch4_status new_curve(double **curve, clip *c, ch4_bench_method m, ch4_err *err)
{
    ch4_bench_curves *to = &c->j->curves[c->i];
    to->n_frames = c->truth.n_frames;
    ch4_status st = ch4_calloc(&to->of[m], (size_t)c->truth.n_frames, CH4_BENCH_CURVES * sizeof(double), "curves", err);
    *curve = to->of[m];
    return st;
}

/* For meshes that share their faces without anybody being meant to know. */
static void hide_motion(clip *c, ch4_bench_method m)
{
    ch4_score_at(&c->j->table, c->i, m)[CH4_BENCH_COLUMN_CD_MOTION] = NAN;
    for (int64_t f = 0; f < c->truth.n_frames; f++) c->j->curves[c->i].of[m][CH4_BENCH_CD_MOTION * c->truth.n_frames + f] = NAN;
}

static ch4_status score_meshes(clip *c, ch4_bench_method m, const ch4_bench_meshes *meshes, const ch4_bench_options *o, ch4_err *err)
{
    ch4_bench_score s;
    ch4_bench_trace trace = {0};
    ch4_status st = new_curve(&trace.curve, c, m, err);
    if (!st) st = ch4_compute_bench_score(&s, meshes, &c->truth, o, &trace, c->pool, err);
    if (!st) keep(c, m, &s);
    if (!st && m == CH4_BENCH_QUARTERS) hide_motion(c, m);
    if (st) free(c->j->curves[c->i].of[m]), c->j->curves[c->i].of[m] = NULL;
    return st;
}

/* --- trivial predictions -------------------------------------------------------------------------------------------------------------------------- */

static bool from_truth(ch4_bench_method m, int64_t n_frames)
{
    if (m == CH4_BENCH_FROZEN || m == CH4_BENCH_DRIFT) return n_frames > CH4_BENCH_WINDOW;
    return m != CH4_BENCH_OURS && !(m >= CH4_BENCH_OWN_STATIC && m <= CH4_BENCH_OWN_SURFACES);
}

/* The true meshes again, of which nobody knows that they share their faces. */
static ch4_status per_frame_baseline(clip *c, ch4_err *err)
{
    const ch4_score_table *t = &c->j->table;
    double *curve;
    ch4_status st = new_curve(&curve, c, CH4_BENCH_PER_FRAME, err);
    if (st) return st;
    memcpy(curve, c->j->curves[c->i].of[CH4_BENCH_ORACLE], (size_t)c->truth.n_frames * CH4_BENCH_CURVES * sizeof(*curve));
    memcpy(ch4_score_at(t, c->i, CH4_BENCH_PER_FRAME), ch4_score_at(t, c->i, CH4_BENCH_ORACLE), CH4_BENCH_COLUMNS * sizeof(double));
    hide_motion(c, CH4_BENCH_PER_FRAME);
    return CH4_OK;
}

static ch4_status mesh_baselines(clip *c, const char *folder, ch4_err *err)
{
    ch4_eval_truth t;
    float *vert = NULL;
    ch4_status st = ch4_eval_truth_open(&t, folder, err);
    if (st) return st;
    if (t.n_frames < c->truth.n_frames)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: gt.safetensors has %lld frames, surfaces.npy %lld", folder, (long long)t.n_frames, (long long)c->truth.n_frames);
    if (!st) st = ch4_calloc(&vert, (size_t)t.n_frames * (size_t)t.n_vert, 3 * sizeof(float), "baseline", err);
    for (int m = 0; !st && m < CH4_BENCH_METHODS; m++) {
        ch4_bench_meshes meshes = {0};
        if (m == CH4_BENCH_PER_FRAME || !from_truth((ch4_bench_method)m, c->truth.n_frames)) continue;
        st = ch4_bench_baseline_vertices(vert, &t, (ch4_bench_method)m, c->o.seed, err);
        if (!st) st = ch4_bench_meshes_of(&meshes, vert, t.n_frames, t.n_vert, t.face, t.n_face, err);
        if (!st) st = score_meshes(c, (ch4_bench_method)m, &meshes, &c->plain, err);
        ch4_bench_meshes_fini(&meshes);
    }
    if (!st) st = per_frame_baseline(c, err);
    free(vert);
    ch4_eval_truth_close(&t);
    return st;
}

static ch4_status cloud_baselines(clip *c, ch4_err *err)
{
    static const ch4_bench_method WHICH[] = {CH4_BENCH_STATIC, CH4_BENCH_CHAINED};
    ch4_status st = CH4_OK;
    for (int i = 0; !st && i < 2; i++) {
        ch4_bench_score s;
        double *curve;
        st = new_curve(&curve, c, WHICH[i], err);
        if (!st) st = ch4_bench_cloud_baseline(&s, curve, &c->truth, WHICH[i], &c->plain, c->pool, err);
        if (!st) keep(c, WHICH[i], &s);
    }
    return st;
}

static ch4_status own_baselines(clip *c, const ch4_bench_meshes *result, const char *folder, ch4_err *err)
{
    ch4_status st = CH4_OK;
    for (int m = CH4_BENCH_OWN_STATIC; !st && m <= CH4_BENCH_OWN_SURFACES; m++) {
        ch4_bench_meshes meshes;
        bool there;
        st = ch4_bench_own_meshes(&meshes, &there, result, folder, (ch4_bench_method)m, c->pool, err);
        if (!st && there) st = score_meshes(c, (ch4_bench_method)m, &meshes, &c->o, err);
        if (!st && there && m == CH4_BENCH_OWN_SURFACES) hide_motion(c, CH4_BENCH_OWN_SURFACES);
        ch4_bench_meshes_fini(&meshes);
    }
    return st;
}

/* --- the result ------------------------------------------------------------------------------------------------------------------------------------- */

/* True if the true points of the ping-pong's second round lie where they lay in the first. */
static bool comes_back(const ch4_bench_truth *t, int64_t period)
{
    if (t->n_frames <= period) return false;
    for (int64_t i = 0; i < 3 * t->n_point; i++)
        if (fabsf(t->point[3 * period * t->n_point + i] - t->point[i]) > 1e-5f) return false;
    return true;
}

static ch4_status closure(clip *c, const ch4_bench_meshes *m, ch4_err *err)
{
    ch4_bench_curves *to = &c->j->curves[c->i];
    int64_t period = 2 * (CH4_BENCH_WINDOW - 1), n_vert = m->frame[0].n_vert, n = (m->n_frames - 1) / period;
    float *vert = NULL;
    if (!comes_back(&c->truth, period) || !ch4_bench_same_topology(NULL, m)) return CH4_OK;
    ch4_status st = ch4_calloc(&vert, (size_t)(m->n_frames * n_vert), 3 * sizeof(*vert), "closure", err);
    if (!st) st = ch4_calloc(&to->closure, (size_t)n, sizeof(*to->closure), "closure", err);
    for (int64_t f = 0; !st && f < m->n_frames; f++) memcpy(vert + 3 * f * n_vert, m->frame[f].vert, (size_t)n_vert * 3 * sizeof(*vert));
    if (!st) {
        ch4_drift_closure(to->closure, vert, m->n_frames, n_vert, CH4_BENCH_WINDOW, ch4_mesh_diagonal(vert, n_vert));
        to->n_closure = n;
    }
    free(vert);
    return st;
}

static ch4_status score_result(clip *c, const char *folder, ch4_err *err)
{
    ch4_bench_meshes meshes;
    int64_t where;
    ch4_status st = ch4_bench_meshes_load(&meshes, folder, c->truth.n_frames, err);
    if (!st && !c->j->r->allow_topology && !ch4_bench_same_topology(&where, &meshes))
        st = ch4_err_set(err, CH4_EFORMAT, "the faces of frame %lld are not those of frame 0 (%lld and %lld faces)", (long long)where,
                         (long long)meshes.frame[where].n_face, (long long)meshes.frame[0].n_face);
    if (!st) st = score_meshes(c, CH4_BENCH_OURS, &meshes, &c->o, err);
    if (!st) st = closure(c, &meshes, err);
    if (!st && !c->j->r->no_baselines) st = own_baselines(c, &meshes, folder, err);
    ch4_bench_meshes_fini(&meshes);
    return st;
}

static void score_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    job *j = ctx;
    const ch4_eval_pair *pair = &j->pairs->pair[i];
    clip c = {.j = j, .i = i, .pool = pool, .o = j->r->bench};
    ch4_err err = {0};
    char path[4096];
    snprintf(path, sizeof(path), "%s/gt.safetensors", pair->truth);
    bool has_meshes = access(path, R_OK) == 0;
    ch4_status st = ch4_bench_truth_load(&c.truth, pair->truth, &err);
    if (!st) {
        if (j->r->auto_align) c.o.align = has_meshes ? CH4_BENCH_NONE : CH4_BENCH_PUBLIC;
        if (c.o.n_point == 0) c.o.n_point = ch4_min_i64(c.truth.n_point, 100000);
        c.plain = c.o;
        if (!j->r->align_baselines) c.plain.align = CH4_BENCH_NONE;
        snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%s", ALIGN[c.o.align]);
        if (!j->r->no_baselines) st = has_meshes ? mesh_baselines(&c, pair->truth, &err) : cloud_baselines(&c, &err);
    }
    if (!st && pair->result) st = score_result(&c, pair->result, &err);
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    ch4_bench_truth_fini(&c.truth);
}

/* --- the public script's files ------------------------------------------------------------------------------------------------------------------ */

/* Truths without any prediction are not in its table. */
static ch4_status save_public_csv(const char *folder, const job *j, ch4_err *err)
{
    char path[4096];
    FILE *f = NULL;
    ch4_status st = ch4_report_open(&f, path, folder, "actionbench.csv", err);
    if (st) return st;
    fprintf(f, "uid,cd_3d,cd_4d,cd_motion,n_frames,status,error_message\n");
    for (int64_t i = 0; i < j->table.n_clip; i++) {
        const ch4_score_clip *c = &j->table.clip[i];
        if (c->missing) continue;
        fputs(c->name, f);
        for (int k = CH4_BENCH_COLUMN_CD_3D; k <= CH4_BENCH_COLUMN_CD_MOTION; k++) ch4_csv_number(f, ch4_score_at(&j->table, i, CH4_BENCH_OURS)[k]);
        fprintf(f, ",%lld,%s", (long long)j->curves[i].n_frames, c->status ? "error" : "success");
        ch4_csv_text(f, c->reason);
        fputc('\n', f);
    }
    return ch4_report_close(&f, path, st, err);
}

static ch4_status save_public_summary(const char *folder, const job *j, ch4_err *err)
{
    char path[4096];
    FILE *f = NULL;
    int64_t total = 0, good = 0;
    ch4_status st = ch4_report_open(&f, path, folder, "actionbench.summary.json", err);
    if (st) return st;
    for (int64_t i = 0; i < j->table.n_clip; i++) {
        total += !j->table.clip[i].missing;
        good += !j->table.clip[i].status;
    }
    json_t *root = json_pack("{sI sI sI}", "n_total", (json_int_t)total, "n_success", (json_int_t)good, "n_failed", (json_int_t)(total - good));
    json_object_set_new(root, "success_rate", total ? json_real((double)good / (double)total) : json_null());
    for (int k = CH4_BENCH_COLUMN_CD_3D; k <= CH4_BENCH_COLUMN_CD_MOTION; k++) {
        double mean = ch4_score_mean(NULL, NULL, &j->table, CH4_BENCH_OURS, k, false);
        char key[32];
        snprintf(key, sizeof(key), "%s_mean", COLUMN[k].key);
        json_object_set_new(root, key, isnan(mean) ? json_null() : json_real(mean));
    }
    errno = 0;
    if (json_dumpf(root, f, JSON_INDENT(2)) != 0) st = ch4_err_set_errno(err, errno ? errno : EIO, "%s", path);
    json_decref(root);
    return ch4_report_close(&f, path, st, err);
}

static void free_curves(ch4_bench_curves *c, int64_t n)
{
    for (int64_t i = 0; c && i < n; i++) {
        for (int m = 0; m < CH4_BENCH_METHODS; m++) free(c[i].of[m]);
        free(c[i].closure);
    }
    free(c);
}

ch4_status ch4_eval_bench(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    static const char *const MESHES[] = {"mesh_*.glb", "vertices.npy", NULL};
    ch4_eval_pairs pairs;
    bool applied;
    ch4_status st = ch4_eval_pairs_for(&pairs, &applied, r, "surfaces.npy", MESHES, err);
    job j = {.r = r, .pairs = &pairs};
    if (!st && applied) {
        st = ch4_eval_table_for(&j.table, &ch4_bench_family, &pairs, err);
        if (!st) st = ch4_calloc(&j.curves, (size_t)pairs.n, sizeof(*j.curves), "curves", err);
        if (!st) {
            ch4_eval_each_clip(r, "surfaces", &j.table, score_clip, &j);
            st = ch4_eval_report(out, r, &j.table, err);
        }
        if (!st && r->out) st = save_public_csv(r->out, &j, err);
        if (!st && r->out) st = save_public_summary(r->out, &j, err);
        if (!st && r->out) st = ch4_bench_save_curves(r->out, &j.table, j.curves, err);
        free_curves(j.curves, pairs.n);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&pairs);
    return st;
}
