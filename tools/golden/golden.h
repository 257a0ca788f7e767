/* chain4d-golden: runs recorded reference cases and compares every recorded tensor.
 *
 * A case is a folder (config.json with io.safetensors, windows.json or weights.safetensors) or a pair <kind>/<case>.json and
 * <case>.safetensors. Sizes, depths and seeds are read from the case, never assumed. A kind is one function in
 * golden_<topic>.c and one line in CH4_GOLDEN_KINDS; it reads its inputs, computes, and calls a check for each result.
 *
 * Memory: everything that an input or alloc function returns lives until the case ends; nothing is freed by a kind.
 * Not thread-safe: one case at a time, checks from the thread that runs it. */
#ifndef CH4_GOLDEN_H
#define CH4_GOLDEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "tensor/safetensors.h"

/* X(name): the kind `name` is run by ch4_golden_<name>. */
#define CH4_GOLDEN_KINDS(X)                                                                                            \
    X(pnp)                                                                                                             \
    X(rays)                                                                                                            \
    X(image_preproc)                                                                                                   \
    X(meshes)                                                                                                          \
    X(fps)                                                                                                             \
    X(geodesic)                                                                                                        \
    X(smoothing)                                                                                                       \
    X(procrustes)                                                                                                      \
    X(animate)                                                                                                         \
    X(chain)                                                                                                           \
    X(denoiser_forward)                                                                                                \
    X(denoiser_sample4)                                                                                                \
    X(triposg_dit_forward)                                                                                             \
    X(scheduler)                                                                                                       \
    X(windows)                                                                                                         \
    X(embeddings)                                                                                                      \
    X(triposg_vae_decode)                                                                                              \
    X(triposg_vae_encode)                                                                                              \
    X(autoencoder_stage2)                                                                                              \
    X(dinov2)

typedef struct ch4_golden_tally {
    int64_t cases, tensors, failed, uncovered, unchecked; /* cases run, tensors compared, failed, cases of no kind, results not compared */
    double worst;                                         /* largest share of a tolerance that was used and still held */
} ch4_golden_tally;

typedef struct ch4_golden_case {
    const char *label;         /* path below the argument, for messages */
    const char *dir;           /* folder of its files */
    json_t *config;            /* config.json or <case>.json; never NULL, maybe empty */
    ch4_safetensors *io;       /* io.safetensors or <case>.safetensors; NULL where the case has none */
    ch4_safetensors *weights;  /* weights.safetensors, or NULL */
    const char *backend;       /* name of an op table: "ref" or "cpu" */
    ch4_pool *pool;            /* for loops outside the op table */
    bool quiet;                /* print failures only */
    struct ch4_golden_state *state;
    ch4_golden_tally *tally;
} ch4_golden_case;

typedef ch4_status ch4_golden_run(ch4_golden_case *c, ch4_err *err);

typedef struct ch4_golden_kind {
    const char *name;
    ch4_golden_run *run;
} ch4_golden_kind;

#define X(name) ch4_golden_run ch4_golden_##name;
CH4_GOLDEN_KINDS(X)
#undef X

/* The table, ended by a NULL name. */
const ch4_golden_kind *ch4_golden_kinds(void);

/* Kind for a text: equal, or the longest name that begins it and is not followed by a letter or digit
 * ("fps" for "fps-b", "denoiser_forward" for "denoiser_forward_seed7"). NULL if there is none. */
const ch4_golden_kind *ch4_golden_find_kind(const char *text);

/* --- inputs ------------------------------------------------------------------------------------------------------------ */

/* count * size zeroed bytes that live until the case ends. CH4_ENOMEM. */
ch4_status ch4_golden_alloc(ch4_golden_case *c, void *out, size_t count, size_t size, ch4_err *err);

bool ch4_golden_has(const ch4_golden_case *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* View of tensor `fmt...` of the case's io file in the dtype in which it is stored. CH4_ENOENT. */
ch4_status ch4_golden_raw(ch4_golden_case *c, ch4_tensor *out, ch4_err *err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same converted to dtype (F32, F64, I32 or I64), contiguous; whole numbers may be stored as floats, and a value that is
 * not a whole number is CH4_EFORMAT for the integer types. */
ch4_status ch4_golden_tensor(ch4_golden_case *c, ch4_tensor *out, ch4_dtype dtype, ch4_err *err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Opens a safetensors file next to the case ("../meshes/x.safetensors"); closed when the case ends. */
ch4_status ch4_golden_open_near(ch4_golden_case *c, ch4_safetensors **out, ch4_err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Values of the config by a dotted path ("model.width", "variants.some.inflated_layers"); elements of arrays by number.
 * The _or forms answer `otherwise` where the path or the type does not fit, the others CH4_EFORMAT naming the path. */
json_t    *ch4_golden_json(const ch4_golden_case *c, const char *path); /* borrowed; NULL where absent */
ch4_status ch4_golden_int(const ch4_golden_case *c, int64_t *out, const char *path, ch4_err *err);
ch4_status ch4_golden_real(const ch4_golden_case *c, double *out, const char *path, ch4_err *err);
int64_t    ch4_golden_int_or(const ch4_golden_case *c, const char *path, int64_t otherwise);
double     ch4_golden_real_or(const ch4_golden_case *c, const char *path, double otherwise);

/* --- checks --------------------------------------------------------------------------------------------------------------
 * Each prints one line (case, tensor, largest error, tolerance, share of the tolerance used, ok or FAIL) and counts. An
 * element holds when |got - want| <= atol + rtol * |want|, or when both are NaN. The line shows error and tolerance of the
 * element that used the largest share of its tolerance. A different number of elements is a failure. */

/* Against tensor "out.<name>" (or "<name>") of the case's io file with config.tolerance.<name>.{atol,rtol}. A result that is
 * recorded without a tolerance is a failure. */
void ch4_golden_check_f32(ch4_golden_case *c, const float *got, int64_t count, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void ch4_golden_check_f64(ch4_golden_case *c, const double *got, int64_t count, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same with a tolerance given by the caller (geometry cases state theirs in words). */
void ch4_golden_check_close(ch4_golden_case *c, const double *got, int64_t count, double atol, double rtol, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* Against values that are not a tensor of the file; `name` is only printed. */
void ch4_golden_check_values(ch4_golden_case *c, const double *got, const double *want, int64_t count, double atol, double rtol,
                             const char *fmt, ...) __attribute__((format(printf, 7, 8)));

/* Whole numbers against tensor "out.<name>" or "<name>". gap, if not NULL, has one entry per row of count / n_rows numbers;
 * rows whose gap is not above min_gap are left out (the decision was not clear), and the line says how many. */
void ch4_golden_check_index(ch4_golden_case *c, const int64_t *got, int64_t count, const double *gap, int64_t n_rows, double min_gap,
                            const char *fmt, ...) __attribute__((format(printf, 7, 8)));

/* A measured number that must not exceed a limit (NaN fails), and a plain condition. */
void ch4_golden_check_at_most(ch4_golden_case *c, double value, double limit, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void ch4_golden_check_true(ch4_golden_case *c, bool holds, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Says that a recorded tensor was compared by other means, or deliberately not at all: it is then not reported as unchecked. */
void ch4_golden_mark(ch4_golden_case *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- the walk (main.c) --------------------------------------------------------------------------------------------------- */

typedef struct ch4_golden_options {
    const char *backend;
    ch4_pool *pool;
    bool quiet;
} ch4_golden_options;

/* Runs every case at and below path, in order of name. Failed checks and cases only count in *tally; the status is for a path
 * that cannot be read. */
ch4_status ch4_golden_walk(const char *path, const ch4_golden_options *options, ch4_golden_tally *tally, ch4_err *err);

/* Opens the case's files (json_path, io_path, weights_path may be NULL), runs it, prints, counts, closes. */
void ch4_golden_run_case(const ch4_golden_kind *kind, const char *label, const char *dir, const char *json_path, const char *io_path,
                         const char *weights_path, const ch4_golden_options *options, ch4_golden_tally *tally);

/* The same for a case that is one object of a larger file (borrowed); io_path may be NULL. */
void ch4_golden_run_entry(const ch4_golden_kind *kind, const char *label, const char *dir, json_t *config, const char *io_path,
                          const ch4_golden_options *options, ch4_golden_tally *tally);

/* Runs the cases of an evaluation index (golden_eval.c): dir/index.json, parsed. Cases of a section that is not covered are named. */
void ch4_golden_run_eval(const char *label, const char *dir, json_t *cases, const ch4_golden_options *options, ch4_golden_tally *tally);

#endif
