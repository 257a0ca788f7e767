#include "tools/eval/tapvid.h"

#include <math.h>

const float ch4_tapvid_threshold[CH4_TAPVID_THRESHOLDS] = {1, 2, 4, 8, 16};

void ch4_track_counts_entry(ch4_track_counts *c, bool gt_visible, bool pred_visible, const bool within[CH4_TAPVID_THRESHOLDS])
{
    c->entries++;
    c->same_occlusion += gt_visible == pred_visible;
    c->visible += gt_visible;
    for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++) {
        bool right = gt_visible && within[k];
        c->within[k] += right;
        c->hit[k] += right && pred_visible;
        c->false_positive[k] += pred_visible && !right;
    }
}

void ch4_track_counts_add(ch4_track_counts *sum, const ch4_track_counts *c)
{
    sum->entries += c->entries, sum->same_occlusion += c->same_occlusion, sum->visible += c->visible;
    for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++) {
        sum->within[k] += c->within[k];
        sum->hit[k] += c->hit[k];
        sum->false_positive[k] += c->false_positive[k];
    }
}

static double share(int64_t part, int64_t whole) { return whole ? (double)part / (double)whole : (double)NAN; }

ch4_tapvid_score ch4_track_counts_score(const ch4_track_counts *c)
{
    ch4_tapvid_score s = {.occlusion_accuracy = share(c->same_occlusion, c->entries)};
    for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++) {
        s.within[k] = share(c->within[k], c->visible);
        s.jaccard[k] = share(c->hit[k], c->visible + c->false_positive[k]);
        s.average_within += s.within[k] / CH4_TAPVID_THRESHOLDS;
        s.average_jaccard += s.jaccard[k] / CH4_TAPVID_THRESHOLDS;
    }
    return s;
}

void ch4_tapvid_count_track(ch4_track_counts *out, const float query[3], const float *gt, const uint8_t *gt_occluded, const float *pred,
                            const uint8_t *pred_occluded, int64_t n_frames, ch4_tapvid_mode mode)
{
    *out = (ch4_track_counts){0};
    int64_t at = (int64_t)rint((double)query[0]);
    for (int64_t f = 0; f < n_frames; f++) {
        if (mode == CH4_TAPVID_FIRST ? f <= at : f == at) continue;
        float x = pred[2 * f] - gt[2 * f], y = pred[2 * f + 1] - gt[2 * f + 1], d2 = x * x + y * y;
        bool within[CH4_TAPVID_THRESHOLDS];
        for (int k = 0; k < CH4_TAPVID_THRESHOLDS; k++) within[k] = d2 < ch4_tapvid_threshold[k] * ch4_tapvid_threshold[k];
        ch4_track_counts_entry(out, !gt_occluded[f], !pred_occluded[f], within);
    }
}

ch4_tapvid_score ch4_compute_tapvid(const float *query, const float *gt, const uint8_t *gt_occluded, const float *pred, const uint8_t *pred_occluded,
                                    int64_t n, int64_t n_frames, ch4_tapvid_mode mode)
{
    ch4_track_counts sum = {0}, one;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i * n_frames;
        ch4_tapvid_count_track(&one, query + 3 * i, gt + 2 * at, gt_occluded + at, pred + 2 * at, pred_occluded + at, n_frames, mode);
        ch4_track_counts_add(&sum, &one);
    }
    return ch4_track_counts_score(&sum);
}

int64_t ch4_tapvid_queries_bound(int64_t n, int64_t n_frames, ch4_tapvid_mode mode)
{
    return mode == CH4_TAPVID_FIRST ? n : n * ((n_frames + CH4_TAPVID_STRIDE - 1) / CH4_TAPVID_STRIDE);
}

int64_t ch4_tapvid_queries(int32_t *track, int32_t *frame, const uint8_t *occluded, int64_t n, int64_t n_frames, ch4_tapvid_mode mode)
{
    int64_t count = 0;
    if (mode == CH4_TAPVID_STRIDED) {
        for (int64_t f = 0; f < n_frames; f += CH4_TAPVID_STRIDE)
            for (int64_t i = 0; i < n; i++)
                if (!occluded[i * n_frames + f]) track[count] = (int32_t)i, frame[count++] = (int32_t)f;
        return count;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t f = 0;
        while (f < n_frames && occluded[i * n_frames + f]) f++;
        if (f < n_frames) track[count] = (int32_t)i, frame[count++] = (int32_t)f;
    }
    return count;
}
