#include "chain/token_map.h"

#include <math.h>
#include <string.h>

static double column_sum(const float *w, int64_t n, int64_t t)
{
    double sum = 0;
    for (int64_t s = 0; s < n; s++)
        sum += w[s * n + t];
    return sum;
}

/* Anchor tokens are the columns of w. */
static void normalize_anchor(float *w, int64_t n)
{
    for (int64_t t = 0; t < n; t++) {
        double sum = column_sum(w, n, t);
        for (int64_t s = 0; sum > 0 && s < n; s++)
            w[s * n + t] = (float)(w[s * n + t] / sum);
    }
}

static void normalize_frame(float *w, int64_t n)
{
    for (int64_t s = 0; s < n; s++) {
        double sum = 0;
        for (int64_t t = 0; t < n; t++)
            sum += w[s * n + t];
        for (int64_t t = 0; sum > 0 && t < n; t++)
            w[s * n + t] = (float)(w[s * n + t] / sum);
    }
}

void ch4_map_prepare(float *w, float *mass, const float *map, int64_t n, const ch4_map_reading *reading)
{
    if (reading->frame_to_anchor) {
        memcpy(w, map, (size_t)(n * n) * sizeof *w);
    } else {
        for (int64_t s = 0; s < n; s++)
            for (int64_t t = 0; t < n; t++)
                w[s * n + t] = map[t * n + s];
    }
    for (int64_t t = 0; mass && t < n; t++)
        mass[t] = (float)column_sum(w, n, t);
    if (reading->power != 1)
        for (int64_t i = 0; i < n * n; i++)
            w[i] = powf(w[i], (float)reading->power);
    for (int64_t pass = 0; pass < reading->sinkhorn; pass++) {
        normalize_frame(w, n);
        normalize_anchor(w, n);
    }
    if (reading->normalize)
        normalize_anchor(w, n);
}

void ch4_map_mean(float *out, const float *maps, int64_t n_layers, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double sum = 0;
        for (int64_t l = 0; l < n_layers; l++)
            sum += maps[l * count + i];
        out[i] = (float)(sum / (double)n_layers);
    }
}
