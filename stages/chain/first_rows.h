/* Which tokens the landmarks of a clip belong to, asked once, in its first window (chain.rows: first). As long as tokens keep their number from window to
 * window, that holds in all of them, and nothing slips from asking the drifting mesh anew in each. */
#ifndef CH4_CHAIN_FIRST_ROWS_H
#define CH4_CHAIN_FIRST_ROWS_H

#include "model/vae.h"
#include "stage/stage.h"

/* Of the clip that was asked for last. Zero-initialise; free with fini. */
typedef struct ch4_first_rows {
    char *clip;
    float *rows; /* [K,N] A(Va->Za) of the first window's landmarks against its anchor's latent */
    int64_t K, N;
    bool encoded; /* that window's tokens descend from an encoded mesh */
} ch4_first_rows;

/* Makes *first that of the clip, from the files of its window 0, which are there. CH4_EFORMAT: landmarks or latents that do not fit. */
ch4_status ch4_first_rows_load(ch4_first_rows *first, ch4_vae *vae, const ch4_stage_clip *clip, ch4_err *err);
void       ch4_first_rows_fini(ch4_first_rows *first);

#endif
