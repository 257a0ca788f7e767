/* Mutations of byte strings: bits, bytes, numbers, words of the format, pieces moved, repeated, dropped, or taken from another input. */
#ifndef CH4_TESTS_MUTATE_H
#define CH4_TESTS_MUTATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct ch4_mutator {
    uint64_t state;           /* of the random numbers; not 0 */
    const char *const *words; /* ends with NULL */
    size_t max_size;
} ch4_mutator;

/* In [0,n); 0 for n = 0. */
size_t ch4_mutator_below(ch4_mutator *m, size_t n);

/* Changes data, whose memory has max_size bytes, in one to eight ways; returns the new size. */
size_t ch4_mutate(ch4_mutator *m, uint8_t *data, size_t size, const uint8_t *other, size_t other_size);

#endif
