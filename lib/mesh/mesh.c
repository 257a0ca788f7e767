#include "mesh/mesh.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "mesh/vec_impl.h"

ch4_status ch4_mesh_init(ch4_mesh *out, int64_t n_vert, int64_t n_face, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    if (n_vert < 0 || n_vert > INT32_MAX || n_face < 0 || n_face > INT32_MAX)
        return ch4_err_set(err, CH4_EINVAL, "mesh of %" PRId64 " vertices and %" PRId64 " faces: at most 2^31 - 1 each", n_vert, n_face);
    ch4_status st = ch4_calloc(&out->vert, (size_t)n_vert, 3 * sizeof *out->vert, "mesh vertices", err);
    if (st == CH4_OK)
        st = ch4_calloc(&out->face, (size_t)n_face, 3 * sizeof *out->face, "mesh faces", err);
    if (st != CH4_OK) {
        ch4_mesh_fini(out);
        return st;
    }
    out->n_vert = n_vert;
    out->n_face = n_face;
    return CH4_OK;
}

void ch4_mesh_fini(ch4_mesh *mesh)
{
    if (!mesh)
        return;
    free(mesh->vert);
    free(mesh->face);
    memset(mesh, 0, sizeof *mesh);
}

ch4_status ch4_mesh_check(const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    if (n_vert < 0 || n_vert > INT32_MAX || n_face < 0 || n_face > INT32_MAX)
        return ch4_err_set(err, CH4_EFORMAT, "mesh has %" PRId64 " vertices and %" PRId64 " faces: at most 2^31 - 1 each", n_vert, n_face);
    for (int64_t v = 0; v < n_vert; v++)
        for (int k = 0; k < 3; k++)
            if (!isfinite(vert[3 * v + k]))
                return ch4_err_set(err, CH4_EFORMAT, "vertex %" PRId64 " is not finite (%g %g %g)", v, (double)vert[3 * v],
                                   (double)vert[3 * v + 1], (double)vert[3 * v + 2]);
    for (int64_t f = 0; f < n_face; f++)
        for (int k = 0; k < 3; k++)
            if (face[3 * f + k] < 0 || face[3 * f + k] >= n_vert)
                return ch4_err_set(err, CH4_EFORMAT, "face %" PRId64 " refers to vertex %" PRId32 " of %" PRId64, f, face[3 * f + k],
                                   n_vert);
    return CH4_OK;
}

void ch4_mesh_box(double lo[3], double hi[3], const float *vert, int64_t n_vert)
{
    for (int k = 0; k < 3; k++) {
        lo[k] = n_vert ? (double)vert[k] : 0;
        hi[k] = lo[k];
    }
    for (int64_t v = 1; v < n_vert; v++)
        for (int k = 0; k < 3; k++) {
            double x = vert[3 * v + k];
            lo[k] = x < lo[k] ? x : lo[k];
            hi[k] = x > hi[k] ? x : hi[k];
        }
}

double ch4_mesh_diagonal(const float *vert, int64_t n_vert)
{
    double lo[3], hi[3];
    ch4_mesh_box(lo, hi, vert, n_vert);
    return v3_norm(v3_sub((v3){hi[0], hi[1], hi[2]}, (v3){lo[0], lo[1], lo[2]}));
}

double ch4_mesh_signed_volume(const float *vert, const int32_t *face, int64_t n_face)
{
    double sum = 0;
    for (int64_t f = 0; f < n_face; f++) {
        v3 a = v3_at(vert, face[3 * f]), b = v3_at(vert, face[3 * f + 1]), c = v3_at(vert, face[3 * f + 2]);
        sum += v3_dot(a, v3_cross(b, c));
    }
    return sum / 6;
}

/* Unit length, or (0,0,0) where the sum vanishes. */
static void normalise(float *normal, const double *sum)
{
    double len = sqrt(sum[0] * sum[0] + sum[1] * sum[1] + sum[2] * sum[2]);
    for (int k = 0; k < 3; k++)
        normal[k] = len > 0 ? (float)(sum[k] / len) : 0;
}

static void add_scaled(double *sum, v3 n, double by)
{
    sum[0] += n.x * by;
    sum[1] += n.y * by;
    sum[2] += n.z * by;
}

ch4_status ch4_mesh_compute_normals(float *normal, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err)
{
    double *sum = NULL;
    ch4_status st = ch4_calloc(&sum, (size_t)n_vert, 3 * sizeof *sum, "vertex normals", err);
    if (st != CH4_OK)
        return st;
    for (int64_t f = 0; f < n_face; f++) {
        const int32_t *i = face + 3 * f;
        v3 a = v3_at(vert, i[0]), n = v3_cross(v3_sub(v3_at(vert, i[1]), a), v3_sub(v3_at(vert, i[2]), a));
        for (int c = 0; c < 3; c++)
            add_scaled(sum + 3 * (int64_t)i[c], n, 1);
    }
    for (int64_t v = 0; v < n_vert; v++)
        normalise(normal + 3 * v, sum + 3 * v);
    free(sum);
    return CH4_OK;
}

ch4_status ch4_mesh_compute_angle_normals(float *normal, const int32_t *rep, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face,
                                          ch4_err *err)
{
    double *sum = NULL;
    ch4_status st = ch4_calloc(&sum, (size_t)n_vert, 3 * sizeof *sum, "vertex normals", err);
    if (st != CH4_OK)
        return st;
    for (int64_t f = 0; f < n_face; f++) {
        v3 p[3];
        for (int c = 0; c < 3; c++)
            p[c] = v3_at(vert, face[3 * f + c]);
        v3 n = v3_cross(v3_sub(p[1], p[0]), v3_sub(p[2], p[0]));
        double twice_area = v3_norm(n);
        if (!(twice_area > 0))
            continue;
        for (int c = 0; c < 3; c++) {
            v3 a = v3_sub(p[(c + 1) % 3], p[c]), b = v3_sub(p[(c + 2) % 3], p[c]);
            add_scaled(sum + 3 * (int64_t)rep[face[3 * f + c]], n, atan2(twice_area, v3_dot(a, b)) / twice_area);
        }
    }
    for (int64_t v = 0; v < n_vert; v++)
        normalise(normal + 3 * v, sum + 3 * (int64_t)rep[v]);
    free(sum);
    return CH4_OK;
}
