/* A cheap look at an input before anything is started for it. */
#ifndef CH4_DECODE_PROBE_H
#define CH4_DECODE_PROBE_H

#include "base/base.h"

enum { CH4_PROBE_TEXT = 256 };

/* Opens a video, picture or folder and decodes its first frame. text: one line on what is there ("97 x 75, alpha, 12 frames"). Errors
 * (CH4_ENOENT, CH4_EFORMAT; one line: path, reason, what to do) are those that a run of it would end with at once. */
ch4_status ch4_decode_probe(char text[CH4_PROBE_TEXT], const char *path, ch4_err *err);

/* `chain4d-decode --probe PATH...`: a line per path, on stdout or, for what cannot be used, on stderr. Exit code 0, or 3 if any is bad. */
int ch4_decode_probe_main(char **paths, int n_paths);

#endif
