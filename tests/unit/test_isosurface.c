#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "mesh/isosurface.h"
#include "tests/support/shapes.h"

typedef struct shape {
    enum { BALL, TWO_BALLS, BALL_AND_ROD, TORUS, ALL_INSIDE, ALL_OUTSIDE, HALF, SPIKE, BROKEN } kind;
    double sign; /* of the inside */
    int64_t calls, points, largest;
} shape;

static double distance(const shape *s, double x, double y, double z)
{
    double ball = sqrt(x * x + y * y + z * z);
    switch (s->kind) {
    case BALL: return ball - 0.613;
    case TWO_BALLS: return fmin(hypot(hypot(x - 0.5, y), z), hypot(hypot(x + 0.5, y), z)) - 0.31;
    case BALL_AND_ROD: return fmin(ball - 0.4, fmax(hypot(y - 0.013, z - 0.011) - 0.03, fabs(x) - 0.9)); /* rod thinner than a coarse cell */
    case TORUS: return hypot(hypot(x, y) - 0.6, z) - 0.2;
    case ALL_INSIDE: return -1;
    case ALL_OUTSIDE: return 1;
    case HALF: return x - 0.2;
    case SPIKE: return hypot(hypot(x - 0.063, y - 0.063), z - 0.063) - 0.05; /* between the samples of the coarsest grid */
    case BROKEN: return NAN;
    }
    return 0;
}

static ch4_status field(void *ctx, float *value, const float *point, int64_t n, ch4_err *err)
{
    shape *s = ctx;
    s->calls++;
    s->points += n;
    s->largest = n > s->largest ? n : s->largest;
    for (int64_t i = 0; i < n; i++)
        value[i] = (float)(-s->sign * distance(s, point[3 * i], point[3 * i + 1], point[3 * i + 2]));
    return s->calls > 1000000 ? ch4_err_set(err, CH4_EINTERNAL, "too many calls") : CH4_OK;
}

static ch4_mesh extract(shape *s, const ch4_isosurface_options *opt, ch4_isosurface_info *info)
{
    ch4_mesh m;
    ch4_err err = {0};
    assert_int_equal(ch4_isosurface_extract(&m, info, field, s, opt, &err), CH4_OK);
    ch4_test_assert_closed(&m);
    return m;
}

static double farthest_from_surface(const shape *s, const ch4_mesh *m)
{
    double top = 0;
    for (int64_t v = 0; v < m->n_vert; v++)
        top = fmax(top, fabs(distance(s, m->vert[3 * v], m->vert[3 * v + 1], m->vert[3 * v + 2])));
    return top;
}

static void sphere_of_either_sign(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        shape s = {.kind = BALL, .sign = sign};
        ch4_isosurface_options opt = ch4_isosurface_defaults();
        ch4_isosurface_info info;
        ch4_mesh m = extract(&s, &opt, &info);
        assert_int_equal(info.inside, sign);
        assert_int_equal(info.n_point, s.points);
        assert_true(fabs(ch4_mesh_signed_volume(m.vert, m.face, m.n_face) / (4.18879 * 0.613 * 0.613 * 0.613) - 1) < 0.01);
        double h = 2.01 / 64;
        assert_true(farthest_from_surface(&s, &m) < 0.375 * h * h / 0.613 + 1e-3 * h); /* sagitta of a cell's diagonal */
        assert_true(s.points < 17 * 17 * 17 + 65 * 65 * 65 / 8);
        ch4_mesh_fini(&m);
    }
}

/* The coarse-to-fine surface is the one that a single dense level gives. */
static void same_surface_as_dense(void **state)
{
    (void)state;
    shape s = {.kind = TORUS, .sign = -1}, t = s;
    ch4_isosurface_options opt = ch4_isosurface_defaults(), dense = opt;
    dense.cells = 64;
    dense.levels = 1;
    dense.batch = 1000;
    ch4_mesh a = extract(&s, &opt, NULL), b = extract(&t, &dense, NULL);
    assert_int_equal(t.points, 65 * 65 * 65);
    assert_int_equal(t.largest, 1000);
    assert_int_equal(a.n_vert, b.n_vert);
    assert_int_equal(a.n_face, b.n_face);
    assert_memory_equal(a.vert, b.vert, 3 * (size_t)a.n_vert * sizeof *a.vert);
    assert_memory_equal(a.face, b.face, 3 * (size_t)a.n_face * sizeof *a.face);
    assert_int_equal(a.n_vert - a.n_face / 2, 0); /* Euler number of a torus */
    ch4_mesh_fini(&a);
    ch4_mesh_fini(&b);
}

static void thin_parts_are_followed(void **state)
{
    (void)state;
    shape s = {.kind = BALL_AND_ROD, .sign = -1};
    ch4_isosurface_options opt = ch4_isosurface_defaults();
    ch4_mesh m = extract(&s, &opt, NULL);
    double reach = 0;
    for (int64_t v = 0; v < m.n_vert; v++)
        reach = fmax(reach, fabs((double)m.vert[3 * v]));
    assert_true(reach > 0.85);
    ch4_mesh_fini(&m);
}

static void band_finds_what_slips_between_samples(void **state)
{
    (void)state;
    shape s = {.kind = SPIKE, .sign = -1};
    ch4_isosurface_options opt = ch4_isosurface_defaults();
    ch4_mesh m = extract(&s, &opt, NULL);
    assert_int_equal(m.n_face, 0);
    opt.band = 0.15;
    m = extract(&s, &opt, NULL);
    assert_true(ch4_mesh_signed_volume(m.vert, m.face, m.n_face) > 0.6 * 4.18879 * 0.05 * 0.05 * 0.05);
    ch4_mesh_fini(&m);
}

static void two_parts(void **state)
{
    (void)state;
    shape s = {.kind = TWO_BALLS, .sign = 1};
    ch4_isosurface_options opt = ch4_isosurface_defaults();
    ch4_mesh m = extract(&s, &opt, NULL);
    assert_int_equal(m.n_vert - m.n_face / 2, 4);
    ch4_mesh_fini(&m);
}

static void one_sign_and_open_fields(void **state)
{
    (void)state;
    ch4_isosurface_options opt = ch4_isosurface_defaults();
    shape out = {.kind = ALL_OUTSIDE, .sign = -1}, in = {.kind = ALL_INSIDE, .sign = -1}, half = {.kind = HALF, .sign = -1};
    ch4_mesh m = extract(&out, &opt, NULL);
    assert_int_equal(m.n_face, 0);
    opt.inside = -1;
    m = extract(&in, &opt, NULL); /* closed at the faces of the cube */
    assert_true(fabs(ch4_mesh_signed_volume(m.vert, m.face, m.n_face) - 2.01 * 2.01 * 2.01) < 0.2);
    ch4_mesh_fini(&m);
    m = extract(&half, &opt, NULL);
    assert_true(fabs(ch4_mesh_signed_volume(m.vert, m.face, m.n_face) - 1.205 * 2.01 * 2.01) < 0.1);
    for (int64_t i = 0; i < 3 * m.n_vert; i++)
        assert_true(fabsf(m.vert[i]) <= 1.005f);
    ch4_mesh_fini(&m);
}

static ch4_status failing_field(void *ctx, float *value, const float *point, int64_t n, ch4_err *err)
{
    (void)ctx, (void)value, (void)point, (void)n;
    return ch4_err_set(err, CH4_EDEVICE, "no device");
}

static void errors(void **state)
{
    (void)state;
    shape s = {.kind = BROKEN, .sign = -1};
    ch4_isosurface_options opt = ch4_isosurface_defaults();
    ch4_mesh m;
    ch4_err err;
    assert_int_equal(ch4_isosurface_extract(&m, NULL, field, &s, &opt, &err), CH4_EFORMAT);
    ch4_mesh_fini(&m);
    assert_int_equal(ch4_isosurface_extract(&m, NULL, failing_field, NULL, &opt, &err), CH4_EDEVICE);
    ch4_mesh_fini(&m);
    opt.levels = 9;
    assert_int_equal(ch4_isosurface_extract(&m, NULL, field, &s, &opt, &err), CH4_EINVAL);
    opt = ch4_isosurface_defaults();
    opt.half = 0;
    assert_int_equal(ch4_isosurface_extract(&m, NULL, field, &s, &opt, &err), CH4_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sphere_of_either_sign),
        cmocka_unit_test(same_surface_as_dense),
        cmocka_unit_test(thin_parts_are_followed),
        cmocka_unit_test(band_finds_what_slips_between_samples),
        cmocka_unit_test(two_parts),
        cmocka_unit_test(one_sign_and_open_fields),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
