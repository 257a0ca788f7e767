/* A fuzz target is one file, fuzz_<what>.c, that defines the two symbols below; its inputs lie in corpus/<what>/. There is no list to edit: `make fuzz`
 * mutates the corpora, `make test` replays them. The entry point is libFuzzer's, so that a target also links with that. */
#ifndef CH4_TESTS_FUZZ_H
#define CH4_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input. Returns 0; what must not happen ends the process (CH4_FUZZ_CHECK, a sanitizer, a signal). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the format is made of, for the mutations; ends with NULL. */
extern const char *const ch4_fuzz_words[];

/* Path of a file in memory that holds these bytes; valid until the next call. */
const char *ch4_fuzz_file(const uint8_t *data, size_t size);

/* Ends the process with a message unless the condition holds. */
#define CH4_FUZZ_CHECK(ok) ((ok) ? (void)0 : ch4_fuzz_fail(#ok, __FILE__, __LINE__))
_Noreturn void ch4_fuzz_fail(const char *what, const char *file, int line);

#endif
