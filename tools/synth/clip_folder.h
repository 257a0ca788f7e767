/* Folders and small files of a clip. */
#ifndef CH4_SYNTH_CLIP_FOLDER_H
#define CH4_SYNTH_CLIP_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* mkdir -p. */
ch4_status ch4_synth_make_folder(const char *path, ch4_err *err);

/* Removes the files of a folder that match a pattern of fnmatch; no such folder is fine. */
ch4_status ch4_synth_remove_files(const char *folder, const char *pattern, ch4_err *err);

/* folder/<begin>NN<end> with two digits, or as many as the last of n needs. */
void ch4_synth_numbered_path(char *out, size_t size, const char *folder, const char *begin, int64_t i, int64_t n, const char *end);

/* A mesh as OBJ, every float so that it comes back exactly. vert [n_vert,3], face [n_face,3] from 0. */
ch4_status ch4_synth_obj_save(const char *path, const float *vert, int64_t n_vert, const int32_t *face, int64_t n_face, ch4_err *err);

#endif
