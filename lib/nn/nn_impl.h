/* Shared by the backends of lib/nn: the tables, shape checks and host memory. Not for callers. */
#ifndef CH4_NN_IMPL_H
#define CH4_NN_IMPL_H

#include "nn/nn.h"

extern const ch4_nn_ops ch4_nn_ops_ref, ch4_nn_ops_cpu;

enum { CH4_NN_MAX_HEAD = 256 };

/* A matrix as the row loops see it: groups of rows with a contiguous innermost dimension. */
typedef struct ch4_rows {
    float *data;
    int64_t groups, rows, width, group_stride, row_stride;
} ch4_rows;

static inline float *ch4_rows_at(const ch4_rows *m, int64_t group, int64_t row)
{
    return m->data + group * m->group_stride + row * m->row_stride;
}

/* [R,W] or [G,R,W], f32, host, innermost contiguous; `what` names the tensor in the message. */
ch4_status ch4_nn_rows(ch4_rows *out, const ch4_tensor *t, const char *op, const char *what, ch4_err *err);

/* Contiguous f32 vector of n elements; NULL is not allowed. */
ch4_status ch4_nn_vector(const ch4_tensor *t, int64_t n, const char *op, const char *what, ch4_err *err);

typedef struct ch4_linear_args {
    ch4_rows x, y, residual; /* residual.data NULL when absent */
    const float *bias;       /* NULL when absent */
    const void *w;           /* of w_dtype: F32, F16 or BF16 */
    ch4_dtype w_dtype;
    int64_t w_stride;        /* elements from row to row */
    ch4_act act;
} ch4_linear_args;

ch4_status ch4_nn_check_linear(ch4_linear_args *out, ch4_tensor *y, const ch4_linear_in *in, ch4_err *err);
ch4_status ch4_nn_check_norm(ch4_rows *x, ch4_rows *y, const ch4_tensor *yt, const ch4_tensor *xt, const ch4_tensor *g, const ch4_tensor *b,
                             ch4_err *err);
ch4_status ch4_nn_check_rmsnorm(const ch4_tensor *y, const ch4_tensor *x, const ch4_tensor *g, ch4_err *err);
ch4_status ch4_nn_check_rope(const ch4_tensor *x, const ch4_tensor *cos, const ch4_tensor *sin, ch4_err *err);
ch4_status ch4_nn_check_attention(const ch4_tensor *o, const ch4_tensor *lse, const ch4_attention_in *in, ch4_err *err);
ch4_status ch4_nn_check_map(const ch4_tensor *a, const ch4_attention_map_in *in, ch4_err *err);
ch4_status ch4_nn_check_conv(const ch4_tensor *y, const ch4_conv_in *in, ch4_err *err);
ch4_status ch4_nn_check_pool(const ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
ch4_status ch4_nn_check_resize(const ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
ch4_status ch4_nn_check_same(const ch4_tensor *y, const ch4_tensor *x, const char *op, ch4_err *err);

/* Picture operations of backend "ref" (ref_image.c). */
ch4_status ch4_ref_conv3x3(ch4_nn *nn, ch4_tensor *y, const ch4_conv_in *in, ch4_err *err);
ch4_status ch4_ref_maxpool2(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
ch4_status ch4_ref_resize(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);

/* Where output sample o of `out` reads from `in` samples: two indices and the share of the second. */
static inline void ch4_nn_bilinear(int64_t index[2], double *share, int64_t o, int64_t out, int64_t in)
{
    double s = ((double)o + 0.5) * (double)in / (double)out - 0.5;
    s = s > 0 ? s : 0;
    index[0] = (int64_t)s;
    index[1] = index[0] + 1 < in ? index[0] + 1 : in - 1;
    *share = s - (double)index[0];
}

/* Memory and copies of the backends that compute in host memory. */
ch4_status ch4_nn_host_alloc(ch4_nn *nn, ch4_buf *out, size_t size, ch4_err *err);
void       ch4_nn_host_release(ch4_nn *nn, ch4_buf *buf);
ch4_status ch4_nn_host_upload(ch4_nn *nn, ch4_tensor *dst, const ch4_tensor *src, ch4_err *err);
ch4_status ch4_nn_host_download(ch4_nn *nn, ch4_tensor *dst, const ch4_tensor *src, ch4_err *err);
ch4_status ch4_nn_host_copy(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);
ch4_status ch4_nn_host_add(ch4_nn *nn, ch4_tensor *y, const ch4_tensor *x, ch4_err *err);

/* Address of element (i,j,k) of a rank-4 f32 view's rows, and of a rank-3 view. */
static inline float *ch4_at4(const ch4_tensor *t, int64_t i, int64_t j, int64_t k)
{
    return (float *)t->data + i * t->stride[0] + j * t->stride[1] + k * t->stride[2];
}
static inline float *ch4_at3(const ch4_tensor *t, int64_t i, int64_t j)
{
    return (float *)t->data + i * t->stride[0] + j * t->stride[1];
}

#endif
