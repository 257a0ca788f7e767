/* BADJA: joints of animals followed from their first annotated frame. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/eval/badja.h"
#include "tools/eval/families.h"
#include "tools/eval/track_pairs.h"

enum { OURS, ORACLE, STILL, METHODS };
enum { SEG_A, DELTA_3PX, ENTRIES, COLUMNS };
static const char *const METHOD[METHODS] = {"ours", "oracle", "static_point"};
static const ch4_score_column COLUMN[COLUMNS] = {{"seg_a", "segA", 2, "segA"}, {"delta_3px", "d 3px", 2, NULL}, {"entries", "entries", 0, NULL}};
static const ch4_score_family FAMILY = {
    .key = "badja",
    .about = "BADJA in percent on 384 x 512 pixels: joints nearer than 0.2 sqrt(area of the frame's mask), and nearer than 3 px. static_point: where the joint was in the\n"
             "first annotated frame.\n",
    .note = "frames",
    .column = COLUMN,
    .n_column = COLUMNS,
    .method = METHOD,
    .n_method = METHODS,
    .fallback = STILL,
};

typedef struct job {
    const ch4_eval_request *r;
    ch4_eval_pairs pairs; /* truth is not used */
    ch4_score_table table;
} job;

static void keep(double *x, const ch4_badja_video *v, const float *pred)
{
    ch4_badja_score s = ch4_compute_badja(pred, v->joint, v->visible, v->area, v->n_frames, CH4_BADJA_JOINTS);
    x[SEG_A] = s.seg_a, x[DELTA_3PX] = s.delta_3px, x[ENTRIES] = s.n ? (double)s.n : (double)NAN;
}

/* points [20,T,2] in [0,1] as [T,20,2] on the raster. */
static ch4_status load_prediction(float **out, const char *path, int64_t n_frames, ch4_err *err)
{
    ch4_array_file file;
    float *point = NULL;
    int64_t shape[3] = {CH4_BADJA_JOINTS, n_frames, 2};
    ch4_status st = ch4_array_file_open(&file, path, err);
    if (!st) st = ch4_array_file_f32(&point, &file, "points", 3, shape, err);
    if (!st) st = ch4_calloc(out, (size_t)n_frames * CH4_BADJA_JOINTS, 2 * sizeof(float), path, err);
    for (int64_t i = 0; !st && i < CH4_BADJA_JOINTS; i++)
        for (int64_t f = 0; f < n_frames; f++) {
            (*out)[2 * (f * CH4_BADJA_JOINTS + i)] = point[2 * (i * n_frames + f)] * CH4_BADJA_WIDTH;
            (*out)[2 * (f * CH4_BADJA_JOINTS + i) + 1] = point[2 * (i * n_frames + f) + 1] * CH4_BADJA_HEIGHT;
        }
    free(point);
    ch4_array_file_close(&file);
    return st;
}

static void score_clip(void *ctx, int64_t i, ch4_pool *pool)
{
    (void)pool;
    job *j = ctx;
    ch4_eval_pair *pair = &j->pairs.pair[i];
    ch4_badja_video video;
    ch4_err err = {0};
    float *pred = NULL;
    ch4_status st = ch4_badja_load(&video, j->r->gt, pair->name, CH4_BADJA_WIDTH, CH4_BADJA_HEIGHT, &err);
    if (!st) {
        snprintf(j->table.clip[i].note, sizeof(j->table.clip[i].note), "%lld", (long long)video.n_frames);
        keep(ch4_score_at(&j->table, i, ORACLE), &video, video.joint);
        if (pair->result) st = load_prediction(&pred, pair->result, video.n_frames, &err);
        if (!st && pred) keep(ch4_score_at(&j->table, i, OURS), &video, pred);
        if (!st && !pred) st = ch4_calloc(&pred, (size_t)video.n_frames * CH4_BADJA_JOINTS, 2 * sizeof(float), "joints", &err);
        for (int64_t f = 0; !st && f < video.n_frames; f++) memcpy(pred + 2 * f * CH4_BADJA_JOINTS, video.joint, CH4_BADJA_JOINTS * 2 * sizeof(float));
        if (!st) keep(ch4_score_at(&j->table, i, STILL), &video, pred);
    }
    if (st) ch4_score_clip_fail(&j->table, i, st, &err);
    free(pred);
    ch4_badja_fini(&video);
}

/* The videos that have annotations. */
static ch4_status list_videos(ch4_eval_pairs *out, const ch4_eval_request *r, ch4_err *err)
{
    char path[4096];
    struct dirent **entry;
    ch4_status st = CH4_OK;
    snprintf(path, sizeof(path), "%s/joint_annotations", r->gt);
    int n = scandir(path, &entry, NULL, alphasort);
    if (n > 0) st = ch4_calloc(&out->pair, (size_t)n, sizeof(*out->pair), path, err);
    for (int i = 0; i < n; i++) {
        char *dot = strrchr(entry[i]->d_name, '.');
        if (!st && entry[i]->d_name[0] != '.' && dot && !strcmp(dot, ".json")) {
            ch4_eval_pair *p = &out->pair[out->n++];
            *dot = 0;
            p->name = strdup(entry[i]->d_name);
            if (!p->name) st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
        }
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    for (int64_t i = 0; !st && i < out->n; i++) {
        ch4_track_result(path, r, out->pair[i].name, out->n == 1);
        if (!path[0]) continue;
        out->pair[i].result = strdup(path);
        if (!out->pair[i].result) st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
        out->n_results++;
    }
    return st;
}

ch4_status ch4_eval_joints(ch4_eval_outcome *out, const ch4_eval_request *r, ch4_err *err)
{
    job j = {.r = r};
    ch4_status st = list_videos(&j.pairs, r, err);
    if (!st && j.pairs.n_results) {
        st = ch4_eval_table_for(&j.table, &FAMILY, &j.pairs, err);
        if (!st) ch4_eval_each_clip(r, "BADJA", &j.table, score_clip, &j);
        if (!st) st = ch4_eval_report(out, r, &j.table, err);
        ch4_score_table_fini(&j.table);
    }
    ch4_eval_pairs_fini(&j.pairs);
    return st;
}
