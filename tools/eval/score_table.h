/* Scores of one family of metrics: for each clip, what the result and every trivial prediction beside it reach in each column; as text, CSV, JSON and
 * bars (PNG). Knows nothing of what the scores mean. */
#ifndef CH4_EVAL_SCORE_TABLE_H
#define CH4_EVAL_SCORE_TABLE_H

#include <stdio.h>

#include "base/base.h"

typedef struct ch4_score_column {
    const char *key;   /* in files */
    const char *title; /* in the text table, at most 8 characters */
    int digits;        /* behind the point there */
    const char *plot;  /* label of the axis of a plot of bars; NULL: none */
} ch4_score_column;

typedef struct ch4_score_clip {
    char *name;
    ch4_status status; /* of the result; the trivial predictions may be there all the same */
    char reason[CH4_ERR_MSG];
    bool missing;      /* there is no result for this clip */
    char note[48];     /* how the result was scored, such as its alignment; may be empty */
} ch4_score_clip;

/* What a family says once. Text is borrowed. */
typedef struct ch4_score_family {
    const char *key;   /* stem of the files */
    const char *about; /* printed above the table */
    const char *note;  /* column of the note in files */
    const ch4_score_column *column;
    int n_column;
    const char *const *method; /* method 0 is the result */
    int n_method;
    int fallback;      /* the method that stands for a result that failed, in a mean of its own; 0: none */
} ch4_score_family;

typedef struct ch4_score_table {
    const ch4_score_family *family;
    ch4_score_clip *clip; /* [n_clip] */
    int64_t n_clip;
    double *value;        /* [n_clip, n_method, n_column], NAN where there is none */
} ch4_score_table;

/* All values NAN. CH4_ENOMEM. Free with fini, also after an error. */
ch4_status ch4_score_table_init(ch4_score_table *out, const ch4_score_family *family, int64_t n_clip, ch4_err *err);
void       ch4_score_table_fini(ch4_score_table *table);

/* Takes a copy of the name. */
ch4_status ch4_score_clip_name(ch4_score_table *table, int64_t clip, const char *name, ch4_err *err);
/* Status and text of err; the values of method 0 become NAN. */
void       ch4_score_clip_fail(ch4_score_table *table, int64_t clip, ch4_status status, const ch4_err *err);

double *ch4_score_at(const ch4_score_table *table, int64_t clip, int method); /* [n_column] */
bool    ch4_score_has(const ch4_score_table *table, int method);              /* any value at all */
int64_t ch4_score_failed(const ch4_score_table *table);

/* Mean over the clips that have the value, their number and the standard deviation (n - 1; may be NULL); NAN without any. as_fallback: clips whose result failed
 * count with the family's fallback. */
double ch4_score_mean(int64_t *n, double *deviation, const ch4_score_table *table, int method, int column, bool as_fallback);

/* Rows of clips, then means, as text; failures with their reasons. */
void ch4_score_print(FILE *out, const ch4_score_table *table);

/* folder/<key>.csv (a row per clip and method), <key>.json (means, deviations, clips) and <key>_<column>.png for the columns that have a plot. The folder
 * is made if it is not there. */
ch4_status ch4_score_save(const char *folder, const ch4_score_table *table, ch4_err *err);

/* Pieces of files that other reports use too. */
void       ch4_csv_number(FILE *f, double x);          /* ",value", nothing behind the comma for NAN */
void       ch4_csv_text(FILE *f, const char *text);    /* ",text", quoted where needed */
ch4_status ch4_report_open(FILE **out, char path[4096], const char *folder, const char *name, ch4_err *err); /* makes the folder */
ch4_status ch4_report_close(FILE **f, const char *path, ch4_status before, ch4_err *err);                    /* keeps an earlier error */

#endif
