/* Which result belongs to which truth. */
#ifndef CH4_EVAL_FIND_H
#define CH4_EVAL_FIND_H

#include "base/base.h"

typedef struct ch4_eval_pair {
    char *name;   /* of the truth folder */
    char *truth;  /* folder with gt.safetensors */
    char *result; /* folder with vertices.npy; NULL: no run has one for this truth */
} ch4_eval_pair;

typedef struct ch4_eval_pairs {
    ch4_eval_pair *pair; /* sorted by name */
    int64_t n;
} ch4_eval_pairs;

/* Truths: gt itself if it holds gt.safetensors, else its subfolders that do. Results: folders with vertices.npy in the run folders, up to two
 * levels down. A result belongs to the truth whose name it, or the folder above it, has (runs/NAME/video or run/NAME); a
 * single result belongs to a single truth whatever their names.
 * CH4_ENOENT: a folder is not there, no truth, or no result for any truth; CH4_EFORMAT: two results for one truth.
 * The caller frees *out with fini, also after an error. */
ch4_status ch4_eval_find(ch4_eval_pairs *out, const char *gt, char *const *runs, int n_runs, ch4_err *err);
void       ch4_eval_pairs_fini(ch4_eval_pairs *pairs);

#endif
