#include "model/net_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_LEN = 4096 };

ch4_status ch4_net_config_load(json_t **out, const char *path, ch4_err *err)
{
    json_error_t where;
    *out = NULL;
    if (access(path, R_OK) != 0)
        return ch4_err_set_errno(err, errno, "%s", path);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return ch4_err_set(err, CH4_EFORMAT, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return ch4_err_set(err, CH4_EFORMAT, "%s: a JSON object wanted", path);
    }
    *out = root;
    return CH4_OK;
}

ch4_status ch4_net_config_int(int64_t *out, const json_t *object, const char *key, int64_t lo, int64_t hi, bool required, ch4_err *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return required ? ch4_err_set(err, CH4_EFORMAT, "config: key %s is missing", key) : CH4_OK;
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi)
        return ch4_err_set(err, CH4_EFORMAT, "config: %s: a whole number from %" PRId64 " to %" PRId64 " wanted", key, lo, hi);
    *out = json_integer_value(v);
    return CH4_OK;
}

ch4_status ch4_net_config_real(double *out, const json_t *object, const char *key, double lo, double hi, ch4_err *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return CH4_OK;
    if (!json_is_number(v) || !(json_number_value(v) >= lo && json_number_value(v) <= hi))
        return ch4_err_set(err, CH4_EFORMAT, "config: %s: a number from %g to %g wanted", key, lo, hi);
    *out = json_number_value(v);
    return CH4_OK;
}

ch4_status ch4_net_config_bool(bool *out, const json_t *object, const char *key, ch4_err *err)
{
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v))
        return CH4_OK;
    if (!json_is_boolean(v))
        return ch4_err_set(err, CH4_EFORMAT, "config: %s: true or false wanted", key);
    *out = json_is_true(v);
    return CH4_OK;
}

ch4_status ch4_net_open_dir(json_t **config, ch4_safetensors **weights, const char *dir, ch4_err *err)
{
    char path[PATH_LEN];
    *config = NULL;
    *weights = NULL;
    if (snprintf(path, sizeof path, "%s/config.json", dir) >= (int)sizeof path)
        return ch4_err_set(err, CH4_EINVAL, "%s: path too long", dir);
    ch4_status st = ch4_net_config_load(config, path, err);
    if (st)
        return st;
    static const char *const file[] = {"diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json",
                                       "model.safetensors.index.json", "model.safetensors"};
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, file[i]);
        if (access(path, F_OK) == 0)
            break;
    }
    st = ch4_safetensors_open(weights, path, err);
    if (st) {
        json_decref(*config);
        *config = NULL;
    }
    return st;
}
