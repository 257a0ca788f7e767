#include "chain/patches.h"

#include <math.h>

#include "base/base.h"

void ch4_patch_rows(float *b_t, const float *b, int64_t n_tokens, int64_t n_patches, bool normalize)
{
    for (int64_t p = 0; p < n_patches; p++) {
        double sum = 0;
        for (int64_t t = 0; t < n_tokens; t++)
            sum += b[t * n_patches + p];
        double scale = !normalize ? 1 : sum > 0 ? 1 / sum : 0;
        for (int64_t t = 0; t < n_tokens; t++)
            b_t[p * n_tokens + t] = (float)(b[t * n_patches + p] * scale);
    }
}

ch4_status ch4_patch_score(ch4_nn *nn, float *score, float *scratch, const float *anchor, const float *frame, const float *w,
                           int64_t n_patches, int64_t n_tokens, ch4_err *err)
{
    ch4_tensor a = CH4_F32((float *)anchor, n_patches, n_tokens), m = CH4_F32((float *)w, n_tokens, n_tokens),
               moved = CH4_F32(scratch, n_patches, n_tokens), f = CH4_F32((float *)frame, n_patches, n_tokens),
               y = CH4_F32(score, n_patches, n_patches);
    ch4_status status = nn->ops->linear(nn, &moved, &(ch4_linear_in){.x = &a, .w = &m}, err);
    if (status)
        return status;
    return nn->ops->linear(nn, &y, &(ch4_linear_in){.x = &moved, .w = &f}, err);
}

ch4_status ch4_patch_vertex_score(ch4_nn *nn, float *score, const float *anchor, const float *rows, int64_t n_patches,
                                  int64_t n_vertices, int64_t n_tokens, ch4_err *err)
{
    ch4_tensor a = CH4_F32((float *)anchor, n_patches, n_tokens), v = CH4_F32((float *)rows, n_vertices, n_tokens),
               y = CH4_F32(score, n_patches, n_vertices);
    return nn->ops->linear(nn, &y, &(ch4_linear_in){.x = &a, .w = &v}, err);
}

int64_t ch4_patch_argmax(const float *score, int64_t n, int64_t stride, float *gap)
{
    int64_t best = 0;
    float second = -INFINITY;
    for (int64_t i = 1; i < n; i++) {
        float x = score[i * stride], top = score[best * stride];
        if (x > top) {
            second = top;
            best = i;
        } else if (x > second) {
            second = x;
        }
    }
    if (gap)
        *gap = n > 1 ? score[best * stride] - second : 0;
    return best;
}

void ch4_patch_soft_argmax(float xy[2], const float *score, int64_t grid, int64_t best, int64_t radius, double temperature,
                           double patch_px)
{
    int64_t row = best / grid, col = best % grid;
    double top = score[best], sum = 0, x = 0, y = 0;
    int64_t r = top > 0 ? radius : 0;
    for (int64_t i = ch4_max_i64(row - r, 0); i <= ch4_min_i64(row + r, grid - 1); i++) {
        for (int64_t j = ch4_max_i64(col - r, 0); j <= ch4_min_i64(col + r, grid - 1); j++) {
            double w = r == 0 ? 1 : exp((score[i * grid + j] / top - 1) / temperature);
            sum += w;
            x += w * ((double)j + 0.5);
            y += w * ((double)i + 0.5);
        }
    }
    xy[0] = (float)(x / sum * patch_px);
    xy[1] = (float)(y / sum * patch_px);
}
