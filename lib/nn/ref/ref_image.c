/* Picture operations of backend "ref": plain loops, sums in double. */
#include <math.h>

#include "nn/nn_impl.h"

static double conv_sum(const ch4_conv_in *in, int64_t i, int64_t j, int64_t o)
{
    const ch4_tensor *x = in->x;
    int64_t C = x->shape[2];
    double sum = ((const float *)in->bias->data)[o];
    for (int64_t a = 0; a < 3; a++)
        for (int64_t b = 0; b < 3; b++) {
            int64_t row = i * in->step + (a - 1) * in->dilation, col = j * in->step + (b - 1) * in->dilation;
            if (row < 0 || row >= x->shape[0] || col < 0 || col >= x->shape[1])
                continue;
            const float *p = ch4_at3(x, row, col), *w = (const float *)in->w->data + ((o * 3 + a) * 3 + b) * C;
            for (int64_t c = 0; c < C; c++)
                sum += (double)p[c] * w[c];
        }
    return sum;
}

ch4_status ch4_ref_conv3x3(ch4_nn *nn, ch4_tensor *y, const ch4_conv_in *in, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_conv(y, in, err);
    for (int64_t i = 0; !st && i < y->shape[0]; i++)
        for (int64_t j = 0; j < y->shape[1]; j++)
            for (int64_t o = 0; o < y->shape[2]; o++) {
                double sum = conv_sum(in, i, j, o);
                ch4_at3(y, i, j)[o] = (float)(in->relu ? fmax(sum, 0.0) : sum);
            }
    return st;
}

ch4_status ch4_ref_maxpool2(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_pool(y, x, err);
    for (int64_t i = 0; !st && i < y->shape[0]; i++)
        for (int64_t j = 0; j < y->shape[1]; j++)
            for (int64_t c = 0; c < y->shape[2]; c++) {
                float top = -INFINITY;
                for (int64_t a = 2 * i; a < 2 * i + 2 && a < x->shape[0]; a++)
                    for (int64_t b = 2 * j; b < 2 * j + 2 && b < x->shape[1]; b++)
                        top = fmaxf(top, ch4_at3(x, a, b)[c]);
                ch4_at3(y, i, j)[c] = top;
            }
    return st;
}

ch4_status ch4_ref_resize(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_resize(y, x, err);
    for (int64_t i = 0; !st && i < y->shape[0]; i++)
        for (int64_t j = 0; j < y->shape[1]; j++) {
            int64_t a[2], b[2];
            double down, right;
            ch4_nn_bilinear(a, &down, i, y->shape[0], x->shape[0]);
            ch4_nn_bilinear(b, &right, j, y->shape[1], x->shape[1]);
            for (int64_t c = 0; c < y->shape[2]; c++) {
                double top = (1 - right) * ch4_at3(x, a[0], b[0])[c] + right * ch4_at3(x, a[0], b[1])[c];
                double bottom = (1 - right) * ch4_at3(x, a[1], b[0])[c] + right * ch4_at3(x, a[1], b[1])[c];
                ch4_at3(y, i, j)[c] = (float)((1 - down) * top + down * bottom);
            }
        }
    return st;
}
