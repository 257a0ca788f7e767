#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parallel.h"
#include "tools/synth/creature_clip.h"
#include "tools/synth/form.h"
#include "tools/synth/shard.h"

enum { FORMS = 24, FRAMES = 16, SIZE = 96 };

static double part_volume(const ch4_form_clip *c, int p, int64_t f)
{
    const ch4_synth_mesh *m = &c->mesh;
    const float *vert = m->vert + f * m->n_vert * 3;
    double sum = 0;
    for (int64_t i = 0; i < m->n_face; i++) {
        const int32_t *t = m->face + 3 * i;
        if (t[0] < c->first[p] || t[0] >= c->first[p + 1]) continue;
        const float *a = vert + 3 * t[0], *b = vert + 3 * t[1], *d = vert + 3 * t[2];
        for (int k = 0; k < 3; k++) sum += (double)a[k] * (b[(k + 1) % 3] * d[(k + 2) % 3] - b[(k + 2) % 3] * d[(k + 1) % 3]) / 6;
    }
    return sum;
}

/* Every kind comes up; parts are outward in every frame, the whole lies in the cube and moves. */
static void forms_are_outward_moving_and_inside_the_cube(void **state)
{
    (void)state;
    bool seen[CH4_FORM_KIND_COUNT] = {0};
    for (uint64_t seed = 950000; seed < 950000 + FORMS; seed++) {
        ch4_form_clip c;
        assert_int_equal(ch4_form_clip_init(&c, seed, FRAMES, SIZE, NULL), CH4_OK);
        seen[c.form.kind] = true;
        for (int64_t f = 0; f < FRAMES; f += 5)
            for (int p = 0; p < c.form.n_parts; p++) assert_true(part_volume(&c, p, f) > 1e-5);
        for (int64_t i = 0; i < 3 * FRAMES * c.mesh.n_vert; i++) assert_true(fabsf(c.mesh.vert[i]) <= 0.9501f);
        double mean, share;
        ch4_synth_motion(&mean, &share, &c.mesh);
        assert_true(mean > 0.05);
        ch4_form_clip_fini(&c);
    }
    for (int k = 0; k < CH4_FORM_KIND_COUNT; k++) assert_true(seen[k]);
}

/* A bend keeps the length of the body's centre line; a part that only hinges keeps its shape. */
static void motions_keep_what_they_should_keep(void **state)
{
    (void)state;
    ch4_form form = {.n_parts = 1, .frame = {0, 1, 0, 0, 0, 1, 1, 0, 0}, .bend = {1.5, 0, 0.25, false}, .bend_width = 1.2, .turn_axis = {0, 1, 0}};
    form.part[0].axis[0] = 1;
    enum { N = 200 };
    double line[N][3] = {{0}}, length = 0;
    for (int i = 0; i < N; i++) line[i][1] = -1 + 2.0 * i / (N - 1);
    ch4_form_move(line[0], N, &form, 0, 0.3);
    for (int i = 1; i < N; i++) length += hypot(hypot(line[i][0] - line[i - 1][0], line[i][1] - line[i - 1][1]), line[i][2] - line[i - 1][2]);
    assert_true(fabs(length - 2) < 0.01);
    assert_true(fabs(line[N - 1][2] - line[0][2]) > 0.1 || fabs(line[N - 1][0] - line[0][0]) > 0.1 || fabs(line[0][2]) > 0.1);

    ch4_form hinge = {.n_parts = 1, .frame = {0, 1, 0, 0, 0, 1, 1, 0, 0}, .bend_width = 1, .turn_axis = {0, 1, 0}};
    hinge.part[0].swing = (ch4_form_course){0.8, 0, 0.25, false};
    memcpy(hinge.part[0].axis, (const double[]){0, 0, 1}, sizeof(hinge.part[0].axis));
    memcpy(hinge.part[0].pivot, (const double[]){0.2, 0, 0}, sizeof(hinge.part[0].pivot));
    double x[2][3] = {{0.2, 0, 0}, {0.7, 0, 0}};
    ch4_form_move(x[0], 2, &hinge, 0, 0);
    assert_true(fabs(x[0][0] - 0.2) < 1e-9 && fabs(x[0][1]) < 1e-9);
    assert_true(fabs(x[1][0] - (0.2 + 0.5 * cos(0.8))) < 1e-9 && fabs(x[1][1] - 0.5 * sin(0.8)) < 1e-9);
}

/* Stepping off the outer surface by 0.05 changes the distance by 0.05, with the right sign. */
static void distance_grows_along_the_normal(void **state)
{
    (void)state;
    int64_t good = 0, all = 0;
    for (uint64_t seed = 950000; seed < 950000 + FORMS; seed += 4) {
        ch4_form_clip c;
        assert_int_equal(ch4_form_clip_init(&c, seed, FRAMES, SIZE, NULL), CH4_OK);
        for (int64_t v = 0; v < c.mesh.n_vert; v += 11) {
            int64_t at = (3 * c.mesh.n_vert + v) * 3;
            float x[3][3], d[3];
            for (int i = 0; i < 3; i++)
                for (int k = 0; k < 3; k++) x[i][k] = c.mesh.vert[at + k] + 0.05f * (float)(i - 1) * c.mesh.normal[at + k];
            ch4_form_distance(d, &c, 3, x[0], 3);
            if (d[1] < -0.01f) continue; /* inside another part */
            all++;
            good += fabsf(d[1]) < 0.01f && fabsf(d[2] - 0.05f) < 0.02f && d[0] < 0;
        }
        ch4_form_clip_fini(&c);
    }
    assert_true(all > 300);
    assert_true((double)good > 0.8 * (double)all); /* the rest: creases between parts, thin sheets */
}

static void shard_of_forms_does_not_depend_on_threads(void **state)
{
    (void)state;
    char folder[] = "/tmp/chain4d-forms-XXXXXX", path[2][64];
    assert_non_null(mkdtemp(folder));
    ch4_synth_options o = {.seed = 950000, .n_clips = 3, .size = SIZE};
    char *bytes[2];
    long size[2];
    for (int i = 0; i < 2; i++) {
        ch4_pool *pool;
        snprintf(path[i], sizeof(path[i]), "%s/%d", folder, i);
        assert_int_equal(ch4_pool_create(&pool, 1 + 2 * i, NULL), CH4_OK);
        assert_int_equal(ch4_form_shard_save(path[i], &o, pool, NULL), CH4_OK);
        ch4_pool_destroy(&pool);
        FILE *f = fopen(path[i], "rb");
        assert_non_null(f);
        fseek(f, 0, SEEK_END);
        size[i] = ftell(f);
        rewind(f);
        bytes[i] = malloc((size_t)size[i]);
        assert_int_equal(fread(bytes[i], 1, (size_t)size[i], f), size[i]);
        fclose(f);
        unlink(path[i]);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(bytes[0], bytes[1], (size_t)size[0]);
    free(bytes[0]);
    free(bytes[1]);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_outward_moving_and_inside_the_cube),
        cmocka_unit_test(motions_keep_what_they_should_keep),
        cmocka_unit_test(distance_grows_along_the_normal),
        cmocka_unit_test(shard_of_forms_does_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
