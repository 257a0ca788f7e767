/* Changes single values of a YAML file of nested block mappings and keeps everything else: comments, order, blank lines. */
#ifndef CH4_YAML_EDIT_H
#define CH4_YAML_EDIT_H

#include <stdio.h>

#include "base/err.h"

/* section.key: value in *text (malloc'ed, replaced): the value on the key's line is exchanged and a comment behind it stays in its column where it can.
 * A missing key is added at the end of its section, a missing section at the end of the file. CH4_EUNSUP: the section or the value is not written
 * in block style on one line; CH4_ENOMEM. */
ch4_status ch4_yaml_set(char **text, const char *section, const char *key, const char *value, ch4_err *err);

/* Lines that differ, "- " and "+ ", for texts of which one came from the other by ch4_yaml_set. */
void ch4_yaml_print_changes(FILE *out, const char *before, const char *after);

/* Whole file as a string, the caller's to free(); and back, under a temporary name, synced, renamed; the mode is kept. CH4_ENOENT, CH4_EIO. */
ch4_status ch4_yaml_load(char **text, const char *path, ch4_err *err);
ch4_status ch4_yaml_save(const char *path, const char *text, ch4_err *err);

#endif
