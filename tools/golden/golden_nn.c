#include "golden_nn.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ch4_status ch4_golden_input(ch4_golden_case *c, ch4_tensor *t, int rank, const char *name, ch4_err *err)
{
    ch4_status st = ch4_golden_tensor(c, t, CH4_DTYPE_F32, err, "in.%s", name);
    return st || t->rank == rank ? st : ch4_err_set(err, CH4_EFORMAT, "in.%s has rank %d, not %d", name, t->rank, rank);
}

ch4_status ch4_golden_snapshot(ch4_golden_case *c, ch4_nn *nn, float **out, const ch4_tensor *view, ch4_err *err)
{
    ch4_buf buf = {0};
    size_t size = (size_t)ch4_tensor_count(view) * sizeof(float);
    ch4_status st = ch4_golden_alloc(c, out, size ? size : 1, 1, err);
    if (!st)
        st = nn->ops->alloc(nn, &buf, size, err);
    ch4_tensor flat = ch4_tensor_view(buf.data, CH4_DTYPE_F32, view->rank, view->shape), host = ch4_tensor_view(*out, CH4_DTYPE_F32, view->rank, view->shape);
    if (!st)
        st = nn->ops->copy(nn, &flat, view, err);
    if (!st)
        st = nn->ops->download(nn, &host, &flat, err);
    nn->ops->release(nn, &buf);
    return st;
}

/* [B,R,C] averaged over n heads from `first` on, into out */
static ch4_status map(ch4_nn *nn, float *out, const ch4_probe_event *e, int first, int n, ch4_err *err)
{
    ch4_buf buf = {0};
    int head[256];
    const int64_t shape[3] = {e->q->shape[0], e->q->shape[2], e->k->shape[2]};
    for (int i = 0; i < n; i++)
        head[i] = first + i;
    ch4_status st = nn->ops->alloc(nn, &buf, (size_t)(shape[0] * shape[1] * shape[2]) * sizeof(float), err);
    ch4_tensor a = ch4_tensor_view(buf.data, CH4_DTYPE_F32, 3, shape), host = ch4_tensor_view(out, CH4_DTYPE_F32, 3, shape);
    const ch4_attention_map_in in = {.q = e->q, .k = e->k, .lse = e->lse, .heads = head, .n_heads = n, .scale = e->scale, .weight = 1.0f / (float)n};
    if (!st)
        st = nn->ops->attention_map(nn, &a, &in, err);
    if (!st)
        st = nn->ops->download(nn, &host, &a, err);
    nn->ops->release(nn, &buf);
    return st;
}

ch4_status ch4_golden_head_maps(ch4_golden_case *c, ch4_nn *nn, float **out, const ch4_probe_event *e, ch4_err *err)
{
    int64_t B = e->q->shape[0], H = e->q->shape[1], n = e->q->shape[2] * e->k->shape[2];
    float *one;
    ch4_status st = ch4_golden_alloc(c, out, (size_t)(B * H * n), sizeof **out, err);
    if (!st)
        st = ch4_golden_alloc(c, &one, (size_t)(B * n), sizeof *one, err);
    for (int64_t h = 0; !st && h < H; h++) {
        st = map(nn, one, e, (int)h, 1, err);
        for (int64_t b = 0; b < B; b++)
            memcpy(*out + (b * H + h) * n, one + b * n, (size_t)n * sizeof *one);
    }
    return st;
}

ch4_status ch4_golden_mean_map(ch4_golden_case *c, ch4_nn *nn, float **out, const ch4_probe_event *e, ch4_err *err)
{
    ch4_status st = ch4_golden_alloc(c, out, (size_t)(e->q->shape[0] * e->q->shape[2] * e->k->shape[2]), sizeof **out, err);
    return st ? st : map(nn, *out, e, 0, (int)e->q->shape[1], err);
}

ch4_status ch4_golden_check_view(ch4_golden_case *c, ch4_nn *nn, const ch4_tensor *view, ch4_err *err, const char *fmt, ...)
{
    char name[128];
    float *values;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (!ch4_golden_has(c, "out.%s", name))
        return CH4_OK;
    ch4_status st = ch4_golden_snapshot(c, nn, &values, view, err);
    if (!st)
        ch4_golden_check_f32(c, values, ch4_tensor_count(view), "%s", name);
    return st;
}
