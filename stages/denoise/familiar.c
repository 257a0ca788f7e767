#include "stages/denoise/familiar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "tensor/safetensors.h"

static ch4_status read_floats(float *dst, const ch4_safetensors *file, const char *name, int rank, const int64_t *shape, ch4_err *err)
{
    ch4_tensor t;
    char found[64];
    ch4_status st = ch4_safetensors_get(file, name, &t, err);
    if (st)
        return st;
    if (!ch4_tensor_has_shape(&t, rank, shape)) {
        ch4_tensor_describe(&t, found, sizeof found);
        return ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s' is %s, which does not fit the image encoder", ch4_safetensors_path(file), name, found);
    }
    st = ch4_tensor_to_f32(dst, &t, err);
    for (int64_t i = 0; !st && i < ch4_tensor_count(&t); i++)
        if (!isfinite(dst[i]))
            st = ch4_err_set(err, CH4_EFORMAT, "%s: tensor '%s' is not finite", ch4_safetensors_path(file), name);
    return st;
}

ch4_status ch4_familiar_load(ch4_familiar *out, const char *path, int64_t width, ch4_err *err)
{
    *out = (ch4_familiar){.width = width};
    ch4_safetensors *file = NULL;
    ch4_status st = ch4_safetensors_open(&file, path, err);
    if (st)
        return st;
    st = ch4_calloc(&out->mean, (size_t)width, sizeof *out->mean, "input statistics", err);
    if (!st)
        st = ch4_calloc(&out->whiten, (size_t)width, (size_t)width * sizeof *out->whiten, "input statistics", err);
    if (!st)
        st = read_floats(out->mean, file, "mean", 1, (int64_t[]){width}, err);
    if (!st)
        st = read_floats(out->whiten, file, "whiten", 2, (int64_t[]){width, width}, err);
    if (!st)
        st = read_floats(&out->limit, file, "limit", 1, (int64_t[]){1}, err);
    ch4_safetensors_close(&file);
    if (st)
        ch4_familiar_fini(out);
    return st;
}

void ch4_familiar_fini(ch4_familiar *familiar)
{
    free(familiar->mean);
    free(familiar->whiten);
    *familiar = (ch4_familiar){0};
}

/* x holds the sum of n tokens on entry. */
static double distance_of_sum(const ch4_familiar *f, double *x, int64_t n)
{
    double sum = 0;
    for (int64_t d = 0; d < f->width; d++)
        x[d] = x[d] / (double)n - f->mean[d];
    for (int64_t r = 0; r < f->width; r++) {
        double y = 0;
        for (int64_t d = 0; d < f->width; d++)
            y += (double)f->whiten[r * f->width + d] * x[d];
        sum += y * y;
    }
    return sqrt(sum / (double)f->width);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

ch4_status ch4_familiar_distance(double *out, const ch4_familiar *f, const float *context, int64_t T, int64_t S, ch4_err *err)
{
    double *x = NULL, *distance = NULL;
    ch4_status st = ch4_calloc(&x, (size_t)f->width, sizeof *x, "input statistics", err);
    if (!st)
        st = ch4_calloc(&distance, (size_t)T, sizeof *distance, "input statistics", err);
    for (int64_t t = 0; !st && t < T; t++) {
        memset(x, 0, (size_t)f->width * sizeof *x);
        for (int64_t s = 1; s < S; s++)
            for (int64_t d = 0; d < f->width; d++)
                x[d] += context[(t * S + s) * f->width + d];
        distance[t] = distance_of_sum(f, x, S - 1);
    }
    if (!st) {
        qsort(distance, (size_t)T, sizeof *distance, ascending);
        *out = distance[T / 2];
    }
    free(x);
    free(distance);
    return st;
}
