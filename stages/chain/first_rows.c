#include "stages/chain/first_rows.h"

#include <stdlib.h>
#include <string.h>

#include "stages/chain/chain_files.h"

void ch4_first_rows_fini(ch4_first_rows *first)
{
    free(first->clip);
    free(first->rows);
    *first = (ch4_first_rows){0};
}

/* rows of K points against latent z [N,D] */
static ch4_status ask(float *rows, ch4_vae *vae, const float *z, int64_t N, const ch4_mesh *mesh, const int32_t *landmark, int64_t K, ch4_err *err)
{
    ch4_vae_cache *cache = NULL;
    float *point = NULL;
    ch4_status st = ch4_calloc(&point, (size_t)K, 3 * sizeof *point, "landmarks", err);
    for (int64_t i = 0; !st && i < K; i++)
        memcpy(point + 3 * i, mesh->vert + 3 * (int64_t)landmark[i], 3 * sizeof *point);
    if (!st)
        st = ch4_vae_cache_create(&cache, vae, z, N, NULL, err);
    if (!st)
        st = ch4_vae_query(vae, cache, NULL, rows, point, K, NULL, err);
    ch4_vae_cache_destroy(&cache);
    free(point);
    return st;
}

ch4_status ch4_first_rows_load(ch4_first_rows *first, ch4_vae *vae, const ch4_stage_clip *clip, ch4_err *err)
{
    char chain[CH4_STAGE_PATH], denoise[CH4_STAGE_PATH];
    ch4_chain_denoised d = {0};
    ch4_mesh mesh = {0};
    int32_t *landmark = NULL;
    int64_t K = 0;
    if (first->clip && strcmp(first->clip, clip->name) == 0)
        return CH4_OK;
    ch4_first_rows_fini(first);
    ch4_status st = ch4_stage_path(chain, clip, 0, "chain", err);
    if (!st)
        st = ch4_stage_path(denoise, clip, 0, "denoise", err);
    if (!st)
        st = ch4_chain_read_anchor(&mesh, &landmark, &K, chain, err);
    if (!st)
        st = ch4_chain_read_denoised(&d, denoise, err);
    if (!st && d.D != ch4_vae_get_config(vae)->latent_channels)
        st = ch4_err_set(err, CH4_EFORMAT, "%s: latents of another model", denoise);
    if (!st)
        st = ch4_calloc(&first->rows, (size_t)(K * d.N), sizeof *first->rows, "landmarks", err);
    if (!st)
        st = ask(first->rows, vae, d.latents + d.attention.anchor_slot * d.N * d.D, d.N, &mesh, landmark, K, err);
    if (!st && !(first->clip = strdup(clip->name)))
        st = ch4_err_set(err, CH4_ENOMEM, "out of memory");
    first->K = K;
    first->N = d.N;
    first->encoded = d.encoded;
    ch4_chain_denoised_fini(&d);
    ch4_mesh_fini(&mesh);
    free(landmark);
    if (st)
        ch4_first_rows_fini(first);
    return st;
}
