#include "nn/nn_impl.h"

#include <string.h>

static bool contiguous_pair(const ch4_tensor *dst, const ch4_tensor *src)
{
    return ch4_tensor_contiguous(dst) && ch4_tensor_contiguous(src) && ch4_tensor_count(dst) == ch4_tensor_count(src);
}

ch4_status ch4_nn_host_alloc(ch4_nn *nn, ch4_buf *out, size_t size, ch4_err *err)
{
    (void)nn;
    return ch4_buf_alloc(out, size, err);
}

void ch4_nn_host_release(ch4_nn *nn, ch4_buf *buf)
{
    (void)nn;
    ch4_buf_free(buf);
}

ch4_status ch4_nn_host_upload(ch4_nn *nn, ch4_tensor *dst, const ch4_tensor *src, ch4_err *err)
{
    (void)nn;
    if (!contiguous_pair(dst, src))
        return ch4_err_set(err, CH4_EINVAL, "upload: contiguous tensors of equal count wanted");
    if (dst->dtype == CH4_DTYPE_F32)
        return ch4_tensor_to_f32(dst->data, src, err);
    if (dst->dtype == src->dtype && (src->dtype == CH4_DTYPE_F16 || src->dtype == CH4_DTYPE_BF16)) {
        memcpy(dst->data, src->data, (size_t)ch4_tensor_count(src) * ch4_dtype_size(src->dtype));
        return CH4_OK;
    }
    if (dst->dtype == CH4_DTYPE_BF16 && src->dtype == CH4_DTYPE_F32)
        return ch4_tensor_to_bf16(dst->data, src, err);
    return ch4_err_set(err, CH4_EUNSUP, "upload: %s to %s", ch4_dtype_name(src->dtype), ch4_dtype_name(dst->dtype));
}

ch4_status ch4_nn_host_download(ch4_nn *nn, ch4_tensor *dst, const ch4_tensor *src, ch4_err *err)
{
    (void)nn;
    if (src->dtype != CH4_DTYPE_F32 || dst->dtype != CH4_DTYPE_F32)
        return ch4_err_set(err, CH4_EUNSUP, "download: only f32 is supported");
    return ch4_nn_host_upload(nn, dst, src, err);
}

/* Runs over all elements of y and x as rank-4 arrays; `add` adds, otherwise assigns. */
static void walk(const ch4_tensor *y, const ch4_tensor *x, bool add)
{
    int64_t n[4] = {1, 1, 1, 1}, sy[4] = {0}, sx[4] = {0};
    for (int i = 0, o = 4 - y->rank; i < y->rank; i++) {
        n[o + i] = y->shape[i];
        sy[o + i] = y->stride[i];
        sx[o + i] = x->stride[i];
    }
    for (int64_t a = 0; a < n[0]; a++)
        for (int64_t b = 0; b < n[1]; b++)
            for (int64_t c = 0; c < n[2]; c++) {
                float *yp = (float *)y->data + a * sy[0] + b * sy[1] + c * sy[2];
                const float *xp = (const float *)x->data + a * sx[0] + b * sx[1] + c * sx[2];
                for (int64_t d = 0; d < n[3]; d++)
                    yp[d * sy[3]] = add ? yp[d * sy[3]] + xp[d * sx[3]] : xp[d * sx[3]];
            }
}

ch4_status ch4_nn_host_copy(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_same(y, x, "copy", err);
    if (!st)
        walk(y, x, false);
    return st;
}

ch4_status ch4_nn_host_add(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err)
{
    (void)nn;
    ch4_status st = ch4_nn_check_same(y, x, "add", err);
    if (!st)
        walk(y, x, true);
    return st;
}
