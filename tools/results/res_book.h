/* The scores of a bench-truth: the CSV tables that chain4d-eval left in SCORE/CASE, as values by clip. */
#ifndef CH4_RES_BOOK_H
#define CH4_RES_BOOK_H

#include "base/base.h"

typedef struct ch4_res_table {
    char *path, *text;
    int64_t n_row, n_column; /* without the header */
    char **cell;             /* [n_row + 1, n_column], header first, into text */
} ch4_res_table;

typedef struct ch4_res_book {
    const char *folder;
    ch4_res_table *table; /* [n] read so far */
    int64_t n;
} ch4_res_book;

void ch4_res_book_close(ch4_res_book *book);

/* Values of one column, one per clip, in the order of the file; NAN where a clip has none. Free x and name with ch4_res_values_fini. */
typedef struct ch4_res_values {
    int64_t n;
    double *x;
    const char **name; /* clips; the strings belong to the book */
} ch4_res_values;

void ch4_res_values_fini(ch4_res_values *values);

/* Rows of folder/case_name/file.csv whose column `method` is method (NULL: all rows). CH4_ENOENT, CH4_EFORMAT name file and column; a method without rows
 * gives n = 0. */
ch4_status ch4_res_get(ch4_res_values *out, ch4_res_book *book, const char *case_name, const char *file, const char *method, const char *column, ch4_err *err);

/* Over the values that are numbers: their number n, mean, standard error of the mean (NAN for n < 2); mean NAN for n = 0. */
typedef struct ch4_res_mean {
    int64_t n;
    double mean, se;
} ch4_res_mean;

ch4_res_mean ch4_res_average(const double *x, int64_t n);

#endif
