#include "model/capture.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/size.h"

struct ch4_capture {
    ch4_nn *nn;
    ch4_capture_config config;
    int64_t T, N, P;
    int total_heads, all_heads; /* chosen over all layers; of the network */
    int *head;                  /* [all_heads] 0, 1, 2, ... */
    int met_self, met_cross;    /* layers read so far */
    ch4_space space;
    ch4_tensor attention, raw, patch; /* raw: only kept apart if heads are normalised */
    ch4_tensor reversed;              /* one layer's block of the anchor's rows, where both directions are read */
    ch4_probe probe[3];               /* self, cross, both */
};

static const ch4_capture_layer *chosen(const ch4_capture *c, int layer)
{
    for (int i = 0; i < c->config.n_layers; i++)
        if (c->config.layer[i].layer == layer)
            return &c->config.layer[i];
    return NULL;
}

/* Token rows of frames first .. first + count - 1, [count,H,N,...], of a sequence [1,H,T*(N+1),...] whose frames begin with a time token. */
static ch4_tensor frame_rows(const ch4_tensor *seq, int64_t N, int64_t first, int64_t count)
{
    ch4_tensor t = ch4_tensor_slice(seq, 2, first * (N + 1) + 1, N);
    t.shape[0] = count;
    t.stride[0] = (N + 1) * seq->stride[2];
    return t;
}

/* Token rows of one frame, repeated `count` times. */
static ch4_tensor repeated_rows(const ch4_tensor *seq, int64_t N, int64_t frame, int64_t count)
{
    ch4_tensor t = frame_rows(seq, N, frame, count);
    t.stride[0] = 0;
    return t;
}

ch4_status ch4_capture_read_block(ch4_nn *nn, ch4_tensor *map, const ch4_probe_event *e, const ch4_capture_block *b, ch4_err *err)
{
    if (!e->joint)
        return ch4_err_set(err, CH4_EINVAL, "attention capture: layer %d attends within frames only (not inflated)", e->layer);
    int64_t N = e->rows - 1;
    ch4_tensor fq = frame_rows(e->q, N, b->first, b->count), fk = frame_rows(e->k, N, b->first, b->count), fl = frame_rows(e->lse, N, b->first, b->count);
    ch4_tensor aq = repeated_rows(e->q, N, b->anchor_slot, b->count), ak = repeated_rows(e->k, N, b->anchor_slot, b->count),
               al = repeated_rows(e->lse, N, b->anchor_slot, b->count);
    bool from_frame = b->direction == CH4_FRAME_TO_ANCHOR;
    const ch4_attention_map_in in = {
        .q = from_frame ? &fq : &aq, .k = from_frame ? &ak : &fk, .lse = b->head_normalized ? NULL : from_frame ? &fl : &al,
        .scale = e->scale, .heads = b->heads, .n_heads = b->n_heads, .weight = b->weight, .accumulate = b->accumulate,
    };
    return nn->ops->attention_map(nn, map, &in, err);
}

/* Adds a block of the anchor's rows to a map whose rows are the frame's. */
static ch4_status add_reversed(ch4_capture *c, ch4_tensor *map, const ch4_probe_event *e, const ch4_capture_block *forward, ch4_err *err)
{
    ch4_capture_block b = *forward;
    b.direction = CH4_ANCHOR_TO_FRAME;
    b.accumulate = false;
    ch4_tensor turned = c->reversed; /* transposed */
    turned.stride[1] = c->reversed.stride[2];
    turned.stride[2] = c->reversed.stride[1];
    ch4_status st = ch4_capture_read_block(c->nn, &c->reversed, e, &b, err);
    return st ? st : c->nn->ops->add(c->nn, map, &turned, err);
}

static ch4_status read_map(ch4_capture *c, ch4_tensor *map, const ch4_probe_event *e, const ch4_capture_block *b, ch4_err *err)
{
    if (c->config.direction != CH4_BOTH_WAYS)
        return ch4_capture_read_block(c->nn, map, e, b, err);
    ch4_capture_block half = *b;
    half.direction = CH4_FRAME_TO_ANCHOR;
    half.weight /= 2;
    ch4_status st = ch4_capture_read_block(c->nn, map, e, &half, err);
    return st ? st : add_reversed(c, map, e, &half, err);
}

static ch4_status read_self(ch4_capture *c, const ch4_capture_layer *layer, const ch4_probe_event *e, ch4_err *err)
{
    ch4_capture_block b = {
        .direction = c->config.direction, .anchor_slot = c->config.anchor_slot, .count = c->T,
        .heads = layer->n_heads ? layer->head : c->head,
        .n_heads = layer->n_heads ? layer->n_heads : c->all_heads,
        .weight = 1.0f / (float)(c->total_heads * c->config.self_passes),
        .accumulate = c->met_self > 0,
    };
    c->met_self++;
    ch4_status st = read_map(c, c->config.head_normalized ? &c->raw : &c->attention, e, &b, err);
    if (st || !c->config.head_normalized)
        return st;
    b.head_normalized = true;
    return read_map(c, &c->attention, e, &b, err);
}

static ch4_status read_cross(ch4_capture *c, const ch4_probe_event *e, ch4_err *err)
{
    if (c->P == 0) /* a context of the class token alone has no patches */
        return CH4_OK;
    ch4_tensor q = ch4_tensor_slice(e->q, 2, 1, c->N), k = ch4_tensor_slice(e->k, 2, 1, c->P), lse = ch4_tensor_slice(e->lse, 2, 1, c->N);
    const ch4_attention_map_in in = {
        .q = &q, .k = &k, .lse = &lse, .scale = e->scale, .heads = c->head, .n_heads = c->all_heads,
        .weight = 1.0f / (float)(c->all_heads * c->config.n_layers * c->config.cross_passes),
        .accumulate = c->met_cross > 0,
    };
    c->met_cross++;
    return c->nn->ops->attention_map(c->nn, &c->patch, &in, err);
}

static ch4_status on_self(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    (void)nn;
    ch4_capture *c = ctx;
    const ch4_capture_layer *layer = e->point == CH4_PROBE_SELF ? chosen(c, e->layer) : NULL;
    return layer ? read_self(c, layer, e, err) : CH4_OK;
}

static ch4_status on_cross(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    (void)nn;
    ch4_capture *c = ctx;
    return e->point == CH4_PROBE_CROSS && chosen(c, e->layer) ? read_cross(c, e, err) : CH4_OK;
}

static ch4_status on_both(void *ctx, ch4_nn *nn, const ch4_probe_event *e, ch4_err *err)
{
    ch4_status st = on_self(ctx, nn, e, err);
    return st ? st : on_cross(ctx, nn, e, err);
}

static ch4_status check(const ch4_capture_config *g, int64_t T, int64_t H, ch4_err *err)
{
    if (g->n_layers < 1 || g->n_layers > CH4_CAPTURE_LAYERS)
        return ch4_err_set(err, CH4_EINVAL, "attention capture: between 1 and %d layers wanted", CH4_CAPTURE_LAYERS);
    if (g->anchor_slot < 0 || g->anchor_slot >= T)
        return ch4_err_set(err, CH4_EINVAL, "attention capture: anchor slot %d in a window of %" PRId64 " frames", g->anchor_slot, T);
    for (int i = 0; i < g->n_layers; i++) {
        const ch4_capture_layer *layer = &g->layer[i];
        for (int j = 0; j < i; j++)
            if (g->layer[j].layer == layer->layer)
                return ch4_err_set(err, CH4_EINVAL, "attention capture: layer %d is named twice", layer->layer);
        if (layer->n_heads < 0 || layer->n_heads > CH4_CAPTURE_HEADS)
            return ch4_err_set(err, CH4_EINVAL, "attention capture: at most %d heads per layer", CH4_CAPTURE_HEADS);
        for (int j = 0; j < layer->n_heads; j++)
            if (layer->head[j] < 0 || layer->head[j] >= H)
                return ch4_err_set(err, CH4_EINVAL, "attention capture: layer %d has no head %d", layer->layer, layer->head[j]);
    }
    return CH4_OK;
}

static void lay_out(ch4_capture *c)
{
    c->attention = ch4_space_take(&c->space, CH4_SHAPE(c->T, c->N, c->N));
    if (c->config.head_normalized)
        c->raw = ch4_space_take(&c->space, CH4_SHAPE(c->T, c->N, c->N));
    if (c->config.direction == CH4_BOTH_WAYS)
        c->reversed = ch4_space_take(&c->space, CH4_SHAPE(c->T, c->N, c->N));
    c->patch = ch4_space_take(&c->space, CH4_SHAPE(c->T, c->N, c->P));
}

ch4_status ch4_capture_create(ch4_capture **out, ch4_nn *nn, const ch4_capture_config *config, int64_t T, int64_t N, int64_t S, int64_t H, ch4_err *err)
{
    ch4_capture *c = NULL;
    *out = NULL;
    ch4_status st = check(config, T, H, err);
    if (!st)
        st = ch4_calloc(&c, 1, sizeof *c, "attention capture", err);
    if (st)
        return st;
    *c = (ch4_capture){.nn = nn, .config = *config, .T = T, .N = N, .P = S - 1, .all_heads = (int)H, .space = {.nn = nn}, .probe = {{on_self, c}, {on_cross, c}, {on_both, c}}};
    c->config.self_passes += c->config.self_passes == 0;
    c->config.cross_passes += c->config.cross_passes == 0;
    for (int i = 0; i < config->n_layers; i++)
        c->total_heads += config->layer[i].n_heads ? config->layer[i].n_heads : (int)H;
    st = ch4_calloc(&c->head, (size_t)H, sizeof *c->head, "attention capture", err);
    for (int h = 0; !st && h < (int)H; h++)
        c->head[h] = h;
    lay_out(c);
    if (!st)
        st = ch4_space_reserve(&c->space, err);
    if (st)
        ch4_capture_destroy(&c);
    else
        lay_out(c);
    *out = c;
    return st;
}

void ch4_capture_destroy(ch4_capture **out)
{
    ch4_capture *c = *out;
    if (!c)
        return;
    ch4_space_free(&c->space);
    free(c->head);
    free(c);
    *out = NULL;
}

const ch4_probe *ch4_capture_probe(const ch4_capture *c, bool self, bool cross)
{
    return self || cross ? &c->probe[self && cross ? 2 : cross] : NULL;
}

/* Row sums of the raw block, through a buffer of one frame. */
static ch4_status read_mass(const ch4_capture *c, float *mass, ch4_err *err)
{
    const ch4_tensor *raw = c->config.head_normalized ? &c->raw : &c->attention;
    float *frame = NULL;
    ch4_status st = ch4_calloc(&frame, (size_t)(c->N * c->N), sizeof *frame, "attention capture", err);
    for (int64_t f = 0; !st && f < c->T; f++) {
        ch4_tensor part = ch4_tensor_slice(raw, 0, f, 1), host = CH4_F32(frame, 1, c->N, c->N);
        st = c->nn->ops->download(c->nn, &host, &part, err);
        for (int64_t t = 0; !st && t < c->N; t++) {
            double sum = 0;
            for (int64_t j = 0; j < c->N; j++)
                sum += frame[t * c->N + j];
            mass[f * c->N + t] = (float)sum;
        }
    }
    free(frame);
    return st;
}

ch4_status ch4_capture_read(const ch4_capture *c, float *attention, float *mass, float *patch, ch4_err *err)
{
    const ch4_capture_config *g = &c->config;
    if (((attention || mass) && c->met_self != g->n_layers * g->self_passes) || (patch && c->met_cross != g->n_layers * g->cross_passes))
        return ch4_err_set(err, CH4_EINVAL, "attention capture: %d layers, but self-attention was met %d times in %d passes, cross-attention %d times in %d",
                           g->n_layers, c->met_self, g->self_passes, c->met_cross, g->cross_passes);
    ch4_tensor a = CH4_F32(attention, c->T, c->N, c->N), p = CH4_F32(patch, c->T, c->N, c->P);
    ch4_status st = attention ? c->nn->ops->download(c->nn, &a, &c->attention, err) : CH4_OK;
    if (!st && mass)
        st = read_mass(c, mass, err);
    return st || !patch ? st : c->nn->ops->download(c->nn, &p, &c->patch, err);
}
