/* ch4_weights: the parameters of one network in backend memory, read from a safetensors file and checked against what the network names.
 *
 * The first error sticks: loading code calls get after get without looking, and ch4_weights_finish returns the first failure, or the
 * name of a tensor that nobody asked for. Every message names tensor and file. Names may carry the component "_orig_mod." that compiled
 * blocks leave behind; it is dropped. F16, BF16 and F32 files are accepted. In memory parameters are f32, or matrices keep a smaller type
 * (ch4_weights_set_type). Parts of a network can take turns in one slot of memory (ch4_weights_begin_part).
 * A survey walks through the same calls without a backend: nothing is read or kept, and every problem is reported instead of the first.
 * Owner: the network. Not thread-safe. */
#ifndef CH4_MODEL_WEIGHTS_H
#define CH4_MODEL_WEIGHTS_H

#include "nn/nn.h"
#include "tensor/safetensors.h"

typedef struct ch4_weights ch4_weights;

/* Borrows nn (until destroy) and file (until finish; until destroy where parts are loaded later). */
ch4_status ch4_weights_create(ch4_weights **out, ch4_nn *nn, const ch4_safetensors *file, ch4_err *err);
void       ch4_weights_destroy(ch4_weights **w);

typedef struct ch4_weights_report {
    void (*problem)(void *ctx, const char *text); /* each missing, extra or misshapen tensor, named with its file; may be NULL */
    void (*tensor)(void *ctx, const char *name, int rank, const int64_t *shape); /* each tensor that the network names, in its order; may be NULL */
    void *ctx;
    int64_t problems, tensors;
    int64_t parameters;                  /* of the network */
    int64_t loaded;                      /* of the part that is loaded */
    int64_t by_dtype[CH4_DTYPE_COUNT];   /* parameters as they are stored */
    size_t bytes;                        /* of backend memory that loading takes: what is kept, and the slot of the parts */
} ch4_weights_report;

/* A survey of file, or (file NULL) of what the network names, all of it counted as there. report is filled until finish, which adds what nobody asked for and then returns CH4_OK. */
ch4_status ch4_weights_survey(ch4_weights **out, const ch4_safetensors *file, ch4_weights_report *report, ch4_err *err);

/* What the matrices of `get` and `stack` become in memory. Everything else is f32. */
typedef enum ch4_weights_type {
    CH4_WEIGHTS_F32,
    CH4_WEIGHTS_STORED, /* as the file has them: F32, F16 or BF16 */
    CH4_WEIGHTS_BF16,   /* F32 rounded to bf16, half-precision ones as they are */
} ch4_weights_type;

void ch4_weights_set_type(ch4_weights *w, ch4_weights_type type); /* F32 before the first call */

/* Parts take turns in one slot of backend memory: between begin and end the calls that load a part
 *     CH4_PART_MEASURE   check its names and shapes, so that finish makes the slot large enough;
 *     CH4_PART_LOAD      load it over what the slot held, whose views are dead, and give the pages of the file back;
 *     CH4_PART_PREFETCH  make the system read its pages of the file ahead.
 * LOAD and PREFETCH come after finish, of parts that were measured before it; they allocate nothing. */
typedef enum ch4_weights_part { CH4_PART_NONE, CH4_PART_MEASURE, CH4_PART_LOAD, CH4_PART_PREFETCH } ch4_weights_part;

void       ch4_weights_begin_part(ch4_weights *w, ch4_weights_part how);
ch4_status ch4_weights_end_part(ch4_weights *w, ch4_err *err);

/* Tensor `fmt...` of the given shape into backend memory; *out is a view that lives as long as *w. rank 1 to 4. */
void ch4_weights_get(ch4_weights *w, ch4_tensor *out, int rank, const int64_t *shape, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same into host memory at dst (for parameters that are rearranged before they are put on the backend). */
void ch4_weights_read(ch4_weights *w, float *dst, int rank, const int64_t *shape, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

enum { CH4_STACK_PARTS = 3 };

/* Matrices prefix + part[i] of the shape [rows,columns] below each other, dealt out by rows/heads rows in turn: group g of the stack belongs to
 * part g % n_parts of head g / n_parts. *out, [n_parts rows, columns], has all heads of part 0, then of part 1, and so on. n_parts is at most
 * CH4_STACK_PARTS. */
void ch4_weights_stack(ch4_weights *w, ch4_tensor *out, int64_t rows, int64_t columns, int64_t heads, int n_parts, const char *const *part,
                       const char *prefix);

/* Host values of the given shape onto the backend. */
void ch4_weights_put(ch4_weights *w, ch4_tensor *out, const float *values, int rank, const int64_t *shape);

/* Zeroed host scratch of n floats that lives until it is dropped, or until finish; NULL after an error and in a survey. */
float *ch4_weights_scratch(ch4_weights *w, int64_t n);

/* The tensor belongs to the file but not to the part that is loaded: its presence and shape are checked, nothing is read. */
void ch4_weights_expect(ch4_weights *w, int rank, const int64_t *shape, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Frees all scratch: what is loaded part by part needs no more than the largest part at a time. */
void ch4_weights_drop_scratch(ch4_weights *w);

/* True while values are at hand: nothing has failed, and they are not only named (in a survey, or a part that is not loaded). */
bool ch4_weights_ok(const ch4_weights *w);

/* First error of the calls above (CH4_EFORMAT, CH4_ENOENT, CH4_ENOMEM), or CH4_EFORMAT for a tensor that no call has named. */
ch4_status ch4_weights_finish(ch4_weights *w, ch4_err *err);

#define CH4_SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]){__VA_ARGS__}

#endif
