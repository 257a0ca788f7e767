/* What a running case keeps besides the public part: memory to free, files to close, which results were compared. */
#ifndef CH4_GOLDEN_STATE_H
#define CH4_GOLDEN_STATE_H

#include "golden.h"

struct ch4_golden_state {
    void **blocks;
    size_t n_blocks, cap_blocks;
    ch4_safetensors **files;
    size_t n_files, cap_files;
    bool *compared; /* one per tensor of the io file */
    int64_t failed_before;
};

/* Index of "out.<name>" or "<name>" in the io file, marked as compared; -1 if there is none. */
int64_t ch4_golden_take(ch4_golden_case *c, const char *name);

#endif
