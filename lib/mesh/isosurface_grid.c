#include "mesh/isosurface_grid.h"

#include <inttypes.h>
#include <string.h>

#include "mesh/dual_surface_impl.h"

static ch4_status check_values(const dual_grid *g, ch4_err *err)
{
    const int64_t *n = g->dim;
    for (int64_t k = 0; k < n[2]; k++)
        for (int64_t j = 0; j < n[1]; j++)
            for (int64_t i = 0; i < n[0]; i++) {
                float v = g->value[(k * n[1] + j) * n[0] + i];
                bool border = i == 0 || j == 0 || k == 0 || i == n[0] - 1 || j == n[1] - 1 || k == n[2] - 1;
                if (v != v || (border && !(v >= 0)))
                    return ch4_err_set(err, CH4_EINVAL, "iso-surface: field %s at grid point (%" PRId64 ",%" PRId64 ",%" PRId64 ")",
                                       v != v ? "is not a number" : "not outside at the border,", i, j, k);
            }
    return CH4_OK;
}

ch4_status ch4_isosurface_grid(ch4_mesh *out, const float *value, const int64_t dim[3], const double origin[3], double spacing, ch4_err *err)
{
    memset(out, 0, sizeof *out);
    if (dim[0] < 2 || dim[1] < 2 || dim[2] < 2)
        return ch4_err_set(err, CH4_EINVAL, "iso-surface: grid below 2x2x2");
    dual_grid g = {.value = value, .dim = {dim[0], dim[1], dim[2]}, .origin = {origin[0], origin[1], origin[2]}, .spacing = spacing};
    ch4_status st = check_values(&g, err);
    return st == CH4_OK ? dual_surface_extract(out, NULL, &g, err) : st;
}
