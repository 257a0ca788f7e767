/* Backend "ref": plain loops, sums in double, one thread. The oracle for every other backend; never optimised. */
#include "nn/nn_impl.h"

#include <math.h>

static ch4_status ref_open(ch4_nn *nn, int n_threads, ch4_err *err)
{
    (void)n_threads;
    (void)err;
    nn->n_threads = 1;
    return CH4_OK;
}

static void ref_close(ch4_nn *nn)
{
    (void)nn;
}

static double weight_at(const ch4_linear_args *a, int64_t index)
{
    switch (a->w_dtype) {
    case CH4_DTYPE_F16: return ch4_f16_to_f32(((const uint16_t *)a->w)[index]);
    case CH4_DTYPE_BF16: return ch4_bf16_to_f32(((const uint16_t *)a->w)[index]);
    default: return ((const float *)a->w)[index];
    }
}

static ch4_status ref_linear(ch4_nn *nn, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err)
{
    (void)nn;
    ch4_linear_args a;
    ch4_status st = ch4_nn_check_linear(&a, y, in, err);
    if (st)
        return st;
    for (int64_t g = 0; g < a.y.groups; g++)
        for (int64_t r = 0; r < a.y.rows; r++)
            for (int64_t o = 0; o < a.y.width; o++) {
                const float *x = ch4_rows_at(&a.x, g, r);
                double sum = a.bias ? a.bias[o] : 0.0;
                for (int64_t i = 0; i < a.x.width; i++)
                    sum += x[i] * weight_at(&a, o * a.w_stride + i);
                if (a.act == CH4_ACT_GELU)
                    sum = 0.5 * sum * (1.0 + erf(sum / sqrt(2.0)));
                if (a.residual.data) /* excludes act */
                    sum += ch4_rows_at(&a.residual, g, r)[o];
                ch4_rows_at(&a.y, g, r)[o] = (float)sum;
            }
    return CH4_OK;
}

static ch4_status ref_layernorm(ch4_nn *nn, ch4_tensor *yt, const ch4_tensor *xt, const ch4_tensor *g, const ch4_tensor *b, float eps, ch4_err *err)
{
    (void)nn;
    ch4_rows x, y;
    ch4_status st = ch4_nn_check_norm(&x, &y, yt, xt, g, b, err);
    if (st)
        return st;
    const float *gain = g->data, *shift = b->data;
    for (int64_t group = 0; group < x.groups; group++)
        for (int64_t r = 0; r < x.rows; r++) {
            const float *xr = ch4_rows_at(&x, group, r);
            float *yr = ch4_rows_at(&y, group, r);
            double mean = 0.0, var = 0.0;
            for (int64_t d = 0; d < x.width; d++)
                mean += xr[d];
            mean /= (double)x.width;
            for (int64_t d = 0; d < x.width; d++)
                var += (xr[d] - mean) * (xr[d] - mean);
            double inv = 1.0 / sqrt(var / (double)x.width + eps);
            for (int64_t d = 0; d < x.width; d++)
                yr[d] = (float)((xr[d] - mean) * inv * gain[d] + shift[d]);
        }
    return CH4_OK;
}

static ch4_status ref_rmsnorm(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, float eps, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_rmsnorm(y, x, g, err);
    if (st)
        return st;
    const float *gain = g->data;
    int64_t width = x->shape[2];
    for (int64_t r = 0; r < x->shape[0]; r++)
        for (int64_t h = 0; h < x->shape[1]; h++) {
            const float *xr = ch4_at3(x, r, h);
            float *yr = ch4_at3(y, r, h);
            double sum = 0.0;
            for (int64_t d = 0; d < width; d++)
                sum += (double)xr[d] * xr[d];
            double inv = 1.0 / sqrt(sum / (double)width + eps);
            for (int64_t d = 0; d < width; d++)
                yr[d] = (float)(xr[d] * inv * gain[d]);
        }
    return CH4_OK;
}

static ch4_status ref_rope(ch4_nn *nn, ch4_tensor *x, const ch4_tensor *cos_t, const ch4_tensor *sin_t, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_rope(x, cos_t, sin_t, err);
    if (st)
        return st;
    int64_t half = x->shape[3] / 2;
    for (int64_t f = 0; f < x->shape[0]; f++)
        for (int64_t r = 0; r < x->shape[1]; r++)
            for (int64_t h = 0; h < x->shape[2]; h++) {
                float *v = ch4_at4(x, f, r, h);
                for (int64_t j = 0; j < half; j++) {
                    double c = ((const float *)cos_t->data)[f * half + j], s = ((const float *)sin_t->data)[f * half + j];
                    double a = v[2 * j], b = v[2 * j + 1];
                    v[2 * j] = (float)(a * c - b * s);
                    v[2 * j + 1] = (float)(b * c + a * s);
                }
            }
    return CH4_OK;
}

static double logit(const ch4_tensor *q, const ch4_tensor *k, int64_t b, int64_t h, int64_t i, int64_t j, float scale)
{
    const float *x = ch4_at4(q, b, h, i), *y = ch4_at4(k, b, h, j);
    double sum = 0.0;
    for (int64_t d = 0; d < q->shape[3]; d++)
        sum += (double)x[d] * y[d];
    return sum * scale;
}

static double log_gain(const ch4_attention_gain *gain, int64_t i, int64_t j)
{
    for (int64_t e = gain ? gain->row[i] : 0; gain && e < gain->row[i + 1]; e++)
        if (gain->key[e] == j)
            return gain->log_gain[e];
    return 0.0;
}

/* log sum_j exp(logit) of one row (there is at least one key), shifted by the largest so that it cannot overflow */
static double row_lse(const ch4_tensor *q, const ch4_tensor *k, int64_t b, int64_t h, int64_t i, float scale, const ch4_attention_gain *gain)
{
    double first = logit(q, k, b, h, i, 0, scale) + log_gain(gain, i, 0), top = first;
    for (int64_t j = 1; j < k->shape[2]; j++)
        top = fmax(top, logit(q, k, b, h, i, j, scale) + log_gain(gain, i, j));
    double sum = exp(first - top);
    for (int64_t j = 1; j < k->shape[2]; j++)
        sum += exp(logit(q, k, b, h, i, j, scale) + log_gain(gain, i, j) - top);
    return top + log(sum);
}

static ch4_status ref_attention(ch4_nn *nn, ch4_tensor *o, ch4_tensor *lse, const ch4_attention_in *in, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_attention(o, lse, in, err);
    if (st)
        return st;
    const ch4_tensor *q = in->q, *k = in->k, *v = in->v;
    int64_t width = q->shape[3];
    for (int64_t b = 0; b < q->shape[0]; b++)
        for (int64_t h = 0; h < q->shape[1]; h++)
            for (int64_t i = 0; i < q->shape[2]; i++) {
                double all = row_lse(q, k, b, h, i, in->scale, in->gain), sum[CH4_NN_MAX_HEAD] = {0};
                for (int64_t j = 0; j < k->shape[2]; j++) {
                    double p = exp(logit(q, k, b, h, i, j, in->scale) + log_gain(in->gain, i, j) - all);
                    const float *vj = ch4_at4(v, b, h, j);
                    for (int64_t d = 0; d < width; d++)
                        sum[d] += p * vj[d];
                }
                float *oi = ch4_at4(o, b, h, i);
                for (int64_t d = 0; d < width; d++)
                    oi[d] = (float)sum[d];
                if (lse)
                    ch4_at3(lse, b, h)[i * lse->stride[2]] = (float)all;
            }
    return CH4_OK;
}

static ch4_status ref_attention_map(ch4_nn *nn, ch4_tensor *a, const ch4_attention_map_in *in, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_map(a, in, err);
    if (st)
        return st;
    const ch4_tensor *q = in->q, *k = in->k;
    for (int64_t b = 0; b < q->shape[0]; b++)
        for (int64_t i = 0; i < q->shape[2]; i++)
            for (int64_t j = 0; j < k->shape[2]; j++) {
                double sum = 0.0;
                for (int n = 0; n < in->n_heads; n++) {
                    int64_t h = in->heads[n];
                    double all = in->lse ? ch4_at3(in->lse, b, h)[i * in->lse->stride[2]] : row_lse(q, k, b, h, i, in->scale, NULL);
                    sum += exp(logit(q, k, b, h, i, j, in->scale) - all);
                }
                float *out = ch4_at3(a, b, i) + j;
                *out = (float)(in->weight * sum + (in->accumulate ? *out : 0.0));
            }
    return CH4_OK;
}

const ch4_nn_ops ch4_nn_ops_ref = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .alloc = ch4_nn_host_alloc,
    .release = ch4_nn_host_release,
    .upload = ch4_nn_host_upload,
    .download = ch4_nn_host_download,
    .linear = ref_linear,
    .layernorm = ref_layernorm,
    .rmsnorm = ref_rmsnorm,
    .rope = ref_rope,
    .attention = ref_attention,
    .attention_map = ref_attention_map,
    .conv3x3 = ch4_ref_conv3x3,
    .maxpool2 = ch4_ref_maxpool2,
    .resize = ch4_ref_resize,
    .copy = ch4_nn_host_copy,
    .add = ch4_nn_host_add,
};
