/* The reference's two extractions on shapes whose surface is known: fixed they lie on it, with `reference` they are off by exactly what is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/marching_surface_impl.h"
#include "mesh/octree_surface.h"
#include "tests/support/shapes.h"
#include "tensor/tensor.h"

enum { DEPTH = 7 }; /* 126 cells, 128 samples */

typedef struct ball {
    double sign, radius, scale; /* value = sign * scale * (radius - |p|): sign of the inside */
    int64_t points;
    bool halves;                /* all coordinates are 16-bit numbers */
} ball;

static ch4_status field(void *ctx, float *value, const float *point, int64_t n, ch4_err *err)
{
    (void)err;
    ball *b = ctx;
    b->points += n;
    for (int64_t i = 0; i < n; i++) {
        const float *p = point + 3 * i;
        value[i] = (float)(b->sign * b->scale * (b->radius - sqrt((double)p[0] * p[0] + (double)p[1] * p[1] + (double)p[2] * p[2])));
        for (int k = 0; k < 3; k++)
            b->halves &= ch4_f16_to_f32(ch4_f32_to_f16(p[k])) == p[k];
    }
    return CH4_OK;
}

static ch4_mesh extract(ball *b, ch4_octree_method method, bool reference, int inside, ch4_isosurface_info *info)
{
    ch4_mesh m;
    ch4_err err = {0};
    ch4_octree_options o = ch4_octree_defaults();
    o.method = method;
    o.depth = DEPTH;
    o.reference = reference;
    o.inside = inside;
    b->points = 0;
    b->halves = true;
    if (ch4_octree_surface_extract(&m, info, field, b, &o, &err))
        fail_msg("%s", err.msg);
    assert_true(m.n_face > 1000);
    ch4_test_assert_closed(&m);
    return m;
}

/* Largest distance of a vertex from the ball around (c,c,c). */
static double off(const ch4_mesh *m, double radius, double c)
{
    double top = 0;
    for (int64_t v = 0; v < m->n_vert; v++) {
        const float *p = m->vert + 3 * v;
        top = fmax(top, fabs(sqrt(pow(p[0] - c, 2) + pow(p[1] - c, 2) + pow(p[2] - c, 2)) - radius));
    }
    return top;
}

static double volume(const ch4_mesh *m)
{
    return ch4_mesh_signed_volume(m->vert, m->face, m->n_face);
}

static void fixed_lies_on_the_field_and_points_outward(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2)
        for (int method = 0; method < 2; method++)
            for (int told = 0; told < 2; told++) {
                ball b = {sign, 0.6, 20, 0, false};
                ch4_isosurface_info info;
                ch4_mesh m = extract(&b, (ch4_octree_method)method, false, told ? sign : 0, &info);
                assert_int_equal(info.inside, sign);
                assert_int_equal(info.n_point, b.points);
                assert_false(b.halves);
                assert_true(off(&m, 0.6, 0) < 4e-4);
                assert_true(fabs(volume(&m) - 4.18879 * 0.216) < 2e-3);
                ch4_mesh_fini(&m);
            }
}

static void flash_of_the_reference_is_shrunk_and_shifted(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        ball b = {sign, 0.6, 20, 0, false};
        ch4_mesh m = extract(&b, CH4_OCTREE_FLASH, true, 0, NULL);
        assert_true(off(&m, 0.6, 0) > 0.02);
        assert_true(off(&m, 0.6 * 63 / 64, -1.005 / 64) < 4e-4); /* x' = 0.984375 x - 0.015703 */
        assert_true(volume(&m) * -sign > 0);                     /* towards positive values, whichever side that is */
        assert_true(b.points < 64 * 64 * 64 + 127 * 127 * 127 / 3);
        ch4_mesh_fini(&m);
    }
}

static void hierarchical_of_the_reference_rounds_to_16_bits(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        ball b = {sign, 0.6, 20, 0, false};
        ch4_isosurface_info info;
        ch4_mesh m = extract(&b, CH4_OCTREE_HIERARCHICAL, true, 0, &info);
        assert_int_equal(info.inside, 0);
        assert_true(b.halves);
        assert_true(off(&m, 0.6, 0) < 2e-3 && off(&m, 0.6, 0) > 2e-4); /* rounded coordinates */
        assert_true(volume(&m) * -sign > 0);
        ch4_mesh_fini(&m);
        /* A field so steep that the band (here 9.01 / 3000 wide) slips between the coarse samples is not refined where the reference does it:
         * the surface stays where the coarse samples are, which are misplaced. */
        b.scale = 3000;
        m = extract(&b, CH4_OCTREE_HIERARCHICAL, true, 0, NULL);
        assert_true(off(&m, 0.6, 0) > 1.0 / 128);
        ch4_mesh_fini(&m);
        m = extract(&b, CH4_OCTREE_HIERARCHICAL, false, 0, NULL);
        assert_true(off(&m, 0.6, 0) < 4e-4);
        ch4_mesh_fini(&m);
    }
}

static void surfaces_at_the_cube_are_closed(void **state)
{
    (void)state;
    ch4_octree_options o = ch4_octree_defaults();
    for (int method = 0; method < 2; method++) {
        ball b = {1, 1.2, 5, 0, false}; /* larger than the cube's faces */
        ch4_mesh m;
        o.method = (ch4_octree_method)method;
        o.depth = 6;
        o.inside = 1;
        assert_int_equal(ch4_octree_surface_extract(&m, NULL, field, &b, &o, NULL), CH4_OK);
        ch4_test_assert_closed(&m);
        for (int64_t i = 0; i < 3 * m.n_vert; i++)
            assert_true(fabsf(m.vert[i]) <= 1.005001f);
        assert_true(volume(&m) > 6);
        ch4_mesh_fini(&m);
    }
    o.depth = 3;
    assert_int_equal(ch4_octree_surface_extract(&(ch4_mesh){0}, NULL, field, NULL, &o, NULL), CH4_EINVAL);
}

/* A torus on 33^3 samples: numbers of vertices and faces and their mean from a marching cubes of others (Lewiner's). */
static void marching_cubes_of_a_torus(void **state)
{
    (void)state;
    enum { N = 33 };
    static float value[N * N * N];
    ch4_mesh m;
    double mean[3] = {0};
    for (int i = 0; i < N * N * N; i++) {
        double h = 2.02 / (N - 1), x = i % N * h - 1.01 - 0.07, y = i / N % N * h - 1.01 + 0.04, z = i / N / N * h - 1.01 - 0.11;
        value[i] = (float)(-11 * (0.21 - hypot(hypot(x, y) - 0.5, z)));
    }
    dual_grid grid = {.value = value, .dim = {N, N, N}, .origin = {-1.01, -1.01, -1.01}, .spacing = 2.02 / (N - 1)};
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(marching_surface_extract(&m, &grid, NULL), CH4_OK);
        ch4_test_assert_closed(&m);
        assert_int_equal(m.n_vert, 1550);
        assert_int_equal(m.n_face, 3100);
        assert_true(fabs(volume(&m) / (2 * M_PI * M_PI * 0.5 * 0.21 * 0.21) - 1) < 0.03);
        ch4_mesh_fini(&m);
        for (int i = 0; i < N * N * N; i++) /* what is far from the surface need not be known */
            if (fabsf(value[i]) > 2)
                value[i] = NAN;
    }
    assert_int_equal(marching_surface_extract(&m, &grid, NULL), CH4_OK);
    for (int64_t i = 0; i < 3 * m.n_vert; i++)
        mean[i % 3] += m.vert[i] / (double)m.n_vert;
    assert_true(fabs(mean[0] - 0.0690668448805809) < 1e-6 && fabs(mean[1] + 0.03738980367779732) < 1e-6 && fabs(mean[2] - 0.11920712143182755) < 1e-6);
    ch4_mesh_fini(&m);
}

/* As many triangles run along an edge one way as the other. (In an ambiguous cell a fan may run along an edge of a face twice.) */
static void assert_no_border(const ch4_mesh *m)
{
    for (int64_t i = 0; i < 3 * m->n_face; i++) {
        int32_t a = m->face[i], b = m->face[i / 3 * 3 + (i + 1) % 3];
        int balance = 0;
        for (int64_t j = 0; j < 3 * m->n_face; j++) {
            int32_t c = m->face[j], d = m->face[j / 3 * 3 + (j + 1) % 3];
            balance += (a == c && b == d) - (a == d && b == c);
        }
        assert_int_equal(balance, 0);
    }
}

/* Every pattern of inside corners of two neighbouring cells gives a surface without a border. */
static void every_cell_agrees_with_its_neighbour(void **state)
{
    (void)state;
    for (int pattern = 0; pattern < 1 << 12; pattern++)
        for (int d = 0; d < 3; d++) {
            float value[5 * 5 * 5];
            for (int i = 0; i < 125; i++)
                value[i] = 1;
            for (int c = 0; c < 12; c++) {
                int p[3];
                p[d] = 1 + c / 4;
                p[(d + 1) % 3] = 1 + c % 2;
                p[(d + 2) % 3] = 1 + c / 2 % 2;
                value[(p[2] * 5 + p[1]) * 5 + p[0]] = pattern >> c & 1 ? -1.0f : 1.0f;
            }
            dual_grid grid = {.value = value, .dim = {5, 5, 5}, .spacing = 1};
            ch4_mesh m;
            assert_int_equal(marching_surface_extract(&m, &grid, NULL), CH4_OK);
            assert_no_border(&m);
            assert_true(pattern == 0 ? m.n_face == 0 : volume(&m) > 0);
            ch4_mesh_fini(&m);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_lies_on_the_field_and_points_outward),
        cmocka_unit_test(flash_of_the_reference_is_shrunk_and_shifted),
        cmocka_unit_test(hierarchical_of_the_reference_rounds_to_16_bits),
        cmocka_unit_test(surfaces_at_the_cube_are_closed),
        cmocka_unit_test(marching_cubes_of_a_torus),
        cmocka_unit_test(every_cell_agrees_with_its_neighbour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
