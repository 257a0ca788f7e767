/* From a stored attention map to the matrix that carries token weights from the anchor frame to frame f (paper A(Za->Zf)). */
#ifndef CH4_CHAIN_TOKEN_MAP_H
#define CH4_CHAIN_TOKEN_MAP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ch4_map_reading {
    bool frame_to_anchor; /* rows of the map are tokens of frame f: it is transposed. The paper's letter is false */
    bool normalize;       /* divide each anchor token's row by its sum, so that Eq. 2 keeps a distribution */
    double power;         /* of the entries, before normalising; 1 = as they are */
    int64_t sinkhorn;     /* passes of column, then row normalisation after the power; 0 = none */
} ch4_map_reading;

/* w[s,t] = weight with which anchor token t reaches token s of frame f: A(Za->Zf) transposed, [N,N], so that Eq. 2 is a
 * linear layer. mass[t] (may be NULL) = sum over s of the entries as they came, before power and normalising.
 * map [N,N] is raw (not renormalised), finite and >= 0; w may not be map. A row without any mass stays zero. */
void ch4_map_prepare(float *w, float *mass, const float *map, int64_t n, const ch4_map_reading *reading);

/* out[i,j] = mean over layers of maps[layer][i,j], count elements each. */
void ch4_map_mean(float *out, const float *maps, int64_t n_layers, int64_t count);

#endif
