/* Checked access to the accessors of a GLB in memory. */
#ifndef CH4_MESH_GLB_IMPL_H
#define CH4_MESH_GLB_IMPL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct glb_file {
    const char *name;
    json_t *root;
    const uint8_t *bin;
    size_t bin_size;
} glb_file;

/* Elements of an accessor; every byte lies inside the file. */
typedef struct glb_view {
    const uint8_t *data;
    size_t stride;
    int64_t count;
    int type, width; /* componentType; components per element */
    bool normalized;
} glb_view;

/* Header and chunks; f->root is owned by the caller (json_decref). */
ch4_status glb_open(glb_file *f, const uint8_t *data, size_t size, const char *name, ch4_err *err);

/* Element i of array `key` of the root; NULL if there is none. */
json_t *glb_item(const glb_file *f, const char *key, json_t *index);

/* Whole number of an object: `otherwise` where the key is absent; false for anything else than a number in [0, 2^53]. */
bool glb_size(json_t *object, const char *key, int64_t otherwise, int64_t *out);

/* The accessor that attribute or index `index` names, with width components of type `type_name` ("VEC3"). */
ch4_status glb_accessor(glb_view *out, const glb_file *f, json_t *index, const char *type_name, int width, const char *what, ch4_err *err);

double   glb_real(const glb_view *v, int64_t i, int component); /* normalised integers become [0,1] or [-1,1] */
uint32_t glb_index(const glb_view *v, int64_t i);

/* Bytes of bufferView `index`. */
ch4_status glb_bytes(const uint8_t **out, size_t *size, size_t *stride, const glb_file *f, json_t *index, const char *what, ch4_err *err);

#endif
