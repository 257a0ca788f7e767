/* Named arrays from a .safetensors or a .npz file, as the caller wants to have them. */
#ifndef CH4_EVAL_ARRAY_FILE_H
#define CH4_EVAL_ARRAY_FILE_H

#include "tensor/safetensors.h"
#include "tools/eval/npz.h"

typedef struct ch4_array_file {
    ch4_safetensors *safetensors; /* one of the two */
    ch4_npz *npz;
    char path[4096];
} ch4_array_file;

/* By the ending of the path. Errors as ch4_safetensors_open and ch4_npz_open. Close also after an error. */
ch4_status ch4_array_file_open(ch4_array_file *out, const char *path, ch4_err *err);
void       ch4_array_file_close(ch4_array_file *file);
bool       ch4_array_file_has(const ch4_array_file *file, const char *name);

/* *out: the array as doubles, floats or bytes (0: zero, 1: anything else), malloc'd, the caller frees it. shape: what is expected, -1 takes any size and is filled in.
 * CH4_ENOENT, CH4_EFORMAT (another rank or size), CH4_ENOMEM. */
ch4_status ch4_array_file_f64(double **out, const ch4_array_file *file, const char *name, int rank, int64_t *shape, ch4_err *err);
ch4_status ch4_array_file_f32(float **out, const ch4_array_file *file, const char *name, int rank, int64_t *shape, ch4_err *err);
ch4_status ch4_array_file_flags(uint8_t **out, const ch4_array_file *file, const char *name, int rank, int64_t *shape, ch4_err *err);

#endif
