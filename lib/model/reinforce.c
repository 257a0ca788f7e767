#include "model/reinforce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

struct ch4_reinforce {
    ch4_denoiser_gain gain;
    int64_t n, *row;
    int32_t *key;
    float *log_gain;
};

static int by_place(const void *a, const void *b)
{
    const ch4_token_pair *x = a, *y = b;
    if (x->slot != y->slot)
        return x->slot < y->slot ? -1 : 1;
    if (x->anchor != y->anchor)
        return x->anchor < y->anchor ? -1 : 1;
    if (x->token != y->token)
        return x->token < y->token ? -1 : 1;
    return (x->confidence < y->confidence) - (x->confidence > y->confidence);
}

static bool same_place(const ch4_token_pair *x, const ch4_token_pair *y)
{
    return x->slot == y->slot && x->anchor == y->anchor && x->token == y->token;
}

int64_t ch4_token_pairs_merge(ch4_token_pair *pairs, int64_t n)
{
    int64_t kept = 0;
    if (n > 0)
        qsort(pairs, (size_t)n, sizeof *pairs, by_place);
    for (int64_t i = 0; i < n; i++)
        if (kept == 0 || !same_place(&pairs[i], &pairs[kept - 1]))
            pairs[kept++] = pairs[i];
    return kept;
}

static ch4_status check(float *top, const ch4_token_pair *pairs, int64_t n, int64_t T, int64_t N, int64_t anchor_slot, ch4_err *err)
{
    *top = 0;
    for (int64_t i = 0; i < n; i++) {
        const ch4_token_pair *p = &pairs[i];
        if (p->slot < 0 || p->slot >= T || p->slot == anchor_slot || p->anchor < 0 || p->anchor >= N || p->token < 0 || p->token >= N)
            return ch4_err_set(err, CH4_EINVAL, "reinforcement: pair %lld: token %d of the anchor with token %d of slot %d", (long long)i, p->anchor, p->token, p->slot);
        if (!(p->confidence > 0) || !isfinite(p->confidence))
            return ch4_err_set(err, CH4_EINVAL, "reinforcement: pair %lld: confidence %g", (long long)i, (double)p->confidence);
        if (i > 0 && (same_place(p, p - 1) || by_place(p, p - 1) < 0))
            return ch4_err_set(err, CH4_EINVAL, "reinforcement: pairs are not merged");
        *top = fmaxf(*top, p->confidence);
    }
    return CH4_OK;
}

/* One entry of the table: query and key are rows of the whole sequence. */
typedef struct entry {
    int64_t query, key;
    float log_gain;
} entry;

static int by_query(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->query != y->query)
        return x->query < y->query ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

static void fill_table(ch4_reinforce *r, entry *e, int64_t n_rows)
{
    qsort(e, (size_t)r->n, sizeof *e, by_query);
    for (int64_t i = 0; i < r->n; i++) {
        r->row[e[i].query + 1]++;
        r->key[i] = (int32_t)e[i].key;
        r->log_gain[i] = e[i].log_gain;
    }
    for (int64_t i = 0; i < n_rows; i++)
        r->row[i + 1] += r->row[i];
    r->gain.table = (ch4_attention_gain){r->row, r->key, r->log_gain};
}

ch4_status ch4_reinforce_create(ch4_reinforce **out, const ch4_token_pair *pairs, int64_t n, int64_t T, int64_t N, int64_t anchor_slot,
                                const ch4_reinforce_options *options, ch4_err *err)
{
    bool anchor_rows = options->rows != CH4_REINFORCE_FRAME_ROWS, frame_rows = options->rows != CH4_REINFORCE_ANCHOR_ROWS;
    int64_t n_entries = n * (anchor_rows + frame_rows), R = N + 1, at = 0;
    ch4_reinforce *r = NULL;
    entry *e = NULL;
    float top;
    *out = NULL;
    ch4_status st = check(&top, pairs, n, T, N, anchor_slot, err);
    if (!st)
        st = ch4_calloc(&r, 1, sizeof *r, "reinforcement", err);
    if (st)
        return st;
    st = ch4_calloc(&e, (size_t)n_entries, sizeof *e, "reinforcement", err);
    if (!st)
        st = ch4_calloc(&r->row, (size_t)(T * R + 1), sizeof *r->row, "reinforcement", err);
    if (!st)
        st = ch4_calloc(&r->key, (size_t)n_entries, sizeof *r->key, "reinforcement", err);
    if (!st)
        st = ch4_calloc(&r->log_gain, (size_t)n_entries, sizeof *r->log_gain, "reinforcement", err);
    for (int64_t i = 0; !st && i < n; i++) {
        int64_t a = anchor_slot * R + 1 + pairs[i].anchor, f = pairs[i].slot * R + 1 + pairs[i].token;
        float gain = (float)log1p(options->lambda * pairs[i].confidence / top);
        if (anchor_rows)
            e[at++] = (entry){a, f, gain};
        if (frame_rows)
            e[at++] = (entry){f, a, gain};
    }
    if (!st) {
        r->n = n_entries;
        memcpy(r->gain.layer, options->layer, sizeof r->gain.layer);
        fill_table(r, e, T * R);
    }
    free(e);
    if (st)
        ch4_reinforce_destroy(&r);
    *out = r;
    return st;
}

void ch4_reinforce_destroy(ch4_reinforce **r)
{
    if (!*r)
        return;
    free((*r)->row);
    free((*r)->key);
    free((*r)->log_gain);
    free(*r);
    *r = NULL;
}

const ch4_denoiser_gain *ch4_reinforce_gain(const ch4_reinforce *r)
{
    return r && r->n ? &r->gain : NULL;
}
