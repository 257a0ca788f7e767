/* Parameters of blocks: names, shapes, and the row orders that make heads ordinary. */
#include <stdio.h>

#include "model/block.h"

enum { PREFIX_LEN = 128 };

const ch4_block_spec ch4_block_names_temporal = {
    .norm_self = "norm_s_attn", .self_attn = "s_attn", .norm_cross = "norm_x_attn", .cross_attn = "x_attn",
    .norm_ff = "norm_ff", .skip_linear = "linear_skip", .skip_norm = "norm_skip",
};

const ch4_block_spec ch4_block_names_triposg = {
    .norm_self = "norm1", .self_attn = "attn1", .norm_cross = "norm2", .cross_attn = "attn2",
    .norm_ff = "norm3", .skip_linear = "skip_linear", .skip_norm = "skip_norm",
};

static void load_norm(ch4_weights *w, ch4_tensor *g, ch4_tensor *b, int64_t width, const char *prefix, const char *name)
{
    ch4_weights_get(w, g, CH4_SHAPE(width), "%s%s.weight", prefix, name);
    ch4_weights_get(w, b, CH4_SHAPE(width), "%s%s.bias", prefix, name);
}

/* The projections are concatenated before they are cut into heads. */
static void load_stack(ch4_weights *w, ch4_tensor *out, int64_t heads, int64_t width, int64_t columns, int n_parts, const char *const *part, const char *prefix,
                       const char *attn)
{
    char full[PREFIX_LEN];
    snprintf(full, sizeof full, "%s%s.", prefix, attn);
    ch4_weights_stack(w, out, width, columns, heads, n_parts, part, full);
}

static void load_attn_tail(ch4_weights *w, ch4_attn *a, const ch4_block_spec *s, const char *prefix, const char *attn)
{
    if (s->qk_norm) {
        ch4_weights_get(w, &a->norm_q, CH4_SHAPE(s->width / s->heads), "%s%s.norm_q.weight", prefix, attn);
        ch4_weights_get(w, &a->norm_k, CH4_SHAPE(s->width / s->heads), "%s%s.norm_k.weight", prefix, attn);
    }
    ch4_weights_get(w, &a->w_o, CH4_SHAPE(s->width, s->width), "%s%s.to_out.0.weight", prefix, attn);
    ch4_weights_get(w, &a->b_o, CH4_SHAPE(s->width), "%s%s.to_out.0.bias", prefix, attn);
}

static void load_skip(ch4_block *b, ch4_weights *w, const ch4_block_spec *s, const char *prefix)
{
    ch4_tensor both;
    ch4_weights_get(w, &both, CH4_SHAPE(s->width, 2 * s->width), "%s%s.weight", prefix, s->skip_linear);
    b->skip_saved = ch4_tensor_slice(&both, 1, 0, s->width);
    b->skip_current = ch4_tensor_slice(&both, 1, s->width, s->width);
    ch4_weights_get(w, &b->skip_b, CH4_SHAPE(s->width), "%s%s.bias", prefix, s->skip_linear);
    load_norm(w, &b->skip_g, &b->skip_beta, s->width, prefix, s->skip_norm);
}

void ch4_block_load(ch4_block *b, ch4_weights *w, const ch4_block_spec *s, const char *prefix)
{
    static const char *const qkv[] = {"to_q.weight", "to_k.weight", "to_v.weight"};
    *b = (ch4_block){.width = s->width, .heads = s->heads, .inner = s->inner, .eps = 1e-5f, .has_skip = s->skip, .has_self = s->self, .has_cross = s->cross};
    if (s->skip)
        load_skip(b, w, s, prefix);
    if (s->self) {
        load_norm(w, &b->self.norm_g, &b->self.norm_b, s->width, prefix, s->norm_self);
        load_stack(w, &b->self.w_qkv, s->heads, s->width, s->width, 3, qkv, prefix, s->self_attn);
        load_attn_tail(w, &b->self, s, prefix, s->self_attn);
    }
    if (s->cross) {
        load_norm(w, &b->cross.norm_g, &b->cross.norm_b, s->width, prefix, s->norm_cross);
        char ctx[PREFIX_LEN];
        snprintf(ctx, sizeof ctx, "%s.norm_cross", s->cross_attn);
        if (s->context_norm)
            load_norm(w, &b->cross.ctx_g, &b->cross.ctx_b, s->context_width, prefix, ctx);
        ch4_weights_get(w, &b->cross.w_q, CH4_SHAPE(s->width, s->width), "%s%s.to_q.weight", prefix, s->cross_attn);
        load_stack(w, &b->cross.w_kv, s->heads, s->width, s->context_width, 2, qkv + 1, prefix, s->cross_attn);
        load_attn_tail(w, &b->cross, s, prefix, s->cross_attn);
    }
    load_norm(w, &b->ff_g, &b->ff_b, s->width, prefix, s->norm_ff);
    ch4_weights_get(w, &b->w1, CH4_SHAPE(s->inner, s->width), "%sff.net.0.proj.weight", prefix);
    ch4_weights_get(w, &b->b1, CH4_SHAPE(s->inner), "%sff.net.0.proj.bias", prefix);
    ch4_weights_get(w, &b->w2, CH4_SHAPE(s->width, s->inner), "%sff.net.2.weight", prefix);
    ch4_weights_get(w, &b->b2, CH4_SHAPE(s->width), "%sff.net.2.bias", prefix);
    ch4_weights_drop_scratch(w);
}

static void expect_norm(ch4_weights *w, int64_t width, const char *prefix, const char *name)
{
    ch4_weights_expect(w, CH4_SHAPE(width), "%s%s.weight", prefix, name);
    ch4_weights_expect(w, CH4_SHAPE(width), "%s%s.bias", prefix, name);
}

static void expect_attn(ch4_weights *w, const ch4_block_spec *s, int64_t context_width, const char *prefix, const char *attn)
{
    ch4_weights_expect(w, CH4_SHAPE(s->width, s->width), "%s%s.to_q.weight", prefix, attn);
    ch4_weights_expect(w, CH4_SHAPE(s->width, context_width), "%s%s.to_k.weight", prefix, attn);
    ch4_weights_expect(w, CH4_SHAPE(s->width, context_width), "%s%s.to_v.weight", prefix, attn);
    for (int i = 0; s->qk_norm && i < 2; i++)
        ch4_weights_expect(w, CH4_SHAPE(s->width / s->heads), "%s%s.norm_%c.weight", prefix, attn, "qk"[i]);
    ch4_weights_expect(w, CH4_SHAPE(s->width, s->width), "%s%s.to_out.0.weight", prefix, attn);
    ch4_weights_expect(w, CH4_SHAPE(s->width), "%s%s.to_out.0.bias", prefix, attn);
}

void ch4_block_expect(ch4_weights *w, const ch4_block_spec *s, const char *prefix)
{
    if (s->skip) {
        ch4_weights_expect(w, CH4_SHAPE(s->width, 2 * s->width), "%s%s.weight", prefix, s->skip_linear);
        ch4_weights_expect(w, CH4_SHAPE(s->width), "%s%s.bias", prefix, s->skip_linear);
        expect_norm(w, s->width, prefix, s->skip_norm);
    }
    if (s->self) {
        expect_norm(w, s->width, prefix, s->norm_self);
        expect_attn(w, s, s->width, prefix, s->self_attn);
    }
    if (s->cross) {
        char ctx[PREFIX_LEN];
        snprintf(ctx, sizeof ctx, "%s.norm_cross", s->cross_attn);
        expect_norm(w, s->width, prefix, s->norm_cross);
        if (s->context_norm)
            expect_norm(w, s->context_width, prefix, ctx);
        expect_attn(w, s, s->context_width, prefix, s->cross_attn);
    }
    expect_norm(w, s->width, prefix, s->norm_ff);
    ch4_weights_expect(w, CH4_SHAPE(s->inner, s->width), "%sff.net.0.proj.weight", prefix);
    ch4_weights_expect(w, CH4_SHAPE(s->inner), "%sff.net.0.proj.bias", prefix);
    ch4_weights_expect(w, CH4_SHAPE(s->width, s->inner), "%sff.net.2.weight", prefix);
    ch4_weights_expect(w, CH4_SHAPE(s->width), "%sff.net.2.bias", prefix);
}

/* Linear layer whose outputs are multiplied by a learned vector: rows of the matrix and the bias take it in. */
static void load_scaled(ch4_weights *w, ch4_tensor *weight, ch4_tensor *bias, int64_t out, int64_t in, const char *prefix, const char *name, const char *scale_name)
{
    float *m = ch4_weights_scratch(w, out * in), *v = ch4_weights_scratch(w, out), *scale = ch4_weights_scratch(w, out);
    ch4_weights_read(w, m, CH4_SHAPE(out, in), "%s%s.weight", prefix, name);
    ch4_weights_read(w, v, CH4_SHAPE(out), "%s%s.bias", prefix, name);
    ch4_weights_read(w, scale, CH4_SHAPE(out), "%s%s.lambda1", prefix, scale_name);
    for (int64_t o = 0; ch4_weights_ok(w) && o < out; o++) {
        for (int64_t i = 0; i < in; i++)
            m[o * in + i] *= scale[o];
        v[o] *= scale[o];
    }
    ch4_weights_put(w, weight, m, CH4_SHAPE(out, in));
    ch4_weights_put(w, bias, v, CH4_SHAPE(out));
}

void ch4_block_load_vit(ch4_block *b, ch4_weights *w, int64_t width, int64_t heads, int64_t inner, float eps, bool qkv_bias, const char *prefix)
{
    static const char *const part[] = {"query", "key", "value"};
    *b = (ch4_block){.width = width, .heads = heads, .inner = inner, .eps = eps, .has_self = true};
    load_norm(w, &b->self.norm_g, &b->self.norm_b, width, prefix, "norm1");
    float *m = ch4_weights_scratch(w, 3 * width * width), *v = ch4_weights_scratch(w, 3 * width);
    for (int p = 0; p < 3; p++) {
        ch4_weights_read(w, m ? m + p * width * width : NULL, CH4_SHAPE(width, width), "%sattention.attention.%s.weight", prefix, part[p]);
        if (qkv_bias)
            ch4_weights_read(w, v ? v + p * width : NULL, CH4_SHAPE(width), "%sattention.attention.%s.bias", prefix, part[p]);
    }
    ch4_weights_put(w, &b->self.w_qkv, m, CH4_SHAPE(3 * width, width));
    ch4_weights_put(w, &b->self.b_qkv, v, CH4_SHAPE(3 * width));
    load_scaled(w, &b->self.w_o, &b->self.b_o, width, width, prefix, "attention.output.dense", "layer_scale1");
    load_norm(w, &b->ff_g, &b->ff_b, width, prefix, "norm2");
    ch4_weights_get(w, &b->w1, CH4_SHAPE(inner, width), "%smlp.fc1.weight", prefix);
    ch4_weights_get(w, &b->b1, CH4_SHAPE(inner), "%smlp.fc1.bias", prefix);
    load_scaled(w, &b->w2, &b->b2, width, inner, prefix, "mlp.fc2", "layer_scale2");
    ch4_weights_drop_scratch(w);
}
