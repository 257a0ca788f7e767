/* The parts of the search: cal_search.c opens clips and calls the others in turn, cal_rank.c scores every head alone and makes the short list, cal_sets.c grows and
 * tunes a set. */
#ifndef CH4_CAL_SEARCH_IMPL_H
#define CH4_CAL_SEARCH_IMPL_H

#include "base/base.h"
#include "tools/calibrate/cal_search.h"

typedef struct ch4_cal_work {
    ch4_cal_result *out;
    const ch4_cal_options *options;
    ch4_pool *pool;
    int jobs;
    ch4_cal_model *model;     /* [jobs] */
    ch4_cal_scratch *scratch; /* [jobs] */
    ch4_cal_clip *clip;       /* [n_clip] */
    ch4_status *status;       /* [n] of a parallel loop, first error in order of clips wins */
    ch4_err *why;             /* [n] */
    ch4_cal_store store;
    ch4_cal_slot *slot;       /* of the store; the last one is what model.yaml says */
    int n_slots;
} ch4_cal_work;

/* A line of progress on stderr, unless --quiet. */
void ch4_cal_say(const ch4_cal_work *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The error of the first clip that has one, after a parallel loop. */
ch4_status ch4_cal_join(const ch4_cal_work *s, int64_t n, ch4_err *err);

/* How model.yaml reads maps, and which step. */
ch4_cal_reading ch4_cal_reading_now(const ch4_cal_work *s);
int             ch4_cal_step_now(const ch4_cal_work *s);

/* Fills out->single. */
ch4_status ch4_cal_rank_heads(ch4_cal_work *s, ch4_err *err);

/* Slots of the short list of one step. */
int ch4_cal_listed_of_step(const ch4_cal_work *s, int step);

/* Makes the short list and reads its maps into the store. */
ch4_status ch4_cal_fill_store(ch4_cal_work *s, ch4_err *err);

/* Fills out->now, out->best and out->better from the store. */
ch4_status ch4_cal_choose(ch4_cal_work *s, ch4_err *err);

#endif
