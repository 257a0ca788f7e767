/* Kinds scheduler, windows, embeddings: the small closed forms around the networks. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"
#include "golden_nn.h"
#include "model/embed.h"
#include "model/net_config.h"
#include "model/schedule.h"
#include "model/windows.h"

enum { MAX_STEPS = 10000 };

static void check_triposg(ch4_golden_case *c, const float *times, const float *sigmas, int n, const char *name)
{
    ch4_golden_check_f32(c, times, n, "triposg.%s.timesteps.%d", name, n);
    ch4_golden_check_f32(c, sigmas, n + 1, "triposg.%s.sigmas.%d", name, n);
}

static ch4_status check_schedules(ch4_golden_case *c, int n, ch4_err *err)
{
    float *times, *other;
    char name[64];
    ch4_status st = ch4_golden_alloc(c, &times, (size_t)n + 1, sizeof *times, err);
    if (!st)
        st = ch4_golden_alloc(c, &other, (size_t)n + 1, sizeof *other, err);
    if (st)
        return st;
    const json_t *list = ch4_golden_json(c, "actionmesh");
    for (size_t i = 0; i < json_array_size(list); i++) {
        double shift = json_number_value(json_object_get(json_array_get(list, i), "shift"));
        int train = (int)json_integer_value(json_object_get(json_array_get(list, i), "num_train_timesteps"));
        ch4_schedule_temporal(times, other, n, shift, train);
        snprintf(name, sizeof name, "actionmesh.shift%g_train%d", shift, train);
        ch4_golden_check_f32(c, times, n + 1, "%s.timesteps.%d", name, n);
        ch4_golden_check_f32(c, other, n, "%s.distances.%d", name, n);
    }
    int train = (int)ch4_golden_int_or(c, "triposg.num_train_timesteps", 1000);
    list = ch4_golden_json(c, "triposg.shifts");
    for (size_t i = 0; i < json_array_size(list); i++) {
        double shift = json_number_value(json_array_get(list, i));
        ch4_schedule_image(times, other, n, shift, train);
        snprintf(name, sizeof name, "shift%g", shift);
        check_triposg(c, times, other, n, name);
    }
    if (ch4_golden_json(c, "triposg.dynamic_mu")) {
        ch4_schedule_image_dynamic(times, other, n, ch4_golden_real_or(c, "triposg.dynamic_mu", 0), train);
        check_triposg(c, times, other, n, "dynamic");
    }
    return CH4_OK;
}

ch4_status ch4_golden_scheduler(ch4_golden_case *c, ch4_err *err)
{
    const json_t *steps = ch4_golden_json(c, "steps");
    ch4_status st = CH4_OK;
    for (size_t i = 0; !st && i < json_array_size(steps); i++) {
        int64_t n = json_integer_value(json_array_get(steps, i));
        st = n >= 1 && n <= MAX_STEPS ? check_schedules(c, (int)n, err) : ch4_err_set(err, CH4_EFORMAT, "steps: %" PRId64, n);
    }
    return st;
}

/* --- windows ------------------------------------------------------------------------------------------------------------------ */

/* Same windows in the same order, or the same refusal; where the reference leaves the clip, every frame exactly covered and in range. */
static bool window_case_holds(const json_t *item)
{
    int64_t start = json_integer_value(json_object_get(item, "start")), total = json_integer_value(json_object_get(item, "total"));
    ch4_window_list list;
    ch4_status st = ch4_window_list_init(&list, start, total, json_integer_value(json_object_get(item, "size")), json_integer_value(json_object_get(item, "slide")), NULL);
    if (json_object_get(item, "error"))
        return st == CH4_EINVAL;
    const json_t *chunks = json_object_get(item, "chunks");
    bool same = !st && list.count == (int64_t)json_array_size(chunks), range = !st && list.frame[0] == start;
    for (int64_t w = 0; !st && w < list.count; w++) {
        const json_t *chunk = json_array_get(chunks, (size_t)w);
        same = same && (int64_t)json_array_size(chunk) == list.offset[w + 1] - list.offset[w];
        for (int64_t i = list.offset[w]; i < list.offset[w + 1]; i++) {
            same = same && json_integer_value(json_array_get(chunk, (size_t)(i - list.offset[w]))) == list.frame[i];
            range = range && list.frame[i] >= 0 && list.frame[i] < total;
        }
    }
    for (int64_t f = 0; !st && f < total; f++) {
        bool found = false;
        for (int64_t i = 0; i < list.offset[list.count]; i++)
            found = found || list.frame[i] == f;
        range = range && found;
    }
    ch4_window_list_fini(&list);
    return json_is_true(json_object_get(item, "out_of_range")) ? range : same && range;
}

ch4_status ch4_golden_windows(ch4_golden_case *c, ch4_err *err)
{
    char path[4096];
    json_error_t where;
    snprintf(path, sizeof path, "%s/windows.json", c->dir);
    json_t *root = json_load_file(path, 0, &where), *item;
    if (!json_is_array(root)) {
        json_decref(root);
        return ch4_err_set(err, CH4_EFORMAT, "%s: a list of cases wanted", path);
    }
    size_t i;
    json_array_foreach(root, i, item)
        ch4_golden_check_true(c, window_case_holds(item), "start%" JSON_INTEGER_FORMAT "_total%" JSON_INTEGER_FORMAT "_size%" JSON_INTEGER_FORMAT "_slide%" JSON_INTEGER_FORMAT,
                              json_integer_value(json_object_get(item, "start")), json_integer_value(json_object_get(item, "total")),
                              json_integer_value(json_object_get(item, "size")), json_integer_value(json_object_get(item, "slide")));
    json_decref(root);
    return CH4_OK;
}

/* --- embeddings --------------------------------------------------------------------------------------------------------------- */

static ch4_status check_points(ch4_golden_case *c, ch4_err *err)
{
    ch4_tensor p;
    ch4_status st = ch4_golden_tensor(c, &p, CH4_DTYPE_F32, err, "in.points");
    const json_t *list = ch4_golden_json(c, "freq_embed.num_freqs");
    int64_t n = ch4_tensor_count(&p) / 3;
    for (size_t i = 0; !st && i < json_array_size(list); i++)
        for (int pi = 0; !st && pi < 2; pi++) {
            int octaves = (int)json_integer_value(json_array_get(list, i));
            int64_t width = 3 + 6 * octaves;
            float *out;
            st = ch4_golden_alloc(c, &out, (size_t)(n * width), sizeof *out, err);
            if (st)
                break;
            ch4_embed_points(out, width, p.data, 3, n, octaves, pi);
            ch4_golden_check_f32(c, out, n * width, "freq_embed.nf%d_%s", octaves, pi ? "pi" : "nopi");
        }
    return st;
}

static ch4_status check_times(ch4_golden_case *c, ch4_nn *nn, ch4_err *err)
{
    ch4_tensor t, w1, b1, w2, b2;
    ch4_weights *w = NULL;
    ch4_space space = {.nn = nn};
    float *sinusoid;
    int64_t W = ch4_golden_int_or(c, "timesteps.num_channels", 64), inner = ch4_golden_int_or(c, "time_proj.time_embed_dim", 256);
    ch4_status st = ch4_golden_input(c, &t, 1, "timesteps", err);
    int64_t n = t.shape[0];
    if (!st)
        st = ch4_golden_alloc(c, &sinusoid, (size_t)(n * W), sizeof *sinusoid, err);
    if (!st)
        st = ch4_weights_create(&w, nn, c->weights, err);
    if (st)
        return st;
    ch4_embed_times(sinusoid, t.data, n, W, false);
    ch4_golden_check_f32(c, sinusoid, n * W, "timesteps_sinusoid");
    ch4_weights_get(w, &w1, CH4_SHAPE(inner, W), "time_proj.linear_1.weight");
    ch4_weights_get(w, &b1, CH4_SHAPE(inner), "time_proj.linear_1.bias");
    ch4_weights_get(w, &w2, CH4_SHAPE(W, inner), "time_proj.linear_2.weight");
    ch4_weights_get(w, &b2, CH4_SHAPE(W), "time_proj.linear_2.bias");
    ch4_weights_expect(w, CH4_SHAPE(W), "layer_norm.weight");
    ch4_weights_expect(w, CH4_SHAPE(W), "layer_norm.bias");
    ch4_weights_expect(w, CH4_SHAPE(W), "rms_norm.weight");
    st = ch4_weights_finish(w, err);
    ch4_tensor view[3], host = CH4_F32(sinusoid, n, W);
    for (int pass = 0; !st && pass < 2; pass++) {
        view[0] = ch4_space_take(&space, CH4_SHAPE(n, W));
        view[1] = ch4_space_take(&space, CH4_SHAPE(n, inner));
        view[2] = ch4_space_take(&space, CH4_SHAPE(n, W));
        if (!pass)
            st = ch4_space_reserve(&space, err);
    }
    if (!st)
        st = nn->ops->upload(nn, &view[0], &host, err);
    if (!st)
        st = nn->ops->linear(nn, &view[1], &(ch4_linear_in){.x = &view[0], .w = &w1, .bias = &b1, .act = CH4_ACT_GELU}, err);
    if (!st)
        st = nn->ops->linear(nn, &view[2], &(ch4_linear_in){.x = &view[1], .w = &w2, .bias = &b2}, err);
    if (!st)
        st = ch4_golden_check_view(c, nn, &view[2], err, "time_token");
    ch4_space_free(&space);
    ch4_weights_destroy(&w);
    return st;
}

/* layer_norm, rms_norm and gelu on the recorded rows; host views serve as backend memory in ref and cpu. */
static ch4_status check_norms(ch4_golden_case *c, ch4_nn *nn, ch4_err *err)
{
    ch4_tensor x, g, b, r, gx;
    float *out, *act, one = 1.0f;
    ch4_status st = ch4_golden_input(c, &x, 2, "norm_x", err);
    if (!st)
        st = ch4_golden_input(c, &gx, 2, "gelu_x", err);
    if (!st)
        st = ch4_safetensors_get(c->weights, "layer_norm.weight", &g, err);
    if (!st)
        st = ch4_safetensors_get(c->weights, "layer_norm.bias", &b, err);
    if (!st)
        st = ch4_safetensors_get(c->weights, "rms_norm.weight", &r, err);
    if (!st)
        st = ch4_golden_alloc(c, &out, (size_t)ch4_tensor_count(&x), sizeof *out, err);
    if (!st)
        st = ch4_golden_alloc(c, &act, (size_t)ch4_tensor_count(&gx), sizeof *act, err);
    if (st)
        return st;
    int64_t rows = x.shape[0], W = x.shape[1], n = ch4_tensor_count(&gx);
    ch4_tensor y = CH4_F32(out, rows, W), x3 = CH4_F32(x.data, rows, 1, W), y3 = CH4_F32(out, rows, 1, W);
    st = nn->ops->layernorm(nn, &y, &x, &g, &b, 1e-5f, err);
    if (!st)
        ch4_golden_check_f32(c, out, rows * W, "layer_norm_eps1e-5");
    if (!st && !(st = nn->ops->layernorm(nn, &y, &x, &g, &b, 1e-6f, err)))
        ch4_golden_check_f32(c, out, rows * W, "layer_norm_eps1e-6");
    if (!st && !(st = nn->ops->rmsnorm(nn, &y3, &x3, &r, 1e-6f, err)))
        ch4_golden_check_f32(c, out, rows * W, "rms_norm_eps1e-6");
    ch4_tensor column = CH4_F32(gx.data, n, 1), w = CH4_F32(&one, 1, 1), a = CH4_F32(act, n, 1);
    if (!st && !(st = nn->ops->linear(nn, &a, &(ch4_linear_in){.x = &column, .w = &w, .act = CH4_ACT_GELU}, err)))
        ch4_golden_check_f32(c, act, n, "gelu");
    return st;
}

static ch4_status check_rope(ch4_golden_case *c, ch4_nn *nn, ch4_err *err)
{
    ch4_tensor x, step;
    ch4_status st = ch4_golden_input(c, &x, 4, "rope_x", err);
    if (!st)
        st = ch4_golden_input(c, &step, 2, "framestep", err);
    if (st)
        return st;
    int64_t T = step.shape[1], D = x.shape[3], groups = x.shape[0] * x.shape[1];
    float *table[2], *wide, *centered;
    for (int i = 0; !st && i < 2; i++)
        st = ch4_golden_alloc(c, &table[i], (size_t)(T * D), sizeof *table[i], err);
    if (!st)
        st = ch4_golden_alloc(c, &wide, (size_t)(T * D), sizeof *wide, err);
    if (!st)
        st = ch4_golden_alloc(c, &centered, (size_t)T, sizeof *centered, err);
    if (st)
        return st;
    float least = ((const float *)step.data)[0];
    for (int64_t f = 0; f < T; f++)
        least = ((const float *)step.data)[f] < least ? ((const float *)step.data)[f] : least;
    for (int64_t f = 0; f < T; f++)
        centered[f] = ((const float *)step.data)[f] - least;
    ch4_golden_check_f32(c, centered, T, "framestep_centered");
    ch4_embed_rope(table[0], table[1], step.data, T, D);
    for (int i = 0; i < 2; i++) {
        for (int64_t k = 0; k < T * D; k++)
            wide[k] = table[i][k / 2];
        ch4_golden_check_f32(c, wide, T * D, "rope_%s", i ? "sin" : "cos");
    }
    ch4_tensor cos = CH4_F32(table[0], T, D / 2), sin = CH4_F32(table[1], T, D / 2);
    ch4_tensor v = {.data = x.data, .dtype = CH4_DTYPE_F32, .rank = 4, .shape = {T, groups, 1, D}, .stride = {D, T * D, D, 1}}; /* [2,3,T,D] by frames */
    st = nn->ops->rope(nn, &v, &cos, &sin, err);
    if (!st)
        ch4_golden_check_f32(c, x.data, ch4_tensor_count(&x), "rope_applied");
    return st;
}

/* The stage-II decoder's view of time. */
static ch4_status check_alphas(ch4_golden_case *c, ch4_err *err)
{
    ch4_tensor step, source, target;
    ch4_status st = ch4_golden_input(c, &step, 2, "framestep", err);
    if (!st)
        st = ch4_golden_input(c, &source, 2, "alpha_source", err);
    if (!st)
        st = ch4_golden_input(c, &target, 2, "alpha_target", err);
    int64_t half = ch4_golden_int_or(c, "timestep_embedder.frequency_embedding_size", 32);
    if (st)
        return st;
    int64_t T = step.shape[1], n = source.shape[1];
    float *out, *part, *alpha;
    st = ch4_golden_alloc(c, &out, (size_t)(n * 2 * half), sizeof *out, err);
    if (!st)
        st = ch4_golden_alloc(c, &part, (size_t)(n * half), sizeof *part, err);
    if (!st)
        st = ch4_golden_alloc(c, &alpha, (size_t)T, sizeof *alpha, err);
    if (st)
        return st;
    for (int k = 0; k < 2; k++) {
        ch4_embed_times(part, k ? target.data : source.data, n, half, true);
        for (int64_t i = 0; i < n; i++)
            memcpy(out + (2 * i + k) * half, part + i * half, (size_t)half * sizeof *out);
    }
    ch4_golden_check_f32(c, out, n * 2 * half, "timestep_embedder");
    ch4_embed_alpha(alpha, step.data, T);
    ch4_golden_check_f32(c, alpha, T, "alpha_of_framestep");
    for (int level = 1; !st && level <= 8; level++)
        for (int keep = 0; !st && keep < 2; keep++) {
            char name[64];
            snprintf(name, sizeof name, "interpolated_timesteps.level%d%s", level, keep ? "_keepfirst" : "");
            if (!ch4_golden_has(c, "out.%s", name))
                continue;
            int64_t count = ch4_embed_output_times(NULL, 0, step.data, T, level, keep);
            st = ch4_golden_alloc(c, &part, (size_t)count, sizeof *part, err);
            if (st)
                break;
            ch4_embed_output_times(part, count, step.data, T, level, keep);
            ch4_golden_check_f32(c, part, count, "%s", name);
        }
    return st;
}

ch4_status ch4_golden_embeddings(ch4_golden_case *c, ch4_err *err)
{
    ch4_nn *nn = NULL;
    ch4_status st = ch4_nn_open(&nn, c->backend, ch4_pool_threads(c->pool), err);
    if (!st)
        st = check_points(c, err);
    if (!st)
        st = check_times(c, nn, err);
    if (!st)
        st = check_norms(c, nn, err);
    if (!st)
        st = check_alphas(c, err);
    if (!st)
        st = check_rope(c, nn, err); /* last: it rotates its input in place */
    ch4_nn_close(&nn);
    return st;
}
