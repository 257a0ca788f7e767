/* Full-size networks: writes weight files with the published names and shapes, runs the temporal denoiser at full size, compares one of its blocks with
 * the oracle. tests/long/run puts it together. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "bundle/bundle.h"
#include "model/embed.h"
#include "tests/support/checkpoint.h"
#include "tests/support/tiny_model.h"

enum { T = 1, S = 257, LAYER = 10, PICKED = 24 };

/* --- writing -------------------------------------------------------------------------------------------------------------------------- */

static ch4_status write_net(const char *dir, const char *folder, const checkpoint_spec *spec, ch4_err *err)
{
    char path[4096];
    size_t bytes;
    double begin = ch4_clock_seconds();
    snprintf(path, sizeof path, "%s/%s", dir, folder);
    ch4_status st = checkpoint_write(path, spec, &bytes, err);
    if (!st)
        printf("%s/%s: %zu bytes, %.1f s\n", folder, spec->file, bytes, ch4_clock_seconds() - begin);
    return st;
}

/* All networks in the layout of models/actionmesh, of zeros that take no disk; model.yaml is the caller's. */
static ch4_status write_sparse(const char *dir, ch4_err *err)
{
    static const checkpoint_net nets[] = {CHECKPOINT_DENOISER, CHECKPOINT_AUTOENCODER, CHECKPOINT_TRANSFORMER, CHECKPOINT_VAE, CHECKPOINT_IMAGE_ENCODER, CHECKPOINT_MATTING};
    static const char *const folders[] = {"ActionMesh/denoiser", "ActionMesh/autoencoder", "TripoSG/transformer", "TripoSG/vae", "dinov2", "RMBG"};
    static const char *const files[] = {"model.safetensors", "model.safetensors", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors",
                                        "model.safetensors", "model.safetensors"};
    ch4_status st = CH4_OK;
    for (int i = 0; !st && i < 6; i++)
        st = write_net(dir, folders[i], &(checkpoint_spec){.net = nets[i], .config = "{}", .file = files[i], .dtype = CH4_DTYPE_F32, .sparse = true}, err);
    return st;
}

static ch4_status write_denoiser(const char *dir, const char *config, ch4_err *err)
{
    const checkpoint_spec spec = {.net = CHECKPOINT_DENOISER, .config = config, .file = "model.safetensors", .dtype = CH4_DTYPE_F32, .seed = 20260};
    return write_net(dir, "denoiser", &spec, err);
}

/* --- running -------------------------------------------------------------------------------------------------------------------------- */

typedef struct inputs {
    int64_t N;
    float *x, *context, *v, *block_in, *block_out;
} inputs;

static ch4_status make_inputs(inputs *in, const ch4_denoiser_config *c, ch4_err *err)
{
    int64_t N = in->N = c->num_tokens, R = N + 1;
    ch4_status st = ch4_calloc(&in->x, (size_t)(N * c->in_channels), sizeof(float), "x", err);
    if (!st)
        st = ch4_calloc(&in->v, (size_t)(N * c->in_channels), sizeof(float), "v", err);
    if (!st)
        st = ch4_calloc(&in->context, (size_t)(S * c->context_width), sizeof(float), "context", err);
    if (!st)
        st = ch4_calloc(&in->block_in, (size_t)(R * c->width), sizeof(float), "stream", err);
    if (!st)
        st = ch4_calloc(&in->block_out, (size_t)(R * c->width), sizeof(float), "stream", err);
    if (!st) {
        tiny_fill(in->x, "x", N * c->in_channels);
        tiny_fill(in->context, "context", S * c->context_width);
    }
    return st;
}

static void free_inputs(inputs *in)
{
    free(in->x);
    free(in->context);
    free(in->v);
    free(in->block_in);
    free(in->block_out);
}

/* Keeps what goes into the chosen block and what comes out of it. */
static ch4_status on_event(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    inputs *in = ctx;
    float *keep = e->layer == LAYER - 1 ? in->block_in : e->layer == LAYER ? in->block_out : NULL;
    if (e->point != CH4_PROBE_BLOCK_OUT || !keep)
        return CH4_OK;
    ch4_tensor host = ch4_tensor_view(keep, CH4_DTYPE_F32, e->x->rank, e->x->shape);
    return nn->ops->download(nn, &host, e->x, err);
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A line of /proc/self/status, in GiB. */
static double status_gib(const char *key)
{
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = atol(line + strlen(key));
    if (f)
        fclose(f);
    return (double)kib / (1 << 20);
}

/* Multiply-adds of one forward pass with context, times two: products of the blocks and of their attentions. */
static double flops(const ch4_denoiser_config *c, int64_t N)
{
    double R = (double)N + 1, C = (double)c->width, I = (double)c->inner, X = (double)c->context_width, L = (double)c->num_layers, skips = (double)((c->num_layers - 1) / 2);
    double dense = R * (4 * C * C + 2 * C * C + 2 * C * I) + S * X * 2 * C, attention = 2 * R * R * C + 2 * R * S * C;
    return 2 * (L * (dense + attention) + skips * R * 2 * C * C + 2 * R * C * (double)c->in_channels);
}

static ch4_status forward(const char *dir, const char *weights, const char *offload, const char *out, ch4_err *err)
{
    ch4_nn *nn = NULL;
    ch4_bundle *bundle = NULL;
    ch4_denoiser *den = NULL;
    inputs in = {0};
    float time[T] = {750}, framestep[T] = {0};
    const ch4_denoiser_loading loading = {strcmp(weights, "bfloat16") == 0 ? CH4_WEIGHTS_BF16 : CH4_WEIGHTS_STORED, strcmp(offload, "layers") == 0};
    double begin = ch4_clock_seconds();
    ch4_status st = ch4_nn_open(&nn, "cpu", 0, err);
    if (!st)
        st = ch4_bundle_open(&bundle, dir, nn, err);
    if (!st) {
        ch4_bundle_set_loading(bundle, &loading);
        st = ch4_bundle_get_denoiser(bundle, &den, err);
    }
    if (!st)
        st = make_inputs(&in, ch4_denoiser_get_config(den), err);
    if (!st)
        st = ch4_denoiser_begin(den, T, in.N, in.context, S, err);
    double loaded = ch4_clock_seconds(), processor = processor_seconds();
    const ch4_probe probe = {on_event, &in};
    if (!st)
        st = ch4_denoiser_forward(den, in.v, &(ch4_denoiser_in){.x = in.x, .time = time, .framestep = framestep, .use_context = true}, &probe, err);
    double done = ch4_clock_seconds();
    processor = processor_seconds() - processor;
    if (!st) {
        const ch4_denoiser_config *c = ch4_denoiser_get_config(den);
        double work = flops(c, in.N);
        printf("weights %s, offload %s: load %.1f s, forward %.1f s (%.1f s of processor time), %.2f TFLOP\n", weights, offload, loaded - begin, done - loaded, processor,
               work / 1e12);
        printf("%.1f GFLOP/s on %d threads, %.1f per second of processor time; peak %.2f GiB resident, %.2f GiB private\n", work / 1e9 / (done - loaded), nn->n_threads,
               work / 1e9 / processor, status_gib("VmHWM:"), status_gib("VmData:"));
        const ch4_named_tensor keep[] = {{"v", CH4_F32(in.v, in.N, c->in_channels)},
                                         {"context", CH4_F32(in.context, 1, S, c->context_width)},
                                         {"block_in", CH4_F32(in.block_in, in.N + 1, c->width)},
                                         {"block_out", CH4_F32(in.block_out, in.N + 1, c->width)}};
        st = ch4_safetensors_save(out, keep, 4, err);
    }
    ch4_bundle_close(&bundle);
    ch4_nn_close(&nn);
    free_inputs(&in);
    return st;
}

/* --- one block against the oracle --------------------------------------------------------------------------------------------------------- */

typedef struct oracle {
    ch4_nn *nn;
    ch4_block block;
    int64_t C, H, R; /* width, heads, rows of the stream */
    ch4_space space;
} oracle;

static ch4_tensor rows_of(oracle *o, int64_t rows, int64_t columns)
{
    return ch4_space_take(&o->space, 2, (const int64_t[]){rows, columns});
}

static ch4_status heads_norm(oracle *o, ch4_tensor *x, const ch4_tensor *gain, ch4_err *err)
{
    ch4_tensor h = ch4_tensor_view(x->data, CH4_DTYPE_F32, 3, (const int64_t[]){x->shape[0], o->H, o->C / o->H});
    return o->nn->ops->rmsnorm(o->nn, &h, &h, gain, 1e-6f, err);
}

static ch4_status attend(oracle *o, ch4_tensor *y, const ch4_tensor *q, const ch4_tensor *kv, ch4_err *err)
{
    int64_t D = o->C / o->H;
    ch4_tensor qh = ch4_block_heads(q, 1, q->shape[0], o->H, D, 0), yh = ch4_block_heads(y, 1, y->shape[0], o->H, D, 0);
    ch4_tensor k = ch4_block_heads(kv, 1, kv->shape[0], o->H, D, 0), v = ch4_block_heads(kv, 1, kv->shape[0], o->H, D, o->C);
    return o->nn->ops->attention(o->nn, &yh, NULL, &(ch4_attention_in){.q = &qh, .k = &k, .v = &v, .scale = 1.0f / sqrtf((float)D)}, err);
}

/* The block for some rows of its input over all of its keys, op by op (docs/model.md "denoisers"; the block has no skip, the only frame is not rotated). */
static ch4_status run_oracle(oracle *o, ch4_tensor *out, const ch4_tensor *all, const ch4_tensor *picked, const ch4_tensor *context, ch4_err *err)
{
    const ch4_nn_ops *ops = o->nn->ops;
    const ch4_block *b = &o->block;
    int64_t C = o->C, S_rows = context->shape[1];
    ch4_tensor norm = rows_of(o, o->R, C), some = rows_of(o, PICKED, C), kv = rows_of(o, o->R, 2 * C), q = rows_of(o, PICKED, C), mid = rows_of(o, PICKED, C);
    ch4_tensor ctx = rows_of(o, S_rows, 2 * C), inner = rows_of(o, PICKED, b->inner);
    if (!o->space.buf.data)
        return CH4_OK;
    ch4_tensor w_q = ch4_tensor_slice(&b->self.w_qkv, 0, 0, C), w_kv = ch4_tensor_slice(&b->self.w_qkv, 0, C, 2 * C);
    ch4_tensor ctx3 = ch4_tensor_view(ctx.data, CH4_DTYPE_F32, 3, (const int64_t[]){1, S_rows, 2 * C});
    ch4_status st = ops->layernorm(o->nn, &norm, all, &b->self.norm_g, &b->self.norm_b, b->eps, err);
    if (!st)
        st = ops->layernorm(o->nn, &some, picked, &b->self.norm_g, &b->self.norm_b, b->eps, err);
    if (!st)
        st = ops->linear(o->nn, &kv, &(ch4_linear_in){.x = &norm, .w = &w_kv}, err);
    if (!st)
        st = ops->linear(o->nn, &q, &(ch4_linear_in){.x = &some, .w = &w_q}, err);
    if (!st)
        st = heads_norm(o, &q, &b->self.norm_q, err);
    if (!st) { /* keys are the left half of wider rows */
        ch4_tensor k = {.data = kv.data, .dtype = CH4_DTYPE_F32, .rank = 3, .shape = {o->R, o->H, C / o->H}, .stride = {2 * C, C / o->H, 1}};
        st = ops->rmsnorm(o->nn, &k, &k, &b->self.norm_k, 1e-6f, err);
    }
    if (!st)
        st = attend(o, &some, &q, &kv, err);
    if (!st)
        st = ops->linear(o->nn, &mid, &(ch4_linear_in){.x = &some, .w = &b->self.w_o, .bias = &b->self.b_o, .residual = picked}, err);
    if (!st)
        st = ch4_block_context(b, o->nn, &ctx3, context, NULL, err);
    if (!st)
        st = ch4_block_cross_queries(b, o->nn, &q, &mid, &some, err);
    if (!st)
        st = attend(o, &some, &q, &ctx, err);
    if (!st)
        st = ops->linear(o->nn, &mid, &(ch4_linear_in){.x = &some, .w = &b->cross.w_o, .bias = &b->cross.b_o, .residual = &mid}, err);
    if (!st)
        st = ops->layernorm(o->nn, &some, &mid, &b->ff_g, &b->ff_b, b->eps, err);
    if (!st)
        st = ops->linear(o->nn, &inner, &(ch4_linear_in){.x = &some, .w = &b->w1, .bias = &b->b1, .act = CH4_ACT_GELU}, err);
    return st ? st : ops->linear(o->nn, out, &(ch4_linear_in){.x = &inner, .w = &b->w2, .bias = &b->b2, .residual = &mid}, err);
}

static ch4_status load_block(oracle *o, ch4_weights **w, const ch4_safetensors *file, ch4_err *err)
{
    ch4_block_spec spec = ch4_block_names_temporal;
    ch4_tensor t;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "blocks.%d.", LAYER);
    ch4_status st = ch4_safetensors_peek(file, "blocks.0.x_attn.to_k.weight", &t, err);
    spec.width = st ? 0 : t.shape[0];
    spec.context_width = st ? 0 : t.shape[1];
    if (!st)
        st = ch4_safetensors_peek(file, "blocks.0.s_attn.norm_q.weight", &t, err);
    spec.heads = st ? 1 : spec.width / t.shape[0];
    spec.inner = 4 * spec.width;
    spec.self = spec.cross = spec.qk_norm = true;
    if (!st)
        st = ch4_weights_create(w, o->nn, file, err);
    if (st)
        return st;
    ch4_block_load(&o->block, *w, &spec, prefix);
    o->C = spec.width;
    o->H = spec.heads;
    return ch4_weights_ok(*w) ? CH4_OK : ch4_weights_finish(*w, err);
}

static ch4_status compare(const char *dir, const char *result, ch4_err *err)
{
    oracle o = {0};
    ch4_weights *w = NULL;
    ch4_safetensors *file = NULL, *got = NULL;
    ch4_tensor all, after, context;
    char path[4096];
    double begin = ch4_clock_seconds(), diff = 0, norm = 0;
    float *picked = NULL, *want = NULL;
    snprintf(path, sizeof path, "%s/denoiser/model.safetensors", dir);
    ch4_status st = ch4_nn_open(&o.nn, "ref", 1, err);
    if (!st && !(st = ch4_safetensors_open(&file, path, err)) && !(st = ch4_safetensors_open(&got, result, err)))
        st = load_block(&o, &w, file, err);
    if (!st && !(st = ch4_safetensors_get(got, "block_in", &all, err)) && !(st = ch4_safetensors_get(got, "block_out", &after, err)))
        st = ch4_safetensors_get(got, "context", &context, err);
    if (!st)
        st = ch4_calloc(&picked, (size_t)(PICKED * o.C), sizeof *picked, "rows", err);
    if (!st)
        st = ch4_calloc(&want, (size_t)(PICKED * o.C), sizeof *want, "rows", err);
    o.R = st ? 1 : all.shape[0];
    for (int64_t i = 0; !st && i < PICKED; i++)
        memcpy(picked + i * o.C, (const float *)all.data + i * (o.R - 1) / (PICKED - 1) * o.C, (size_t)o.C * sizeof *picked);
    ch4_tensor in = CH4_F32(picked, PICKED, o.C), out = CH4_F32(want, PICKED, o.C);
    o.space.nn = o.nn;
    for (int pass = 0; !st && pass < 2; pass++) { /* measures, then runs */
        st = run_oracle(&o, &out, &all, &in, &context, err);
        if (!st && pass == 0)
            st = ch4_space_reserve(&o.space, err);
    }
    for (int64_t i = 0; !st && i < PICKED * o.C; i++) {
        double a = ((const float *)after.data)[i / o.C * (o.R - 1) / (PICKED - 1) * o.C + i % o.C], b = want[i];
        diff += (a - b) * (a - b);
        norm += b * b;
    }
    double error = norm > 0 ? sqrt(diff / norm) : INFINITY;
    if (!st)
        printf("block %d, %d of %" PRId64 " rows over all keys and %" PRId64 " heads, cpu against ref: relative L2 error %.2g, %.1f s\n", LAYER, PICKED, o.R, o.H, error,
               ch4_clock_seconds() - begin);
    if (!st && !(error < 1e-5))
        st = ch4_err_set(err, CH4_EFORMAT, "the block differs from the oracle's by more than 1e-5");
    ch4_space_free(&o.space);
    ch4_weights_destroy(&w);
    ch4_safetensors_close(&file);
    ch4_safetensors_close(&got);
    ch4_nn_close(&o.nn);
    free(picked);
    free(want);
    return st;
}

int main(int argc, char **argv)
{
    ch4_err err = {0};
    ch4_status st = CH4_OK;
    const char *verb = argc > 2 ? argv[1] : "";
    if (strcmp(verb, "sparse") == 0 && argc == 3)
        st = write_sparse(argv[2], &err);
    else if (strcmp(verb, "write") == 0 && (argc == 3 || argc == 4))
        st = write_denoiser(argv[2], argc == 4 ? argv[3] : "{}", &err);
    else if (strcmp(verb, "forward") == 0 && argc == 6)
        st = forward(argv[2], argv[3], argv[4], argv[5], &err);
    else if (strcmp(verb, "compare") == 0 && argc == 4)
        st = compare(argv[2], argv[3], &err);
    else
        return fprintf(stderr, "usage: full_size sparse DIR | write DIR [CONFIG] | forward DIR stored|bfloat16 none|layers OUT | compare DIR OUT\n"), 2;
    if (st)
        fprintf(stderr, "full_size: %s\n", err.msg);
    return st != CH4_OK;
}
