#include "shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ch4_mesh make(int64_t n_vert, int64_t n_face)
{
    ch4_mesh m;
    assert_int_equal(ch4_mesh_init(&m, n_vert, n_face, NULL), CH4_OK);
    return m;
}

ch4_mesh ch4_test_sphere(int n, double radius, double x)
{
    int per_sheet = (n + 1) * (n + 2) / 2;
    ch4_mesh m = make(8 * per_sheet, 8 * (int64_t)n * n);
    int64_t v = 0, f = 0;
    for (int o = 0; o < 8; o++) {
        int sx = o & 1 ? -1 : 1, sy = o & 2 ? -1 : 1, sz = o & 4 ? -1 : 1;
        int64_t first = v;
        for (int j = 0; j <= n; j++)
            for (int i = 0; i + j <= n; i++, v++) {
                double a = i, b = j, c = n - i - j, len = sqrt(a * a + b * b + c * c);
                m.vert[3 * v] = (float)(x + sx * radius * a / len);
                m.vert[3 * v + 1] = (float)(sy * radius * b / len);
                m.vert[3 * v + 2] = (float)(sz * radius * c / len);
            }
        for (int j = 0, row = 0; j < n; row += n + 1 - j, j++)
            for (int i = 0; i + j < n; i++) {
                int64_t p = first + row + i, q = p + 1, r = p + n + 1 - j, s = r + 1;
                int flip = sx * sy * sz < 0;
                int32_t up[3] = {(int32_t)p, (int32_t)(flip ? r : q), (int32_t)(flip ? q : r)};
                memcpy(m.face + 3 * f++, up, sizeof up);
                if (i + j + 1 < n) {
                    int32_t down[3] = {(int32_t)q, (int32_t)(flip ? r : s), (int32_t)(flip ? s : r)};
                    memcpy(m.face + 3 * f++, down, sizeof down);
                }
            }
    }
    assert_int_equal(f, m.n_face);
    return m;
}

ch4_mesh ch4_test_plane(int nx, int ny, double h)
{
    ch4_mesh m = make((int64_t)(nx + 1) * (ny + 1), 2 * (int64_t)nx * ny);
    for (int j = 0, v = 0; j <= ny; j++)
        for (int i = 0; i <= nx; i++, v++) {
            m.vert[3 * v] = (float)(h * i);
            m.vert[3 * v + 1] = (float)(h * j);
        }
    for (int j = 0, f = 0; j < ny; j++)
        for (int i = 0; i < nx; i++, f += 2) {
            int32_t a = j * (nx + 1) + i, t[6] = {a, a + 1, a + nx + 2, a, a + nx + 2, a + nx + 1};
            memcpy(m.face + 3 * f, t, sizeof t);
        }
    return m;
}

ch4_mesh ch4_test_join(const ch4_mesh *a, const ch4_mesh *b)
{
    ch4_mesh m = make(a->n_vert + b->n_vert, a->n_face + b->n_face);
    memcpy(m.vert, a->vert, 3 * (size_t)a->n_vert * sizeof *m.vert);
    memcpy(m.vert + 3 * a->n_vert, b->vert, 3 * (size_t)b->n_vert * sizeof *m.vert);
    memcpy(m.face, a->face, 3 * (size_t)a->n_face * sizeof *m.face);
    for (int64_t i = 0; i < 3 * b->n_face; i++)
        m.face[3 * a->n_face + i] = b->face[i] + (int32_t)a->n_vert;
    return m;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void ch4_test_assert_closed(const ch4_mesh *m)
{
    int64_t n = 3 * m->n_face;
    int64_t *edge = malloc((size_t)n * sizeof *edge + 1), *back = malloc((size_t)n * sizeof *back + 1);
    assert_true(edge && back);
    for (int64_t i = 0; i < n; i++) {
        int64_t a = m->face[i], b = m->face[i % 3 == 2 ? i - 2 : i + 1];
        assert_true(a != b && a >= 0 && a < m->n_vert);
        edge[i] = a << 32 | b;
        back[i] = b << 32 | a;
    }
    qsort(edge, (size_t)n, sizeof *edge, by_value);
    qsort(back, (size_t)n, sizeof *back, by_value);
    for (int64_t i = 0; i < n; i++) {
        assert_true(i == 0 || edge[i] != edge[i - 1]);
        assert_true(edge[i] == back[i]);
    }
    free(edge);
    free(back);
}
