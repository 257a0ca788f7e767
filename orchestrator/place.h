/* Where things are: sibling programs, the bundled model; and what a file or folder holds, in one number. */
#ifndef CH4_PLACE_H
#define CH4_PLACE_H

#include "base/base.h"

enum { CH4_PLACE_PATH = 4096 };

/* Folder of the running program. */
ch4_status ch4_place_programs(char out[CH4_PLACE_PATH], ch4_err *err);

/* Path of chain4d-<name> beside the running program. CH4_ENOENT if there is none. */
ch4_status ch4_place_program(char out[CH4_PLACE_PATH], const char *name, ch4_err *err);

/* The bundled model: models/mini in the repository that the program was built in, or share/chain4d/models/mini beside its bin folder. */
ch4_status ch4_place_model(char out[CH4_PLACE_PATH], ch4_err *err);

/* Adds to h what identifies the contents of a file (size, first and last 64 KiB) or of a folder (the same of everything in it, by name).
 * Neither times nor the path itself count, so a copy gives the same. CH4_ENOENT, CH4_EIO. */
ch4_status ch4_place_fingerprint(ch4_hash *h, const char *path, ch4_err *err);

#endif
