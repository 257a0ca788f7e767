#include "tools/model/model_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/model_info.h"
#include "model/denoiser.h"
#include "model/image_encoder.h"
#include "model/image_processor.h"
#include "model/matting.h"
#include "model/net_config.h"
#include "model/temporal_decoder.h"
#include "model/vae.h"
#include "stages/denoise/familiar.h"

enum { PATH_LEN = 4096 };
enum { DENOISER, TRANSFORMER, VAE, IMAGE_ENCODER, AUTOENCODER, MATTING };

static const char *const network_name[CH4_MODEL_NETWORKS] = {"temporal denoiser", "image-to-3D transformer", "shape autoencoder", "image encoder",
                                                             "temporal autoencoder", "background remover"};

typedef struct checker {
    ch4_model_check *out;
    const char *dir;
    void (*problem)(void *ctx, const char *text);
    void *ctx;
    ch4_denoiser_config denoiser, transformer;
    ch4_vae_config vae;
    ch4_image_encoder_config image_encoder;
    ch4_temporal_decoder_config autoencoder;
    ch4_image_processor processor;
    int64_t loaded[CH4_MODEL_NETWORKS], vae_encoder, vae_decoder; /* parameters in memory */
    size_t denoisers[CH4_MODEL_WAYS];                             /* bytes of both denoisers */
} checker;

/* Ways to hold the denoisers' weights, the best first. */
static const struct {
    const char *options;
    ch4_denoiser_loading loading;
} ways[CH4_MODEL_WAYS] = {
    {"", {CH4_WEIGHTS_STORED, false}},
    {"denoise.weights=bfloat16", {CH4_WEIGHTS_BF16, false}},
    {"denoise.offload=layers", {CH4_WEIGHTS_STORED, true}},
    {"denoise.offload=layers denoise.weights=bfloat16", {CH4_WEIGHTS_BF16, true}},
};

static void on_problem(void *ctx, const char *text)
{
    checker *k = ctx;
    k->out->problems++;
    k->problem(k->ctx, text);
}

__attribute__((format(printf, 2, 3))) static void complain(checker *k, const char *fmt, ...)
{
    char text[CH4_ERR_MSG];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    on_problem(k, text);
}

static ch4_status survey_vae(checker *k, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    ch4_weights_report decoder = {0}, encoder = {0};
    ch4_status st = ch4_vae_survey(&k->vae, file, CH4_VAE_BOTH, report, err);
    if (!st)
        st = ch4_vae_survey(&k->vae, file, CH4_VAE_ENCODER, &encoder, err);
    if (!st)
        st = ch4_vae_survey(&k->vae, file, CH4_VAE_DECODER, &decoder, err);
    k->vae_encoder = encoder.loaded;
    k->vae_decoder = decoder.loaded;
    return st;
}

static ch4_status survey_denoiser(checker *k, const ch4_denoiser_config *config, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    ch4_status st = ch4_denoiser_survey(config, file, &ways[0].loading, report, err);
    k->denoisers[0] += report->bytes;
    for (int i = 1; !st && i < CH4_MODEL_WAYS; i++) {
        ch4_weights_report silent = {0};
        st = ch4_denoiser_survey(config, file, &ways[i].loading, &silent, err);
        k->denoisers[i] += silent.bytes;
    }
    return st;
}

/* config.json of a network, then the tensors that this configuration asks for. */
static ch4_status survey(checker *k, int which, const json_t *config, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err)
{
    ch4_status st;
    switch (which) {
    case DENOISER:
        st = ch4_denoiser_config_parse(&k->denoiser, CH4_DENOISER_TEMPORAL, config, err);
        return st ? st : survey_denoiser(k, &k->denoiser, file, report, err);
    case TRANSFORMER:
        st = ch4_denoiser_config_parse(&k->transformer, CH4_DENOISER_IMAGE, config, err);
        return st ? st : survey_denoiser(k, &k->transformer, file, report, err);
    case VAE:
        st = ch4_vae_config_parse(&k->vae, config, err);
        return st ? st : survey_vae(k, file, report, err);
    case IMAGE_ENCODER:
        st = ch4_image_encoder_config_parse(&k->image_encoder, config, err);
        return st ? st : ch4_image_encoder_survey(&k->image_encoder, file, report, err);
    case AUTOENCODER:
        st = ch4_temporal_decoder_config_parse(&k->autoencoder, config, err);
        return st ? st : ch4_temporal_decoder_survey(&k->autoencoder, file, report, err);
    default:
        return ch4_matting_survey(file, report, err);
    }
}

static void note_dtypes(ch4_model_network *n, const ch4_weights_report *report)
{
    for (int d = 0; d < CH4_DTYPE_COUNT; d++)
        if (report->by_dtype[d]) {
            size_t len = strlen(n->dtypes);
            snprintf(n->dtypes + len, sizeof n->dtypes - len, "%s%s", len ? " " : "", ch4_dtype_name((ch4_dtype)d));
        }
}

static void check_network(checker *k, int which)
{
    ch4_model_network *n = &k->out->network[which];
    char dir[PATH_LEN];
    json_t *config = NULL;
    ch4_safetensors *file = NULL;
    ch4_err err = {0};
    ch4_weights_report report = {.problem = on_problem, .ctx = k};
    if (!n->wanted)
        return;
    if (snprintf(dir, sizeof dir, "%s/%s", k->dir, n->path) >= (int)sizeof dir) {
        complain(k, "%s: path too long", n->name);
        return;
    }
    if (which == MATTING && access(dir, F_OK) != 0)
        return; /* a model may name it and be given without: decode then does without */
    ch4_status st = ch4_net_open_dir(&config, &file, dir, &err);
    if (!st) {
        const char *path = ch4_safetensors_path(file), *slash = strrchr(path, '/');
        snprintf(n->file, sizeof n->file, "%s", slash ? slash + 1 : path);
        st = survey(k, which, config, file, &report, &err);
        if (st)
            ch4_err_wrap(&err, st, "%s", dir);
    }
    if (st)
        complain(k, "%s %s: %s", n->name, st == CH4_ENOENT ? "is missing" : "cannot be read", err.msg);
    n->found = !st;
    n->problems = report.problems;
    n->tensors = report.tensors;
    n->parameters = report.parameters;
    k->loaded[which] = report.loaded;
    note_dtypes(n, &report);
    ch4_safetensors_close(&file);
    json_decref(config);
}

static void check_processor(checker *k)
{
    char path[PATH_LEN];
    ch4_err err = {0};
    const ch4_model_network *n = &k->out->network[IMAGE_ENCODER];
    k->processor = ch4_image_processor_defaults();
    if (!n->found || snprintf(path, sizeof path, "%s/%s/preprocessor_config.json", k->dir, n->path) >= (int)sizeof path)
        return;
    if (ch4_image_processor_load(&k->processor, path, &err))
        complain(k, "%s cannot be used: %s", n->name, err.msg);
    else if (k->processor.crop_height % k->image_encoder.patch || k->processor.crop_width % k->image_encoder.patch)
        complain(k, "%s: the crop of %" PRId64 " by %" PRId64 " pixels is no multiple of the patch, %" PRId64, path, k->processor.crop_height,
                 k->processor.crop_width, k->image_encoder.patch);
}

/* What the training's images looked like. */
static void check_familiar(checker *k, const char *name)
{
    ch4_model_familiar *f = &k->out->familiar;
    ch4_familiar familiar = {0};
    ch4_err err = {0};
    char path[PATH_LEN];
    f->named = name[0] != 0;
    if (!f->named || snprintf(f->path, sizeof f->path, "%s", name) >= (int)sizeof f->path || snprintf(path, sizeof path, "%s/%s", k->dir, name) >= (int)sizeof path)
        return;
    if (!k->out->network[IMAGE_ENCODER].found)
        return;
    f->found = ch4_familiar_load(&familiar, path, k->image_encoder.width, &err) == CH4_OK;
    if (!f->found)
        complain(k, "input statistics cannot be read: %s", err.msg);
    f->width = familiar.width;
    f->limit = (double)familiar.limit;
    ch4_familiar_fini(&familiar);
}

static void same(checker *k, int64_t a, const char *a_name, int64_t b, const char *b_name)
{
    if (a != b)
        complain(k, "%s is %" PRId64 ", but %s is %" PRId64 ": these networks do not belong together", a_name, a, b_name, b);
}

static void check_fit(checker *k)
{
    const ch4_model_network *n = k->out->network;
    const char *latent = "latent_channels of the shape autoencoder", *features = "hidden_size of the image encoder";
    if (n[DENOISER].found && n[VAE].found)
        same(k, k->denoiser.in_channels, "in_channels of the temporal denoiser", k->vae.latent_channels, latent);
    if (n[TRANSFORMER].found && n[VAE].found)
        same(k, k->transformer.in_channels, "in_channels of the image-to-3D transformer", k->vae.latent_channels, latent);
    if (n[AUTOENCODER].found && n[VAE].found)
        same(k, k->autoencoder.latent_channels, "latent_channels of the temporal autoencoder", k->vae.latent_channels, latent);
    if (n[DENOISER].found && n[IMAGE_ENCODER].found)
        same(k, k->denoiser.context_width, "cross_attention_dim of the temporal denoiser", k->image_encoder.width, features);
    if (n[TRANSFORMER].found && n[IMAGE_ENCODER].found)
        same(k, k->transformer.context_width, "cross_attention_dim of the image-to-3D transformer", k->image_encoder.width, features);
}

/* Memory of the stages that hold networks. A parameter takes 4 bytes, but for the denoisers, and a process keeps what it has opened. */
static ch4_status size_stages(checker *k, int64_t points, int64_t matting_side, ch4_err *err)
{
    ch4_model_check *o = k->out;
    const ch4_model_network *n = o->network;
    if (!n[DENOISER].found || !n[VAE].found || !n[IMAGE_ENCODER].found || (n[TRANSFORMER].wanted && !n[TRANSFORMER].found))
        return CH4_OK;
    int64_t T = o->frames = k->denoiser.num_frames, N = o->tokens = k->denoiser.num_tokens, patch = k->image_encoder.patch;
    int64_t S = o->context = 1 + (k->processor.crop_height / patch) * (k->processor.crop_width / patch);
    size_t window = 0, anchor = 0, pictures = 0, encode = 0, decode = 0;
    ch4_status st = ch4_denoiser_workspace(&window, &k->denoiser, T, N, S, err);
    if (!st && n[TRANSFORMER].wanted)
        st = ch4_denoiser_workspace(&anchor, &k->transformer, 1, N, S, err);
    if (!st)
        st = ch4_image_encoder_workspace(&pictures, &k->image_encoder, S - 1, err);
    if (!st)
        st = ch4_vae_workspace(&encode, &decode, &k->vae, points, N, err);
    if (!st && n[AUTOENCODER].found)
        st = ch4_temporal_decoder_workspace(&o->motion_work, &k->autoencoder, T, N, err);
    if (!st && n[MATTING].found)
        st = ch4_matting_workspace(&o->matting_work, matting_side, matting_side, err);
    if (st)
        return st;
    size_t maps = (size_t)(T * N * (N + S)) * 2 * sizeof(float); /* attention that is read: on the backend, and as it is stored */
    for (int i = 0; i < CH4_MODEL_WAYS; i++)
        o->denoise_weights[i] = k->denoisers[i] + 4 * (size_t)(k->loaded[IMAGE_ENCODER] + k->vae_encoder);
    o->denoise_work = window + anchor + pictures + encode + maps;
    o->chain_weights = 4 * (size_t)k->vae_decoder;
    o->chain_work = decode;
    o->matting_weights = 4 * (size_t)k->loaded[MATTING];
    o->motion_weights = 4 * (size_t)k->loaded[AUTOENCODER];
    o->sized = true;
    return CH4_OK;
}

static size_t cgroup_limit(void)
{
    unsigned long long limit = 0;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%llu", &limit) != 1) /* "max" */
        limit = 0;
    fclose(f);
    return (size_t)limit;
}

static void measure_machine(ch4_model_check *out)
{
    char line[256];
    unsigned long long kib;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
            out->memory = (size_t)kib * 1024;
        else if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            out->memory_free = (size_t)kib * 1024;
    }
    if (f)
        fclose(f);
    size_t limit = cgroup_limit();
    if (limit && (!out->memory || limit < out->memory))
        out->memory = limit;
}

static size_t wanted_bytes(const ch4_model_check *c, int way)
{
    return c->denoise_weights[way] + c->denoise_work + c->chain_weights + c->chain_work;
}

/* The first way that fits. */
static void choose_way(ch4_model_check *c)
{
    for (c->way = 0; c->way < CH4_MODEL_WAYS; c->way++)
        if (!c->memory || wanted_bytes(c, c->way) <= c->memory)
            break;
    c->runs = c->sized && c->problems == 0 && c->way < CH4_MODEL_WAYS;
}

ch4_status ch4_model_check_dir(ch4_model_check *out, const char *dir, size_t memory, void (*problem)(void *ctx, const char *text), void *ctx, ch4_err *err)
{
    char path[PATH_LEN];
    ch4_model_info info;
    checker k = {.out = out, .dir = dir, .problem = problem, .ctx = ctx};
    *out = (ch4_model_check){0};
    if (snprintf(path, sizeof path, "%s/model.yaml", dir) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "path too long");
    ch4_status st = ch4_model_info_load(&info, path, NULL, err);
    if (st)
        return st;
    snprintf(out->name, sizeof out->name, "%s", info.name);
    const char *folder[CH4_MODEL_NETWORKS] = {info.networks.denoiser.path, info.networks.transformer.path, info.networks.vae.path,
                                              info.networks.image_encoder.path, info.networks.autoencoder.path, info.networks.matting.path};
    for (int i = 0; i < CH4_MODEL_NETWORKS; i++) {
        ch4_model_network *n = &out->network[i];
        n->name = network_name[i];
        n->wanted = i == TRANSFORMER ? info.networks.image_to_3d == CH4_MODEL_IMAGE3D_TRIPOSG : i >= AUTOENCODER ? folder[i][0] : true;
        if (snprintf(n->path, sizeof n->path, "%s", folder[i]) >= (int)sizeof n->path)
            complain(&k, "%s: path too long", n->name);
        check_network(&k, i);
    }
    check_processor(&k);
    check_familiar(&k, info.familiar.path);
    check_fit(&k);
    st = size_stages(&k, info.networks.vae.points, info.networks.matting.side, err);
    if (memory)
        out->memory = memory;
    else
        measure_machine(out);
    choose_way(out);
    ch4_model_info_fini(&info);
    return st;
}

/* --- printing --------------------------------------------------------------------------------------------------------------- */

static const char *bytes_text(char out[32], size_t bytes)
{
    double mib = (double)bytes / (1 << 20);
    snprintf(out, 32, mib < 1000 ? "%.1f MiB" : "%.2f GiB", mib < 1000 ? mib : mib / 1024);
    return out;
}

static void print_stage(FILE *out, const char *stage, size_t weights, size_t work, const char *note)
{
    char a[32], b[32];
    fprintf(out, "  %-9s weights %11s   workspace %11s%s\n", stage, bytes_text(a, weights), bytes_text(b, work), note);
}

static void print_memory(const ch4_model_check *c, FILE *out)
{
    char a[32], b[32];
    fprintf(out, "\nmemory for a window of %" PRId64 " frames of %" PRId64 " tokens with %" PRId64 " image tokens:\n", c->frames, c->tokens,
            c->context);
    if (c->matting_weights)
        print_stage(out, "decode", c->matting_weights, c->matting_work, "   (videos without alpha or mask)");
    print_stage(out, "denoise", c->denoise_weights[0], c->denoise_work, "");
    for (int i = 1; i < CH4_MODEL_WAYS; i++)
        fprintf(out, "            or %11s   with %s\n", bytes_text(a, c->denoise_weights[i]), ways[i].options);
    print_stage(out, "chain", c->chain_weights, c->chain_work, "");
    if (c->motion_weights)
        print_stage(out, "animate", c->motion_weights, c->motion_work, "   (animate.method: learned)");
    fprintf(out, "  denoise and chain together: %s, at least %s\n", bytes_text(a, wanted_bytes(c, 0)), bytes_text(b, wanted_bytes(c, CH4_MODEL_WAYS - 1)));
    if (c->memory_free)
        fprintf(out, "this machine: %s of memory, %s of it free now, %ld processors\n", bytes_text(a, c->memory), bytes_text(b, c->memory_free),
                sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_verdict(const ch4_model_check *c, FILE *out)
{
    char a[32], b[32];
    const char *machine = c->memory_free || !c->memory ? "this machine" : "such a machine";
    int missing = 0, wanted = 0;
    for (int i = 0; i < MATTING; i++) {
        wanted += c->network[i].wanted;
        missing += c->network[i].wanted && !c->network[i].found;
    }
    if (missing == wanted)
        fprintf(out, "\nthis directory has no weights: its README says where they come from\n");
    else if (missing)
        fprintf(out, "\nincomplete: %d of %d networks cannot be used\n", missing, wanted);
    else if (c->problems)
        fprintf(out, "\ndamaged: %" PRId64 " problem%s\n", c->problems, c->problems == 1 ? "" : "s");
    else if (!c->runs)
        fprintf(out, "\nwhole, but %s cannot run it: %s wanted, %s there\n", machine, bytes_text(a, wanted_bytes(c, CH4_MODEL_WAYS - 1)), bytes_text(b, c->memory));
    else if (c->way > 0)
        fprintf(out, "\nwhole, and %s can run it with %s\n", machine, ways[c->way].options);
    else
        fprintf(out, "\nwhole, and %s can run it\n", machine);
}

void ch4_model_check_print(const ch4_model_check *c, const char *dir, FILE *out)
{
    fprintf(out, "model %s in %s\n\n%-24s %8s %14s  %-9s %s\n", c->name, dir, "network", "tensors", "parameters", "stored as", "file");
    for (int i = 0; i < CH4_MODEL_NETWORKS; i++) {
        const ch4_model_network *n = &c->network[i];
        if (!n->wanted)
            continue;
        if (!n->found)
            fprintf(out, "%-24s %8s %14s  %-9s %s/%s\n", n->name, "-", "-", "-", n->path, i == MATTING ? "   not there: runs go without" : "");
        else
            fprintf(out, "%-24s %8" PRId64 " %14" PRId64 "  %-9s %s/%s%s\n", n->name, n->tensors, n->parameters, n->dtypes, n->path, n->file,
                    n->problems ? "   damaged" : "");
    }
    const ch4_model_familiar *f = &c->familiar;
    if (f->named && f->found)
        fprintf(out, "%-24s %8d %14" PRId64 "  %-9s %s   familiar up to %.1f\n", "input statistics", 3, f->width * (f->width + 1) + 1, "F32", f->path, f->limit);
    else if (f->named)
        fprintf(out, "%-24s %8s %14s  %-9s %s\n", "input statistics", "-", "-", "-", f->path);
    if (c->sized)
        print_memory(c, out);
    print_verdict(c, out);
}
