#include "nn/nn_impl.h"

#include <math.h>

static ch4_status bad(const char *op, const char *what, const ch4_tensor *t, const char *why, ch4_status code, ch4_err *err)
{
    char text[96];
    ch4_tensor_describe(t, text, sizeof text);
    return ch4_err_set(err, code, "%s: %s %s: %s", op, what, text, why);
}

static ch4_status check_innermost(const ch4_tensor *t, const char *op, const char *what, ch4_err *err)
{
    int64_t last = t->rank - 1;
    if (last >= 0 && t->shape[last] > 1 && t->stride[last] != 1)
        return bad(op, what, t, "innermost dimension is strided", CH4_EUNSUP, err);
    return CH4_OK;
}

static ch4_status check_f32(const ch4_tensor *t, const char *op, const char *what, ch4_err *err)
{
    if (t->dtype != CH4_DTYPE_F32 || t->device != CH4_DEVICE_HOST)
        return bad(op, what, t, "only f32 in host memory is supported", CH4_EUNSUP, err);
    return check_innermost(t, op, what, err);
}

static ch4_status check_matrix(const ch4_tensor *t, const char *op, const char *what, ch4_err *err)
{
    bool number = t->dtype == CH4_DTYPE_F32 || t->dtype == CH4_DTYPE_F16 || t->dtype == CH4_DTYPE_BF16;
    if (!number || t->device != CH4_DEVICE_HOST)
        return bad(op, what, t, "only f32, f16 and bf16 in host memory are supported", CH4_EUNSUP, err);
    return check_innermost(t, op, what, err);
}

ch4_status ch4_nn_rows(ch4_rows *out, const ch4_tensor *t, const char *op, const char *what, ch4_err *err)
{
    if (t->rank != 2 && t->rank != 3)
        return bad(op, what, t, "rank 2 or 3 wanted", CH4_EINVAL, err);
    ch4_status st = check_f32(t, op, what, err);
    int r = t->rank - 2;
    *out = (ch4_rows){t->data, r ? t->shape[0] : 1, t->shape[r], t->shape[r + 1], r ? t->stride[0] : 0, t->stride[r]};
    return st;
}

ch4_status ch4_nn_vector(const ch4_tensor *t, int64_t n, const char *op, const char *what, ch4_err *err)
{
    if (t->rank != 1 || t->shape[0] != n)
        return bad(op, what, t, "length does not fit the other operands", CH4_EINVAL, err);
    return check_f32(t, op, what, err);
}

static bool same_rows(const ch4_rows *a, const ch4_rows *b)
{
    return a->groups == b->groups && a->rows == b->rows;
}

ch4_status ch4_nn_check_linear(ch4_linear_args *out, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err)
{
    const char *op = "linear";
    *out = (ch4_linear_args){.act = in->act};
    ch4_status st = ch4_nn_rows(&out->x, in->x, op, "x", err);
    if (!st)
        st = ch4_nn_rows(&out->y, y, op, "y", err);
    if (!st && in->residual)
        st = ch4_nn_rows(&out->residual, in->residual, op, "residual", err);
    if (!st)
        st = check_matrix(in->w, op, "w", err);
    if (!st && in->bias)
        st = ch4_nn_vector(in->bias, out->y.width, op, "bias", err);
    if (st)
        return st;
    if (in->w->rank != 2 || in->w->shape[0] != out->y.width || in->w->shape[1] != out->x.width || out->x.width < 1)
        return bad(op, "w", in->w, "shape does not fit x and y", CH4_EINVAL, err);
    if (!same_rows(&out->x, &out->y) || (in->residual && (!same_rows(&out->residual, &out->y) || out->residual.width != out->y.width)))
        return bad(op, "y", y, "rows do not fit x or residual", CH4_EINVAL, err);
    if (in->residual && in->act != CH4_ACT_NONE)
        return ch4_err_set(err, CH4_EUNSUP, "linear: an activation and a residual together");
    out->w = in->w->data;
    out->w_dtype = in->w->dtype;
    out->w_stride = in->w->stride[0];
    out->bias = in->bias ? in->bias->data : NULL;
    return CH4_OK;
}

ch4_status ch4_nn_check_norm(ch4_rows *x, ch4_rows *y, const ch4_tensor *yt, const ch4_tensor *xt, const ch4_tensor *g, const ch4_tensor *b,
                             ch4_err *err)
{
    const char *op = "layernorm";
    ch4_status st = ch4_nn_rows(x, xt, op, "x", err);
    if (!st)
        st = ch4_nn_rows(y, yt, op, "y", err);
    if (!st)
        st = ch4_nn_vector(g, x->width, op, "g", err);
    if (!st)
        st = ch4_nn_vector(b, x->width, op, "b", err);
    if (!st && (!same_rows(x, y) || x->width != y->width || x->width < 1))
        st = bad(op, "y", yt, "shape differs from x", CH4_EINVAL, err);
    return st;
}

ch4_status ch4_nn_check_rmsnorm(const ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, ch4_err *err)
{
    const char *op = "rmsnorm";
    if (x->rank != 3 || !ch4_tensor_has_shape(y, 3, x->shape))
        return bad(op, "y", y, "[R,H,D] like x wanted", CH4_EINVAL, err);
    ch4_status st = check_f32(x, op, "x", err);
    if (!st)
        st = check_f32(y, op, "y", err);
    return st ? st : ch4_nn_vector(g, x->shape[2], op, "g", err);
}

ch4_status ch4_nn_check_rope(const ch4_tensor *x, const ch4_tensor *cos, const ch4_tensor *sin, ch4_err *err)
{
    const char *op = "rope";
    if (x->rank != 4 || x->shape[3] % 2 != 0)
        return bad(op, "x", x, "[F,R,H,D] with even D wanted", CH4_EINVAL, err);
    const int64_t table[2] = {x->shape[0], x->shape[3] / 2};
    if (!ch4_tensor_has_shape(cos, 2, table) || !ch4_tensor_has_shape(sin, 2, table) || !ch4_tensor_contiguous(cos) || !ch4_tensor_contiguous(sin))
        return bad(op, "cos, sin", cos, "contiguous [F,D/2] wanted", CH4_EINVAL, err);
    ch4_status st = check_f32(x, op, "x", err);
    if (!st)
        st = check_f32(cos, op, "cos", err);
    return st ? st : check_f32(sin, op, "sin", err);
}

static ch4_status check_qk(const ch4_tensor *q, const ch4_tensor *k, const char *op, ch4_err *err)
{
    if (q->rank != 4 || k->rank != 4 || q->shape[0] != k->shape[0] || q->shape[1] != k->shape[1] || q->shape[3] != k->shape[3])
        return bad(op, "k", k, "[B,H,S,D] fitting q wanted", CH4_EINVAL, err);
    if (q->shape[3] < 1 || q->shape[3] > CH4_NN_MAX_HEAD)
        return bad(op, "q", q, "head width over 256", CH4_EUNSUP, err);
    if (k->shape[2] < 1)
        return bad(op, "k", k, "no keys", CH4_EINVAL, err);
    ch4_status st = check_f32(q, op, "q", err);
    return st ? st : check_f32(k, op, "k", err);
}

static ch4_status check_gain(const ch4_attention_gain *g, int64_t n_query, int64_t n_key, ch4_err *err)
{
    for (int64_t i = 0; i < n_query; i++) {
        if (g->row[0] != 0 || g->row[i] > g->row[i + 1])
            return ch4_err_set(err, CH4_EINVAL, "attention: gain: entries of query %d are out of order", (int)i);
        for (int64_t e = g->row[i]; e < g->row[i + 1]; e++)
            if (g->key[e] < 0 || g->key[e] >= n_key || (e > g->row[i] && g->key[e] <= g->key[e - 1]) || !isfinite(g->log_gain[e]))
                return ch4_err_set(err, CH4_EINVAL, "attention: gain: query %d, key %d of %d, log gain %g", (int)i, (int)g->key[e], (int)n_key, (double)g->log_gain[e]);
    }
    return CH4_OK;
}

ch4_status ch4_nn_check_attention(const ch4_tensor *o, const ch4_tensor *lse, const ch4_attention_in *in, ch4_err *err)
{
    const char *op = "attention";
    ch4_status st = check_qk(in->q, in->k, op, err);
    if (st)
        return st;
    if (!ch4_tensor_has_shape(in->v, 4, in->k->shape))
        return bad(op, "v", in->v, "shape differs from k", CH4_EINVAL, err);
    if (!ch4_tensor_has_shape(o, 4, in->q->shape))
        return bad(op, "o", o, "shape differs from q", CH4_EINVAL, err);
    if (lse && !ch4_tensor_has_shape(lse, 3, in->q->shape))
        return bad(op, "lse", lse, "[B,H,Sq] wanted", CH4_EINVAL, err);
    st = check_f32(in->v, op, "v", err);
    if (!st)
        st = check_f32(o, op, "o", err);
    if (!st && in->gain)
        st = check_gain(in->gain, in->q->shape[2], in->k->shape[2], err);
    return st || !lse ? st : check_f32(lse, op, "lse", err);
}

ch4_status ch4_nn_check_map(const ch4_tensor *a, const ch4_attention_map_in *in, ch4_err *err)
{
    const char *op = "attention_map";
    ch4_status st = check_qk(in->q, in->k, op, err);
    if (st)
        return st;
    const int64_t want[3] = {in->q->shape[0], in->q->shape[2], in->k->shape[2]};
    if (!ch4_tensor_has_shape(a, 3, want))
        return bad(op, "a", a, "[B,R,C] wanted", CH4_EINVAL, err);
    if (in->lse && !ch4_tensor_has_shape(in->lse, 3, in->q->shape))
        return bad(op, "lse", in->lse, "[B,H,R] wanted", CH4_EINVAL, err);
    if (in->n_heads < 1)
        return ch4_err_set(err, CH4_EINVAL, "%s: no heads chosen", op);
    for (int i = 0; i < in->n_heads; i++)
        if (in->heads[i] < 0 || in->heads[i] >= in->q->shape[1])
            return ch4_err_set(err, CH4_EINVAL, "%s: head %d is not in [0,%d)", op, in->heads[i], (int)in->q->shape[1]);
    st = check_f32(a, op, "a", err);
    return st || !in->lse ? st : check_f32(in->lse, op, "lse", err);
}

ch4_status ch4_nn_check_same(const ch4_tensor *y, const ch4_tensor *x, const char *op, ch4_err *err)
{
    if (y->rank < 1 || y->rank > 4 || !ch4_tensor_has_shape(x, y->rank, y->shape))
        return bad(op, "x", x, "shape differs from y", CH4_EINVAL, err);
    if (x->dtype != CH4_DTYPE_F32 || y->dtype != CH4_DTYPE_F32)
        return bad(op, "x", x, "only f32 is supported", CH4_EUNSUP, err);
    return CH4_OK;
}

static ch4_status check_picture(const ch4_tensor *t, const char *op, const char *what, ch4_err *err)
{
    if (t->rank != 3 || t->shape[0] < 1 || t->shape[1] < 1 || t->shape[2] < 1)
        return bad(op, what, t, "a picture [H,W,C] wanted", CH4_EINVAL, err);
    return check_f32(t, op, what, err);
}

static ch4_status check_pictures(const ch4_tensor *y, const ch4_tensor *x, const char *op, ch4_err *err)
{
    ch4_status st = check_picture(x, op, "x", err);
    return st ? st : check_picture(y, op, "y", err);
}

ch4_status ch4_nn_check_conv(const ch4_tensor *y, const ch4_conv_in *in, ch4_err *err)
{
    const char *op = "conv3x3";
    ch4_status st = check_pictures(y, in->x, op, err);
    if (st)
        return st;
    const int64_t w[4] = {y->shape[2], 3, 3, in->x->shape[2]};
    if (!ch4_tensor_has_shape(in->w, 4, w) || !ch4_tensor_contiguous(in->w))
        return bad(op, "w", in->w, "contiguous [O,3,3,C] fitting x and y wanted", CH4_EINVAL, err);
    if (in->step < 1 || in->dilation < 1)
        return ch4_err_set(err, CH4_EINVAL, "%s: step and dilation of at least 1 wanted", op);
    if (y->shape[0] != (in->x->shape[0] - 1) / in->step + 1 || y->shape[1] != (in->x->shape[1] - 1) / in->step + 1)
        return bad(op, "y", y, "size does not fit x and step", CH4_EINVAL, err);
    st = check_f32(in->w, op, "w", err);
    return st ? st : ch4_nn_vector(in->bias, y->shape[2], op, "bias", err);
}

ch4_status ch4_nn_check_pool(const ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    ch4_status st = check_pictures(y, x, "maxpool2", err);
    if (!st && (y->shape[0] != (x->shape[0] + 1) / 2 || y->shape[1] != (x->shape[1] + 1) / 2 || y->shape[2] != x->shape[2]))
        st = bad("maxpool2", "y", y, "half the size of x, rounded up, wanted", CH4_EINVAL, err);
    return st;
}

ch4_status ch4_nn_check_resize(const ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    ch4_status st = check_pictures(y, x, "resize", err);
    if (!st && y->shape[2] != x->shape[2])
        st = bad("resize", "y", y, "the channels of x wanted", CH4_EINVAL, err);
    return st;
}
