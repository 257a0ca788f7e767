/* Names that were probably meant: for messages about unknown keys and options. Nothing here keeps state. */
#ifndef CH4_BASE_NEAREST_H
#define CH4_BASE_NEAREST_H

#include <getopt.h>
#include <stddef.h>

#include "base/err.h"

enum { CH4_NEAREST_LENGTH = 80 }; /* longest name that is compared, in characters */

/* Levenshtein distance of a (la characters) and b (lb characters); both at most CH4_NEAREST_LENGTH. */
int ch4_nearest_distance(const char *a, size_t la, const char *b, size_t lb);

/* "unknown option --tread, nearest is --threads; see HELP". given: the word of the command line; table ends with a NULL name, as for
 * getopt_long. Always CH4_EINVAL. */
ch4_status ch4_nearest_option(const char *given, const struct option *table, const char *help, ch4_err *err);

#endif
