/* What the kinds that run networks share: opening the backend, reading views and attention out of a probe event. */
#ifndef CH4_GOLDEN_NN_H
#define CH4_GOLDEN_NN_H

#include "golden.h"
#include "model/block.h"

/* Input "in.<name>" as float values of the given rank; t->data is float. CH4_EFORMAT for another rank. */
ch4_status ch4_golden_input(ch4_golden_case *c, ch4_tensor *t, int rank, const char *name, ch4_err *err);

/* Elements of a view in order, contiguous, in memory of the case. */
ch4_status ch4_golden_snapshot(ch4_golden_case *c, ch4_nn *nn, float **out, const ch4_tensor *view, ch4_err *err);

/* Probabilities of an event's attention: per head [B,H,R,C], or their mean over the heads [B,R,C]; rows are those of q. */
ch4_status ch4_golden_head_maps(ch4_golden_case *c, ch4_nn *nn, float **out, const ch4_probe_event *e, ch4_err *err);
ch4_status ch4_golden_mean_map(ch4_golden_case *c, ch4_nn *nn, float **out, const ch4_probe_event *e, ch4_err *err);

/* Checks a view against out.<name> if the case records it. */
ch4_status ch4_golden_check_view(ch4_golden_case *c, ch4_nn *nn, const ch4_tensor *view, ch4_err *err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif
