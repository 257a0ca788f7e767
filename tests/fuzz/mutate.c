#include "tests/fuzz/mutate.h"

#include <string.h>

static uint64_t draw(ch4_mutator *m)
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return m->state * 0x2545F4914F6CDD1Dull >> 11;
}

size_t ch4_mutator_below(ch4_mutator *m, size_t n)
{
    return n ? (size_t)(draw(m) % n) : 0;
}

/* Mostly short: one of up to 8, 64 or n bytes. */
static size_t length(ch4_mutator *m, size_t n)
{
    size_t cap[] = {8, 64, n}, c = cap[ch4_mutator_below(m, 3)];
    return ch4_mutator_below(m, c < n ? c : n) + (n > 0);
}

/* Puts `n` bytes in the place of `old` bytes at `at`, as far as there is room. bytes may not lie in data. */
static size_t replace(const ch4_mutator *m, uint8_t *data, size_t size, size_t at, size_t old, const void *bytes, size_t n)
{
    if (size - old + n > m->max_size)
        return size;
    memmove(data + at + n, data + at + old, size - at - old);
    memcpy(data + at, bytes, n);
    return size - old + n;
}

static size_t change_number(ch4_mutator *m, uint8_t *data, size_t size)
{
    static const int64_t special[] = {0, 1, -1, 7, 8, 16, 127, 128, 255, 256, 32767, 65535, 65536, 2147483647, 2147483648, 4294967295, 4294967296, INT64_MAX, INT64_MIN};
    size_t width = (size_t)1 << ch4_mutator_below(m, 4);
    if (size < width)
        return size;
    size_t at = ch4_mutator_below(m, size - width + 1);
    int64_t v = special[ch4_mutator_below(m, sizeof special / sizeof *special)];
    if (draw(m) % 2) { /* a little more or less than what is there */
        v = 0;
        memcpy(&v, data + at, width);
        v = (int64_t)((uint64_t)v + draw(m) % 17 - 8);
    }
    memcpy(data + at, &v, width);
    return size;
}

/* A written number becomes another. */
static size_t change_digits(ch4_mutator *m, uint8_t *data, size_t size)
{
    static const char *const special[] = {"0", "1", "-1", "2", "3", "16", "255", "65536", "4294967296", "4611686018427387904", "9223372036854775807",
                                          "9223372036854775808", "-9223372036854775808", "1e400", "1e-400", "0.5", "nan", "1e9", "100000"};
    size_t at = ch4_mutator_below(m, size), from = at, to;
    while (from < size && (data[from] < '0' || data[from] > '9'))
        from++;
    for (to = from; to < size && data[to] >= '0' && data[to] <= '9';)
        to++;
    const char *s = special[ch4_mutator_below(m, sizeof special / sizeof *special)];
    return from < size ? replace(m, data, size, from, to - from, s, strlen(s)) : size;
}

static size_t put_word(ch4_mutator *m, uint8_t *data, size_t size)
{
    size_t n = 0;
    while (m->words[n])
        n++;
    if (!n)
        return size;
    const char *word = m->words[ch4_mutator_below(m, n)];
    size_t len = strlen(word), at = ch4_mutator_below(m, size + 1), old = draw(m) % 2 && at + len <= size ? len : 0;
    return replace(m, data, size, at, old, word, len);
}

static size_t put_piece(ch4_mutator *m, uint8_t *data, size_t size, const uint8_t *from, size_t from_size)
{
    uint8_t piece[4096];
    size_t n = length(m, from_size < sizeof piece ? from_size : sizeof piece);
    if (!from_size)
        return size;
    size_t at = ch4_mutator_below(m, from_size - n + 1), to = ch4_mutator_below(m, size + 1), old = draw(m) % 2 && to + n <= size ? n : 0;
    memcpy(piece, from + at, n);
    return replace(m, data, size, to, old, piece, n);
}

static size_t drop(ch4_mutator *m, uint8_t *data, size_t size)
{
    size_t n = length(m, size);
    return size ? replace(m, data, size, ch4_mutator_below(m, size - n + 1), n, "", 0) : size;
}

static size_t change_byte(ch4_mutator *m, uint8_t *data, size_t size)
{
    if (size && draw(m) % 2)
        data[ch4_mutator_below(m, size)] ^= (uint8_t)(1u << draw(m) % 8);
    else if (size)
        data[ch4_mutator_below(m, size)] = (uint8_t)draw(m);
    return size;
}

size_t ch4_mutate(ch4_mutator *m, uint8_t *data, size_t size, const uint8_t *other, size_t other_size)
{
    for (size_t left = (size_t)1 << ch4_mutator_below(m, 4); left > 0; left--)
        switch (ch4_mutator_below(m, 8)) {
        case 0: size = change_byte(m, data, size); break;
        case 1: size = change_number(m, data, size); break;
        case 2: size = change_digits(m, data, size); break;
        case 3: size = put_word(m, data, size); break;
        case 4: size = put_piece(m, data, size, data, size); break;
        case 5: size = put_piece(m, data, size, other, other_size); break;
        case 6: size = drop(m, data, size); break;
        default: size = size ? replace(m, data, size, ch4_mutator_below(m, size), 0, &(uint8_t){(uint8_t)draw(m)}, 1) : size; break;
        }
    return size;
}
