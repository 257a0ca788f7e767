/* Which predicted tracks belong to which true ones, as files. */
#ifndef CH4_EVAL_TRACK_PAIRS_H
#define CH4_EVAL_TRACK_PAIRS_H

#include "tools/eval/array_file.h"
#include "tools/eval/eval_request.h"

/* True if a family scores against this file. */
typedef bool (*ch4_track_wants)(const ch4_array_file *truth);

/* Truths: files NAME.npz in the truth folder, tracks.npz or tracks.safetensors in it or in its subfolders NAME, or the file that is given itself. Those that wants
 * refuses are left out; those that cannot be opened are in if take_broken. Predictions: NAME.npz, NAME/tracks.npz or NAME/tracks.safetensors below one of the
 * results, or a result that is such a file or such a folder itself. truth and result of the pairs are paths of files.
 * *applied is false if there is no pair with a result. CH4_ENOMEM. Free with ch4_eval_pairs_fini, also after an error. */
ch4_status ch4_track_pairs(ch4_eval_pairs *out, bool *applied, const ch4_eval_request *request, ch4_track_wants wants, bool take_broken, ch4_err *err);

/* The prediction of NAME as above; only: there is one truth alone, so that its prediction need not have its name. out is empty if there is none. */
void ch4_track_result(char out[4096], const ch4_eval_request *request, const char *name, bool only);

#endif
