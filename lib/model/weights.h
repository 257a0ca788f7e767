/* ch4_weights: the parameters of one network in backend memory, read from a safetensors file and checked against what the network names.
 *
 * The first error sticks: loading code calls get after get without looking, and ch4_weights_finish returns the first failure, or the
 * name of a tensor that nobody asked for. Every message names tensor and file. Names may carry the component "_orig_mod." that compiled
 * blocks leave behind; it is dropped. F16, BF16 and F32 files are accepted, parameters are f32 in memory.
 * A survey walks through the same calls without a backend: nothing is read or kept, and every problem is reported instead of the first.
 * Owner: the network. Not thread-safe. */
#ifndef CH4_MODEL_WEIGHTS_H
#define CH4_MODEL_WEIGHTS_H

#include "nn/nn.h"
#include "tensor/safetensors.h"

typedef struct ch4_weights ch4_weights;

/* Borrows nn (until destroy) and file (until finish). */
ch4_status ch4_weights_create(ch4_weights **out, ch4_nn *nn, const ch4_safetensors *file, ch4_err *err);
void       ch4_weights_destroy(ch4_weights **w);

typedef struct ch4_weights_report {
    void (*problem)(void *ctx, const char *text); /* each missing, extra or misshapen tensor, named with its file; may be NULL */
    void *ctx;
    int64_t problems, tensors;
    int64_t parameters;                  /* of the network */
    int64_t loaded;                      /* of the part that is loaded */
    int64_t by_dtype[CH4_DTYPE_COUNT];   /* parameters as they are stored */
} ch4_weights_report;

/* A survey of file; report is filled until finish, which adds what nobody asked for and then returns CH4_OK. */
ch4_status ch4_weights_survey(ch4_weights **out, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err);

/* Tensor `fmt...` of the given shape into backend memory; *out is a view that lives as long as *w. rank 1 to 4. */
void ch4_weights_get(ch4_weights *w, ch4_tensor *out, int rank, const int64_t *shape, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same into host memory at dst (for parameters that are rearranged before they are put on the backend). */
void ch4_weights_read(ch4_weights *w, float *dst, int rank, const int64_t *shape, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Host values of the given shape onto the backend. */
void ch4_weights_put(ch4_weights *w, ch4_tensor *out, const float *values, int rank, const int64_t *shape);

/* Zeroed host scratch of n floats that lives until it is dropped, or until finish; NULL after an error and in a survey. */
float *ch4_weights_scratch(ch4_weights *w, int64_t n);

/* The tensor belongs to the file but not to the part that is loaded: its presence and shape are checked, nothing is read. */
void ch4_weights_expect(ch4_weights *w, int rank, const int64_t *shape, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Frees all scratch: what is loaded part by part needs no more than the largest part at a time. */
void ch4_weights_drop_scratch(ch4_weights *w);

/* True while values are at hand: nothing has failed, and this is no survey. */
bool ch4_weights_ok(const ch4_weights *w);

/* First error of the calls above (CH4_EFORMAT, CH4_ENOENT, CH4_ENOMEM), or CH4_EFORMAT for a tensor that no call has named. */
ch4_status ch4_weights_finish(ch4_weights *w, ch4_err *err);

#define CH4_SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

#endif
