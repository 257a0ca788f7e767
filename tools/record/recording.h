/* A recording: what a stage of a run received and sent, with the files that it read, in one file that can be fed to the stage alone.
 *
 * "CH4REC1\n", then records: kind (1 byte), 7 zero bytes, length of the name and of the payload (8 bytes each, little-endian), XXH3 of both as 32 hex digits, name,
 * payload. It is only ever appended to: cut off by a crash it is good up to its last whole record.
 *   H  head: "STAGE RUN_ID VERSION"     C  run.yaml            F  a file of the run: name is its path in OUT
 *   M  message: a Tap (bus/tap.h)       E  end: the recorder ended by itself; "MISSED LOST": messages it was too slow for, files that were gone */
#ifndef CH4_RECORDING_H
#define CH4_RECORDING_H

#include <stdint.h>
#include <stdio.h>

#include "base/base.h"

typedef struct ch4_record {
    char kind;
    char name[1100];
    const uint8_t *data; /* borrowed from the recording */
    size_t size;
} ch4_record;

/* Appends a record. CH4_EIO, CH4_ENOSPC. */
ch4_status ch4_recording_begin(FILE **out, const char *path, ch4_err *err); /* a new file, with the magic */
ch4_status ch4_recording_add(FILE *f, char kind, const char *name, const void *data, size_t size, ch4_err *err);

typedef struct ch4_recording {
    const uint8_t *data; /* mapped */
    size_t mapped, size, at; /* size: what of it is good, as far as is known */
    char path[4096];
} ch4_recording;

/* CH4_ENOENT, CH4_EFORMAT: not a recording. */
ch4_status ch4_recording_open(ch4_recording *out, const char *path, ch4_err *err);
void       ch4_recording_close(ch4_recording *r);
void       ch4_recording_rewind(ch4_recording *r);

/* Next record. CH4_EAGAIN: none is left. CH4_EFORMAT: the rest is cut off or damaged. */
ch4_status ch4_recording_next(ch4_recording *r, ch4_record *out, ch4_err *err);

#endif
