#include "tools/calibrate/cal_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

void ch4_cal_scratch_fini(ch4_cal_scratch *s)
{
    free(s->w);
    free(s->map);
    free(s->transport);
    free(s->path);
    free(s->score);
    free(s->rows);
    *s = (ch4_cal_scratch){0};
}

static ch4_status grow(float **at, size_t *size, int64_t count, ch4_err *err)
{
    if ((size_t)count <= *size) return CH4_OK;
    free(*at);
    *size = 0;
    ch4_status st = ch4_calloc(at, (size_t)count, sizeof(float), "scores", err);
    if (!st) *size = (size_t)count;
    return st;
}

static ch4_status reserve(ch4_cal_scratch *s, int64_t N, int64_t K, int64_t U, ch4_err *err)
{
    float **at[] = {&s->w, &s->map, &s->transport, &s->path, &s->score, &s->rows};
    const int64_t count[] = {N * N, N * N, K * N, 3 * K, K, U * N};
    ch4_status st = CH4_OK;
    if ((size_t)count[5] > s->size[5]) s->prepared_clip = NULL;
    for (int i = 0; !st && i < 6; i++) st = grow(at[i], &s->size[i], count[i], err);
    return st;
}

/* Candidate rows as the reading wants them; most calls ask for the same as the one before. */
static void prepare_rows(ch4_cal_scratch *s, const ch4_cal_clip *c, int64_t e, bool unit)
{
    const ch4_cal_frame *f = &c->frame[e];
    if (s->prepared_clip == c && s->prepared_frame == e && s->prepared_unit == unit) return;
    memcpy(s->rows, f->rows, (size_t)(f->n_points * c->N) * sizeof(float));
    ch4_match_prepare_rows(s->rows, f->n_points, c->N, unit ? CH4_MATCH_UNIT : CH4_MATCH_PLAIN);
    s->prepared_clip = c, s->prepared_frame = e, s->prepared_unit = unit;
}

static double distance(const float a[3], const float b[3])
{
    double s = 0;
    for (int i = 0; i < 3; i++) s += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(s);
}

static const float *map_of(ch4_cal_scratch *s, const ch4_cal_maps *maps, int64_t e, int64_t N, ch4_capture_direction direction)
{
    const float *forward, *backward;
    maps->get(maps->ctx, e, &forward, &backward);
    if (direction != CH4_BOTH_WAYS) return direction == CH4_FRAME_TO_ANCHOR ? forward : backward;
    for (int64_t i = 0; i < N * N; i++) s->map[i] = (forward[i] + backward[i]) / 2;
    return s->map;
}

static ch4_status frame_error(double *sum, const ch4_cal_clip *c, int64_t e, const ch4_cal_maps *maps, const ch4_cal_reading *r, ch4_cal_model *m,
                              ch4_cal_scratch *s, ch4_err *err)
{
    const ch4_cal_frame *f = &c->frame[e];
    ch4_status st = reserve(s, c->N, c->K, f->n_points, err);
    if (st) return st;
    const ch4_map_reading how = {.frame_to_anchor = true, .normalize = m->chain.reading.normalize, .power = r->power, .sinkhorn = r->sinkhorn};
    ch4_map_prepare(s->w, NULL, map_of(s, maps, e, c->N, r->direction), c->N, &how);
    prepare_rows(s, c, e, r->unit_norm);
    st = ch4_match_transport(m->nn, s->transport, c->anchor_rows, s->w, c->K, c->N, err);
    const ch4_match_in in = {.transport = s->transport, .candidates = s->rows, .points = f->points, .n_points = c->K, .n_candidates = f->n_points,
                             .n_tokens = c->N, .k = r->topk, .blend = {true, r->temperature}};
    if (!st) st = ch4_match_points(m->nn, NULL, s->path, s->score, &in, err);
    for (int64_t i = 0; !st && i < c->K; i++)
        if (f->moving[i]) *sum += distance(isfinite(s->path[3 * i]) ? s->path + 3 * i : c->rest + 3 * i, f->truth + 3 * i);
    return st;
}

ch4_status ch4_cal_error(double *error, const ch4_cal_clip *c, const ch4_cal_maps *maps, const ch4_cal_reading *r, ch4_cal_model *m, ch4_cal_scratch *s, ch4_err *err)
{
    double sum = 0;
    ch4_status st = CH4_OK;
    for (int64_t e = 0; !st && e < c->E; e++) st = frame_error(&sum, c, e, maps, r, m, s, err);
    *error = sum / (double)c->n_moving;
    return st;
}

double ch4_cal_top1(const ch4_cal_clip *c, const ch4_cal_maps *maps, ch4_capture_direction direction)
{
    int64_t N = c->N, hits = 0;
    int64_t row = direction == CH4_ANCHOR_TO_FRAME ? 1 : N, step = direction == CH4_ANCHOR_TO_FRAME ? N : 1;
    for (int64_t e = 0; e < c->E; e++) {
        const float *forward, *backward;
        maps->get(maps->ctx, e, &forward, &backward);
        for (int64_t i = 0; i < N; i++) {
            int64_t best = 0;
            float top = -1;
            for (int64_t j = 0; j < N; j++) {
                int64_t at = i * row + j * step;
                float x = direction == CH4_FRAME_TO_ANCHOR ? forward[at] : direction == CH4_ANCHOR_TO_FRAME ? backward[at] : forward[at] + backward[at];
                if (x > top) top = x, best = j;
            }
            hits += best == i;
        }
    }
    return (double)hits / (double)(N * c->E);
}
