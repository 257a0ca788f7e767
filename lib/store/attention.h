/* Stored attention between the tokens of the window's anchor frame and the tokens of every frame (paper Eq. 2's A(Za->Zf)).
 *
 * An N x N map of frame f has one row per query token; which side the queries are on is the file's attribute `direction`:
 *     "anchor_to_frame"  row = token of the anchor frame, column = token of frame f
 *     "frame_to_anchor"  row = token of frame f, column = token of the anchor frame
 * Stored rows are divided by their sum (a share of the row; float16 would lose the small raw numbers of a softmax over all
 * frames), and the sum goes beside them as `mass`: raw entry = value * mass. Two layouts:
 *     top-k  /attention/index u16 [T,N,k] (ascending in each row), /attention/value f16 [T,N,k], /attention/mass f32 [T,N];
 *            entries that are not kept are 0, and 1 - sum of a row's values is the share that was cut
 *     dense  /attention/dense f16 [T,N,N], /attention/mass f32 [T,N]
 * Attributes: direction, anchor_slot. */
#ifndef CH4_STORE_ATTENTION_H
#define CH4_STORE_ATTENTION_H

#include "base/parallel.h"
#include "store/store.h"

/* Reduces R rows of N raw entries (f32, finite, >= 0, N <= 65536) to their k largest (1 <= k <= N): index [R,k] ascending, value [R,k] f16 shares,
 * mass [R] = row sums. Ties: lower index wins. A row of zeros gives indices 0..k-1, values 0, mass 0. All arrays are the caller's;
 * pool may be NULL; the result does not depend on it. CH4_EINVAL for sizes outside the limits, a negative or non-finite entry. */
ch4_status ch4_attention_reduce(uint16_t *index, uint16_t *value, float *mass, const float *rows, int64_t n_rows, int64_t n,
                                int64_t k, ch4_pool *pool, ch4_err *err);

/* The same without cutting: dense [R,N] f16 shares. */
ch4_status ch4_attention_halve(uint16_t *dense, float *mass, const float *rows, int64_t n_rows, int64_t n, ch4_err *err);

typedef struct ch4_attention {
    int64_t n_frames, n_tokens, k; /* T, N, k; k == 0: dense */
    const uint16_t *index;         /* [T,N,k], NULL if dense */
    const uint16_t *value;         /* f16 bits: [T,N,k], or [T,N,N] if dense */
    const float *mass;             /* [T,N] */
    bool frame_to_anchor;          /* rows are tokens of frame f */
    int64_t anchor_slot;
    ch4_buf owned[3];              /* memory of the three arrays when they were read from a file; else empty */
} ch4_attention;

/* Writes the datasets and the two attributes into a window file. CH4_EINVAL for inconsistent sizes. */
ch4_status ch4_attention_write(ch4_store_writer *writer, const ch4_attention *a, ch4_err *err);

/* Reads and checks them: shapes agree, indices ascending and below N, values in [0,1], masses finite and >= 0, anchor slot below T.
 * CH4_EFORMAT. Free with ch4_attention_fini. */
ch4_status ch4_attention_read(ch4_attention *out, const ch4_store_reader *reader, ch4_err *err);
void       ch4_attention_fini(ch4_attention *a);

/* Map of frame f as raw entries (value * mass), f32 [N,N] in the stored orientation; entries that were cut are 0. */
void ch4_attention_expand(const ch4_attention *a, int64_t frame, float *out);

#endif
