#include "tests/support/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/denoiser.h"
#include "model/image_encoder.h"
#include "model/matting.h"
#include "model/temporal_decoder.h"
#include "model/vae.h"

enum { PATH_LEN = 4096, CHUNK = 1 << 20 };

typedef struct item {
    char name[160];
    ch4_tensor t;
} item;

typedef struct listing {
    const checkpoint_spec *spec;
    item *items;
    int64_t n, room;
} listing;

static void add(void *ctx, const char *name, int rank, const int64_t *shape)
{
    listing *l = ctx;
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 256;
        l->items = realloc(l->items, (size_t)l->room * sizeof *l->items);
        if (!l->items)
            abort(); /* a test has nothing better to do */
    }
    item *it = &l->items[l->n++];
    snprintf(it->name, sizeof it->name, "%s", name);
    it->t = ch4_tensor_view(NULL, rank ? l->spec->dtype : CH4_DTYPE_I64, rank, shape);
}

static ch4_status list_tensors(listing *l, const json_t *config, ch4_err *err)
{
    ch4_weights_report r = {.tensor = add, .ctx = l};
    ch4_denoiser_config d;
    ch4_vae_config v;
    ch4_temporal_decoder_config t;
    ch4_image_encoder_config i;
    ch4_status st;
    switch (l->spec->net) {
    case CHECKPOINT_DENOISER:
    case CHECKPOINT_TRANSFORMER:
        st = ch4_denoiser_config_parse(&d, l->spec->net == CHECKPOINT_DENOISER ? CH4_DENOISER_TEMPORAL : CH4_DENOISER_IMAGE, config, err);
        return st ? st : ch4_denoiser_survey(&d, NULL, NULL, &r, err);
    case CHECKPOINT_VAE:
        st = ch4_vae_config_parse(&v, config, err);
        return st ? st : ch4_vae_survey(&v, NULL, CH4_VAE_BOTH, &r, err);
    case CHECKPOINT_AUTOENCODER:
        st = ch4_temporal_decoder_config_parse(&t, config, err);
        return st ? st : ch4_temporal_decoder_survey(&t, NULL, &r, err);
    case CHECKPOINT_IMAGE_ENCODER:
        st = ch4_image_encoder_config_parse(&i, config, err);
        return st ? st : ch4_image_encoder_survey(&i, NULL, &r, err);
    default: return ch4_matting_survey(NULL, &r, err);
    }
}

static size_t size_of(const ch4_tensor *t)
{
    return (size_t)ch4_tensor_count(t) * ch4_dtype_size(t->dtype);
}

/* Number `i` of tensor `stream`, in [-1,1). */
static float number(uint64_t seed, uint64_t stream, uint64_t i)
{
    uint64_t x = (i + seed) * 0x9E3779B97F4A7C15ull + stream * 0xD1B54A32D192ED03ull;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93ull;
    return (float)(int32_t)(x >> 32) * 0x1p-31f;
}

static void fill(void *out, const listing *l, int64_t which, int64_t from, int64_t n)
{
    const item *it = &l->items[which];
    const ch4_tensor *t = &it->t;
    bool vector = t->rank < 2, gain = vector && strstr(it->name, "norm") && strstr(it->name, "weight");
    float scale = vector ? 0.1f : sqrtf(3.0f * (float)t->shape[0] / (float)ch4_tensor_count(t)), shift = gain ? 1.0f : 0.0f;
    for (int64_t i = 0; i < n; i++) {
        float v = shift + scale * number(l->spec->seed, (uint64_t)which, (uint64_t)(from + i));
        switch (t->dtype) {
        case CH4_DTYPE_F32: ((float *)out)[i] = v; break;
        case CH4_DTYPE_F16: ((uint16_t *)out)[i] = ch4_f32_to_f16(v); break;
        case CH4_DTYPE_BF16: ((uint16_t *)out)[i] = ch4_f32_to_bf16(v); break;
        default: ((int64_t *)out)[i] = 0; break; /* counters */
        }
    }
}

static bool write_data(FILE *f, const listing *l)
{
    void *chunk = malloc(CHUNK * sizeof(float));
    bool ok = chunk != NULL;
    for (int64_t k = 0; ok && k < l->n; k++) {
        int64_t count = ch4_tensor_count(&l->items[k].t);
        for (int64_t at = 0; ok && at < count; at += CHUNK) {
            int64_t n = count - at < CHUNK ? count - at : CHUNK;
            fill(chunk, l, k, at, n);
            ok = fwrite(chunk, ch4_dtype_size(l->items[k].t.dtype), (size_t)n, f) == (size_t)n;
        }
    }
    free(chunk);
    return ok;
}

static char *header_of(const listing *l, size_t *data)
{
    json_t *root = json_object();
    size_t at = 0;
    for (int64_t k = 0; k < l->n; k++) {
        const ch4_tensor *t = &l->items[k].t;
        json_t *shape = json_array();
        for (int d = 0; d < t->rank; d++)
            json_array_append_new(shape, json_integer(t->shape[d]));
        json_object_set_new(root, l->items[k].name, json_pack("{s:s, s:o, s:[I,I]}", "dtype", ch4_dtype_name(t->dtype), "shape", shape, "data_offsets",
                                                             (json_int_t)at, (json_int_t)(at + size_of(t))));
        at += size_of(t);
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    *data = at;
    return text;
}

static ch4_status write_weights(const listing *l, const char *path, size_t *bytes, ch4_err *err)
{
    size_t data;
    char *text = header_of(l, &data);
    FILE *f = text ? fopen(path, "wbe") : NULL;
    if (!f) {
        free(text);
        return ch4_err_set_errno(err, errno, "%s", path);
    }
    size_t used = strlen(text), padded = (used + 7) / 8 * 8;
    uint64_t length = padded;
    bool ok = fwrite(&length, 8, 1, f) == 1 && fprintf(f, "%-*s", (int)padded, text) == (int)padded;
    if (ok && l->spec->sparse)
        ok = fflush(f) == 0 && ftruncate(fileno(f), (off_t)(8 + padded + data)) == 0;
    else if (ok)
        ok = write_data(f, l);
    int error = errno;
    ok = fclose(f) == 0 && ok;
    free(text);
    if (bytes)
        *bytes = 8 + padded + data;
    return ok ? CH4_OK : ch4_err_set_errno(err, error, "%s", path);
}

static ch4_status make_folders(const char *dir, ch4_err *err)
{
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s/", dir);
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            if (mkdir(path, 0755) != 0 && errno != EEXIST)
                return ch4_err_set_errno(err, errno, "%s", path);
            *p = '/';
        }
    return CH4_OK;
}

ch4_status checkpoint_write(const char *dir, const checkpoint_spec *spec, size_t *bytes, ch4_err *err)
{
    listing l = {.spec = spec};
    char path[PATH_LEN];
    json_t *config = json_loads(spec->config, 0, NULL);
    ch4_status st = config ? make_folders(dir, err) : ch4_err_set(err, CH4_EINVAL, "checkpoint: configuration is not JSON");
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (!st && json_dump_file(config, path, JSON_INDENT(2)) != 0)
        st = ch4_err_set_errno(err, errno, "%s", path);
    if (!st)
        st = list_tensors(&l, config, err);
    snprintf(path, sizeof path, "%s/%s", dir, spec->file);
    if (!st)
        st = write_weights(&l, path, bytes, err);
    json_decref(config);
    free(l.items);
    return st;
}
