/* Runs a fuzz target: over the files of its corpus, or over mutations of them, kept when they reach new code.
 *
 * Coverage is gcc's -fsanitize-coverage=trace-pc (config=fuzz): a call at every basic block, of which pairs are counted in a table as AFL does. Without
 * it (any other config) everything works, blindly. The input that is being run lies in a file (--current), mapped, so that it is there after any death. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/mutate.h"

enum { TABLE = 1 << 16, LONGEST = 1 << 16, MAX_KEPT = 1 << 16, TIME_LIMIT = 20 };

extern char __executable_start;
void __sanitizer_cov_trace_pc(void);

static uint8_t counts[TABLE], seen[TABLE];
static uintptr_t last_place;

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&__executable_start;
    place = (place ^ place >> 16) * 0x9E3779B1u >> 4 & (TABLE - 1);
    uint8_t *c = &counts[place ^ last_place];
    *c += *c != 255;
    last_place = place >> 1;
}

_Noreturn void ch4_fuzz_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

const char *ch4_fuzz_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) {
        perror("fuzz: file in memory");
        exit(2);
    }
    return path;
}

static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* of exactly this size, so that a sanitizer sees a step over the end */
    if (!copy)
        exit(2);
    memcpy(copy, data, size);
    memset(counts, 0, sizeof counts);
    last_place = 0;
    alarm(TIME_LIMIT);
    LLVMFuzzerTestOneInput(copy, size);
    alarm(0);
    free(copy);
}

/* Number of pairs of blocks that were never taken this often (counted as 1, 2, 3, 4-7, 8-15, 16-31, 32-127, more). */
static int new_coverage(void)
{
    int found = 0;
    for (int i = 0; i < TABLE; i++) {
        uint8_t c = counts[i], bit = c == 0 ? 0 : c < 4 ? 1 << (c - 1) : c < 8 ? 8 : c < 16 ? 16 : c < 32 ? 32 : c < 128 ? 64 : 128;
        found += (bit & ~seen[i]) != 0;
        seen[i] |= bit;
    }
    return found;
}

static int places_seen(void)
{
    int n = 0;
    for (int i = 0; i < TABLE; i++)
        n += seen[i] != 0;
    return n;
}

typedef struct kept {
    uint8_t *data;
    size_t size;
} kept;

static kept corpus[MAX_KEPT];
static int n_corpus;

static void keep(const uint8_t *data, size_t size)
{
    if (n_corpus == MAX_KEPT)
        return;
    kept k = {malloc(size ? size : 1), size};
    if (!k.data)
        exit(2);
    memcpy(k.data, data, size);
    corpus[n_corpus++] = k;
}

static int read_files(const char *folder, void (*use)(const char *name, const uint8_t *data, size_t size))
{
    static uint8_t data[LONGEST];
    struct dirent **list;
    int n = scandir(folder, &list, NULL, alphasort), used = 0;
    if (n < 0) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
        FILE *f = list[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (f) {
            size_t size = fread(data, 1, sizeof data, f);
            fclose(f);
            use(path, data, size);
            used++;
        }
        free(list[i]);
    }
    free(list);
    return used;
}

static void replay_file(const char *name, const uint8_t *data, size_t size)
{
    printf("%s\n", name);
    fflush(stdout);
    run_one(data, size);
}

static void start_from(const char *name, const uint8_t *data, size_t size)
{
    (void)name;
    run_one(data, size);
    new_coverage();
    keep(data, size);
}

/* The page of a file in which the input lies while it runs: its size, then its bytes. */
static uint8_t *map_current(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    uint8_t *map = fd < 0 || ftruncate(fd, 8 + LONGEST) != 0 ? MAP_FAILED : mmap(NULL, 8 + LONGEST, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    close(fd);
    return map;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fuzz(double seconds, uint64_t seed, uint8_t *current, const char *name)
{
    ch4_mutator m = {.state = seed ? seed : 1, .words = ch4_fuzz_words, .max_size = LONGEST};
    double begin = now(), said = begin;
    uint64_t runs = 0;
    static uint8_t data[LONGEST];
    for (;;) {
        const kept *from = &corpus[ch4_mutator_below(&m, (size_t)n_corpus)], *other = &corpus[ch4_mutator_below(&m, (size_t)n_corpus)];
        memcpy(data, from->data, from->size);
        size_t size = ch4_mutate(&m, data, from->size, other->data, other->size);
        uint64_t length = size;
        memcpy(current, &length, 8);
        memcpy(current + 8, data, size);
        run_one(data, size);
        runs++;
        if (new_coverage())
            keep(data, size);
        double t = runs % 64 == 0 ? now() : said;
        if (t - said > 30 || t - begin > seconds) {
            printf("%s: %.0f s, %llu runs, %d inputs kept, %d places\n", name, t - begin, (unsigned long long)runs, n_corpus, places_seen());
            fflush(stdout);
            said = t;
        }
        if (t - begin > seconds)
            return;
    }
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s CORPUS                                          runs every file\n"
            "       %s --seconds N [--seed S] --current FILE CORPUS     mutates them; FILE holds the input that is running (8 bytes of size, then it)\n",
            name, name);
    return 2;
}

int main(int argc, char **argv)
{
    double seconds = 0;
    uint64_t seed = 1;
    const char *current = NULL, *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--current") == 0)
            current = argv[i + 1];
        else
            return usage(argv[0]);
    }
    if (i + 1 != argc || (seconds > 0 && !current))
        return usage(argv[0]);
    int n = read_files(argv[i], seconds > 0 ? start_from : replay_file);
    if (n == 0) {
        fprintf(stderr, "%s: no inputs\n", argv[i]);
        return 2;
    }
    if (seconds > 0)
        fuzz(seconds, seed, map_current(current), name);
    for (int k = 0; k < n_corpus; k++)
        free(corpus[k].data);
    return 0;
}
