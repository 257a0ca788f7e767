#include "tiny_model.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TENSORS = 512, NAME_LEN = 80 };

double tiny_value(const char *name, int64_t i)
{
    uint32_t s = 0;
    for (uint32_t k = 0; name[k]; k++)
        s += (uint32_t)(unsigned char)name[k] * (k + 1);
    uint32_t x = (uint32_t)i * 2654435761u + s * 2246822519u + 374761393u;
    x ^= x >> 15;
    x *= 2246822519u;
    x ^= x >> 13;
    x *= 3266489917u;
    x ^= x >> 16;
    return x / 2147483648.0 - 1.0;
}

void tiny_fill(float *out, const char *name, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)tiny_value(name, i);
}

ch4_denoiser_config tiny_denoiser_config(ch4_denoiser_kind kind, int64_t layers)
{
    ch4_denoiser_config c = {.kind = kind, .in_channels = 4, .width = 32, .num_layers = layers, .num_heads = 4, .context_width = 12, .inner = 128,
                             .num_tokens = 3, .num_frames = 2};
    for (int64_t i = 0; kind == CH4_DENOISER_TEMPORAL && i < layers; i++)
        c.inflated[i] = true;
    return c;
}

typedef struct list {
    ch4_named_tensor t[MAX_TENSORS];
    char name[MAX_TENSORS][NAME_LEN];
    int64_t n;
    const char *skip;
} list;

__attribute__((format(printf, 4, 5))) static void add(list *l, int64_t rows, int64_t columns, const char *fmt, ...)
{
    char *name = l->name[l->n];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, NAME_LEN, fmt, ap);
    va_end(ap);
    if (l->skip && strcmp(name, l->skip) == 0)
        return;
    size_t len = strlen(name);
    bool norm = !columns && len > 7 && strcmp(name + len - 7, ".weight") == 0;
    float *v = malloc((size_t)(rows * (columns ? columns : 1)) * sizeof *v);
    for (int64_t i = 0; i < rows * (columns ? columns : 1); i++) {
        double r = tiny_value(name, i);
        v[i] = (float)(columns ? r * sqrt(3.0 / (double)columns) : norm ? 1 + 0.1 * r : 0.1 * r);
    }
    l->t[l->n++] = (ch4_named_tensor){name, columns ? CH4_F32(v, rows, columns) : CH4_F32(v, rows)};
}

static void add_dense(list *l, int64_t out, int64_t in, const char *name)
{
    add(l, out, in, "%s.weight", name);
    add(l, out, 0, "%s.bias", name);
}

static void add_norm(list *l, int64_t width, const char *prefix, const char *name)
{
    add(l, width, 0, "%s%s.weight", prefix, name);
    add(l, width, 0, "%s%s.bias", prefix, name);
}

static void add_attn(list *l, const ch4_denoiser_config *c, const char *prefix, const char *name, int64_t context)
{
    char dense[NAME_LEN];
    add(l, c->width, c->width, "%s%s.to_q.weight", prefix, name);
    add(l, c->width, context, "%s%s.to_k.weight", prefix, name);
    add(l, c->width, context, "%s%s.to_v.weight", prefix, name);
    add(l, c->width / c->num_heads, 0, "%s%s.norm_q.weight", prefix, name);
    add(l, c->width / c->num_heads, 0, "%s%s.norm_k.weight", prefix, name);
    snprintf(dense, sizeof dense, "%s%s.to_out.0", prefix, name);
    add_dense(l, c->width, c->width, dense);
}

static void add_block(list *l, const ch4_denoiser_config *c, int64_t i)
{
    bool temporal = c->kind == CH4_DENOISER_TEMPORAL;
    char prefix[NAME_LEN / 2], name[NAME_LEN];
    snprintf(prefix, sizeof prefix, "blocks.%d.", (int)i);
    if (i > c->num_layers / 2) {
        snprintf(name, sizeof name, "%s%s", prefix, temporal ? "linear_skip" : "skip_linear");
        add_dense(l, c->width, 2 * c->width, name);
        add_norm(l, c->width, prefix, temporal ? "norm_skip" : "skip_norm");
    }
    add_norm(l, c->width, prefix, temporal ? "norm_s_attn" : "norm1");
    add_attn(l, c, prefix, temporal ? "s_attn" : "attn1", c->width);
    add_norm(l, c->width, prefix, temporal ? "norm_x_attn" : "norm2");
    add_attn(l, c, prefix, temporal ? "x_attn" : "attn2", c->context_width);
    add_norm(l, c->width, prefix, temporal ? "norm_ff" : "norm3");
    snprintf(name, sizeof name, "%sff.net.0.proj", prefix);
    add_dense(l, c->inner, c->width, name);
    snprintf(name, sizeof name, "%sff.net.2", prefix);
    add_dense(l, c->width, c->inner, name);
}

/* Writes and frees the list, with one more tensor that belongs to no network. */
static ch4_status save(list *l, const char *path, const char *more, ch4_err *err)
{
    l->skip = NULL;
    if (more)
        add(l, 2, 2, "%s", more);
    ch4_status st = ch4_safetensors_save(path, l->t, l->n, err);
    for (int64_t i = 0; i < l->n; i++)
        free(l->t[i].tensor.data);
    free(l);
    return st;
}

ch4_status tiny_denoiser_save(const ch4_denoiser_config *c, const char *path, const char *skip, const char *more, ch4_err *err)
{
    list *l = calloc(1, sizeof *l);
    l->skip = skip;
    add_dense(l, 4 * c->width, c->width, "time_proj.linear_1");
    add_dense(l, c->width, 4 * c->width, "time_proj.linear_2");
    add_dense(l, c->width, c->in_channels, "proj_in");
    for (int64_t i = 0; i < c->num_layers; i++)
        add_block(l, c, i);
    add_norm(l, c->width, "", "norm_out");
    add_dense(l, c->in_channels, c->width, "proj_out");
    return save(l, path, more, err);
}

ch4_temporal_decoder_config tiny_temporal_decoder_config(int64_t latent_channels)
{
    return (ch4_temporal_decoder_config){.latent_channels = latent_channels, .width = 32, .heads = 4, .layers = 2, .octaves = 8, .mode = CH4_TEMPORAL_DIRECT};
}

ch4_status tiny_temporal_decoder_save(const ch4_temporal_decoder_config *c, const char *path, const char *skip, const char *more, ch4_err *err)
{
    list *l = calloc(1, sizeof *l);
    l->skip = skip;
    add_dense(l, c->width, c->latent_channels, "post_quant");
    add_dense(l, c->width, 6 + 6 * c->octaves, "proj_query");
    for (int64_t i = 0; i <= c->layers; i++) {
        bool cross = i == c->layers;
        char prefix[NAME_LEN / 2], name[NAME_LEN];
        snprintf(prefix, sizeof prefix, "blocks.%d.", (int)i);
        snprintf(name, sizeof name, "%s%s", prefix, cross ? "x_attn" : "s_attn");
        add_norm(l, c->width, prefix, cross ? "norm_x_attn" : "norm_s_attn");
        if (cross)
            add_norm(l, c->width, name, ".norm_cross");
        add(l, c->width, c->width, "%s.to_q.weight", name);
        add(l, c->width, c->width, "%s.to_k.weight", name);
        add(l, c->width, c->width, "%s.to_v.weight", name);
        strcat(name, ".to_out.0");
        add_dense(l, c->width, c->width, name);
        add_norm(l, c->width, prefix, "norm_ff");
        snprintf(name, sizeof name, "%sff.net.0.proj", prefix);
        add_dense(l, 4 * c->width, c->width, name);
        snprintf(name, sizeof name, "%sff.net.2", prefix);
        add_dense(l, c->width, 4 * c->width, name);
    }
    add_norm(l, c->width, "", "norm_out");
    add_dense(l, 3, c->width, "proj_out");
    return save(l, path, more, err);
}

ch4_status tiny_temporal_decoder_make(const char *dir, int64_t latent_channels, ch4_err *err)
{
    char path[4096];
    ch4_temporal_decoder_config c = tiny_temporal_decoder_config(latent_channels);
    if (mkdir(dir, 0755))
        return ch4_err_set_errno(err, errno, "%s", dir);
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "we");
    if (!f)
        return ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "{\"latent_channels\": %d, \"width\": %d, \"num_attention_heads\": %d, \"num_layers\": %d, \"embed_frequency\": %d}\n", (int)c.latent_channels,
            (int)c.width, (int)c.heads, (int)c.layers, (int)c.octaves);
    fclose(f);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    return tiny_temporal_decoder_save(&c, path, NULL, NULL, err);
}
