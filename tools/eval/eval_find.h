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
    int64_t n_results; /* result folders found, whether they belong to a truth or not */
} ch4_eval_pairs;

/* Truths: gt itself if it holds gt.safetensors, else its subfolders that do. Results: folders with vertices.npy in the run folders, up to two
 * levels down. A result belongs to the truth whose name it, or the folder above it, has (runs/NAME/video or run/NAME); a
 * single result belongs to a single truth whatever their names.
 * CH4_ENOENT: a folder is not there, no truth, or no result for any truth; CH4_EFORMAT: two results for one truth.
 * The caller frees *out with fini, also after an error. */
ch4_status ch4_eval_find(ch4_eval_pairs *out, const char *gt, char *const *runs, int n_runs, ch4_err *err);
/* The same for other files: a truth folder holds truth_file; a result folder holds a file that matches one of the shell patterns result_files (ended by
 * NULL). Truths without a result are there with result NULL, also if there is no result at all. */
ch4_status ch4_eval_find_files(ch4_eval_pairs *out, const char *gt, char *const *runs, int n_runs, const char *truth_file, const char *const *result_files,
                               ch4_err *err);
void       ch4_eval_pairs_fini(ch4_eval_pairs *pairs);

#endif
