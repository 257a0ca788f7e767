#include "model/assignment.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

typedef struct search {
    double *u, *v;        /* prices of rows and columns, [n+1]; index 0 is the free row and column */
    double *reach;        /* [n+1] least reduced cost of a path to each column */
    int64_t *row, *from;  /* [n+1] row that holds a column; previous column on the path to it */
    bool *done;           /* [n+1] */
} search;

/* Finds the cheapest path from row i (1-based) to a free column and flips it. */
static void augment(search *s, const double *cost, int64_t n, int64_t i)
{
    int64_t column = 0;
    s->row[0] = i;
    for (int64_t j = 0; j <= n; j++) {
        s->reach[j] = INFINITY;
        s->done[j] = false;
    }
    while (s->row[column] != 0) {
        int64_t r = s->row[column], next = 0;
        double step = INFINITY;
        s->done[column] = true;
        for (int64_t j = 1; j <= n; j++) {
            if (s->done[j])
                continue;
            double c = cost[(r - 1) * n + j - 1] - s->u[r] - s->v[j];
            if (c < s->reach[j]) {
                s->reach[j] = c;
                s->from[j] = column;
            }
            if (s->reach[j] < step) {
                step = s->reach[j];
                next = j;
            }
        }
        for (int64_t j = 0; j <= n; j++) {
            if (s->done[j]) {
                s->u[s->row[j]] += step;
                s->v[j] -= step;
            } else {
                s->reach[j] -= step;
            }
        }
        column = next;
    }
    while (column != 0) {
        int64_t previous = s->from[column];
        s->row[column] = s->row[previous];
        column = previous;
    }
}

ch4_status ch4_assign(int64_t *column, const double *cost, int64_t n, ch4_err *err)
{
    for (int64_t i = 0; i < n * n; i++)
        if (!isfinite(cost[i]))
            return ch4_err_set(err, CH4_EINVAL, "assignment: cost is not finite");
    search s = {0};
    size_t m = (size_t)n + 1;
    ch4_status st = ch4_calloc(&s.u, m, sizeof *s.u, "assignment", err);
    if (!st)
        st = ch4_calloc(&s.v, m, sizeof *s.v, "assignment", err);
    if (!st)
        st = ch4_calloc(&s.reach, m, sizeof *s.reach, "assignment", err);
    if (!st)
        st = ch4_calloc(&s.row, m, sizeof *s.row, "assignment", err);
    if (!st)
        st = ch4_calloc(&s.from, m, sizeof *s.from, "assignment", err);
    if (!st)
        st = ch4_calloc(&s.done, m, sizeof *s.done, "assignment", err);
    for (int64_t i = 1; !st && i <= n; i++)
        augment(&s, cost, n, i);
    for (int64_t j = 1; !st && j <= n; j++)
        column[s.row[j] - 1] = j - 1;
    free(s.u);
    free(s.v);
    free(s.reach);
    free(s.row);
    free(s.from);
    free(s.done);
    return st;
}

ch4_status ch4_assign_noise(float *out, const float *noise, const float *tokens, int64_t N, int64_t d, ch4_err *err)
{
    double *cost = NULL;
    int64_t *column = NULL;
    ch4_status st = ch4_calloc(&cost, (size_t)(N * N), sizeof *cost, "noise assignment", err);
    if (!st)
        st = ch4_calloc(&column, (size_t)N, sizeof *column, "noise assignment", err);
    for (int64_t i = 0; !st && i < N; i++)
        for (int64_t j = 0; j < N; j++)
            for (int64_t k = 0; k < d; k++) {
                double x = (double)tokens[i * d + k] - noise[j * d + k];
                cost[i * N + j] += x * x;
            }
    if (!st)
        st = ch4_assign(column, cost, N, err);
    for (int64_t i = 0; !st && i < N; i++)
        memcpy(out + i * d, noise + column[i] * d, (size_t)d * sizeof *out);
    free(cost);
    free(column);
    return st;
}
