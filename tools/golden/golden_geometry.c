#include "golden_geometry.h"

#include "mesh/mesh.h"

static ch4_status typed(const ch4_safetensors *file, ch4_tensor *out, ch4_dtype dtype, const char *name, ch4_err *err)
{
    ch4_status st = ch4_safetensors_get(file, name, out, err);
    if (st != CH4_OK)
        return st;
    if (out->dtype != dtype || out->rank != 2 || out->shape[1] != 3 || !ch4_tensor_contiguous(out)) {
        char what[64];
        ch4_tensor_describe(out, what, sizeof what);
        return ch4_err_set(err, CH4_EFORMAT, "%s: %s is %s, not [n,3] %s", ch4_safetensors_path(file), name, what, ch4_dtype_name(dtype));
    }
    return CH4_OK;
}

ch4_status ch4_golden_read_mesh(ch4_golden_mesh *out, const ch4_safetensors *file, ch4_err *err)
{
    ch4_tensor vert, face;
    ch4_status st = typed(file, &vert, CH4_DTYPE_F32, "vertices", err);
    if (st == CH4_OK)
        st = typed(file, &face, CH4_DTYPE_I32, "faces", err);
    if (st != CH4_OK)
        return st;
    *out = (ch4_golden_mesh){vert.data, face.data, vert.shape[0], face.shape[0]};
    st = ch4_mesh_check(out->vert, out->n_vert, out->face, out->n_face, err);
    return st == CH4_OK ? st : ch4_err_wrap(err, st, "%s", ch4_safetensors_path(file));
}

ch4_status ch4_golden_named_mesh(ch4_golden_case *c, ch4_golden_mesh *out, ch4_err *err)
{
    const char *name = json_string_value(ch4_golden_json(c, "mesh"));
    if (!name)
        return ch4_err_set(err, CH4_EFORMAT, "%s: the case names no mesh", c->label);
    ch4_safetensors *file;
    ch4_status st = ch4_golden_open_near(c, &file, err, "../meshes/%s.safetensors", name);
    return st == CH4_OK ? ch4_golden_read_mesh(out, file, err) : st;
}

static ch4_status fetch(ch4_golden_case *c, void **out, int64_t *count, ch4_dtype dtype, const char *name, ch4_err *err)
{
    ch4_tensor t;
    ch4_status st = ch4_golden_tensor(c, &t, dtype, err, "%s", name);
    if (st != CH4_OK)
        return st;
    *out = t.data;
    *count = ch4_tensor_count(&t);
    return CH4_OK;
}

ch4_status ch4_golden_i32(ch4_golden_case *c, int32_t **out, int64_t *count, const char *name, ch4_err *err)
{
    return fetch(c, (void **)out, count, CH4_DTYPE_I32, name, err);
}

ch4_status ch4_golden_f32(ch4_golden_case *c, float **out, int64_t *count, const char *name, ch4_err *err)
{
    return fetch(c, (void **)out, count, CH4_DTYPE_F32, name, err);
}

ch4_status ch4_golden_f64(ch4_golden_case *c, double **out, int64_t *count, const char *name, ch4_err *err)
{
    return fetch(c, (void **)out, count, CH4_DTYPE_F64, name, err);
}
