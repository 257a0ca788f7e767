/* Reading config.json of a network: typed fields with defaults, errors that name file and key, and the usual file names of a model folder. */
#ifndef CH4_MODEL_NET_CONFIG_H
#define CH4_MODEL_NET_CONFIG_H

#include <jansson.h>

#include "tensor/safetensors.h"

/* Parsed JSON object of a file; release with json_decref. CH4_ENOENT, CH4_EFORMAT (file:line:col). */
ch4_status ch4_net_config_load(json_t **out, const char *path, ch4_err *err);

/* Field of an object. Absent (or null): *out keeps its value, which is CH4_EFORMAT if `required`. A wrong type or a value outside
 * [lo,hi] is CH4_EFORMAT naming the key. */
ch4_status ch4_net_config_int(int64_t *out, const json_t *object, const char *key, int64_t lo, int64_t hi, bool required, ch4_err *err);
ch4_status ch4_net_config_real(double *out, const json_t *object, const char *key, double lo, double hi, ch4_err *err);
ch4_status ch4_net_config_bool(bool *out, const json_t *object, const char *key, ch4_err *err);

/* Opens config.json and the weights of a model folder: model.safetensors or diffusion_pytorch_model.safetensors, whole or in parts
 * (NAME.index.json). The caller releases
 * both (json_decref, ch4_safetensors_close). */
ch4_status ch4_net_open_dir(json_t **config, ch4_safetensors **weights, const char *dir, ch4_err *err);

#endif
