#include "tools/eval/drift.h"

#include <math.h>

int64_t ch4_pingpong_frame(int64_t k, int64_t n_source)
{
    int64_t period = 2 * (n_source - 1), m = k % period;
    return m < n_source ? m : period - m;
}

int64_t ch4_drift_windows(int64_t n_frames, int64_t length)
{
    return n_frames <= 1 ? n_frames : (n_frames - 1 + length - 2) / (length - 1);
}

void ch4_drift_window(int64_t *begin, int64_t *end, int64_t window, int64_t n_frames, int64_t length)
{
    *begin = window * (length - 1);
    *end = ch4_min_i64(*begin + length, n_frames);
}

void ch4_drift_curve(double *curve, const double *frame, int64_t n_frames, int64_t length)
{
    for (int64_t w = 0; w < ch4_drift_windows(n_frames, length); w++) {
        int64_t begin, end;
        double sum = 0;
        ch4_drift_window(&begin, &end, w, n_frames, length);
        begin += w > 0;
        for (int64_t f = begin; f < end; f++) sum += frame[f];
        curve[w] = sum / (double)(end - begin);
    }
}

ch4_drift_summary ch4_drift_summarise(const double *curve, int64_t n)
{
    ch4_drift_summary s = {.first = NAN, .last = NAN, .ratio = NAN, .slope = NAN, .doubled = -1};
    if (n < 1) return s;
    double mean_w = (double)(n - 1) / 2, mean = 0, up = 0, down = 0;
    for (int64_t w = 0; w < n; w++) mean += curve[w] / (double)n;
    for (int64_t w = 0; w < n; w++) {
        up += ((double)w - mean_w) * (curve[w] - mean);
        down += ((double)w - mean_w) * ((double)w - mean_w);
        if (s.doubled < 0 && curve[w] > 2 * curve[0]) s.doubled = w;
    }
    s.first = curve[0], s.last = curve[n - 1], s.ratio = s.last / s.first;
    s.slope = n > 1 ? up / down : NAN;
    return s;
}

void ch4_drift_closure(double *closure, const float *vert, int64_t n_frames, int64_t n_vert, int64_t n_source, double diagonal)
{
    int64_t period = 2 * (n_source - 1);
    for (int64_t k = 1; k * period < n_frames; k++) {
        const float *now = vert + k * period * n_vert * 3;
        double sum = 0;
        for (int64_t i = 0; i < n_vert; i++) {
            double x = (double)now[3 * i] - vert[3 * i], y = (double)now[3 * i + 1] - vert[3 * i + 1], z = (double)now[3 * i + 2] - vert[3 * i + 2];
            sum += sqrt(x * x + y * y + z * z);
        }
        closure[k - 1] = sum / (double)n_vert / diagonal;
    }
}

static double edge_length(const float *vert, int64_t a, int64_t b)
{
    double x = (double)vert[3 * a] - vert[3 * b], y = (double)vert[3 * a + 1] - vert[3 * b + 1], z = (double)vert[3 * a + 2] - vert[3 * b + 2];
    return sqrt(x * x + y * y + z * z);
}

double ch4_edge_stretch(const float *vert, const float *vert0, const int32_t *face, int64_t n_face)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < 3 * n_face; i++) {
        int64_t a = face[i], b = face[i / 3 * 3 + (i % 3 + 1) % 3];
        double was = edge_length(vert0, a, b);
        if (!(was > 0)) continue;
        sum += fabs(edge_length(vert, a, b) / was - 1);
        count++;
    }
    return count ? sum / (double)count : NAN;
}
