/* The search: every head alone, then sets of the best, then how their mean is normalised; each step only where the gain is more than noise.
 *
 * An error is a mean over the moving points of a clip; errors of a choice are [n_clip]. Two choices are compared clip by clip: b is better than a if
 * mean(a - b) > accept * sd(a - b) / sqrt(n) over the clips that take part in the choice (all but the held-out ones). */
#ifndef CH4_CAL_SEARCH_H
#define CH4_CAL_SEARCH_H

#include "tools/calibrate/cal_maps.h"

enum { CH4_CAL_WAYS = 3, CH4_CAL_MOST = 16 }; /* values of ch4_capture_direction; heads of a set */

typedef struct ch4_cal_options {
    ch4_cal_clip_options clip;
    int64_t holdout;   /* last clips, which choose nothing */
    int64_t shortlist; /* heads per step that may enter a set */
    int64_t steps;     /* best steps for which sets are grown */
    int64_t most;      /* heads of a set, at most CH4_CAL_MOST */
    double accept;     /* standard errors */
    bool quiet;
    const char *scratch; /* folder of the file of maps */
} ch4_cal_options;

/* A head alone, or all heads of a layer, in one direction. */
typedef struct ch4_cal_single {
    int step, layer, head; /* head -1: all of the layer */
    ch4_capture_direction direction;
    double *error, *top1;  /* [n_clip] */
    double mean, se, mean_top1; /* over the choosing clips */
} ch4_cal_single;

/* A set of heads and how it is read. */
typedef struct ch4_cal_choice {
    int step, n;
    int layer[CH4_CAL_MOST], head[CH4_CAL_MOST];
    ch4_cal_reading reading;
    double *error;         /* [n_clip], owned */
    double mean, se;       /* over the choosing clips */
    double held, held_se;  /* over the held-out ones; NAN if there are none */
} ch4_cal_choice;

typedef struct ch4_cal_result {
    int64_t n_clip, n_choosing; /* clips that could be opened; of these the first n_choosing choose */
    const char **clip;          /* [n_clip] names, borrowed */
    double *still, *nearest;    /* [n_clip] */
    ch4_cal_single *single;     /* sorted, best first */
    int64_t n_single;
    int steps;                  /* of the sampling */
    bool identity;              /* top-1 means something: tokens keep their number from frame to frame */
    ch4_cal_choice now;         /* what model.yaml says; n = 0 where that is more than CH4_CAL_MOST heads */
    ch4_cal_choice best;
    bool better;                /* best is better than now by more than noise, and on the held-out clips, if there are any, too */
    int64_t n_failed;           /* clips that could not be opened */
    size_t clip_bytes, map_bytes; /* of all clips in memory; of the file of maps */
} ch4_cal_result;

/* pairs: clip folders in order of name; jobs models are opened, each with its own weights, and clips are worked on side by side. Lines about what it does go
 * to stderr unless quiet. The same numbers for any number of jobs. Free with fini, also after an error. CH4_EFORMAT: fewer than two usable choosing clips. */
ch4_status ch4_cal_search(ch4_cal_result *out, const char *const *name, const char *const *folder, int64_t n, const ch4_config *config, int jobs,
                          const ch4_cal_options *options, ch4_err *err);
void       ch4_cal_result_fini(ch4_cal_result *result);

/* Mean and standard error of the n values from `first` on; se NAN for n < 2, both for n = 0. */
void ch4_cal_mean(double *mean, double *se, const double *x, int64_t first, int64_t n);

/* b better than a, as above. */
bool ch4_cal_better(const double *a, const double *b, int64_t n, double accept);

#endif
