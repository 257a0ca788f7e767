/* docs/results.md and its plots from the scores of a bench-truth. What is written depends on the scores and the three strings alone. */
#ifndef CH4_RES_PAGE_H
#define CH4_RES_PAGE_H

#include <stdio.h>

#include "tools/results/res_book.h"

typedef struct ch4_res_request {
    const char *scores;   /* folder of cases */
    const char *page;     /* results.md */
    const char *plots;    /* folder */
    const char *figures;  /* file of the figures that a test compares with; NULL: none */
    const char *commit, *machine, *model; /* model: folder */
} ch4_res_request;

/* A writer of the page: the first error stays and everything after it is skipped. */
typedef struct ch4_res_page {
    FILE *out;
    ch4_res_book book;
    const ch4_res_request *request;
    char weights[80]; /* checksum of the model's weights, from model.yaml */
    char supervised[256]; /* "layer 3 head 0, layer 4 head 0": heads that saw an alignment loss in training; empty: none */
    char missing[512];    /* cases that were not run: their numbers are dashes, and the page says so */
    ch4_status status;
    ch4_err *err;
} ch4_res_page;

/* Page, plots and figures. CH4_ENOENT: a case is missing; CH4_EIO. */
ch4_status ch4_res_write(const ch4_res_request *request, ch4_err *err);

/* --- res_page.c: pieces ---------------------------------------------------------------------------------------------------------------------- */

/* Values by clip as of ch4_res_get; n = 0 after an error and for a case that was not run. Free with ch4_res_values_fini. */
ch4_res_values ch4_res_values_of(ch4_res_page *p, const char *case_name, const char *file, const char *method, const char *column);

/* The page will say that this case was not run. */
void ch4_res_note_missing(ch4_res_page *p, const char *case_name);

/* Mean over clips; {0, NAN, NAN} where there are no values. */
ch4_res_mean ch4_res_mean_of(ch4_res_page *p, const char *case_name, const char *file, const char *method, const char *column);

/* "0.1234 ± 0.0012", "0.1234" for one clip, "–" for none. */
void ch4_res_put(ch4_res_page *p, ch4_res_mean m, int digits);

/* A row of a table: label, then the mean of each of the n columns. */
void ch4_res_row(ch4_res_page *p, const char *label, const char *case_name, const char *file, const char *method, const char *const *column, int n, int digits);

/* Volume IoU of the frames that were generated where the first one was given: at least this, for the score is the mean of 16 frames and the first is at most 1. */
double ch4_res_generated_iou(ch4_res_page *p, const char *case_name);

/* "creature_s2000000 to creature_s2000063, 64 clips, 1 failed" */
void ch4_res_clips(ch4_res_page *p, const char *case_name);

/* --- the parts --------------------------------------------------------------------------------------------------------------------------------- */

void ch4_res_write_verdicts(ch4_res_page *p);  /* res_verdict.c */
void ch4_res_write_creatures(ch4_res_page *p); /* res_tables.c */
void ch4_res_write_minibench(ch4_res_page *p);
void ch4_res_write_steps(ch4_res_page *p);     /* res_ablation.c */
void ch4_res_write_parts(ch4_res_page *p);
void ch4_res_write_heads(ch4_res_page *p);     /* res_heads.c */
void ch4_res_write_figures(ch4_res_page *p);   /* res_figures.c */

/* Steps that the ablation runs. */
enum { CH4_RES_STEPS = 7 };
extern const int ch4_res_steps[CH4_RES_STEPS];

#endif
