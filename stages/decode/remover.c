#include "remover.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "bundle/bundle.h"

struct ch4_remover {
    ch4_nn *nn;
    ch4_bundle *bundle;
    ch4_matting *net;     /* borrowed; NULL: not opened yet */
    int64_t side;
    float *image, *map;   /* [side,side,3], [side,side] */
    uint8_t *rgb, *alpha; /* [n_pixels,3], [n_pixels] */
    int64_t n_pixels;
};

ch4_status ch4_remover_create(ch4_remover **out, const char *model_dir, const char *device, int threads, ch4_err *err)
{
    ch4_remover *r = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&r, 1, sizeof *r, "background remover", err);
    if (st != CH4_OK)
        return st;
    st = ch4_nn_open(&r->nn, device, threads, err);
    if (st == CH4_OK)
        st = ch4_bundle_open(&r->bundle, model_dir, r->nn, err);
    if (st != CH4_OK) {
        ch4_remover_destroy(&r);
        return st;
    }
    r->side = ch4_bundle_get_info(r->bundle)->networks.matting.side;
    *out = r;
    return CH4_OK;
}

void ch4_remover_destroy(ch4_remover **remover)
{
    ch4_remover *r = *remover;
    if (!r)
        return;
    ch4_bundle_close(&r->bundle);
    ch4_nn_close(&r->nn);
    free(r->image);
    free(r->map);
    free(r->rgb);
    free(r->alpha);
    free(r);
    *remover = NULL;
}

bool ch4_remover_exists(const ch4_remover *r)
{
    char path[4096];
    const char *name = ch4_bundle_get_info(r->bundle)->networks.matting.path;
    return name[0] && snprintf(path, sizeof path, "%s/%s", ch4_bundle_get_dir(r->bundle), name) < (int)sizeof path && access(path, F_OK) == 0;
}

ch4_status ch4_remover_open(ch4_remover *r, ch4_err *err)
{
    if (r->net)
        return CH4_OK;
    ch4_status st = CH4_OK;
    if (!r->image)
        st = ch4_calloc(&r->image, (size_t)(r->side * r->side), 3 * sizeof *r->image, "background remover", err);
    if (st == CH4_OK && !r->map)
        st = ch4_calloc(&r->map, (size_t)(r->side * r->side), sizeof *r->map, "background remover", err);
    return st == CH4_OK ? ch4_bundle_get_matting(r->bundle, &r->net, err) : st;
}

static ch4_status reserve(ch4_remover *r, int64_t n_pixels, ch4_err *err)
{
    if (n_pixels <= r->n_pixels)
        return CH4_OK;
    r->n_pixels = 0;
    free(r->rgb);
    free(r->alpha);
    r->rgb = r->alpha = NULL;
    ch4_status st = ch4_calloc(&r->rgb, (size_t)n_pixels, 3, "background remover", err);
    if (st == CH4_OK)
        st = ch4_calloc(&r->alpha, (size_t)n_pixels, 1, "background remover", err);
    if (st == CH4_OK)
        r->n_pixels = n_pixels;
    return st;
}

ch4_status ch4_remover_apply(void *remover, uint8_t *rgba, int64_t width, int64_t height, ch4_err *err)
{
    ch4_remover *r = remover;
    int64_t n = width * height;
    ch4_status st = ch4_remover_open(r, err);
    if (st == CH4_OK)
        st = reserve(r, n, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++)
            r->rgb[3 * i + c] = rgba[4 * i + c];
    ch4_matting_prepare(r->image, r->side, r->rgb, height, width);
    st = ch4_matting_forward(r->net, r->map, r->image, r->side, r->side, err);
    if (st == CH4_OK)
        st = ch4_matting_finish(r->alpha, height, width, r->map, r->side, err);
    for (int64_t i = 0; st == CH4_OK && i < n; i++)
        rgba[4 * i + 3] = r->alpha[i];
    return st;
}
