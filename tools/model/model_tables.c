#include "tools/model/model_tables.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "model/denoiser.h"
#include "model/image_encoder.h"
#include "model/matting.h"
#include "model/temporal_decoder.h"
#include "model/vae.h"

enum { NAME = 128, INDICES = 128, MAX_RANK = 4, N_NETWORKS = 6 };

/* Tensors whose names differ in one number: before # after. */
typedef struct row {
    char before[NAME], after[NAME];
    bool numbered;
    int rank, n;
    int64_t shape[MAX_RANK];
    int index[INDICES];
} row;

typedef struct listing {
    row *rows;
    int64_t n, room;
    bool matrices_only; /* vectors are left to the text above the table */
    bool failed;
} listing;

/* The number is that of a block, a layer or a convolution of a small U-net. */
static void split(row *r, int *index, const char *name)
{
    static const char *const counted[] = {"blocks.", "layer.", "rebnconv"};
    const char *at = NULL;
    for (size_t i = 0; !at && i < sizeof counted / sizeof *counted; i++)
        if ((at = strstr(name, counted[i])))
            at = isdigit((unsigned char)at[strlen(counted[i])]) ? at + strlen(counted[i]) : NULL;
    r->numbered = at != NULL;
    if (!at)
        at = name + strlen(name);
    char *end = (char *)(uintptr_t)at;
    *index = r->numbered ? (int)strtol(at, &end, 10) : 0;
    snprintf(r->before, sizeof r->before, "%.*s", (int)(at - name), name);
    snprintf(r->after, sizeof r->after, "%s", end);
}

static void add(void *ctx, const char *name, int rank, const int64_t *shape)
{
    listing *l = ctx;
    row r = {.rank = rank};
    int index;
    if (l->failed || (l->matrices_only && rank < 2))
        return;
    split(&r, &index, name);
    for (int d = 0; d < rank; d++)
        r.shape[d] = shape[d];
    row *same = NULL;
    for (int64_t i = 0; !same && i < l->n; i++) {
        row *o = &l->rows[i];
        if (r.numbered && o->numbered && o->rank == rank && strcmp(o->before, r.before) == 0 && strcmp(o->after, r.after) == 0 &&
            memcmp(o->shape, r.shape, sizeof r.shape) == 0)
            same = o;
    }
    if (!same) {
        if (l->n == l->room) {
            int64_t room = l->room ? 2 * l->room : 64;
            row *p = realloc(l->rows, (size_t)room * sizeof *p);
            l->failed = !p;
            if (!p)
                return;
            l->rows = p;
            l->room = room;
        }
        same = &l->rows[l->n++];
        *same = r;
    }
    if (same->n < INDICES)
        same->index[same->n++] = index;
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void print_row(FILE *out, row *r)
{
    fprintf(out, "| `%s", r->before);
    qsort(r->index, (size_t)r->n, sizeof *r->index, ascending);
    if (r->numbered && r->n == 1)
        fprintf(out, "%d", r->index[0]);
    for (int i = 0; r->numbered && r->n > 1 && i < r->n;) {
        int last = i;
        while (last + 1 < r->n && r->index[last + 1] == r->index[last] + 1)
            last++;
        fprintf(out, "%s%d", i ? "," : "{", r->index[i]);
        if (last > i)
            fprintf(out, "..%d", r->index[last]);
        i = last + 1;
        if (i == r->n)
            fputc('}', out);
    }
    fprintf(out, "%s` | [", r->after);
    for (int d = 0; d < r->rank; d++)
        fprintf(out, "%s%" PRId64, d ? "," : "", r->shape[d]);
    fprintf(out, "] |\n");
}

/* --- the networks --------------------------------------------------------------------------------------------------------------- */

static ch4_status survey_temporal(ch4_weights_report *r, const json_t *none, ch4_err *err)
{
    ch4_denoiser_config c;
    ch4_status st = ch4_denoiser_config_parse(&c, CH4_DENOISER_TEMPORAL, none, err);
    return st ? st : ch4_denoiser_survey(&c, NULL, NULL, r, err);
}

static ch4_status survey_image_to_3d(ch4_weights_report *r, const json_t *none, ch4_err *err)
{
    ch4_denoiser_config c;
    ch4_status st = ch4_denoiser_config_parse(&c, CH4_DENOISER_IMAGE, none, err);
    return st ? st : ch4_denoiser_survey(&c, NULL, NULL, r, err);
}

static ch4_status survey_vae(ch4_weights_report *r, const json_t *none, ch4_err *err)
{
    ch4_vae_config c;
    ch4_status st = ch4_vae_config_parse(&c, none, err);
    return st ? st : ch4_vae_survey(&c, NULL, CH4_VAE_BOTH, r, err);
}

static ch4_status survey_temporal_decoder(ch4_weights_report *r, const json_t *none, ch4_err *err)
{
    ch4_temporal_decoder_config c;
    ch4_status st = ch4_temporal_decoder_config_parse(&c, none, err);
    return st ? st : ch4_temporal_decoder_survey(&c, NULL, r, err);
}

static ch4_status survey_image_encoder(ch4_weights_report *r, const json_t *none, ch4_err *err)
{
    ch4_image_encoder_config c;
    ch4_status st = ch4_image_encoder_config_parse(&c, none, err);
    return st ? st : ch4_image_encoder_survey(&c, NULL, r, err);
}

static ch4_status survey_matting(ch4_weights_report *r, const json_t *none, ch4_err *err)
{
    (void)none;
    return ch4_matting_survey(NULL, r, err);
}

static const struct {
    const char *title, *from, *note;
    ch4_status (*survey)(ch4_weights_report *r, const json_t *none, ch4_err *err);
    bool matrices_only;
} networks[N_NETWORKS] = {
    {"Temporal denoiser", "facebook/ActionMesh, `denoiser/`", "Names may carry the component `_orig_mod.`, which is dropped.", survey_temporal, false},
    {"Image-to-3D transformer", "VAST-AI/TripoSG, `transformer/`", "", survey_image_to_3d, false},
    {"Shape autoencoder", "VAST-AI/TripoSG, `vae/`", "", survey_vae, false},
    {"Temporal autoencoder", "facebook/ActionMesh, `autoencoder/`", "", survey_temporal_decoder, false},
    {"Image encoder", "facebook/dinov2-large", "`embeddings.mask_token` is in the file and not used.", survey_image_encoder, false},
    {"Background remover", "briaai/RMBG-1.4",
     "Convolution kernels only. Each of them has a bias of its first size; those called `conv_s1` are followed by a batch norm `bn_s1`: weight, bias, "
     "running_mean and running_var of that size, and a counter num_batches_tracked (I64, no dimension). `side2` to `side6` serve training.",
     survey_matting, true},
};

static ch4_status survey(int which, listing *l, ch4_weights_report *report, ch4_err *err)
{
    json_t *none = json_object();
    *report = (ch4_weights_report){.tensor = add, .ctx = l};
    *l = (listing){.matrices_only = networks[which].matrices_only};
    ch4_status st = none ? networks[which].survey(report, none, err) : ch4_err_set(err, CH4_ENOMEM, "tensor tables: out of memory");
    json_decref(none);
    return !st && l->failed ? ch4_err_set(err, CH4_ENOMEM, "tensor tables: out of memory") : st;
}

ch4_status ch4_model_tables_print(FILE *out, ch4_err *err)
{
    ch4_status st = CH4_OK;
    fprintf(out, "# Tensors\n\n"
                 "Every tensor of the published networks, as the loaders of lib/model ask for it: the output of `chain4d model tables`, which walks through the\n"
                 "calls that load a network (tests/cli/test_model_tables.sh compares). The sizes are those of the published configurations; other sizes come from\n"
                 "config.json. The files hold F32; F16 and BF16 are accepted. A tensor that is missing, is not listed or has another shape is an error that\n"
                 "names it and its file. What the networks compute: [model.md](model.md).\n");
    for (int i = 0; !st && i < N_NETWORKS; i++) {
        listing l;
        ch4_weights_report r;
        st = survey(i, &l, &r, err);
        if (!st) {
            fprintf(out, "\n## %s\n\n%s. %" PRId64 " tensors, %" PRId64 " values.%s%s\n\n| name | shape |\n|---|---|\n", networks[i].title, networks[i].from, r.tensors,
                    r.parameters, networks[i].note[0] ? " " : "", networks[i].note);
            for (int64_t k = 0; k < l.n; k++)
                print_row(out, &l.rows[k]);
        }
        free(l.rows);
    }
    return st;
}
