/* ch4_safetensors: a read-only, memory-mapped safetensors file, and a writer.
 *
 * Container: 8-byte little-endian header length, JSON header {name: {dtype, shape, data_offsets}}, raw little-endian data.
 * The header is hostile until checked: dtype known, rank <= 5, product of the shape equal to the byte range, ranges inside the file,
 * disjoint, without holes. A sharded model is opened by its index, NAME.index.json: {"weight_map": {tensor: file}}, files in the same
 * folder; index and files must agree on every tensor. Nothing is read before it is used, so a file may be larger than the memory; while it is
 * open it must not be cut off (the process would end by SIGBUS). Everything here may be called from several threads after open. */
#ifndef CH4_TENSOR_SAFETENSORS_H
#define CH4_TENSOR_SAFETENSORS_H

#include "tensor/tensor.h"

typedef struct ch4_safetensors ch4_safetensors;

/* CH4_ENOENT, CH4_EIO, CH4_EFORMAT (text: path and what is wrong). Views borrow from *out and die with it. */
ch4_status ch4_safetensors_open(ch4_safetensors **out, const char *path, ch4_err *err);
void       ch4_safetensors_close(ch4_safetensors **file);

int64_t     ch4_safetensors_count(const ch4_safetensors *file);
const char *ch4_safetensors_name(const ch4_safetensors *file, int64_t index);  /* sorted by name */
const char *ch4_safetensors_path(const ch4_safetensors *file);
const char *ch4_safetensors_path_of(const ch4_safetensors *file, const char *name); /* the part that holds a tensor; of none: the path */

/* True if a tensor of that name exists. */
bool ch4_safetensors_has(const ch4_safetensors *file, const char *name);

/* View of a tensor by name, aligned for its type: a view of the mapping, or, where the file does not align it, of a copy that is made at the
 * first call and lives as long as the file. CH4_ENOENT names file and tensor; CH4_ENOMEM. */
ch4_status ch4_safetensors_get(const ch4_safetensors *file, const char *name, ch4_tensor *out, ch4_err *err);

/* The same without a copy: the view may lie at any address. For ch4_tensor_to_f32 and its like and ops->upload, which do not mind. */
ch4_status ch4_safetensors_peek(const ch4_safetensors *file, const char *name, ch4_tensor *out, ch4_err *err);

/* Advice on the pages of a mapped tensor: it will be read soon (the system begins to fetch it), it will not be read for a while (its pages no longer
 * count as this process's memory; reading it again is still right). Unknown names are ignored. */
void ch4_safetensors_prefetch(const ch4_safetensors *file, const char *name);
void ch4_safetensors_release(const ch4_safetensors *file, const char *name);

typedef struct ch4_named_tensor {
    const char *name;
    ch4_tensor tensor; /* contiguous host data */
} ch4_named_tensor;

/* Writes count tensors in the given order through a temporary name, synced and renamed. Names must be unique. */
ch4_status ch4_safetensors_save(const char *path, const ch4_named_tensor *tensors, int64_t count, ch4_err *err);

#endif
