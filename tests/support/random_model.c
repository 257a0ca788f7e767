#include "random_model.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "tensor/safetensors.h"

static bool ends_with(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

/* Widths of streams and of what is inside feed-forwards go down to a quarter, and the width of a head with them; latents, pixels and embeddings stay. */
static int64_t narrow(const char *name, int64_t size)
{
    bool head = ends_with(name, "norm_q.weight") || ends_with(name, "norm_k.weight");
    return size >= 128 || head ? size / 4 : size;
}

static ch4_status fill(ch4_named_tensor *out, const ch4_tensor *like, const char *name, uint64_t stream, ch4_err *err)
{
    int64_t shape[CH4_MAX_RANK], count = 1, fan_in = 1;
    float *v;
    for (int i = 0; i < like->rank; i++) {
        shape[i] = narrow(name, like->shape[i]);
        count *= shape[i];
        fan_in *= i > 0 ? shape[i] : 1;
    }
    ch4_status st = ch4_calloc(&v, (size_t)count, sizeof *v, name, err);
    if (st)
        return st;
    bool gain = like->rank == 1 && !ends_with(name, "bias");
    ch4_rng rng = ch4_rng_at(7, stream);
    for (int64_t i = 0; i < count; i++)
        v[i] = (float)(gain ? 1 + 0.1 * ch4_rng_normal(&rng) : (like->rank == 1 ? 0.1 : 1 / sqrt((double)fan_in)) * ch4_rng_normal(&rng));
    *out = (ch4_named_tensor){name, ch4_tensor_view(v, CH4_DTYPE_F32, like->rank, shape)};
    return CH4_OK;
}

static ch4_status save_weights(const char *path, const char *like, ch4_err *err)
{
    ch4_safetensors *file = NULL;
    ch4_named_tensor *t = NULL;
    ch4_status st = ch4_safetensors_open(&file, like, err);
    int64_t n = st ? 0 : ch4_safetensors_count(file);
    if (!st)
        st = ch4_calloc(&t, (size_t)n, sizeof *t, "tensors", err);
    for (int64_t i = 0; !st && i < n; i++) {
        ch4_tensor old;
        const char *name = ch4_safetensors_name(file, i);
        st = ch4_safetensors_get(file, name, &old, err);
        if (!st)
            st = fill(&t[i], &old, name, (uint64_t)i, err);
    }
    if (!st)
        st = ch4_safetensors_save(path, t, n, err);
    for (int64_t i = 0; t && i < n; i++)
        free(t[i].tensor.data);
    free(t);
    ch4_safetensors_close(&file);
    return st;
}

static ch4_status save_config(const char *path, const char *like, ch4_err *err)
{
    static const char *const widths[] = {"width", "cross_attention_dim", "width_encoder", "width_decoder", "hidden_size", "num_tokens_nominal"};
    json_error_t why;
    json_t *o = json_load_file(like, 0, &why);
    for (size_t i = 0; o && i < sizeof widths / sizeof *widths; i++) {
        const json_t *v = json_object_get(o, widths[i]);
        if (v)
            json_object_set_new(o, widths[i], json_integer(json_integer_value(v) / 4));
    }
    bool good = o && json_dump_file(o, path, JSON_INDENT(2)) == 0;
    json_decref(o);
    return good ? CH4_OK : ch4_err_set(err, CH4_EIO, "%s from %s", path, like);
}

ch4_status random_model_save(const char *dir, const char *like, ch4_err *err)
{
    static const char *const networks[] = {"denoiser", "vae", "image_encoder"};
    char path[600], old[600];
    if (mkdir(dir, 0777))
        return ch4_err_set_errno(err, errno, "%s", dir);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, networks[i]);
        if (mkdir(path, 0777))
            return ch4_err_set_errno(err, errno, "%s", path);
        snprintf(path, sizeof path, "%s/%s/config.json", dir, networks[i]);
        snprintf(old, sizeof old, "%s/%s/config.json", like, networks[i]);
        ch4_status st = save_config(path, old, err);
        snprintf(path, sizeof path, "%s/%s/model.safetensors", dir, networks[i]);
        snprintf(old, sizeof old, "%s/%s/model.safetensors", like, networks[i]);
        if (!st)
            st = save_weights(path, old, err);
        if (st)
            return st;
    }
    snprintf(path, sizeof path, "%s/image_encoder/preprocessor_config.json", dir);
    snprintf(old, sizeof old, "%s/image_encoder/preprocessor_config.json", like);
    ch4_status st = save_config(path, old, err);
    snprintf(path, sizeof path, "%s/model.yaml", dir);
    FILE *f = st ? NULL : fopen(path, "we");
    if (!f)
        return st ? st : ch4_err_set_errno(err, errno, "%s", path);
    fprintf(f, "name: random\nnetworks:\n  vae: {path: vae, points: 128, preselect: 0}\nnoise: matched\nsteps: 2\nguidance: 1\n"
               "attention: {layers: [3], heads: [0], direction: frame_to_anchor}\nfield: {inside: negative}\n");
    return fclose(f) ? ch4_err_set_errno(err, errno, "%s", path) : CH4_OK;
}
