#include "model/block.h"

#include <math.h>

static const float rms_eps = 1e-6f;

ch4_tensor ch4_space_take(ch4_space *space, int rank, const int64_t *shape)
{
    ch4_tensor t = ch4_tensor_view(NULL, CH4_DTYPE_F32, rank, shape);
    if (space->buf.data)
        t.data = (char *)space->buf.data + space->used;
    space->used += ((size_t)ch4_tensor_count(&t) * sizeof(float) + 63) / 64 * 64;
    return t;
}

ch4_status ch4_space_reserve(ch4_space *space, ch4_err *err)
{
    size_t need = space->used;
    space->used = 0;
    if (need <= space->buf.size && space->buf.data)
        return CH4_OK;
    space->nn->ops->release(space->nn, &space->buf);
    return space->nn->ops->alloc(space->nn, &space->buf, need ? need : 1, err);
}

void ch4_space_free(ch4_space *space)
{
    if (space->nn)
        space->nn->ops->release(space->nn, &space->buf);
    space->used = 0;
}

void ch4_block_work_take(ch4_block_work *work, ch4_space *space, int64_t rows, int64_t width, int64_t inner, int64_t heads)
{
    int64_t wide = inner > 3 * width ? inner : 3 * width;
    work->norm = ch4_space_take(space, CH4_SHAPE(rows * width));
    work->mid = ch4_space_take(space, CH4_SHAPE(rows * width));
    work->wide = ch4_space_take(space, CH4_SHAPE(rows * wide));
    work->lse = ch4_space_take(space, CH4_SHAPE(rows * heads));
}

ch4_status ch4_probe_call(const ch4_probe *probe, ch4_nn *nn, const ch4_probe_event *event, ch4_err *err)
{
    return probe ? probe->fn(probe->ctx, nn, event, err) : CH4_OK;
}

ch4_tensor ch4_block_heads(const ch4_tensor *rows, int64_t batch, int64_t seq, int64_t heads, int64_t head_dim, int64_t column)
{
    int64_t stride = rows->shape[rows->rank - 1];
    return (ch4_tensor){
        .data = (float *)rows->data + column,
        .dtype = CH4_DTYPE_F32,
        .rank = 4,
        .shape = {batch, heads, seq, head_dim},
        .stride = {seq * stride, head_dim, stride, 1},
        .device = rows->device,
    };
}

/* Contiguous view of the same memory with another shape. */
static ch4_tensor as(const ch4_tensor *t, int rank, const int64_t *shape)
{
    ch4_tensor v = ch4_tensor_view(t->data, CH4_DTYPE_F32, rank, shape);
    v.device = t->device;
    return v;
}

static ch4_status norm_heads(ch4_nn *nn, const ch4_tensor *rows, int64_t n_rows, int64_t heads, int64_t head_dim, int64_t column, const ch4_tensor *g, ch4_err *err)
{
    if (!g->data)
        return CH4_OK;
    int64_t stride = rows->shape[rows->rank - 1];
    ch4_tensor x = {.data = (float *)rows->data + column, .dtype = CH4_DTYPE_F32, .rank = 3, .shape = {n_rows, heads, head_dim}, .stride = {stride, head_dim, 1}};
    x.device = rows->device;
    return nn->ops->rmsnorm(nn, &x, &x, g, rms_eps, err);
}

static ch4_status rotate(const ch4_block_run *run, const ch4_tensor *rows, int64_t heads, int64_t head_dim, int64_t column, ch4_err *err)
{
    int64_t stride = rows->shape[rows->rank - 1];
    ch4_tensor x = {
        .data = (float *)rows->data + column,
        .dtype = CH4_DTYPE_F32,
        .rank = 4,
        .shape = {run->frames, run->rows, heads, head_dim},
        .stride = {run->rows * stride, stride, head_dim, 1},
        .device = rows->device,
    };
    return run->nn->ops->rope(run->nn, &x, run->cos, run->sin, err);
}

/* Attention with an optional probe; o may not overlap q, k, v. */
static ch4_status attend(const ch4_block_run *run, ch4_probe_point point, ch4_tensor *o, const ch4_tensor *q, const ch4_tensor *k, const ch4_tensor *v,
                         ch4_err *err)
{
    ch4_nn *nn = run->nn;
    float scale = 1.0f / sqrtf((float)q->shape[3]);
    ch4_tensor lse = as(&run->work->lse, CH4_SHAPE(q->shape[0], q->shape[1], q->shape[2]));
    const ch4_attention_in in = {q, k, v, scale, point == CH4_PROBE_SELF ? run->gain : NULL};
    ch4_status st = nn->ops->attention(nn, o, run->probe ? &lse : NULL, &in, err);
    if (st)
        return st;
    const ch4_probe_event event = {.point = point, .layer = run->layer, .joint = point == CH4_PROBE_SELF && run->joint, .frames = run->frames,
                                   .rows = run->rows, .scale = scale, .q = q, .k = k, .v = v, .lse = &lse};
    return ch4_probe_call(run->probe, nn, &event, err);
}

/* mid = in + SelfAttn(LN(in)) */
static ch4_status self_attention(const ch4_block *b, const ch4_block_run *run, ch4_tensor *out, const ch4_tensor *in, ch4_err *err)
{
    ch4_nn *nn = run->nn;
    int64_t n = run->frames * run->rows, C = b->width, H = b->heads, D = C / H;
    int64_t batch = run->joint ? 1 : run->frames, seq = n / (batch ? batch : 1);
    ch4_tensor norm = as(&run->work->norm, CH4_SHAPE(n, C)), qkv = as(&run->work->wide, CH4_SHAPE(n, 3 * C));
    ch4_status st = nn->ops->layernorm(nn, &norm, in, &b->self.norm_g, &b->self.norm_b, b->eps, err);
    if (!st)
        st = nn->ops->linear(nn, &qkv, &(ch4_linear_in){.x = &norm, .w = &b->self.w_qkv, .bias = b->self.b_qkv.data ? &b->self.b_qkv : NULL}, err);
    if (!st)
        st = norm_heads(nn, &qkv, n, H, D, 0, &b->self.norm_q, err);
    if (!st)
        st = norm_heads(nn, &qkv, n, H, D, C, &b->self.norm_k, err);
    if (!st && run->cos)
        st = rotate(run, &qkv, H, D, 0, err);
    if (!st && run->cos)
        st = rotate(run, &qkv, H, D, C, err);
    if (st)
        return st;
    ch4_tensor q = ch4_block_heads(&qkv, batch, seq, H, D, 0), k = ch4_block_heads(&qkv, batch, seq, H, D, C), v = ch4_block_heads(&qkv, batch, seq, H, D, 2 * C);
    ch4_tensor o = ch4_block_heads(&norm, batch, seq, H, D, 0);
    st = attend(run, CH4_PROBE_SELF, &o, &q, &k, &v, err);
    return st ? st : nn->ops->linear(nn, out, &(ch4_linear_in){.x = &norm, .w = &b->self.w_o, .bias = &b->self.b_o, .residual = in}, err);
}

ch4_status ch4_block_cross_queries(const ch4_block *b, ch4_nn *nn, ch4_tensor *q, const ch4_tensor *in, ch4_tensor *scratch, ch4_err *err)
{
    int64_t n = ch4_tensor_count(in) / b->width;
    ch4_tensor norm = as(scratch, CH4_SHAPE(n, b->width)), rows = as(q, CH4_SHAPE(n, b->width)), x = as(in, CH4_SHAPE(n, b->width));
    ch4_status st = nn->ops->layernorm(nn, &norm, &x, &b->cross.norm_g, &b->cross.norm_b, b->eps, err);
    if (!st)
        st = nn->ops->linear(nn, &rows, &(ch4_linear_in){.x = &norm, .w = &b->cross.w_q}, err);
    return st ? st : norm_heads(nn, &rows, n, b->heads, b->width / b->heads, 0, &b->cross.norm_q, err);
}

/* out = in + CrossAttn(LN(in), context) */
static ch4_status cross_attention(const ch4_block *b, const ch4_block_run *run, ch4_tensor *out, const ch4_tensor *in, ch4_err *err)
{
    ch4_nn *nn = run->nn;
    int64_t n = run->frames * run->rows, C = b->width, H = b->heads, D = C / H;
    ch4_tensor norm = as(&run->work->norm, CH4_SHAPE(n, C)), q = as(&run->work->wide, CH4_SHAPE(n, C));
    ch4_status st = ch4_block_cross_queries(b, nn, &q, in, &norm, err);
    if (st)
        return st;
    const ch4_tensor *kv = run->context_kv;
    int64_t S = kv->shape[1];
    ch4_tensor qh = ch4_block_heads(&q, run->frames, run->rows, H, D, 0), o = ch4_block_heads(&norm, run->frames, run->rows, H, D, 0);
    ch4_tensor k = ch4_block_heads(kv, kv->shape[0], S, H, D, 0), v = ch4_block_heads(kv, kv->shape[0], S, H, D, C);
    if (kv->shape[0] != run->frames) { /* one context for all frames */
        k.shape[0] = v.shape[0] = run->frames;
        k.stride[0] = v.stride[0] = 0;
    }
    st = attend(run, CH4_PROBE_CROSS, &o, &qh, &k, &v, err);
    return st ? st : nn->ops->linear(nn, out, &(ch4_linear_in){.x = &norm, .w = &b->cross.w_o, .bias = &b->cross.b_o, .residual = in}, err);
}

/* A zero context has zero keys and values (there are no biases), so the attention adds exactly the output bias. */
static ch4_status add_bias(const ch4_block_run *run, ch4_tensor *y, const ch4_tensor *bias, ch4_err *err)
{
    ch4_tensor wide = {.data = bias->data, .dtype = CH4_DTYPE_F32, .rank = 2, .shape = {y->shape[0], y->shape[1]}, .stride = {0, 1}, .device = bias->device};
    return run->nn->ops->add(run->nn, y, &wide, err);
}

static ch4_status feed_forward(const ch4_block *b, const ch4_block_run *run, ch4_tensor *out, const ch4_tensor *in, ch4_err *err)
{
    ch4_nn *nn = run->nn;
    int64_t n = run->frames * run->rows;
    ch4_tensor norm = as(&run->work->norm, CH4_SHAPE(n, b->width)), inner = as(&run->work->wide, CH4_SHAPE(n, b->inner));
    ch4_status st = nn->ops->layernorm(nn, &norm, in, &b->ff_g, &b->ff_b, b->eps, err);
    if (!st)
        st = nn->ops->linear(nn, &inner, &(ch4_linear_in){.x = &norm, .w = &b->w1, .bias = &b->b1, .act = CH4_ACT_GELU}, err);
    return st ? st : nn->ops->linear(nn, out, &(ch4_linear_in){.x = &inner, .w = &b->w2, .bias = &b->b2, .residual = in}, err);
}

/* out = LN(W [saved, in] + b), the product split by columns so that nothing is concatenated */
static ch4_status join_skip(const ch4_block *b, const ch4_block_run *run, ch4_tensor *out, const ch4_tensor *in, const ch4_tensor *saved, ch4_err *err)
{
    ch4_nn *nn = run->nn;
    ch4_tensor sum = as(&run->work->norm, CH4_SHAPE(run->frames * run->rows, b->width));
    ch4_status st = nn->ops->linear(nn, &sum, &(ch4_linear_in){.x = saved, .w = &b->skip_saved, .bias = &b->skip_b}, err);
    if (!st)
        st = nn->ops->linear(nn, &sum, &(ch4_linear_in){.x = in, .w = &b->skip_current, .residual = &sum}, err);
    return st ? st : nn->ops->layernorm(nn, out, &sum, &b->skip_g, &b->skip_beta, b->eps, err);
}

ch4_status ch4_block_forward(const ch4_block *b, const ch4_block_run *run, ch4_tensor *out, const ch4_tensor *in, const ch4_tensor *saved, ch4_err *err)
{
    int64_t n = run->frames * run->rows;
    ch4_tensor x = as(in, CH4_SHAPE(n, b->width)), mid = as(&run->work->mid, CH4_SHAPE(n, b->width)), y = as(out, CH4_SHAPE(n, b->width));
    ch4_status st = CH4_OK;
    if (b->has_skip) {
        ch4_tensor s = as(saved, CH4_SHAPE(n, b->width));
        st = join_skip(b, run, &mid, &x, &s, err);
        x = mid;
    }
    if (!st && b->has_self) {
        st = self_attention(b, run, &mid, &x, err);
        x = mid;
    }
    if (!st && b->has_cross && run->context_kv) {
        st = cross_attention(b, run, &mid, &x, err);
        x = mid;
    } else if (!st && b->has_cross) {
        if (x.data != mid.data)
            st = run->nn->ops->copy(run->nn, &mid, &x, err);
        if (!st)
            st = add_bias(run, &mid, &b->cross.b_o, err);
        x = mid;
    }
    if (!st)
        st = feed_forward(b, run, &y, &x, err);
    if (st)
        return st;
    ch4_tensor stream = as(out, CH4_SHAPE(run->frames, run->rows, b->width));
    return ch4_probe_call(run->probe, run->nn, &(ch4_probe_event){.point = CH4_PROBE_BLOCK_OUT, .layer = run->layer, .frames = run->frames, .rows = run->rows, .x = &stream}, err);
}

ch4_status ch4_block_context(const ch4_block *b, ch4_nn *nn, ch4_tensor *kv, const ch4_tensor *context, ch4_tensor *scratch, ch4_err *err)
{
    int64_t width = context->shape[context->rank - 1], n = ch4_tensor_count(context) / width;
    ch4_tensor x = as(context, CH4_SHAPE(n, width)), rows = as(kv, CH4_SHAPE(n, 2 * b->width));
    ch4_status st = CH4_OK;
    if (b->cross.ctx_g.data) {
        ch4_tensor norm = as(scratch, CH4_SHAPE(n, width));
        st = nn->ops->layernorm(nn, &norm, &x, &b->cross.ctx_g, &b->cross.ctx_b, b->eps, err);
        x = norm;
    }
    if (!st)
        st = nn->ops->linear(nn, &rows, &(ch4_linear_in){.x = &x, .w = &b->cross.w_kv}, err);
    return st ? st : norm_heads(nn, &rows, n, b->heads, b->width / b->heads, 0, &b->cross.norm_k, err);
}
