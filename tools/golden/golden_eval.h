/* What the evaluation sections share. A section is one function over one case of index.json: config is the object of the case (args,
 * expected, tol), io the safetensors file that it names, dir the folder of index.json. */
#ifndef CH4_GOLDEN_EVAL_H
#define CH4_GOLDEN_EVAL_H

#include "golden.h"

/* X(section): run by ch4_golden_eval_<section>. */
#define CH4_GOLDEN_EVAL_SECTIONS(X) \
    X(pingpong)                     \
    X(rng)                          \
    X(chamfer)                      \
    X(icp)                          \
    X(shape)                        \
    X(actionbench)                  \
    X(tapvid)                       \
    X(badja)                        \
    X(worldtrack)                   \
    X(tapvid3d)                     \
    X(pose)                         \
    X(minibench)

#define X(section) ch4_golden_run ch4_golden_eval_##section;
CH4_GOLDEN_EVAL_SECTIONS(X)
#undef X

/* Compares value with expected.<path> (null: NaN) under an absolute tolerance; a path that is not there is a failure. */
void ch4_golden_expect(ch4_golden_case *c, double value, double tolerance, const char *path);

/* tol if it is a number, else tol.<key>; `otherwise` where the case states none or states it in words. */
double ch4_golden_eval_tol(const ch4_golden_case *c, const char *key, double otherwise);

/* The part of the case's name after "section/"; the whole name where there is no slash. */
const char *ch4_golden_eval_name(const ch4_golden_case *c);

/* dir/<file> as JSON, for cases that are kept in a JSON file; the caller decrefs. */
ch4_status ch4_golden_eval_json(json_t **out, const ch4_golden_case *c, ch4_err *err);

/* Tensors copied as float or double of rank dimensions, trailing size `last` (-1: any): shape[rank] is filled in. CH4_EFORMAT. */
ch4_status ch4_golden_eval_f32(ch4_golden_case *c, float **out, int64_t *shape, int rank, int64_t last, ch4_err *err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
ch4_status ch4_golden_eval_f64(ch4_golden_case *c, double **out, int64_t *shape, int rank, int64_t last, ch4_err *err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* The same for flags: bytes 0 or 1. */
ch4_status ch4_golden_eval_u8(ch4_golden_case *c, uint8_t **out, int64_t *shape, int rank, int64_t last, ch4_err *err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));

#endif
