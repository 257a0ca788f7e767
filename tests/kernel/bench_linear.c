/* What half-precision weights cost in `linear` of the cpu backend: processor time on one thread beside 32-bit weights, in turns, so that the ratio means
 * something on a busy machine. Run by `make kernel-bench`. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/rng.h"
#include "nn/nn.h"

enum { REPEAT = 7, TYPES = 3 };

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v)
{
    qsort(v, REPEAT, sizeof *v, by_value);
    return v[REPEAT / 2];
}

static int bench(ch4_nn *nn, int64_t rows, int64_t in, int64_t out, const char *what)
{
    float *x = malloc((size_t)(rows * in) * sizeof *x), *y = malloc((size_t)(rows * out) * sizeof *y), *w = malloc((size_t)(out * in) * sizeof *w);
    uint16_t *half[2] = {malloc((size_t)(out * in) * sizeof **half), malloc((size_t)(out * in) * sizeof **half)};
    static const ch4_dtype dtype[TYPES] = {CH4_DTYPE_F32, CH4_DTYPE_F16, CH4_DTYPE_BF16};
    double seconds[TYPES][REPEAT];
    if (!x || !y || !w || !half[0] || !half[1])
        return 1;
    ch4_rng rng = ch4_rng_at(1, 0);
    for (int64_t i = 0; i < rows * in; i++)
        x[i] = (float)ch4_rng_normal(&rng);
    for (int64_t i = 0; i < out * in; i++) {
        w[i] = (float)(i * 2654435761 % 65536) / 65536.0f - 0.5f;
        half[0][i] = ch4_f32_to_f16(w[i]);
        half[1][i] = ch4_f32_to_bf16(w[i]);
    }
    ch4_tensor xt = CH4_F32(x, rows, in), yt = CH4_F32(y, rows, out);
    for (int r = -1; r < REPEAT; r++) /* the first round warms up */
        for (int t = 0; t < TYPES; t++) {
            ch4_tensor wt = CH4_VIEW(t ? (void *)half[t - 1] : (void *)w, dtype[t], out, in);
            double begin = cpu_seconds();
            if (nn->ops->linear(nn, &yt, &(ch4_linear_in){.x = &xt, .w = &wt}, NULL))
                return 1;
            if (r >= 0)
                seconds[t][r] = cpu_seconds() - begin;
        }
    double f32 = median(seconds[0]);
    printf("%-28s %5d x %4d x %4d   f32 %6.1f GFLOP/s   time with f16 %.2f, bf16 %.2f of that; weights %.1f MiB, %.1f MiB\n", what, (int)rows, (int)in, (int)out,
           2e-9 * (double)(rows * in * out) / f32, median(seconds[1]) / f32, median(seconds[2]) / f32, (double)(out * in) * 4 / (1 << 20),
           (double)(out * in) * 2 / (1 << 20));
    free(x), free(y), free(w), free(half[0]), free(half[1]);
    return 0;
}

int main(void)
{
    ch4_nn *nn = NULL;
    int bad = ch4_nn_open(&nn, "cpu", 1, NULL) || bench(nn, 1040, 128, 512, "mini, feed-forward") || bench(nn, 65, 128, 384, "mini, one frame, attention") ||
              bench(nn, 2049, 2048, 2048, "full size, one frame") || bench(nn, 257, 2048, 8192, "full size, image tokens");
    ch4_nn_close(&nn);
    return bad;
}
