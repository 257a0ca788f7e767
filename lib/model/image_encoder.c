#include "model/image_encoder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/net_config.h"

struct ch4_image_encoder {
    ch4_nn *nn;
    ch4_image_encoder_config config;
    ch4_weights *weights;
    ch4_tensor patch_w, patch_b, out_g, out_b;
    ch4_block *block;
    float *cls, *table; /* [C]; [1 + G*G, C] on the host */
    int64_t grid;       /* G */
    int64_t gh, gw;     /* what the space below is laid out for */
    ch4_space space;
    ch4_block_work work;
    ch4_tensor patches, positions, first, h[2];
    float *host; /* one picture's patches, or its positions */
};

ch4_status ch4_image_encoder_config_parse(ch4_image_encoder_config *out, const json_t *object, ch4_err *err)
{
    ch4_image_encoder_config c = {.width = 1024, .num_layers = 24, .num_heads = 16, .patch = 14, .image_size = 518, .eps = 1e-6, .qkv_bias = true};
    double ratio = 4.0;
    int64_t channels = 3;
    bool swiglu = false;
    ch4_status st = ch4_net_config_int(&c.width, object, "hidden_size", 1, 65536, false, err);
    if (!st)
        st = ch4_net_config_int(&c.num_layers, object, "num_hidden_layers", 1, 256, false, err);
    if (!st)
        st = ch4_net_config_int(&c.num_heads, object, "num_attention_heads", 1, 1024, false, err);
    if (!st)
        st = ch4_net_config_int(&c.patch, object, "patch_size", 1, 1024, false, err);
    if (!st)
        st = ch4_net_config_int(&c.image_size, object, "image_size", 1, 65536, false, err);
    if (!st)
        st = ch4_net_config_int(&channels, object, "num_channels", 3, 3, false, err);
    if (!st)
        st = ch4_net_config_real(&ratio, object, "mlp_ratio", 0.01, 64, err);
    if (!st)
        st = ch4_net_config_real(&c.eps, object, "layer_norm_eps", 0, 1, err);
    if (!st)
        st = ch4_net_config_bool(&c.qkv_bias, object, "qkv_bias", err);
    if (!st)
        st = ch4_net_config_bool(&swiglu, object, "use_swiglu_ffn", err);
    const char *act = json_string_value(json_object_get(object, "hidden_act"));
    if (!st && (swiglu || (act && strcmp(act, "gelu") != 0)))
        st = ch4_err_set(err, CH4_EFORMAT, "config: only plain feed-forwards with exact gelu are supported");
    if (!st && (c.width % c.num_heads || c.width / c.num_heads > 256 || c.image_size < c.patch))
        st = ch4_err_set(err, CH4_EFORMAT, "config: hidden_size, num_attention_heads, image_size and patch_size do not fit together");
    c.inner = (int64_t)((double)c.width * ratio);
    *out = c;
    return st;
}

static void load(ch4_image_encoder *e)
{
    const ch4_image_encoder_config *c = &e->config;
    ch4_weights *w = e->weights;
    int64_t C = c->width;
    ch4_weights_read(w, e->cls, CH4_SHAPE(1, 1, C), "embeddings.cls_token");
    ch4_weights_expect(w, CH4_SHAPE(1, C), "embeddings.mask_token"); /* used in training only */
    ch4_weights_read(w, e->table, CH4_SHAPE(1, 1 + e->grid * e->grid, C), "embeddings.position_embeddings");
    float *patch = ch4_weights_scratch(w, C * 3 * c->patch * c->patch);
    ch4_weights_read(w, patch, CH4_SHAPE(C, 3, c->patch, c->patch), "embeddings.patch_embeddings.projection.weight");
    ch4_weights_put(w, &e->patch_w, patch, CH4_SHAPE(C, 3 * c->patch * c->patch));
    ch4_weights_get(w, &e->patch_b, CH4_SHAPE(C), "embeddings.patch_embeddings.projection.bias");
    for (int64_t i = 0; i < c->num_layers; i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "encoder.layer.%" PRId64 ".", i);
        ch4_block_load_vit(&e->block[i], w, C, c->num_heads, c->inner, (float)c->eps, c->qkv_bias, prefix);
    }
    ch4_weights_get(w, &e->out_g, CH4_SHAPE(C), "layernorm.weight");
    ch4_weights_get(w, &e->out_b, CH4_SHAPE(C), "layernorm.bias");
}

/* The network without its weights. */
static ch4_status make(ch4_image_encoder **out, ch4_nn *nn, const ch4_image_encoder_config *config, ch4_err *err)
{
    ch4_image_encoder *e = NULL;
    *out = NULL;
    ch4_status st = ch4_calloc(&e, 1, sizeof *e, "image encoder", err);
    if (st)
        return st;
    *e = (ch4_image_encoder){.nn = nn, .config = *config, .space = {.nn = nn}, .grid = config->image_size / config->patch};
    st = ch4_calloc(&e->block, (size_t)config->num_layers, sizeof *e->block, "image encoder", err);
    if (!st)
        st = ch4_calloc(&e->cls, (size_t)config->width, sizeof *e->cls, "image encoder", err);
    if (!st)
        st = ch4_calloc(&e->table, (size_t)((1 + e->grid * e->grid) * config->width), sizeof *e->table, "image encoder", err);
    if (st)
        ch4_image_encoder_close(&e);
    *out = e;
    return st;
}

ch4_status ch4_image_encoder_create(ch4_image_encoder **out, ch4_nn *nn, const ch4_image_encoder_config *config, const ch4_safetensors *weights, ch4_err *err)
{
    ch4_image_encoder *e;
    ch4_status st = make(&e, nn, config, err);
    if (!st)
        st = ch4_weights_create(&e->weights, nn, weights, err);
    if (!st) {
        load(e);
        st = ch4_weights_finish(e->weights, err);
    }
    if (st)
        ch4_image_encoder_close(&e);
    *out = e;
    return st;
}

ch4_status ch4_image_encoder_survey(const ch4_image_encoder_config *config, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    ch4_image_encoder *e;
    ch4_status st = make(&e, NULL, config, err);
    if (!st)
        st = ch4_weights_survey(&e->weights, file, report, err);
    if (!st) {
        load(e);
        st = ch4_weights_finish(e->weights, err);
    }
    ch4_image_encoder_close(&e);
    return st;
}

ch4_status ch4_image_encoder_open(ch4_image_encoder **out, ch4_nn *nn, const char *dir, ch4_err *err)
{
    json_t *json = NULL;
    ch4_safetensors *file = NULL;
    ch4_image_encoder_config config;
    *out = NULL;
    ch4_status st = ch4_net_open_dir(&json, &file, dir, err);
    if (!st && (st = ch4_image_encoder_config_parse(&config, json, err)))
        ch4_err_wrap(err, st, "%s/config.json", dir);
    if (!st)
        st = ch4_image_encoder_create(out, nn, &config, file, err);
    ch4_safetensors_close(&file);
    json_decref(json);
    return st;
}

void ch4_image_encoder_close(ch4_image_encoder **out)
{
    ch4_image_encoder *e = *out;
    if (!e)
        return;
    ch4_space_free(&e->space);
    ch4_weights_destroy(&e->weights);
    free(e->block);
    free(e->cls);
    free(e->table);
    free(e->host);
    free(e);
    *out = NULL;
}

const ch4_image_encoder_config *ch4_image_encoder_get_config(const ch4_image_encoder *enc)
{
    return &enc->config;
}

/* Cubic convolution kernel with a = -0.75. */
static double cubic(double x)
{
    const double a = -0.75;
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Taps of output sample o: indices clamped to the table, weights that sum to 1. */
static void taps(int64_t index[4], double weight[4], int64_t o, int64_t out_size, int64_t table)
{
    double s = ((double)o + 0.5) * (double)table / (double)out_size - 0.5, base = floor(s);
    for (int k = 0; k < 4; k++) {
        index[k] = ch4_max_i64(0, ch4_min_i64(table - 1, (int64_t)base - 1 + k));
        weight[k] = cubic(s - (base - 1 + k));
    }
}

ch4_status ch4_image_encoder_positions(const ch4_image_encoder *e, float *out, int64_t gh, int64_t gw, ch4_err *err)
{
    int64_t C = e->config.width;
    if (gh < 1 || gw < 1)
        return ch4_err_set(err, CH4_EINVAL, "image encoder: patch grid %" PRId64 "x%" PRId64, gh, gw);
    memcpy(out, e->table, (size_t)C * sizeof *out);
    for (int64_t y = 0; y < gh; y++)
        for (int64_t x = 0; x < gw; x++) {
            int64_t iy[4], ix[4];
            double wy[4], wx[4];
            taps(iy, wy, y, gh, e->grid);
            taps(ix, wx, x, gw, e->grid);
            float *row = out + (1 + y * gw + x) * C;
            for (int64_t d = 0; d < C; d++) {
                double sum = 0;
                for (int a = 0; a < 4; a++)
                    for (int b = 0; b < 4; b++)
                        sum += wy[a] * wx[b] * e->table[(1 + iy[a] * e->grid + ix[b]) * C + d];
                row[d] = (float)sum;
            }
        }
    return CH4_OK;
}

static void lay_out(ch4_image_encoder *e, int64_t n_patches)
{
    int64_t C = e->config.width, k = 3 * e->config.patch * e->config.patch;
    ch4_space *s = &e->space;
    s->used = 0;
    e->patches = ch4_space_take(s, CH4_SHAPE(n_patches, k));
    e->positions = ch4_space_take(s, CH4_SHAPE(n_patches, C));
    e->first = ch4_space_take(s, CH4_SHAPE(1, C));
    for (int i = 0; i < 2; i++)
        e->h[i] = ch4_space_take(s, CH4_SHAPE(1, 1 + n_patches, C));
    ch4_block_work_take(&e->work, s, 1 + n_patches, C, e->config.inner, e->config.num_heads);
}

ch4_status ch4_image_encoder_workspace(size_t *out, const ch4_image_encoder_config *config, int64_t n_patches, ch4_err *err)
{
    ch4_image_encoder *e;
    *out = 0;
    ch4_status st = make(&e, NULL, config, err);
    if (st)
        return st;
    lay_out(e, n_patches);
    *out = e->space.used;
    ch4_image_encoder_close(&e);
    return CH4_OK;
}

/* Memory and position embeddings for a grid; nothing to do if it is the one of the last call. */
static ch4_status prepare(ch4_image_encoder *e, int64_t gh, int64_t gw, ch4_err *err)
{
    if (e->gh == gh && e->gw == gw)
        return CH4_OK;
    int64_t n = gh * gw, C = e->config.width, k = 3 * e->config.patch * e->config.patch;
    e->gh = 0;
    ch4_buf held = e->space.buf;
    e->space.buf = (ch4_buf){0};
    lay_out(e, n);
    e->space.buf = held;
    ch4_status st = ch4_space_reserve(&e->space, err);
    if (st)
        return st;
    lay_out(e, n);
    free(e->host);
    e->host = NULL;
    st = ch4_calloc(&e->host, (size_t)ch4_max_i64(n * k, (1 + n) * C), sizeof *e->host, "image encoder", err);
    if (!st)
        st = ch4_image_encoder_positions(e, e->host, gh, gw, err);
    if (st)
        return st;
    for (int64_t d = 0; d < C; d++)
        e->host[d] += e->cls[d];
    ch4_tensor first = CH4_F32(e->host, 1, C), rest = CH4_F32(e->host + C, n, C);
    st = e->nn->ops->upload(e->nn, &e->first, &first, err);
    if (!st)
        st = e->nn->ops->upload(e->nn, &e->positions, &rest, err);
    if (!st) {
        e->gh = gh;
        e->gw = gw;
    }
    return st;
}

/* A picture cut into patches: rows in raster order, columns channel, y, x, as the convolution's weight lies. */
static void cut_patches(const ch4_image_encoder *e, const float *pixels, int64_t h, int64_t w)
{
    int64_t p = e->config.patch;
    float *out = e->host;
    for (int64_t gy = 0; gy < h / p; gy++)
        for (int64_t gx = 0; gx < w / p; gx++)
            for (int64_t c = 0; c < 3; c++)
                for (int64_t y = 0; y < p; y++, out += p)
                    memcpy(out, pixels + (c * h + gy * p + y) * w + gx * p, (size_t)p * sizeof *out);
}

static ch4_status encode_one(ch4_image_encoder *e, float *context, const float *pixels, int64_t h, int64_t w, const ch4_probe *probe, ch4_err *err)
{
    ch4_nn *nn = e->nn;
    int64_t n = e->gh * e->gw, C = e->config.width, L = e->config.num_layers;
    cut_patches(e, pixels, h, w);
    ch4_tensor host = CH4_F32(e->host, n, 3 * e->config.patch * e->config.patch);
    ch4_tensor flat = ch4_tensor_view(e->h[0].data, CH4_DTYPE_F32, CH4_SHAPE(1 + n, C)), first = ch4_tensor_slice(&flat, 0, 0, 1), rest = ch4_tensor_slice(&flat, 0, 1, n);
    ch4_status st = nn->ops->upload(nn, &e->patches, &host, err);
    if (!st)
        st = nn->ops->linear(nn, &rest, &(ch4_linear_in){.x = &e->patches, .w = &e->patch_w, .bias = &e->patch_b, .residual = &e->positions}, err);
    if (!st)
        st = nn->ops->copy(nn, &first, &e->first, err);
    if (!st)
        st = ch4_probe_call(probe, nn, &(ch4_probe_event){.point = CH4_PROBE_BLOCK_IN, .frames = 1, .rows = 1 + n, .x = &e->h[0]}, err);
    ch4_block_run run = {.nn = nn, .frames = 1, .rows = 1 + n, .probe = probe, .work = &e->work};
    for (int64_t i = 0; !st && i < L; i++) {
        run.layer = (int)i;
        st = ch4_block_forward(&e->block[i], &run, &e->h[(i + 1) % 2], &e->h[i % 2], NULL, err);
    }
    ch4_tensor last = e->h[L % 2], out = CH4_F32(context, 1, 1 + n, C);
    if (!st)
        st = nn->ops->layernorm(nn, &last, &last, &e->out_g, &e->out_b, (float)e->config.eps, err);
    return st ? st : nn->ops->download(nn, &out, &last, err);
}

ch4_status ch4_image_encoder_forward(ch4_image_encoder *e, float *context, const float *pixels, int64_t B, int64_t h, int64_t w, const ch4_probe *probe,
                                     ch4_err *err)
{
    int64_t p = e->config.patch;
    if (h < p || w < p || h % p || w % p)
        return ch4_err_set(err, CH4_EINVAL, "image encoder: %" PRId64 "x%" PRId64 " pixels are not whole patches of %" PRId64, w, h, p);
    ch4_status st = prepare(e, h / p, w / p, err);
    for (int64_t b = 0; !st && b < B; b++)
        st = encode_one(e, context + b * (1 + e->gh * e->gw) * e->config.width, pixels + b * 3 * h * w, h, w, probe, err);
    return st;
}
