/* Kinds meshes (weld, edges, components, volume) and fps (curvature, boost, landmarks). */
#include <stdio.h>
#include <string.h>

#include "golden_geometry.h"
#include "mesh/curvature.h"
#include "mesh/fps.h"
#include "mesh/graph.h"
#include "mesh/mesh.h"

static ch4_status check_rep(ch4_golden_case *c, const ch4_mesh_graph *g, ch4_err *err)
{
    int64_t *rep;
    ch4_status st = ch4_golden_alloc(c, &rep, (size_t)g->n_vert, sizeof *rep, err);
    if (st != CH4_OK)
        return st;
    for (int64_t v = 0; v < g->n_vert; v++)
        rep[v] = g->rep[v];
    ch4_golden_check_index(c, rep, g->n_vert, NULL, 0, 0, "weld");
    return CH4_OK;
}

/* Faces with three distinct corners, and edges by the number of such faces (1 = two faces, 0 = any other number). */
static ch4_status count_faces(ch4_golden_case *c, const ch4_golden_mesh *m, const ch4_mesh_graph *g, int64_t *distinct, int64_t *pairs, ch4_err *err)
{
    int32_t *n_face;
    ch4_status st = ch4_golden_alloc(c, &n_face, (size_t)(2 * g->n_edge), sizeof *n_face, err);
    if (st != CH4_OK)
        return st;
    *distinct = *pairs = 0;
    for (int64_t f = 0; f < m->n_face; f++) {
        int32_t r[3] = {g->rep[m->face[3 * f]], g->rep[m->face[3 * f + 1]], g->rep[m->face[3 * f + 2]]};
        if (r[0] == r[1] || r[1] == r[2] || r[2] == r[0])
            continue;
        (*distinct)++;
        for (int k = 0; k < 3; k++) {
            int32_t a = r[k], b = r[(k + 1) % 3];
            n_face[a < b ? ch4_mesh_graph_find(g, a, b) : ch4_mesh_graph_find(g, b, a)]++;
        }
    }
    for (int64_t e = 0; e < 2 * g->n_edge; e++)
        *pairs += n_face[e] == 2;
    return CH4_OK;
}

static void check_count(ch4_golden_case *c, int64_t got, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "counts.%s", name);
    double want = ch4_golden_real_or(c, path, -1), have = (double)got;
    ch4_golden_check_values(c, &have, &want, 1, 0, 0, "%s", name);
}

static ch4_status check_component(ch4_golden_case *c, const int32_t *component, int64_t n_vert, ch4_err *err)
{
    ch4_tensor recorded;
    int64_t *got;
    ch4_status st = ch4_golden_tensor(c, &recorded, CH4_DTYPE_I32, err, "component");
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &got, (size_t)n_vert, sizeof *got, err);
    if (st != CH4_OK)
        return st;
    for (int64_t v = 0; v < n_vert; v++)
        got[v] = component[v];
    ch4_golden_check_index(c, got, n_vert, NULL, 0, 0, "component");
    return CH4_OK;
}

ch4_status ch4_golden_meshes(ch4_golden_case *c, ch4_err *err)
{
    ch4_golden_mesh m;
    ch4_mesh_graph g = {0};
    int32_t *component;
    int64_t n_component, n_rep = 0, n_used = 0, distinct, pairs;
    ch4_status st = ch4_golden_read_mesh(&m, c->io, err);
    if (st == CH4_OK)
        st = ch4_mesh_graph_init(&g, m.vert, m.n_vert, m.face, m.n_face, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &component, (size_t)m.n_vert, sizeof *component, err);
    if (st == CH4_OK)
        st = ch4_mesh_compute_components(component, &n_component, &g, err);
    if (st == CH4_OK)
        st = check_rep(c, &g, err);
    if (st == CH4_OK)
        st = count_faces(c, &m, &g, &distinct, &pairs, err);
    if (st == CH4_OK && ch4_golden_has(c, "component"))
        st = check_component(c, component, m.n_vert, err);
    if (st != CH4_OK)
        goto out;
    for (int64_t v = 0; v < m.n_vert; v++)
        if (g.rep[v] == v) {
            n_rep++;
            n_used += !ch4_mesh_graph_unused(&g, v);
        }
    check_count(c, m.n_vert, "vertices");
    check_count(c, m.n_face, "faces");
    check_count(c, n_rep, "welded_vertices");
    check_count(c, n_used, "referenced_welded_vertices");
    check_count(c, distinct, "faces_with_three_distinct_welded_corners");
    check_count(c, g.n_edge, "edges");
    check_count(c, pairs, "edges_with_two_faces");
    check_count(c, g.n_edge - pairs, "edges_with_other_face_counts");
    check_count(c, n_component, "components_of_referenced");
    check_count(c, n_used - g.n_edge + distinct, "euler");
    double volume = ch4_mesh_signed_volume(m.vert, m.face, m.n_face), diagonal = ch4_mesh_diagonal(m.vert, m.n_vert), want;
    if ((st = ch4_golden_real(c, &want, "counts.signed_volume", err)) != CH4_OK)
        goto out;
    ch4_golden_check_values(c, &volume, &want, 1, 0, ch4_golden_real_or(c, "tolerance.signed_volume_rel", 1e-9), "signed_volume");
    if ((st = ch4_golden_real(c, &want, "diagonal", err)) != CH4_OK)
        goto out;
    ch4_golden_check_values(c, &diagonal, &want, 1, 0, ch4_golden_real_or(c, "tolerance.diagonal_rel", 1e-12), "diagonal");
out:
    ch4_mesh_graph_fini(&g);
    return st;
}

static ch4_status check_run(ch4_golden_case *c, json_t *run, const ch4_golden_mesh *m, const ch4_mesh_graph *g, const double *boost, ch4_err *err)
{
    const char *name = json_string_value(json_object_get(run, "tensor"));
    int64_t asked = json_integer_value(json_object_get(run, "K_asked")), n, *got;
    if (!name || asked < 1)
        return ch4_err_set(err, CH4_EFORMAT, "%s: a run without tensor or K_asked", c->label);
    int32_t *index;
    double remaining, want = json_number_value(json_object_get(run, "largest_remaining_score"));
    ch4_status st = ch4_golden_alloc(c, &index, (size_t)asked, sizeof *index, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &got, (size_t)asked, sizeof *got, err);
    if (st == CH4_OK)
        st = ch4_fps_mesh(index, &n, &remaining, m->vert, g, boost, json_number_value(json_object_get(run, "alpha")), asked, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < n; i++)
        got[i] = index[i];
    ch4_golden_check_index(c, got, n, NULL, 0, 0, "%s", name);
    ch4_golden_check_values(c, &remaining, &want, 1, 0, ch4_golden_real_or(c, "tolerance.largest_remaining_score_rel", 1e-6),
                            "%s.remaining", name);
    return CH4_OK;
}

ch4_status ch4_golden_fps(ch4_golden_case *c, ch4_err *err)
{
    ch4_golden_mesh m;
    ch4_mesh_graph g = {0};
    double *curvature, *boost, p95, want;
    ch4_status st = ch4_golden_named_mesh(c, &m, err);
    if (st == CH4_OK)
        st = ch4_mesh_graph_init(&g, m.vert, m.n_vert, m.face, m.n_face, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &curvature, (size_t)m.n_vert, sizeof *curvature, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &boost, (size_t)m.n_vert, sizeof *boost, err);
    if (st == CH4_OK)
        st = ch4_mesh_compute_curvature(curvature, boost, &p95, m.vert, m.face, m.n_face, &g, err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &want, "p95", err);
    if (st != CH4_OK)
        goto out;
    double rel = ch4_golden_real_or(c, "tolerance.curvature_rel", 1e-6);
    ch4_golden_check_values(c, &p95, &want, 1, 0, ch4_golden_real_or(c, "tolerance.p95_rel", 1e-6), "p95");
    ch4_golden_check_close(c, curvature, m.n_vert, rel * want, rel, "curvature");
    ch4_golden_check_close(c, boost, m.n_vert, rel, rel, "boost");
    json_t *runs = ch4_golden_json(c, "runs");
    for (size_t i = 0; st == CH4_OK && i < json_array_size(runs); i++)
        st = check_run(c, json_array_get(runs, i), &m, &g, boost, err);
out:
    ch4_mesh_graph_fini(&g);
    return st;
}
