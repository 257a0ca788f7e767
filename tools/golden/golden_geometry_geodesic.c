/* Kind geodesic: distances from landmarks, the k nearest landmarks, spacing and weights. */
#include <inttypes.h>
#include <math.h>

#include "golden_geometry.h"
#include "mesh/geodesic.h"

typedef struct geodesic_case {
    ch4_golden_mesh m;
    ch4_mesh_graph g;
    ch4_geodesic_knn knn;
    int32_t *landmark;
    int64_t n_landmark, k;
    double rel; /* of distances */
} geodesic_case;

/* Sums over all pairs need every distance; the recorded rows are those of the first landmarks. */
static ch4_status check_rows(ch4_golden_case *c, const geodesic_case *x, ch4_err *err)
{
    ch4_tensor recorded;
    double *d;
    ch4_status st = ch4_golden_raw(c, &recorded, err, "distance_rows");
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &d, (size_t)(x->n_landmark * x->m.n_vert), sizeof *d, err);
    if (st == CH4_OK)
        st = ch4_geodesic_compute_rows(d, &x->g, x->landmark, x->n_landmark, err);
    if (st != CH4_OK)
        return st;
    ch4_golden_check_close(c, d, ch4_min_i64(recorded.shape[0], x->n_landmark) * x->m.n_vert, 0, x->rel, "distance_rows");
    double sum = 0, longest = 0, unreachable = 0, want;
    for (int64_t i = 0; i < x->n_landmark * x->m.n_vert; i++)
        if (d[i] < 0) {
            unreachable++;
        } else {
            sum += d[i];
            longest = fmax(longest, d[i]);
        }
    double rel = ch4_golden_real_or(c, "tolerance.sum_rel", 1e-6);
    if ((st = ch4_golden_real(c, &want, "finite_sum", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &sum, &want, 1, 0, rel, "finite_sum");
    if ((st = ch4_golden_real(c, &want, "finite_max", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &longest, &want, 1, 0, rel, "finite_max");
    if ((st = ch4_golden_real(c, &want, "unreachable_pairs", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &unreachable, &want, 1, 0, 0, "unreachable_pairs");
    return CH4_OK;
}

/* An ordinal may differ where the recorded distances of both entries agree within 1e-6 relative. */
static int64_t wrong_ordinals(const int64_t *got, const int32_t *want, const float *distance, int64_t k)
{
    int64_t wrong = 0;
    for (int64_t i = 0; i < k; i++) {
        if (got[i] == want[i])
            continue;
        bool tie = false;
        for (int64_t j = 0; j < k; j++)
            tie |= want[j] == got[i] && fabs((double)distance[i] - (double)distance[j]) <= 1e-6 * fabs((double)distance[i]);
        /* the last place may go to a landmark that is not recorded */
        tie |= want[i] >= 0 && got[i] >= 0 && fabs((double)distance[i] - (double)distance[k - 1]) <= 1e-6 * fabs((double)distance[i]);
        wrong += !tie;
    }
    return wrong;
}

static ch4_status check_knn(ch4_golden_case *c, const geodesic_case *x, ch4_err *err)
{
    int32_t *rows, *want;
    int64_t n_rows, n, *count, *fallback, *index, wrong = 0;
    float *want_d;
    double *d;
    size_t cells;
    ch4_status st = ch4_golden_i32(c, &rows, &n_rows, "rows", err);
    if (st == CH4_OK)
        st = ch4_golden_i32(c, &want, &n, "knn_index", err);
    if (st == CH4_OK && n != n_rows * x->k)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: knn_index is not [rows,k]", c->label);
    if (st == CH4_OK)
        st = ch4_golden_f32(c, &want_d, &n, "knn_distance", err);
    if (st == CH4_OK && n != n_rows * x->k)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: knn_distance is not [rows,k]", c->label);
    if (st != CH4_OK)
        return st;
    cells = (size_t)(n_rows * x->k);
    st = ch4_golden_alloc(c, &count, (size_t)n_rows, sizeof *count, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &fallback, (size_t)n_rows, sizeof *fallback, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &index, cells, sizeof *index, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &d, cells, sizeof *d, err);
    if (st != CH4_OK)
        return st;
    for (int64_t i = 0; i < n_rows; i++) {
        if (rows[i] < 0 || rows[i] >= x->m.n_vert)
            return ch4_err_set(err, CH4_EFORMAT, "%s: row %" PRId32 " is no vertex", c->label, rows[i]);
        count[i] = x->knn.count[rows[i]];
        fallback[i] = x->knn.fallback[rows[i]];
        for (int64_t j = 0; j < x->k; j++) {
            index[i * x->k + j] = x->knn.index[rows[i] * x->k + j];
            d[i * x->k + j] = x->knn.distance[rows[i] * x->k + j];
        }
        wrong += wrong_ordinals(index + i * x->k, want + i * x->k, want_d + i * x->k, x->k);
    }
    ch4_golden_check_index(c, count, n_rows, NULL, 0, 0, "knn_count");
    ch4_golden_check_index(c, fallback, n_rows, NULL, 0, 0, "fallback");
    ch4_golden_check_close(c, d, n_rows * x->k, 0, x->rel, "knn_distance");
    ch4_golden_check_at_most(c, (double)wrong, 0, "knn_index");
    ch4_golden_mark(c, "knn_index");
    return CH4_OK;
}

static ch4_status check_weights(ch4_golden_case *c, const geodesic_case *x, double sigma, ch4_err *err)
{
    int32_t *rows;
    int64_t n_rows;
    double *w, *got;
    ch4_status st = ch4_golden_i32(c, &rows, &n_rows, "weight_rows", err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &w, (size_t)(x->m.n_vert * x->k), sizeof *w, err);
    if (st == CH4_OK)
        st = ch4_golden_alloc(c, &got, (size_t)(n_rows * x->k), sizeof *got, err);
    if (st != CH4_OK)
        return st;
    ch4_geodesic_compute_weights(w, &x->knn, sigma, c->pool);
    for (int64_t i = 0; i < n_rows; i++) {
        if (rows[i] < 0 || rows[i] >= x->m.n_vert)
            return ch4_err_set(err, CH4_EFORMAT, "%s: weight row %" PRId32 " is no vertex", c->label, rows[i]);
        for (int64_t j = 0; j < x->k; j++)
            got[i * x->k + j] = w[rows[i] * x->k + j];
    }
    ch4_golden_check_close(c, got, n_rows * x->k, ch4_golden_real_or(c, "tolerance.weights_abs", 1e-5), 0, "weights");
    return CH4_OK;
}

static ch4_status check_numbers(ch4_golden_case *c, const geodesic_case *x, double sigma, ch4_err *err)
{
    double few = 0, fallback = 0, want, rel = ch4_golden_real_or(c, "tolerance.mean_spacing_rel", 1e-6);
    for (int64_t v = 0; v < x->m.n_vert; v++) {
        few += x->knn.count[v] < 3;
        fallback += x->knn.fallback[v];
    }
    ch4_status st = ch4_golden_real(c, &want, "mean_spacing", err);
    if (st != CH4_OK)
        return st;
    ch4_golden_check_values(c, &x->knn.mean_spacing, &want, 1, 0, rel, "mean_spacing");
    if ((st = ch4_golden_real(c, &want, "sigma", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &sigma, &want, 1, 0, rel, "sigma");
    if ((st = ch4_golden_real(c, &want, "fallback_vertices", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &fallback, &want, 1, 0, 0, "fallback_vertices");
    if ((st = ch4_golden_real(c, &want, "vertices_with_fewer_than_3", err)) != CH4_OK)
        return st;
    ch4_golden_check_values(c, &few, &want, 1, 0, 0, "vertices_with_fewer_than_3");
    return CH4_OK;
}

ch4_status ch4_golden_geodesic(ch4_golden_case *c, ch4_err *err)
{
    geodesic_case x = {.rel = ch4_golden_real_or(c, "tolerance.distance_rel", 1e-5)};
    double beta;
    ch4_status st = ch4_golden_named_mesh(c, &x.m, err);
    if (st == CH4_OK)
        st = ch4_golden_int(c, &x.k, "k", err);
    if (st == CH4_OK)
        st = ch4_golden_real(c, &beta, "beta", err);
    if (st == CH4_OK)
        st = ch4_golden_i32(c, &x.landmark, &x.n_landmark, "landmarks", err);
    if (st == CH4_OK)
        st = ch4_mesh_graph_init(&x.g, x.m.vert, x.m.n_vert, x.m.face, x.m.n_face, err);
    if (st == CH4_OK)
        st = ch4_geodesic_knn_init(&x.knn, x.m.vert, &x.g, x.landmark, x.n_landmark, x.k, c->pool, err);
    if (st == CH4_OK)
        st = check_rows(c, &x, err);
    if (st == CH4_OK)
        st = check_knn(c, &x, err);
    if (st == CH4_OK)
        st = check_numbers(c, &x, beta * x.knn.mean_spacing, err);
    if (st == CH4_OK)
        st = check_weights(c, &x, beta * x.knn.mean_spacing, err);
    ch4_mesh_graph_fini(&x.g);
    ch4_geodesic_knn_fini(&x.knn);
    return st;
}
