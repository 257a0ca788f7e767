#include "stages/denoise/denoise_plan.h"

#include <inttypes.h>

/* The pipeline's choices begin with `model`; the rest follow in the order of the model's own. */
#define CHOOSE(type, option, otherwise) ((option) == 0 ? (otherwise) : (type)((option) - 1))

static ch4_status add_head(ch4_capture_config *g, int64_t layer, const int64_t *head, ch4_err *err)
{
    int i = 0;
    while (i < g->n_layers && g->layer[i].layer != layer)
        i++;
    if (i == CH4_CAPTURE_LAYERS)
        return ch4_err_set(err, CH4_ECONFIG, "attention.layers: more than %d layers", CH4_CAPTURE_LAYERS);
    ch4_capture_layer *l = &g->layer[i];
    if (i == g->n_layers) {
        *l = (ch4_capture_layer){.layer = (int)layer};
        g->n_layers++;
    }
    for (int j = 0; head && j < l->n_heads; j++)
        if (l->head[j] == *head)
            return CH4_OK;
    if (head && l->n_heads == CH4_CAPTURE_HEADS)
        return ch4_err_set(err, CH4_ECONFIG, "attention.heads: more than %d heads of layer %" PRId64, CH4_CAPTURE_HEADS, layer);
    if (head)
        l->head[l->n_heads++] = (int)*head;
    return CH4_OK;
}

/* The model pairs layers with heads; an option names heads for every layer that is read. */
static ch4_status choose_heads(ch4_capture_config *g, const ch4_config *config, const ch4_model_info *info, ch4_err *err)
{
    const ch4_ints *layers = config->attention.layers.n ? &config->attention.layers : &info->attention.layers;
    const ch4_ints *each = &config->attention.heads, *paired = &info->attention.heads;
    bool pairs = !config->attention.layers.n && !each->n && paired->n;
    ch4_status st = CH4_OK;
    for (int64_t i = 0; !st && i < layers->n; i++) {
        if (pairs)
            st = add_head(g, layers->v[i], &paired->v[i], err);
        else if (!each->n)
            st = add_head(g, layers->v[i], NULL, err);
        for (int64_t j = 0; !st && j < each->n; j++)
            st = add_head(g, layers->v[i], &each->v[j], err);
    }
    return st;
}

static ch4_status choose_steps(ch4_denoise_plan *p, const ch4_config *config, const ch4_model_info *info, int *count, ch4_err *err)
{
    const ch4_ints *list = &config->attention.steps;
    int64_t steps = p->window.steps, step;
    *count = 1;
    if (!list->n) {
        ch4_status st = ch4_model_info_step(&step, info, steps, err);
        if (!st)
            p->read_step[step] = true;
        return st;
    }
    *count = 0;
    for (int64_t i = 0; i < list->n; i++) {
        step = list->v[i] < 0 ? list->v[i] + steps : list->v[i];
        if (step < 0 || step >= steps)
            return ch4_err_set(err, CH4_ECONFIG, "attention.steps: there is no step %" PRId64 " of %" PRId64, list->v[i], steps);
        *count += !p->read_step[step];
        p->read_step[step] = true;
    }
    return CH4_OK;
}

static ch4_weights_type weights_of(const ch4_config *config)
{
    switch (config->denoise.weights) {
    case CH4_CONFIG_WEIGHTS_FLOAT32: return CH4_WEIGHTS_F32;
    case CH4_CONFIG_WEIGHTS_BFLOAT16: return CH4_WEIGHTS_BF16;
    default: return CH4_WEIGHTS_STORED;
    }
}

static ch4_sampler_config sampler_of(int64_t steps, double shift, double guidance)
{
    return ch4_sampler_config_make((int)steps, shift, guidance == 0 ? 1.0 : guidance);
}

ch4_status ch4_denoise_plan_make(ch4_denoise_plan *out, const ch4_config *config, const ch4_model_info *info, ch4_err *err)
{
    int64_t steps = config->denoise.steps ? config->denoise.steps : info->steps;
    double shift = config->denoise.shift > 0 ? config->denoise.shift : info->shift;
    double guidance = config->denoise.guidance >= 0 ? config->denoise.guidance : info->guidance;
    int64_t first_steps = config->denoise.anchor_steps ? config->denoise.anchor_steps : info->anchor.steps ? info->anchor.steps : steps;
    ch4_denoise_plan p = {
        .window = sampler_of(steps, shift, guidance),
        .anchor = sampler_of(first_steps, info->anchor.shift > 0 ? info->anchor.shift : shift, info->anchor.guidance > 0 ? info->anchor.guidance : guidance),
        .noise = CHOOSE(ch4_model_noise, config->denoise.noise, info->noise),
        .noise_anchor = info->noise_anchor,
        .branch = CHOOSE(ch4_model_branch, config->attention.branch, info->attention.branch),
        .dense = config->attention.store == CH4_ATTENTION_DENSE,
        .keep = config->attention.k,
        .points = config->mesh.points ? config->mesh.points : info->networks.vae.points,
        .preselect = info->networks.vae.preselect,
        .anchor_draws = config->denoise.anchor_draws ? config->denoise.anchor_draws : info->anchor.draws,
        .anchor_frames = config->denoise.anchor_frames ? config->denoise.anchor_frames : info->anchor.frames,
        .band = config->chain.band,
        .floaters = config->mesh.floaters,
        .seed = (uint64_t)config->run.seed,
        .loading = {.type = weights_of(config), .offload = config->denoise.offload == CH4_OFFLOAD_LAYERS},
    };
    ch4_model_direction direction = CHOOSE(ch4_model_direction, config->attention.direction, info->attention.direction);
    ch4_model_row_norm norm = CHOOSE(ch4_model_row_norm, config->attention.normalize, info->attention.normalize);
    p.capture.direction = direction == CH4_MODEL_BOTH_WAYS ? CH4_BOTH_WAYS : direction == CH4_MODEL_FRAME_TO_ANCHOR ? CH4_FRAME_TO_ANCHOR : CH4_ANCHOR_TO_FRAME;
    p.capture.head_normalized = norm == CH4_MODEL_ROW_HEAD;
    int count;
    ch4_status st = choose_heads(&p.capture, config, info, err);
    if (!st)
        st = choose_steps(&p, config, info, &count, err);
    if (!st && p.branch != CH4_MODEL_BRANCH_CONDITIONAL && p.window.n_branches == 1)
        st = ch4_err_set(err, CH4_ECONFIG, "attention.branch: without guidance (denoise.guidance) only the conditional branch runs");
    if (!st && p.anchor_frames > 1 && info->networks.image_to_3d == CH4_MODEL_IMAGE3D_TRIPOSG)
        st = ch4_err_set(err, CH4_ECONFIG, "denoise.anchor_frames: the model's image-to-3D transformer sees one frame");
    if (st)
        return st;
    p.capture.self_passes = count * (p.branch == CH4_MODEL_BRANCH_MEAN ? 2 : 1);
    p.capture.cross_passes = count;
    *out = p;
    return CH4_OK;
}

const ch4_probe *ch4_denoise_plan_probe(const ch4_denoise_plan *plan, const ch4_capture *capture, int64_t step, int branch)
{
    if (!plan->read_step[step])
        return NULL;
    bool conditional = branch == plan->window.n_branches - 1;
    bool self = plan->branch == CH4_MODEL_BRANCH_MEAN || conditional == (plan->branch == CH4_MODEL_BRANCH_CONDITIONAL);
    return ch4_capture_probe(capture, self, conditional);
}
