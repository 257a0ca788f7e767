/* What every mesh that was read from a file promises. */
#ifndef CH4_TESTS_MESH_PROMISES_H
#define CH4_TESTS_MESH_PROMISES_H

#include <math.h>

#include "mesh/mesh_io.h"
#include "tests/fuzz/fuzz.h"

static inline void check_asset(const ch4_asset *a)
{
    const ch4_mesh *m = &a->mesh;
    int64_t n_draw = a->draw_vert ? a->n_draw : m->n_vert;
    CH4_FUZZ_CHECK(m->n_vert > 0 && m->n_face > 0);
    for (int64_t i = 0; i < 3 * m->n_vert; i++)
        CH4_FUZZ_CHECK(isfinite(m->vert[i]));
    for (int64_t i = 0; i < 3 * m->n_face; i++)
        CH4_FUZZ_CHECK(m->face[i] >= 0 && m->face[i] < m->n_vert);
    for (int64_t i = 0; a->draw_vert && i < a->n_draw; i++)
        CH4_FUZZ_CHECK(a->draw_vert[i] >= 0 && a->draw_vert[i] < m->n_vert);
    for (int64_t i = 0; a->draw_face && i < 3 * m->n_face; i++)
        CH4_FUZZ_CHECK(a->draw_face[i] >= 0 && a->draw_face[i] < n_draw);
    for (int64_t i = 0; i < a->n_part; i++)
        CH4_FUZZ_CHECK(a->part[i].first_face >= 0 && a->part[i].n_face >= 0 && a->part[i].first_face + a->part[i].n_face <= m->n_face);
}

#endif
