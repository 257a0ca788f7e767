/* A folder of numbered pictures as a clip. */
#ifndef CH4_DECODE_FOLDER_H
#define CH4_DECODE_FOLDER_H

#include "base/base.h"

typedef struct ch4_folder {
    char **pictures; /* [n] paths in order */
    char **masks;    /* [n] paths where pictures and masks come in pairs, else NULL */
    int64_t n;
} ch4_folder;

/* Pairs NAME_image.EXT + NAME_mask.EXT (in byte order) if there are any; else all files of one extension (png, jpg, jpeg or
 * webp in either case; the most frequent, earlier in this list if equal) in natural order: 2.png before 10.png. Hidden files are left out.
 * CH4_ENOENT, CH4_EFORMAT: cannot be read, holds no picture, an image without its mask. Free with ch4_folder_fini. */
ch4_status ch4_folder_list(ch4_folder *out, const char *path, ch4_err *err);
void       ch4_folder_fini(ch4_folder *folder);

/* Natural order of names: runs of digits compare as numbers, the rest by bytes; equal then by bytes. <0, 0, >0. */
int ch4_natural_compare(const char *a, const char *b);

#endif
