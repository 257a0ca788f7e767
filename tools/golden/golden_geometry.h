/* What the golden kinds of geometry share: the mesh that a case names. */
#ifndef CH4_GOLDEN_GEOMETRY_H
#define CH4_GOLDEN_GEOMETRY_H

#include "golden.h"

typedef struct ch4_golden_mesh {
    const float *vert;   /* [n_vert,3] */
    const int32_t *face; /* [n_face,3] */
    int64_t n_vert, n_face;
} ch4_golden_mesh;

/* Mesh in `file` (tensors vertices, faces), which may be the case's own; CH4_EFORMAT where it does not pass ch4_mesh_check. */
ch4_status ch4_golden_read_mesh(ch4_golden_mesh *out, const ch4_safetensors *file, ch4_err *err);

/* ../meshes/<config.mesh>.safetensors */
ch4_status ch4_golden_named_mesh(ch4_golden_case *c, ch4_golden_mesh *out, ch4_err *err);

/* Copy of a tensor as int32 / float / double that lives until the case ends; *count is its number of elements. */
ch4_status ch4_golden_i32(ch4_golden_case *c, int32_t **out, int64_t *count, const char *name, ch4_err *err);
ch4_status ch4_golden_f32(ch4_golden_case *c, float **out, int64_t *count, const char *name, ch4_err *err);
ch4_status ch4_golden_f64(ch4_golden_case *c, double **out, int64_t *count, const char *name, ch4_err *err);

#endif
