#include "tools/results/res_book.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tables -------------------------------------------------------------------------------------------------------------------------------- */

static ch4_status read_all(char **text, const char *path, ch4_err *err)
{
    FILE *f = fopen(path, "rbe");
    long size = -1;
    if (!f) return ch4_err_set_errno(err, errno, "%s", path);
    if (fseek(f, 0, SEEK_END) == 0) size = ftell(f);
    rewind(f);
    ch4_status st = size < 0 ? ch4_err_set_errno(err, errno, "%s", path) : ch4_calloc(text, (size_t)size + 1, 1, path, err);
    if (!st && fread(*text, 1, (size_t)size, f) != (size_t)size) st = ch4_err_set(err, CH4_EIO, "%s: short read", path);
    fclose(f);
    return st;
}

/* Ends the cell at p with a zero and takes quotes away; returns where the next one begins. *last: it was the last of its line. */
static char *cut_cell(char **cell, char *p, bool *last)
{
    char *to = p;
    bool quoted = *p == '"';
    *cell = p;
    p += quoted;
    while (*p && (quoted || (*p != ',' && *p != '\n'))) {
        if (quoted && *p == '"') {
            quoted = p[1] == '"';
            p += 1 + !quoted;
            if (!quoted) {
                p--;
                continue;
            }
        }
        *to++ = *p++;
    }
    *last = *p != ',';
    char *next = *p ? p + 1 : p;
    *to = '\0';
    return next;
}

static ch4_status cut(ch4_res_table *t, ch4_err *err)
{
    int64_t lines = 0, columns = 1;
    for (const char *p = t->text; *p; p++) lines += *p == '\n';
    for (const char *p = t->text; *p && *p != '\n'; p++) columns += *p == ',';
    ch4_status st = lines < 1 ? ch4_err_set(err, CH4_EFORMAT, "%s: no header", t->path) : ch4_calloc(&t->cell, (size_t)(lines * columns), sizeof(char *), t->path, err);
    char *p = t->text;
    t->n_column = columns;
    for (int64_t row = 0; !st && *p; row++, t->n_row = row - 1) {
        bool last = false;
        for (int64_t k = 0; !st && !last; k++) {
            char *cell;
            if (k == columns || row == lines) st = ch4_err_set(err, CH4_EFORMAT, "%s: line %lld has more cells than the header", t->path, (long long)row + 1);
            else {
                p = cut_cell(&cell, p, &last);
                t->cell[row * columns + k] = cell;
                if (last && k != columns - 1) st = ch4_err_set(err, CH4_EFORMAT, "%s: line %lld has fewer cells than the header", t->path, (long long)row + 1);
            }
        }
    }
    return st;
}

static void close_table(ch4_res_table *t)
{
    free(t->path);
    free(t->text);
    free(t->cell);
    *t = (ch4_res_table){0};
}

static ch4_status open_table(ch4_res_table **out, ch4_res_book *book, const char *path, ch4_err *err)
{
    ch4_res_table t = {0}, *more;
    for (int64_t i = 0; i < book->n; i++)
        if (!strcmp(book->table[i].path, path)) return *out = &book->table[i], CH4_OK;
    t.path = strdup(path);
    ch4_status st = t.path ? read_all(&t.text, path, err) : ch4_err_set(err, CH4_ENOMEM, "%s", path);
    if (!st) st = cut(&t, err);
    if (!st && !(more = realloc(book->table, (size_t)(book->n + 1) * sizeof(*more)))) st = ch4_err_set(err, CH4_ENOMEM, "%s", path);
    if (st) return close_table(&t), st;
    book->table = more;
    book->table[book->n] = t;
    *out = &book->table[book->n++];
    return CH4_OK;
}

void ch4_res_book_close(ch4_res_book *book)
{
    for (int64_t i = 0; i < book->n; i++) close_table(&book->table[i]);
    free(book->table);
    *book = (ch4_res_book){0};
}

static int64_t column_of(const ch4_res_table *t, const char *name)
{
    for (int64_t k = 0; k < t->n_column; k++)
        if (!strcmp(t->cell[k], name)) return k;
    return -1;
}

/* --- values -------------------------------------------------------------------------------------------------------------------------------- */

void ch4_res_values_fini(ch4_res_values *v)
{
    free(v->x);
    free(v->name);
    *v = (ch4_res_values){0};
}

ch4_status ch4_res_get(ch4_res_values *out, ch4_res_book *book, const char *case_name, const char *file, const char *method, const char *column, ch4_err *err)
{
    char path[4096];
    ch4_res_table *t = NULL;
    *out = (ch4_res_values){0};
    snprintf(path, sizeof(path), "%s/%s/%s.csv", book->folder, case_name, file);
    ch4_status st = open_table(&t, book, path, err);
    if (st) return st;
    int64_t clip = column_of(t, "clip"), which = method ? column_of(t, "method") : 0, value = column_of(t, column);
    if (clip < 0 || which < 0 || value < 0) return ch4_err_set(err, CH4_EFORMAT, "%s: no column clip, method or %s", path, column);
    st = ch4_calloc(&out->x, (size_t)t->n_row + 1, sizeof(double), path, err);
    if (!st) st = ch4_calloc(&out->name, (size_t)t->n_row + 1, sizeof(char *), path, err);
    for (int64_t row = 1; !st && row <= t->n_row; row++) {
        char **cell = t->cell + row * t->n_column, *end;
        if (method && strcmp(cell[which], method)) continue;
        double x = strtod(cell[value], &end);
        out->name[out->n] = cell[clip];
        out->x[out->n++] = end == cell[value] ? (double)NAN : x;
    }
    if (st) ch4_res_values_fini(out);
    return st;
}

ch4_res_mean ch4_res_average(const double *x, int64_t n)
{
    ch4_res_mean m = {0, 0, 0};
    double square = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i])) m.mean += x[i], m.n++;
    m.mean = m.n ? m.mean / (double)m.n : (double)NAN;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i])) square += (x[i] - m.mean) * (x[i] - m.mean);
    m.se = m.n > 1 ? sqrt(square / (double)(m.n - 1) / (double)m.n) : (double)NAN;
    return m;
}
